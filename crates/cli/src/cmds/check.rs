//! `portcullis check`

use std::fmt::Write as _;

use portcullis_model::{Exit, Listener, ProcessIdentity, Transport, Untrusted};
use portcullis_ops::{
    advised::Advisories,
    assets::Status,
    check::{self, Checked},
    host, services,
};

use super::{Frame, Outcome, fault};
use crate::{
    arguments::{Check, Global},
    output::{View, table},
    report,
};

pub(super) fn run(global: &Global, arguments: &Check) -> Outcome {
    let checked = if arguments.import.is_empty() {
        check::this_host()
    } else {
        let known = services::read(global.knowledge.as_deref()).map_err(fault)?;
        Advisories::builtin()
            .and_then(|advisories| host::read(&arguments.import, &known.knowledge, &advisories))
    };
    shown_all(global, arguments, checked.map_err(fault)?)
}

/// Texts of another host that are kept as what is known of it.
pub(super) async fn keep(frame: &Frame<'_>, arguments: &Check) -> Outcome {
    let Some(address) = arguments.host else {
        return run(frame.global, arguments);
    };
    let checked = host::keep(frame.desk, &arguments.import, address).await;
    shown_all(frame.global, arguments, checked.map_err(fault)?)
}

fn shown_all(global: &Global, arguments: &Check, mut checked: Checked) -> Outcome {
    if let Some(number) = arguments.port {
        checked = checked.only(number);
    }
    let view = View::text(text(&checked, arguments.port));
    let view = if checked.documents.is_empty() {
        view.all("listener", &checked.listeners)
    } else {
        view.all("listener", &checked.host_listeners)
            .all("program", &checked.programs)
    };
    view.print(global.format)?;
    if !global.quiet {
        remarks(&checked);
    }
    let in_part = !checked.unreadable_lines.is_empty() || !not_covered(&checked).is_empty();
    Ok(if in_part { Exit::Partial } else { Exit::Clean })
}

fn text(checked: &Checked, port: Option<u16>) -> String {
    let mut text = sockets(checked, port);
    for found in &checked.host_listeners {
        let likely = found
            .identifications
            .first()
            .filter(|best| !best.fields.is_empty());
        if let Some(best) = likely {
            let _ = write!(
                text,
                "\n\n{} {} {}: {}",
                found.listener.port(),
                best.grade,
                best.service,
                best.reasons.join("; ")
            );
        }
    }
    programs(checked, &mut text);
    if let Some(address) = checked.kept_for {
        let _ = write!(text, "\n\nKept as what is known of {address} from within.");
    }
    text
}

/// Installed programs that advisories are about.
fn programs(checked: &Checked, text: &mut String) {
    if checked.programs.is_empty() {
        return;
    }
    let count = checked.programs.len();
    let _ = write!(text, "\n\n{count} installed program(s).");
    for program in &checked.programs {
        for advisory in program
            .advisories
            .iter()
            .filter(|one| one.status != Status::NotAffected)
        {
            let _ = write!(
                text,
                "\n{}: {} {}: {}\n    {}; {}",
                program.program.name,
                advisory.id,
                advisory.status,
                advisory.reason,
                advisory.cves.join(", "),
                advisory.remedy
            );
        }
    }
}

fn sockets(checked: &Checked, port: Option<u16>) -> String {
    if checked.without_listing {
        return format!(
            "{} lists no sockets: nothing is known of what listens.",
            checked.source
        );
    }
    let connected = match port {
        Some(_) => format!(", {} connection(s) up", checked.connections.len()),
        None => String::new(),
    };
    let gap = match not_covered(checked).as_slice() {
        [] => String::new(),
        gaps => format!(
            " It shows no {} socket at all: that part is not tested.",
            gaps.join(" and no ")
        ),
    };
    if checked.listeners.is_empty() {
        let what = port.map_or_else(
            || "Nothing listens".to_owned(),
            |port| format!("Nothing listens on port {port}"),
        );
        return format!("{what} on {}{connected}.{gap}", checked.source);
    }
    let rows = checked.listeners.iter().map(|listener| {
        let process = listener.process.as_ref();
        [
            listener.port().to_string(),
            address(listener),
            listener.binding().to_string(),
            process.map_or_else(|| "not known".to_owned(), shown_process),
            shown(process.and_then(|process| process.user.as_ref())),
            shown(process.and_then(|process| process.package.as_ref())),
            shown(process.and_then(|process| process.executable.as_ref())),
        ]
    });
    let header = [
        "port",
        "address",
        "reached on",
        "process",
        "user",
        "package",
        "executable",
    ];
    format!(
        "{}

{} listener(s) on {}{connected}.{gap}",
        table(header, rows),
        checked.listeners.len(),
        checked.source
    )
}

/// The transports that a listing says nothing of.
fn not_covered(checked: &Checked) -> Vec<String> {
    [Transport::Tcp, Transport::Udp]
        .iter()
        .filter(|transport| !checked.covers.contains(transport))
        .map(|transport| transport.to_string().to_uppercase())
        .collect()
}

fn address(listener: &Listener) -> String {
    match listener.takes_ipv4 {
        Some(true) => format!("{} and IPv4", listener.address),
        _ => listener.address.to_string(),
    }
}

fn shown_process(process: &ProcessIdentity) -> String {
    let name = process
        .name
        .as_ref()
        .map_or_else(|| "unnamed".to_owned(), Untrusted::to_string);
    format!("{name} ({})", process.pid)
}

fn shown(text: Option<&Untrusted>) -> String {
    text.map_or_else(|| "-".to_owned(), Untrusted::to_string)
}

fn remarks(checked: &Checked) {
    if !checked.documents.is_empty() && checked.kept_for.is_none() {
        report::eprintln_all(
            "nothing was kept; say whose texts these are with --host ADDRESS, and `assets` knows the host",
        );
    }
    if checked.unreadable_processes > 0 {
        report::eprintln_all(&format!(
            "{} processes of other users could not be looked into; run it as root (sudo) to name all",
            checked.unreadable_processes
        ));
    }
    for line in checked.unreadable_lines.iter().take(5) {
        report::eprintln_all(&format!("not read: {line}"));
    }
    if checked.unreadable_lines.len() > 5 {
        report::eprintln_all(&format!(
            "{} further lines were not read",
            checked.unreadable_lines.len() - 5
        ));
    }
}

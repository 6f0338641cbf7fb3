//! `portcullis check`

use portcullis_model::{Exit, Listener, ProcessIdentity, Transport, Untrusted};
use portcullis_ops::check::{self, Checked};

use super::{Outcome, fault};
use crate::{
    arguments::{Check, Global},
    output::{View, table},
    report,
};

pub(super) fn run(global: &Global, arguments: &Check) -> Outcome {
    let checked = match &arguments.import {
        Some(path) => check::import(path),
        None => check::this_host(),
    };
    let mut checked = checked.map_err(fault)?;
    if let Some(number) = arguments.port {
        checked = checked.only(number);
    }
    View::text(text(&checked, arguments.port))
        .all("listener", &checked.listeners)
        .print(global.format)?;
    if !global.quiet {
        remarks(&checked);
    }
    let in_part = !checked.unreadable_lines.is_empty() || !not_covered(&checked).is_empty();
    Ok(if in_part { Exit::Partial } else { Exit::Clean })
}

fn text(checked: &Checked, port: Option<u16>) -> String {
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

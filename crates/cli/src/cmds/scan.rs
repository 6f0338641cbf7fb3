//! `portcullis scan`

use std::{
    collections::HashSet,
    fmt::Write as _,
    io::{self, Write},
};

use portcullis_model::{
    Exit, Fault, Grade, Identification, NotTested, Observation, ObservationId, Port, PortState, sanitize,
};
use portcullis_ops::scan::{self, Mode, Request, Scanned, Signature, Tightening};
use portcullis_scan::{Pace, Progress, Watcher, syn};

use super::{Frame, Outcome, fault};
use crate::{
    arguments::{Scan, ScanMode},
    nmap_xml,
    output::{self, Format, Stream, View, table},
    progress::{ProgressLine, duration},
};

pub(super) async fn run(frame: &Frame<'_>, arguments: &Scan) -> Outcome {
    let pace = Pace {
        total_per_second: arguments.rate,
        per_host_per_second: arguments.per_host,
        ..Pace::default()
    };
    let request = Request {
        targets: arguments.targets.clone(),
        ports: arguments.ports.clone(),
        pace,
        mode: match arguments.mode {
            ScanMode::Connect => Mode::Connect,
            ScanMode::Syn => Mode::Syn,
        },
        resume: arguments.resume.clone(),
        permission: arguments.permission.clone(),
        signers: arguments.signers.clone(),
    };
    if arguments.mode == ScanMode::Syn {
        frame.say(syn::WARNING);
    }
    let line = ProgressLine::new(frame.global.quiet);
    let mut watcher = Told {
        line,
        lines: (frame.format() == Format::Jsonl).then(|| Lines::new(io::stdout())),
    };
    let scanned = scan::scan(frame.desk, &request, &mut watcher, frame.stop.clone()).await;
    watcher.line.end();
    let scanned = scanned.map_err(fault)?;
    match (frame.format(), watcher.lines) {
        (_, Some(lines)) => lines.end(&scanned)?,
        (Format::NmapXml, None) => {
            let arguments: Vec<String> = std::env::args_os()
                .map(|argument| argument.to_string_lossy().into_owned())
                .collect();
            output::print(|out| nmap_xml::write(&scanned, &arguments.join(" "), out))?;
        }
        (format, None) => {
            let mut view = View::text(text(&scanned)).all("observation", &scanned.observations);
            view.record("run", &scanned.run);
            view.print(format)?;
        }
    }
    let everything = scanned.run.not_tested.is_empty() && !scanned.interrupted;
    Ok(if everything { Exit::Clean } else { Exit::Partial })
}

/// Shows what a scan tells while it runs.
struct Told {
    line: ProgressLine,
    lines: Option<Lines<io::Stdout>>,
}

impl Watcher for Told {
    fn seen(&mut self, observation: &Observation) {
        if let Some(lines) = &mut self.lines {
            self.line.beside(|| lines.seen(observation));
        }
    }
    fn progress(&mut self, progress: &Progress) {
        self.line.scan(progress);
    }
}

/// Observations as JSON lines: answers as they come, the rest at the end.
///
/// Silence is told at the end: only then is it known whether the host has answered at all, and whether the ports of those
/// that have not are listed one by one. So the lines are those of every other format, in another order.
struct Lines<W> {
    stream: Stream<W>,
    told: HashSet<ObservationId>,
}

impl<W: Write> Lines<W> {
    fn new(out: W) -> Self {
        Self {
            stream: Stream::new(out),
            told: HashSet::new(),
        }
    }

    fn seen(&mut self, observation: &Observation) {
        if observation.state != PortState::NoAnswer && self.told.insert(observation.id) {
            self.stream.record("observation", observation);
        }
    }

    fn end(mut self, scanned: &Scanned) -> Result<(), Box<dyn Fault>> {
        for observation in &scanned.observations {
            if self.told.insert(observation.id) {
                self.stream.record("observation", observation);
            }
        }
        self.stream.record("run", &scanned.run);
        self.stream.end()
    }
}

fn text(scanned: &Scanned) -> String {
    let open: Vec<&Observation> = scanned
        .observations
        .iter()
        .filter(|observation| observation.state == PortState::Open)
        .collect();
    let mut text = String::new();
    if open.is_empty() {
        text.push_str("No open port was seen.\n");
    } else {
        let rows = open.iter().map(|observation| {
            [
                observation.address.to_string(),
                observation.port.to_string(),
                observation.state.to_string(),
                shown_identity(observation),
            ]
        });
        let _ = writeln!(text, "{}", table(["address", "port", "state", "service"], rows));
        text.push('\n');
        for observation in &open {
            text.push_str(&reasons(observation));
        }
    }
    text.push_str(&summary(scanned));
    text
}

fn shown_identity(observation: &Observation) -> String {
    match observation.best() {
        Some(best) => format!("{} ({}){}", best.service, best.grade, fields(best)),
        None => "not identified".into(),
    }
}

fn fields(identification: &Identification) -> String {
    let shown: Vec<String> = identification
        .fields
        .iter()
        .map(|(name, value)| format!("{name} {value}"))
        .collect();
    if shown.is_empty() {
        String::new()
    } else {
        format!(": {}", shown.join(", "))
    }
}

/// Why a port is called what it is called, and why it is not called something else.
fn reasons(observation: &Observation) -> String {
    let mut text = String::new();
    for identification in &observation.identifications {
        let verdict = match identification.grade {
            Grade::RuledOut => format!("{} is ruled-out", identification.service),
            grade => format!("{} is {grade}", identification.service),
        };
        let _ = writeln!(text, "{} {}: {verdict}", observation.address, observation.port);
        for reason in &identification.reasons {
            let _ = writeln!(text, "    {reason}");
        }
    }
    text
}

fn summary(scanned: &Scanned) -> String {
    let count = |state| {
        scanned
            .observations
            .iter()
            .filter(|observation| observation.state == state)
            .count()
    };
    let silent: usize = scanned
        .silent
        .iter()
        .map(|range| addresses(range.first, range.last) * range.ports.len())
        .sum();
    let mut text = format!(
        "\nSeen from {}: {} addresses x {} ports: {} open, {} closed, {} filtered, {} no-answer.",
        scanned.run.vantage,
        scanned.addresses,
        scanned.ports,
        count(PortState::Open),
        count(PortState::Closed),
        count(PortState::Filtered),
        count(PortState::NoAnswer) + silent,
    );
    let _ = write!(
        text,
        " {} packets, at most {} connection(s) to a host at a time",
        scanned.counters.packets_sent, scanned.counters.most_connections_per_host
    );
    if let Some(ended) = scanned.run.ended {
        let elapsed = ended.duration_since(scanned.run.started).unsigned_abs();
        let _ = write!(text, ", {}", duration(elapsed));
    }
    text.push_str(".\n");
    text.push_str(&authority(scanned));
    if scanned.interrupted {
        text.push_str("Stopped before its end: what is listed below was not tested.\n");
    }
    if let Some(checkpoint) = &scanned.checkpoint {
        let _ = writeln!(
            text,
            "To go on: portcullis scan --resume {}",
            checkpoint.display()
        );
    }
    for not_tested in &scanned.run.not_tested {
        let _ = writeln!(text, "Not tested: {}", shown_gap(not_tested));
    }
    text
}

/// Whose word it was done on, what that made slower, and what became of it.
fn authority(scanned: &Scanned) -> String {
    let Some(used) = &scanned.permission else {
        return String::new();
    };
    let owner = sanitize(&used.permission.owner);
    let signer = sanitize(used.permission.signed_by.as_deref().unwrap_or_default());
    let signature = match used.signature {
        Signature::None => "not signed".to_owned(),
        Signature::NotChecked => format!("said to be signed by {signer}, signature not checked"),
        Signature::Checked => format!("signed by {signer}, signature checked"),
    };
    let mut text = format!("By the permission of {owner}: {signature}.\n");
    for slowed in &scanned.slowed {
        let _ = writeln!(text, "Slower than asked for: {slowed}.");
    }
    for tightening in &scanned.tightenings {
        let _ = match tightening {
            Tightening::Narrowed(_) => writeln!(text, "The permission was tightened while the scan ran."),
            Tightening::Withdrawn { why, .. } => {
                writeln!(
                    text,
                    "The permission was withdrawn while the scan ran: {}.",
                    sanitize(why)
                )
            }
        };
    }
    text
}

fn shown_gap(gap: &NotTested) -> String {
    let range = if gap.first == gap.last {
        gap.first.to_string()
    } else {
        format!("{} - {}", gap.first, gap.last)
    };
    let shown: Vec<String> = gap.ports.iter().take(4).map(Port::to_string).collect();
    let more = gap.ports.len().saturating_sub(4);
    let more = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    format!("{range} {}{more}: {}", shown.join(", "), gap.reason)
}

/// Number of addresses in a range of one family.
fn addresses(first: std::net::IpAddr, last: std::net::IpAddr) -> usize {
    use std::net::IpAddr::{V4, V6};
    let span = match (first, last) {
        (V4(first), V4(last)) => u128::from(u32::from(last).saturating_sub(u32::from(first))),
        (V6(first), V6(last)) => u128::from(last).saturating_sub(u128::from(first)),
        _ => 0,
    };
    usize::try_from(span).unwrap_or(usize::MAX).saturating_add(1)
}

#[cfg(test)]
mod tests;

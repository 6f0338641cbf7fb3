//! `portcullis capture`

use std::{fmt::Write as _, io};

use portcullis_model::{Exit, Observation};
use portcullis_ops::capture::{self, Captured, Listed, Live, Watcher};

use super::{Frame, Outcome, fault};
use crate::{
    arguments::Capture,
    introduced::introduced,
    output::{Format, Stream, View, table},
    progress::ProgressLine,
    report,
};

/// How many ports are shown; the other formats have all.
const SHOWN: usize = 100;
/// How many devices of Moxa are listed.
const DEVICES: usize = 20;

pub(super) async fn run(frame: &Frame<'_>, arguments: &Capture) -> Outcome {
    let mut told = Told {
        line: ProgressLine::new(frame.global.quiet),
        lines: (frame.format() == Format::Jsonl).then(|| Stream::new(io::stdout())),
        view: View::default(),
        keeps: matches!(frame.format(), Format::Json | Format::Csv),
    };
    let outcome = match &arguments.interface {
        None => capture::files(frame.desk, &arguments.files, &mut told, &frame.stop).await,
        Some(interface) => {
            let live = Live {
                interface: interface.clone(),
                patience: arguments.patience,
                packets: arguments.packets,
            };
            let ready = || {
                frame.say(&format!(
                    "listening to {}; nothing is sent; Ctrl-C ends",
                    live.interface
                ))
            };
            let captured = capture::interface(frame.desk, &live, &mut told, &frame.stop, ready).await;
            told.line.end();
            capture::Outcome {
                captured: vec![captured.map_err(fault)?],
                failures: Vec::new(),
            }
        }
    };
    told.line.end();
    let mut failures = outcome.failures;
    // With nothing read there is nothing to report.
    if outcome.captured.is_empty() {
        let last = failures.pop();
        failures.iter().for_each(|failure| report::remark(failure));
        return last.map_or(Ok(Exit::Clean), |failure| Err(fault(failure)));
    }
    match told.lines {
        Some(mut lines) => {
            outcome
                .captured
                .iter()
                .for_each(|captured| lines.record("capture", captured));
            lines.end()?;
        }
        None => {
            let texts: Vec<String> = outcome.captured.iter().map(text).collect();
            told.view
                .with_text(texts.join("\n\n"))
                .all("capture", &outcome.captured)
                .print(frame.format())?;
        }
    }
    failures.iter().for_each(|failure| report::remark(failure));
    let everything = failures.is_empty() && outcome.captured.iter().all(Captured::is_whole);
    Ok(if everything { Exit::Clean } else { Exit::Partial })
}

/// Shows what is told while packets are read.
struct Told {
    line: ProgressLine,
    lines: Option<Stream<io::Stdout>>,
    view: View,
    /// Whether observations are printed at the end, all together.
    keeps: bool,
}

impl Watcher for Told {
    fn progress(&mut self, frames: u64, bytes: u64) {
        self.line.capture(frames, bytes);
    }

    fn seen(&mut self, observation: &Observation) {
        if let Some(lines) = &mut self.lines {
            self.line.beside(|| lines.record("observation", observation));
        } else if self.keeps {
            self.view.record("observation", observation);
        }
    }
}

fn text(captured: &Captured) -> String {
    let counted = &captured.counted;
    let mut text = format!(
        "{} ({}): {} packet(s), {} conversation(s); {} host(s), {} open port(s), {} hardware address(es).",
        captured.source,
        captured.format,
        counted.frames,
        counted.conversations,
        captured.hosts,
        captured.open_ports,
        captured.neighbours,
    );
    if let (Some(first), Some(last)) = (counted.first_at, counted.last_at) {
        let shown = |at: jiff::Timestamp| at.strftime("%Y-%m-%d %H:%M:%S").to_string();
        let _ = write!(text, "\n  From {} to {} (UTC).", shown(first), shown(last));
    }
    if let Some(before) = captured.before {
        let before = before.strftime("%Y-%m-%d %H:%M:%S");
        let _ = write!(
            text,
            "\n  It was read before, at {before} (UTC): nothing counts twice."
        );
    }
    if !captured.ports.is_empty() {
        let rows = captured.ports.iter().take(SHOWN).map(row);
        let header = ["address", "port", "state", "service", "clients", "says"];
        let _ = write!(text, "\n{}", table(header, rows));
        if captured.ports.len() > SHOWN {
            let _ = write!(text, "\n  and more; --format jsonl has all");
        }
    }
    if !captured.moxa.is_empty() {
        let _ = write!(text, "\n  {} registered to Moxa:", captured.moxa.len());
        for device in captured.moxa.iter().take(DEVICES) {
            let address = device
                .address
                .map_or_else(String::new, |address| format!(" {address}"));
            let _ = write!(text, "\n    {}{address}", device.mac);
        }
    }
    for introduction in captured.introductions.iter().take(DEVICES) {
        let _ = write!(text, "\n  {}", introduced(introduction));
    }
    for report in counted.address_reports.iter().take(DEVICES) {
        let _ = write!(
            text,
            "\n  {} reports its address as Moxa's devices do: {} a Moxa device.",
            report.address, report.grade
        );
    }
    if counted.routers > 0 {
        let _ = write!(
            text,
            "\n  {} hardware address(es) speak for many: routers, to which no address is attributed.",
            counted.routers
        );
    }
    for (reason, count) in &counted.passed_over {
        let _ = write!(text, "\n  {count} {reason}.");
    }
    if captured.in_the_future > 0 {
        let _ = write!(
            text,
            "\n  {} time(s) lie in the future: the clock was wrong, and they count as of now.",
            captured.in_the_future
        );
    }
    if captured.dropped > 0 {
        let _ = write!(
            text,
            "\n  {} packet(s) were lost while it was captured: what they would have shown is missing.",
            captured.dropped
        );
    }
    for (reason, count) in &counted.left_out {
        let _ = write!(text, "\n  Left out: {count} {reason}.");
    }
    if let Some(damage) = &captured.damage {
        let _ = write!(text, "\n  Not read to its end: {damage}.");
    }
    if captured.stopped {
        let _ = write!(text, "\n  Stopped before its end.");
    }
    text
}

fn row(port: &Listed) -> [String; 6] {
    let service = match (&port.service, port.grade) {
        (Some(service), Some(grade)) => format!("{service} ({grade})"),
        _ => "-".into(),
    };
    let clients = match port.client {
        Some(client) if port.clients == 1 => client.to_string(),
        _ => port.clients.to_string(),
    };
    let says: Vec<String> = port
        .facts
        .iter()
        .map(|(name, value)| format!("{name} {value}"))
        .collect();
    [
        port.address.to_string(),
        port.port.to_string(),
        port.state.to_string(),
        service,
        clients,
        says.join(", "),
    ]
}

//! `portcullis scan`

mod summary;

use std::{
    collections::HashSet,
    fmt::Write as _,
    io::{self, Write},
    path::Path,
};

use portcullis_model::{Exit, Fault, Observation, ObservationId, PortState, Secret, sanitize};
use portcullis_ops::scan::{self, Mode, Request, Scanned};
use portcullis_scan::{Pace, Progress, Watcher, guard::Guard, pace::UNLIMITED, syn};

use super::{Frame, Outcome, fault};
use crate::{
    arguments::{Global, Scan, ScanMode},
    introduced::introduced,
    nmap_xml,
    output::{self, Format, Stream, View},
    progress::ProgressLine,
    stop,
};

pub(super) async fn run(frame: &Frame<'_>, arguments: &Scan) -> Outcome {
    if let Some(interface) = &arguments.segment {
        return segment(frame, arguments, interface).await;
    }
    let pace = Pace {
        total_per_second: match arguments.rate {
            0 => UNLIMITED,
            rate => rate,
        },
        per_host_per_second: arguments.per_host,
        per_subnet_per_second: arguments.per_subnet,
        ..Pace::default()
    };
    let guards: Result<Vec<Guard>, _> = arguments.guards.iter().map(|guard| guard.parse()).collect();
    let request = Request {
        targets: arguments.targets.clone(),
        ports: arguments.ports.iter().flat_map(|range| range.ports()).collect(),
        services: arguments.services.clone(),
        community: arguments
            .community
            .clone()
            .filter(|community| !community.is_empty())
            .map(Secret::new),
        second_look: arguments.second_look,
        pace,
        mode: match arguments.mode {
            ScanMode::Connect => Mode::Connect,
            ScanMode::Syn => Mode::Syn,
        },
        guards: guards.map_err(fault)?,
        resume: arguments.resume.clone(),
        permission: arguments.permission.clone(),
        signers: arguments.signers.clone(),
    };
    if arguments.mode == ScanMode::Syn && !arguments.second_look {
        frame.say(syn::WARNING);
    }
    let line = ProgressLine::new(frame.global.quiet);
    let mut watcher = Told {
        line,
        global: frame.global,
        lines: (frame.format() == Format::Jsonl).then(|| Lines::new(io::stdout())),
    };
    let scanned = scan::scan(frame.desk, &request, &mut watcher, frame.stop.clone()).await;
    watcher.line.end();
    let scanned = scanned.map_err(fault)?;
    match (frame.format(), watcher.lines) {
        (_, Some(lines)) => lines.end(&scanned)?,
        (Format::NmapXml, None) => {
            let typed = std::env::args_os().map(|argument| argument.to_string_lossy().into_owned());
            let typed = without_secret(typed);
            output::print(|out| nmap_xml::write(&scanned, &typed, out))?;
        }
        (format, None) => {
            let again = scanned
                .checkpoint
                .as_deref()
                .map(|path| again(path, frame.global));
            let mut view = View::text(summary::text(&scanned, again.as_deref()))
                .all("observation", &scanned.observations);
            view.record("run", &scanned.run);
            view.print(format)?;
        }
    }
    let exit = if scanned.is_whole() {
        Exit::Clean
    } else {
        Exit::Partial
    };
    scanned.failed.map_or(Ok(exit), |error| Err(fault(error)))
}

/// Asks the stations of a segment.
async fn segment(frame: &Frame<'_>, arguments: &Scan, interface: &str) -> Outcome {
    let request = scan::segment::Request {
        interface: interface.into(),
        services: arguments.services.clone(),
        permission: arguments.permission.clone(),
        signers: arguments.signers.clone(),
    };
    let asked = scan::segment::ask(frame.desk, &request, frame.stop.clone())
        .await
        .map_err(fault)?;
    let mut text = match asked.stations.len() {
        0 => "No station answered; whether there is none, or its answer was lost, cannot be concluded."
            .to_owned(),
        count => format!("{count} station(s) of PROFINET answered to one question:"),
    };
    for station in &asked.stations {
        let _ = write!(text, "\n  {}", introduced(station));
    }
    if asked.too_many {
        text.push_str(
            "\nMore answered than a segment can have, and are not kept: somebody makes stations up.",
        );
    }
    let mut view = View::text(text).all("station", &asked.stations);
    view.record("run", &asked.run);
    view.print(frame.format())?;
    Ok(if asked.stations.is_empty() || asked.too_many {
        Exit::Partial
    } else {
        Exit::Clean
    })
}

/// The command line as typed, but for the community.
fn without_secret(typed: impl Iterator<Item = String>) -> String {
    let mut shown: Vec<String> = Vec::new();
    for word in typed {
        if shown.last().is_some_and(|last| last == "--community") {
            shown.push("…".into());
        } else if word.starts_with("--community=") {
            shown.push("--community=…".into());
        } else {
            shown.push(word);
        }
    }
    shown.join(" ")
}

/// The command line that goes on with a scan, from whatever folder.
fn again(checkpoint: &Path, global: &Global) -> String {
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.into());
    let mut line = format!("portcullis scan --resume {}", quoted(&absolute(checkpoint)));
    if let Some(site) = &global.config {
        let _ = write!(line, " --config {}", quoted(&absolute(site)));
    }
    if let Some(folder) = &global.knowledge {
        let _ = write!(line, " --knowledge {}", quoted(&absolute(folder)));
    }
    if let Some(store) = &global.store {
        let file = store.strip_prefix("sqlite:").unwrap_or(store);
        let _ = write!(line, " --store {}", quoted(&absolute(Path::new(file))));
    }
    line
}

/// A path as a shell reads it.
fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy();
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-+,:@%=".contains(letter);
    if text.chars().all(plain) {
        text.into_owned()
    } else {
        format!("'{}'", sanitize(&text).replace('\'', r"'\''"))
    }
}

/// Shows what a scan tells while it runs.
struct Told<'a> {
    line: ProgressLine,
    global: &'a Global,
    lines: Option<Lines<io::Stdout>>,
}

impl Watcher for Told<'_> {
    fn begun(&mut self, checkpoint: &Path) {
        stop::last_words(format!("to go on: {}", again(checkpoint, self.global)));
    }
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

#[cfg(test)]
mod tests;

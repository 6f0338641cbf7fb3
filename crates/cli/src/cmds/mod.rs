//! One file per noun: arguments to request, use-case, view.

mod approve;
mod assessed;
mod assets;
mod audit;
mod capture;
mod change;
mod check;
mod doctor;
mod exposures;
mod import;
mod knowledge;
mod lab;
mod learn;
mod logs;
mod plan;
pub(crate) mod reach;
mod scan;
mod sensor;
mod verify;
mod watch;

use portcullis_model::{Exit, Fault};
use portcullis_ops::{Desk, OpsError, Stop};

use crate::{
    arguments::{Cli, Command, Global},
    environment,
    output::Format,
    report, stop,
};

/// How a command ended, or what ended it.
type Outcome = Result<Exit, Box<dyn Fault>>;

/// What every command is given.
struct Frame<'a> {
    global: &'a Global,
    desk: &'a Desk,
    stop: Stop,
}

impl Frame<'_> {
    fn format(&self) -> Format {
        self.global.format
    }

    /// Says something to the person at the terminal, unless they want only data.
    fn say(&self, text: &str) {
        if !self.global.quiet && self.global.format == Format::Text {
            report::eprintln_all(text);
        }
    }
}

/// Runs a command to its end.
pub(crate) fn run(cli: Cli) -> Outcome {
    let global = &cli.global;
    match (global.format, &cli.command) {
        (Format::NmapXml, Command::Scan(_)) | (Format::CsafVex | Format::CycloneDx, Command::Assets(_)) => {}
        (Format::Html, Command::Logs(arguments)) if !arguments.follow && arguments.export.is_none() => {}
        (Format::Html, _) => return Err(fault(OnlyOf::Logs)),
        (Format::Json | Format::Jsonl | Format::Csv, Command::Logs(arguments))
            if arguments.export.is_some() =>
        {
            return Err(fault(OnlyOf::Export));
        }
        (Format::NmapXml, _) => return Err(fault(OnlyOf::Scan)),
        (Format::CsafVex | Format::CycloneDx, _) => return Err(fault(OnlyOf::Assets)),
        (Format::Text | Format::Json | Format::Jsonl | Format::Csv, _) => {}
    }
    match &cli.command {
        // The lab makes namespaces, which only a process with a single thread may enter.
        Command::Lab(arguments) => lab::run(arguments),
        Command::Rehearsal { inside } => plan::rehearsal(*inside),
        Command::Check(arguments) if arguments.host.is_none() => check::run(global, arguments),
        Command::Knowledge(arguments) => knowledge::run(global, arguments),
        Command::Doctor => doctor::run(global),
        Command::Reach(arguments) => reach::run(global, arguments),
        command => with_desk(global, command),
    }
}

/// Opens the store and the site, then runs a command that needs them.
fn with_desk(global: &Global, command: &Command) -> Outcome {
    // One worker looks after signals while the command works on the main thread.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build();
    let runtime = runtime.map_err(|source| {
        fault(OpsError::Read {
            path: "the runtime".into(),
            source,
        })
    })?;
    runtime.block_on(async {
        let stop = stop::listen();
        let store = global
            .store
            .clone()
            .unwrap_or_else(|| environment::default_store().to_string_lossy().into_owned());
        match command {
            Command::Rollback(arguments) => return change::rollback(global, &store, arguments, &stop).await,
            Command::Audit(arguments) => return audit::run(global, &store, arguments).await,
            _ => {}
        }
        // What the kernel holds is shown by `changes` without a store, too.
        let only_reads = matches!(command, Command::Exposures | Command::Assets(_));
        let must_exist = only_reads && global.store.is_some();
        let (site, knowledge) = (global.config.as_deref(), global.knowledge.as_deref());
        let mut desk = Desk::open(&store, must_exist, site, knowledge)
            .await
            .map_err(fault)?;
        go_where(&mut desk, command).await?;
        let frame = Frame {
            global,
            desk: &desk,
            stop,
        };
        match command {
            Command::Scan(arguments) => scan::run(&frame, arguments).await,
            Command::Import(arguments) => import::run(&frame, arguments).await,
            Command::Capture(arguments) => capture::run(&frame, arguments).await,
            Command::Learn(arguments) => learn::run(&frame, arguments).await,
            Command::Exposures => exposures::run(&frame).await,
            Command::Assets(arguments) => assets::run(&frame, arguments).await,
            Command::Check(arguments) => check::keep(&frame, arguments).await,
            Command::Plan(arguments) => plan::run(&frame, arguments).await,
            Command::Approve(arguments) => approve::run(&frame, arguments).await,
            Command::Apply(arguments) => change::apply(&frame, arguments).await,
            Command::Confirm(arguments) => change::confirm(&frame, arguments).await,
            Command::Changes(_) => change::list(&frame).await,
            Command::Watch(arguments) => watch::run(&frame, arguments).await,
            Command::Verify(arguments) => verify::run(&frame, arguments).await,
            Command::Sensor(arguments) => sensor::run(&frame, arguments).await,
            Command::Logs(arguments) => logs::run(&frame, arguments).await,
            Command::Rollback(_)
            | Command::Audit(_)
            | Command::Lab(_)
            | Command::Rehearsal { .. }
            | Command::Knowledge(_)
            | Command::Reach(_)
            | Command::Doctor => Ok(Exit::Clean),
        }
    })
}

/// Goes to the host that a command is about, when that is another one.
async fn go_where(desk: &mut Desk, command: &Command) -> Result<(), Box<dyn Fault>> {
    let host = match command {
        Command::Plan(arguments) => plan::host(arguments)?,
        Command::Changes(arguments) => arguments.host.clone(),
        Command::Verify(arguments) => arguments.host.clone(),
        _ => None,
    };
    let of = match command {
        Command::Apply(arguments) => Some(&arguments.plan),
        Command::Confirm(arguments) => Some(&arguments.change),
        Command::Verify(arguments) => arguments.subject.as_ref(),
        _ => None,
    };
    match (host, of) {
        (Some(target), _) => desk.go_to(target).map_err(fault),
        (None, Some(prefix)) => desk.go_to_that_of(prefix).await.map_err(fault),
        (None, None) => Ok(()),
    }
}

/// A format that the command has no document for.
#[derive(Debug, thiserror::Error)]
enum OnlyOf {
    #[error("--format nmap-xml is only for what `portcullis scan` finds")]
    Scan,
    #[error("--format csaf-vex and cyclonedx are only for `portcullis assets`")]
    Assets,
    #[error("--format html is only for `portcullis logs`, without --follow and --export")]
    Logs,
    #[error("--export has forms of its own, and --format is none of them")]
    Export,
}

impl Fault for OnlyOf {
    fn code(&self) -> &'static str {
        match self {
            Self::Scan => "SC054",
            Self::Assets => "CL003",
            Self::Logs => "CL006",
            Self::Export => "CL007",
        }
    }
    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Export => {
                "leave --format out: list and cef are lines, crowdsec and stix are JSON, ocsf is JSON line by line"
            }
            _ => "use text, json, jsonl or csv",
        };
        Some(hint.into())
    }
    fn exit(&self) -> Exit {
        Exit::Usage
    }
}

/// Any error that a person can read.
fn fault(error: impl Fault + 'static) -> Box<dyn Fault> {
    Box::new(error)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[test]
    fn the_format_of_a_scan_is_refused_by_every_other_command_before_it_begins() {
        for command in [
            "check",
            "exposures",
            "import -",
            "changes",
            "doctor",
            "logs -",
            "audit list",
            "lab up",
        ] {
            let typed = format!("portcullis --store /dev/null/none --format nmap-xml {command}");
            let refused = run(Cli::parse_from(typed.split_whitespace())).unwrap_err();
            assert_eq!(
                (refused.code(), refused.exit()),
                ("SC054", Exit::Usage),
                "{command}"
            );
        }
    }

    #[test]
    fn a_page_is_refused_where_there_is_none_before_anything_begins() {
        for command in ["check", "exposures", "logs - --follow", "logs - --export list"] {
            let typed = format!("portcullis --store /dev/null/none --format html {command}");
            let refused = run(Cli::parse_from(typed.split_whitespace())).unwrap_err();
            assert_eq!(
                (refused.code(), refused.exit()),
                ("CL006", Exit::Usage),
                "{command}"
            );
        }
    }

    #[test]
    fn the_formats_of_assets_are_refused_by_every_other_command_before_it_begins() {
        for format in ["csaf-vex", "cyclonedx"] {
            for command in ["check", "scan 10.0.0.1", "exposures", "import -"] {
                let typed = format!("portcullis --store /dev/null/none --format {format} {command}");
                let refused = run(Cli::parse_from(typed.split_whitespace())).unwrap_err();
                assert_eq!(
                    (refused.code(), refused.exit()),
                    ("CL003", Exit::Usage),
                    "{command}"
                );
            }
        }
    }
}

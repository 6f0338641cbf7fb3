//! Firewall logs: files of kernel log lines, standard input, and the live log of the drop rule.

use std::{
    fs::File,
    io::{BufReader, Read},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use jiff::{Timestamp, tz::TimeZone};
use portcullis_logs::{
    LineOutcome, LogReport, LoggedPacket, Prefixes, Settings, Summary, TimeContext, packet_event, read_log,
};
use portcullis_model::{LogEvent, Port};
use portcullis_sys::nflog::{self, Group};

use crate::{OpsError, Stop};

pub use portcullis_logs::LogReport as Report;

/// What to read, and how.
#[derive(Debug, Clone)]
pub struct Request {
    /// Only events to these ports; all when empty.
    pub ports: Vec<Port>,
    /// Zone of times that carry none.
    pub timezone: TimeZone,
    /// How many sources to name.
    pub top: usize,
}

/// What was read, and what could not be.
#[derive(Debug)]
pub struct LogsRead {
    /// The answers.
    pub report: LogReport,
    /// Files that could not be read to their end, with the reason.
    pub failures: Vec<OpsError>,
}

/// Reads files one after the other; `-` is standard input. A file that cannot be read does not stop the others.
pub fn files(request: &Request, paths: &[PathBuf], each: &mut dyn FnMut(&LogEvent)) -> LogsRead {
    let mut summary = summary(request);
    let mut failures = Vec::new();
    for path in paths {
        if let Err(source) = file(request, path, &mut summary, each) {
            failures.push(OpsError::Read {
                path: path.clone(),
                source,
            });
        }
    }
    LogsRead {
        report: summary.report(request.top),
        failures,
    }
}

fn summary(request: &Request) -> Summary {
    if request.ports.is_empty() {
        Summary::of_all_ports()
    } else {
        Summary::of_ports(request.ports.iter().copied())
    }
}

fn file(
    request: &Request,
    path: &Path,
    summary: &mut Summary,
    each: &mut dyn FnMut(&LogEvent),
) -> std::io::Result<()> {
    let (reader, modified): (Box<dyn Read>, Option<Timestamp>) = if path == Path::new("-") {
        (Box::new(std::io::stdin()), None)
    } else {
        let file = File::open(path)?;
        let modified = file.metadata().and_then(|data| data.modified()).ok();
        (
            Box::new(file),
            modified.and_then(|time| Timestamp::try_from(time).ok()),
        )
    };
    let time = TimeContext {
        now: Timestamp::now(),
        timezone: request.timezone.clone(),
        file_modified: modified,
    };
    let settings = Settings {
        time,
        prefixes: Prefixes::default(),
    };
    let mut lines = read_log(BufReader::new(reader), &path.to_string_lossy(), &settings);
    for line in &mut lines {
        match &line.outcome {
            LineOutcome::Event(event) => {
                if summary.add(event) {
                    each(event);
                }
            }
            other => summary.add_outcome(other),
        }
    }
    match lines.stopped() {
        Some(why) => Err(std::io::Error::other(why.to_owned())),
        None => Ok(()),
    }
}

/// Reads the live log of a netfilter group until the time is over or the operator stops it. `ready` is called when the
/// kernel has begun to hand over packets.
///
/// # Errors
/// When the group cannot be listened to.
pub fn live(
    request: &Request,
    group: u16,
    patience: Option<Duration>,
    stop: &Stop,
    ready: impl FnOnce(),
    each: &mut dyn FnMut(&LogEvent),
) -> Result<LogReport, OpsError> {
    let mut socket = Group::open(group).map_err(OpsError::System)?;
    ready();
    let mut summary = summary(request);
    let end = patience.map(|patience| Instant::now() + patience);
    while !*stop.borrow() && end.is_none_or(|end| Instant::now() < end) {
        for logged in socket
            .receive(Duration::from_millis(100))
            .map_err(OpsError::System)?
        {
            let packet = LoggedPacket {
                prefix: logged.prefix,
                payload: logged.payload,
                at: Some(Timestamp::now()),
                interface: nflog::interface_name(logged.interface),
            };
            match packet_event(group, &packet, &Prefixes::default()) {
                Ok(event) => {
                    if summary.add(&event) {
                        each(&event);
                    }
                }
                Err(error) => summary.add_unreadable(&error.to_string()),
            }
        }
    }
    Ok(summary.report(request.top))
}

//! Firewall logs: files of any format that is known, captures of log groups, standard input, and the live log of the drop
//! rule.

mod block;
mod countries;
mod distinct;
mod facts;
mod follow;
mod limited;
mod signs;

use std::{
    fs::File,
    io::{self, Cursor, Read, Seek},
    num::NonZero,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::available_parallelism,
    time::{Duration, Instant},
};

use jiff::{Timestamp, tz::TimeZone};
use portcullis_capture::{self as capture, Link};
use portcullis_logs::{
    Clock, Facts, Line, LogReport, Place, Sessions, Settings, Shared, Sink, Summary, TimeContext, Unfit,
    Years, decoded, ends_with_returns, in_order, read_frame, read_log, unfit,
};
use portcullis_model::{LogEvent, LogFormat, Port, sanitize};

use portcullis_sys::feed::Feed;

use self::follow::nflog::Listening;
use crate::{OpsError, Stop};

pub use block::{Proposal, proposals};
pub use countries::countries;
pub use distinct::distinct;
pub use facts::facts;
pub use follow::{Carrier, FollowError, Followed, How, Listener, Tell, TlsFiles, Told, follow};
pub use limited::counters;
pub use portcullis_logs::{
    ChangeReport, FormatCount, GroupCount, LogReport as Report, PhaseCounts, PortCount, SourceReport,
    TimeSpan, TimelineReport, VerdictCounts, Way,
    detection::{Detector, Finding, Findings},
};
pub use signs::detector;

/// More threads than that wait for the disk.
const MOST_THREADS: usize = 16;

/// Losses that are told one by one where nothing is kept.
const MOST_NOTES: usize = 100;

/// Link type of a capture of a log group.
const NFLOG: Link = Link::Unknown(239);

/// What to read, and how.
#[derive(Debug, Clone)]
pub struct Request {
    /// Only events to these ports; all when empty.
    pub ports: Vec<Port>,
    /// Zone of times that carry none.
    pub timezone: TimeZone,
    /// The format, when it is not to be found out.
    pub format: Option<LogFormat>,
    /// How many sources to name.
    pub top: usize,
    /// Whether sessions are inferred; that needs the lines in their order, so that one processor reads. Not where logs are
    /// followed.
    pub sessions: bool,
    /// What is known of the site, see [`facts`].
    pub facts: Arc<Facts>,
}

/// What was read, and what could not be.
#[derive(Debug)]
pub struct LogsRead {
    /// The answers.
    pub report: LogReport,
    /// Files that could not be read to their end, with the reason.
    pub failures: Vec<OpsError>,
    /// Whether none of them could be read, and nothing was found.
    pub nothing: bool,
}

/// Takes each event in its order.
pub type Each<'e> = &'e mut (dyn FnMut(&LogEvent) + Send);

/// Reads files one after the other, those of a rotated log from the oldest on; `-` is standard input. A file that cannot be
/// read does not stop the others; one that is named twice is read once. Without somebody who takes each event in order, all processors read.
pub fn files(request: &Request, paths: &[PathBuf], each: Option<Each<'_>>) -> LogsRead {
    let shared = Shared::new(summary(request));
    let mut failures = Vec::new();
    let mut takers = Takers::new(request, each);
    let (paths, mut notes) = distinct(paths);
    for path in in_order(&paths) {
        match file(request, &path, &shared, &mut takers) {
            Ok(note) => notes.extend(note),
            Err(source) => failures.push(OpsError::Read { path, source }),
        }
    }
    let mut report = takers.report(shared.into_summary(), request.top);
    report.notes.extend(notes);
    LogsRead {
        nothing: failures.len() == paths.len() && report.attempts == 0,
        report,
        failures,
    }
}

/// Who wants the lines in their order.
struct Takers<'e> {
    each: Option<Each<'e>>,
    sessions: Option<Sessions>,
}

impl<'e> Takers<'e> {
    fn new(request: &Request, each: Option<Each<'e>>) -> Self {
        Self {
            each,
            sessions: request.sessions.then(Sessions::default),
        }
    }

    fn report(self, summary: Summary, top: usize) -> LogReport {
        let mut report = summary.report(top);
        if let Some(sessions) = self.sessions {
            sessions.tell(&mut report);
        }
        report
    }

    fn want_order(&self) -> bool {
        self.each.is_some() || self.sessions.is_some()
    }

    /// Takes a line that counts.
    fn take(&mut self, line: &Line<'_>, place: Place<'_>, clock: &mut Clock<'_>) {
        let Line::Event(event) = line else { return };
        if let Some(sessions) = &mut self.sessions {
            sessions.add(event, clock.at(&event.time));
        }
        if let Some(each) = &mut self.each {
            each(&event.to_log_event(clock, place.to_source()));
        }
    }
}

fn summary(request: &Request) -> Summary {
    Summary::of_ports(request.ports.iter().copied()).knowing(Arc::clone(&request.facts))
}

/// Counts the bytes that were read, so that a file that became shorter meanwhile is noticed.
struct Counted<R> {
    reader: R,
    bytes: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.bytes.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// Reads one file. Where nothing is found in it, what may be wrong is an error if it is known, and else a note.
fn file(
    request: &Request,
    path: &Path,
    shared: &Shared,
    takers: &mut Takers<'_>,
) -> io::Result<Option<String>> {
    let name = path.to_string_lossy();
    if path == Path::new("-") {
        let settings = settings(request, None);
        let before = shared.so_far();
        let was = whole(decoded(io::stdin())?, &name, &settings, shared, takers)?;
        return in_vain(&was, before, &name, &settings, shared);
    }
    let mut file = File::open(path)?;
    let data = file.metadata()?;
    let modified = data
        .modified()
        .ok()
        .and_then(|time| Timestamp::try_from(time).ok());
    let mut settings = settings(request, modified);
    // What is compressed has no place to look at, and its bytes look like no time.
    if data.is_file() {
        settings.time.years = Years::by_order(&mut file, data.len(), &settings.time)?;
        file.rewind()?;
    }
    let bytes = Arc::new(AtomicU64::new(0));
    let counted = Counted {
        reader: file,
        bytes: Arc::clone(&bytes),
    };
    let before = shared.so_far();
    let was = whole(decoded(counted)?, &name, &settings, shared, takers)?;
    let read = bytes.load(Ordering::Relaxed);
    if data.is_file() && read < data.len() {
        let had = data.len();
        return Err(io::Error::other(format!(
            "the file became shorter while it was read: {read} of {had} bytes were there"
        )));
    }
    in_vain(&was, before, &name, &settings, shared)
}

/// Of a log in which there was nothing: why, and what to do. A file that is a log of something else is no error.
fn in_vain(
    was: &WasRead,
    before: (u64, u64),
    name: &str,
    settings: &Settings,
    shared: &Shared,
) -> io::Result<Option<String>> {
    if ends_with_returns(&was.head) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            Unfit::Returns.to_string(),
        ));
    }
    let (events, unreadable) = shared.so_far();
    if events > before.0 || was.lines == 0 {
        return Ok(None);
    }
    if was.is_capture {
        return Ok(Some(format!(
            "{name}: none of its {} packets is of a log group: `portcullis capture {name}` tells what was said on the wire",
            was.lines
        )));
    }
    if let Some(why) = unfit(&was.head, settings.format, &settings.prefixes) {
        let kind = match why {
            Unfit::Utf16 => io::ErrorKind::InvalidData,
            _ => io::ErrorKind::Unsupported,
        };
        return Err(io::Error::new(kind, why.to_string()));
    }
    Ok((unreadable == before.1).then(|| {
        format!(
            "{name}: none of its {} lines is of a firewall in a format that is known; docs/logs.md lists them, and a rule must log",
            was.lines
        )
    }))
}

fn settings(request: &Request, modified: Option<Timestamp>) -> Settings {
    Settings {
        time: TimeContext {
            now: Timestamp::now(),
            timezone: request.timezone.clone(),
            file_modified: modified,
            years: Years::default(),
        },
        prefixes: request.facts.prefixes.clone(),
        format: request.format,
    }
}

/// How a log was read.
struct WasRead {
    /// Its first bytes.
    head: Vec<u8>,
    /// Lines, or frames of a capture.
    lines: u64,
    is_capture: bool,
}

/// Bytes of the beginning that tell what may be wrong with a log.
const HEAD: usize = 8192;

/// Keeps the first bytes of what is read.
struct Remembering<R> {
    reader: R,
    head: Vec<u8>,
}

impl<R: Read> Read for Remembering<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        let room = HEAD.saturating_sub(self.head.len()).min(count);
        self.head.extend(buffer.iter().take(room));
        Ok(count)
    }
}

/// Reads one log to its end.
fn whole(
    mut reader: impl Read + Send,
    path: &str,
    settings: &Settings,
    shared: &Shared,
    takers: &mut Takers<'_>,
) -> io::Result<WasRead> {
    let mut head = Vec::new();
    reader.by_ref().take(4).read_to_end(&mut head)?;
    let is_capture = is_capture(&head);
    let reader = Cursor::new(head).chain(reader);
    if is_capture {
        let lines = frames(reader, path, settings, shared, takers)?;
        return Ok(WasRead {
            head: Vec::new(),
            lines,
            is_capture,
        });
    }
    let mut remembering = Remembering {
        reader,
        head: Vec::new(),
    };
    let reader = &mut remembering;
    let read = if takers.want_order() {
        let shared = shared.one();
        read_log(reader, path, settings, &mut [Ordered { shared, takers }])
    } else {
        let threads = available_parallelism().map_or(1, NonZero::get).min(MOST_THREADS);
        read_log(reader, path, settings, &mut shared.counters(threads))
    };
    if let Some(why) = read.stopped {
        return Err(io::Error::other(why));
    }
    Ok(WasRead {
        head: remembering.head,
        lines: read.lines,
        is_capture,
    })
}

/// What pcap, in both byte orders and with both units of time, and pcapng begin with.
fn is_capture(head: &[u8]) -> bool {
    matches!(
        head,
        [0xa1, 0xb2, 0xc3, 0xd4]
            | [0xd4, 0xc3, 0xb2, 0xa1]
            | [0xa1, 0xb2, 0x3c, 0x4d]
            | [0x4d, 0x3c, 0xb2, 0xa1]
            | [0x0a, 0x0d, 0x0d, 0x0a]
    )
}

/// Reads a capture of a log group, frame by frame, and tells how many there were. The number of a frame stands in the place of a
/// line's.
fn frames(
    reader: impl Read,
    path: &str,
    settings: &Settings,
    shared: &Shared,
    takers: &mut Takers<'_>,
) -> io::Result<u64> {
    let mut file = capture::File::open(reader).map_err(io::Error::other)?;
    let mut clock = Clock::new(&settings.time);
    let mut counter = shared.one();
    let mut line = 0;
    while let Some(frame) = file.next_frame().map_err(io::Error::other)? {
        line += 1;
        let place = Place {
            path,
            line,
            offset: 0,
        };
        if frame.link != NFLOG {
            counter.line(&Line::Unrelated, place, b"", &mut clock);
            continue;
        }
        let at = i64::try_from(frame.at / 1000).ok();
        let read = read_frame(frame.bytes, at, &settings.prefixes);
        if counter.count(&read, place, frame.bytes, &mut clock) {
            takers.take(&read, place, &mut clock);
        }
    }
    Ok(line)
}

/// Counts, and hands each line that counts on in its order.
struct Ordered<'s, 't, 'e> {
    shared: portcullis_logs::Counter<'s>,
    takers: &'t mut Takers<'e>,
}

impl Sink for Ordered<'_, '_, '_> {
    fn line(&mut self, line: &Line<'_>, place: Place<'_>, bytes: &[u8], clock: &mut Clock<'_>) {
        if self.shared.count(line, place, bytes, clock) {
            self.takers.take(line, place, clock);
        }
    }

    fn pause(&mut self) {
        self.shared.pause();
    }
}

/// Reads what the kernel wrote to the journal once: that of this system, or one in a folder or a file.
///
/// # Errors
/// When journalctl is not there, or does not show it.
pub fn journal(
    request: &Request,
    place: Option<&Path>,
    each: Option<Each<'_>>,
) -> Result<LogReport, OpsError> {
    let mut feed =
        Feed::start("journalctl", &follow::journal::shown(place), || {}).map_err(OpsError::System)?;
    let shared = Shared::new(summary(request));
    let mut settings = settings(request, None);
    settings.format = Some(LogFormat::JournalJson);
    let mut takers = Takers::new(request, each);
    let read = whole(&mut feed, "journal", &settings, &shared, &mut takers);
    read.map_err(|source| OpsError::Read {
        path: "journal".into(),
        source,
    })?;
    let ended = feed.end().map_err(OpsError::System)?;
    if !ended.success {
        return Err(OpsError::Follow(FollowError::Journal(ended.complaint)));
    }
    let mut report = takers.report(shared.into_summary(), request.top);
    if !ended.complaint.is_empty() {
        report
            .notes
            .push(format!("journalctl says: {}", sanitize(&ended.complaint)));
    }
    Ok(report)
}

/// Reads the live log of a netfilter group until the time is over or the operator stops it, and keeps nothing. `ready` is
/// called when the kernel has begun to hand over packets.
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
    let mut listening = Listening::open(group).map_err(OpsError::System)?;
    ready();
    let mut summary = summary(request);
    let mut sessions = request.sessions.then(Sessions::default);
    let settings = settings(request, None);
    let mut clock = Clock::new(&settings.time);
    let end = patience.map(|patience| Instant::now() + patience);
    let mut notes = Vec::new();
    while !*stop.borrow() && end.is_none_or(|end| Instant::now() < end) {
        let received = listening.receive(
            Duration::from_millis(100),
            &settings.prefixes,
            |line, bytes, place| match line {
                Line::Event(event) => {
                    let at = clock.at(&event.time);
                    if summary.add(event, at) {
                        if let Some(sessions) = &mut sessions {
                            sessions.add(event, at);
                        }
                        each(&event.to_log_event(&mut clock, place));
                    }
                }
                Line::Unrelated => summary.add_unrelated(),
                Line::Lost(lost) => summary.add_lost(*lost, bytes, || place),
                Line::Unreadable(reason) => summary.add_unreadable(*reason, bytes, || place),
            },
        );
        let (_, gaps) = received.map_err(OpsError::System)?;
        if notes.len() < MOST_NOTES {
            notes.extend(gaps);
        }
    }
    let mut report = summary.report(request.top);
    if let Some(sessions) = sessions {
        sessions.tell(&mut report);
    }
    report.notes.extend(notes);
    Ok(report)
}

#[cfg(test)]
mod tests;

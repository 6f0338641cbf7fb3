//! Following logs: what is written to them is counted into the store, with the position, in one transaction.
//!
//! Memory is bounded: a piece of the log and the counts since the last commit. When the store takes nothing, nothing more is
//! read, and what is written waits in its file.

mod rotating;
mod tally;

use std::{
    io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use portcullis_logs::{Clock, Line, LineReader, Place, Settings, Summary, detection::lines_lost};
use portcullis_model::LogEvent;
use portcullis_store::{LogBatch, StoreError};

use self::{
    rotating::{Piece, Position, Rotating},
    tally::Tally,
};
use super::{LogReport, Request, settings, summary};
use crate::{Desk, OpsError, Stop};

/// At least so often what was counted is committed: what a reader of the store waits for.
const COMMIT: Duration = Duration::from_secs(1);

/// Different counts that are held before they are committed: some ten megabytes.
const MOST_COUNTS: usize = 50_000;

/// How long nothing is read where nothing was.
const PAUSE: Duration = Duration::from_millis(100);

/// How long a file that was renamed must rest before the next one is begun: logrotate tells the writer within that time.
const LINGER: Duration = Duration::from_secs(2);

/// What is told while a log is followed.
#[derive(Debug)]
pub enum Told<'t> {
    /// An event to one of the ports that were asked for. After a restart, those that were not yet committed are told again.
    Event(&'t LogEvent),
    /// What may be missing, in plain words.
    Gap(&'t str),
    /// The store takes nothing now, or takes again (`None`).
    Waiting(Option<&'t StoreError>),
}

/// How following is done.
#[derive(Debug, Clone, Copy, Default)]
pub struct How {
    /// For how long; until it is stopped when not given.
    pub patience: Option<Duration>,
    /// Whether events are told one by one, and not only counted.
    pub events: bool,
}

/// One followed file.
struct Stream {
    name: String,
    path: String,
    log: Rotating,
    /// What the store holds as position.
    kept: Option<String>,
    position: Option<String>,
    tally: Tally,
    gaps: Vec<String>,
    line: u64,
    offset: u64,
}

/// Follows files until the time is over or the operator stops it.
///
/// # Errors
/// A file that cannot be read, a store that cannot be read, or somebody else who follows the same file into the same store.
pub async fn follow(
    desk: &Desk,
    request: &Request,
    paths: &[PathBuf],
    how: How,
    stop: &Stop,
    told: &mut (dyn FnMut(Told<'_>) + Send),
) -> Result<LogReport, OpsError> {
    let mut streams = Vec::new();
    for path in paths {
        streams.push(Stream::open(desk, path).await?);
    }
    let mut summary = summary(request);
    let end = how.patience.map(|patience| Instant::now() + patience);
    let mut committed = Instant::now();
    let mut stop = stop.clone();
    loop {
        let settings = settings(request, None);
        let mut read = false;
        for stream in &mut streams {
            let piece = stream.log.read().map_err(|source| OpsError::Read {
                path: PathBuf::from(&stream.path),
                source,
            })?;
            for gap in stream.log.gaps() {
                told(Told::Gap(&gap));
                stream.gaps.push(gap);
            }
            if !piece.bytes.is_empty() {
                read = true;
                stream.take(&piece, &settings, &mut summary, how.events, told)?;
            }
        }
        let over = *stop.borrow() || end.is_some_and(|end| Instant::now() >= end);
        let many = streams.iter().any(|stream| stream.tally.len() >= MOST_COUNTS);
        if over || many || !read || committed.elapsed() >= COMMIT {
            for stream in &mut streams {
                stream.commit(desk, &mut stop, told).await?;
            }
            committed = Instant::now();
        }
        if over {
            return Ok(summary.report(request.top));
        }
        if !read {
            // A stop is heard at once.
            let _ = tokio::time::timeout(PAUSE, stop.changed()).await;
        }
    }
}

impl Stream {
    async fn open(desk: &Desk, path: &Path) -> Result<Self, OpsError> {
        let failed = |source| OpsError::Read {
            path: path.into(),
            source,
        };
        if path == Path::new("-") {
            return Err(failed(io::Error::other(
                "standard input has no place to go on from",
            )));
        }
        let whole = std::path::absolute(path).map_err(failed)?;
        let name = format!("file:{}", whole.display());
        let kept = desk.store.log_stream(&name).await.map_err(OpsError::Store)?;
        let kept = kept.map(|stream| stream.position);
        let position: Option<Position> = match &kept {
            Some(text) => serde_json::from_str(text)
                .map_err(|error| failed(io::Error::new(io::ErrorKind::InvalidData, error)))?,
            None => None,
        };
        Ok(Self {
            name,
            path: path.to_string_lossy().into_owned(),
            log: Rotating::new(whole, position, LINGER),
            position: kept.clone(),
            kept,
            tally: Tally::default(),
            gaps: Vec::new(),
            line: 0,
            offset: 0,
        })
    }

    /// Counts the lines of a piece.
    fn take(
        &mut self,
        piece: &Piece,
        settings: &Settings,
        summary: &mut Summary,
        events: bool,
        told: &mut (dyn FnMut(Told<'_>) + Send),
    ) -> Result<(), OpsError> {
        let mut clock = Clock::new(&settings.time);
        let mut reader = LineReader::new(&settings.prefixes, settings.format);
        for line in piece.columns.split(|byte| *byte == b'\n') {
            reader.read(line, true);
        }
        if piece.offset != self.offset || piece.offset == 0 {
            // Where a file is entered in its middle, its lines are not counted anew; the offset is right.
            self.line = 0;
        }
        self.offset = piece.offset + piece.bytes.len() as u64;
        let mut offset = piece.offset;
        for whole in piece.bytes.split_inclusive(|byte| *byte == b'\n') {
            let (bytes, ended) = match whole.strip_suffix(b"\n") {
                Some(bytes) => (bytes, true),
                None => (whole, false),
            };
            self.line += 1;
            self.tally.lines += 1;
            let place = Place {
                path: &self.path,
                line: self.line,
                offset,
            };
            offset += whole.len() as u64;
            match reader.read(bytes, ended) {
                Line::Event(event) => {
                    let at = clock.at(&event.time);
                    self.tally.add(&event, at);
                    if summary.add(&event, at) && events {
                        told(Told::Event(&event.to_log_event(&mut clock, place.to_source())));
                    }
                }
                Line::Unrelated => {
                    self.tally.unrelated += 1;
                    summary.add_unrelated();
                    if let Some(lost) = lines_lost(bytes) {
                        let gap = format!(
                            "the log itself says at byte {} that {lost} lines were left out",
                            place.offset
                        );
                        told(Told::Gap(&gap));
                        self.gaps.push(gap);
                    }
                }
                Line::Unreadable(reason) => {
                    self.tally.unreadable += 1;
                    summary.add_unreadable(reason, bytes, || place.to_source());
                }
            }
        }
        self.position = self
            .log
            .position()
            .map(serde_json::to_string)
            .transpose()
            .map_err(|error| OpsError::Read {
                path: PathBuf::from(&self.path),
                source: io::Error::other(error),
            })?;
        Ok(())
    }

    /// Commits what was counted. While the store takes nothing, it is waited for: nothing is thrown away.
    async fn commit(
        &mut self,
        desk: &Desk,
        stop: &mut Stop,
        told: &mut (dyn FnMut(Told<'_>) + Send),
    ) -> Result<(), OpsError> {
        let Some(to) = self.position.clone() else {
            return Ok(());
        };
        if self.tally.lines == 0 && self.gaps.is_empty() {
            return Ok(());
        }
        let batch = LogBatch {
            stream: self.name.clone(),
            from: self.kept.clone(),
            to: to.clone(),
            at: Timestamp::now(),
            counts: self.tally.counts(),
            lines: self.tally.lines,
            unreadable: self.tally.unreadable,
            unrelated: self.tally.unrelated,
            gaps: self.gaps.clone(),
        };
        let mut waiting = false;
        loop {
            match desk.store.add_log_counts(&batch).await {
                Ok(true) => break,
                Ok(false) => return Err(OpsError::FollowedTwice(self.path.clone())),
                Err(error @ (StoreError::Full { .. } | StoreError::Locked { .. })) => {
                    if *stop.borrow() {
                        // The position is that of before: what was read since is read again.
                        return Err(OpsError::Store(error));
                    }
                    if !waiting {
                        told(Told::Waiting(Some(&error)));
                        waiting = true;
                    }
                    let _ = tokio::time::timeout(COMMIT, stop.changed()).await;
                }
                Err(error) => return Err(OpsError::Store(error)),
            }
        }
        if waiting {
            told(Told::Waiting(None));
        }
        self.kept = Some(to);
        self.tally = Tally::default();
        self.gaps.clear();
        Ok(())
    }
}

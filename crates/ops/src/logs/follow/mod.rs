//! Following logs: what is written to them is counted into the store, with the position, in one transaction.
//!
//! Each kind of source has a file of its own. Memory is bounded: a piece of the log and the counts since the last commit. When
//! the store takes nothing, nothing more is read, and what is written waits where it is.

mod error;
mod file;
pub(super) mod journal;
mod live;
pub(super) mod nflog;
mod rotating;
mod source;
mod stream;
mod syslog;
mod tally;

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use portcullis_model::LogEvent;
use portcullis_store::StoreError;
use tokio::sync::Notify;

pub use error::FollowError;
pub use syslog::{Carrier, Listener, TlsFiles};

use self::{file::LogFile, journal::Journal, nflog::NflogGroup, stream::Stream, syslog::Syslog};
use super::{LogReport, Request, settings, summary};
use crate::{Desk, OpsError, Stop};

/// At least so often what was counted is committed: what a reader of the store waits for.
const COMMIT: Duration = Duration::from_secs(1);

/// Different counts that are held before they are committed: some tens of megabytes. The more there are, the more lines of one
/// source come together in a row, and the better the rows are in the order of their table.
const MOST_COUNTS: usize = 110_000;

/// How long nothing is read where nothing was.
const PAUSE: Duration = Duration::from_millis(100);

/// What is followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Followed {
    /// A file, with those that it is rotated to.
    File(PathBuf),
    /// What the kernel writes to systemd's journal: that of this system, or the one in a folder.
    Journal(Option<PathBuf>),
    /// A netfilter log group.
    Nflog(u16),
    /// Syslog that others send, and with what TLS is spoken.
    Syslog(Listener, Option<TlsFiles>),
}

/// Called by a source when it has something.
type Wake = Arc<Notify>;

/// What is told while a log is followed.
#[derive(Debug)]
pub enum Told<'t> {
    /// All sources are open: what comes from now on is not missed.
    Begun,
    /// An event to one of the ports that were asked for. After a restart, those that were not yet committed are told again.
    Event(&'t LogEvent),
    /// What may be missing, in plain words.
    Gap(&'t str),
    /// The store takes nothing now, or takes again (`None`).
    Waiting(Option<&'t StoreError>),
}

/// Who is told.
pub type Tell<'t> = dyn FnMut(Told<'_>) + Send + 't;

/// How following is done.
#[derive(Debug, Clone, Copy, Default)]
pub struct How {
    /// For how long; until it is stopped when not given.
    pub patience: Option<Duration>,
    /// Whether events are told one by one, and not only counted.
    pub events: bool,
}

/// Follows until the time is over or the operator stops it.
///
/// # Errors
/// A source that cannot be read, a store that cannot be read, or somebody else who follows the same into the same store.
pub async fn follow(
    desk: &Desk,
    request: &Request,
    what: &[Followed],
    how: How,
    stop: &Stop,
    told: &mut Tell<'_>,
) -> Result<LogReport, OpsError> {
    let mut streams = Vec::new();
    let wake = Wake::default();
    let files = what.iter().filter_map(|followed| match followed {
        Followed::File(path) => Some(path.as_path()),
        _ => None,
    });
    file::written_to(&files.collect::<Vec<_>>()).map_err(OpsError::Follow)?;
    for followed in what {
        streams.push(open(desk, followed, &wake).await?);
    }
    told(Told::Begun);
    let mut settings = settings(request, None);
    let mut summary = summary(request);
    let end = how.patience.map(|patience| Instant::now() + patience);
    let mut committed = Instant::now();
    let mut stop = stop.clone();
    loop {
        settings.time.now = Timestamp::now();
        let mut read = false;
        for stream in &mut streams {
            read |= stream.read(&settings, &mut summary, how.events, &mut *told)?;
        }
        let over = *stop.borrow() || end.is_some_and(|end| Instant::now() >= end);
        let many = streams.iter().map(Stream::counts).sum::<usize>() >= MOST_COUNTS;
        if over || many || !read || committed.elapsed() >= COMMIT {
            for stream in &mut streams {
                stream.commit(desk, over, &mut stop, told).await?;
            }
            committed = Instant::now();
        }
        if over {
            return Ok(summary.report(request.top));
        }
        if !read {
            // A stop is heard at once, and so is a source that can call.
            tokio::select! {
                _ = stop.changed() => {}
                () = wake.notified() => {}
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }
}

async fn open(desk: &Desk, followed: &Followed, wake: &Wake) -> Result<Stream, OpsError> {
    match followed {
        Followed::File(path) => {
            let file = |kept: Option<&str>| Ok(Box::new(LogFile::open(path, kept)?) as Box<_>);
            Stream::open(desk, LogFile::name(path)?, file).await
        }
        Followed::Journal(place) => {
            let place = place.as_deref();
            let journal =
                |kept: Option<&str>| Ok(Box::new(Journal::open(place, kept, wake.clone())) as Box<_>);
            Stream::open(desk, Journal::name(place)?, journal).await
        }
        Followed::Nflog(group) => {
            let nflog = |kept: Option<&str>| Ok(Box::new(NflogGroup::open(*group, kept)?) as Box<_>);
            Stream::open(desk, NflogGroup::name(*group), nflog).await
        }
        Followed::Syslog(listener, tls) => {
            let tls = tls.as_ref();
            let syslog =
                |kept: Option<&str>| Ok(Box::new(Syslog::open(*listener, tls, kept, wake)?) as Box<_>);
            Stream::open(desk, Syslog::name(*listener), syslog).await
        }
    }
}

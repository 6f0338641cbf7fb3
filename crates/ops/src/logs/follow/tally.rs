//! What was counted since the last commit.

use std::{collections::HashMap, net::IpAddr};

use portcullis_logs::{Event, Moment};
use portcullis_model::{LogMoment, Port, Verdict};
use portcullis_store::LogCount;

/// Microseconds of an hour.
const HOUR: i64 = 3_600_000_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    hour: Option<i64>,
    source: IpAddr,
    destination: IpAddr,
    port: Option<Port>,
    verdict: Verdict,
    moment: LogMoment,
    directed: bool,
}

/// Counts by hour, source, destination, port, verdict and moment.
#[derive(Debug, Default)]
pub(super) struct Tally {
    counts: HashMap<Key, (u64, Option<(i64, i64)>)>,
    pub(super) lines: u64,
    pub(super) unreadable: u64,
    pub(super) unrelated: u64,
}

impl Tally {
    pub(super) fn add(&mut self, event: &Event<'_>, at: Option<Moment>) {
        let at = at.map(|at| at.microseconds);
        let key = Key {
            hour: at.map(|at| at.div_euclid(HOUR)).filter(|hour| *hour >= 0),
            source: event.source,
            destination: event.destination,
            port: event.port(),
            verdict: event.verdict,
            moment: event.moment,
            directed: event.directed,
        };
        let (events, span) = self.counts.entry(key).or_default();
        *events = events.saturating_add(event.count);
        *span = match (*span, at) {
            (Some((first, last)), Some(at)) => Some((first.min(at), last.max(at))),
            (span, at) => span.or(at.map(|at| (at, at))),
        };
    }

    /// Different ones.
    pub(super) fn len(&self) -> usize {
        self.counts.len()
    }

    /// The counts, in the order of the table that takes them: so that its pages are written one after the other.
    pub(super) fn counts(&self) -> Vec<LogCount> {
        let mut counts: Vec<LogCount> = self
            .counts
            .iter()
            .map(|(key, (events, span))| LogCount {
                hour: key.hour,
                source: key.source,
                destination: key.destination,
                port: key.port,
                verdict: key.verdict,
                moment: key.moment,
                directed: key.directed,
                events: *events,
                first: span.map(|(first, _)| first),
                last: span.map(|(_, last)| last),
            })
            .collect();
        counts.sort_unstable_by_key(|count| (count.hour, count.source, count.destination, count.port));
        counts
    }
}

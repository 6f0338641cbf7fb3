//! What was found: of whom, how often, from when to when, and on which lines it rests.

use std::net::IpAddr;

use jiff::Timestamp;
use portcullis_model::{Detection, DetectionKind, LogEvent, LogSource, Port, Untrusted};
use serde::{Deserialize, Serialize};

use super::marks::{Mark, Marks};

/// Places that a finding names at its beginning; the last one comes in addition.
const MOST_PLACES: usize = 5;

/// A sign, with its evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Which sign.
    pub kind: DetectionKind,
    /// Who, when it is one source.
    pub source: Option<IpAddr>,
    /// Towards whom, when it is one destination.
    pub destination: Option<IpAddr>,
    /// On which port, when it is one.
    pub port: Option<Port>,
    /// The rule whose lines it is about, when it is about one.
    pub prefix: Option<Untrusted>,
    /// Time of the first event that it rests on.
    pub first: Timestamp,
    /// Time of the last one.
    pub last: Timestamp,
    /// How many events it rests on.
    pub events: u64,
    /// How many of these the log proves to have got through.
    pub got_through: u64,
    /// What it is, in plain words, as it was when it began to show.
    pub says: String,
    /// What had to be assumed, in plain words.
    pub assumed: Option<String>,
    /// Where the first events that it rests on are read, and the last one.
    pub evidence: Vec<LogSource>,
}

/// Of whom a sign is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct About {
    pub(super) source: Option<IpAddr>,
    pub(super) destination: Option<IpAddr>,
    pub(super) port: Option<Port>,
    pub(super) prefix: Option<Untrusted>,
}

/// What a detection says of an event.
#[derive(Debug)]
pub(super) struct Raised {
    pub(super) about: About,
    /// The events of the window, oldest first; at least this one.
    pub(super) marks: Vec<Mark>,
    /// How many events the window holds.
    pub(super) events: u64,
    /// How many it adds to a sign that shows already.
    pub(super) fresh: u64,
    /// How many of these got through.
    pub(super) got_through: u64,
    /// Whether this event got through.
    pub(super) this_got_through: bool,
    pub(super) says: String,
}

impl Raised {
    /// Of enough different things: their marks, and how many of them got through.
    pub(super) fn of_different(
        about: About,
        (marks, got_through): (Vec<Mark>, u64),
        this_got_through: bool,
        says: String,
    ) -> Self {
        Self {
            about,
            events: marks.len() as u64,
            fresh: 1,
            got_through,
            this_got_through,
            says,
            marks,
        }
    }
}

impl Finding {
    pub(super) fn begin(
        detection: &Detection,
        raised: Raised,
        at: Timestamp,
        marks: &Marks,
        event: &LogEvent,
    ) -> Self {
        let first = raised.marks.iter().map(|mark| mark.at).min().unwrap_or(at);
        let mut evidence: Vec<LogSource> = raised
            .marks
            .iter()
            .take(MOST_PLACES)
            .filter_map(|mark| marks.place(*mark))
            .collect();
        if evidence.last() != Some(&event.read_from) {
            evidence.push(event.read_from.clone());
        }
        Self {
            kind: detection.kind,
            source: raised.about.source,
            destination: raised.about.destination,
            port: raised.about.port,
            prefix: raised.about.prefix,
            first,
            last: at,
            events: raised.events,
            got_through: raised.got_through,
            says: raised.says,
            assumed: event.time_assumed.clone(),
            evidence,
        }
    }

    /// One more event of the same sign.
    pub(super) fn go_on(&mut self, raised: &Raised, at: Timestamp, read_from: &LogSource) {
        self.events += raised.fresh;
        self.got_through += u64::from(raised.this_got_through);
        self.first = self.first.min(at);
        self.last = self.last.max(at);
        if self.evidence.len() > MOST_PLACES {
            self.evidence.pop();
        }
        self.evidence.push(read_from.clone());
    }
}

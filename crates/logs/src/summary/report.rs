//! A summary as plain data, for a table or for JSON.

use std::net::IpAddr;

use jiff::Timestamp;
use portcullis_model::{LogFormat, LogSource, Port, Untrusted};
use serde::Serialize;

/// A summary as plain data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LogReport {
    /// The destination ports that were counted; all when empty.
    pub ports: Vec<Port>,
    /// Logged packets and sessions that were counted. A rule with a rate limit logs only some, and of a session's lines (its
    /// beginning, its end, alerts) the kind with most counts, so that this is a lower bound.
    pub attempts: u64,
    /// The same by verdict.
    pub verdicts: VerdictCounts,
    /// Time of the first one.
    pub first: Option<Timestamp>,
    /// Time of the last one.
    pub last: Option<Timestamp>,
    /// Those without a time that can be read.
    pub without_time: u64,
    /// Lines for whose time a year or a zone was assumed.
    pub time_assumed: u64,
    /// Number of distinct sources that were kept.
    pub distinct_sources: u64,
    /// The sources with the most attempts, most first.
    pub sources: Vec<SourceReport>,
    /// Attempts of sources that came after the limit of sources was reached; they are in `attempts`, not in `sources`.
    pub other_sources: u64,
    /// Logged packets to ports that were not asked for.
    pub on_other_ports: u64,
    /// Lines that do not tell who began the session; they are in no other number.
    pub undirected: u64,
    /// Attempts whose verdict the site declared for the rule's prefix.
    pub on_the_sites_word: u64,
    /// The formats that were met, and by what they were recognised.
    pub formats: Vec<FormatCount>,
    /// Lines that should be logged packets and cannot be read.
    pub unreadable: u64,
    /// Why, most first.
    pub unreadable_reasons: Vec<ReasonCount>,
    /// The first of them, with their place.
    pub unreadable_lines: Vec<UnreadableLine>,
    /// Lines of something else.
    pub unrelated: u64,
    /// What to keep in mind when reading these numbers, in plain words.
    pub notes: Vec<String>,
}

/// What one source did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SourceReport {
    /// Its address.
    pub address: IpAddr,
    /// Its logged packets.
    pub attempts: u64,
    /// The same by verdict.
    pub verdicts: VerdictCounts,
    /// Time of the first one.
    pub first: Option<Timestamp>,
    /// Time of the last one.
    pub last: Option<Timestamp>,
    /// Destination ports, most attempts first; the first 64 that were met.
    pub ports: Vec<PortCount>,
    /// Attempts on further ports.
    pub on_further_ports: u64,
}

/// Attempts on one port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct PortCount {
    /// The destination port.
    pub port: Port,
    /// How many.
    pub attempts: u64,
}

/// Attempts by verdict.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct VerdictCounts {
    /// The log proves that they were let through.
    pub allowed: u64,
    /// The log proves that they were dropped or rejected.
    pub blocked: u64,
    /// The log does not tell.
    pub unknown: u64,
}

/// Events of one format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct FormatCount {
    /// The format.
    pub format: LogFormat,
    /// Lines that were read in it.
    pub lines: u64,
    /// What it is recognised by.
    pub because: &'static str,
}

/// Lines that cannot be read for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReasonCount {
    /// The reason, in words.
    pub reason: String,
    /// How many.
    pub lines: u64,
}

/// A line that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnreadableLine {
    /// Why.
    pub reason: String,
    /// Where it stands.
    pub read_from: LogSource,
    /// Its first bytes.
    pub text: Untrusted,
}

impl UnreadableLine {
    /// For the order in which they are told.
    pub(super) fn place(&self) -> (&str, u64) {
        match &self.read_from {
            LogSource::File { path, offset, .. } => (path, *offset),
            LogSource::Nflog { .. } => ("", 0),
        }
    }
}

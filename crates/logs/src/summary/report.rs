//! A summary as plain data, for a table or for JSON.

use std::net::IpAddr;

use jiff::Timestamp;
use portcullis_model::{LogFormat, LogSource, Port, ServiceName, Untrusted};
use serde::Serialize;

use super::Way;

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
    /// By so many more there may be: of a source's sessions with lines for beginnings and others for ends, the larger number counts,
    /// and where different rules log the one and the other these are not the same sessions.
    pub may_be_more: u64,
    /// Time of the first one.
    pub first: Option<Timestamp>,
    /// Time of the last one.
    pub last: Option<Timestamp>,
    /// Around each change that closes one of the ports, in the order in which they were loaded.
    pub changes: Vec<ChangeReport>,
    /// How many when; `None` when no line has a time.
    pub timeline: Option<TimelineReport>,
    /// Our own scans, which are in no other number.
    pub own_scans: Vec<OwnScanReport>,
    /// The ports of known services and those that were asked for with the most attempts, most first; only those that anybody
    /// tried.
    pub services: Vec<ServiceCount>,
    /// Number of such ports.
    pub distinct_services: u64,
    /// The zones of the sources, most attempts first; empty without a site. Sources in no zone have no name.
    pub zones: Vec<GroupCount>,
    /// The networks of the sources (/24 and /64) with the most attempts, most first.
    pub networks: Vec<GroupCount>,
    /// Number of distinct networks.
    pub distinct_networks: u64,
    /// The countries of the sources with the most attempts, most first; empty without a database. Sources of which it tells none
    /// have no name.
    pub countries: Vec<GroupCount>,
    /// To whom the attempts went; `None` when that are too many to be kept.
    pub destinations: Option<Vec<IpAddr>>,
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
    /// Lines behind another program's tag, which that program may have been told; they are in no other number.
    pub hearsay: u64,
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
    /// What the log itself says to be missing from it; all counts are lower bounds then.
    pub losses: Vec<LossCount>,
    /// The first lines that say so, with their place.
    pub loss_lines: Vec<LossLine>,
    /// What to keep in mind when reading these numbers, in plain words.
    pub notes: Vec<String>,
}

/// What one source did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SourceReport {
    /// Its address.
    pub address: IpAddr,
    /// The zone of the site that it is in.
    pub zone: Option<String>,
    /// The country that it is in by the operator's database.
    pub country: Option<String>,
    /// Which vantage of ours has this address. Scans that are known are set apart all the same.
    pub vantage: Option<String>,
    /// Its logged packets.
    pub attempts: u64,
    /// The same by verdict.
    pub verdicts: VerdictCounts,
    /// By so many more there may be, as in the whole report.
    pub may_be_more: u64,
    /// Time of the first one.
    pub first: Option<Timestamp>,
    /// Time of the last one.
    pub last: Option<Timestamp>,
    /// Destination ports, most attempts first; the first 64 that were met.
    pub ports: Vec<PortCount>,
    /// Attempts on further ports.
    pub on_further_ports: u64,
    /// Its sessions, where they were inferred.
    pub sessions: Option<SessionReport>,
}

/// Sessions of one source, as they are inferred from its lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct SessionReport {
    /// How many.
    pub sessions: u64,
    /// Length of the longest one in seconds, from its first line to its last.
    pub longest_seconds: u64,
    /// When the first one began.
    pub first: Option<Timestamp>,
    /// When the last one began.
    pub last: Option<Timestamp>,
}

/// Attempts on one port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PortCount {
    /// The destination port.
    pub port: Port,
    /// The services that are usual there, or that the site moved there.
    pub services: Vec<ServiceName>,
    /// Whether the site lets the source through to it; `None` without a site.
    pub way: Option<Way>,
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

/// Attempts on the port of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ServiceCount {
    /// The port.
    pub port: Port,
    /// The services that are usual there, or that the site moved there.
    pub services: Vec<ServiceName>,
    /// How many.
    pub attempts: u64,
    /// The same by verdict.
    pub verdicts: VerdictCounts,
    /// Time of the first one.
    pub first: Option<Timestamp>,
    /// Time of the last one.
    pub last: Option<Timestamp>,
}

/// What the sources of a zone, a network or a country did together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GroupCount {
    /// Its name; `None` for the sources that are in none.
    pub name: Option<String>,
    /// Distinct sources.
    pub sources: u64,
    /// Their attempts.
    pub attempts: u64,
    /// The same by verdict.
    pub verdicts: VerdictCounts,
    /// Time of the first one.
    pub first: Option<Timestamp>,
    /// Time of the last one.
    pub last: Option<Timestamp>,
}

/// What one of our own scans did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OwnScanReport {
    /// Which run.
    pub run: String,
    /// Its logged packets.
    pub attempts: u64,
    /// The same by verdict.
    pub verdicts: VerdictCounts,
    /// Time of the first one.
    pub first: Option<Timestamp>,
    /// Time of the last one.
    pub last: Option<Timestamp>,
}

/// How many when, in spans of equal length without a gap between them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TimelineReport {
    /// Length of each span in seconds.
    pub seconds: u64,
    /// At most 240.
    pub spans: Vec<TimeSpan>,
}

/// One span. Of sessions with several lines, the kind of line that the log has most of counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct TimeSpan {
    /// Its first moment.
    pub begins: Timestamp,
    /// Attempts in it.
    pub verdicts: VerdictCounts,
}

/// What went to the port and the hosts of a change before it, under it and after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChangeReport {
    /// The change.
    pub change: String,
    /// How it stands now.
    pub state: String,
    /// The port that it closes.
    pub port: Port,
    /// When its rules were loaded.
    pub loaded: Timestamp,
    /// When it was confirmed, if it was.
    pub confirmed: Option<Timestamp>,
    /// When it was taken back or fell back, if it did.
    pub ended: Option<Timestamp>,
    /// Before it was loaded.
    pub before: PhaseCounts,
    /// From then on until it was confirmed, or ended.
    pub trial: PhaseCounts,
    /// Since it was confirmed, or until it ended.
    pub after: PhaseCounts,
    /// Since it ended.
    pub taken_back: PhaseCounts,
    /// Attempts without a time, which are in none of these.
    pub without_time: u64,
    /// Those that the log proves to have got through while the port should have been closed, of sources that the change does not
    /// let through. Sessions that were up before do not count, where the log tells how long they were.
    pub got_through: u64,
    /// Time of the first of them.
    pub got_through_first: Option<Timestamp>,
}

/// Attempts in one phase of a change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct PhaseCounts {
    /// How many.
    pub attempts: u64,
    /// The same by verdict.
    pub verdicts: VerdictCounts,
    /// Lines for whose time a year or a zone was assumed: they may belong to another phase.
    pub time_assumed: u64,
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

/// What the log itself says to be missing from it, by who says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LossCount {
    /// Who says so, and of what, in words.
    pub told: String,
    /// How many lines say so.
    pub times: u64,
    /// At least so many are missing.
    pub at_least: u64,
    /// Whether the firewall speaks of its own lines. What others lost may have been something else.
    pub of_the_firewall: bool,
}

/// A line by which the log says that something is missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LossLine {
    /// Who says so, and of what, in words.
    pub told: String,
    /// How many, if it tells.
    pub count: Option<u64>,
    /// Where it stands.
    pub read_from: LogSource,
    /// Its first bytes.
    pub text: Untrusted,
}

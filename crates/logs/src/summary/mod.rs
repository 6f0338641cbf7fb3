//! Who tried, who got through, and what could not be read.

mod asked;
mod changes;
mod counter;
mod countries;
mod destinations;
mod facts;
mod grouped;
mod lines;
mod ours;
mod report;
mod services;
mod sessions;
mod sources;
#[cfg(test)]
mod tests;
mod timeline;
mod told;
mod ways;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use portcullis_model::{LogFormat, LogSource, Port, Untrusted, Verdict};

pub use changes::ChangeTimes;
pub use counter::{Counter, Shared};
pub use countries::{Countries, NotCountries};
pub use facts::Facts;
pub use ours::{OwnScan, OwnScans};
pub use report::{
    ChangeReport, FormatCount, GroupCount, LogReport, LossCount, LossLine, OwnScanReport, PhaseCounts,
    PortCount, ReasonCount, ServiceCount, SessionReport, SourceReport, TimeSpan, TimelineReport,
    UnreadableLine, VerdictCounts,
};
pub use sessions::Sessions;
pub use ways::Way;

use crate::{Event, Lost, LostBy, Moment, Reason};
use asked::PortBits;
use changes::Around;
use destinations::Destinations;
use ours::Ours;
use services::{OfServices, ServicePorts};
use sources::{Attempt, Sources, Span, Tally};
use timeline::Timeline;

/// Unreadable lines that are kept with their place; as many lines of losses.
const MOST_EXAMPLES: usize = 8;

/// Bytes of such a line that are kept.
const LONGEST_EXAMPLE: usize = 240;

/// Counts events. Its memory is bounded by the number of distinct sources, at most [`Summary::MOST_SOURCES`].
#[derive(Debug, Clone)]
pub struct Summary {
    ports: BTreeSet<Port>,
    asked: Option<Box<PortBits>>,
    facts: Arc<Facts>,
    service_ports: Arc<ServicePorts>,
    most_sources: usize,
    sources: Sources,
    others: Tally,
    span: Span,
    timeline: Timeline,
    services: OfServices,
    around: Vec<Around>,
    ours: Ours,
    destinations: Destinations,
    on_other_ports: u64,
    without_time: u64,
    time_assumed: u64,
    undirected: u64,
    hearsay: u64,
    on_the_sites_word: u64,
    formats: [u64; LogFormat::ALL.len()],
    unreadable: BTreeMap<Reason, u64>,
    examples: Vec<UnreadableLine>,
    unrelated: u64,
    losses: BTreeMap<LostBy, (u64, u64)>,
    loss_lines: Vec<LossLine>,
}

impl Summary {
    /// Distinct sources that are kept; attempts of further ones are only counted together.
    pub const MOST_SOURCES: usize = 1_000_000;

    /// Counts events to these destination ports; to all, and without ports, when there are none.
    pub fn of_ports(ports: impl IntoIterator<Item = Port>) -> Self {
        let ports: BTreeSet<Port> = ports.into_iter().collect();
        Self {
            asked: (!ports.is_empty()).then(|| Box::new(PortBits::of(&ports))),
            service_ports: Arc::new(ServicePorts::new(ports.iter().copied())),
            ports,
            facts: Arc::default(),
            most_sources: Self::MOST_SOURCES,
            sources: Sources::default(),
            others: Tally::default(),
            span: Span::default(),
            timeline: Timeline::default(),
            services: OfServices::default(),
            around: Vec::new(),
            ours: Ours::default(),
            destinations: Destinations::default(),
            on_other_ports: 0,
            without_time: 0,
            time_assumed: 0,
            undirected: 0,
            hearsay: 0,
            on_the_sites_word: 0,
            formats: [0; LogFormat::ALL.len()],
            unreadable: BTreeMap::new(),
            examples: Vec::new(),
            unrelated: 0,
            losses: BTreeMap::new(),
            loss_lines: Vec::new(),
        }
    }

    /// Counts all events.
    pub fn of_all_ports() -> Self {
        Self::of_ports([])
    }

    /// The same with facts that the log does not tell.
    pub fn knowing(mut self, facts: Arc<Facts>) -> Self {
        // Where so many ports are asked for that there is no room for all, those of services are told.
        let ports = facts.services.keys().chain(&self.ports).copied();
        self.service_ports =
            Arc::new(ServicePorts::new(ports.filter(|port| {
                self.asked.as_ref().is_none_or(|asked| asked.has(*port))
            })));
        self.around = facts.changes.iter().map(|_| Around::default()).collect();
        self.facts = facts;
        self
    }

    /// One that counts the same and has counted nothing yet.
    fn empty(&self) -> Self {
        Self {
            most_sources: self.most_sources,
            ..Self::of_ports(self.ports.iter().copied()).knowing(Arc::clone(&self.facts))
        }
    }

    /// Counts a line of something else.
    pub fn add_unrelated(&mut self) {
        self.unrelated += 1;
    }

    /// Counts something that should have been an event and cannot be read.
    pub fn add_unreadable(&mut self, reason: Reason, bytes: &[u8], read_from: impl FnOnce() -> LogSource) {
        *self.unreadable.entry(reason).or_default() += 1;
        if self.examples.len() < MOST_EXAMPLES {
            self.examples.push(UnreadableLine {
                reason: reason.to_string(),
                read_from: read_from(),
                text: example(bytes),
            });
        }
    }

    /// Counts a line by which the log says that something is missing from it.
    pub fn add_lost(&mut self, lost: Lost, bytes: &[u8], read_from: impl FnOnce() -> LogSource) {
        let (times, least) = self.losses.entry(lost.by).or_default();
        *times += 1;
        // What is lost without a number is one at least.
        *least = least.saturating_add(lost.count.unwrap_or(1));
        if self.loss_lines.len() < MOST_EXAMPLES {
            self.loss_lines.push(LossLine {
                told: lost.by.to_string(),
                count: lost.count,
                read_from: read_from(),
                text: example(bytes),
            });
        }
    }

    /// Counts an event. Tells whether it went to one of the ports that were asked for, and is more than hearsay: what is not, nobody
    /// else should take either. An event that does not tell who began, and hearsay, are no attempts of anybody's: they are counted
    /// apart.
    pub fn add(&mut self, event: &Event<'_>, at: Option<Moment>) -> bool {
        let taken = self.add_soon(event, at);
        self.settle();
        taken
    }

    /// The same, but for what is counted of the source: that is done for many at a time, and at the latest in [`Summary::settle`].
    fn add_soon(&mut self, event: &Event<'_>, at: Option<Moment>) -> bool {
        if let Some(lines) = self.formats.get_mut(event.format as usize) {
            *lines += 1;
        }
        let port = event.port();
        let is_asked = |asked: &PortBits| {
            port.is_some_and(|port| asked.has(port))
                || (!event.directed && event.source_port().is_some_and(|port| asked.has(port)))
        };
        if self.asked.as_ref().is_some_and(|asked| !is_asked(asked)) {
            self.on_other_ports += 1;
            return false;
        }
        if event.hearsay {
            self.hearsay += 1;
            return false;
        }
        if !event.directed {
            self.undirected += 1;
            return true;
        }
        let attempt = Attempt {
            moment: event.moment,
            verdict: event.verdict,
            count: event.count,
            at: at.map(|at| at.microseconds),
            port,
        };
        let source = key(event.source);
        if let Some(scan) = self.facts.own.which(source, port, attempt.at) {
            self.ours.add(scan, &attempt);
            return true;
        }
        match at {
            Some(at) => {
                self.time_assumed += u64::from(at.assumed);
                self.span.add(at.microseconds);
                // A session that goes on would be in each span.
                if event.count > 0 {
                    self.timeline
                        .add(at.microseconds, event.moment, event.verdict, event.count);
                }
            }
            None => self.without_time += 1,
        }
        if self.facts.prefixes.vouch_for(event) {
            self.on_the_sites_word = self.on_the_sites_word.saturating_add(event.count);
        }
        if let Some(port) = port {
            self.services.add(&self.service_ports, port, &attempt);
            for (around, change) in self.around.iter_mut().zip(&self.facts.changes) {
                around.add(change, event, port, at);
            }
        }
        self.destinations.add(event.destination);
        if self.sources.add(source, attempt) {
            self.settle();
        }
        true
    }

    /// Counts what is pending.
    fn settle(&mut self) {
        self.sources.settle(self.most_sources, &mut self.others);
    }

    /// Takes over what another summary of the same ports has counted, and empties it.
    pub fn absorb(&mut self, other: &mut Self) {
        other.settle();
        self.sources
            .absorb(&mut other.sources, self.most_sources, &mut self.others);
        self.others.absorb(&std::mem::take(&mut other.others));
        self.span.absorb(&std::mem::take(&mut other.span));
        self.timeline.absorb(&std::mem::take(&mut other.timeline));
        self.services.absorb(std::mem::take(&mut other.services));
        self.ours.absorb(std::mem::take(&mut other.ours));
        self.destinations.absorb(&std::mem::take(&mut other.destinations));
        for (own, other) in self.around.iter_mut().zip(&mut other.around) {
            own.absorb(&std::mem::take(other));
        }
        for (own, other) in [
            (&mut self.on_other_ports, &mut other.on_other_ports),
            (&mut self.without_time, &mut other.without_time),
            (&mut self.time_assumed, &mut other.time_assumed),
            (&mut self.undirected, &mut other.undirected),
            (&mut self.hearsay, &mut other.hearsay),
            (&mut self.on_the_sites_word, &mut other.on_the_sites_word),
            (&mut self.unrelated, &mut other.unrelated),
        ] {
            *own += std::mem::take(other);
        }
        self.formats
            .iter_mut()
            .zip(&mut other.formats)
            .for_each(|(own, other)| *own += std::mem::take(other));
        for (reason, lines) in std::mem::take(&mut other.unreadable) {
            *self.unreadable.entry(reason).or_default() += lines;
        }
        self.examples.append(&mut other.examples);
        self.examples
            .sort_by(|one, other| place(&one.read_from).cmp(&place(&other.read_from)));
        self.examples.truncate(MOST_EXAMPLES);
        for (by, (times, least)) in std::mem::take(&mut other.losses) {
            let own = self.losses.entry(by).or_default();
            *own = (own.0 + times, own.1.saturating_add(least));
        }
        self.loss_lines.append(&mut other.loss_lines);
        self.loss_lines
            .sort_by(|one, other| place(&one.read_from).cmp(&place(&other.read_from)));
        self.loss_lines.truncate(MOST_EXAMPLES);
    }

    /// Lines that are events so far, whatever their port.
    fn events(&self) -> u64 {
        self.formats.iter().sum()
    }

    fn unreadable(&self) -> u64 {
        self.unreadable.values().sum()
    }

    /// Distinct sources so far.
    pub fn distinct_sources(&self) -> usize {
        self.sources.len()
    }
}

/// The first bytes of a line.
fn example(bytes: &[u8]) -> Untrusted {
    Untrusted::from_bytes(bytes.get(..bytes.len().min(LONGEST_EXAMPLE)).unwrap_or_default())
}

/// For the order in which lines are told.
fn place(source: &LogSource) -> (&str, u64) {
    match source {
        LogSource::File { path, offset, .. } => (path, *offset),
        LogSource::Journal { realtime } => ("", *realtime),
        LogSource::Nflog { .. } | LogSource::Syslog { .. } => ("", 0),
    }
}

fn key(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

impl VerdictCounts {
    /// All together.
    pub fn sum(self) -> u64 {
        self.allowed
            .saturating_add(self.blocked)
            .saturating_add(self.unknown)
    }

    /// Both together.
    pub fn plus(self, other: Self) -> Self {
        Self {
            allowed: self.allowed.saturating_add(other.allowed),
            blocked: self.blocked.saturating_add(other.blocked),
            unknown: self.unknown.saturating_add(other.unknown),
        }
    }

    /// Those of one verdict.
    pub fn of(self, verdict: Verdict) -> u64 {
        match verdict {
            Verdict::Allowed => self.allowed,
            Verdict::Blocked => self.blocked,
            Verdict::Unknown => self.unknown,
        }
    }
}

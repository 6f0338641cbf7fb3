//! Who tried, who got through, and what could not be read.

mod counter;
mod report;
mod sources;
#[cfg(test)]
mod tests;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv6Addr},
};

use jiff::Timestamp;
use portcullis_model::{LogFormat, LogSource, Port, Transport, Untrusted, Verdict};

pub use counter::{Counter, Shared};
pub use report::{
    FormatCount, LogReport, PortCount, ReasonCount, SourceReport, UnreadableLine, VerdictCounts,
};

use crate::{Event, Moment, Reason, sign};
use sources::{Attempt, Source, Sources, Span, Tally};

/// Unreadable lines that are kept with their place.
const MOST_EXAMPLES: usize = 8;

/// Bytes of such a line that are kept.
const LONGEST_EXAMPLE: usize = 240;

/// Counts events. Its memory is bounded by the number of distinct sources, at most [`Summary::MOST_SOURCES`].
#[derive(Debug, Clone)]
pub struct Summary {
    ports: BTreeSet<Port>,
    asked: Option<Box<PortBits>>,
    most_sources: usize,
    sources: Sources,
    others: Tally,
    span: Span,
    on_other_ports: u64,
    without_time: u64,
    time_assumed: u64,
    undirected: u64,
    formats: [u64; LogFormat::ALL.len()],
    unreadable: BTreeMap<Reason, u64>,
    examples: Vec<UnreadableLine>,
    unrelated: u64,
}

/// One bit for each port of both transports.
#[derive(Debug, Clone)]
struct PortBits([u64; 2 * 1024]);

impl PortBits {
    fn word_and_bit(port: Port) -> (usize, u64) {
        let number = usize::from(port.number);
        let half = match port.transport {
            Transport::Tcp => 0,
            Transport::Udp => 1024,
        };
        (half + number / 64, 1 << (number % 64))
    }

    fn of(ports: &BTreeSet<Port>) -> Self {
        let mut bits = Self([0; 2 * 1024]);
        for port in ports {
            let (word, bit) = Self::word_and_bit(*port);
            if let Some(word) = bits.0.get_mut(word) {
                *word |= bit;
            }
        }
        bits
    }

    fn has(&self, port: Port) -> bool {
        let (word, bit) = Self::word_and_bit(port);
        self.0.get(word).is_some_and(|word| word & bit != 0)
    }
}

impl Summary {
    /// Distinct sources that are kept; attempts of further ones are only counted together.
    pub const MOST_SOURCES: usize = 1_000_000;

    /// Counts events to these destination ports; to all, and without ports, when there are none.
    pub fn of_ports(ports: impl IntoIterator<Item = Port>) -> Self {
        let ports: BTreeSet<Port> = ports.into_iter().collect();
        Self {
            asked: (!ports.is_empty()).then(|| Box::new(PortBits::of(&ports))),
            ports,
            most_sources: Self::MOST_SOURCES,
            sources: Sources::default(),
            others: Tally::default(),
            span: Span::default(),
            on_other_ports: 0,
            without_time: 0,
            time_assumed: 0,
            undirected: 0,
            formats: [0; LogFormat::ALL.len()],
            unreadable: BTreeMap::new(),
            examples: Vec::new(),
            unrelated: 0,
        }
    }

    /// Counts all events.
    pub fn of_all_ports() -> Self {
        Self::of_ports([])
    }

    /// Counts a line of something else.
    pub fn add_unrelated(&mut self) {
        self.unrelated += 1;
    }

    /// Counts something that should have been an event and cannot be read.
    pub fn add_unreadable(&mut self, reason: Reason, bytes: &[u8], read_from: impl FnOnce() -> LogSource) {
        *self.unreadable.entry(reason).or_default() += 1;
        if self.examples.len() < MOST_EXAMPLES {
            let shown = bytes.get(..bytes.len().min(LONGEST_EXAMPLE)).unwrap_or_default();
            self.examples.push(UnreadableLine {
                reason: reason.to_string(),
                read_from: read_from(),
                text: Untrusted::from_bytes(shown),
            });
        }
    }

    /// Counts an event. Tells whether it went to one of the ports that were asked for. An event that does not tell who
    /// began is no attempt of anybody's: it is counted apart.
    pub fn add(&mut self, event: &Event<'_>, at: Option<Moment>) -> bool {
        if let Some(lines) = self.formats.get_mut(event.format as usize) {
            *lines += 1;
        }
        let port = event.port();
        if let Some(asked) = &self.asked
            && !port.is_some_and(|port| asked.has(port))
        {
            self.on_other_ports += 1;
            return false;
        }
        if !event.directed {
            self.undirected += 1;
            return true;
        }
        match at {
            Some(at) => {
                self.time_assumed += u64::from(at.assumed);
                self.span.add(at.microseconds);
            }
            None => self.without_time += 1,
        }
        let attempt = Attempt {
            moment: event.moment,
            verdict: event.verdict,
            count: event.count,
            at: at.map(|at| at.microseconds),
            port,
        };
        if !self.sources.add(key(event.source), &attempt, self.most_sources) {
            self.others.add_attempt(&attempt);
        }
        true
    }

    /// Takes over what another summary of the same ports has counted, and empties it.
    pub fn absorb(&mut self, other: &mut Self) {
        self.sources
            .absorb(&mut other.sources, self.most_sources, &mut self.others);
        self.others.absorb(&std::mem::take(&mut other.others));
        self.span.absorb(&std::mem::take(&mut other.span));
        for (own, other) in [
            (&mut self.on_other_ports, &mut other.on_other_ports),
            (&mut self.without_time, &mut other.without_time),
            (&mut self.time_assumed, &mut other.time_assumed),
            (&mut self.undirected, &mut other.undirected),
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
            .sort_by(|one, other| one.place().cmp(&other.place()));
        self.examples.truncate(MOST_EXAMPLES);
    }

    /// Distinct sources so far.
    pub fn distinct_sources(&self) -> usize {
        self.sources.len()
    }

    /// The numbers so far, with the `top` sources that tried most.
    pub fn report(&self, top: usize) -> LogReport {
        let mut order: Vec<(u64, &Source)> = self
            .sources
            .iter()
            .map(|source| (source.tally.verdicts().sum(), source))
            .collect();
        let by = |(attempts, source): &(u64, &Source)| (Reverse(*attempts), source.address);
        let top = top.min(order.len());
        if top < order.len() {
            order.select_nth_unstable_by_key(top, by);
        }
        let others = self.others.verdicts();
        let verdicts = self
            .sources
            .iter()
            .fold(others, |sum, source| sum.plus(source.tally.verdicts()));
        order.truncate(top);
        order.sort_unstable_by_key(by);
        LogReport {
            ports: self.ports.iter().copied().collect(),
            attempts: verdicts.sum(),
            verdicts,
            first: time(self.span.first),
            last: time(self.span.last),
            without_time: self.without_time,
            time_assumed: self.time_assumed,
            distinct_sources: self.sources.len() as u64,
            sources: order.into_iter().map(|(_, source)| of_source(source)).collect(),
            other_sources: others.sum(),
            on_other_ports: self.on_other_ports,
            undirected: self.undirected,
            formats: self.formats(),
            unreadable: self.unreadable.values().sum(),
            unreadable_reasons: self.reasons(),
            unreadable_lines: self.examples.clone(),
            unrelated: self.unrelated,
            notes: self.notes(verdicts),
        }
    }

    fn formats(&self) -> Vec<FormatCount> {
        let counts = LogFormat::ALL.into_iter().zip(self.formats);
        let met = counts.filter(|(_, lines)| *lines > 0);
        met.map(|(format, lines)| FormatCount {
            format,
            lines,
            because: sign(format),
        })
        .collect()
    }

    fn reasons(&self) -> Vec<ReasonCount> {
        let mut reasons: Vec<_> = self.unreadable.iter().collect();
        reasons.sort_by_key(|(reason, lines)| (Reverse(**lines), **reason));
        let count = |(reason, lines): (&Reason, &u64)| ReasonCount {
            reason: reason.to_string(),
            lines: *lines,
        };
        reasons.into_iter().map(count).collect()
    }

    fn notes(&self, verdicts: VerdictCounts) -> Vec<String> {
        let mut notes = Vec::new();
        if verdicts.sum() > 0 {
            notes.push("counts are lower bounds: a rule with a rate limit logs only some packets".into());
        }
        if verdicts.unknown > 0 {
            notes.push(
                "a log line does not tell its verdict unless the rule's prefix is known: declare it".into(),
            );
        }
        if self.undirected > 0 {
            let lines = self.undirected;
            notes.push(format!(
                "{lines} lines do not tell who began the session and are counted for nobody"
            ));
        }
        let most = self.most_sources;
        if self.sources.len() >= most && self.others.verdicts().sum() > 0 {
            notes.push(format!(
                "only the first {most} sources were kept; attempts of later ones are counted as other sources"
            ));
        }
        notes
    }
}

fn key(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

fn time(microseconds: i64) -> Option<Timestamp> {
    // None of the two ends of the range is a time of the calendar.
    Timestamp::from_microsecond(microseconds).ok()
}

fn of_source(source: &Source) -> SourceReport {
    let (mut ports, on_further_ports) = source.ports();
    ports.sort_unstable_by_key(|count| (Reverse(count.attempts), count.port));
    let verdicts = source.tally.verdicts();
    SourceReport {
        address: IpAddr::V6(Ipv6Addr::from_bits(source.address)).to_canonical(),
        attempts: verdicts.sum(),
        verdicts,
        first: time(source.span.first),
        last: time(source.span.last),
        ports,
        on_further_ports,
    }
}

impl VerdictCounts {
    /// All together.
    pub fn sum(self) -> u64 {
        self.allowed
            .saturating_add(self.blocked)
            .saturating_add(self.unknown)
    }

    fn plus(self, other: Self) -> Self {
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

//! Who tried, who got through, and what could not be read.

mod report;
#[cfg(test)]
mod tests;

use std::{
    cmp::Reverse,
    collections::{BTreeSet, HashMap},
    net::IpAddr,
};

use jiff::Timestamp;
use portcullis_model::{LogEvent, Port, Verdict};

pub use report::{LogReport, PortCount, SourceReport, VerdictCounts};

use crate::LineOutcome;

/// Destination ports that are kept for one source; a port sweep must not fill the memory.
const MOST_PORTS: usize = 64;
const MOST_REASONS: usize = 3;

/// Counts events. Its memory is bounded by the number of distinct sources, at most [`Summary::MOST_SOURCES`].
#[derive(Debug, Clone)]
pub struct Summary {
    ports: BTreeSet<Port>,
    most_sources: usize,
    sources: HashMap<IpAddr, Source>,
    total: Source,
    other_sources: u64,
    on_other_ports: u64,
    without_time: u64,
    unreadable: u64,
    unreadable_reasons: Vec<String>,
    unrelated: u64,
}

#[derive(Debug, Clone, Default)]
struct Source {
    attempts: u64,
    verdicts: VerdictCounts,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    ports: Vec<PortCount>,
    on_further_ports: u64,
}

impl Summary {
    /// Distinct sources that are kept; attempts of further ones are only counted together.
    pub const MOST_SOURCES: usize = 1_000_000;

    /// Counts events to these destination ports; to all, and without ports, when there are none.
    pub fn of_ports(ports: impl IntoIterator<Item = Port>) -> Self {
        Self {
            ports: ports.into_iter().collect(),
            most_sources: Self::MOST_SOURCES,
            sources: HashMap::new(),
            total: Source::default(),
            other_sources: 0,
            on_other_ports: 0,
            without_time: 0,
            unreadable: 0,
            unreadable_reasons: Vec::new(),
            unrelated: 0,
        }
    }

    /// Counts all events.
    pub fn of_all_ports() -> Self {
        Self::of_ports([])
    }

    /// Counts what a line turned out to be.
    pub fn add_outcome(&mut self, outcome: &LineOutcome) {
        match outcome {
            LineOutcome::Event(event) => {
                self.add(event);
            }
            LineOutcome::Unrelated => self.unrelated += 1,
            LineOutcome::Unreadable(reason) => self.add_unreadable(reason),
        }
    }

    /// Counts something that should have been an event and cannot be read.
    pub fn add_unreadable(&mut self, reason: &str) {
        self.unreadable += 1;
        if self.unreadable_reasons.len() < MOST_REASONS {
            self.unreadable_reasons.push(reason.into());
        }
    }

    /// Counts an event. Tells whether it went to one of the ports that were asked for.
    pub fn add(&mut self, event: &LogEvent) -> bool {
        let asked_for = self.ports.is_empty() || event.port.is_some_and(|port| self.ports.contains(&port));
        if !asked_for {
            self.on_other_ports += 1;
            return false;
        }
        self.without_time += u64::from(event.at.is_none());
        self.total.add(event);
        let address = event.source.to_canonical();
        if let Some(source) = self.sources.get_mut(&address) {
            source.add_with_port(event);
        } else if self.sources.len() < self.most_sources {
            self.sources.entry(address).or_default().add_with_port(event);
        } else {
            self.other_sources += 1;
        }
        true
    }

    /// The numbers so far, with the `top` sources that tried most.
    pub fn report(&self, top: usize) -> LogReport {
        let mut order: Vec<_> = self.sources.iter().collect();
        order.sort_unstable_by_key(|(address, source)| (Reverse(source.attempts), **address));
        let sources = order.into_iter().take(top);
        LogReport {
            ports: self.ports.iter().copied().collect(),
            attempts: self.total.attempts,
            verdicts: self.total.verdicts,
            first: self.total.first,
            last: self.total.last,
            without_time: self.without_time,
            distinct_sources: self.sources.len() as u64,
            sources: sources.map(|(address, source)| source.report(*address)).collect(),
            other_sources: self.other_sources,
            on_other_ports: self.on_other_ports,
            unreadable: self.unreadable,
            unreadable_reasons: self.unreadable_reasons.clone(),
            unrelated: self.unrelated,
            notes: self.notes(),
        }
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.total.attempts > 0 {
            notes.push("counts are lower bounds: a rule with a rate limit logs only some packets".into());
        }
        if self.total.verdicts.unknown > 0 {
            notes.push(
                "a log line does not tell its verdict unless the rule's prefix is known: declare it".into(),
            );
        }
        if self.other_sources > 0 {
            let most = self.most_sources;
            notes.push(format!(
                "only the first {most} sources were kept; attempts of later ones are counted as other sources"
            ));
        }
        notes
    }
}

impl Source {
    fn add(&mut self, event: &LogEvent) {
        self.attempts += 1;
        match event.verdict {
            Verdict::Allowed => self.verdicts.allowed += 1,
            Verdict::Blocked => self.verdicts.blocked += 1,
            Verdict::Unknown => self.verdicts.unknown += 1,
        }
        // Lines of several files need not come in the order of time.
        if let Some(at) = event.at {
            self.first = Some(self.first.map_or(at, |first| first.min(at)));
            self.last = Some(self.last.map_or(at, |last| last.max(at)));
        }
    }

    fn add_with_port(&mut self, event: &LogEvent) {
        self.add(event);
        let Some(port) = event.port else { return };
        if let Some(known) = self.ports.iter_mut().find(|known| known.port == port) {
            known.attempts += 1;
        } else if self.ports.len() < MOST_PORTS {
            self.ports.push(PortCount { port, attempts: 1 });
        } else {
            self.on_further_ports += 1;
        }
    }

    fn report(&self, address: IpAddr) -> SourceReport {
        let mut ports = self.ports.clone();
        ports.sort_unstable_by_key(|count| (Reverse(count.attempts), count.port));
        SourceReport {
            address,
            attempts: self.attempts,
            verdicts: self.verdicts,
            first: self.first,
            last: self.last,
            ports,
            on_further_ports: self.on_further_ports,
        }
    }
}

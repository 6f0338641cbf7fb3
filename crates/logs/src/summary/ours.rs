//! Our own scans: what they did is no attempt of anybody's.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use jiff::{SignedDuration, Timestamp};
use portcullis_model::Port;

use super::{
    key,
    report::OwnScanReport,
    sources::{Span, Tally},
    told::time,
};

/// A run in which we sent packets ourselves.
#[derive(Debug, Clone)]
pub struct OwnScan {
    /// Which one, for the reader.
    pub run: String,
    /// The addresses that it was sent from.
    pub from: Vec<IpAddr>,
    /// The ports that it touched.
    pub ports: BTreeSet<Port>,
    /// When it began.
    pub began: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
}

/// All that is known of our own runs.
#[derive(Debug, Clone, Default)]
pub struct OwnScans {
    scans: Vec<OwnScan>,
    /// How far the clock of the log may be off, in microseconds.
    slack: i64,
    /// Our addresses, each with the scans from it.
    from: BTreeMap<u128, Vec<usize>>,
    /// One bit for a few of all addresses: almost every source is told apart by it alone.
    filter: u64,
}

fn bit(address: u128) -> u64 {
    // The low half tells hosts of one network apart, in both versions of IP.
    let mixed = (address as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    1 << (mixed >> 58)
}

impl OwnScans {
    /// Knows these. `slack` is how far the clock of whoever writes the log may be off from ours.
    pub fn new(scans: Vec<OwnScan>, slack: SignedDuration) -> Self {
        let mut own = Self {
            scans,
            slack: i64::try_from(slack.as_micros()).unwrap_or(i64::MAX),
            ..Self::default()
        };
        for (number, scan) in own.scans.iter().enumerate() {
            for address in &scan.from {
                let address = key(*address);
                own.filter |= bit(address);
                own.from.entry(address).or_default().push(number);
            }
        }
        own
    }

    /// The number of the scan that an event belongs to.
    #[inline]
    pub(super) fn which(&self, source: u128, port: Option<Port>, at: Option<i64>) -> Option<usize> {
        if self.filter & bit(source) == 0 {
            return None;
        }
        self.looked_up(source, port, at)
    }

    fn looked_up(&self, source: u128, port: Option<Port>, at: Option<i64>) -> Option<usize> {
        let (port, at) = (port?, at?);
        let distance = |scan: &OwnScan| {
            let (began, ended) = (scan.began.as_microsecond(), scan.ended.as_microsecond());
            let before = began.saturating_sub(at);
            before.max(at.saturating_sub(ended)).max(0)
        };
        let scans = self.from.get(&source)?.iter();
        let near = scans.filter_map(|number| {
            let scan = self.scans.get(*number)?;
            let distance = distance(scan);
            (distance <= self.slack && scan.ports.contains(&port)).then_some((distance, *number))
        });
        // Of two that follow each other closely, the one that it fits best.
        near.min().map(|(_, number)| number)
    }
}

/// What was counted of each.
#[derive(Debug, Clone, Default)]
pub(super) struct Ours(BTreeMap<usize, (Tally, Span)>);

impl Ours {
    pub(super) fn add(&mut self, scan: usize, attempt: &super::Attempt) {
        let (tally, span) = self.0.entry(scan).or_default();
        tally.add_attempt(attempt);
        if let Some(at) = attempt.at {
            span.add(at);
        }
    }

    pub(super) fn absorb(&mut self, other: Self) {
        for (scan, (tally, span)) in other.0 {
            let own = self.0.entry(scan).or_default();
            own.0.absorb(&tally);
            own.1.absorb(&span);
        }
    }

    pub(super) fn report(&self, scans: &OwnScans) -> Vec<OwnScanReport> {
        let of = |(number, (tally, span)): (&usize, &(Tally, Span))| {
            let verdicts = tally.verdicts();
            Some(OwnScanReport {
                run: scans.scans.get(*number)?.run.clone(),
                attempts: verdicts.sum(),
                verdicts,
                first: time(span.first),
                last: time(span.last),
            })
        };
        self.0.iter().filter_map(of).collect()
    }
}

//! Our own scans: what they did is no attempt of anybody's.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use jiff::Timestamp;
use portcullis_model::Port;

use super::{
    key,
    report::OwnScanReport,
    sources::{Span, Tally},
    told::time,
};

/// How far the clock of whoever wrote the log may be off: devices of a plant that nobody has set to a time server are off by
/// some seconds, and a log has no fraction of one.
const SLACK: i64 = 30_000_000;

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
    /// Knows these.
    pub fn new(scans: Vec<OwnScan>) -> Self {
        let mut own = Self {
            scans,
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
        let is_it = |scan: &OwnScan| {
            let (began, ended) = (scan.began.as_microsecond(), scan.ended.as_microsecond());
            began - SLACK <= at && at <= ended + SLACK && scan.ports.contains(&port)
        };
        let scans = self.from.get(&source)?.iter();
        scans
            .copied()
            .find(|number| self.scans.get(*number).is_some_and(is_it))
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

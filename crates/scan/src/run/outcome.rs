//! What a scan brings home.

use std::{
    collections::{BTreeMap, HashSet},
    net::IpAddr,
};

use portcullis_model::{NotTested, Observation, Port, PortState};

use super::ranges::ranges;

/// Above so many unanswered ports of hosts that answered nothing, they are told as ranges.
const MOST_SILENT: usize = 4096;

/// Counts of a scan.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Ports that were dealt with.
    pub probes: u64,
    /// Packets that were sent, as [`Sighting::packets`] counts them.
    pub packets_sent: u64,
    /// Ports that answered in any way.
    pub answers: u64,
    /// The most connections that any host had at a time.
    pub most_connections_per_host: u32,
}

/// Consecutive addresses that were asked and answered on none of their ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SilentRange {
    /// First address.
    pub first: IpAddr,
    /// Last address, inclusive.
    pub last: IpAddr,
    /// The ports that were asked; each is `no-answer`.
    pub ports: Vec<Port>,
}

/// The result of a scan. Each address and port is in exactly one of the three lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanOutcome {
    /// What was seen, sorted by address and port.
    pub observations: Vec<Observation>,
    /// Hosts that answered nothing, when there are too many for one observation per port; else empty.
    pub silent: Vec<SilentRange>,
    /// What was asked for and not tested, with the reason.
    pub not_tested: Vec<NotTested>,
    /// Counts.
    pub counters: Counters,
    /// Whether it was stopped before its end.
    pub interrupted: bool,
}

/// Collects what probes bring.
#[derive(Debug, Default)]
pub(super) struct Findings {
    answered: HashSet<IpAddr>,
    told: Vec<Observation>,
    unanswered: Vec<Observation>,
    not_tested: BTreeMap<String, Vec<(IpAddr, Port)>>,
}

impl Findings {
    pub(super) fn add(&mut self, seen: Observation) {
        match seen.state {
            PortState::NotTested => self.not_tested(seen.address, seen.port, &seen.because),
            PortState::NoAnswer => self.unanswered.push(seen),
            PortState::Open | PortState::Closed | PortState::Filtered => {
                self.answered.insert(seen.address);
                self.told.push(seen);
            }
        }
    }

    pub(super) fn not_tested(&mut self, address: IpAddr, port: Port, reason: &str) {
        match self.not_tested.get_mut(reason) {
            Some(entries) => entries.push((address, port)),
            None => {
                self.not_tested.insert(reason.into(), vec![(address, port)]);
            }
        }
    }

    pub(super) fn outcome(self, counters: Counters, interrupted: bool) -> ScanOutcome {
        let (mut told, silent): (Vec<Observation>, Vec<Observation>) = self
            .unanswered
            .into_iter()
            .partition(|seen| self.answered.contains(&seen.address));
        told.extend(self.told);
        let silent = if silent.len() > MOST_SILENT {
            let entries = silent.iter().map(|seen| (seen.address, seen.port));
            ranges(entries)
                .into_iter()
                .map(|range| SilentRange {
                    first: range.first,
                    last: range.last,
                    ports: range.ports,
                })
                .collect()
        } else {
            told.extend(silent);
            Vec::new()
        };
        told.sort_unstable_by_key(|seen| (seen.address, seen.port));
        let not_tested = self.not_tested.into_iter().flat_map(|(reason, entries)| {
            ranges(entries).into_iter().map(move |range| NotTested {
                first: range.first,
                last: range.last,
                ports: range.ports,
                reason: reason.clone(),
            })
        });
        ScanOutcome {
            observations: told,
            silent,
            not_tested: not_tested.collect(),
            counters,
            interrupted,
        }
    }
}

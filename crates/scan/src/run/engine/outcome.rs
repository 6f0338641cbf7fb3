//! What a scan brings home.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap, HashSet},
    net::IpAddr,
};

use portcullis_model::{Coverage, Observation, Transport};

use super::{INTERRUPTED, Scan};
use crate::{
    lists::{Facts, Silence},
    places::Place,
    routers,
    run::ScanOutcome,
};

impl Scan<'_> {
    pub(super) fn outcome(mut self) -> ScanOutcome {
        self.ledger.silent(self.silences);
        let found = std::mem::take(&mut self.found);
        let lost_routers = self.lost_routers();
        let why_not = |place: Place| -> Option<Cow<'_, str>> {
            if let Some(reason) = lost_routers.get(&self.networks.of_host(place.host)) {
                return Some(reason.as_str().into());
            }
            if self.looks(place) > 0 {
                return None;
            }
            if let Some(reason) = self.refused.get(&place) {
                return self
                    .reasons
                    .get(*reason as usize)
                    .map(|reason| reason.as_str().into());
            }
            let left = self
                .behaviour
                .left(place.host)
                .map(|reason| format!("left alone: {reason}").into());
            left.or_else(|| Some(self.ending.as_deref().unwrap_or(INTERRUPTED).into()))
        };
        let silence = |place: Place| {
            let (looks, network) = (self.looks(place), self.networks.of_host(place.host));
            Silence {
                looks,
                confidence: self.ledger.confidence(network, looks),
                in_doubt: self.ledger.cannot_sign(network, looks)
                    || self.behaviour.left(place.host).is_some(),
            }
        };
        let answered_hosts: std::collections::HashSet<usize> =
            found.iter().map(|(place, _)| place.host).collect();
        let lists = Facts {
            addresses: &self.addresses,
            ports: &self.ports,
            answered: &self.answered,
            found,
            why_not: &why_not,
            silence: &silence,
            told: &|place, silence| self.silent(place, silence),
        }
        .lists();
        let mut counters = self.counters;
        counters.probes = self.addresses.len() as u64 * self.ports.len() as u64;
        let stopped = self.ending.clone().filter(|reason| reason != INTERRUPTED);
        ScanOutcome {
            observations: lists.observations,
            not_tested: lists.not_tested,
            coverage: Coverage {
                silent: lists.silent,
                in_doubt: lists.in_doubt,
                loss: self.ledger.measured(),
                packets: counters.packets_sent,
                devices: self.devices.all(self.addresses.iter().copied(), |host| {
                    answered_hosts.contains(&host)
                }),
                remarks: self.behaviour.remarks(|host| self.addresses.get(host).copied()),
                guards: Vec::new(),
                neighbours: Vec::new(),
                introductions: Vec::new(),
                host: None,
                stopped,
            },
            counters,
            interrupted: self.ending.is_some(),
        }
    }

    /// The networks in which nothing answered because their router did not.
    fn lost_routers(&self) -> HashMap<u32, String> {
        let mut asked: BTreeMap<u32, IpAddr> = BTreeMap::new();
        let mut answered: HashSet<u32> = HashSet::new();
        for (host, address) in self.addresses.iter().enumerate() {
            let network = self.networks.of_host(host);
            for place in (0..self.ports.len()).map(|port| Place { host, port }) {
                if self.answered.has(place) {
                    answered.insert(network);
                } else if self.looks(place) > 0 {
                    asked.entry(network).or_insert(*address);
                }
            }
        }
        asked.retain(|network, _| !answered.contains(network));
        if asked.is_empty() {
            return HashMap::new();
        }
        routers::without_answer(&asked)
    }

    /// A silence as an observation.
    pub(super) fn silent(&self, place: Place, silence: Silence) -> Option<Observation> {
        let (address, port) = (*self.addresses.get(place.host)?, *self.ports.get(place.port)?);
        let because = match self.unreachable.get(&place) {
            Some(because) => because.clone(),
            None => {
                let wait = self
                    .patience
                    .wait(self.networks.of_host(place.host), silence.looks);
                let wait = match self.exchanges.get(place.port) {
                    Some(exchange) if port.transport == Transport::Udp => exchange.wait,
                    _ => wait,
                };
                silence.asked(wait)
            }
        };
        let (run, vantage) = (self.request.run, &self.request.vantage);
        Some(silence.observation(run, vantage, None, (address, port), because))
    }
}

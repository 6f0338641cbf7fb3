//! What a scan brings home.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    net::IpAddr,
    sync::{Mutex, atomic::Ordering},
    time::Duration,
};

use portcullis_model::{Coverage, NotTested, Observation, Port, PortState};

use super::{Scan, lock};
use crate::{
    Counters, ScanOutcome,
    lists::{Facts, Silence},
    places::Place,
    syn::{SynOutcome, ways::Reach},
};

impl Scan<'_> {
    pub(super) fn outcome(&self, udp: &[Port], lost: u64, sending: Duration) -> SynOutcome {
        let interrupted = self.ending();
        let stopped = self.request.brake.stopped();
        let ended = stopped.clone().unwrap_or_else(|| "interrupted".into());
        let refused: HashMap<Place, String> = take(&self.refused).into_iter().collect();
        let failed = take(&self.failed);
        let addresses: Vec<IpAddr> = self.ways.hosts.iter().map(|host| host.address).collect();
        let mut ledger = lock(&self.ledger);
        ledger.silent(self.silences());
        let looks = lock(&self.looks);
        let mut behaviour = lock(&self.behaviour);
        let mut answers = 0;
        let mut answered_hosts = HashSet::new();
        let found: Vec<(Place, Observation)> = take(&self.found)
            .into_iter()
            .map(|found| {
                let observation = found.observation(self.request, self.ports.get(found.place.port).copied());
                answers += u64::from(observation.state != PortState::NoAnswer);
                answered_hosts.insert(found.place.host);
                behaviour.port(found.place.host, observation.state == PortState::Open);
                (found.place, observation)
            })
            .collect();
        let why_not = |place: Place| -> Option<Cow<'_, str>> {
            let host = self.ways.hosts.get(place.host)?;
            if !self.asked.has(place) {
                if let Some(reason) = refused.get(&place) {
                    return Some(reason.as_str().into());
                }
                if let Some(reason) = behaviour.left(place.host) {
                    return Some(format!("left alone: {reason}").into());
                }
            }
            match host.way {
                Reach::Not(reason) => self
                    .ways
                    .reasons
                    .get(reason as usize)
                    .map(|reason| reason.as_str().into()),
                Reach::Hop(_) => {
                    let link = self.ways.hop_of(host)?.link;
                    // Which of the silent ones were asked before the link failed cannot be told.
                    if let Some(Some(reason)) = failed.get(link) {
                        return Some(reason.as_str().into());
                    }
                    (!self.asked.has(place)).then(|| ended.as_str().into())
                }
            }
        };
        let silence = |place: Place| {
            let network = self.networks.of_host(place.host);
            // Whoever was asked in a look that is not over was asked once at least.
            let looks = looks.get(network as usize).copied().unwrap_or_default().max(1);
            Silence {
                looks,
                confidence: ledger.confidence(network, looks),
                in_doubt: ledger.cannot_sign(network, looks) || behaviour.left(place.host).is_some(),
            }
        };
        let lists = Facts {
            addresses: &addresses,
            ports: &self.ports,
            answered: &self.answered,
            found,
            why_not: &why_not,
            silence: &silence,
            told: &|place, silence| self.silent(place, silence),
        }
        .lists();
        let mut not_tested = lists.not_tested;
        if !udp.is_empty() {
            not_tested.extend(addresses.iter().map(|address| NotTested {
                first: *address,
                last: *address,
                ports: udp.to_vec(),
                reason: "a SYN scan is of TCP only".into(),
            }));
        }
        let asked_any = self.counts.asked.load(Ordering::Relaxed) > 0;
        let packets = self.counts.packets.load(Ordering::Relaxed);
        SynOutcome {
            scan: ScanOutcome {
                observations: lists.observations,
                not_tested,
                coverage: Coverage {
                    silent: lists.silent,
                    in_doubt: lists.in_doubt,
                    loss: ledger.measured(),
                    packets: packets + self.counts.all_resets.load(Ordering::Relaxed),
                    devices: self
                        .devices
                        .all(addresses.iter().copied(), |host| answered_hosts.contains(&host)),
                    remarks: behaviour.remarks(|host| addresses.get(host).copied()),
                    guards: Vec::new(),
                    neighbours: Vec::new(),
                    introductions: Vec::new(),
                    host: None,
                    stopped,
                },
                counters: Counters {
                    probes: self.counts.asked.load(Ordering::Relaxed),
                    packets_sent: packets,
                    answers,
                    most_connections_per_host: u32::from(asked_any),
                },
                interrupted,
            },
            strays: self.counts.strays.load(Ordering::Relaxed),
            lost,
            sending,
        }
    }

    /// A silence as an observation.
    pub(super) fn silent(&self, place: Place, silence: Silence) -> Option<Observation> {
        let (host, port) = (self.ways.hosts.get(place.host)?, *self.ports.get(place.port)?);
        let hop = self.ways.hop_of(host)?;
        let because = if hop.ethernet.is_some() {
            silence.asked(self.request.answer_wait)
        } else {
            "nobody there: no neighbour answered to its address".into()
        };
        let (run, vantage) = (self.request.run, &self.request.vantage);
        let source = Some(hop.own.address);
        Some(silence.observation(run, vantage, source, (host.address, port), because))
    }
}

fn take<T: Default>(mutex: &Mutex<T>) -> T {
    std::mem::take(&mut *lock(mutex))
}

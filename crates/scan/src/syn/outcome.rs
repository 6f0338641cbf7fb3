//! From bits and answers to what a scan brings home.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use jiff::Timestamp;
use portcullis_model::{Evidence, EvidenceKind, NotTested, Observation, Port, PortState};

use super::{
    SynRequest,
    answer::Answer,
    order::Place,
    seen::Seen,
    verdict,
    ways::{Reach, Ways},
};
use crate::SilentRange;

/// Above so many unanswered ports of hosts that answered nothing, they are told as ranges.
const MOST_SILENT: usize = 4096;

/// An answer and when it came.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    pub(super) place: Place,
    pub(super) at: Timestamp,
    pub(super) answer: Answer,
}

/// All that is known when the scan has ended.
pub(super) struct Facts<'a> {
    pub(super) request: &'a SynRequest,
    pub(super) ways: &'a Ways,
    pub(super) ports: &'a [Port],
    pub(super) asked: &'a Seen,
    pub(super) answered: &'a Seen,
    pub(super) found: Vec<Found>,
    /// Refused by the permission, with the reason.
    pub(super) refused: Vec<(Place, String)>,
    /// Why a link failed, by its place.
    pub(super) failed: &'a [Option<String>],
    pub(super) ended: Timestamp,
}

/// The three lists of a scan's outcome.
#[derive(Debug, Default)]
pub(super) struct Lists {
    pub(super) observations: Vec<Observation>,
    pub(super) silent: Vec<SilentRange>,
    pub(super) not_tested: Vec<NotTested>,
}

/// Consecutive addresses with the same ports.
#[derive(Debug, Default)]
struct Ranges(Vec<(IpAddr, IpAddr, Vec<Port>)>);

impl Ranges {
    fn add(&mut self, address: IpAddr, ports: &[Port]) {
        match self.0.last_mut() {
            Some((_, last, same)) if after(*last) == Some(address) && same == ports => *last = address,
            _ => self.0.push((address, address, ports.to_vec())),
        }
    }
}

fn after(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(address) => Some(Ipv4Addr::from(u32::from(address).checked_add(1)?).into()),
        IpAddr::V6(address) => Some(Ipv6Addr::from(u128::from(address).checked_add(1)?).into()),
    }
}

impl Facts<'_> {
    pub(super) fn lists(mut self) -> Lists {
        self.found
            .sort_unstable_by_key(|found| (found.place.host, found.place.port));
        self.refused
            .sort_unstable_by_key(|(place, _)| (place.host, place.port));
        let mut lists = Lists::default();
        let mut silent = Ranges::default();
        let mut silent_count = 0;
        let mut untested: BTreeMap<String, Ranges> = BTreeMap::new();
        let (mut found, mut refused) = (self.found.as_slice(), self.refused.as_slice());
        let mut quiet = Vec::new();
        for (place, host) in self.ways.hosts.iter().enumerate() {
            let answers = split(&mut found, |found| found.place.host == place);
            let refusals = split(&mut refused, |(refused, _)| refused.host == place);
            let observed = answers.iter().filter_map(|found| self.observation(found));
            lists.observations.extend(observed);
            quiet.clear();
            let mut reasons: BTreeMap<&str, Vec<Port>> = BTreeMap::new();
            for (number, port) in self.ports.iter().enumerate() {
                let here = Place {
                    host: place,
                    port: number,
                };
                if self.answered.has(here) {
                    continue;
                }
                match self.why_not(here, refusals) {
                    Some(reason) => reasons.entry(reason).or_default().push(*port),
                    None => quiet.push(*port),
                }
            }
            for (reason, ports) in reasons {
                match untested.get_mut(reason) {
                    Some(ranges) => ranges.add(host.address, &ports),
                    None => {
                        let mut ranges = Ranges::default();
                        ranges.add(host.address, &ports);
                        untested.insert(reason.to_owned(), ranges);
                    }
                }
            }
            if quiet.is_empty() {
                continue;
            }
            if answers.is_empty() {
                silent_count += quiet.len();
                silent.add(host.address, &quiet);
            } else {
                let told = quiet.iter().filter_map(|port| self.silence(host.address, *port));
                lists.observations.extend(told);
            }
        }
        if silent_count <= MOST_SILENT {
            let told = silent.0.iter().flat_map(|(first, last, ports)| {
                let addresses = std::iter::successors(Some(*first), move |address| {
                    after(*address).filter(|_| address != last)
                });
                addresses.flat_map(|address| ports.iter().map(move |port| (address, *port)))
            });
            let told = told.filter_map(|(address, port)| self.silence(address, port));
            lists.observations.extend(told);
        } else {
            lists.silent = silent
                .0
                .into_iter()
                .map(|(first, last, ports)| SilentRange { first, last, ports })
                .collect();
        }
        lists.observations.sort_by_key(|one| (one.address, one.port));
        lists.not_tested = untested
            .into_iter()
            .flat_map(|(reason, ranges)| {
                ranges.0.into_iter().map(move |(first, last, ports)| NotTested {
                    first,
                    last,
                    ports,
                    reason: reason.clone(),
                })
            })
            .collect();
        lists
    }

    /// Why a place that did not answer was not tested; `None` when it was, and stayed silent.
    fn why_not<'a>(&'a self, place: Place, refusals: &'a [(Place, String)]) -> Option<&'a str> {
        let host = self.ways.hosts.get(place.host)?;
        if let Some((_, reason)) = refusals.iter().find(|(refused, _)| refused.port == place.port)
            && !self.asked.has(place)
        {
            return Some(reason);
        }
        match host.way {
            Reach::Not(reason) => self.ways.reasons.get(reason as usize).map(String::as_str),
            Reach::Hop(_) => {
                let link = self.ways.hop_of(host)?.link;
                // Which of the silent ones were asked before the link failed cannot be told.
                if let Some(Some(reason)) = self.failed.get(link) {
                    return Some(reason);
                }
                (!self.asked.has(place)).then_some("interrupted")
            }
        }
    }

    fn observation(&self, found: &Found) -> Option<Observation> {
        let port = *self.ports.get(found.place.port)?;
        let (state, because) = verdict::of(&found.answer);
        let evidence = vec![Evidence {
            kind: EvidenceKind::Handshake,
            note: because.clone(),
            bytes: Vec::new(),
        }];
        Some(Observation {
            id: self.id(found.answer.target, port),
            run: self.request.run,
            at: found.at,
            vantage: self.request.vantage.clone(),
            source: Some(found.answer.source),
            address: found.answer.target,
            port,
            state,
            because,
            identifications: Vec::new(),
            evidence,
        })
    }

    fn silence(&self, address: IpAddr, port: Port) -> Option<Observation> {
        let host = self.ways.hosts.get(self.ways.place(address)?)?;
        let hop = self.ways.hop_of(host)?;
        let because = if hop.ethernet.is_some() {
            let waited = self.request.answer_wait.as_millis();
            format!("no answer to a SYN within {waited} ms")
        } else {
            "nobody there: no neighbour answered to its address".into()
        };
        Some(Observation {
            id: self.id(address, port),
            run: self.request.run,
            at: self.ended,
            vantage: self.request.vantage.clone(),
            source: Some(hop.own.address),
            address,
            port,
            state: PortState::NoAnswer,
            because: because.clone(),
            identifications: Vec::new(),
            evidence: vec![Evidence {
                kind: EvidenceKind::Handshake,
                note: because,
                bytes: Vec::new(),
            }],
        })
    }

    fn id(&self, address: IpAddr, port: Port) -> portcullis_model::ObservationId {
        Observation::id_of(self.request.run, &self.request.vantage, address, port)
    }
}

/// Takes the elements at the beginning for which it holds.
fn split<'a, T>(rest: &mut &'a [T], holds: impl Fn(&T) -> bool) -> &'a [T] {
    let count = rest.iter().take_while(|one| holds(one)).count();
    let (taken, left) = rest.split_at_checked(count).unwrap_or((rest, &[]));
    *rest = left;
    taken
}

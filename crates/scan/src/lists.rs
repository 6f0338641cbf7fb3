//! From bits and answers to the three lists that a scan brings home. Each port of each host is in exactly one of them.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use jiff::Timestamp;
use portcullis_model::{
    Confidence, Evidence, EvidenceKind, NotTested, Observation, Port, PortState, RunId, Silent, Vantage,
};

use crate::{
    places::{Place, Places},
    probe::milliseconds,
};

/// Above so many unanswered ports of hosts that answered nothing, they are told as ranges.
const MOST_SILENT: usize = 4096;

/// What stands behind a silence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Silence {
    pub(crate) looks: u32,
    pub(crate) confidence: Option<Confidence>,
    pub(crate) in_doubt: bool,
}

impl Silence {
    /// How it came about.
    pub(crate) fn asked(self, wait: Duration) -> String {
        let times = match self.looks {
            1 => "once".to_owned(),
            looks => format!("{looks} times"),
        };
        format!("asked {times}, no answer within {}", milliseconds(wait))
    }

    /// The silence of one port.
    pub(crate) fn observation(
        self,
        run: RunId,
        vantage: &Vantage,
        source: Option<IpAddr>,
        (address, port): (IpAddr, Port),
        because: String,
    ) -> Observation {
        Observation {
            id: Observation::id_of(run, vantage, address, port),
            run,
            at: Timestamp::now(),
            vantage: vantage.clone(),
            source,
            address,
            port,
            state: PortState::NoAnswer,
            because: because.clone(),
            confidence: self.confidence,
            identifications: Vec::new(),
            evidence: vec![Evidence {
                kind: EvidenceKind::Handshake,
                note: because,
                bytes: Vec::new(),
                behaviour: None,
            }],
        }
    }
}

/// All that is known when a scan has ended.
pub(crate) struct Facts<'a> {
    /// Sorted.
    pub(crate) addresses: &'a [IpAddr],
    /// Sorted.
    pub(crate) ports: &'a [Port],
    pub(crate) answered: &'a Places,
    /// What answered.
    pub(crate) found: Vec<(Place, Observation)>,
    /// Why a place that did not answer was not tested; `None` when it was.
    pub(crate) why_not: &'a dyn Fn(Place) -> Option<Cow<'a, str>>,
    pub(crate) silence: &'a dyn Fn(Place) -> Silence,
    /// A silence as an observation.
    pub(crate) told: &'a dyn Fn(Place, Silence) -> Option<Observation>,
}

/// The three lists.
#[derive(Debug, Default)]
pub(crate) struct Lists {
    pub(crate) observations: Vec<Observation>,
    pub(crate) silent: Vec<Silent>,
    pub(crate) in_doubt: Vec<Silent>,
    pub(crate) not_tested: Vec<NotTested>,
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

/// Ports of a host with the same silence follow each other.
fn add_run(runs: &mut Vec<(usize, Vec<usize>, Silence)>, host: usize, port: usize, silence: Silence) {
    match runs.last_mut() {
        Some((last, ports, same)) if *last == host && *same == silence => ports.push(port),
        _ => runs.push((host, vec![port], silence)),
    }
}

impl Facts<'_> {
    pub(crate) fn lists(mut self) -> Lists {
        self.found
            .sort_unstable_by_key(|(place, _)| (place.host, place.port));
        let mut lists = Lists::default();
        // Hosts that answered nothing, as runs of the same silence.
        let mut silent: Vec<(usize, Vec<usize>, Silence)> = Vec::new();
        let mut doubts: Vec<(usize, Vec<usize>, Silence)> = Vec::new();
        let mut silent_count = 0;
        let mut untested: BTreeMap<String, Ranges> = BTreeMap::new();
        let mut found = std::mem::take(&mut self.found).into_iter().peekable();
        for (host, address) in self.addresses.iter().enumerate() {
            let mut answers = 0;
            while let Some((_, observation)) = found.next_if(|(place, _)| place.host == host) {
                lists.observations.push(observation);
                answers += 1;
            }
            let mut quiet: Vec<usize> = Vec::new();
            let mut reasons: BTreeMap<Cow<'_, str>, Vec<Port>> = BTreeMap::new();
            for (number, port) in self.ports.iter().enumerate() {
                let place = Place { host, port: number };
                if self.answered.has(place) {
                    continue;
                }
                match (self.why_not)(place) {
                    Some(reason) => reasons.entry(reason).or_default().push(*port),
                    None => quiet.push(number),
                }
            }
            for (reason, ports) in reasons {
                match untested.get_mut(reason.as_ref()) {
                    Some(ranges) => ranges.add(*address, &ports),
                    None => {
                        let mut ranges = Ranges::default();
                        ranges.add(*address, &ports);
                        untested.insert(reason.into_owned(), ranges);
                    }
                }
            }
            for port in &quiet {
                let silence = (self.silence)(Place { host, port: *port });
                if silence.in_doubt {
                    add_run(&mut doubts, host, *port, silence);
                }
            }
            if answers > 0 {
                lists
                    .observations
                    .extend(quiet.iter().filter_map(|port| self.told(host, *port)));
                continue;
            }
            silent_count += quiet.len();
            for port in quiet {
                let silence = (self.silence)(Place { host, port });
                add_run(&mut silent, host, port, silence);
            }
        }
        lists.in_doubt = self.silent(doubts);
        if silent_count <= MOST_SILENT {
            let told = silent
                .iter()
                .flat_map(|(host, ports, _)| ports.iter().map(move |port| (*host, *port)))
                .filter_map(|(host, port)| self.told(host, port));
            lists.observations.extend(told);
        } else {
            lists.silent = self.silent(silent);
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

    fn told(&self, host: usize, port: usize) -> Option<Observation> {
        let place = Place { host, port };
        (self.told)(place, (self.silence)(place))
    }

    fn silent(&self, runs: Vec<(usize, Vec<usize>, Silence)>) -> Vec<Silent> {
        let mut ranges: Vec<Silent> = Vec::new();
        for (host, ports, silence) in runs {
            let Some(address) = self.addresses.get(host).copied() else {
                continue;
            };
            let ports: Vec<Port> = ports
                .iter()
                .filter_map(|port| self.ports.get(*port))
                .copied()
                .collect();
            let Silence {
                looks, confidence, ..
            } = silence;
            match ranges.last_mut() {
                Some(range)
                    if after(range.last) == Some(address)
                        && range.ports == ports
                        && (range.looks, range.confidence) == (looks, confidence) =>
                {
                    range.last = address;
                }
                _ => ranges.push(Silent {
                    first: address,
                    last: address,
                    ports,
                    looks,
                    confidence,
                }),
            }
        }
        ranges
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn observation(address: IpAddr, port: Port, state: PortState) -> Observation {
        let run = RunId::of(&[b"lists"]);
        Observation {
            id: Observation::id_of(run, &Vantage::this_host(), address, port),
            run,
            at: Timestamp::UNIX_EPOCH,
            vantage: Vantage::this_host(),
            source: None,
            address,
            port,
            state,
            because: String::new(),
            confidence: None,
            identifications: Vec::new(),
            evidence: Vec::new(),
        }
    }

    fn between(first: IpAddr, last: IpAddr) -> impl Iterator<Item = IpAddr> {
        std::iter::successors(Some(first), move |one| after(*one).filter(|_| *one != last))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn each_place_is_in_exactly_one_list(hosts in prop::collection::btree_set(0u32..12_000, 1..2500), ports in 1u16..5,
            states in prop::collection::vec(0u8..40, 1..300)) {
            let addresses: Vec<IpAddr> = hosts.into_iter().map(|host| Ipv4Addr::from(host).into()).collect();
            let ports: Vec<Port> = (0..ports).map(Port::tcp).collect();
            let state = |place: Place| states[(place.host * 7 + place.port) % states.len()];
            let answered = Places::new(addresses.len(), ports.len());
            let mut found = Vec::new();
            for (host, address) in addresses.iter().enumerate() {
                for (number, port) in ports.iter().enumerate() {
                    let place = Place { host, port: number };
                    if state(place) == 0 {
                        answered.add(place);
                        found.push((place, observation(*address, *port, PortState::Open)));
                    }
                }
            }
            let silence = |place: Place| Silence { looks: 2, confidence: None, in_doubt: state(place) == 9 };
            let lists = Facts {
                addresses: &addresses,
                ports: &ports,
                answered: &answered,
                found,
                why_not: &|place| matches!(state(place), 1..4).then(|| format!("reason {}", state(place)).into()),
                silence: &silence,
                told: &|place, _| Some(observation(addresses[place.host], ports[place.port], PortState::NoAnswer)),
            }
            .lists();
            let mut all = BTreeSet::new();
            for one in &lists.observations {
                prop_assert!(all.insert((one.address, one.port)));
            }
            let ranges = lists.silent.iter().map(|range| (range.first, range.last, &range.ports));
            let untested = lists.not_tested.iter().map(|range| (range.first, range.last, &range.ports));
            for (first, last, ports) in ranges.chain(untested) {
                for address in between(first, last) {
                    for port in ports {
                        prop_assert!(all.insert((address, *port)), "{address} {port} twice");
                    }
                }
            }
            prop_assert_eq!(all.len(), addresses.len() * ports.len());
            let doubted: usize = lists.in_doubt.iter().map(|range| between(range.first, range.last).count() * range.ports.len()).sum();
            let expected = (0..addresses.len()).flat_map(|host| (0..ports.len()).map(move |port| Place { host, port }));
            prop_assert_eq!(doubted, expected.filter(|place| state(*place) == 9).count());
        }
    }
}

//! Which port of which host comes when.
//!
//! The rounds are the outer loop and the hosts the inner one, in the same scattered order in every round. So two
//! packets to one host are always as many places apart as there are hosts, whatever the ports, and nothing has to be
//! remembered of any host to keep them apart in time.

use crate::{places::Place, shuffle::Shuffle};

/// Every port of every host exactly once.
#[derive(Debug, Clone)]
pub(super) struct Order {
    hosts: Hosts,
    ports: u64,
    scattered_ports: Shuffle,
}

#[derive(Debug, Clone)]
enum Hosts {
    /// All scattered alike.
    Scattered { count: u64, shuffle: Shuffle },
    /// The networks take turns, in each its hosts are scattered. Small networks have empty turns, so that two packets to
    /// one network, too, are always as many turns apart as there are networks.
    ByNetwork {
        networks: Shuffle,
        /// First host and number of hosts of each.
        stretches: Vec<(u64, u64)>,
        largest: u64,
        seed: u64,
    },
}

impl Order {
    /// All hosts scattered alike.
    pub(super) fn new(hosts: usize, ports: usize, seed: u64) -> Self {
        let count = hosts as u64;
        let shuffle = Shuffle::new(count, seed);
        Self::of(Hosts::Scattered { count, shuffle }, ports, seed)
    }

    /// The networks take turns. `network_of` numbers them from 0 on, without a gap, in the order of the hosts.
    pub(super) fn by_network(
        hosts: usize,
        ports: usize,
        seed: u64,
        network_of: impl Fn(usize) -> u32,
    ) -> Self {
        let mut stretches: Vec<(u64, u64)> = Vec::new();
        for host in 0..hosts {
            let network = network_of(host) as usize;
            match stretches.get_mut(network) {
                Some((_, count)) => *count += 1,
                None => stretches.push((host as u64, 1)),
            }
        }
        let hosts = Hosts::ByNetwork {
            networks: Shuffle::new(stretches.len() as u64, seed),
            largest: stretches
                .iter()
                .map(|(_, count)| *count)
                .max()
                .unwrap_or_default(),
            stretches,
            seed,
        };
        Self::of(hosts, ports, seed)
    }

    fn of(hosts: Hosts, ports: usize, seed: u64) -> Self {
        Self {
            hosts,
            ports: ports as u64,
            scattered_ports: Shuffle::new(ports as u64, !seed),
        }
    }

    /// How many turns a round has: one for each host, and the empty ones.
    pub(super) fn turns(&self) -> u64 {
        match &self.hosts {
            Hosts::Scattered { count, .. } => *count,
            Hosts::ByNetwork {
                stretches, largest, ..
            } => stretches.len() as u64 * largest,
        }
    }

    /// How many turns apart two turns of one network are; `None` where that is left to chance.
    pub(super) fn network_turns(&self) -> Option<u64> {
        match &self.hosts {
            Hosts::Scattered { .. } => None,
            Hosts::ByNetwork { stretches, .. } => Some(stretches.len() as u64),
        }
    }

    /// How many rounds: one for each port.
    pub(super) fn rounds(&self) -> u64 {
        self.ports
    }

    /// Who has a turn of a round; nobody in an empty one. Hosts begin at different ports, so that one port is not asked
    /// of all at once.
    pub(super) fn at(&self, round: u64, turn: u64) -> Option<Place> {
        let host = match &self.hosts {
            Hosts::Scattered { shuffle, .. } => shuffle.at(turn),
            Hosts::ByNetwork {
                networks,
                stretches,
                seed,
                ..
            } => {
                let count = stretches.len() as u64;
                let network = networks.at(turn.checked_rem(count)?);
                let (first, hosts) = *stretches.get(network as usize)?;
                let row = turn / count;
                if row >= hosts {
                    return None;
                }
                first + Shuffle::new(hosts, seed ^ network).at(row)
            }
        };
        let port = (round + turn).checked_rem(self.ports).unwrap_or_default();
        Some(Place {
            host: host as usize,
            port: self.scattered_ports.at(port) as usize,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn each_port_of_each_host_exactly_once_and_hosts_always_as_far_apart(
            hosts in 1usize..300, ports in 1usize..20, seed: u64) {
            let order = Order::new(hosts, ports, seed);
            let mut seen = HashSet::new();
            let mut last = HashMap::new();
            let walk = (0..order.rounds()).flat_map(|round| (0..order.turns()).map(move |turn| (round, turn)));
            for (number, (round, turn)) in walk.enumerate() {
                let place = order.at(round, turn).unwrap();
                prop_assert!(place.host < hosts && place.port < ports);
                prop_assert!(seen.insert(place));
                if let Some(before) = last.insert(place.host, number) {
                    prop_assert_eq!(number - before, hosts);
                }
            }
            prop_assert_eq!(seen.len(), hosts * ports);
        }

        #[test]
        fn networks_take_turns_and_everything_comes_once(sizes in prop::collection::vec(1u32..40, 1..12), ports in 1usize..5, seed: u64) {
            let of: Vec<u32> = (0..).zip(&sizes).flat_map(|(network, size)| (0..*size).map(move |_| network)).collect();
            let order = Order::by_network(of.len(), ports, seed, |host| of[host]);
            let apart = order.network_turns().unwrap();
            prop_assert_eq!(apart, sizes.len() as u64);
            let (mut seen, mut last_host, mut last_network) = (HashSet::new(), HashMap::new(), HashMap::new());
            let walk = (0..order.rounds()).flat_map(|round| (0..order.turns()).map(move |turn| (round, turn)));
            for (number, (round, turn)) in walk.enumerate() {
                let Some(place) = order.at(round, turn) else { continue };
                prop_assert!(seen.insert(place));
                if let Some(before) = last_host.insert(place.host, number) {
                    prop_assert_eq!(number as u64 - before as u64, order.turns());
                }
                if let Some(before) = last_network.insert(of[place.host], number) {
                    prop_assert!(number as u64 - before as u64 >= apart);
                }
            }
            prop_assert_eq!(seen.len(), of.len() * ports);
        }
    }
}

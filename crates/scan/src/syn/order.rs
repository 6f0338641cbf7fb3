//! Which port of which host comes when.
//!
//! The rounds are the outer loop and the hosts the inner one, in the same scattered order in every round. So two
//! packets to one host are always as many places apart as there are hosts, whatever the ports, and nothing has to be
//! remembered of any host to keep them apart in time.

use super::shuffle::Shuffle;

/// Every port of every host exactly once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Order {
    hosts: u64,
    ports: u64,
    scattered_hosts: Shuffle,
    scattered_ports: Shuffle,
}

/// One port of one host, as places in their lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Place {
    pub(super) host: usize,
    pub(super) port: usize,
}

impl Order {
    pub(super) fn new(hosts: usize, ports: usize, seed: u64) -> Self {
        Self {
            hosts: hosts as u64,
            ports: ports as u64,
            scattered_hosts: Shuffle::new(hosts as u64, seed),
            scattered_ports: Shuffle::new(ports as u64, !seed),
        }
    }

    /// How many turns a round has: one for each host.
    pub(super) fn turns(&self) -> u64 {
        self.hosts
    }

    /// How many rounds: one for each port.
    pub(super) fn rounds(&self) -> u64 {
        self.ports
    }

    /// Who has a turn of a round. Hosts begin at different ports, so that one port is not asked of all at once.
    pub(super) fn at(&self, round: u64, turn: u64) -> Place {
        let host = self.scattered_hosts.at(turn);
        let port = (round + turn).checked_rem(self.ports).unwrap_or_default();
        Place {
            host: host as usize,
            port: self.scattered_ports.at(port) as usize,
        }
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
                let place = order.at(round, turn);
                prop_assert!(place.host < hosts && place.port < ports);
                prop_assert!(seen.insert(place));
                if let Some(before) = last.insert(place.host, number) {
                    prop_assert_eq!(number - before, hosts);
                }
            }
            prop_assert_eq!(seen.len(), hosts * ports);
        }
    }
}

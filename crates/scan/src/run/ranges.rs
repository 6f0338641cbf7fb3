//! Long lists of addresses and ports, said as ranges. A range never covers an address that is not in the list.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use portcullis_model::Port;

/// Consecutive addresses that have the same ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) first: IpAddr,
    pub(super) last: IpAddr,
    pub(super) ports: Vec<Port>,
}

pub(super) fn ranges(entries: impl IntoIterator<Item = (IpAddr, Port)>) -> Vec<Range> {
    let mut hosts: BTreeMap<IpAddr, BTreeSet<Port>> = BTreeMap::new();
    for (address, port) in entries {
        hosts.entry(address).or_default().insert(port);
    }
    let mut ranges: Vec<Range> = Vec::new();
    for (address, ports) in hosts {
        match ranges.last_mut() {
            Some(range) if after(range.last) == Some(address) && ports.iter().eq(&range.ports) => {
                range.last = address;
            }
            _ => ranges.push(Range {
                first: address,
                last: address,
                ports: ports.into_iter().collect(),
            }),
        }
    }
    ranges
}

fn after(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(address) => u32::from(address)
            .checked_add(1)
            .map(|next| Ipv4Addr::from(next).into()),
        IpAddr::V6(address) => u128::from(address)
            .checked_add(1)
            .map(|next| Ipv6Addr::from(next).into()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn ranges_hold_exactly_what_was_listed(entries in prop::collection::btree_set((0u32..40, 1u16..4), 0..60)) {
            let entry = |(host, port): (u32, u16)| (IpAddr::from(Ipv4Addr::from(host)), Port::tcp(port));
            let listed: BTreeSet<_> = entries.into_iter().map(entry).collect();
            let mut back = BTreeSet::new();
            for range in ranges(listed.clone()) {
                let mut address = Some(range.first);
                while let Some(one) = address {
                    prop_assert!(range.ports.iter().all(|port| back.insert((one, *port))));
                    address = if one == range.last { None } else { after(one) };
                }
            }
            prop_assert_eq!(back, listed);
        }
    }

    #[test]
    fn neighbours_with_the_same_ports_become_one_range() {
        let entries = (1..=254).map(|last| (IpAddr::from([10, 0, 0, last]), Port::tcp(502)));
        assert_eq!(ranges(entries).len(), 1);
    }
}

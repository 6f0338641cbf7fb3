//! Everybody but those who are allowed: for systems in which a block wins over an allow, so that the two cannot be put
//! one before the other.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Subnets, Ipv6Subnets};
use portcullis_model::NetworkSet;

use crate::family::Family;

/// The addresses of a family that are not in the set, as ranges from first to last: the lowest first, none touching
/// another.
pub(crate) fn ranges(allow: &NetworkSet, family: Family) -> Vec<(IpAddr, IpAddr)> {
    let allowed = allow
        .networks()
        .iter()
        .filter(|network| family.is_of(network.addr()));
    let mut allowed: Vec<(u128, u128)> = allowed
        .map(|network| (number(network.network()), number(network.broadcast())))
        .collect();
    allowed.sort_unstable();
    let mut left = Vec::new();
    // The first address that nothing has been said about; none once the highest is passed.
    let mut next = Some(0);
    for (first, last) in allowed {
        let Some(from) = next else { break };
        if first > from {
            left.push((from, first - 1));
        }
        next = (last < family.highest()).then(|| from.max(last + 1));
    }
    left.extend(next.map(|from| (from, family.highest())));
    left.into_iter()
        .map(|(first, last)| (family.address(first), family.address(last)))
        .collect()
}

/// The same as the fewest networks.
pub(crate) fn networks(allow: &NetworkSet, family: Family) -> Vec<IpNet> {
    let subnets = |ends| -> Vec<IpNet> {
        match ends {
            (IpAddr::V4(first), IpAddr::V4(last)) => {
                Ipv4Subnets::new(first, last, 0).map(IpNet::V4).collect()
            }
            (IpAddr::V6(first), IpAddr::V6(last)) => {
                Ipv6Subnets::new(first, last, 0).map(IpNet::V6).collect()
            }
            _ => Vec::new(),
        }
    };
    ranges(allow, family).into_iter().flat_map(subnets).collect()
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn family() -> impl Strategy<Value = Family> {
        prop_oneof![Just(Family::V4), Just(Family::V6)]
    }

    /// Networks of both families, long and short ones.
    fn allowed() -> impl Strategy<Value = NetworkSet> {
        let network = (family(), any::<u128>(), 0u8..=128).prop_map(|(family, number, length)| {
            let number = if family == Family::V4 {
                number >> 96
            } else {
                number
            };
            IpNet::new(family.address(number), length.min(family.host_length())).unwrap()
        });
        prop::collection::vec(network, 0..6).prop_map(|networks| networks.into_iter().collect())
    }

    /// Every address of 192.0.2.0/28 and of 2001:db8::/124, allowed or not: each of the 65536 sets.
    #[test]
    fn each_set_of_a_small_network_has_its_complement() {
        for (base, family, length) in [("192.0.2.0", Family::V4, 32), ("2001:db8::", Family::V6, 128)] {
            let base = number(base.parse().unwrap());
            let address = |low: u32| family.address(base + u128::from(low));
            for bits in 0..=u16::MAX {
                let allow: NetworkSet = (0..16)
                    .filter(|low| bits >> low & 1 == 1)
                    .map(|low| IpNet::new(address(low), length).unwrap())
                    .collect();
                let blocked = ranges(&allow, family);
                for low in 0..16 {
                    let inside = blocked
                        .iter()
                        .any(|(first, last)| *first <= address(low) && address(low) <= *last);
                    assert_eq!(inside, bits >> low & 1 == 0, "{allow}: {}", address(low));
                }
            }
        }
    }

    #[test]
    fn nobody_and_everybody() {
        let nobody = NetworkSet::default();
        assert_eq!(networks(&nobody, Family::V4), ["0.0.0.0/0".parse().unwrap()]);
        assert_eq!(networks(&nobody, Family::V6), ["::/0".parse().unwrap()]);
        let everybody: NetworkSet = ["0.0.0.0/0", "::/0"]
            .iter()
            .map(|text| text.parse().unwrap())
            .collect();
        for family in Family::BOTH {
            assert_eq!(ranges(&everybody, family), []);
        }
    }

    proptest! {
        #[test]
        fn together_they_are_everything_and_share_nothing(allow in allowed(), family in family()) {
            let own: Vec<IpNet> = allow.networks().iter().copied().filter(|n| family.is_of(n.addr())).collect();
            let mut all: Vec<(u128, u128)> = ranges(&allow, family)
                .into_iter()
                .map(|(first, last)| (number(first), number(last)))
                .collect();
            // Two ranges that touch would be one.
            prop_assert!(all.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0));
            all.extend(own.iter().map(|n| (number(n.network()), number(n.broadcast()))));
            all.sort_unstable();
            prop_assert_eq!(all[0].0, 0);
            prop_assert_eq!(all[all.len() - 1].1, family.highest());
            prop_assert!(all.windows(2).all(|pair| pair[0].1 + 1 == pair[1].0), "{:?}", all);
        }

        #[test]
        fn no_fewer_networks_say_the_same(allow in allowed(), family in family()) {
            let blocked = networks(&allow, family);
            let mut all = blocked.clone();
            all.extend(allow.networks().iter().filter(|n| family.is_of(n.addr())));
            let whole: Vec<IpNet> = vec![IpNet::new(family.address(0), 0).unwrap()];
            prop_assert_eq!(IpNet::aggregate(&all), whole);
            prop_assert!(blocked.iter().all(|network| !allow.overlaps(network)));
            prop_assert_eq!(IpNet::aggregate(&blocked).len(), blocked.len());
        }
    }
}

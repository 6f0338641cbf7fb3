//! Sets of networks, and which addresses are public.

use std::{fmt, net::IpAddr};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// A set of IPv4 and IPv6 networks, kept in its smallest form: sorted, merged, none inside another.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NetworkSet(Vec<IpNet>);

impl NetworkSet {
    /// The networks, sorted, IPv4 first.
    pub fn networks(&self) -> &[IpNet] {
        &self.0
    }

    /// Whether the address lies in one of the networks.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Whether the whole network lies in the set.
    pub fn covers(&self, network: &IpNet) -> bool {
        self.0.iter().any(|own| own.contains(network))
    }

    /// Whether any address lies in both.
    pub fn overlaps(&self, network: &IpNet) -> bool {
        self.0
            .iter()
            .any(|own| own.contains(network) || network.contains(own))
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The fewest networks that are a network without those of a set.
pub fn without(network: &IpNet, taken: &NetworkSet) -> Vec<IpNet> {
    let network = network.trunc();
    if taken.covers(&network) {
        return Vec::new();
    }
    if !taken.overlaps(&network) {
        return vec![network];
    }
    // What overlaps and does not cover it is smaller than it is, and so it has halves.
    let halves = network.subnets(network.prefix_len() + 1).into_iter().flatten();
    halves.flat_map(|half| without(&half, taken)).collect()
}

impl FromIterator<IpNet> for NetworkSet {
    fn from_iter<I: IntoIterator<Item = IpNet>>(networks: I) -> Self {
        let networks: Vec<IpNet> = networks.into_iter().map(|network| network.trunc()).collect();
        Self(IpNet::aggregate(&networks))
    }
}

impl fmt::Display for NetworkSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, network) in self.0.iter().enumerate() {
            if position > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{network}")?;
        }
        Ok(())
    }
}

/// Whether an address is publicly routable, i.e. in none of the special-purpose blocks that stay inside a plant or a
/// machine (IANA IPv4/IPv6 Special-Purpose Address Registries, RFC 6890): private use, shared address space,
/// loopback, link-local, documentation, unique local.
pub fn is_public(address: IpAddr) -> bool {
    const INSIDE: [&str; 13] = [
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "192.0.2.0/24",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "::1/128",
        "fe80::/10",
        "fc00::/7",
        "2001:db8::/32",
    ];
    let address = address.to_canonical();
    !INSIDE
        .iter()
        .filter_map(|block| block.parse::<IpNet>().ok())
        .any(|block| block.contains(&address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_from_a_network_is_no_longer_in_it_and_all_else_is() {
        let network: IpNet = "10.7.20.0/24".parse().unwrap();
        let taken: NetworkSet = ["10.7.20.9/32", "10.7.20.128/25", "10.8.0.0/16"]
            .iter()
            .map(|text| text.parse().unwrap())
            .collect();
        let left: NetworkSet = without(&network, &taken).into_iter().collect();
        for last in 0..=255 {
            let address = IpAddr::from([10, 7, 20, last]);
            assert_eq!(left.contains(address), last != 9 && last < 128, "{address}");
        }
        assert_eq!(left.networks().len(), 7);
        assert!(without(&"10.8.3.0/24".parse().unwrap(), &taken).is_empty());
        let six: IpNet = "2001:db8::/64".parse().unwrap();
        assert_eq!(
            without(&six, &["2001:db8::7/128".parse().unwrap()].into_iter().collect()).len(),
            64
        );
        assert_eq!(without(&six, &taken), [six]);
    }

    #[test]
    fn a_set_merges_what_touches_and_drops_host_bits() {
        let set: NetworkSet = ["10.0.0.7/25", "10.0.0.128/25", "10.0.0.4/32"]
            .iter()
            .map(|text| text.parse().unwrap())
            .collect();
        assert_eq!(set.to_string(), "10.0.0.0/24");
    }

    #[test]
    fn public_means_routable_on_the_internet() {
        for (address, public) in [
            ("10.1.2.3", false),
            ("8.8.8.8", true),
            ("::ffff:10.0.0.1", false),
            ("2a00::1", true),
            ("fd00::1", false),
        ] {
            assert_eq!(is_public(address.parse().unwrap()), public, "{address}");
        }
    }
}

//! Addresses and ports as the rules have them (New-NetFirewallRule, `-RemoteAddress`, `-LocalPort`).

use std::net::IpAddr;

use ipnet::IpNet;

use crate::{
    family::Family,
    reach::{
        nft::bits_of,
        ranges::{Range, Ranges},
    },
};

/// Addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Addresses {
    /// All of both families.
    pub(super) any: bool,
    pub(super) v4: Ranges,
    pub(super) v6: Ranges,
    /// The networks of the host's interfaces, in these families.
    pub(super) subnets: Vec<Family>,
    /// Words that stand for addresses which the rules do not say.
    pub(super) unclear: Vec<String>,
}

impl Addresses {
    pub(super) fn of(words: &[String]) -> Self {
        let mut addresses = Self::default();
        let mut ranges: [Vec<Range>; 2] = [Vec::new(), Vec::new()];
        for word in words {
            match word.to_ascii_lowercase().as_str() {
                "any" => addresses.any = true,
                "localsubnet" => addresses.subnets = Family::BOTH.to_vec(),
                "localsubnet4" => addresses.subnets.push(Family::V4),
                "localsubnet6" => addresses.subnets.push(Family::V6),
                _ => match (range(word), &mut ranges) {
                    (Some((Family::V4, range)), [v4, _]) => v4.push(range),
                    (Some((Family::V6, range)), [_, v6]) => v6.push(range),
                    (None, _) => addresses.unclear.push(word.clone()),
                },
            }
        }
        let [v4, v6] = ranges.map(Ranges::from_iter);
        Self { v4, v6, ..addresses }
    }

    pub(super) fn ranges(&self, family: Family) -> &Ranges {
        match family {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        }
    }
}

/// An address, a network with its length or its mask, or a first and a last address.
fn range(word: &str) -> Option<(Family, Range)> {
    let address = |text: &str| text.trim().parse::<IpAddr>().ok();
    let family = |address: IpAddr| match address {
        IpAddr::V4(_) => Family::V4,
        IpAddr::V6(_) => Family::V6,
    };
    if let Some((first, last)) = word.split_once('-') {
        let (first, last) = (address(first)?, address(last)?);
        let range = (bits_of(first), bits_of(last));
        return (family(first) == family(last) && range.0 <= range.1).then_some((family(first), range));
    }
    let network = match word.split_once('/') {
        None => IpNet::from(address(word)?),
        Some((base, length)) => match (address(base)?, address(length)) {
            (IpAddr::V4(base), Some(mask @ IpAddr::V4(_))) => IpNet::with_netmask(base.into(), mask).ok()?,
            (base, None) if length.bytes().all(|digit| digit.is_ascii_digit()) => {
                IpNet::new(base, length.parse().ok()?).ok()?
            }
            _ => return None,
        },
    };
    Some((
        family(network.addr()),
        (bits_of(network.network()), bits_of(network.broadcast())),
    ))
}

/// Ports.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Ports {
    pub(super) any: bool,
    pub(super) ranges: Ranges,
    /// Words that stand for ports which the rules do not say, e.g. `RPC`.
    pub(super) unclear: Vec<String>,
}

impl Ports {
    pub(super) fn of(words: &[String]) -> Self {
        let mut ports = Self::default();
        let mut ranges = Vec::new();
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
            text.parse::<u16>().ok().filter(|_| digits).map(u128::from)
        };
        for word in words {
            let (first, last) = word.split_once('-').unwrap_or((word, word));
            match (number(first.trim()), number(last.trim())) {
                _ if word.eq_ignore_ascii_case("any") => ports.any = true,
                (Some(first), Some(last)) if first <= last => ranges.push((first, last)),
                _ => ports.unclear.push(word.clone()),
            }
        }
        ports.ranges = ranges.into_iter().collect();
        ports
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(family: Family, words: &[&str]) -> String {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let addresses = Addresses::of(&words);
        let networks = addresses.ranges(family).networks(family);
        let networks: Vec<String> = networks.iter().map(ToString::to_string).collect();
        format!("{} | {}", networks.join(" "), addresses.unclear.join(" "))
    }

    #[test]
    fn each_form_of_an_address_is_read_and_no_other() {
        // 10.0.0.0/255.255.255.0 is 10.0.0.0/24; 10.0.1.0 to 10.0.1.255 touches it: together 10.0.0.0/23.
        let words = ["10.0.0.0/255.255.255.0", "10.0.1.0-10.0.1.255", "192.0.2.7"];
        assert_eq!(shown(Family::V4, &words), "10.0.0.0/23 192.0.2.7/32 | ");
        assert_eq!(
            shown(Family::V6, &["2001:db8::-2001:db8::1", "::1/128"]),
            "::1/128 2001:db8::/127 | "
        );
        // A mask with holes, a range backwards or of two families, a length that is none, an address with a zone.
        for word in [
            "10.0.0.0/255.0.255.0",
            "10.0.0.9-10.0.0.1",
            "10.0.0.1-::1",
            "10.0.0.0/33",
            "10.0.0.0/+8",
            "fe80::1%4",
            "10.0.0.1 10.0.0.2",
            "DNS",
            "DefaultGateway",
        ] {
            assert_eq!(shown(Family::V4, &[word]), format!(" | {word}"));
        }
    }

    #[test]
    fn each_form_of_a_port_is_read_and_no_other() {
        let of = |words: &[&str]| Ports::of(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        let ports = of(&["80", "5000-5010", "RPC"]);
        assert_eq!(ports.ranges.as_slice(), [(80, 80), (5000, 5010)]);
        assert_eq!((ports.any, ports.unclear), (false, vec!["RPC".to_owned()]));
        assert!(of(&["any"]).any);
        for word in ["65536", "+80", "9-8", "80,443", "80 443", "-", ""] {
            assert_eq!(of(&[word]).unclear, [word]);
        }
    }
}

//! Which hosts lie in the same network: they share middle boxes, and what is lost on the way to them.

use std::net::IpAddr;

/// Bits that addresses of one network share: a /24 of IPv4, a /64 of IPv6 (RFC 4291 2.5.4).
const SHARED_V4: u32 = 24;
const SHARED_V6: u32 = 64;

/// The networks of a scan's hosts, numbered.
#[derive(Debug)]
pub(crate) struct Networks {
    of_host: Vec<u32>,
    count: u32,
}

impl Networks {
    /// The networks of sorted addresses.
    pub(crate) fn of(addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        let mut last = None;
        let mut count = 0;
        let of_host = addresses
            .into_iter()
            .map(|address| {
                let network = prefix(address);
                if last != Some(network) {
                    last = Some(network);
                    count += 1;
                }
                count - 1
            })
            .collect();
        Self { of_host, count }
    }

    /// The number of the network that a host lies in.
    pub(crate) fn of_host(&self, host: usize) -> u32 {
        self.of_host.get(host).copied().unwrap_or_default()
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.count as usize
    }
}

fn prefix(address: IpAddr) -> (bool, u128) {
    match address {
        IpAddr::V4(address) => (true, u128::from(u32::from(address) >> (32 - SHARED_V4))),
        IpAddr::V6(address) => (false, u128::from(address) >> (128 - SHARED_V6)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_share_a_network() {
        let addresses = [
            "10.0.0.1",
            "10.0.0.9",
            "10.0.1.1",
            "fd00::1",
            "fd00::2",
            "fd00:0:0:1::1",
        ];
        let networks = Networks::of(addresses.map(|text| text.parse().unwrap()));
        let of: Vec<u32> = (0..addresses.len()).map(|host| networks.of_host(host)).collect();
        assert_eq!(of, [0, 0, 1, 2, 2, 3]);
        assert_eq!(networks.count(), 4);
    }
}

//! What makes an answer ours: source port and sequence number of each SYN follow from a secret and from whom it goes to.
//! Whoever did not see the SYN cannot guess them, and we need not remember them.

use std::{hash::Hasher as _, net::IpAddr, ops::RangeInclusive};

use siphasher::sip::SipHasher24;

/// The secret of one scan and the source ports that it uses.
#[derive(Debug, Clone)]
pub(super) struct Cookies {
    secret: [u64; 2],
    ports: RangeInclusive<u16>,
}

/// What a SYN to one port of one address carries. The same port of the same address always gets the same, so that a
/// second SYN is a repetition of the first (RFC 9293 3.8.1) and takes no second place in the device's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cookie {
    pub(super) source_port: u16,
    pub(super) sequence: u32,
}

impl Cookies {
    pub(super) fn new(secret: [u64; 2], ports: RangeInclusive<u16>) -> Self {
        Self { secret, ports }
    }

    /// The source ports that SYNs go from.
    pub(super) fn ports(&self) -> &RangeInclusive<u16> {
        &self.ports
    }

    pub(super) fn of(&self, source: IpAddr, target: IpAddr, port: u16) -> Cookie {
        let [first, second] = self.secret;
        let mut hasher = SipHasher24::new_with_keys(first, second);
        for address in [source, target] {
            match address {
                IpAddr::V4(address) => hasher.write_u32(address.into()),
                IpAddr::V6(address) => hasher.write_u128(address.into()),
            }
        }
        hasher.write_u16(port);
        let hash = hasher.finish();
        let count = u64::from(*self.ports.end() - *self.ports.start()) + 1;
        Cookie {
            // Below `count`, which is at most 2^16.
            source_port: self.ports.start() + ((hash >> 32) % count) as u16,
            sequence: hash as u32,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn it_depends_on_the_secret_and_on_both_ends() {
        let (a, b): (IpAddr, IpAddr) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let six: IpAddr = "fd00::2".parse().unwrap();
        let one = Cookies::new([1, 2], 61000..=61999);
        let other = Cookies::new([1, 3], 61000..=61999);
        let all = [
            one.of(a, b, 502),
            one.of(b, a, 502),
            one.of(a, b, 503),
            one.of(six, b, 502),
            other.of(a, b, 502),
        ];
        let sequences: HashSet<u32> = all.iter().map(|cookie| cookie.sequence).collect();
        assert_eq!(sequences.len(), all.len());
        assert_eq!(one.of(a, b, 502), one.of(a, b, 502));
    }

    #[test]
    fn source_ports_fill_their_range_and_no_more() {
        for range in [61000..=61999, 65535..=65535, 0..=u16::MAX] {
            let cookies = Cookies::new([5, 6], range.clone());
            let own = IpAddr::from([10, 0, 0, 1]);
            let ports: HashSet<u16> = (0..20_000u32)
                .map(|target| {
                    cookies
                        .of(own, std::net::Ipv4Addr::from(target).into(), 1)
                        .source_port
                })
                .collect();
            assert!(ports.iter().all(|port| range.contains(port)));
            assert!(ports.len() > range.len().min(15_000) * 9 / 10);
        }
    }
}

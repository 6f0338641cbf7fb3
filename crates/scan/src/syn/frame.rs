//! An Ethernet frame with a TCP SYN in it, made from a template: only the target, the ports, the sequence number and the
//! two checksums change.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::cookie::Cookie;

/// Bytes of an Ethernet header.
const ETHERNET: usize = 14;
/// A TCP header with one option, the maximum segment size (RFC 9293 3.7.1).
const TCP: usize = 24;
const V4: usize = 20;
const V6: usize = 40;
const TTL: u8 = 64;
/// An ordinary small window; nothing will ever be received in it.
const WINDOW: u16 = 1024;
const PROTOCOL_TCP: u8 = 6;

/// Our own end of what is sent by one interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Own {
    pub(super) ethernet: [u8; 6],
    pub(super) address: IpAddr,
}

/// A SYN that lacks its target. The checksums of all that does not change are summed up once.
#[derive(Debug, Clone)]
pub(super) struct Template {
    bytes: Vec<u8>,
    ip_sum: u64,
    tcp_sum: u64,
}

impl Template {
    pub(super) fn new(own: Own) -> Self {
        let mut bytes = Vec::with_capacity(ETHERNET + V6 + TCP);
        bytes.extend([0; 6]);
        bytes.extend(own.ethernet);
        let (ip_sum, source_sum) = match own.address {
            IpAddr::V4(source) => {
                bytes.extend([0x08, 0x00]);
                let header = header_v4(source);
                bytes.extend(header);
                (sum(&header), sum(&source.octets()))
            }
            IpAddr::V6(source) => {
                bytes.extend([0x86, 0xdd]);
                bytes.extend(header_v6(source));
                (0, sum(&source.octets()))
            }
        };
        let tcp = tcp(match own.address {
            IpAddr::V4(_) => 1460,
            IpAddr::V6(_) => 1440,
        });
        bytes.extend(tcp);
        Self {
            bytes,
            ip_sum,
            // The pseudo header (RFC 9293 3.1, RFC 8200 8.1) without the target.
            tcp_sum: sum(&tcp) + source_sum + u64::from(PROTOCOL_TCP) + TCP as u64,
        }
    }

    pub(super) fn length(&self) -> usize {
        self.bytes.len()
    }

    /// Writes the SYN into `frame`, which must have [`Template::length`] bytes. Returns whether it could: the target
    /// must be of the family of our own address.
    pub(super) fn write(
        &self,
        frame: &mut [u8],
        next_hop: [u8; 6],
        target: IpAddr,
        port: u16,
        cookie: Cookie,
    ) -> bool {
        if frame.len() != self.bytes.len() {
            return false;
        }
        frame.copy_from_slice(&self.bytes);
        put(frame, 0, &next_hop);
        let (ip, target_sum) = match target {
            IpAddr::V4(target) if self.bytes.len() == ETHERNET + V4 + TCP => {
                let target = target.octets();
                let target_sum = sum(&target);
                // With DF set the number may be any (RFC 6864 4.1).
                let number = (cookie.sequence as u16).to_be_bytes();
                put(frame, ETHERNET + 4, &number);
                put(frame, ETHERNET + 16, &target);
                let checksum = folded(self.ip_sum + target_sum + sum(&number));
                put(frame, ETHERNET + 10, &checksum);
                (V4, target_sum)
            }
            IpAddr::V6(target) if self.bytes.len() == ETHERNET + V6 + TCP => {
                put(frame, ETHERNET + 24, &target.octets());
                (V6, sum(&target.octets()))
            }
            _ => return false,
        };
        let tcp = ETHERNET + ip;
        let sequence = cookie.sequence.to_be_bytes();
        put(frame, tcp, &cookie.source_port.to_be_bytes());
        put(frame, tcp + 2, &port.to_be_bytes());
        put(frame, tcp + 4, &sequence);
        let changing = u64::from(cookie.source_port) + u64::from(port) + sum(&sequence);
        put(frame, tcp + 16, &folded(self.tcp_sum + target_sum + changing));
        true
    }
}

fn header_v4(source: Ipv4Addr) -> [u8; V4] {
    let [a, b, c, d] = source.octets();
    let length = (V4 + TCP) as u8;
    // 0x40 is DF: a SYN is never cut.
    [
        0x45,
        0,
        0,
        length,
        0,
        0,
        0x40,
        0,
        TTL,
        PROTOCOL_TCP,
        0,
        0,
        a,
        b,
        c,
        d,
        0,
        0,
        0,
        0,
    ]
}

fn header_v6(source: Ipv6Addr) -> Vec<u8> {
    let mut header = vec![0x60, 0, 0, 0, 0, TCP as u8, PROTOCOL_TCP, TTL];
    header.extend(source.octets());
    header.extend([0; 16]);
    header
}

fn tcp(segment: u16) -> [u8; TCP] {
    let mut header = [0; TCP];
    let [window, segment] = [WINDOW.to_be_bytes(), segment.to_be_bytes()];
    put(&mut header, 12, &[(TCP as u8 / 4) << 4, 0x02]);
    put(&mut header, 14, &window);
    put(&mut header, 20, &[2, 4]);
    put(&mut header, 22, &segment);
    header
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(room) = bytes.get_mut(at..at + value.len()) {
        room.copy_from_slice(value);
    }
}

/// The sum of 16-bit words (RFC 1071), not yet folded.
pub(super) fn sum(bytes: &[u8]) -> u64 {
    bytes
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => u64::from(u16::from_be_bytes([*high, *low])),
            [high] => u64::from(*high) << 8,
            _ => 0,
        })
        .sum()
}

/// The checksum that a sum gives.
pub(super) fn folded(mut sum: u64) -> [u8; 2] {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!(sum as u16)).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(source: IpAddr, target: IpAddr, port: u16, cookie: Cookie) -> Vec<u8> {
        let own = Own {
            ethernet: [2, 0, 0, 0, 0, 1],
            address: source,
        };
        let template = Template::new(own);
        let mut frame = vec![0xff; template.length()];
        assert!(template.write(&mut frame, [2, 0, 0, 0, 0, 9], target, port, cookie));
        frame
    }

    proptest! {
        #[test]
        fn checksums_are_right_for_ipv4(source: u32, target: u32, port: u16, source_port: u16, sequence: u32) {
            let (source, target) = (Ipv4Addr::from(source), Ipv4Addr::from(target));
            let frame = written(source.into(), target.into(), port, Cookie { source_port, sequence });
            prop_assert_eq!(folded(sum(&frame[14..34])), [0, 0]);
            let pseudo = sum(&source.octets()) + sum(&target.octets()) + 6 + 24;
            prop_assert_eq!(folded(pseudo + sum(&frame[34..])), [0, 0]);
            prop_assert_eq!(&frame[30..34], &target.octets());
            prop_assert_eq!((&frame[34..36], &frame[36..38]), (&source_port.to_be_bytes()[..], &port.to_be_bytes()[..]));
            prop_assert_eq!(&frame[38..42], &sequence.to_be_bytes());
        }

        #[test]
        fn checksums_are_right_for_ipv6(source: u128, target: u128, port: u16, source_port: u16, sequence: u32) {
            let (source, target) = (Ipv6Addr::from(source), Ipv6Addr::from(target));
            let frame = written(source.into(), target.into(), port, Cookie { source_port, sequence });
            let pseudo = sum(&source.octets()) + sum(&target.octets()) + 6 + 24;
            prop_assert_eq!(folded(pseudo + sum(&frame[54..])), [0, 0]);
            prop_assert_eq!(&frame[38..54], &target.octets());
        }
    }

    #[test]
    fn it_is_a_syn_and_nothing_else() {
        let cookie = Cookie {
            source_port: 61000,
            sequence: 1,
        };
        let frame = written([10, 0, 0, 1].into(), [10, 0, 0, 2].into(), 502, cookie);
        assert_eq!((frame[46], frame[47]), (0x60, 0x02), "six words, SYN alone");
        assert_eq!(frame.len(), 58);
        assert_eq!(&frame[..14], &[2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1, 8, 0]);
    }

    #[test]
    fn the_other_family_is_not_written() {
        let template = Template::new(Own {
            ethernet: [0; 6],
            address: [10, 0, 0, 1].into(),
        });
        let cookie = Cookie {
            source_port: 1,
            sequence: 1,
        };
        let mut frame = vec![0; template.length()];
        assert!(!template.write(&mut frame, [0; 6], "fd00::1".parse().unwrap(), 502, cookie));
        assert!(!template.write(&mut frame[1..], [0; 6], [10, 0, 0, 2].into(), 502, cookie));
    }
}

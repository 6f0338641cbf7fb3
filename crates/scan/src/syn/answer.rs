//! What came back: a frame read as an answer to one of our SYNs. Every byte is from outside; whatever does not fit is no
//! answer.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::cookie::Cookies;

const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;
const TCP: u8 = 6;
const ICMP: u8 = 1;
const ICMP_V6: u8 = 58;

/// An answer to a SYN of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Answer {
    /// The address that the SYN went to.
    pub(super) target: IpAddr,
    /// The port that it went to.
    pub(super) port: u16,
    /// Our own address.
    pub(super) source: IpAddr,
    pub(super) said: Said,
}

/// What the answer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    /// SYN and ACK: somebody listens.
    Accepted,
    /// RST: nobody listens.
    Reset,
    /// An ICMP or ICMPv6 error.
    Icmp {
        /// Who sent it.
        from: IpAddr,
        /// Its type.
        kind: u8,
        /// Its code.
        code: u8,
    },
}

/// Reads an Ethernet frame. `None` when it is no answer to a SYN that carried one of these cookies: strays, answers to
/// somebody else, and forgeries of those who did not see the SYN.
pub(super) fn read(frame: &[u8], cookies: &Cookies) -> Option<Answer> {
    match frame.get(12..14)? {
        [0x08, 0x00] => {
            let packet = Packet::v4(frame.get(14..)?)?;
            match packet.protocol {
                TCP => segment(&packet, cookies),
                ICMP => error(&packet, cookies, &[3, 11], Packet::v4),
                _ => None,
            }
        }
        [0x86, 0xdd] => {
            let packet = Packet::v6(frame.get(14..)?)?;
            match packet.protocol {
                TCP => segment(&packet, cookies),
                ICMP_V6 => error(&packet, cookies, &[1, 3], Packet::v6),
                _ => None,
            }
        }
        _ => None,
    }
}

struct Packet<'a> {
    protocol: u8,
    source: IpAddr,
    target: IpAddr,
    payload: &'a [u8],
}

impl<'a> Packet<'a> {
    fn v4(bytes: &'a [u8]) -> Option<Self> {
        let header = bytes.get(..20)?;
        let first = *header.first()?;
        let fragment = u16::from_be_bytes(two(header, 6)?) & 0x1fff;
        if first >> 4 != 4 || fragment != 0 {
            return None;
        }
        let address = |at: usize| -> Option<IpAddr> {
            let octets: [u8; 4] = header.get(at..at + 4)?.try_into().ok()?;
            Some(Ipv4Addr::from(octets).into())
        };
        Some(Self {
            protocol: *header.get(9)?,
            source: address(12)?,
            target: address(16)?,
            payload: bytes.get(usize::from(first & 15).max(5) * 4..)?,
        })
    }

    fn v6(bytes: &'a [u8]) -> Option<Self> {
        let header = bytes.get(..40)?;
        if *header.first()? >> 4 != 6 {
            return None;
        }
        let address = |at: usize| -> Option<IpAddr> {
            let octets: [u8; 16] = header.get(at..at + 16)?.try_into().ok()?;
            Some(Ipv6Addr::from(octets).into())
        };
        Some(Self {
            protocol: *header.get(6)?,
            source: address(8)?,
            target: address(24)?,
            payload: bytes.get(40..)?,
        })
    }
}

fn segment(packet: &Packet<'_>, cookies: &Cookies) -> Option<Answer> {
    let tcp = packet.payload.get(..20)?;
    let port = u16::from_be_bytes(two(tcp, 0)?);
    let own_port = u16::from_be_bytes(two(tcp, 2)?);
    let acknowledged = u32::from_be_bytes(four(tcp, 8)?);
    let flags = *tcp.get(13)?;
    let cookie = cookies.of(packet.target, packet.source, port);
    // Both answers acknowledge our SYN (RFC 9293 3.10.7.1 and 3.10.7.2), which is what proves that it was seen.
    let ours =
        flags & ACK != 0 && own_port == cookie.source_port && acknowledged == cookie.sequence.wrapping_add(1);
    if !ours {
        return None;
    }
    let said = match flags & (SYN | RST) {
        SYN => Said::Accepted,
        RST => Said::Reset,
        _ => return None,
    };
    Some(Answer {
        target: packet.source,
        port,
        source: packet.target,
        said,
    })
}

/// An ICMP error quotes at least the IP header and eight bytes of what it answers (RFC 792, RFC 4443 3.1): ports and
/// sequence number are among them.
fn error<'a>(
    packet: &Packet<'a>,
    cookies: &Cookies,
    kinds: &[u8],
    quoted: fn(&'a [u8]) -> Option<Packet<'a>>,
) -> Option<Answer> {
    let (kind, code) = (*packet.payload.first()?, *packet.payload.get(1)?);
    if !kinds.contains(&kind) {
        return None;
    }
    let quote = quoted(packet.payload.get(8..)?)?;
    if quote.protocol != TCP || quote.source != packet.target {
        return None;
    }
    let own_port = u16::from_be_bytes(two(quote.payload, 0)?);
    let port = u16::from_be_bytes(two(quote.payload, 2)?);
    let sequence = u32::from_be_bytes(four(quote.payload, 4)?);
    let cookie = cookies.of(quote.source, quote.target, port);
    if own_port != cookie.source_port || sequence != cookie.sequence {
        return None;
    }
    Some(Answer {
        target: quote.target,
        port,
        source: quote.source,
        said: Said::Icmp {
            from: packet.source,
            kind,
            code,
        },
    })
}

fn two(bytes: &[u8], at: usize) -> Option<[u8; 2]> {
    bytes.get(at..at + 2)?.try_into().ok()
}

fn four(bytes: &[u8], at: usize) -> Option<[u8; 4]> {
    bytes.get(at..at + 4)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::frame::{Own, Template};
    use super::*;

    fn cookies() -> Cookies {
        Cookies::new([7, 9], 61000..=61999)
    }

    fn own(target: IpAddr) -> IpAddr {
        match target {
            IpAddr::V4(_) => [10, 0, 0, 1].into(),
            IpAddr::V6(_) => "fd00::1".parse().unwrap(),
        }
    }

    fn syn(target: IpAddr, port: u16) -> Vec<u8> {
        let source = own(target);
        let template = Template::new(Own {
            ethernet: [2; 6],
            address: source,
        });
        let mut frame = vec![0; template.length()];
        assert!(template.write(
            &mut frame,
            [4; 6],
            target,
            port,
            cookies().of(source, target, port)
        ));
        frame
    }

    /// What a host would send back, without a checksum: the kernel has checked it.
    fn reply(target: IpAddr, port: u16, flags: u8, wrong: u32) -> Vec<u8> {
        let mut frame = syn(target, port);
        let (addresses, size, tcp) = match target {
            IpAddr::V4(_) => (26, 4, 34),
            IpAddr::V6(_) => (22, 16, 54),
        };
        let (from, to) = frame[addresses..addresses + 2 * size].split_at_mut(size);
        from.swap_with_slice(to);
        let (from, to) = frame[tcp..tcp + 4].split_at_mut(2);
        from.swap_with_slice(to);
        let sequence = u32::from_be_bytes(frame[tcp + 4..tcp + 8].try_into().unwrap());
        let acknowledged = sequence.wrapping_add(1).wrapping_add(wrong);
        frame[tcp + 8..tcp + 12].copy_from_slice(&acknowledged.to_be_bytes());
        frame[tcp + 13] = flags;
        frame
    }

    fn icmp(target: IpAddr, port: u16, from: IpAddr, kind: u8, code: u8) -> Vec<u8> {
        let quoted = syn(target, port)[14..].to_vec();
        let mut frame = vec![0; 12];
        match (from, own(target)) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                frame.extend([8, 0, 0x45, 0, 0, 0, 0, 0, 0, 0, 64, ICMP, 0, 0]);
                frame.extend(from.octets());
                frame.extend(to.octets());
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                frame.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 0, ICMP_V6, 64]);
                frame.extend(from.octets());
                frame.extend(to.octets());
            }
            _ => unreachable!(),
        }
        frame.extend([kind, code, 0, 0, 0, 0, 0, 0]);
        frame.extend(quoted);
        frame
    }

    #[test]
    fn answers_are_told_apart_in_both_families() {
        for target in ["10.9.8.7", "fd00::9"].map(|text| text.parse::<IpAddr>().unwrap()) {
            let expected = |said| {
                Some(Answer {
                    target,
                    port: 502,
                    source: own(target),
                    said,
                })
            };
            let accepted = reply(target, 502, SYN | ACK, 0);
            assert_eq!(read(&accepted, &cookies()), expected(Said::Accepted));
            let reset = reply(target, 502, RST | ACK, 0);
            assert_eq!(read(&reset, &cookies()), expected(Said::Reset));
            let kinds: &[u8] = if target.is_ipv4() { &[3, 11] } else { &[1, 3] };
            for (kind, code) in kinds
                .iter()
                .flat_map(|kind| (0..16).map(move |code| (*kind, code)))
            {
                for from in [target, own(target)] {
                    let frame = icmp(target, 502, from, kind, code);
                    assert_eq!(
                        read(&frame, &cookies()),
                        expected(Said::Icmp { from, kind, code })
                    );
                }
            }
        }
    }

    #[test]
    fn strays_and_forgeries_are_ignored() {
        for target in ["10.9.8.7", "fd00::9"].map(|text| text.parse::<IpAddr>().unwrap()) {
            let stray = |frame: &[u8]| read(frame, &cookies()).is_none();
            assert!(stray(&reply(target, 502, SYN | ACK, 1)), "wrong acknowledgement");
            assert!(
                stray(&reply(target, 502, RST, 0)),
                "a reset that acknowledges nothing"
            );
            assert!(stray(&reply(target, 502, SYN, 0)), "a SYN of their own");
            assert!(stray(&reply(target, 502, ACK, 0)));
            assert!(stray(&syn(target, 502)), "our own SYN");
            let other = Cookies::new([7, 8], 61000..=61999);
            assert_eq!(read(&reply(target, 502, SYN | ACK, 0), &other), None);
            assert_eq!(read(&icmp(target, 502, target, 3, 1), &other), None);
            assert!(stray(&icmp(target, 502, target, 8, 0)), "an echo request");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_fail(bytes in prop::collection::vec(any::<u8>(), 0..160), v6: bool) {
            let mut bytes = bytes;
            if bytes.len() > 14 {
                bytes[12..14].copy_from_slice(if v6 { &[0x86, 0xdd] } else { &[8, 0] });
                bytes[14] = if v6 { 0x60 } else { 0x45 };
            }
            prop_assert_eq!(read(&bytes, &cookies()), None);
        }

        #[test]
        fn a_cut_answer_is_none(length in 0usize..58) {
            let whole = reply([10, 0, 0, 7].into(), 502, SYN | ACK, 0);
            let known = read(&whole[..length], &cookies()).is_some();
            prop_assert_eq!(known, length >= 54);
        }
    }
}

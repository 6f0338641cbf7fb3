//! Which Ethernet address a neighbour has: ARP (RFC 826) for IPv4, neighbour discovery (RFC 4861) for IPv6. The kernel is
//! not made to ask, for it would not keep our pace.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::frame::{Own, folded, sum};

const ICMP_V6: u8 = 58;
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;

/// The question who has an address, as a frame. `None` when the address is not of the family of our own.
pub(super) fn question(own: Own, address: IpAddr) -> Option<Vec<u8>> {
    match (own.address, address) {
        (IpAddr::V4(source), IpAddr::V4(address)) => Some(arp(own.ethernet, source, address)),
        (IpAddr::V6(source), IpAddr::V6(address)) => Some(solicitation(own.ethernet, source, address)),
        _ => None,
    }
}

fn arp(ethernet: [u8; 6], source: Ipv4Addr, address: Ipv4Addr) -> Vec<u8> {
    let mut frame = vec![0xff; 6];
    frame.extend(ethernet);
    // Ethernet and IPv4, with their lengths; 1 asks.
    frame.extend([0x08, 0x06, 0, 1, 0x08, 0x00, 6, 4, 0, 1]);
    frame.extend(ethernet);
    frame.extend(source.octets());
    frame.extend([0; 6]);
    frame.extend(address.octets());
    frame
}

fn solicitation(ethernet: [u8; 6], source: Ipv6Addr, address: Ipv6Addr) -> Vec<u8> {
    let [.., a, b, c] = address.octets();
    // The solicited-node address (RFC 4291 2.7.1) and its group on Ethernet (RFC 2464 7).
    let group = Ipv6Addr::new(
        0xff02,
        0,
        0,
        0,
        0,
        1,
        0xff00 | u16::from(a),
        u16::from_be_bytes([b, c]),
    );
    let mut message = vec![SOLICITATION, 0, 0, 0, 0, 0, 0, 0];
    message.extend(address.octets());
    message.extend([1, 1]);
    message.extend(ethernet);
    let length = message.len() as u8;
    let pseudo = sum(&source.octets()) + sum(&group.octets()) + u64::from(length) + u64::from(ICMP_V6);
    let checksum = folded(pseudo + sum(&message));
    let mut frame = vec![0x33, 0x33, 0xff, a, b, c];
    frame.extend(ethernet);
    // Whoever answers checks that no router has seen the question: the hop limit must be 255.
    frame.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, length, ICMP_V6, 255]);
    frame.extend(source.octets());
    frame.extend(group.octets());
    frame.extend(message.get(..2).unwrap_or_default());
    frame.extend(checksum);
    frame.extend(message.get(4..).unwrap_or_default());
    frame
}

/// Reads an answer: who, and at which Ethernet address.
pub(super) fn answer(frame: &[u8]) -> Option<(IpAddr, [u8; 6])> {
    match frame.get(12..14)? {
        [0x08, 0x06] => {
            let arp = frame.get(14..42)?;
            if arp.get(..8)? != [0, 1, 0x08, 0x00, 6, 4, 0, 2] {
                return None;
            }
            let ethernet = arp.get(8..14)?.try_into().ok()?;
            let address: [u8; 4] = arp.get(14..18)?.try_into().ok()?;
            Some((Ipv4Addr::from(address).into(), unicast(ethernet)?))
        }
        [0x86, 0xdd] => {
            let (next, hops) = (*frame.get(20)?, *frame.get(21)?);
            let message = frame.get(54..)?;
            // A message from behind a router is a forgery (RFC 4861 7.1.2).
            if next != ICMP_V6 || hops != 255 || message.get(..2)? != [ADVERTISEMENT, 0] {
                return None;
            }
            let address: [u8; 16] = message.get(8..24)?.try_into().ok()?;
            let option = message.get(24..32)?;
            // The target's link-layer address, which an answer to a question sent to a group must have.
            let [2, 1, ethernet @ ..] = option else {
                return None;
            };
            Some((
                Ipv6Addr::from(address).into(),
                unicast(ethernet.try_into().ok()?)?,
            ))
        }
        _ => None,
    }
}

/// An address that one station has. A group's would send every packet of the scan to many.
fn unicast(ethernet: [u8; 6]) -> Option<[u8; 6]> {
    let [first, ..] = ethernet;
    (first & 1 == 0 && ethernet != [0; 6]).then_some(ethernet)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OWN: [u8; 6] = [2, 0, 0, 0, 0, 1];

    fn own(address: &str) -> Own {
        Own {
            ethernet: OWN,
            address: address.parse().unwrap(),
        }
    }

    #[test]
    fn an_arp_request_and_its_reply() {
        let asked: IpAddr = "10.0.0.9".parse().unwrap();
        let mut frame = question(own("10.0.0.1"), asked).unwrap();
        assert_eq!((frame.len(), &frame[..6]), (42, &[0xff; 6][..]));
        assert_eq!(answer(&frame), None, "a question is no answer");
        frame[21] = 2;
        frame[22..28].copy_from_slice(&[2, 9, 9, 9, 9, 9]);
        frame[28..32].copy_from_slice(&[10, 0, 0, 9]);
        assert_eq!(answer(&frame), Some((asked, [2, 9, 9, 9, 9, 9])));
        frame[22] = 1;
        assert_eq!(answer(&frame), None, "a group has no address");
    }

    #[test]
    fn a_solicitation_and_its_advertisement() {
        let asked: IpAddr = "fd00::12:3456".parse().unwrap();
        let mut frame = question(own("fd00::1"), asked).unwrap();
        assert_eq!(frame.len(), 86);
        assert_eq!(&frame[..6], &[0x33, 0x33, 0xff, 0x12, 0x34, 0x56]);
        let pseudo = sum(&frame[22..54]) + 32 + 58;
        assert_eq!(folded(pseudo + sum(&frame[54..])), [0, 0], "checksum");
        assert_eq!(answer(&frame), None, "a question is no answer");
        frame[54] = ADVERTISEMENT;
        frame[78] = 2;
        assert_eq!(answer(&frame), Some((asked, OWN)));
        frame[21] = 64;
        assert_eq!(answer(&frame), None, "it came from behind a router");
    }

    #[test]
    fn families_are_not_mixed() {
        assert_eq!(question(own("10.0.0.1"), "fd00::1".parse().unwrap()), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_fail(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = answer(&bytes);
        }
    }
}

//! What a frame begins with, and where its IP packet is.

use portcullis_knowledge::profinet;
use portcullis_model::MacAddress;

/// Kinds of frames, by the numbers of the registry of link types (tcpdump.org/linktypes.html).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// Ethernet (1), with any number of VLAN tags.
    Ethernet,
    /// IPv4 or IPv6 without anything before it (101, and 12, 14, 228, 229).
    Ip,
    /// BSD loopback (0, 108): the family in four bytes.
    Null,
    /// Linux cooked capture (113), as of the interface `any`.
    Cooked,
    /// Linux cooked capture, version 2 (276).
    Cooked2,
    /// One that is not read.
    Unknown(u16),
}

impl Link {
    /// By its number.
    pub fn numbered(number: u16) -> Self {
        match number {
            1 => Self::Ethernet,
            12 | 14 | 101 | 228 | 229 => Self::Ip,
            0 | 108 => Self::Null,
            113 => Self::Cooked,
            276 => Self::Cooked2,
            other => Self::Unknown(other),
        }
    }
}

/// What lies inside a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Inside<'b> {
    pub(crate) carries: Carries,
    pub(crate) bytes: &'b [u8],
    /// The hardware address that sent it.
    pub(crate) from: Option<MacAddress>,
    /// Whether it went to a group of stations or to all.
    pub(crate) to_group: bool,
    /// The outermost VLAN.
    pub(crate) vlan: Option<u16>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Carries {
    /// IPv4 or IPv6; which, its first half byte says.
    Ip,
    Arp,
    /// PROFINET.
    Profinet,
    /// Anything else.
    Other,
}

/// Most VLAN tags of one frame.
const MOST_TAGS: usize = 4;

/// Takes off what is around the packet; `None` when the frame is shorter than that.
pub(crate) fn inside(link: Link, bytes: &[u8]) -> Option<Inside<'_>> {
    match link {
        Link::Ethernet => {
            let (to, rest) = bytes.split_first_chunk::<6>()?;
            let (from, rest) = rest.split_first_chunk::<6>()?;
            let inside = typed(rest)?;
            Some(Inside {
                from: Some(MacAddress::new(*from)),
                to_group: MacAddress::new(*to).is_group(),
                ..inside
            })
        }
        Link::Ip => Some(bare(bytes)),
        Link::Null => {
            // The family is in the byte order of the capturing host; only its smallest byte is ever set.
            let (family, rest) = bytes.split_first_chunk::<4>()?;
            let is_ip = matches!(
                family,
                [2 | 10 | 23 | 24 | 28 | 30, 0, 0, 0] | [0, 0, 0, 2 | 10 | 23 | 24 | 28 | 30]
            );
            let carries = if is_ip { Carries::Ip } else { Carries::Other };
            Some(Inside {
                carries,
                ..bare(rest)
            })
        }
        Link::Cooked => {
            let (header, rest) = bytes.split_at_checked(14)?;
            let inside = typed(rest)?;
            Some(Inside {
                from: station(header.get(2..4)?, header.get(4..6)?, header.get(6..12)?),
                to_group: matches!(header.get(..2)?, [0, 1 | 2]),
                ..inside
            })
        }
        Link::Cooked2 => {
            let (header, rest) = bytes.split_at_checked(20)?;
            let kind = u16::from_be_bytes(header.get(..2)?.try_into().ok()?);
            let inside = by_type(kind, rest)?;
            Some(Inside {
                from: station(header.get(8..10)?, &[0, *header.get(11)?], header.get(12..18)?),
                to_group: matches!(header.get(10)?, 1 | 2),
                ..inside
            })
        }
        Link::Unknown(_) => None,
    }
}

/// A packet of which nothing else is known.
fn bare(bytes: &[u8]) -> Inside<'_> {
    Inside {
        carries: Carries::Ip,
        bytes,
        from: None,
        to_group: false,
        vlan: None,
    }
}

/// What begins with its EtherType.
fn typed(bytes: &[u8]) -> Option<Inside<'_>> {
    let (kind, rest) = bytes.split_first_chunk::<2>()?;
    by_type(u16::from_be_bytes(*kind), rest)
}

/// What stands behind an EtherType, and behind the VLAN tags there (IEEE 802.1Q: 8100, 88A8; 9100 of older switches).
fn by_type(mut kind: u16, mut bytes: &[u8]) -> Option<Inside<'_>> {
    let mut vlan = None;
    for _ in 0..=MOST_TAGS {
        let carries = match kind {
            0x0800 | 0x86dd => Carries::Ip,
            0x0806 => Carries::Arp,
            profinet::ETHERTYPE => Carries::Profinet,
            0x8100 | 0x88a8 | 0x9100 => {
                let (tag, rest) = bytes.split_first_chunk::<4>()?;
                let [high, low, next @ ..] = tag;
                vlan = vlan.or(Some(u16::from_be_bytes([*high, *low]) & 0x0fff));
                (kind, bytes) = (u16::from_be_bytes(*next), rest);
                continue;
            }
            _ => Carries::Other,
        };
        return Some(Inside {
            carries,
            vlan,
            ..bare(bytes)
        });
    }
    Some(Inside {
        carries: Carries::Other,
        vlan,
        ..bare(bytes)
    })
}

/// The sender of a cooked frame, if its hardware is Ethernet (1) or loopback (772) and its address has six bytes.
fn station(hardware: &[u8], length: &[u8], address: &[u8]) -> Option<MacAddress> {
    let address: [u8; 6] = address.try_into().ok()?;
    (matches!(hardware, [0, 1] | [3, 4]) && length == [0, 6]).then_some(MacAddress::new(address))
}

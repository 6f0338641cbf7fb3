//! From a frame to what it says of two endpoints.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use etherparse::{IpNumber, LaxIpPayloadSlice, LaxIpv4Slice, LaxIpv6Slice};
use portcullis_model::{MacAddress, Transport};

use crate::link::{Carries, Inside, Link, inside};

/// What a frame holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content<'b> {
    Tcp(Between, Segment<'b>),
    Udp(Between, Data<'b>),
    /// ARP: a station says that an address is its own.
    Arp(Sender, IpAddr),
    /// PROFINET: what follows the EtherType.
    Profinet(Sender, &'b [u8]),
    Nothing(Nothing),
}

/// Why a frame says nothing about a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Nothing {
    /// Its link type is not read.
    Link,
    /// It is no IP packet.
    NotIp,
    /// Its headers do not hold together, or are cut.
    Broken,
    /// A piece of a packet that is not its first one.
    Fragment,
    /// Neither TCP nor UDP.
    OtherTransport,
    /// From or to port 0, which nobody can have (RFC 6335, 6), or from an address that is no host's.
    NoEnd,
}

/// Who sent a packet, below IP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sender {
    pub(crate) mac: Option<MacAddress>,
    pub(crate) vlan: Option<u16>,
    /// Whether the packet can have come over no router: its hop limit is one that systems begin with.
    pub(crate) near: bool,
}

/// The two ends of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Between {
    pub(crate) from: (IpAddr, u16),
    pub(crate) to: (IpAddr, u16),
    pub(crate) sender: Sender,
    pub(crate) to_group: bool,
}

/// The bytes of a packet's user, as far as they were kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Data<'b> {
    pub(crate) bytes: &'b [u8],
    /// How many were sent.
    pub(crate) sent: usize,
}

/// A TCP segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment<'b> {
    pub(crate) sequence: u32,
    pub(crate) acknowledged: u32,
    pub(crate) flags: u8,
    pub(crate) data: Data<'b>,
}

pub(crate) const FIN: u8 = 1;
pub(crate) const SYN: u8 = 2;
pub(crate) const RST: u8 = 4;
pub(crate) const ACK: u8 = 16;

/// Reads a frame. `vlan` is that of a tag which is no longer in it.
pub(crate) fn read(link: Link, bytes: &[u8], vlan: Option<u16>) -> Content<'_> {
    if matches!(link, Link::Unknown(_)) {
        return Content::Nothing(Nothing::Link);
    }
    let Some(mut inside) = inside(link, bytes) else {
        return Content::Nothing(Nothing::Broken);
    };
    inside.vlan = vlan.or(inside.vlan);
    let content = match inside.carries {
        Carries::Ip => ip(&inside),
        Carries::Arp => arp(&inside),
        Carries::Profinet => Some(Content::Profinet(
            Sender {
                mac: inside.from,
                vlan: inside.vlan,
                // It is not routed.
                near: true,
            },
            inside.bytes,
        )),
        Carries::Other => Some(Content::Nothing(Nothing::NotIp)),
    };
    content.unwrap_or(Content::Nothing(Nothing::Broken))
}

/// From where to where a frame carries TCP or UDP; `None` when it carries neither, or only a later piece of a packet.
pub fn ends(link: Link, bytes: &[u8]) -> Option<(Transport, SocketAddr, SocketAddr)> {
    let (transport, between) = match read(link, bytes, None) {
        Content::Tcp(between, _) => (Transport::Tcp, between),
        Content::Udp(between, _) => (Transport::Udp, between),
        _ => return None,
    };
    Some((transport, between.from.into(), between.to.into()))
}

/// The addresses and what stands behind the headers of IP.
struct Packet<'b> {
    from: IpAddr,
    to: IpAddr,
    hops: u8,
    payload: LaxIpPayloadSlice<'b>,
    /// Bytes that the packet has and the capture has not.
    missing: usize,
    /// Whether it is a piece that does not begin with the transport's header.
    later_piece: bool,
}

fn ip<'b>(inside: &Inside<'b>) -> Option<Content<'b>> {
    let packet = match inside.bytes.first()? >> 4 {
        4 => v4(inside.bytes)?,
        6 => v6(inside.bytes)?,
        _ => return Some(Content::Nothing(Nothing::NotIp)),
    };
    let number = packet.payload.ip_number;
    if !matches!(number, IpNumber::TCP | IpNumber::UDP) {
        return Some(Content::Nothing(Nothing::OtherTransport));
    }
    if packet.later_piece {
        return Some(Content::Nothing(Nothing::Fragment));
    }
    let between = |ports: &[u8]| {
        let (from, to) = (ports.get(..2)?, ports.get(2..4)?);
        let port = |bytes: &[u8]| bytes.try_into().map(u16::from_be_bytes).ok();
        Some(Between {
            from: (packet.from, port(from)?),
            to: (packet.to, port(to)?),
            sender: Sender {
                mac: inside.from,
                vlan: inside.vlan,
                near: matches!(packet.hops, 32 | 64 | 128 | 255),
            },
            to_group: inside.to_group || is_group(packet.to),
        })
    };
    let bytes = packet.payload.payload;
    if bytes.get(..4)?.chunks(2).any(|port| port == [0, 0]) || is_nobody(packet.from) {
        return Some(Content::Nothing(Nothing::NoEnd));
    }
    Some(if number == IpNumber::TCP {
        // Ports, sequence, acknowledged, length of the header, flags.
        let fixed = bytes.get(..14)?;
        let header = usize::from(fixed.get(12)? >> 4) * 4;
        if header < 20 {
            return None;
        }
        let word = |at: usize| fixed.get(at..at + 4)?.try_into().map(u32::from_be_bytes).ok();
        let data = data(bytes, header, packet.missing);
        let segment = Segment {
            sequence: word(4)?,
            acknowledged: word(8)?,
            flags: *fixed.get(13)?,
            data,
        };
        Content::Tcp(between(fixed)?, segment)
    } else {
        let fixed = bytes.get(..8)?;
        // The length of UDP itself; 0 in jumbograms.
        let length = usize::from(u16::from_be_bytes(fixed.get(4..6)?.try_into().ok()?));
        let sent = match length {
            0 => bytes.len() + packet.missing,
            length if length >= 8 => length,
            _ => return None,
        };
        let kept = bytes.get(8..sent.min(bytes.len()))?;
        let data = Data {
            bytes: kept,
            sent: sent - 8,
        };
        Content::Udp(between(fixed)?, data)
    })
}

/// What follows a header of that many bytes. Where the header itself is cut, nothing was kept.
fn data(bytes: &[u8], header: usize, missing: usize) -> Data<'_> {
    Data {
        bytes: bytes.get(header..).unwrap_or_default(),
        sent: (bytes.len() + missing).saturating_sub(header),
    }
}

fn v4(bytes: &[u8]) -> Option<Packet<'_>> {
    let (slice, _) = LaxIpv4Slice::from_slice(bytes).ok()?;
    let header = slice.header();
    let payload = slice.payload().clone();
    let missing = match payload.incomplete {
        true => usize::from(header.total_len()).saturating_sub(bytes.len()),
        false => 0,
    };
    Some(Packet {
        from: header.source_addr().into(),
        to: header.destination_addr().into(),
        hops: header.ttl(),
        later_piece: header.fragments_offset().value() > 0,
        missing,
        payload,
    })
}

fn v6(bytes: &[u8]) -> Option<Packet<'_>> {
    let (slice, _) = LaxIpv6Slice::from_slice(bytes).ok()?;
    let header = slice.header();
    let payload = slice.payload().clone();
    let missing = match payload.incomplete {
        true => (usize::from(header.payload_length()) + 40).saturating_sub(bytes.len()),
        false => 0,
    };
    let mut extensions = slice.extensions().clone().into_iter();
    let later_piece = payload.fragmented
        && extensions.any(|extension| match extension {
            etherparse::Ipv6ExtensionSlice::Fragment(fragment) => fragment.fragment_offset().value() > 0,
            _ => false,
        });
    Some(Packet {
        from: header.source_addr().into(),
        to: header.destination_addr().into(),
        hops: header.hop_limit(),
        later_piece,
        missing,
        payload,
    })
}

fn is_nobody(address: IpAddr) -> bool {
    address.is_unspecified() || is_group(address)
}

fn is_group(address: IpAddr) -> bool {
    address.is_multicast() || address == IpAddr::V4(Ipv4Addr::BROADCAST)
}

/// ARP over Ethernet for IPv4 (RFC 826): the sender's own addresses. A probe has no address yet (RFC 5227).
fn arp<'b>(inside: &Inside<'b>) -> Option<Content<'b>> {
    let bytes = inside.bytes;
    if bytes.get(..6)? != [0, 1, 8, 0, 6, 4] {
        return Some(Content::Nothing(Nothing::NotIp));
    }
    let mac: [u8; 6] = bytes.get(8..14)?.try_into().ok()?;
    let address: [u8; 4] = bytes.get(14..18)?.try_into().ok()?;
    let sender = Sender {
        mac: Some(MacAddress::new(mac)),
        vlan: inside.vlan,
        near: true,
    };
    Some(Content::Arp(sender, Ipv4Addr::from(address).into()))
}

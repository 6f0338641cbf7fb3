//! Packets of a netfilter log group (NFLOG): live, and in captures of link type 239.
//!
//! The link type's header is described in "LINKTYPE_NFLOG" of tcpdump.org, its values in `linux/netfilter/nfnetlink_log.h`.

use std::borrow::Cow;

use etherparse::{IpNumber, LaxIpSlice, TcpHeaderSlice};
use portcullis_model::{LogFormat, TcpFlags};

use crate::{Event, Line, Prefixes, RawTime, Reason};

/// A packet as the kernel hands it to a log group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoggedPacket<'a> {
    /// The rule's log prefix.
    pub prefix: &'a [u8],
    /// The packet from its IP header on; the group may have cut it off.
    pub payload: &'a [u8],
    /// When, in microseconds since 1970 (UTC), if it is known.
    pub at: Option<i64>,
    /// Name or number of the interface it came in by; empty when it is not known.
    pub interface: Cow<'a, [u8]>,
    /// Name or number of the interface it went out by.
    pub out_interface: Cow<'a, [u8]>,
}

/// Reads a logged packet. It has no ports for other protocols, for all fragments but the first, and when it was cut off
/// before them.
pub fn read_packet<'a>(packet: &LoggedPacket<'a>, prefixes: &Prefixes) -> Line<'a> {
    let Ok((ip, _stopped)) = LaxIpSlice::from_slice(packet.payload) else {
        return Line::Unreadable(Reason::NotIp);
    };
    let (source, destination, length) = match &ip {
        LaxIpSlice::Ipv4(ip) => {
            let header = ip.header();
            (
                header.source_addr().into(),
                header.destination_addr().into(),
                u64::from(header.total_len()),
            )
        }
        LaxIpSlice::Ipv6(ip) => {
            let header = ip.header();
            (
                header.source_addr().into(),
                header.destination_addr().into(),
                40 + u64::from(header.payload_length()),
            )
        }
    };
    let mut event = Event::between(LogFormat::Nflog, source, destination);
    transport(&ip, &mut event);
    event.bytes = Some(length);
    event.time = packet.at.map_or(RawTime::None, RawTime::Unix);
    let end = packet
        .prefix
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(packet.prefix.len());
    let prefix = packet.prefix.get(..end).unwrap_or_default().trim_ascii();
    event.prefix = Cow::Borrowed(prefix);
    event.verdict = prefixes.verdict(prefix);
    event.moment = Prefixes::moment(prefix, event.verdict);
    event.interface = packet.interface.clone();
    event.out_interface = packet.out_interface.clone();
    Line::Event(event)
}

/// TCP and UDP both begin with source and destination port (RFC 9293, 3.1; RFC 768), so that four bytes are enough.
fn transport(ip: &LaxIpSlice<'_>, event: &mut Event<'_>) {
    let (payload, first) = match ip {
        LaxIpSlice::Ipv4(ip) => (ip.payload(), ip.header().fragments_offset().value() == 0),
        LaxIpSlice::Ipv6(ip) => (ip.payload(), !ip.is_payload_fragmented()),
    };
    event.protocol = Some(payload.ip_number.0);
    if !first || !matches!(payload.ip_number, IpNumber::TCP | IpNumber::UDP) {
        return;
    }
    if let Some(([a, b, c, d], _)) = payload.payload.split_first_chunk::<4>() {
        event.source_port = Some(u16::from_be_bytes([*a, *b]));
        event.destination_port = Some(u16::from_be_bytes([*c, *d]));
    }
    if payload.ip_number == IpNumber::TCP && TcpHeaderSlice::from_slice(payload.payload).is_ok() {
        event.flags = payload.payload.get(13).copied().map(TcpFlags);
    }
}

const HEADER: usize = 4;
const INTERFACE: u16 = 4;
const OUT_INTERFACE: u16 = 5;
const PAYLOAD: u16 = 9;
const PREFIX: u16 = 10;

/// Reads a frame of link type 239; `at` is in microseconds since 1970 (UTC). Interfaces have numbers only there.
pub fn read_frame<'a>(frame: &'a [u8], at: Option<i64>, prefixes: &Prefixes) -> Line<'a> {
    // The values are in the byte order of the capturing host, of which the header does not tell.
    match values(frame, u16::from_le_bytes).or_else(|| values(frame, u16::from_be_bytes)) {
        Some(packet) if !packet.payload.is_empty() => read_packet(&LoggedPacket { at, ..packet }, prefixes),
        _ => Line::Unreadable(Reason::NotIp),
    }
}

fn values(frame: &[u8], order: fn([u8; 2]) -> u16) -> Option<LoggedPacket<'_>> {
    let mut packet = LoggedPacket::default();
    let mut rest = frame.get(HEADER..)?;
    while let Some(([a, b, c, d], _)) = rest.split_first_chunk::<4>() {
        let (length, kind) = (usize::from(order([*a, *b])), order([*c, *d]));
        let value = rest.get(4..length)?;
        match kind {
            PAYLOAD => packet.payload = value,
            PREFIX => packet.prefix = value,
            INTERFACE => packet.interface = number(value),
            OUT_INTERFACE => packet.out_interface = number(value),
            _ => {}
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Some(packet)
}

/// Interface numbers are in network order. The capturing host's names are not in the capture.
fn number(value: &[u8]) -> Cow<'static, [u8]> {
    match value.first_chunk::<4>() {
        Some(number) => Cow::Owned(format!("#{}", u32::from_be_bytes(*number)).into_bytes()),
        None => Cow::Borrowed(b""),
    }
}

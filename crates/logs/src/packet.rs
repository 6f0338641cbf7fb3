//! Packets of a netfilter log group (NFLOG).

use std::net::IpAddr;

use etherparse::{IpNumber, LaxIpSlice};
use jiff::Timestamp;
use portcullis_model::{LogEvent, LogFormat, LogMoment, LogSource, Port, Transport, Untrusted};

use crate::Prefixes;

/// A packet as the kernel hands it to a log group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedPacket {
    /// The rule's log prefix.
    pub prefix: String,
    /// The packet from its IP header on; the group may have cut it off.
    pub payload: Vec<u8>,
    /// When the kernel saw it, if it says so.
    pub at: Option<Timestamp>,
    /// Interface it came in by.
    pub interface: Option<String>,
}

/// Why a packet cannot become an event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PacketError {
    /// The group was told to copy nothing of the packet.
    #[error("the packet of log group {group} has no content")]
    Empty {
        /// Group number.
        group: u16,
    },
    /// The beginning is no IPv4 or IPv6 header.
    #[error("the packet of log group {group} does not begin with an IP header")]
    Header {
        /// Group number.
        group: u16,
        /// What is wrong with it.
        #[source]
        source: etherparse::err::ip::LaxHeaderSliceError,
    },
}

/// Reads a logged packet. Ports are `None` for other protocols, for all fragments but the first, and when the packet
/// was cut off before them.
///
/// # Errors
/// A packet without a readable IP header.
pub fn packet_event(group: u16, packet: &LoggedPacket, prefixes: &Prefixes) -> Result<LogEvent, PacketError> {
    if packet.payload.is_empty() {
        return Err(PacketError::Empty { group });
    }
    let (ip, _stopped) =
        LaxIpSlice::from_slice(&packet.payload).map_err(|source| PacketError::Header { group, source })?;
    let (source, destination) = addresses(&ip);
    let ports = ports(&ip);
    let prefix = packet.prefix.trim_matches(['\0', ' ']);
    Ok(LogEvent {
        at: packet.at,
        time_assumed: None,
        verdict: prefixes.verdict(prefix),
        source,
        destination,
        port: ports.map(|(_, port)| port),
        source_port: ports.map(|(source_port, _)| source_port),
        interface: packet.interface.as_ref().map(Untrusted::new),
        prefix: Untrusted::new(prefix),
        read_from: LogSource::Nflog { group },
        format: LogFormat::Nflog,
        moment: LogMoment::Packet,
        protocol: None,
        flags: None,
        out_interface: None,
        count: 1,
        bytes: None,
        duration_ms: None,
    })
}

fn addresses(ip: &LaxIpSlice<'_>) -> (IpAddr, IpAddr) {
    match ip {
        LaxIpSlice::Ipv4(ip) => (
            ip.header().source_addr().into(),
            ip.header().destination_addr().into(),
        ),
        LaxIpSlice::Ipv6(ip) => (
            ip.header().source_addr().into(),
            ip.header().destination_addr().into(),
        ),
    }
}

/// TCP and UDP both begin with source and destination port (RFC 9293, 3.1; RFC 768), so that four bytes are enough.
fn ports(ip: &LaxIpSlice<'_>) -> Option<(u16, Port)> {
    let (payload, first) = match ip {
        LaxIpSlice::Ipv4(ip) => (ip.payload(), ip.header().fragments_offset().value() == 0),
        LaxIpSlice::Ipv6(ip) => (ip.payload(), !ip.is_payload_fragmented()),
    };
    let transport = match payload.ip_number {
        IpNumber::TCP => Transport::Tcp,
        IpNumber::UDP => Transport::Udp,
        _ => return None,
    };
    let (numbers, _) = payload.payload.split_first_chunk::<4>()?;
    let [source_high, source_low, high, low] = *numbers;
    let port = Port {
        transport,
        number: u16::from_be_bytes([high, low]),
    };
    first.then_some((u16::from_be_bytes([source_high, source_low]), port))
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;
    use portcullis_model::Verdict;
    use proptest::prelude::*;

    use super::*;

    fn logged(payload: &[u8]) -> LoggedPacket {
        LoggedPacket {
            prefix: "portcullis-drop \0".into(),
            payload: payload.into(),
            at: Some(Timestamp::UNIX_EPOCH),
            interface: Some("eth0".into()),
        }
    }

    fn tcp() -> Vec<u8> {
        let mut bytes = Vec::new();
        PacketBuilder::ipv4([192, 0, 2, 7], [10, 7, 10, 4], 64)
            .tcp(40000, 54321, 1, 64240)
            .syn()
            .write(&mut bytes, &[])
            .unwrap();
        bytes
    }

    fn event(payload: &[u8]) -> LogEvent {
        packet_event(5, &logged(payload), &Prefixes::default()).unwrap()
    }

    #[test]
    fn a_packet_of_our_own_rule_was_blocked() {
        let event = event(&tcp());
        assert_eq!(event.source.to_string(), "192.0.2.7");
        assert_eq!(event.destination.to_string(), "10.7.10.4");
        assert_eq!(
            (event.port, event.source_port),
            (Some(Port::tcp(54321)), Some(40000))
        );
        assert_eq!(
            (event.verdict, event.prefix.raw()),
            (Verdict::Blocked, "portcullis-drop")
        );
        assert_eq!(event.read_from, LogSource::Nflog { group: 5 });
    }

    #[test]
    fn four_bytes_of_the_transport_header_are_enough_and_three_are_not() {
        assert_eq!(event(&tcp()[..24]).port, Some(Port::tcp(54321)));
        assert_eq!(event(&tcp()[..23]).port, None);
    }

    #[test]
    fn a_later_fragment_has_no_ports() {
        let mut fragment = tcp();
        fragment[7] = 3;
        assert_eq!(event(&fragment).port, None);
    }

    #[test]
    fn ipv6_and_udp_are_read() {
        let mut bytes = Vec::new();
        PacketBuilder::ipv6([0x20; 16], [0xfd; 16], 64)
            .udp(4800, 4800)
            .write(&mut bytes, b"x")
            .unwrap();
        let event = event(&bytes);
        assert!(event.source.is_ipv6());
        assert_eq!(event.port, Some(Port::udp(4800)));
    }

    #[test]
    fn what_is_no_ip_packet_is_an_error() {
        let error = |payload: &[u8]| packet_event(5, &logged(payload), &Prefixes::default()).unwrap_err();
        assert_eq!(error(&[]), PacketError::Empty { group: 5 });
        for payload in [&[0x45, 0][..], &[0x00; 40], &[0x60; 20]] {
            assert!(
                matches!(error(payload), PacketError::Header { .. }),
                "{payload:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(payload in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = packet_event(5, &logged(&payload), &Prefixes::default());
        }
    }
}

//! The connection tracker's table: who opened which connection.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use netlink_packet_core::{
    NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload, Nla as _,
};
use netlink_packet_netfilter::{
    NetfilterHeader, NetfilterMessage, NetfilterMessageInner, NetfilterProtoFamily,
    conntrack::{ConntrackAttribute, ConntrackMessage, IPTuple, ProtoTuple, Protocol, Tuple},
};
use netlink_sys::{Socket, protocols::NETLINK_NETFILTER};

use crate::{SysError, link};

/// A tracked TCP connection in the direction in which it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Flow {
    /// Who opened it.
    pub originator: SocketAddr,
    /// Who was called.
    pub responder: SocketAddr,
    /// How long ago it was opened; only where the tracker keeps times (`net.netfilter.nf_conntrack_timestamp`).
    pub age: Option<Duration>,
}

/// The tracked TCP connections of this network namespace. Connections that began before the tracker was in use are
/// not among them, or in the wrong direction when they were picked up in the middle.
///
/// # Errors
/// Without CAP_NET_ADMIN, or when the kernel has no connection tracker.
pub fn flows() -> Result<Vec<Flow>, SysError> {
    let mut flows = Vec::new();
    for family in [NetfilterProtoFamily::IPv4, NetfilterProtoFamily::IPv6] {
        dump(family, &mut flows).map_err(|source| SysError::Call {
            what: "read the connection tracker",
            source,
        })?;
    }
    Ok(flows)
}

fn dump(family: NetfilterProtoFamily, flows: &mut Vec<Flow>) -> io::Result<()> {
    let mut socket = Socket::new(NETLINK_NETFILTER)?;
    socket.bind_auto()?;
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_DUMP;
    let request = NetfilterMessage::new(
        NetfilterHeader::new(family, 0, 0),
        ConntrackMessage::Get(Vec::new()),
    );
    link::send(
        &socket,
        NetlinkMessage::new(header, NetlinkPayload::from(request)),
    )?;
    let mut buffer = Vec::new();
    let mut complete = false;
    while !complete {
        link::receive(
            &socket,
            &mut buffer,
            |payload: NetlinkPayload<NetfilterMessage>| {
                match payload {
                    NetlinkPayload::Done(_) => complete = true,
                    NetlinkPayload::Error(error) => link::acknowledged(&error)?,
                    NetlinkPayload::InnerMessage(message) => {
                        if let NetfilterMessageInner::Conntrack(ConntrackMessage::New(attributes)) =
                            message.inner
                        {
                            flows.extend(flow_of(&attributes));
                        }
                    }
                    _ => {}
                }
                Ok(())
            },
        )?;
    }
    Ok(())
}

/// `CTA_TIMESTAMP` and `CTA_TIMESTAMP_START` of linux/netfilter/nfnetlink_conntrack.h: nanoseconds since 1970.
const TIMESTAMP: u16 = 20;
const START: u16 = 1;

fn flow_of(attributes: &[ConntrackAttribute]) -> Option<Flow> {
    let (originator, responder) = attributes.iter().find_map(|attribute| match attribute {
        ConntrackAttribute::CtaTupleOrig(tuple) => ends_of(tuple),
        _ => None,
    })?;
    let times = attributes
        .iter()
        .find(|attribute| attribute.kind() & 0x3fff == TIMESTAMP);
    Some(Flow {
        originator,
        responder,
        age: times.and_then(|times| {
            let mut bytes = vec![0; times.value_len()];
            times.emit_value(&mut bytes);
            age(&bytes, SystemTime::now())
        }),
    })
}

/// How old a connection is, from the attributes inside `CTA_TIMESTAMP`.
fn age(times: &[u8], now: SystemTime) -> Option<Duration> {
    let mut rest = times;
    loop {
        let length = usize::from(u16::from_ne_bytes(rest.get(..2)?.try_into().ok()?));
        let kind = u16::from_ne_bytes(rest.get(2..4)?.try_into().ok()?);
        if kind & 0x3fff == START {
            let nanoseconds = u64::from_be_bytes(rest.get(4..12)?.try_into().ok()?);
            return now
                .duration_since(UNIX_EPOCH + Duration::from_nanos(nanoseconds))
                .ok();
        }
        // Each is filled up to four bytes (netlink(7)).
        rest = rest.get(length.max(4).next_multiple_of(4)..)?;
    }
}

fn ends_of(tuples: &[Tuple]) -> Option<(SocketAddr, SocketAddr)> {
    let (mut addresses, mut ports) = ([None; 2], [None; 2]);
    let mut tcp = false;
    for tuple in tuples {
        match tuple {
            Tuple::Ip(parts) => {
                for part in parts {
                    match part {
                        IPTuple::SourceAddress(address) => addresses = [Some(*address), addresses[1]],
                        IPTuple::DestinationAddress(address) => addresses = [addresses[0], Some(*address)],
                        _ => {}
                    }
                }
            }
            Tuple::Proto(parts) => {
                for part in parts {
                    match part {
                        ProtoTuple::Protocol(protocol) => tcp = *protocol == Protocol::Tcp,
                        ProtoTuple::SourcePort(port) => ports = [Some(*port), ports[1]],
                        ProtoTuple::DestinationPort(port) => ports = [ports[0], Some(*port)],
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    let end = |address: Option<IpAddr>, port: Option<u16>| Some(SocketAddr::new(address?, port?));
    let [source, destination] = addresses;
    let [source_port, destination_port] = ports;
    let (originator, responder) = (end(source, source_port)?, end(destination, destination_port)?);
    tcp.then_some((originator, responder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_age_of_a_connection_is_read_where_it_is_told() {
        let start = 1_700_000_000_000_000_000_u64;
        let now = UNIX_EPOCH + Duration::from_nanos(start) + Duration::from_secs(95);
        let mut times = Vec::new();
        for (kind, value) in [(2, start + 1), (1, start)] {
            times.extend(12_u16.to_ne_bytes());
            times.extend(u16::to_ne_bytes(kind));
            times.extend(u64::to_be_bytes(value));
        }
        assert_eq!(age(&times, now), Some(Duration::from_secs(95)));
        assert_eq!(age(&times, UNIX_EPOCH), None, "a clock that was set back");
        for length in 0..times.len() {
            assert_eq!(age(times.get(..length).unwrap(), now), None);
        }
    }
}

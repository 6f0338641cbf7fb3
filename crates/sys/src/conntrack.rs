//! The connection tracker's table: who opened which connection.

use std::{
    io,
    net::{IpAddr, SocketAddr},
};

use netlink_packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
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
                            flows.extend(attributes.into_iter().find_map(|attribute| match attribute {
                                ConntrackAttribute::CtaTupleOrig(tuple) => flow_of(&tuple),
                                _ => None,
                            }));
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

fn flow_of(tuples: &[Tuple]) -> Option<Flow> {
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
    tcp.then_some(Flow {
        originator,
        responder,
    })
}

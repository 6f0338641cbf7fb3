//! How the kernel would send to an address: interfaces, routes with their rules, neighbours (`rtnetlink(7)`). Read
//! only; needs no privileges.

use std::{
    collections::{BTreeSet, HashMap},
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use netlink_packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    link::{LinkAttribute, LinkFlags, LinkLayerType, LinkMessage},
    neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState},
    route::{RouteAddress, RouteAttribute, RouteMessage, RouteType, RouteVia},
    rule::{RuleAttribute, RuleMessage},
};
use netlink_sys::{Socket, protocols::NETLINK_ROUTE};

use crate::{SysError, link};

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Its index in this network namespace.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its Ethernet address; `None` when it has none, as loopback and tunnels without Ethernet.
    pub ethernet: Option<[u8; 6]>,
    /// Whether it is up.
    pub up: bool,
}

/// Where the kernel would send a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Index of the interface.
    pub interface: u32,
    /// The router; `None` when the address is on the link itself.
    pub gateway: Option<IpAddr>,
    /// Our own address that the packet would have.
    pub source: Option<IpAddr>,
    /// Whether the address is this host's own.
    pub local: bool,
    /// Whether it is a broadcast or multicast address, which no single host has.
    pub many: bool,
}

/// Asks the kernel for routes, once for each stretch of addresses that share one.
pub struct Routes {
    socket: Socket,
    buffer: Vec<u8>,
    v4: BTreeSet<u32>,
    v6: BTreeSet<u128>,
}

impl Routes {
    /// Reads the borders of all routes of all tables and of all rules: between two of them every address has the same
    /// route, and one question is enough.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub fn read() -> Result<Self, SysError> {
        let mut socket = Socket::new(NETLINK_ROUTE).map_err(failed)?;
        socket.bind_auto().map_err(failed)?;
        let mut routes = Self {
            socket,
            buffer: Vec::new(),
            v4: BTreeSet::new(),
            v6: BTreeSet::new(),
        };
        let mut borders = Vec::new();
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let mut message = RouteMessage::default();
            message.header.address_family = family;
            dump(RouteNetlinkMessage::GetRoute(message), |answer| {
                if let RouteNetlinkMessage::NewRoute(route) = answer {
                    let length = route.header.destination_prefix_length;
                    borders.extend(route.attributes.iter().find_map(|attribute| match attribute {
                        RouteAttribute::Destination(address) => Some((ip(address)?, length)),
                        _ => None,
                    }));
                }
            })?;
            let mut message = RuleMessage::default();
            message.header.family = family;
            dump(RouteNetlinkMessage::GetRule(message), |answer| {
                if let RouteNetlinkMessage::NewRule(rule) = answer {
                    let length = rule.header.dst_len;
                    borders.extend(rule.attributes.iter().find_map(|attribute| match attribute {
                        RuleAttribute::Destination(address) => Some((*address, length)),
                        _ => None,
                    }));
                }
            })?;
        }
        for (address, length) in borders {
            routes.add(address, length);
        }
        Ok(routes)
    }

    fn add(&mut self, address: IpAddr, length: u8) {
        match address {
            IpAddr::V4(address) => {
                let first = u32::from(address);
                self.v4.insert(first);
                let size = 1u32.checked_shl(32 - u32::from(length.min(32)));
                self.v4.extend(size.and_then(|size| first.checked_add(size)));
            }
            IpAddr::V6(address) => {
                let first = u128::from(address);
                self.v6.insert(first);
                let size = 1u128.checked_shl(128 - u32::from(length.min(128)));
                self.v6.extend(size.and_then(|size| first.checked_add(size)));
            }
        }
    }

    /// The last address that has the same route as this one.
    pub fn same_until(&self, address: IpAddr) -> IpAddr {
        match address {
            IpAddr::V4(address) => {
                let next = u32::from(address)
                    .checked_add(1)
                    .and_then(|after| self.v4.range(after..).next());
                Ipv4Addr::from(next.map_or(u32::MAX, |next| next - 1)).into()
            }
            IpAddr::V6(address) => {
                let next = u128::from(address)
                    .checked_add(1)
                    .and_then(|after| self.v6.range(after..).next());
                Ipv6Addr::from(next.map_or(u128::MAX, |next| next - 1)).into()
            }
        }
    }

    /// The route to one address. The inner error is the kernel's refusal, e.g. `ENETUNREACH`.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub fn to(&mut self, address: IpAddr) -> Result<Result<Route, io::Error>, SysError> {
        let mut message = RouteMessage::default();
        (
            message.header.address_family,
            message.header.destination_prefix_length,
        ) = match address {
            IpAddr::V4(_) => (AddressFamily::Inet, 32),
            IpAddr::V6(_) => (AddressFamily::Inet6, 128),
        };
        message
            .attributes
            .push(RouteAttribute::Destination(address.into()));
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST;
        link::send(
            &self.socket,
            NetlinkMessage::new(header, RouteNetlinkMessage::GetRoute(message).into()),
        )
        .map_err(failed)?;
        let mut answer = None;
        while answer.is_none() {
            link::receive(&self.socket, &mut self.buffer, |payload| {
                match payload {
                    NetlinkPayload::Error(error) => answer = Some(link::acknowledged(&error).map(|()| None)),
                    NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewRoute(route)) => {
                        answer = Some(Ok(Some(route_of(&route))));
                    }
                    _ => {}
                }
                Ok(())
            })
            .map_err(failed)?;
        }
        Ok(match answer {
            Some(Ok(Some(route))) => Ok(route),
            Some(Err(error)) => Err(error),
            Some(Ok(None)) | None => Err(io::Error::other("the kernel names no route")),
        })
    }
}

fn route_of(message: &RouteMessage) -> Route {
    let kind = message.header.kind;
    let mut route = Route {
        interface: 0,
        gateway: None,
        source: None,
        local: kind == RouteType::Local,
        many: matches!(
            kind,
            RouteType::Broadcast | RouteType::Anycast | RouteType::Multicast
        ),
    };
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Oif(index) => route.interface = *index,
            RouteAttribute::Gateway(address) => route.gateway = ip(address),
            RouteAttribute::Via(RouteVia::Inet(address)) => route.gateway = Some((*address).into()),
            RouteAttribute::Via(RouteVia::Inet6(address)) => route.gateway = Some((*address).into()),
            RouteAttribute::PrefSource(address) => route.source = ip(address),
            _ => {}
        }
    }
    route
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(address) => Some((*address).into()),
        RouteAddress::Inet6(address) => Some((*address).into()),
        _ => None,
    }
}

/// All interfaces of this network namespace.
///
/// # Errors
/// When the kernel does not answer.
pub fn interfaces() -> Result<Vec<Interface>, SysError> {
    let mut interfaces = Vec::new();
    dump(RouteNetlinkMessage::GetLink(LinkMessage::default()), |answer| {
        if let RouteNetlinkMessage::NewLink(link) = answer {
            interfaces.push(interface_of(&link));
        }
    })?;
    Ok(interfaces)
}

fn interface_of(link: &LinkMessage) -> Interface {
    let mut interface = Interface {
        index: link.header.index,
        name: String::new(),
        ethernet: None,
        up: link.header.flags.contains(LinkFlags::Up | LinkFlags::LowerUp),
    };
    for attribute in &link.attributes {
        match attribute {
            LinkAttribute::IfName(name) => interface.name.clone_from(name),
            LinkAttribute::Address(address) if link.header.link_layer_type == LinkLayerType::Ether => {
                interface.ethernet = address.as_slice().try_into().ok();
            }
            _ => {}
        }
    }
    interface
}

/// The Ethernet addresses of neighbours that the kernel knows, by interface and address.
///
/// # Errors
/// When the kernel does not answer.
pub fn neighbours() -> Result<HashMap<(u32, IpAddr), [u8; 6]>, SysError> {
    let mut neighbours = HashMap::new();
    dump(
        RouteNetlinkMessage::GetNeighbour(NeighbourMessage::default()),
        |answer| {
            if let RouteNetlinkMessage::NewNeighbour(neighbour) = answer {
                neighbours.extend(neighbour_of(&neighbour));
            }
        },
    )?;
    Ok(neighbours)
}

fn neighbour_of(message: &NeighbourMessage) -> Option<((u32, IpAddr), [u8; 6])> {
    let known = matches!(
        message.header.state,
        NeighbourState::Reachable
            | NeighbourState::Stale
            | NeighbourState::Delay
            | NeighbourState::Probe
            | NeighbourState::Permanent
    );
    if !known {
        return None;
    }
    let (mut address, mut ethernet) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(v4)) => address = Some((*v4).into()),
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(v6)) => address = Some((*v6).into()),
            NeighbourAttribute::LinkLayerAddress(bytes) => ethernet = bytes.as_slice().try_into().ok(),
            _ => {}
        }
    }
    Some(((message.header.ifindex, address?), ethernet?))
}

/// Asks for a whole table.
fn dump(request: RouteNetlinkMessage, mut each: impl FnMut(RouteNetlinkMessage)) -> Result<(), SysError> {
    let mut socket = Socket::new(NETLINK_ROUTE).map_err(failed)?;
    socket.bind_auto().map_err(failed)?;
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_DUMP;
    link::send(&socket, NetlinkMessage::new(header, request.into())).map_err(failed)?;
    let mut buffer = Vec::new();
    let mut complete = false;
    while !complete {
        link::receive(&socket, &mut buffer, |payload| {
            match payload {
                NetlinkPayload::Done(_) => complete = true,
                NetlinkPayload::Error(error) => {
                    link::acknowledged(&error)?;
                    complete = true;
                }
                NetlinkPayload::InnerMessage(message) => each(message),
                _ => {}
            }
            Ok(())
        })
        .map_err(failed)?;
    }
    Ok(())
}

fn failed(source: io::Error) -> SysError {
    SysError::Call {
        what: "read interfaces, routes and neighbours from the kernel",
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn between_two_borders_the_route_is_the_same() {
        let mut routes = Routes::read().unwrap();
        routes.v4.clear();
        routes.add("10.80.0.0".parse().unwrap(), 16);
        routes.add("10.80.7.0".parse().unwrap(), 24);
        routes.add("0.0.0.0".parse().unwrap(), 0);
        for (from, until) in [
            ("10.79.1.1", "10.79.255.255"),
            ("10.80.0.0", "10.80.6.255"),
            ("10.80.7.3", "10.80.7.255"),
            ("10.80.8.0", "10.80.255.255"),
            ("10.81.0.0", "255.255.255.255"),
            ("255.255.255.255", "255.255.255.255"),
        ] {
            let found = routes.same_until(from.parse().unwrap());
            assert_eq!(found, until.parse::<IpAddr>().unwrap(), "{from}");
        }
    }

    #[test]
    fn loopback_is_local_and_has_no_ethernet() {
        let route = Routes::read()
            .unwrap()
            .to("127.0.0.1".parse().unwrap())
            .unwrap()
            .unwrap();
        assert!(route.local);
        let interfaces = interfaces().unwrap();
        let lo = interfaces
            .iter()
            .find(|interface| interface.name == "lo")
            .unwrap();
        assert_eq!((lo.index, lo.ethernet), (route.interface, None));
        neighbours().unwrap();
    }
}

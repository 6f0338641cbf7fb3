//! What is asked.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
};

use ipnet::IpNet;
use portcullis_model::Port;

use super::{nft::bits_of, places::Places, ranges::Ranges, ruleset::kind};
use crate::family::Family;

/// An interface of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostInterface {
    /// Its name.
    pub name: String,
    /// Its addresses, each with the network that is connected there.
    pub networks: Vec<IpNet>,
}

/// What is known of the host whose rules these are. Nothing need be; what depends on it is then not concluded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Host {
    /// All of its interfaces, or none when they are not known.
    pub interfaces: Vec<HostInterface>,
    /// Where its routes lead what is sent to some addresses, if the host was asked. Its interfaces are then known with all of
    /// their addresses.
    pub routes: Option<BTreeMap<IpAddr, Route>>,
}

/// Where a routing table leads what is sent to an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// To the host itself.
    Here,
    /// To the host as one of the routers of a network (RFC 4291, 2.6.1).
    Anycast,
    /// To all hosts of a network.
    Broadcast,
    /// To another host.
    Onward,
    /// To another host, but this one passes nothing on.
    Unforwarded,
    /// To another host, but this one passes on what comes by some interfaces only.
    PerhapsForwarded,
    /// To this host or to another one: other rules of routing may say otherwise.
    Unclear,
    /// Nowhere: there is none.
    Nowhere,
}

/// Who reaches this port?
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The port that the packets are sent to.
    pub port: Port,
    /// The addresses that they are sent to. Without one, any address of the host.
    pub destinations: Vec<IpAddr>,
    /// Whether those are addresses of other hosts, behind this one, as far as that is not known of the host.
    pub forwarded: bool,
    /// The host.
    pub host: Host,
}

impl Question {
    /// Asks for a port of the host, at all addresses that are known of it.
    pub fn new(port: Port, host: Host) -> Self {
        let networks = host.interfaces.iter().flat_map(|interface| &interface.networks);
        let destinations = networks
            .map(IpNet::addr)
            .filter(|address| !address.is_loopback())
            .collect();
        Self {
            port,
            destinations,
            forwarded: false,
            host,
        }
    }

    /// The destinations of one family; `None` is any address of the host.
    pub(super) fn destinations_of(&self, family: Family) -> Vec<Option<u128>> {
        if self.destinations.is_empty() {
            return vec![None];
        }
        let mut of_family: Vec<Option<u128>> = self
            .destinations
            .iter()
            .filter(|address| family.is_of(**address))
            .map(|address| Some(bits_of(*address)))
            .collect();
        of_family.sort_unstable();
        of_family.dedup();
        of_family
    }

    /// Whether packets to an address go to several hosts at once, this one among them (RFC 919, RFC 1112): the kind of such an
    /// address, of [`kind`].
    pub(super) fn group(&self, address: IpAddr) -> Option<u128> {
        let mut networks = self
            .host
            .interfaces
            .iter()
            .flat_map(|interface| &interface.networks);
        let is_broadcast = |network: &IpNet| {
            network.addr().is_ipv4()
                && network.max_prefix_len().saturating_sub(network.prefix_len()) > 1
                && network.broadcast() == address
        };
        if address.is_multicast() {
            return Some(kind::MULTICAST);
        }
        (address == IpAddr::V4(Ipv4Addr::BROADCAST) || networks.any(is_broadcast)).then_some(kind::BROADCAST)
    }

    /// Whether any of the destinations is an address of several hosts at once.
    pub fn asks_for_groups(&self) -> bool {
        self.destinations
            .iter()
            .any(|address| self.is_of_several_hosts(*address))
    }

    /// Whether an address is a broadcast or multicast address, as far as the networks of the host tell.
    pub fn is_of_several_hosts(&self, address: IpAddr) -> bool {
        self.group(address).is_some()
    }

    pub(super) fn places(&self, family: Family) -> Places {
        let mut connected = Vec::new();
        let (mut broadcast, mut of_routers) = (Vec::new(), Vec::new());
        for interface in &self.host.interfaces {
            for network in interface
                .networks
                .iter()
                .filter(|network| family.is_of(network.addr()))
            {
                let (first, last) = (bits_of(network.network()), bits_of(network.broadcast()));
                connected.push((
                    interface.name.as_str().into(),
                    bits_of(network.addr()),
                    Ranges::one((first, last)),
                ));
                // Networks of two addresses have neither (RFC 3021, RFC 6164).
                if network.max_prefix_len().saturating_sub(network.prefix_len()) > 1 {
                    match family {
                        Family::V4 => broadcast.push(last),
                        Family::V6 => of_routers.push(first),
                    }
                }
            }
        }
        let interfaces = self.host.interfaces.iter();
        let interfaces: Vec<_> = interfaces
            .map(|interface| (interface.name.as_str().into(), !interface.networks.is_empty()))
            .collect();
        let has_addresses = interfaces.iter().any(|(_, has_any)| *has_any);
        let of_family = |routes: &BTreeMap<IpAddr, Route>| {
            let routes = routes.iter().filter(|(address, _)| family.is_of(**address));
            routes
                .map(|(address, route)| (bits_of(*address), *route))
                .collect()
        };
        Places {
            family,
            own: has_addresses.then(|| connected.iter().map(|(_, own, _)| (*own, *own)).collect()),
            connected,
            interfaces,
            broadcast,
            of_routers,
            routes: self.host.routes.as_ref().map(of_family),
        }
    }
}

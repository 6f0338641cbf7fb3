//! What is asked.

use std::net::IpAddr;

use ipnet::IpNet;
use portcullis_model::Port;

use super::{journey::Places, nft::bits_of, ranges::Ranges};
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
}

/// Who reaches this port?
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The port that the packets are sent to.
    pub port: Port,
    /// The addresses that they are sent to. Without one, any address of the host.
    pub destinations: Vec<IpAddr>,
    /// Whether those are addresses of other hosts, behind this one.
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

    pub(super) fn places(&self, family: Family) -> Places {
        let mut connected = Vec::new();
        for interface in &self.host.interfaces {
            for network in interface
                .networks
                .iter()
                .filter(|network| family.is_of(network.addr()))
            {
                connected.push((
                    interface.name.as_str().into(),
                    bits_of(network.addr()),
                    Ranges::one((bits_of(network.network()), bits_of(network.broadcast()))),
                ));
            }
        }
        let addresses = self
            .host
            .interfaces
            .iter()
            .any(|interface| !interface.networks.is_empty());
        Places {
            own: addresses.then(|| connected.iter().map(|(_, own, _)| (*own, *own)).collect()),
            connected,
        }
    }
}

//! What of this host is copied, and who tries the port in the copy.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use ipnet::IpNet;
use portcullis_firewall::FirewallError;
use portcullis_model::{Plan, StatePart};
use portcullis_sys::Machine;

use super::{Interface, Scenery, Witness};
use crate::{OpsError, interfaces};

const PATIENCE: Duration = Duration::from_secs(30);

/// So many connections that are up stand for their peers.
const PEERS: usize = 8;

/// Somebody whom no zone names: addresses for documentation (RFC 5737, RFC 3849).
const ANYBODY: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(198, 51, 100, 77)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 0x77)),
];

pub(super) fn of(machine: &Machine, plan: &Plan) -> Result<Scenery, OpsError> {
    let ask = |arguments: &[&str]| {
        let finished = machine.run("ip", arguments, "", PATIENCE);
        finished
            .map(|finished| finished.stdout)
            .map_err(|source| OpsError::Firewall(FirewallError::Tool { act: "copy", source }))
    };
    // Link-local addresses are made by the copy itself.
    let is_link_local =
        |network: &IpNet| matches!(network.addr(), IpAddr::V6(address) if address.is_unicast_link_local());
    let interfaces: Vec<Interface> = interfaces::of(machine)?
        .into_iter()
        .filter(|interface| interface.name != "lo")
        .map(|interface| Interface {
            name: interface.name,
            addresses: interface
                .networks
                .into_iter()
                .filter(|network| !is_link_local(network))
                .collect(),
        })
        .collect();
    let addresses: Vec<IpAddr> = interfaces
        .iter()
        .flat_map(|interface| interface.addresses.iter().map(IpNet::addr))
        .collect();
    let mut witnesses = Vec::new();
    for (name, from) in sources(plan, &addresses) {
        let route = ask(&["route", "get", &from.to_string()]).unwrap_or_default();
        let by = word_after(&route, "dev").filter(|name| *name != "lo");
        let interface = interfaces
            .iter()
            .find(|interface| Some(interface.name.as_str()) == by)
            .or_else(|| {
                interfaces
                    .iter()
                    .find(|interface| reaches(interface, from).is_some())
            });
        // A host without an address of that family cannot be tried over it.
        if let Some((interface, to)) = interface.and_then(|found| Some((found, reaches(found, from)?))) {
            witnesses.push(Witness {
                name,
                from,
                to,
                interface: Some(interface.name.clone()),
            });
        }
    }
    for loopback in ["127.0.0.1", "::1"]
        .into_iter()
        .filter_map(|text| text.parse().ok())
    {
        witnesses.push(Witness {
            name: "this host (loopback)".into(),
            from: loopback,
            to: loopback,
            interface: None,
        });
    }
    Ok(Scenery {
        nftables: part(plan, "nftables"),
        legacy: ["iptables-legacy", "ip6tables-legacy"]
            .map(|name| part(plan, name).filter(|saved| saved.contains("\n-A ") || saved.contains(" DROP "))),
        port: plan.close,
        listeners: plan.listeners.iter().map(|listener| listener.address).collect(),
        allow: plan.allowed_networks(),
        backend: plan.backend,
        interfaces,
        witnesses,
    })
}

fn part(plan: &Plan, name: &str) -> Option<String> {
    let found = |part: &&StatePart| part.read && part.name == name;
    plan.before.iter().find(found).map(|part| part.output.clone())
}

/// The address of an interface that somebody would try.
fn reaches(interface: &Interface, from: IpAddr) -> Option<IpAddr> {
    let same_family = |network: &&IpNet| network.addr().is_ipv4() == from.is_ipv4();
    interface.addresses.iter().find(same_family).map(IpNet::addr)
}

/// For whom the port is tried, and from which address: one for each network of each prediction and family, the peers of
/// connections that are up, and somebody whom nothing names.
fn sources(plan: &Plan, own: &[IpAddr]) -> Vec<(String, IpAddr)> {
    let mut sources: Vec<(String, IpAddr)> = Vec::new();
    let mut seen = BTreeSet::new();
    let mut add = |name: &str, address: IpAddr| {
        if !own.contains(&address) && !address.is_loopback() && seen.insert(address) {
            sources.push((name.to_owned(), address));
        }
    };
    for prediction in &plan.predictions {
        for network in prediction
            .networks
            .networks()
            .iter()
            .filter(|network| network.prefix_len() > 0)
        {
            // In IPv6 the first one is for any router of the network (RFC 4291, 2.6.1).
            let for_routers = |address: &IpAddr| network.prefix_len() < 127 && *address == network.network();
            let mut hosts = network.hosts().filter(|address| !own.contains(address));
            if let Some(address) = hosts.find(|address| !for_routers(address)) {
                add(&prediction.from, address);
            }
        }
    }
    for live in plan.connections.iter().take(PEERS) {
        add("a connection that is up", live.connection.peer.ip());
    }
    for address in ANYBODY {
        add("everybody else", address);
    }
    sources
}

fn word_after<'t>(text: &'t str, word: &str) -> Option<&'t str> {
    let mut words = text.split_whitespace();
    words.find(|found| *found == word)?;
    words.next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_that_somebody_would_try_is_of_his_family() {
        let interface = |addresses: &[&str]| Interface {
            name: "eth0".into(),
            addresses: addresses.iter().map(|text| text.parse().unwrap()).collect(),
        };
        let both = interface(&["10.7.10.10/24", "2001:db8:7:10::a/64"]);
        assert_eq!(
            reaches(&both, ANYBODY[1]),
            Some("2001:db8:7:10::a".parse().unwrap())
        );
        assert_eq!(reaches(&interface(&[]), ANYBODY[0]), None);
    }
}

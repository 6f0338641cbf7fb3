//! The interfaces of a host with their addresses, by `ip -o` (ip-address(8)).

use std::{net::IpAddr, time::Duration};

use ipnet::IpNet;
use portcullis_firewall::FirewallError;
use portcullis_sys::Machine;

use crate::OpsError;

const PATIENCE: Duration = Duration::from_secs(30);

/// An interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Interface {
    pub(crate) name: String,
    /// Its addresses, each with the network that is connected there.
    pub(crate) networks: Vec<IpNet>,
}

/// All of them, loopback too.
pub(crate) fn of(machine: &Machine) -> Result<Vec<Interface>, OpsError> {
    let ask = |what: &str| {
        let finished = machine.run("ip", &["-o", what, "show"], "", PATIENCE);
        finished
            .map(|finished| finished.stdout)
            .map_err(|source| OpsError::Firewall(FirewallError::Tool { act: "read", source }))
    };
    Ok(read(&ask("link")?, &ask("addr")?))
}

fn read(links: &str, addresses: &str) -> Vec<Interface> {
    let name_of = |line: &str| -> Option<String> {
        let name = line.split_whitespace().nth(1)?.trim_end_matches(':');
        name.split('@').next().map(str::to_owned)
    };
    let mut interfaces: Vec<Interface> = links
        .lines()
        .filter_map(name_of)
        .map(|name| Interface {
            name,
            networks: Vec::new(),
        })
        .collect();
    // An address that another host has already is not one of this host (RFC 4862, 5.4.5).
    let is_in_use = |line: &&str| !line.split_whitespace().any(|word| word == "dadfailed");
    for line in addresses.lines().filter(is_in_use) {
        let mut words = line.split_whitespace();
        let network = words
            .find(|word| matches!(*word, "inet" | "inet6"))
            .and_then(|_| words.next())
            .and_then(network);
        if let (Some(name), Some(network)) = (name_of(line), network)
            && let Some(interface) = interfaces.iter_mut().find(|one| one.name == name)
        {
            interface.networks.push(network);
        }
    }
    interfaces
}

/// An address with its network; one with a peer, as tunnels have it, stands alone.
fn network(word: &str) -> Option<IpNet> {
    let alone = || word.parse::<IpAddr>().ok().map(IpNet::from);
    word.parse().ok().or_else(alone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_and_their_addresses_are_read() {
        let links = "1: lo: <LOOPBACK,UP> mtu 65536\n7: eth0@if6: <BROADCAST,UP> mtu 1500\n9: docker0: <UP> mtu 1500\n11: ppp0: <UP> mtu 1492\n";
        let addresses = "1: lo    inet 127.0.0.1/8 scope host lo\n7: eth0    inet 10.7.10.10/24 brd 10.7.10.255 scope \
                         global eth0\n7: eth0    inet6 2001:db8:7:10::a/64 scope global \n11: ppp0    inet 10.9.9.1 peer 10.9.9.2/32 scope global ppp0\n\
                         7: eth0    inet6 2001:db8:7:10::b/64 scope global dadfailed tentative \n";
        let shown: Vec<String> = read(links, addresses)
            .iter()
            .map(|interface| {
                let networks: Vec<String> = interface.networks.iter().map(ToString::to_string).collect();
                format!("{} {}", interface.name, networks.join(" "))
            })
            .collect();
        assert_eq!(
            shown,
            [
                "lo 127.0.0.1/8",
                "eth0 10.7.10.10/24 2001:db8:7:10::a/64",
                "docker0 ",
                "ppp0 10.9.9.1/32"
            ]
        );
    }
}

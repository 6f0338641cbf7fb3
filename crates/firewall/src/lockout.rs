//! Whether a closing would lock somebody out who must get in: the operator, and the connections of `[keep]`.

use std::net::IpAddr;

use portcullis_model::{Connection, KeptConnection, KeptEnd, NetworkSet, Networks, Port, Site, Transport};

use crate::FirewallError;

/// Refuses a closing that would cut the connection over which the operator works.
pub(crate) fn operator(port: Port, allow: &NetworkSet, above: &[Connection]) -> Result<(), FirewallError> {
    let cut = above.iter().find(|connection| {
        port.transport == Transport::Tcp
            && connection.local.port() == port.number
            && !allow.contains(connection.peer.ip())
    });
    match cut {
        Some(connection) => Err(FirewallError::WouldLockOut {
            peer: connection.peer,
            local: connection.local,
        }),
        None => Ok(()),
    }
}

/// Refuses a closing that would cut a connection of `[keep]` to one of this host's addresses.
pub(crate) fn kept(port: Port, allow: &NetworkSet, site: &Site, own: &[IpAddr]) -> Result<(), FirewallError> {
    let reaches_us = |kept: &&KeptConnection| {
        kept.port == port && own.iter().any(|address| site.end_holds(&kept.to, *address))
    };
    match site
        .keep
        .iter()
        .filter(reaches_us)
        .find(|kept| !passes(&kept.from, allow, site))
    {
        Some(kept) => {
            let show = |end: &KeptEnd| match end {
                KeptEnd::Network(network) => network.to_string(),
                KeptEnd::Zone(zone) => zone.clone(),
            };
            let text = format!("{} -> {} {}", show(&kept.from), show(&kept.to), kept.port);
            Err(FirewallError::WouldCutKept(text))
        }
        None => Ok(()),
    }
}

fn passes(from: &KeptEnd, allow: &NetworkSet, site: &Site) -> bool {
    match from {
        KeptEnd::Network(network) => allow.covers(network),
        KeptEnd::Zone(name) => match site.zone(name).map(|zone| &zone.networks) {
            Some(Networks::Listed(networks)) => {
                networks.networks().iter().all(|network| allow.covers(network))
            }
            // Everybody is let through only where everybody is allowed.
            Some(Networks::Rest) => ["0.0.0.0/0", "::/0"]
                .iter()
                .all(|all| all.parse().is_ok_and(|all| allow.covers(&all))),
            None => false,
        },
    }
}

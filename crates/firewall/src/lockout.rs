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

/// Refuses a closing that would cut a connection of `[keep]` to one of this host's addresses, or the answers to one from
/// this host. Over UDP there are protocols in which both ends have the same port, as NTP (RFC 5905, 7.2): what comes back
/// then comes to the port that is closed.
pub(crate) fn kept(port: Port, allow: &NetworkSet, site: &Site, own: &[IpAddr]) -> Result<(), FirewallError> {
    let is_ours = |end: &KeptEnd| own.iter().any(|address| site.end_holds(end, *address));
    let is_cut = |kept: &&KeptConnection| {
        kept.port == port
            && (is_ours(&kept.to) && !passes(&kept.from, allow, site)
                || port.transport == Transport::Udp && is_ours(&kept.from) && !passes(&kept.to, allow, site))
    };
    match site.keep.iter().find(is_cut) {
        Some(kept) => Err(FirewallError::WouldCutKept(kept.to_string())),
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

//! Routers that did not answer: what was meant for the networks behind them never left this host.
//!
//! The kernel keeps a connection attempt back while it asks for the router's hardware address, and drops it unsent when no
//! answer comes (RFC 4861, 7.2.2; Linux does the same for ARP). An attempt that ends before the kernel gives up sees only
//! silence.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
};

use portcullis_sys::{
    SysError,
    packet::route::{Interface, Routes, interfaces, neighbours},
};

/// For each of these networks, given by one address in it, that is behind a router without a hardware address: the reason
/// why nothing in it was tested. Asks the kernel, and sends nothing.
pub(crate) fn without_answer(networks: &BTreeMap<u32, IpAddr>) -> HashMap<u32, String> {
    match find(networks) {
        Ok(lost) => lost,
        Err(error) => {
            tracing::warn!(%error, "whether the routers answered is not known");
            HashMap::new()
        }
    }
}

fn find(networks: &BTreeMap<u32, IpAddr>) -> Result<HashMap<u32, String>, SysError> {
    let mut routes = Routes::read()?;
    let interfaces = interfaces()?;
    let known = neighbours()?;
    let mut lost = HashMap::new();
    for (network, address) in networks {
        let Ok(route) = routes.to(*address)? else {
            continue;
        };
        let by_ethernet = |one: &&Interface| one.index == route.interface && one.ethernet.is_some();
        let (Some(router), Some(interface)) = (route.gateway, interfaces.iter().find(by_ethernet)) else {
            continue;
        };
        if !known.contains_key(&(route.interface, router)) {
            let name = &interface.name;
            lost.insert(
                *network,
                format!("the router {router} on {name} did not answer: no packet was sent"),
            );
        }
    }
    Ok(lost)
}

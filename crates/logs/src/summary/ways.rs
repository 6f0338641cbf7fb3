//! Which conduit of the site lets a source through to a port.

use std::{collections::BTreeSet, net::IpAddr};

use portcullis_model::{ServiceName, Site};
use serde::Serialize;

/// Whether the site lets a source through to a port. A summary keeps of each source which ports it tried, and not on which hosts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum Way {
    /// Within one zone no conduit is needed.
    InsideZone,
    /// By these conduits, whichever of the hosts was tried.
    Conduit {
        /// Each as `engineering -> control`.
        conduits: Vec<String>,
    },
    /// By these, and only to hosts of their zones; others were tried as well, or it is not known which.
    ConduitToSome {
        /// Each as `engineering -> control`.
        conduits: Vec<String>,
    },
    /// There is no conduit.
    NoConduit,
}

/// The zones of all hosts that were tried; `None` when it is not known which those were, and in the set when a host is in no
/// zone.
pub(super) type Tried<'s> = Option<BTreeSet<Option<&'s str>>>;

pub(super) fn tried<'s>(site: &'s Site, destinations: Option<&[IpAddr]>) -> Tried<'s> {
    let zone = |address: &IpAddr| site.zone_of(*address).map(|zone| zone.name.as_str());
    Some(destinations?.iter().map(zone).collect())
}

/// The way from a source to a port at which these services are usual.
pub(super) fn way(site: &Site, source: IpAddr, services: &[ServiceName], tried: &Tried<'_>) -> Way {
    let Some(from) = site.zone_of(source).map(|zone| zone.name.as_str()) else {
        return Way::NoConduit;
    };
    let open: BTreeSet<&str> = site
        .conduits
        .iter()
        .filter(|conduit| {
            conduit.from == from
                && conduit.services.iter().any(|service| services.contains(service))
                && tried
                    .as_ref()
                    .is_none_or(|tried| tried.contains(&Some(conduit.to.as_str())))
        })
        .map(|conduit| conduit.to.as_str())
        .collect();
    let inside = |zone: &Option<&str>| *zone == Some(from);
    let reached = |zone: &Option<&str>| inside(zone) || zone.is_some_and(|zone| open.contains(zone));
    let whole = tried
        .as_ref()
        .is_some_and(|tried| !tried.is_empty() && tried.iter().all(reached));
    if open.is_empty() {
        return match whole {
            true => Way::InsideZone,
            false => Way::NoConduit,
        };
    }
    let conduits = open.iter().map(|to| format!("{from} -> {to}")).collect();
    match whole {
        true => Way::Conduit { conduits },
        false => Way::ConduitToSome { conduits },
    }
}

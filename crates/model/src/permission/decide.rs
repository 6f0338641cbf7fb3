//! What a permission permits at an instant, and what two of them permit together.

use std::{collections::BTreeSet, net::IpAddr};

use jiff::Timestamp;

use super::{Denial, Permission};
use crate::{NetworkSet, Port, Site, is_public};

/// Windows that are never open together are given up after so many openings.
const OPENINGS_TRIED: usize = 64;

impl Permission {
    /// Whether this address and port may be scanned now.
    ///
    /// # Errors
    /// The reason why not.
    pub fn allows(&self, address: IpAddr, port: Port, now: Timestamp) -> Result<(), Denial> {
        self.open_at(now)?;
        self.covers(address, port)
    }

    /// Whether it permits anything at this moment.
    ///
    /// # Errors
    /// The reason why not, with the next opening.
    pub fn open_at(&self, now: Timestamp) -> Result<(), Denial> {
        let owner = || self.owner.clone();
        if now >= self.expires {
            return Err(Denial::Expired {
                owner: owner(),
                expired: self.expires,
            });
        }
        if let Some(starts) = self.starts.filter(|starts| now < *starts) {
            return Err(Denial::NotYet {
                owner: owner(),
                starts,
            });
        }
        if self.hours.iter().all(|hours| hours.is_open(now)) {
            return Ok(());
        }
        Err(Denial::Closed {
            owner: owner(),
            next: self.next_in_words(now),
        })
    }

    /// Whether this address and port may be scanned at any time.
    ///
    /// # Errors
    /// The reason why not.
    pub fn covers(&self, address: IpAddr, port: Port) -> Result<(), Denial> {
        let owner = || self.owner.clone();
        if !self.ranges.contains(address) || self.exclude.contains(address) {
            return Err(Denial::Address {
                owner: owner(),
                address,
            });
        }
        if self.ports.as_ref().is_some_and(|ports| !ports.contains(&port)) {
            return Err(Denial::Port { owner: owner(), port });
        }
        Ok(())
    }

    /// The earliest moment, not before `now`, at which all hours are open; `None` when there is none before it expires.
    pub fn next_opening(&self, now: Timestamp) -> Option<Timestamp> {
        let mut at = self.starts.map_or(now, |starts| starts.max(now));
        for _ in 0..OPENINGS_TRIED {
            let Some(closed) = self.hours.iter().find(|hours| !hours.is_open(at)) else {
                return (at < self.expires).then_some(at);
            };
            at = closed.next_opening(at)?;
        }
        None
    }

    fn next_in_words(&self, now: Timestamp) -> String {
        match (self.next_opening(now), self.hours.first()) {
            (Some(at), Some(hours)) => format!("it opens again at {}", hours.local(at)),
            _ => "it does not open again before it expires".into(),
        }
    }

    /// What both permit, as one permission: a packet may go only if it may go by either of them, and no faster than
    /// the slower one lets it. Owner, contact and signer remain those of `self`.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        let mut hours = self.hours.clone();
        for more in &other.hours {
            if !hours.contains(more) {
                hours.push(more.clone());
            }
        }
        let excluded = [&self.exclude, &other.exclude];
        Self {
            owner: self.owner.clone(),
            contact: self.contact.clone(),
            signed_by: self.signed_by.clone(),
            ranges: in_both(&self.ranges, &other.ranges),
            exclude: excluded
                .into_iter()
                .flat_map(NetworkSet::networks)
                .copied()
                .collect(),
            ports: ports_of_both(self.ports.as_ref(), other.ports.as_ref()),
            rate: smaller(self.rate, other.rate),
            per_host: smaller(self.per_host, other.per_host),
            per_subnet: smaller(self.per_subnet, other.per_subnet),
            hours,
            starts: self.starts.max(other.starts),
            expires: self.expires.min(other.expires),
        }
    }
}

fn in_both(one: &NetworkSet, other: &NetworkSet) -> NetworkSet {
    let networks = one.networks().iter();
    networks
        .flat_map(|network| {
            other.networks().iter().filter_map(move |second| {
                if network.contains(second) {
                    Some(*second)
                } else {
                    second.contains(network).then_some(*network)
                }
            })
        })
        .collect()
}

/// `None` is every port; no port at all is an empty set.
fn ports_of_both(one: Option<&BTreeSet<Port>>, other: Option<&BTreeSet<Port>>) -> Option<BTreeSet<Port>> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one & other),
        (Some(only), None) | (None, Some(only)) => Some(only.clone()),
        (None, None) => None,
    }
}

fn smaller(one: Option<u32>, other: Option<u32>) -> Option<u32> {
    one.into_iter().chain(other).min()
}

/// Whether an address and port may be scanned: by the permission if there is one; else inside the declared zones, if
/// the address is not public. Loopback is this host and always permitted.
///
/// # Errors
/// The reason why not.
pub fn may_scan(
    address: IpAddr,
    port: Port,
    site: Option<&Site>,
    permission: Option<&Permission>,
    now: Timestamp,
) -> Result<(), Denial> {
    if let Some(permission) = permission
        && !address.to_canonical().is_loopback()
    {
        permission.open_at(now)?;
    }
    covered(address, port, site, permission)
}

/// As [`may_scan`], whatever the time is.
///
/// # Errors
/// The reason why not.
pub fn covered(
    address: IpAddr,
    port: Port,
    site: Option<&Site>,
    permission: Option<&Permission>,
) -> Result<(), Denial> {
    let address = address.to_canonical();
    if address.is_loopback() {
        return Ok(());
    }
    if let Some(permission) = permission {
        return permission.covers(address, port);
    }
    if is_public(address) {
        return Err(Denial::Public { address });
    }
    match site {
        Some(site) if site.declares(address) => Ok(()),
        Some(site) => Err(Denial::NoZone {
            address,
            site: site.name.clone(),
        }),
        None => Err(Denial::NoSite { address }),
    }
}

//! What is known of a host's addresses and routes, in one family: where a packet goes that is sent to an address.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use super::{packet::Interface, question::Route, ranges::Ranges, ruleset::kind};
use crate::family::Family;

/// What is known of the host's interfaces, in one family.
#[derive(Debug, Clone)]
pub(super) struct Places {
    pub(super) family: Family,
    /// Its addresses, if they are known.
    pub(super) own: Option<Ranges>,
    /// Interface, own address, and the network that is connected there.
    pub(super) connected: Vec<(Arc<str>, u128, Ranges)>,
    /// All interfaces that are known, and whether any address of either family is known of them.
    pub(super) interfaces: Vec<(Arc<str>, bool)>,
    /// Broadcast addresses of its networks.
    pub(super) broadcast: Vec<u128>,
    /// The address of the routers of each of its networks (RFC 4291, 2.6.1), which is one of this host where it forwards.
    pub(super) of_routers: Vec<u128>,
    /// Where routes lead, if the host was asked.
    pub(super) routes: Option<BTreeMap<u128, Route>>,
}

/// Where a packet goes that is sent to an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// To this host.
    Own,
    /// To this host, as one of the routers of a network. It answers no connection that is opened so.
    Anycast,
    /// That, or to another router.
    PerhapsAnycast,
    /// To several hosts at once, this one perhaps among them; the kind of such an address.
    Group(u128),
    /// To another host.
    Onward,
    /// To another host, if a route leads there.
    PerhapsOnward,
    /// To another host, if what comes by that interface, and what goes back, is passed on.
    PerhapsForwarded,
    /// Nowhere, for no route leads there.
    NoRoute,
    /// Nowhere, for it is another host, and this one passes nothing on.
    Unforwarded,
    /// Nowhere: it is the address of nobody there (RFC 1122, 3.2.1.3; RFC 4291, 2.5.2 and 2.5.6).
    Nobody,
    /// To this host or to another one.
    Unknown,
}

impl Place {
    /// Whether it is this host; `None` when that is not known.
    pub(super) fn is_own(self) -> Option<bool> {
        match self {
            Self::Own | Self::Anycast => Some(true),
            Self::Onward
            | Self::PerhapsOnward
            | Self::PerhapsForwarded
            | Self::NoRoute
            | Self::Unforwarded
            | Self::Nobody => Some(false),
            Self::Group(_) | Self::PerhapsAnycast | Self::Unknown => None,
        }
    }

    /// Its kind, as the kernel has it.
    pub(super) fn kind(self) -> Option<u128> {
        match self {
            Self::Own => Some(kind::LOCAL),
            Self::Anycast => Some(kind::ANYCAST),
            Self::Group(kind) => Some(kind),
            Self::Onward | Self::PerhapsOnward | Self::PerhapsForwarded | Self::Unforwarded => {
                Some(kind::UNICAST)
            }
            Self::NoRoute | Self::Nobody | Self::PerhapsAnycast | Self::Unknown => None,
        }
    }
}

/// To which address `redirect` leads what comes by an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Here {
    One(u128),
    /// One of several, or one that is not known.
    Several,
    /// It has none, and the kernel drops the packet.
    Nothing,
    /// It is not known whether it has one.
    Perhaps,
}

impl Places {
    pub(super) fn place(&self, address: u128) -> Place {
        if address == 0 {
            return Place::Nobody;
        }
        if is_multicast(self.family, address) {
            return Place::Group(kind::MULTICAST);
        }
        if self.family == Family::V4 && address == self.family.highest() || self.broadcast.contains(&address)
        {
            return Place::Group(kind::BROADCAST);
        }
        let Some(own) = &self.own else {
            return Place::Unknown;
        };
        if own.contains(address) {
            return Place::Own;
        }
        match self.routes.as_ref().and_then(|routes| routes.get(&address)) {
            Some(Route::Here) => Place::Own,
            Some(Route::Anycast) => Place::Anycast,
            Some(Route::Broadcast) => Place::Group(kind::BROADCAST),
            Some(Route::Onward) => Place::Onward,
            Some(Route::Unforwarded) => Place::Unforwarded,
            Some(Route::PerhapsForwarded) => Place::PerhapsForwarded,
            Some(Route::Unclear) => Place::Unknown,
            Some(Route::Nowhere) => Place::NoRoute,
            None if self.of_routers.contains(&address) => Place::PerhapsAnycast,
            None if self.is_connected(address) => Place::Onward,
            None => Place::PerhapsOnward,
        }
    }

    /// The same for what comes by an interface. Addresses of a link are of no other link, and nothing goes on from one link to
    /// another (RFC 4291, 2.5.6).
    pub(super) fn place_by(&self, address: u128, arrives: &Interface) -> Place {
        let place = self.place(address);
        let has = match arrives {
            Interface::Named(name) => self.has(name, address),
            Interface::Other(_) => false,
            _ => return place,
        };
        match place {
            Place::Own if self.is_of_a_link(address) && !has => Place::Nobody,
            Place::Onward | Place::PerhapsOnward if self.is_of_a_link(address) => Place::PerhapsOnward,
            place => place,
        }
    }

    fn is_of_a_link(&self, address: u128) -> bool {
        is_of_a_link(&self.family.address(address))
    }

    /// Whether it is one of the host's own that counts on one link only.
    pub(super) fn is_of_own_link(&self, address: u128) -> bool {
        self.is_of_a_link(address) && self.place(address) == Place::Own
    }

    /// Whether an interface has an address.
    pub(super) fn has(&self, name: &str, address: u128) -> bool {
        self.connected
            .iter()
            .any(|(known, own, _)| **known == *name && *own == address)
    }

    fn is_connected(&self, address: u128) -> bool {
        self.connected
            .iter()
            .any(|(_, _, network)| network.contains(address))
    }

    /// By which interface a packet to this address leaves.
    pub(super) fn way_to(&self, address: Option<u128>) -> Interface {
        let Some(address) = address else {
            return Interface::Unknown;
        };
        let mut by: Vec<&Arc<str>> = self
            .connected
            .iter()
            .filter(|(_, _, network)| network.contains(address))
            .map(|(name, ..)| name)
            .collect();
        by.dedup();
        match by.as_slice() {
            [one] => Interface::Named(Arc::clone(one)),
            _ => Interface::Unknown,
        }
    }

    /// Where `redirect` leads what comes by an interface. One that is not of the host, as far as that is known, is taken to have
    /// an address once it is there.
    pub(super) fn here(&self, name: &str) -> Here {
        let listed = self.interfaces.iter().find(|(known, _)| **known == *name);
        let Some((_, has_any)) = listed.filter(|_| self.own.is_some()) else {
            return Here::Several;
        };
        let own = self.connected.iter().filter(|(known, ..)| **known == *name);
        let own: Vec<u128> = own.map(|(_, address, _)| *address).collect();
        let is_whole = self.routes.is_some();
        match (own.as_slice(), self.family) {
            ([one], _) => Here::One(*one),
            ([_, _, ..], _) => Here::Several,
            ([], _) if is_whole => Here::Nothing,
            ([], Family::V4) if *has_any => Here::Nothing,
            // An address of the link is enough, and nobody lists that by hand.
            ([], _) => Here::Perhaps,
        }
    }
}

/// Whether an address counts on one link only (RFC 4291, 2.5.6).
pub(super) fn is_of_a_link(address: &IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}

fn is_multicast(family: Family, address: u128) -> bool {
    match family {
        Family::V4 => address >> 28 == 0xe,
        Family::V6 => address >> 120 == 0xff,
    }
}

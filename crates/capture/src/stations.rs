//! Which hardware address has which addresses, and which of them are routers.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
};

use portcullis_model::{MacAddress, Neighbour};

use crate::{moment, packet::Sender};

/// How many addresses of IPv4 a station can have before it is taken for a router.
const MOST_V4: usize = 2;
/// The same for IPv6, of which each station makes itself several.
const MOST_V6: usize = 8;

/// What was seen of one station.
#[derive(Debug, Default)]
struct Station {
    addresses: Vec<(IpAddr, u64)>,
    vlan: Option<u16>,
    /// It speaks for too many: what it forwards is not its own.
    router: bool,
}

/// All stations, up to a fixed number.
#[derive(Debug)]
pub(crate) struct Stations {
    stations: HashMap<MacAddress, Station>,
    most: usize,
    pub(crate) left_out: u64,
}

impl Stations {
    pub(crate) fn new(most: usize) -> Self {
        Self {
            stations: HashMap::new(),
            most,
            left_out: 0,
        }
    }

    /// A packet of this address came from this station.
    pub(crate) fn add(&mut self, sender: &Sender, address: IpAddr, at: u64) {
        let Some(mac) = sender.mac.filter(|mac| !mac.is_group() && !mac.is_zero()) else {
            return;
        };
        if address.is_unspecified() || address.is_multicast() || address.is_loopback() {
            return;
        }
        if self.stations.len() >= self.most && !self.stations.contains_key(&mac) {
            self.left_out += 1;
            return;
        }
        let station = self.stations.entry(mac).or_default();
        if station.router {
            return;
        }
        // A packet that a router forwarded has one hop less than any system begins with.
        if !sender.near {
            return;
        }
        station.vlan = station.vlan.or(sender.vlan);
        if let Some((_, last)) = station.addresses.iter_mut().find(|(known, _)| *known == address) {
            *last = at.max(*last);
            return;
        }
        station.addresses.push((address, at));
        let v4 = station
            .addresses
            .iter()
            .filter(|(address, _)| address.is_ipv4())
            .count();
        if v4 > MOST_V4 || station.addresses.len() - v4 > MOST_V6 {
            station.router = true;
            station.addresses = Vec::new();
        }
    }

    /// How many were taken for routers.
    pub(crate) fn routers(&self) -> usize {
        self.stations.values().filter(|station| station.router).count()
    }

    /// The hardware address of each address that has exactly one.
    pub(crate) fn by_address(&self) -> HashMap<IpAddr, MacAddress> {
        let mut found: HashMap<IpAddr, Option<MacAddress>> = HashMap::new();
        for (mac, station) in &self.stations {
            for (address, _) in &station.addresses {
                found
                    .entry(*address)
                    .and_modify(|known| *known = None)
                    .or_insert(Some(*mac));
            }
        }
        found
            .into_iter()
            .filter_map(|(address, mac)| Some((address, mac?)))
            .collect()
    }

    /// All stations with their addresses, in order.
    pub(crate) fn neighbours(&self) -> Vec<Neighbour> {
        let mut found = BTreeMap::new();
        for (mac, station) in &self.stations {
            for (address, at) in &station.addresses {
                found.insert(
                    (*mac, *address),
                    Neighbour {
                        address: Some(*address),
                        mac: *mac,
                        interface: None,
                        vlan: station.vlan,
                        at: moment::of(*at),
                    },
                );
            }
        }
        found.into_values().collect()
    }
}

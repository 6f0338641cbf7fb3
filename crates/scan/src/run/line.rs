//! Who comes next: hosts take turns in a scattered order, and none has more connections than it may.

use std::{
    collections::{HashSet, VecDeque},
    net::IpAddr,
};

use portcullis_model::Port;

use super::{ScanRequest, order};

/// One port of one host that is to be looked at now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Next {
    /// Place of the host in this line, to be given back with [`Line::free`].
    pub(super) host: usize,
    pub(super) address: IpAddr,
    pub(super) port: Port,
}

struct Host {
    address: IpAddr,
    /// How many of its ports were handed out.
    done: usize,
    busy: u32,
}

/// The hosts with ports left. A host stands in the line once for each connection that it may still have.
pub(super) struct Line {
    ports: Vec<Port>,
    /// What an earlier part of the run has dealt with.
    earlier: HashSet<(IpAddr, Port)>,
    hosts: Vec<Host>,
    waiting: VecDeque<usize>,
}

impl Line {
    pub(super) fn new(request: &ScanRequest) -> Self {
        let seed = order::seed(request.run);
        let addresses = order::scattered(&request.addresses, seed);
        let ports = order::scattered(&request.ports, seed);
        let hosts: Vec<Host> = addresses
            .into_iter()
            .map(|address| Host {
                address,
                done: 0,
                busy: 0,
            })
            .collect();
        let connections = request.pace.host_connections.max(1) as usize;
        let waiting = (0..connections.min(ports.len()))
            .flat_map(|_| 0..hosts.len())
            .collect();
        let earlier = request
            .earlier
            .iter()
            .map(|seen| (seen.address, seen.port))
            .collect();
        Self {
            ports,
            earlier,
            hosts,
            waiting,
        }
    }

    /// How many ports there are to look at.
    pub(super) fn total(&self) -> u64 {
        (self.hosts.len() as u64 * self.ports.len() as u64).saturating_sub(self.earlier.len() as u64)
    }

    /// How many connections a host has.
    pub(super) fn busy(&self, host: usize) -> u32 {
        self.hosts.get(host).map_or(0, |host| host.busy)
    }

    /// The next port of the next host; the host is busy until it is freed.
    pub(super) fn next(&mut self) -> Option<Next> {
        loop {
            let place = self.waiting.pop_front()?;
            let Some(host) = self.hosts.get_mut(place) else {
                continue;
            };
            if host.done >= self.ports.len() {
                continue;
            }
            // Hosts begin at different ports, so that one port is not asked of all of them at the same time.
            let port = *self
                .ports
                .get((place + host.done).checked_rem(self.ports.len())?)?;
            host.done += 1;
            if self.earlier.contains(&(host.address, port)) {
                self.waiting.push_front(place);
                continue;
            }
            host.busy += 1;
            return Some(Next {
                host: place,
                address: host.address,
                port,
            });
        }
    }

    /// A host's connection has ended.
    pub(super) fn free(&mut self, place: usize) {
        if let Some(host) = self.hosts.get_mut(place) {
            host.busy = host.busy.saturating_sub(1);
            self.waiting.push_back(place);
        }
    }
}

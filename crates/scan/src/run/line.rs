//! Who comes next: hosts take turns in a scattered order, and none has more connections than it may.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    time::Duration,
};

use crate::places::Place;

#[derive(Debug, Clone, Copy, Default)]
struct Host {
    /// How many of its ports had their turn in this look.
    done: u32,
    busy: u32,
    /// It stands in line or rests.
    queued: bool,
    finished: bool,
}

/// The hosts with ports left in a look, each at most once in line.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// Scattered.
    order: Vec<u32>,
    /// Scattered.
    ports: Vec<u32>,
    connections: u32,
    hosts: Vec<Host>,
    waiting: VecDeque<u32>,
    /// Hosts that may not have a packet before a time.
    resting: BinaryHeap<Reverse<(Duration, u32)>>,
    finished: u64,
    /// Turns that are left in this look.
    left: u64,
}

impl Line {
    pub(super) fn new(order: Vec<u32>, ports: Vec<u32>, connections: u32) -> Self {
        Self {
            hosts: vec![Host::default(); order.len()],
            connections: connections.max(1),
            order,
            ports,
            waiting: VecDeque::new(),
            resting: BinaryHeap::new(),
            finished: 0,
            left: 0,
        }
    }

    /// All hosts stand in line again, with all their ports.
    pub(super) fn begin_look(&mut self) {
        self.finished = 0;
        self.left = self.hosts.len() as u64 * self.ports.len() as u64;
        self.resting.clear();
        self.waiting.clear();
        self.waiting.extend(&self.order);
        for host in &mut self.hosts {
            (host.done, host.queued, host.finished) = (0, true, false);
        }
    }

    /// The next port of the next host for which `wanted` holds. The host is busy until it is freed, put back, or sent to
    /// rest.
    pub(super) fn next(&mut self, now: Duration, wanted: impl Fn(Place) -> bool) -> Option<Place> {
        while let Some(Reverse((ready, host))) = self.resting.peek().copied()
            && ready <= now
        {
            self.resting.pop();
            // Whoever has waited longest goes first.
            self.waiting.push_front(host);
        }
        while let Some(number) = self.waiting.pop_front() {
            let Some(host) = self.hosts.get_mut(number as usize) else {
                continue;
            };
            host.queued = false;
            if host.busy >= self.connections {
                continue;
            }
            while (host.done as usize) < self.ports.len() {
                // Hosts begin at different ports, so that one port is not asked of all of them at the same time.
                let turn = (number as usize + host.done as usize) % self.ports.len();
                host.done += 1;
                self.left = self.left.saturating_sub(1);
                let place = Place {
                    host: number as usize,
                    port: self.ports.get(turn).map_or(0, |port| *port as usize),
                };
                if wanted(place) {
                    host.busy += 1;
                    self.queue(place.host);
                    return Some(place);
                }
            }
            self.queue(number as usize);
        }
        None
    }

    /// Puts a host in line, if it may have a connection more and has ports left.
    fn queue(&mut self, number: usize) {
        let Some(host) = self.hosts.get_mut(number) else {
            return;
        };
        let left = (host.done as usize) < self.ports.len();
        if left && !host.queued && host.busy < self.connections {
            host.queued = true;
            self.waiting.push_back(number as u32);
        }
        if !left && host.busy == 0 && !host.finished {
            host.finished = true;
            self.finished += 1;
        }
    }

    /// The host may have its packet for this port only later: the port keeps its turn.
    pub(super) fn rest(&mut self, number: usize, until: Duration) {
        if let Some(host) = self.hosts.get_mut(number) {
            host.done = host.done.saturating_sub(1);
            self.left += 1;
            host.busy = host.busy.saturating_sub(1);
            if !host.queued {
                host.queued = true;
                self.resting.push(Reverse((until, number as u32)));
            }
        }
    }

    /// Nobody may have a packet now: the port keeps its turn, and the host its place.
    pub(super) fn put_back(&mut self, number: usize) {
        if let Some(host) = self.hosts.get_mut(number) {
            host.done = host.done.saturating_sub(1);
            self.left += 1;
            host.busy = host.busy.saturating_sub(1);
            if !host.queued {
                host.queued = true;
                self.waiting.push_front(number as u32);
            }
        }
    }

    /// Takes a connection of a host out of turn, if it may have one more.
    pub(super) fn take(&mut self, number: usize) -> bool {
        match self.hosts.get_mut(number) {
            Some(host) if host.busy < self.connections => {
                host.busy += 1;
                true
            }
            _ => false,
        }
    }

    /// A host's connection has ended.
    pub(super) fn free(&mut self, number: usize) {
        if let Some(host) = self.hosts.get_mut(number) {
            host.busy = host.busy.saturating_sub(1);
            self.queue(number);
        }
    }

    /// How many connections a host has.
    pub(super) fn busy(&self, number: usize) -> u32 {
        self.hosts.get(number).map_or(0, |host| host.busy)
    }

    /// Whether every port of every host had its turn.
    pub(super) fn is_exhausted(&self) -> bool {
        self.left == 0
    }

    /// When the first resting host may have its packet.
    pub(super) fn ready(&self) -> Option<Duration> {
        self.resting.peek().map(|Reverse((ready, _))| *ready)
    }

    /// How many hosts have had all their turns.
    pub(super) fn finished(&self) -> u64 {
        self.finished
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn each_port_has_its_turn_once_and_no_host_too_many_connections(hosts in 1u32..30, ports in 1u32..8, connections in 1u32..4,
            steps in prop::collection::vec(0u8..5, 1..40)) {
            let mut line = Line::new((0..hosts).rev().collect(), (0..ports).collect(), connections);
            line.begin_look();
            let (mut seen, mut busy, mut now) = (HashSet::new(), Vec::new(), Duration::ZERO);
            let mut rested = HashSet::new();
            let mut steps = steps.into_iter().cycle();
            while seen.len() < (hosts * ports) as usize {
                let next = line.next(now, |_| true);
                let Some(place) = next else {
                    now += Duration::from_millis(5);
                    for host in busy.drain(..) {
                        line.free(host);
                    }
                    continue;
                };
                prop_assert!(line.busy(place.host) <= connections);
                match steps.next() {
                    // Each place once: who is always sent to rest never has its turn.
                    Some(0) if rested.insert(place) => line.rest(place.host, now + Duration::from_millis(3)),
                    Some(1) if busy.len() % 3 == 1 => {
                        line.put_back(place.host);
                        for host in busy.drain(..) {
                            line.free(host);
                        }
                    }
                    _ => {
                        prop_assert!(seen.insert(place));
                        busy.push(place.host);
                    }
                }
            }
            for host in busy.drain(..) {
                line.free(host);
            }
            prop_assert_eq!(line.next(now + Duration::from_secs(1), |_| true), None);
            prop_assert!(line.is_exhausted() && line.ready().is_none());
            prop_assert_eq!(line.finished(), u64::from(hosts));
        }
    }
}

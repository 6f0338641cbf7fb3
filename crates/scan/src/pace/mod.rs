//! The pure schedule: when the next packet may go. It reads no clock; `now` is a parameter.

pub(crate) mod even;
mod host;

use std::{collections::HashMap, time::Duration};

use even::{Even, picoseconds};
use host::Recent;

use crate::canary::next_random;

/// A total rate from which on nothing is held back; the cap per host holds all the same.
pub const UNLIMITED: u32 = even::UNLIMITED;

const SECOND: Duration = Duration::from_secs(1);
/// So many hosts are remembered at least.
const REMEMBERED_HOSTS: usize = 4096;
/// Up to this rate each packet to a network is remembered; above it, one more or less makes no difference.
const EXACT: u32 = 1000;
/// The wait between two packets to a host is longer by up to this part of itself, at random, so that it never falls into
/// step with a controller's cycle.
const JITTER: u64 = 8;

/// How fast a scan may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Packets per second in all; 0 counts as 1, and from [`UNLIMITED`] on there is no limit.
    pub total_per_second: u32,
    /// Packets per second to one host; 0 counts as 1.
    pub per_host_per_second: u32,
    /// Packets per second to one network (/24 of IPv4, /64 of IPv6), for the firewalls and routers on the way to it; 0 is
    /// no limit of its own.
    pub per_subnet_per_second: u32,
    /// Connections to one host at a time; 0 counts as 1.
    pub host_connections: u32,
}

impl Default for Pace {
    /// 1000 packets per second, 20 to one host, over one connection at a time.
    fn default() -> Self {
        Self {
            total_per_second: 1000,
            per_host_per_second: 20,
            per_subnet_per_second: 0,
            host_connections: 1,
        }
    }
}

/// Whether a packet may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It may go now, and has been counted.
    Now,
    /// It may not go before this time since the start; nothing has been counted.
    At(Duration),
}

/// Whom a packet goes to, as places in the scan's lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct To {
    /// The host.
    pub host: u32,
    /// Its network.
    pub network: u32,
}

/// What an action costs in packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// That many for certain.
    pub sure: u32,
    /// And that many if it is answered: the kernel acknowledges by itself.
    pub possible: u32,
}

/// Keeps the pace: over all hosts at most `rate / 10` packets (rounded up) in every 100 ms and `rate` in every second, and
/// on top one that an answer adds, which the next one makes up for; to each network and to each host the same with nothing
/// on top, but at least two, for a handshake is two packets; and to one host the actions are evenly spaced.
#[derive(Debug)]
pub struct Schedule {
    pace: Pace,
    spacing: Duration,
    total: Even,
    networks: HashMap<u32, Network>,
    hosts: HashMap<u32, Recent>,
    /// When there are so many, those to whom nothing has gone of late are forgotten.
    forget_at: usize,
    random: u64,
}

/// What has gone to one network.
#[derive(Debug)]
struct Network {
    even: Even,
    recent: Recent,
}

impl Schedule {
    /// A schedule that has sent nothing yet. The seed decides the jitter.
    pub fn new(pace: Pace, seed: u64) -> Self {
        Self {
            pace,
            spacing: spacing(pace),
            total: Even::rate(pace.total_per_second),
            networks: HashMap::new(),
            hosts: HashMap::new(),
            forget_at: REMEMBERED_HOSTS,
            random: seed,
        }
    }

    /// Goes on at another pace. What was sent stays counted.
    pub fn set(&mut self, pace: Pace) {
        self.total = self.total.at(Even::rate(pace.total_per_second));
        for network in self.networks.values_mut() {
            network.even = network.even.at(Even::rate(pace.per_subnet_per_second));
        }
        self.spacing = spacing(pace);
        self.pace = pace;
    }

    /// Asks for an action at `now`, the time since the start. `now` must not go back.
    pub fn next(&mut self, now: Duration, to: To, cost: Cost) -> Turn {
        let ready = self
            .host_ready(to.host, now, cost)
            .max(self.network_ready(to.network, now, cost))
            .max(self.total_ready(now));
        if ready > now {
            return Turn::At(ready);
        }
        if self.hosts.len() >= self.forget_at {
            self.hosts.retain(|_, recent| !recent.is_over(now));
            // Not again before twice as many: each host is looked at a bounded number of times.
            self.forget_at = REMEMBERED_HOSTS.max(2 * self.hosts.len());
        }
        let packets = cost.sure + cost.possible;
        let jitter = self.spacing.as_nanos() as u64 / JITTER;
        let jitter = next_random(&mut self.random)
            .checked_rem(jitter)
            .unwrap_or_default();
        let ready = now + self.spacing.saturating_mul(packets) + Duration::from_nanos(jitter);
        self.hosts.entry(to.host).or_default().add(now, packets, ready);
        self.take(now, to, cost.sure);
        Turn::Now
    }

    /// The last action went so much later than it was asked for: this machine was busy. What follows waits as long.
    pub fn late(&mut self, to: To, by: Duration) {
        self.total.delay(picoseconds(by));
        if let Some(recent) = self.hosts.get_mut(&to.host) {
            recent.late(by);
        }
        if let Some(network) = self.networks.get_mut(&to.network) {
            network.even.delay(picoseconds(by));
            network.recent.late(by);
        }
    }

    /// Corrects what was counted for an action, when it is known how many packets it was.
    pub fn settle(&mut self, now: Duration, to: To, cost: Cost, packets: u32) {
        let counted = cost.sure + cost.possible;
        if let Some(recent) = self.hosts.get_mut(&to.host) {
            if packets < counted {
                recent.take_back(counted - packets, self.spacing);
            } else {
                let ready = now + self.spacing.saturating_mul(packets - counted);
                recent.add(now, packets - counted, ready);
            }
        }
        self.take(now, to, packets.saturating_sub(cost.sure));
    }

    /// When the host may get such an action, whatever goes to the others.
    pub fn host_ready(&self, host: u32, now: Duration, cost: Cost) -> Duration {
        self.hosts.get(&host).map_or(Duration::ZERO, |recent| {
            recent.ready(
                now,
                cost.sure + cost.possible,
                self.pace.per_host_per_second.max(1),
            )
        })
    }

    /// When anything may go at all.
    pub fn total_ready(&self, now: Duration) -> Duration {
        if self.total.ready(picoseconds(now)) > 0 {
            return Duration::ZERO;
        }
        even::time(self.total.when())
    }

    /// There must be room for the packet that an answer adds, too.
    fn network_ready(&self, network: u32, now: Duration, cost: Cost) -> Duration {
        let Some(network) = self.networks.get(&network) else {
            return Duration::ZERO;
        };
        let even = match network.even.ready(picoseconds(now)) {
            0 => even::time(network.even.when()),
            _ => Duration::ZERO,
        };
        match self.pace.per_subnet_per_second {
            rate @ 1..=EXACT => even.max(network.recent.ready(now, cost.sure + cost.possible, rate)),
            _ => even,
        }
    }

    fn take(&mut self, now: Duration, to: To, packets: u32) {
        let at = picoseconds(now);
        self.total.take(at, packets.into());
        let rate = self.pace.per_subnet_per_second;
        if rate == 0 {
            return;
        }
        let network = self.networks.entry(to.network).or_insert_with(|| Network {
            even: Even::rate(rate),
            recent: Recent::default(),
        });
        network.even.take(at, packets.into());
        if rate <= EXACT {
            network.recent.add(now, packets, now);
        }
    }
}

fn spacing(pace: Pace) -> Duration {
    // Rounded up, so that the rounding never adds a packet to a window.
    let per_host = u64::from(pace.per_host_per_second.max(1));
    Duration::from_nanos(1_000_000_000_u64.div_ceil(per_host))
}

#[cfg(test)]
mod tests;

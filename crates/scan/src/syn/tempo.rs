//! When the next packets may go, for rates at which remembering each packet would cost too much. Reads no clock; `now`
//! is a parameter.
//!
//! Two even schedules (the generic cell rate algorithm, ITU-T I.371) are kept side by side:
//!
//! * The *rate* counts packets. What it may send at once is a fortieth of what fits into 100 ms, and the spacing makes
//!   up for that: in every 100 ms and every second no more goes than the set rate allows.
//! * The *hosts* counts turns, whether a packet is sent in them or not. A host's next turn comes after every other host
//!   has had one, so that even turns are even packets to each host: its cap holds by construction, with nothing
//!   remembered of it. Where there are so few hosts that their turns would come round too soon, the whole scan goes
//!   slower. Each SYN is taken for two packets, for our kernel answers a SYN-ACK with a reset.

use std::time::Duration;

use crate::Pace;

/// Picoseconds: at millions of packets per second a nanosecond is too coarse.
const SECOND: u128 = 1_000_000_000_000;
/// The window over which a rate holds.
const WINDOW: u128 = SECOND / 10;
/// What a SYN costs its host: itself, and the reset that may follow.
const PACKETS_PER_SYN: u128 = 2;
/// From this rate on there is no rate to keep: no machine reaches it with frames made one by one.
pub(super) const UNLIMITED: u32 = 20_000_000;

/// An even schedule: one thing each interval, with so many that may come at once.
#[derive(Debug, Clone, Copy)]
struct Even {
    interval: u128,
    tolerance: u128,
    next: u128,
}

impl Even {
    fn new(interval: u128, at_once: u128) -> Self {
        Self {
            interval,
            tolerance: at_once.saturating_sub(1) * interval,
            next: 0,
        }
    }

    /// How many may come now.
    fn ready(&self, now: u128) -> u64 {
        if self.interval == 0 {
            return u64::MAX;
        }
        let base = self.next.max(now);
        match (now + self.tolerance).checked_sub(base) {
            Some(room) => u64::try_from(room / self.interval + 1).unwrap_or(u64::MAX),
            None => 0,
        }
    }

    fn take(&mut self, now: u128, count: u64) {
        self.next = self.next.max(now) + u128::from(count) * self.interval;
    }

    /// Takes back what was counted and did not come.
    fn give_back(&mut self, count: u64) {
        self.next = self.next.saturating_sub(u128::from(count) * self.interval);
    }

    /// When something may come.
    fn when(&self) -> u128 {
        self.next.saturating_sub(self.tolerance)
    }
}

/// The pace of a scan.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tempo {
    rate: Even,
    hosts: Even,
}

impl Tempo {
    /// The pace of a scan of so many hosts. Where each gets one packet only, `once`, no spacing is needed.
    pub(super) fn new(pace: Pace, hosts: u64, once: bool) -> Self {
        let hosts = u128::from(hosts.max(1));
        let at_once = (hosts / 40).max(1);
        let spacing = if once {
            0
        } else {
            (PACKETS_PER_SYN * SECOND).div_ceil(u128::from(pace.per_host_per_second.max(1)))
        };
        // A host's turns are `hosts` turns apart, less those that may have come at once.
        let turns = (hosts - at_once + 1).max(1);
        Self {
            rate: rate(pace.total_per_second),
            hosts: Even::new(spacing.div_ceil(turns), at_once),
        }
    }

    /// How many turns may be taken now, if each sends a packet.
    pub(super) fn ready(&self, now: Duration) -> u64 {
        let now = picoseconds(now);
        self.rate.ready(now).min(self.hosts.ready(now))
    }

    /// Counts turns that are taken, with a packet in each.
    pub(super) fn take(&mut self, now: Duration, turns: u64) {
        let now = picoseconds(now);
        self.hosts.take(now, turns);
        self.rate.take(now, turns);
    }

    /// Counts packets that somebody else sends in our name.
    pub(super) fn charge(&mut self, now: Duration, packets: u64) {
        self.rate.take(picoseconds(now), packets);
    }

    /// Takes back packets of turns that turned out to need none. The turns stay taken.
    pub(super) fn give_back(&mut self, packets: u64) {
        self.rate.give_back(packets);
    }

    /// When the next turn may be taken, as time since the start.
    pub(super) fn when(&self) -> Duration {
        let nanoseconds = self.rate.when().max(self.hosts.when()).div_ceil(1000);
        Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
    }
}

fn rate(per_second: u32) -> Even {
    let rate = u128::from(per_second.max(1));
    if per_second >= UNLIMITED {
        return Even::new(0, 1);
    }
    let window = rate / 10;
    let at_once = (window / 40).max(1);
    if window < 40 {
        return Even::new(SECOND.div_ceil(rate), 1);
    }
    Even::new(WINDOW.div_ceil(window - (at_once - 1)), at_once)
}

fn picoseconds(time: Duration) -> u128 {
    time.as_nanos() * 1000
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pace(total: u32, per_host: u32) -> Pace {
        Pace {
            total_per_second: total,
            per_host_per_second: per_host,
            host_connections: 1,
        }
    }

    fn most_in(times: &[Duration], window: Duration) -> usize {
        let counts = times.iter().enumerate().map(|(first, start)| {
            let rest = times.get(first..).unwrap_or_default();
            rest.partition_point(|time| *time < *start + window)
        });
        counts.max().unwrap_or_default()
    }

    /// Takes all turns that it may in each step, some of them without a packet, with a clock that jumps at times.
    fn drive(pace: Pace, hosts: u64, jumps: &[u16], skips: u8, turns: u64) -> Vec<(Duration, u64)> {
        let mut tempo = Tempo::new(pace, hosts, false);
        let mut now = Duration::ZERO;
        let mut sent = Vec::new();
        let mut turn = 0;
        let mut jumps = jumps.iter().cycle();
        while turn < turns {
            let ready = tempo.ready(now).min(64);
            if ready == 0 {
                let when = tempo.when();
                assert!(when > now, "it would be asked for ever");
                now = when + Duration::from_micros(u64::from(*jumps.next().unwrap()));
                continue;
            }
            let mut packets = 0;
            for number in turn..turn + ready {
                if number.wrapping_mul(2_654_435_761) % 256 >= u64::from(skips) {
                    sent.push((now, number % hosts));
                    packets += 1;
                }
            }
            tempo.take(now, ready);
            tempo.give_back(ready - packets);
            turn += ready;
        }
        sent
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn no_window_is_ever_overfull(total in 1u32..20_000, per_host in 1u32..300, hosts in 1u64..400, skips: u8,
            jumps in prop::collection::vec(prop_oneof![8 => Just(0u16), 2 => 0u16..3000, 1 => any::<u16>()], 1..40)) {
            let sent = drive(pace(total, per_host), hosts, &jumps, skips, 3000);
            let all: Vec<Duration> = sent.iter().map(|(when, _)| *when).collect();
            let tenth = Duration::from_millis(100);
            prop_assert!(most_in(&all, tenth) <= total.div_ceil(10) as usize);
            prop_assert!(most_in(&all, Duration::from_secs(1)) <= total as usize);
            for host in 0..hosts.min(40) {
                let times: Vec<Duration> =
                    sent.iter().filter(|(_, to)| *to == host).map(|(when, _)| *when).collect();
                // Half of the host's budget is left for the resets.
                prop_assert!(most_in(&times, Duration::from_secs(1)) <= per_host.div_ceil(2) as usize);
                let spacing = Duration::from_secs_f64(1.99 / f64::from(per_host));
                prop_assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= spacing));
            }
        }
    }

    #[test]
    fn nearly_the_whole_rate_is_used() {
        for total in [100, 1000, 10_000, 100_000] {
            let sent = drive(pace(total, 1000), 100_000, &[0], 0, u64::from(total) * 2);
            let (last, _) = sent.last().unwrap();
            assert!(*last <= Duration::from_millis(2060), "{total}: {last:?}");
        }
    }

    #[test]
    fn few_hosts_make_the_whole_scan_slower() {
        let sent = drive(pace(1_000_000, 20), 2, &[0], 0, 41);
        let (last, _) = sent.last().unwrap();
        assert!(*last >= Duration::from_secs(2), "{last:?}");
    }

    #[test]
    fn without_a_rate_all_may_go() {
        let tempo = Tempo::new(pace(u32::MAX, 20), 65536, true);
        assert!(tempo.ready(Duration::ZERO) > 1_000_000);
    }
}

//! When the next packets may go, for rates at which remembering each packet would cost too much. Reads no clock; `now`
//! is a parameter.
//!
//! Three even schedules (the generic cell rate algorithm, ITU-T I.371) are kept side by side:
//!
//! * The *rate* counts packets. What it may send at once is a fortieth of what fits into 100 ms, and the spacing makes
//!   up for that: in every 100 ms and every second no more goes than the set rate allows.
//! * The *hosts* counts turns, whether a packet is sent in them or not. A host's next turn comes after every other host
//!   has had one, so that even turns are even packets to each host: its cap holds by construction, with nothing
//!   remembered of it. Where there are so few hosts that their turns would come round too soon, the whole scan goes
//!   slower. Each SYN is taken for two packets, for our kernel answers a SYN-ACK with a reset.
//! * The *networks*, where they have a cap of their own, take turns in the same way.

use std::time::Duration;

use crate::{
    Pace,
    pace::even::{Even, SECOND, picoseconds, time},
};

/// What a SYN costs its host: itself, and the reset that may follow.
const PACKETS_PER_SYN: u128 = 2;
/// By this part of itself a spacing is longer than it must be: packets that are delayed on their way come closer to the
/// next.
const MARGIN: u128 = 100;

/// The pace of a scan.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tempo {
    rate: Even,
    hosts: Even,
    networks: Even,
    hosts_count: u64,
    networks_count: Option<u64>,
    once: bool,
}

impl Tempo {
    /// The pace of a scan in which the turns of a host are `hosts` turns apart, and those of a network `networks`. Where
    /// each host gets one packet only, `once`, its turns need no spacing.
    pub(super) fn new(pace: Pace, hosts: u64, networks: Option<u64>, once: bool) -> Self {
        let spaced = |apart: u64, per_second: u32| {
            let apart = u128::from(apart.max(1));
            let at_once = (apart / 40).max(1);
            let spacing = (PACKETS_PER_SYN * SECOND).div_ceil(u128::from(per_second.max(1)));
            let spacing = spacing + spacing / MARGIN;
            // Those that may have come at once are missing in between.
            let turns = (apart - at_once + 1).max(1);
            Even::new(spacing.div_ceil(turns), at_once)
        };
        let free = Even::new(0, 1);
        Self {
            rate: Even::rate(pace.total_per_second),
            hosts: if once {
                free
            } else {
                spaced(hosts, pace.per_host_per_second)
            },
            networks: match networks {
                Some(networks) if pace.per_subnet_per_second > 0 => {
                    spaced(networks, pace.per_subnet_per_second)
                }
                _ => free,
            },
            hosts_count: hosts,
            networks_count: networks,
            once,
        }
    }

    /// Goes on at another pace. What was sent stays counted.
    pub(super) fn set(&mut self, pace: Pace) {
        let new = Self::new(pace, self.hosts_count, self.networks_count, self.once);
        *self = Self {
            rate: self.rate.at(new.rate),
            hosts: self.hosts.at(new.hosts),
            networks: self.networks.at(new.networks),
            ..new
        };
    }

    /// Lets some time pass before the next turn.
    pub(super) fn pause(&mut self, pause: Duration) {
        let pause = picoseconds(pause);
        for even in [&mut self.hosts, &mut self.networks] {
            even.delay(pause);
        }
    }

    /// What was taken last went so much later than it was counted: this machine was busy. What follows waits as long.
    pub(super) fn late(&mut self, by: Duration) {
        self.rate.delay(picoseconds(by));
        self.pause(by);
    }

    /// How many turns may be taken now, if each sends a packet.
    pub(super) fn ready(&self, now: Duration) -> u64 {
        let now = picoseconds(now);
        let ready = self.rate.ready(now).min(self.hosts.ready(now));
        ready.min(self.networks.ready(now))
    }

    /// Counts turns that are taken, with a packet in each.
    pub(super) fn take(&mut self, now: Duration, turns: u64) {
        let now = picoseconds(now);
        self.hosts.take(now, turns);
        self.networks.take(now, turns);
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
        let when = self.rate.when().max(self.hosts.when()).max(self.networks.when());
        time(when)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pace(total: u32, per_host: u32) -> Pace {
        Pace {
            total_per_second: total,
            per_host_per_second: per_host,
            ..Pace::default()
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
        let mut tempo = Tempo::new(pace, hosts, None, false);
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
    fn what_went_late_keeps_the_next_away_from_it() {
        let mut tempo = Tempo::new(pace(1000, 20), 1, None, false);
        tempo.take(Duration::ZERO, 1);
        assert_eq!(tempo.when(), Duration::from_millis(101));
        tempo.late(Duration::from_millis(7));
        assert_eq!(tempo.when(), Duration::from_millis(108));
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
        let tempo = Tempo::new(pace(u32::MAX, 20), 65536, None, true);
        assert!(tempo.ready(Duration::ZERO) > 1_000_000);
    }

    #[test]
    fn a_network_feels_no_more_than_its_share() {
        let pace = Pace {
            per_subnet_per_second: 100,
            ..pace(1_000_000, 1_000_000)
        };
        let mut tempo = Tempo::new(pace, 2560, Some(10), false);
        let (mut now, mut turn) = (Duration::ZERO, 0_u64);
        while now < Duration::from_secs(2) {
            match tempo.ready(now) {
                0 => now = tempo.when(),
                _ => {
                    tempo.take(now, 1);
                    turn += 1;
                }
            }
        }
        // Half of the share is left for the resets: 50 turns in a second for each of ten networks.
        assert!((980..=1010).contains(&turn), "{turn}");
    }

    #[test]
    fn a_slower_pace_holds_from_now_on() {
        let mut tempo = Tempo::new(pace(1000, 1000), 1000, None, false);
        let mut now = Duration::from_secs(1);
        tempo.set(pace(10, 1000));
        let mut turns = 0;
        while now < Duration::from_secs(3) {
            match tempo.ready(now) {
                0 => now = tempo.when(),
                _ => {
                    tempo.take(now, 1);
                    turns += 1;
                }
            }
        }
        assert!((19..=21).contains(&turns), "{turns}");
    }
}

//! The pure schedule: when the next packet may go. It reads no clock; `now` is a parameter.

use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
    time::Duration,
};

const SECOND: Duration = Duration::from_secs(1);
/// Windows in which no more than their share of the rate may go, as parts of a second. The shortest keeps a burst small;
/// it is long enough not to waste the rate on timers that tick once in a millisecond.
const PARTS: [u32; 3] = [40, 10, 1];
/// After so many hosts, those whose spacing has passed are forgotten.
const REMEMBERED_HOSTS: usize = 4096;

/// How fast a scan may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Packets per second in all; 0 counts as 1.
    pub total_per_second: u32,
    /// Packets per second to one host; 0 counts as 1.
    pub per_host_per_second: u32,
    /// Connections to one host at a time; 0 counts as 1.
    pub host_connections: u32,
}

impl Default for Pace {
    /// 1000 packets per second, 20 to one host, over one connection at a time.
    fn default() -> Self {
        Self {
            total_per_second: 1000,
            per_host_per_second: 20,
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

/// Keeps the pace: over all hosts at most `rate / 10` packets (rounded up) in every 100 ms and `rate` in every second,
/// and to one host evenly spaced packets.
#[derive(Debug)]
pub struct Schedule {
    total: u32,
    spacing: Duration,
    sent: VecDeque<Duration>,
    next_to_host: HashMap<IpAddr, Duration>,
}

impl Schedule {
    /// A schedule that has sent nothing yet.
    pub fn new(pace: Pace) -> Self {
        let per_host = u64::from(pace.per_host_per_second.max(1));
        Self {
            total: pace.total_per_second.max(1),
            // Rounded up, so that the rounding never adds a packet to a window.
            spacing: Duration::from_nanos(1_000_000_000_u64.div_ceil(per_host)),
            sent: VecDeque::new(),
            next_to_host: HashMap::new(),
        }
    }

    /// Asks for a packet to a host at `now`, the time since the start. `now` must not go back.
    ///
    /// `packets` is how many packets the one action stands for: the kernel repeats a SYN by itself when it waits longer
    /// than a second. They are charged at once.
    pub fn next(&mut self, now: Duration, host: IpAddr, packets: u32) -> Turn {
        let ready = self.host_ready(host).max(self.total_ready(now));
        if ready > now {
            return Turn::At(ready);
        }
        if self.next_to_host.len() >= REMEMBERED_HOSTS {
            self.next_to_host.retain(|_, next| *next > now);
        }
        let packets = packets.max(1);
        self.next_to_host
            .insert(host, now + self.spacing.saturating_mul(packets));
        self.sent.extend((0..packets).map(|_| now));
        while self.sent.len() > self.total as usize {
            self.sent.pop_front();
        }
        Turn::Now
    }

    /// When the host may get its next packet, whatever goes to the others.
    pub fn host_ready(&self, host: IpAddr) -> Duration {
        self.next_to_host.get(&host).copied().unwrap_or_default()
    }

    /// When no window would be overfull by one more packet.
    fn total_ready(&self, now: Duration) -> Duration {
        PARTS
            .iter()
            .filter_map(|part| {
                let share = self.total.div_ceil(*part) as usize;
                let oldest = self.sent.len().checked_sub(share)?;
                Some(*self.sent.get(oldest)? + SECOND / *part)
            })
            .max()
            .unwrap_or(now)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn most_in(times: &[Duration], window: Duration) -> usize {
        let counts = times.iter().enumerate().map(|(first, start)| {
            let rest = times.get(first..).unwrap_or_default();
            rest.partition_point(|time| *time < *start + window)
        });
        counts.max().unwrap_or_default()
    }

    /// Sends as fast as the schedule lets, with a clock that sometimes jumps as it does on a busy machine.
    fn drive(pace: Pace, hosts: u8, jumps: &[u16], packets: usize) -> Vec<(Duration, IpAddr)> {
        let mut schedule = Schedule::new(pace);
        let mut now = Duration::ZERO;
        let mut sent = Vec::new();
        let mut jumps = jumps.iter().cycle();
        for number in 0..packets {
            let host = IpAddr::from([10, 0, 0, (number % usize::from(hosts)) as u8]);
            while let Turn::At(when) = schedule.next(now, host, 1) {
                assert!(when > now, "a turn in the past would be asked for forever");
                now = when + Duration::from_micros(u64::from(*jumps.next().unwrap_or(&0)));
            }
            sent.push((now, host));
        }
        sent
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn no_window_is_ever_overfull(total in 1u32..3000, per_host in 1u32..300, hosts in 1u8..=200,
            jumps in prop::collection::vec(prop_oneof![8 => Just(0u16), 2 => 0u16..3000, 1 => any::<u16>()], 1..40)) {
            let pace = Pace { total_per_second: total, per_host_per_second: per_host, host_connections: 1 };
            let sent = drive(pace, hosts, &jumps, 2000);
            let tenth = Duration::from_millis(100);
            let all: Vec<Duration> = sent.iter().map(|(when, _)| *when).collect();
            prop_assert!(most_in(&all, tenth) <= total.div_ceil(10) as usize);
            prop_assert!(most_in(&all, SECOND) <= total as usize);
            for host in 0..hosts {
                let host = IpAddr::from([10, 0, 0, host]);
                let times: Vec<Duration> =
                    sent.iter().filter(|(_, to)| *to == host).map(|(when, _)| *when).collect();
                prop_assert!(most_in(&times, tenth) <= per_host.div_ceil(10) as usize);
                prop_assert!(most_in(&times, SECOND) <= per_host as usize);
            }
        }
    }

    #[test]
    fn the_whole_rate_is_used() {
        let sent = drive(Pace::default(), 200, &[0], 4001);
        let (last, _) = sent.last().unwrap();
        assert!(*last <= Duration::from_millis(4050), "{last:?}");
    }

    #[test]
    fn repeats_of_the_kernel_are_charged_to_the_host() {
        let mut schedule = Schedule::new(Pace::default());
        let host = IpAddr::from([10, 0, 0, 1]);
        assert_eq!(schedule.next(Duration::ZERO, host, 3), Turn::Now);
        assert_eq!(
            schedule.next(Duration::ZERO, host, 1),
            Turn::At(Duration::from_millis(150))
        );
    }

    #[test]
    fn hosts_are_forgotten_when_their_spacing_has_passed() {
        let mut schedule = Schedule::new(Pace {
            total_per_second: u32::MAX,
            ..Pace::default()
        });
        for number in 0..20_000u32 {
            let now = Duration::from_millis(u64::from(number));
            assert_eq!(
                schedule.next(now, std::net::Ipv4Addr::from(number).into(), 1),
                Turn::Now
            );
        }
        assert!(schedule.next_to_host.len() <= REMEMBERED_HOSTS + 1);
    }
}

use proptest::prelude::*;

use super::*;

const SYN: Cost = Cost { sure: 1, possible: 1 };
const ASK: Cost = Cost { sure: 2, possible: 0 };

fn pace(total: u32, per_host: u32) -> Pace {
    Pace {
        total_per_second: total,
        per_host_per_second: per_host,
        ..Pace::default()
    }
}

fn to(host: u32) -> To {
    To {
        host,
        network: host / 16,
    }
}

fn most_in(times: &[Duration], window: Duration) -> usize {
    let counts = times.iter().enumerate().map(|(first, start)| {
        let rest = times.get(first..).unwrap_or_default();
        rest.partition_point(|time| *time < *start + window)
    });
    counts.max().unwrap_or_default()
}

/// Sends as fast as the schedule lets, with a clock that sometimes jumps as it does on a busy machine. Every packet is
/// listed, those of the kernel too; some SYNs are accepted, and after some of those a question is asked.
fn drive(pace: Pace, hosts: u32, jumps: &[u16], actions: usize, accepted: u32) -> Vec<(Duration, To)> {
    let mut schedule = Schedule::new(pace, 7);
    let mut now = Duration::ZERO;
    let mut sent = Vec::new();
    let mut jumps = jumps.iter().cycle();
    for number in 0..actions as u32 {
        let to = to(number % hosts);
        let accepts = number.wrapping_mul(2_654_435_761) >> 24 < accepted;
        let steps: &[Cost] = if accepts { &[SYN, ASK] } else { &[SYN] };
        for cost in steps {
            while let Turn::At(when) = schedule.next(now, to, *cost) {
                assert!(when > now, "a turn in the past would be asked for forever");
                now = when + Duration::from_micros(u64::from(*jumps.next().unwrap_or(&0)));
            }
            let packets = if accepts { 2 } else { 1 };
            schedule.settle(now, to, *cost, packets);
            sent.extend((0..packets).map(|_| (now, to)));
        }
    }
    sent
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_window_is_ever_overfull(total in 1u32..3000, per_host in 1u32..300, per_subnet in 0u32..500, hosts in 1u32..=100,
        accepted in 0u32..256,
        jumps in prop::collection::vec(prop_oneof![8 => Just(0u16), 2 => 0u16..3000, 1 => any::<u16>()], 1..40)) {
        let pace = Pace { per_subnet_per_second: per_subnet, ..pace(total, per_host) };
        let sent = drive(pace, hosts, &jumps, 1200, accepted);
        let tenth = Duration::from_millis(100);
        let times = |holds: &dyn Fn(To) -> bool| -> Vec<Duration> {
            sent.iter().filter(|(_, to)| holds(*to)).map(|(when, _)| *when).collect()
        };
        // The packet that an answer adds comes on top, and is made up for by the next.
        let all = times(&|_| true);
        prop_assert!(most_in(&all, tenth) <= total.div_ceil(10) as usize + 1);
        prop_assert!(most_in(&all, SECOND) <= total as usize + 1);
        if per_subnet > 0 {
            for network in 0..=hosts / 16 {
                let times = times(&|to| to.network == network);
                prop_assert!(most_in(&times, tenth) <= per_subnet.div_ceil(10).max(2) as usize);
                prop_assert!(most_in(&times, SECOND) <= per_subnet.max(2) as usize);
            }
        }
        for host in 0..hosts {
            let times = times(&|to| to.host == host);
            prop_assert!(most_in(&times, tenth) <= per_host.div_ceil(10).max(2) as usize);
            prop_assert!(most_in(&times, SECOND) <= per_host.max(2) as usize);
        }
    }
}

#[test]
fn the_whole_rate_is_used() {
    let sent = drive(Pace::default(), 400, &[0], 4001, 0);
    let (last, _) = sent.last().unwrap();
    assert!(*last <= Duration::from_millis(4150), "{last:?}");
}

#[test]
fn a_slower_pace_holds_from_now_on() {
    let mut schedule = Schedule::new(pace(1000, 100), 1);
    let mut now = Duration::from_secs(1);
    schedule.set(pace(10, 100));
    let mut count = 0;
    while now < Duration::from_secs(3) {
        match schedule.next(now, to(count), SYN) {
            Turn::Now => count += 1,
            Turn::At(when) => now = when,
        }
    }
    assert!((19..=21).contains(&count), "{count}");
}

#[test]
fn what_an_answer_costs_the_host_is_counted_before_it_comes() {
    let mut schedule = Schedule::new(Pace::default(), 1);
    let now = Duration::from_secs(1);
    assert_eq!(schedule.next(now, to(1), SYN), Turn::Now);
    let Turn::At(unknown) = schedule.next(now, to(1), SYN) else {
        panic!()
    };
    assert!(unknown >= now + Duration::from_millis(100));
    schedule.settle(now, to(1), SYN, 1);
    let Turn::At(refused) = schedule.next(now, to(1), SYN) else {
        panic!()
    };
    // Beside a refused SYN there is no room for a handshake within 100 ms.
    assert_eq!(refused, now + Duration::from_millis(101));
}

#[test]
fn the_wait_for_a_host_jitters() {
    let mut schedule = Schedule::new(pace(u32::MAX, 20), 1);
    let waits: std::collections::BTreeSet<Duration> = (0..20)
        .map(|host| {
            assert_eq!(schedule.next(Duration::ZERO, to(host * 100), ASK), Turn::Now);
            let Turn::At(when) = schedule.next(Duration::ZERO, to(host * 100), ASK) else {
                panic!()
            };
            when
        })
        .collect();
    assert!(waits.len() > 10, "{waits:?}");
}

#[test]
fn hosts_are_forgotten_when_their_second_has_passed() {
    let mut schedule = Schedule::new(pace(u32::MAX, 20), 1);
    for number in 0..20_000u32 {
        let now = Duration::from_millis(u64::from(number));
        assert_eq!(schedule.next(now, to(number), SYN), Turn::Now);
    }
    assert!(schedule.hosts.len() <= REMEMBERED_HOSTS + 1);
}

#[test]
fn what_went_late_counts_from_when_it_went() {
    let mut schedule = Schedule::new(Pace::default(), 1);
    let now = Duration::from_secs(1);
    assert_eq!(schedule.next(now, to(1), ASK), Turn::Now);
    schedule.late(to(1), Duration::from_millis(40));
    let Turn::At(when) = schedule.next(now, to(1), ASK) else {
        panic!()
    };
    assert!(when >= now + Duration::from_millis(140), "{when:?}");
}

use proptest::prelude::*;

use super::*;

const GUARD: &str = "10.7.10.9:502";
const BASELINE: Baseline = Baseline {
    median: Duration::from_millis(10),
    largest: Duration::from_millis(12),
};
const HEALTHY: Option<Duration> = Some(Duration::from_millis(32));
const SLOW: Option<Duration> = Some(Duration::from_millis(33));
const SILENT: Option<Duration> = None;

/// One sample per second; what was said at each, and the verdict after the last.
fn live(answers: &[Option<Duration>]) -> (Vec<Option<String>>, Verdict) {
    let mut health = Health::new(GUARD, BASELINE);
    let said = (1..)
        .zip(answers)
        .map(|(second, answer)| {
            health.take(Sample {
                at: Duration::from_secs(second),
                answer: *answer,
            })
        })
        .collect();
    (said, health.verdict().clone())
}

fn share(answers: &[Option<Duration>]) -> Share {
    match live(answers).1 {
        Verdict::Go(share) => share,
        Verdict::Stop(reason) => panic!("stopped: {reason}"),
    }
}

fn stop(answers: &[Option<Duration>]) -> String {
    match live(answers).1 {
        Verdict::Stop(reason) => reason,
        Verdict::Go(share) => panic!("goes on at {share}"),
    }
}

#[test]
fn a_baseline_is_the_median_and_the_largest() {
    let times = |times: &[u64]| {
        times
            .iter()
            .map(|time| Duration::from_millis(*time))
            .collect::<Vec<_>>()
    };
    let baseline = Baseline::of(&times(&[9, 10, 12, 10, 40])).unwrap();
    assert_eq!(baseline.median, Duration::from_millis(10));
    assert_eq!(baseline.largest, Duration::from_millis(40));
    assert_eq!(baseline.healthy_within(), Duration::from_millis(60));
    let slow = Baseline::of(&times(&[100])).unwrap();
    assert_eq!(slow.healthy_within(), Duration::from_millis(300));
    assert_eq!(Baseline::of(&[]), None);
}

#[test]
fn each_slow_answer_halves_and_three_at_an_eighth_hold() {
    assert_eq!(share(&[HEALTHY; 9]), Share::Whole);
    assert_eq!(share(&[SLOW]), Share::Half);
    assert_eq!(share(&[SLOW; 2]), Share::Quarter);
    assert_eq!(share(&[SLOW; 3]), Share::Eighth);
    assert_eq!(share(&[SLOW; 5]), Share::Eighth);
    assert_eq!(share(&[SLOW; 6]), Share::Hold);
    let (said, _) = live(&[SLOW; 6]);
    assert_eq!(
        said[0].as_deref(),
        Some("guard 10.7.10.9:502 has become slow (10 ms before the scan, now 33 ms): half of the pace")
    );
    assert_eq!(
        said[5].as_deref(),
        Some(
            "guard 10.7.10.9:502 stays slow at an eighth of the pace (10 ms before the scan, now 33 ms): the scan is held"
        )
    );
}

#[test]
fn five_healthy_answers_in_a_row_double_and_no_fewer() {
    let mut answers = vec![SLOW; 3];
    for expected in [Share::Eighth, Share::Quarter, Share::Half, Share::Whole] {
        assert_eq!(share(&answers), expected);
        answers.extend([HEALTHY; 4]);
        if expected != Share::Whole {
            let before = live(&answers).1;
            assert_eq!(before, Verdict::Go(expected));
        }
        answers.push(HEALTHY);
    }
    // An interrupted row counts from its beginning.
    let row = [
        SLOW, HEALTHY, HEALTHY, HEALTHY, HEALTHY, SLOW, HEALTHY, HEALTHY, HEALTHY,
    ];
    assert_eq!(share(&row), Share::Quarter);
}

#[test]
fn a_guard_that_is_sometimes_slow_at_an_eighth_holds_all_the_same() {
    let answers = [SLOW, SLOW, SLOW, SLOW, HEALTHY, SLOW, HEALTHY, SLOW];
    assert_eq!(share(&answers), Share::Hold);
}

#[test]
fn silence_holds_at_once_and_three_healthy_answers_go_on_at_a_quarter() {
    assert_eq!(share(&[SILENT]), Share::Hold);
    assert_eq!(share(&[SILENT, HEALTHY, HEALTHY]), Share::Hold);
    assert_eq!(
        share(&[SILENT, HEALTHY, HEALTHY, SLOW, HEALTHY, HEALTHY]),
        Share::Hold
    );
    assert_eq!(share(&[SILENT, HEALTHY, HEALTHY, HEALTHY]), Share::Quarter);
    let (said, _) = live(&[SILENT, HEALTHY, HEALTHY, HEALTHY]);
    assert_eq!(
        said[0].as_deref(),
        Some("guard 10.7.10.9:502 has not answered (10 ms before the scan, now no answer): the scan is held")
    );
    assert_eq!(
        said[3].as_deref(),
        Some("guard 10.7.10.9:502 is healthy (10 ms before the scan, now 32 ms): a quarter of the pace")
    );
}

#[test]
fn thirty_seconds_of_silence_stop() {
    assert_eq!(share(&[SILENT; 30]), Share::Hold);
    assert_eq!(
        stop(&[SILENT; 31]),
        "guard 10.7.10.9:502 has not answered for 30 s (10 ms before the scan, now no answer)"
    );
    let mut answers = vec![SILENT; 30];
    answers.push(SLOW);
    assert_eq!(
        stop(&answers),
        "guard 10.7.10.9:502 has not become healthy in 30 s without scanning (10 ms before the scan, now 33 ms)"
    );
}

#[test]
fn the_third_hold_stops() {
    let round = [SILENT, HEALTHY, HEALTHY, HEALTHY];
    let mut answers = [round, round].concat();
    assert_eq!(share(&answers), Share::Quarter);
    answers.push(SILENT);
    assert_eq!(
        stop(&answers),
        "guard 10.7.10.9:502 has not answered (10 ms before the scan, now no answer), and the scan was held 2 times before"
    );
    // What is stopped stays stopped.
    answers.extend([HEALTHY; 20]);
    let (said, _) = live(&answers);
    assert!(said[9..].iter().all(Option::is_none));
    stop(&answers);
}

#[test]
fn of_several_guards_the_worst_counts() {
    let go = Verdict::Go;
    let stop = |reason: &str| Verdict::Stop(reason.into());
    assert_eq!(Verdict::worst(&[]), go(Share::Whole));
    assert_eq!(
        Verdict::worst(&[go(Share::Half), go(Share::Eighth), go(Share::Whole)]),
        go(Share::Eighth)
    );
    assert_eq!(
        Verdict::worst(&[go(Share::Hold), stop("one"), stop("two")]),
        stop("one")
    );
}

fn answers() -> impl Strategy<Value = Vec<(u64, Option<Duration>)>> {
    let answer = prop_oneof![
        6 => (0u64..=32).prop_map(|time| Some(Duration::from_millis(time))),
        2 => (33u64..900).prop_map(|time| Some(Duration::from_millis(time))),
        1 => Just(None),
    ];
    prop::collection::vec((900u64..2000, answer), 0..200)
}

fn rank(verdict: &Verdict) -> Option<Share> {
    match verdict {
        Verdict::Go(share) => Some(*share),
        Verdict::Stop(_) => None,
    }
}

proptest! {
    /// Whatever samples come: only the steps of the description are taken, each only on what it asks for, and each
    /// change is told in words that name the guard.
    #[test]
    fn only_the_described_steps_are_taken(samples in answers()) {
        let mut health = Health::new(GUARD, BASELINE);
        let mut at = Duration::ZERO;
        let mut healthy_in_a_row = 0;
        for (pause, answer) in samples {
            at += Duration::from_millis(pause);
            let healthy = answer.is_some_and(|answer| answer <= BASELINE.healthy_within());
            healthy_in_a_row = if healthy { healthy_in_a_row + 1 } else { 0 };
            let before = health.verdict().clone();
            let said = health.take(Sample { at, answer });
            let after = health.verdict().clone();
            prop_assert_eq!(before != after, said.is_some());
            prop_assert!(said.is_none_or(|said| said.starts_with("guard 10.7.10.9:502 ")));
            let (before, after) = (rank(&before), rank(&after));
            let allowed = match (before, after) {
                (None, after) => after.is_none(),
                (Some(Share::Hold), None) => !healthy || healthy_in_a_row < HEALTHY_TO_GO_ON,
                (Some(_), None) => !healthy,
                (Some(Share::Hold), Some(after)) => {
                    after == Share::Hold || (after == Share::Quarter && healthy_in_a_row >= HEALTHY_TO_GO_ON)
                }
                (Some(before), Some(Share::Hold)) => {
                    answer.is_none() || (before == Share::Eighth && !healthy)
                }
                (Some(before), Some(after)) if after > before => {
                    after == before.doubled() && healthy_in_a_row >= HEALTHY_TO_DOUBLE
                }
                (Some(before), Some(after)) if after < before => after == before.halved() && !healthy,
                // Slow answers and silence never leave a pace above an eighth as it is.
                (Some(before), Some(_)) => healthy || before == Share::Eighth,
            };
            prop_assert!(allowed, "{before:?} -> {after:?} on {answer:?} after {healthy_in_a_row} healthy");
        }
    }

    #[test]
    fn a_guard_that_stays_silent_always_ends_in_stop(samples in answers(), pause in 900u64..2000) {
        let mut health = Health::new(GUARD, BASELINE);
        let mut at = Duration::ZERO;
        for (pause, answer) in samples {
            at += Duration::from_millis(pause);
            health.take(Sample { at, answer });
        }
        let silent = at;
        while rank(health.verdict()).is_some() {
            at += Duration::from_millis(pause);
            health.take(Sample { at, answer: None });
            prop_assert!(at - silent <= LONGEST_HOLD + Duration::from_millis(2 * pause));
            prop_assert!(rank(health.verdict()).is_none_or(|share| share == Share::Hold));
        }
    }
}

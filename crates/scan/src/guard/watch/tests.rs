use std::{
    net::{Ipv4Addr, TcpListener},
    sync::atomic::{AtomicUsize, Ordering},
};

use super::*;
use crate::{Pace, Share, guard::ask::tests::silent_listener};

const FAST: Duration = Duration::from_millis(1);
const SLOW: Duration = Duration::from_millis(500);
/// Nothing here takes so long unless it is broken.
const NEVER: Duration = Duration::from_secs(20);

fn guard(text: &str) -> Guard {
    text.parse().unwrap()
}

fn baselines(guards: &[&str]) -> Baselines {
    let baseline = Baseline {
        median: FAST,
        largest: FAST,
    };
    Baselines(guards.iter().map(|text| (guard(text), baseline)).collect())
}

/// Watches with answers from a script, which is told how many questions the guard was asked before. Of two guards, one is
/// asked by ICMP.
fn scripted(guards: &[&str], brake: &Arc<Brake>, script: fn(&Guard, usize) -> Asked) -> Watching {
    let (tcp, icmp) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let ask = move |guard: &Guard, _: &End| {
        let asked = if guard.port().is_some() { &tcp } else { &icmp };
        script(guard, asked.fetch_add(1, Ordering::Relaxed))
    };
    begin(
        baselines(guards),
        Arc::clone(brake),
        Duration::from_millis(1),
        Arc::new(ask),
    )
    .unwrap()
}

fn wait_until(condition: impl Fn() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < NEVER, "it never came");
        thread::sleep(Duration::from_millis(1));
    }
}

fn total(brake: &Brake) -> Option<u32> {
    brake.pace(Pace::default()).map(|pace| pace.total_per_second)
}

#[test]
fn a_slow_guard_slows_the_scan_and_a_healthy_one_lets_it_go_on() {
    let brake = Arc::new(Brake::new());
    let watching = scripted(&["10.0.0.1:502"], &brake, |_, number| {
        Asked::Answered(if number < 2 { SLOW } else { FAST })
    });
    wait_until(|| watching.post.ledgers()[0].report.events.len() == 4);
    assert_eq!(total(&brake), Some(1000));
    let reports = watching.end();
    let said: Vec<&str> = reports[0]
        .events
        .iter()
        .map(|event| event.what.as_str())
        .collect();
    assert_eq!(
        said,
        [
            "guard 10.0.0.1:502 has become slow (1.0 ms before the scan, now 500 ms): half of the pace",
            "guard 10.0.0.1:502 has become slow (1.0 ms before the scan, now 500 ms): a quarter of the pace",
            "guard 10.0.0.1:502 is healthy (1.0 ms before the scan, now 1.0 ms): half of the pace",
            "guard 10.0.0.1:502 is healthy (1.0 ms before the scan, now 1.0 ms): the whole of the pace",
        ]
    );
    assert_eq!((reports[0].slowest_ms, reports[0].unanswered), (Some(500.0), 0));
    assert_eq!(reports[0].baseline_median_ms, 1.0);
}

#[test]
fn the_worst_of_several_counts_and_a_stop_ends_the_watch() {
    let brake = Arc::new(Brake::new());
    let watching = scripted(&["10.0.0.1:502", "icmp:10.0.0.2"], &brake, |guard, number| {
        match (guard.port(), number % 4) {
            // Three holds: silence, then healthy answers, three times over.
            (None, 0) => Asked::Silent,
            _ => Asked::Answered(FAST),
        }
    });
    wait_until(|| brake.stopped().is_some());
    let reason = brake.stopped().unwrap();
    assert!(
        reason.starts_with("guard icmp:10.0.0.2 has not answered"),
        "{reason}"
    );
    assert_eq!(total(&brake), None);
    let reports = watching.end();
    assert_eq!(reports[0].guard, "10.0.0.1:502");
    assert_eq!(reports[0].events, []);
    let last = reports[1].events.last().unwrap();
    assert_eq!(last.what, format!("{reason}: the scan is stopped"));
    assert_eq!((reports[1].samples, reports[1].unanswered), (9, 3));
}

#[test]
fn a_guard_that_cannot_be_asked_holds_the_scan_and_whose_fault_it_is_is_told_once() {
    let brake = Arc::new(Brake::new());
    let watching = scripted(&["10.0.0.1:502"], &brake, |_, _| {
        Asked::Failed(io::Error::other("no sockets left"))
    });
    wait_until(|| watching.post.ledgers()[0].report.samples > 5);
    assert_eq!(total(&brake), None);
    let report = watching.end().remove(0);
    let said: Vec<&str> = report.events.iter().map(|event| event.what.as_str()).collect();
    assert_eq!(
        said,
        [
            "guard 10.0.0.1:502 cannot be asked from this host: no sockets left",
            "guard 10.0.0.1:502 has not answered (1.0 ms before the scan, now no answer): the scan is held"
        ]
    );
}

#[test]
fn events_beyond_a_thousand_are_counted() {
    let mut ledger = Ledger::new(&guard("10.0.0.1:502"), baselines(&["10.0.0.1:502"]).0[0].1);
    for _ in 0..MOST_EVENTS + 7 {
        ledger.note("something".into());
    }
    assert_eq!(ledger.report.events.len(), MOST_EVENTS);
    assert_eq!(ledger.report.events_left_out, 7);
}

#[test]
fn a_real_listener_has_a_baseline_and_stays_healthy() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let guard = guard(&listener.local_addr().unwrap().to_string());
    let baseline = baseline_of(&guard, Duration::ZERO, &ask).unwrap();
    assert!(baseline.largest < Duration::from_secs(1));
    // A busy machine must not fail this test: what is slow is tested above.
    let patient = Baseline {
        median: Duration::from_secs(1),
        ..baseline
    };
    let brake = Arc::new(Brake::new());
    let every = Duration::from_millis(1);
    let watching = begin(
        Baselines(vec![(guard, patient)]),
        Arc::clone(&brake),
        every,
        Arc::new(ask),
    )
    .unwrap();
    // Connections that nobody takes would fill the backlog and silence it.
    thread::spawn(move || listener.incoming().for_each(drop));
    wait_until(|| watching.post.ledgers()[0].report.samples >= 5);
    let report = watching.end().remove(0);
    assert_eq!((report.unanswered, report.events.len()), (0, 0));
    assert_eq!(total(&brake), Some(1000));
}

#[test]
fn a_silent_listener_is_refused_before_the_scan_and_holds_a_scan_that_runs() {
    let (_listener, _waiting, address) = silent_listener();
    let guard = guard(&address.to_string());
    let error = baseline_of(&guard, Duration::ZERO, &ask).unwrap_err();
    assert!(
        matches!(error, GuardError::Silent { guard: silent, question: 1 } if silent == guard),
        "{error}"
    );
    let brake = Arc::new(Brake::new());
    let watching = watch(baselines(&[&address.to_string()]), Arc::clone(&brake)).unwrap();
    wait_until(|| total(&brake).is_none());
    // The next question is under way by now, or will be: neither it nor the pause before it is waited for.
    let end = Instant::now();
    let report = watching.end().remove(0);
    assert!(end.elapsed() < Duration::from_millis(500), "{:?}", end.elapsed());
    assert_eq!((report.unanswered, report.slowest_ms), (1, None));
}

#[test]
fn dropping_the_handle_ends_the_threads() {
    let brake = Arc::new(Brake::new());
    let watching = scripted(&["10.0.0.1:502"], &brake, |_, _| Asked::Answered(FAST));
    let post = Arc::downgrade(&watching.post);
    drop(watching);
    wait_until(|| post.strong_count() == 0);
}

#[test]
fn without_guards_nothing_is_held_back() {
    let brake = Arc::new(Brake::new());
    let watching = watch(baseline(&[]).unwrap(), Arc::clone(&brake)).unwrap();
    assert_eq!(watching.end(), []);
    assert_eq!(brake.pace(Pace::default()), Some(Pace::default()));
    assert_eq!(Verdict::worst(&[]), Verdict::Go(Share::Whole));
}

#[test]
fn jitter_is_a_tenth_at_most() {
    for _ in 0..1000 {
        let time = jittered(EVERY);
        assert!((Duration::from_millis(900)..=Duration::from_millis(1100)).contains(&time));
    }
}

use std::{net::IpAddr, time::Duration};

use jiff::{SignedDuration, Timestamp};
use portcullis_model::{
    Detection, DetectionKind, Detections, LogEvent, LogMoment, LogSource, Port, TcpFlags, Untrusted, Verdict,
};
use proptest::prelude::*;

use super::{Closed, Detector, Finding, Known, OwnLook, marks::Marks, recent::Recent, sweep::Touched};

fn start() -> Timestamp {
    "2026-11-22T12:00:00Z".parse().unwrap()
}

/// An event of one second of a test, from 192.0.2.N.
fn event(second: i64, host: u8) -> LogEvent {
    let at = start() + SignedDuration::from_secs(second);
    serde_json::from_value(serde_json::json!({
        "at": at, "time_assumed": null, "verdict": "unknown", "source": IpAddr::from([192, 0, 2, host]),
        "destination": "10.7.10.4", "port": "tcp/54321", "source_port": 40000, "interface": "eth0",
        "prefix": "fw", "protocol": 6,
        "read_from": {"kind": "file", "path": "kern.log", "line": second.unsigned_abs() + 1, "offset": second.unsigned_abs() * 100},
    }))
    .unwrap()
}

fn with(event: LogEvent, verdict: Verdict) -> LogEvent {
    LogEvent { verdict, ..event }
}

fn lasting(event: LogEvent, ms: u64) -> LogEvent {
    LogEvent {
        verdict: Verdict::Allowed,
        moment: LogMoment::End,
        duration_ms: Some(ms),
        ..event
    }
}

/// Looks for one kind of sign only, as it is usual.
fn only(kind: DetectionKind, known: Known) -> Detector {
    alone(Detection::usual(kind), known)
}

fn alone(detection: Detection, known: Known) -> Detector {
    let mut all = Detections::default();
    for kind in DetectionKind::ALL {
        all.set(Detection {
            off: true,
            ..Detection::usual(kind)
        });
    }
    all.set(detection);
    Detector::new(&all, known)
}

fn found(detector: &mut Detector, events: impl IntoIterator<Item = LogEvent>) -> Vec<Finding> {
    let mut begun = Vec::new();
    for event in events {
        begun.extend(detector.add(&event));
    }
    let all = detector.findings().findings;
    assert_eq!(
        all.iter().map(|finding| finding.kind).collect::<Vec<_>>(),
        begun.iter().map(|finding| finding.kind).collect::<Vec<_>>(),
        "each is told once, when it begins"
    );
    all
}

fn lines(finding: &Finding) -> Vec<u64> {
    finding
        .evidence
        .iter()
        .filter_map(|place| match place {
            LogSource::File { line, .. } => Some(*line),
            _ => None,
        })
        .collect()
}

#[test]
fn repeated_short_connections_are_found_once_and_counted_on() {
    let mut detector = only(DetectionKind::PasswordGuessing, Known::default());
    let found = found(
        &mut detector,
        (0..30).map(|second| lasting(event(second, 7), 800)),
    );
    assert_eq!(found.len(), 1);
    let finding = &found[0];
    assert_eq!((finding.events, finding.got_through), (30, 30));
    assert_eq!(
        finding.says,
        "192.0.2.7 made 10 short connections to 10.7.10.4 tcp/54321"
    );
    assert_eq!(finding.first, start());
    assert_eq!(finding.last, start() + SignedDuration::from_secs(29));
    assert_eq!(lines(finding), [1, 2, 3, 4, 5, 30]);
}

#[test]
fn a_length_that_is_not_logged_is_said_to_be_unknown() {
    let mut detector = only(DetectionKind::PasswordGuessing, Known::default());
    let found = found(&mut detector, (0..10).map(|second| event(second, 7)));
    assert!(
        found[0].says.ends_with("how long they were is not logged"),
        "{found:?}"
    );
    assert_eq!(found[0].got_through, 0);
}

#[test]
fn nobody_guesses_passwords_where_he_is_blocked_or_stays_or_comes_seldom() {
    fn usual(second: i64) -> LogEvent {
        event(second, 7)
    }
    let ack = |second| LogEvent {
        flags: Some(TcpFlags::ACK.with(TcpFlags::PSH)),
        ..usual(second)
    };
    type Make = Box<dyn Fn(i64) -> LogEvent>;
    let undirected = |second| LogEvent {
        directed: false,
        ..usual(second)
    };
    let cases: [(&str, Make); 5] = [
        ("it is not told who began", Box::new(undirected)),
        ("blocked", Box::new(|n| with(usual(n), Verdict::Blocked))),
        ("long", Box::new(|n| lasting(usual(n), 60_000))),
        ("seldom", Box::new(|n| usual(n * 10))),
        ("segments of one connection", Box::new(ack)),
    ];
    for (what, make) in cases {
        let mut detector = only(DetectionKind::PasswordGuessing, Known::default());
        assert_eq!(found(&mut detector, (0..200).map(make)), [], "{what}");
    }
}

#[test]
fn begin_and_end_of_a_session_are_one_attempt() {
    let mut detector = only(DetectionKind::PasswordGuessing, Known::default());
    let sessions = (0..9).flat_map(|second| {
        let begin = LogEvent {
            moment: LogMoment::Begin,
            verdict: Verdict::Allowed,
            ..event(second, 7)
        };
        [lasting(event(second, 7), 500), begin]
    });
    assert_eq!(found(&mut detector, sessions), []);
}

#[test]
fn many_sources_that_come_back_are_slow_guessing_and_passers_by_are_not() {
    let mut detector = only(DetectionKind::SlowGuessing, Known::default());
    let hour = 3600;
    let once = (0..200).map(|host| event(i64::from(host), host));
    assert_eq!(found(&mut detector, once), []);
    let mut detector = only(DetectionKind::SlowGuessing, Known::default());
    let twice = (0..20).map(|n| event(n * hour, 1 + (n % 10) as u8));
    let found = found(&mut detector, twice);
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].source, found[0].events), (None, 10));
    assert_eq!(found[0].says, "10 sources came back to 10.7.10.4 tcp/54321");
}

#[test]
fn sweeps_need_different_ports_or_hosts() {
    let ports = |count: u16| {
        (0..60).map(move |n| LogEvent {
            port: Some(Port::tcp(1000 + n % count)),
            ..with(event(i64::from(n) / 2, 7), Verdict::Blocked)
        })
    };
    let mut detector = only(DetectionKind::PortSweep, Known::default());
    assert_eq!(found(&mut detector, ports(14)), []);
    let mut detector = only(DetectionKind::PortSweep, Known::default());
    let sweep = found(&mut detector, ports(15));
    assert_eq!(sweep.len(), 1);
    assert_eq!(sweep[0].says, "192.0.2.7 tried 15 ports of 10.7.10.4");
    assert_eq!((sweep[0].events, sweep[0].port), (60, None));

    let hosts = |count: u8| {
        (0..60).map(move |n| LogEvent {
            destination: IpAddr::from([10, 7, 10, n % count]),
            ..event(i64::from(n) / 2, 7)
        })
    };
    let mut detector = only(DetectionKind::HostSweep, Known::default());
    assert_eq!(found(&mut detector, hosts(9)), []);
    let mut detector = only(DetectionKind::HostSweep, Known::default());
    let sweep = found(&mut detector, hosts(10));
    assert_eq!(sweep.len(), 1);
    assert_eq!(sweep[0].says, "192.0.2.7 tried tcp/54321 of 10 hosts");
    assert_eq!(
        (sweep[0].destination, sweep[0].port),
        (None, Some(Port::tcp(54321)))
    );
}

#[test]
fn a_source_is_new_only_after_there_was_time_to_learn_and_not_when_blocked() {
    let day = 24 * 3600;
    let mut detector = only(DetectionKind::FirstSource, Known::default());
    let events = [
        event(0, 1),
        event(6 * day, 2),
        event(8 * day, 1),
        event(8 * day + 1, 2),
        with(event(8 * day + 2, 3), Verdict::Blocked),
        with(event(8 * day + 3, 4), Verdict::Allowed),
        event(8 * day + 4, 4),
    ];
    let found = found(&mut detector, events);
    assert_eq!(found.len(), 1);
    assert_eq!(
        found[0].says,
        "192.0.2.4 got through to 10.7.10.4 tcp/54321 and was never seen before"
    );
}

#[test]
fn who_was_known_before_the_log_began_is_not_new() {
    let known = Known {
        sources: [IpAddr::from([192, 0, 2, 1])].into(),
        ..Known::default()
    };
    let mut detector = only(DetectionKind::FirstSource, known);
    let found = found(&mut detector, [event(0, 1), event(1, 2)]);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].source, Some(IpAddr::from([192, 0, 2, 2])));
}

#[test]
fn nobody_is_called_new_when_not_all_could_be_remembered() {
    let few = Detection {
        remember: 3,
        ..Detection::usual(DetectionKind::FirstSource)
    };
    let mut detector = alone(few, Known::default());
    let week = 8 * 24 * 3600;
    let events = (0..3).map(|host| event(0, host)).chain([event(week, 9)]);
    assert_eq!(found(&mut detector, events), []);
    let notes = detector.findings().notes;
    assert!(
        notes[0].starts_with("first-source: 1 had to be forgotten"),
        "{notes:?}"
    );
}

#[test]
fn a_success_counts_only_after_many_failures() {
    for (failures, expected) in [(9, 0), (10, 1)] {
        let mut detector = only(DetectionKind::SuccessAfterFailures, Known::default());
        let blocked = (0..failures).map(|second| with(event(second, 7), Verdict::Blocked));
        let events = blocked.chain([
            with(event(20, 8), Verdict::Allowed),
            with(event(21, 7), Verdict::Allowed),
            with(event(22, 7), Verdict::Allowed),
        ]);
        let found = found(&mut detector, events);
        assert_eq!(found.len(), expected, "{failures}");
        if let Some(finding) = found.first() {
            assert_eq!((finding.events, finding.got_through), (11, 1));
            assert_eq!(lines(finding)[0], 22, "what got through is named first");
        }
    }
}

#[test]
fn one_long_session_after_many_short_ones_is_a_success() {
    let mut detector = only(DetectionKind::SuccessAfterFailures, Known::default());
    let short = (0..12).map(|second| lasting(event(second, 7), 900));
    let found = found(&mut detector, short.chain([lasting(event(300, 7), 200_000)]));
    assert_eq!(found.len(), 1);
    assert!(found[0].says.contains("stayed only a moment 10 times or more"));
    assert_eq!((found[0].events, found[0].got_through), (11, 11));
}

fn closed() -> Known {
    let allowed: ipnet::IpNet = "192.0.2.50/32".parse().unwrap();
    Known {
        closed: vec![Closed {
            port: Port::tcp(54321),
            hosts: ["10.7.10.4/32".parse().unwrap()].into_iter().collect(),
            since: start(),
            until: Some(start() + SignedDuration::from_secs(100)),
            allowed: [allowed].into_iter().collect(),
            change: "3f2a".into(),
        }],
        ..Known::default()
    }
}

#[test]
fn traffic_to_a_closed_port_is_told_only_where_the_log_proves_it() {
    let allowed = |second, host| with(event(second, host), Verdict::Allowed);
    let elsewhere = LogEvent {
        destination: IpAddr::from([10, 7, 10, 5]),
        ..allowed(5, 7)
    };
    let other_port = LogEvent {
        port: Some(Port::tcp(22)),
        ..allowed(5, 7)
    };
    let quiet = [
        allowed(-1, 7),
        allowed(0, 7),
        event(5, 7),
        with(event(5, 7), Verdict::Blocked),
        allowed(5, 50),
        elsewhere,
        other_port,
        allowed(100, 7),
        // It was up before the change.
        lasting(event(10, 7), 11_000),
    ];
    let mut detector = only(DetectionKind::ClosedPort, closed());
    assert_eq!(found(&mut detector, quiet), []);
    let mut detector = only(DetectionKind::ClosedPort, closed());
    let found = found(
        &mut detector,
        [allowed(10, 7), allowed(11, 7), lasting(event(12, 7), 1000)],
    );
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].events, 3);
    assert_eq!(
        found[0].says,
        "192.0.2.7 got through to 10.7.10.4 tcp/54321, which change 3f2a closes for it"
    );
}

#[test]
fn a_silence_counts_only_where_it_was_lively_before() {
    let minute = 60;
    let lively = |minutes: i64| (0..minutes).map(move |n| event(n * minute, 7));
    let mut detector = only(DetectionKind::Silence, Known::default());
    let long = lively(24 * 60 + 2).chain([event(30 * 3600, 7)]);
    let found_one = found(&mut detector, long);
    assert_eq!(found_one.len(), 1);
    assert_eq!(
        found_one[0].says,
        "no line from 2026-11-23T12:01:00Z to 2026-11-23T18:00:00Z, after 24 hours with lines all the time"
    );
    assert_eq!(lines(&found_one[0]).len(), 2);
    let mut detector = only(DetectionKind::Silence, Known::default());
    assert_eq!(found(&mut detector, lively(600).chain([event(30 * 3600, 7)])), []);
}

#[test]
fn lines_as_even_as_a_limit_are_told_and_uneven_ones_are_not() {
    let spans = |count: i64, lines: fn(i64) -> i64| {
        (0..count).flat_map(move |span| (0..lines(span)).map(move |n| event(span * 60 + n, n as u8)))
    };
    let mut detector = only(DetectionKind::RateLimit, Known::default());
    let even = found(&mut detector, spans(30, |_| 10));
    assert_eq!(even.len(), 1);
    assert_eq!(even[0].events, 29 * 10, "the last span is not over");
    assert!(
        even[0]
            .says
            .contains("exactly 10 lines in each of 10 spans of 60 seconds")
    );
    for (what, lines) in [
        ("uneven", (|span| 5 + span % 2) as fn(i64) -> i64),
        ("few", |_| 2),
        ("with a gap", |span| if span % 9 == 8 { 0 } else { 10 }),
    ] {
        let mut detector = only(DetectionKind::RateLimit, Known::default());
        assert_eq!(found(&mut detector, spans(60, lines)), [], "{what}");
    }
}

#[test]
fn our_scans_and_those_to_ignore_are_set_apart_and_said() {
    let network: ipnet::IpNet = "192.0.2.7/32".parse().unwrap();
    let ours = Known {
        ours: vec![OwnLook {
            from: [network].into_iter().collect(),
            began: start(),
            ended: start() + SignedDuration::from_secs(29),
        }],
        ..Known::default()
    };
    let events = || (0..30).map(|second| event(second, 7));
    let mut detector = only(DetectionKind::PasswordGuessing, ours);
    assert_eq!(found(&mut detector, events()), []);
    let later = || (30..40).map(|second| event(second, 7));
    assert_eq!(found(&mut detector, later()).len(), 1, "only while we looked");
    assert_eq!(
        detector.findings().notes,
        ["30 events of our own scans were not looked at for signs"]
    );
    let ignoring = Detection {
        ignore: [network].into_iter().collect(),
        ..Detection::usual(DetectionKind::PasswordGuessing)
    };
    assert_eq!(found(&mut alone(ignoring, Known::default()), events()), []);
}

#[test]
fn an_event_without_a_time_is_said_not_to_have_been_looked_at() {
    let mut detector = Detector::new(&Detections::default(), Known::default());
    let timeless = LogEvent {
        at: None,
        ..event(0, 7)
    };
    assert_eq!(detector.add(&timeless), []);
    assert_eq!(
        detector.findings().notes,
        ["1 events without a time were not looked at for signs"]
    );
}

#[test]
fn memory_is_bounded_and_what_was_forgotten_is_said() {
    let small = Detection {
        remember: 100,
        ..Detection::usual(DetectionKind::PasswordGuessing)
    };
    let mut detector = alone(small, Known::default());
    let flood = (0..50_000_u32).map(|n| LogEvent {
        source: IpAddr::from((0x0a00_0000 + n).to_be_bytes()),
        ..event(0, 0)
    });
    assert_eq!(found(&mut detector, flood), []);
    let notes = detector.findings().notes;
    assert!(
        notes[0].contains("had to be forgotten while they still counted"),
        "{notes:?}"
    );
}

proptest! {
    #[test]
    fn no_more_is_remembered_than_allowed_and_nothing_is_lost_unsaid(
        keys in prop::collection::vec((0u16..500, 0i64..200), 0..600), most in 1usize..50,
    ) {
        let mut recent: Recent<u16, u32> = Recent::new(most, Duration::from_secs(1_000_000));
        let mut all = std::collections::HashSet::new();
        for (key, second) in keys {
            *recent.of(key, start() + SignedDuration::from_secs(second)) += 1;
            all.insert(key);
            prop_assert!(recent.len() <= most);
        }
        prop_assert!(recent.len() as u64 + recent.forgotten() >= all.len() as u64);
    }

    /// Against a reference that keeps everything and counts anew each time.
    #[test]
    fn a_sweep_is_found_exactly_where_a_slow_count_finds_it(
        steps in prop::collection::vec((0i64..20, 0u8..12), 1..200), count in 1usize..8,
    ) {
        let within = Duration::from_secs(60);
        let mut touched = Touched::default();
        let mut marks = Marks::default();
        let mut all: Vec<(Timestamp, u8)> = Vec::new();
        let mut now = start();
        for (pause, thing) in steps {
            now += SignedDuration::from_secs(pause);
            all.push((now, thing));
            let distinct: std::collections::HashSet<u8> = all
                .iter()
                .filter(|(at, _)| now.duration_since(*at) <= SignedDuration::from_secs(60))
                .map(|(_, thing)| *thing)
                .collect();
            let mark = marks.mark(&LogSource::Nflog { group: 1 }, now);
            let said = touched.add(thing, mark, false, count, within).is_some();
            prop_assert_eq!(said, distinct.len() >= count);
        }
    }

    #[test]
    fn no_sequence_of_events_breaks_it(
        events in prop::collection::vec((-100_000i64..100_000, 0u8..5, 0u8..3, 0u8..3, 0u16..30), 0..300),
    ) {
        let mut detector = Detector::new(&Detections::default(), closed());
        let mut begun = 0;
        for (second, host, verdict, moment, port) in &events {
            let verdict = [Verdict::Allowed, Verdict::Blocked, Verdict::Unknown][usize::from(*verdict)];
            let moment = [LogMoment::Packet, LogMoment::Begin, LogMoment::End][usize::from(*moment)];
            let event = LogEvent {
                verdict, moment,
                port: Some(Port::tcp(54310 + port)),
                duration_ms: (moment == LogMoment::End).then_some(u64::from(*port) * 1000),
                prefix: Untrusted::new("x"),
                ..event(*second, *host)
            };
            begun += detector.add(&event).len();
        }
        let findings = detector.findings().findings;
        prop_assert_eq!(findings.len(), begun);
        for finding in findings {
            prop_assert!(finding.first <= finding.last);
            prop_assert!(finding.got_through <= finding.events, "{finding:?}");
            prop_assert!(!finding.evidence.is_empty());
        }
    }
}

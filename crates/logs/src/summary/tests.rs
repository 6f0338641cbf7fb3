use portcullis_model::{LogFormat, LogMoment, LogSource, Untrusted};

use super::*;

fn event(source: &str, port: Option<Port>, second: i64, verdict: Verdict) -> LogEvent {
    LogEvent {
        at: (second > 0).then(|| Timestamp::from_second(second).unwrap()),
        time_assumed: None,
        verdict,
        source: source.parse().unwrap(),
        destination: "10.7.10.4".parse().unwrap(),
        port,
        source_port: None,
        interface: None,
        prefix: Untrusted::new(""),
        read_from: LogSource::Nflog { group: 1 },
        format: LogFormat::Nflog,
        moment: LogMoment::Packet,
        protocol: None,
        flags: None,
        out_interface: None,
        count: 1,
        bytes: None,
        duration_ms: None,
    }
}

const MDM: Option<Port> = Some(Port::tcp(54321));

#[test]
fn sources_are_sorted_by_attempts_with_their_first_and_last_time() {
    let mut summary = Summary::of_all_ports();
    summary.add(&event("192.0.2.1", MDM, 50, Verdict::Unknown));
    summary.add(&event("192.0.2.2", MDM, 30, Verdict::Blocked));
    summary.add(&event(
        "::ffff:192.0.2.2",
        Some(Port::udp(4800)),
        10,
        Verdict::Blocked,
    ));
    summary.add(&event("192.0.2.2", MDM, 0, Verdict::Allowed));
    summary.add(&event("192.0.2.9", None, 20, Verdict::Blocked));
    let report = summary.report(2);
    let time = |second| Some(Timestamp::from_second(second).unwrap());

    assert_eq!(
        (report.attempts, report.distinct_sources, report.without_time),
        (5, 3, 1)
    );
    assert_eq!((report.first, report.last), (time(10), time(50)));
    let addresses: Vec<_> = report
        .sources
        .iter()
        .map(|source| source.address.to_string())
        .collect();
    assert_eq!(addresses, ["192.0.2.2", "192.0.2.1"]);
    let first = &report.sources[0];
    assert_eq!((first.first, first.last, first.attempts), (time(10), time(30), 3));
    let verdicts = VerdictCounts {
        allowed: 1,
        blocked: 2,
        unknown: 0,
    };
    assert_eq!(first.verdicts, verdicts);
    assert_eq!(
        (first.ports[0].port, first.ports[0].attempts),
        (Port::tcp(54321), 2)
    );
}

#[test]
fn only_the_ports_that_were_asked_for_are_counted() {
    let mut summary = Summary::of_ports(MDM);
    assert!(summary.add(&event("192.0.2.1", MDM, 1, Verdict::Blocked)));
    assert!(!summary.add(&event("192.0.2.1", Some(Port::udp(54321)), 1, Verdict::Blocked)));
    assert!(!summary.add(&event("192.0.2.1", None, 1, Verdict::Blocked)));
    let report = summary.report(9);
    assert_eq!((report.attempts, report.on_other_ports), (1, 2));
}

#[test]
fn beyond_the_limits_attempts_are_counted_and_the_limit_is_said() {
    let mut summary = Summary::of_all_ports();
    summary.most_sources = 2;
    for (source, port) in (1..=4).flat_map(|source| (1..=100).map(move |port| (source, port))) {
        summary.add(&event(
            &format!("192.0.2.{source}"),
            Some(Port::tcp(port)),
            1,
            Verdict::Blocked,
        ));
    }
    let report = summary.report(9);
    assert_eq!(
        (report.attempts, report.distinct_sources, report.other_sources),
        (400, 2, 200)
    );
    assert_eq!(
        (report.sources[0].ports.len(), report.sources[0].on_further_ports),
        (64, 36)
    );
    assert!(report.notes.iter().any(|note| note.contains("first 2 sources")));
}

#[test]
fn what_was_not_read_is_counted_with_the_first_reasons() {
    let mut summary = Summary::of_all_ports();
    for number in 1..=5 {
        summary.add_outcome(&LineOutcome::Unreadable(format!("reason {number}")));
        summary.add_outcome(&LineOutcome::Unrelated);
    }
    let report = summary.report(9);
    assert_eq!((report.unreadable, report.unrelated), (5, 5));
    assert_eq!(report.unreadable_reasons, ["reason 1", "reason 2", "reason 3"]);
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(
        (&json["unreadable"], &json["verdicts"]["unknown"]),
        (&5.into(), &0.into())
    );
}

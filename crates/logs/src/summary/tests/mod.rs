mod known;
mod witnesses;

use std::net::IpAddr;

use jiff::Timestamp;
use portcullis_model::{LogMoment, Transport};

use super::*;
use crate::{Prefixes, TCP, UDP};

fn event(source: &str, port: Option<Port>, verdict: Verdict) -> Event<'static> {
    let destination: IpAddr = "10.7.10.4".parse().unwrap();
    let mut event = Event::between(LogFormat::Nflog, source.parse().unwrap(), destination);
    event.verdict = verdict;
    event.protocol = port.map(|port| match port.transport {
        Transport::Tcp => TCP,
        Transport::Udp => UDP,
    });
    event.destination_port = port.map(|port| port.number);
    event
}

fn at(second: i64) -> Option<Moment> {
    Some(Moment {
        microseconds: second * 1_000_000,
        assumed: false,
    })
}

const MDM: Option<Port> = Some(Port::tcp(54321));

#[test]
fn sources_are_sorted_by_attempts_with_their_first_and_last_time() {
    let mut summary = Summary::of_all_ports();
    summary.add(&event("192.0.2.1", MDM, Verdict::Unknown), at(50));
    summary.add(&event("192.0.2.2", MDM, Verdict::Blocked), at(30));
    summary.add(
        &event("::ffff:192.0.2.2", Some(Port::udp(4800)), Verdict::Blocked),
        at(10),
    );
    summary.add(&event("192.0.2.2", MDM, Verdict::Allowed), None);
    summary.add(&event("2001:db8::9", None, Verdict::Blocked), at(20));
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
    let ports: Vec<_> = first
        .ports
        .iter()
        .map(|count| (count.port, count.attempts))
        .collect();
    assert_eq!(ports, [(Port::tcp(54321), 2), (Port::udp(4800), 1)]);
}

#[test]
fn only_the_ports_that_were_asked_for_are_counted() {
    let mut summary = Summary::of_ports(MDM);
    assert!(summary.add(&event("192.0.2.1", MDM, Verdict::Blocked), None));
    assert!(!summary.add(
        &event("192.0.2.1", Some(Port::udp(54321)), Verdict::Blocked),
        None
    ));
    assert!(!summary.add(&event("192.0.2.1", None, Verdict::Blocked), None));
    let report = summary.report(9);
    assert_eq!((report.attempts, report.on_other_ports), (1, 2));
}

#[test]
fn the_lines_of_one_session_are_one_attempt() {
    let of = |moments: &[LogMoment]| {
        let mut summary = Summary::of_all_ports();
        for moment in moments {
            let mut event = event("192.0.2.1", MDM, Verdict::Allowed);
            event.moment = *moment;
            summary.add(&event, None);
        }
        summary.report(1).attempts
    };
    use LogMoment::{Begin, End, Packet, Within};
    assert_eq!(of(&[Begin, End]), 1);
    assert_eq!(of(&[Begin, Within, Begin, End]), 2);
    assert_eq!(of(&[End, End, End]), 3, "some log only the end");
    assert_eq!(of(&[Packet, Begin, End]), 2);
}

#[test]
fn a_session_that_goes_on_is_one_attempt_however_often_it_is_told() {
    let of = |moments: &[(LogMoment, u64)], threads: usize| {
        let mut all = Summary::of_ports(MDM);
        for (number, (moment, count)) in moments.iter().enumerate() {
            let mut summary = Summary::of_ports(MDM);
            let mut event = event("192.0.2.1", MDM, Verdict::Allowed);
            (event.moment, event.count) = (*moment, *count);
            if number % threads == 0 {
                summary.add(&event, at(number as i64));
            } else {
                all.add(&event, at(number as i64));
            }
            all.absorb(&mut summary);
        }
        let report = all.report(1);
        assert_eq!(report.services[0].verdicts.sum(), report.attempts);
        let source = &report.sources[0];
        assert_eq!(source.attempts, report.attempts);
        assert_eq!(source.ports[0].attempts, report.attempts);
        report.verdicts.allowed
    };
    use LogMoment::{End, Within};
    let on = (Within, 0);
    for threads in [1, 2] {
        assert_eq!(of(&[on, on, on, on, on, (End, 1)], threads), 1);
        assert_eq!(of(&[on, on, on], threads), 1, "its end is not in the log");
        assert_eq!(of(&[on, (End, 1), on, (End, 1)], threads), 2);
    }
}

#[test]
fn hearsay_counts_for_nobody() {
    let mut told = event("192.0.2.1", MDM, Verdict::Unknown);
    told.hearsay = true;
    let mut summary = Summary::of_all_ports();
    let mut other = Summary::of_all_ports();
    assert!(!summary.add(&told, at(1)) && !other.add(&told, at(1)));
    summary.absorb(&mut other);
    let report = summary.report(1);
    assert_eq!(
        (report.attempts, report.distinct_sources, report.hearsay),
        (0, 0, 2)
    );
    assert!(
        report
            .notes
            .iter()
            .any(|note| note.starts_with("2 line(s) stand behind"))
    );
}

#[test]
fn a_line_counts_as_often_as_it_stands_for_and_for_nobody_when_it_does_not_tell_who_began() {
    let mut summary = Summary::of_all_ports();
    let mut many = event("192.0.2.1", MDM, Verdict::Blocked);
    many.count = 21;
    summary.add(&many, None);
    many.directed = false;
    assert!(summary.add(&many, None));
    let report = summary.report(1);
    assert_eq!((report.attempts, report.undirected), (21, 1));
    assert!(
        report.notes.iter().any(|note| note.contains("who began")),
        "{:?}",
        report.notes
    );
}

#[test]
fn verdicts_that_rest_on_the_site_s_word_are_counted_where_the_prefix_decided() {
    let declared = vec![
        ("FW-".into(), Verdict::Blocked),
        ("FW-?".into(), Verdict::Unknown),
    ];
    let facts = Facts {
        prefixes: Prefixes::declared(declared),
        ..Facts::default()
    };
    let shared = Shared::new(Summary::of_all_ports().knowing(Arc::new(facts)));
    let mut counter = shared.one();
    let mut count = |format, prefix: &'static str, verdict| {
        let mut event = event("192.0.2.1", MDM, verdict);
        event.format = format;
        event.prefix = prefix.as_bytes().into();
        counter.own_mut().add(&event, None);
    };
    count(LogFormat::Kernel, "FW-DROP", Verdict::Blocked);
    count(LogFormat::Nflog, "FW-DROP", Verdict::Blocked);
    count(LogFormat::Kernel, "FW-?", Verdict::Unknown);
    count(LogFormat::Kernel, "[UFW BLOCK]", Verdict::Blocked);
    // The name of a rule of another maker, whose line tells the verdict itself.
    count(LogFormat::Asa, "FW-DROP", Verdict::Blocked);
    drop(counter);
    let report = shared.into_summary().report(1);
    assert_eq!((report.attempts, report.on_the_sites_word), (5, 2));
    assert!(
        report
            .notes
            .iter()
            .any(|note| note.starts_with("2 verdicts rest")),
        "{:?}",
        report.notes
    );
}

fn many(most: usize) -> Summary {
    let mut summary = Summary::of_all_ports();
    summary.most_sources = most;
    for (source, port) in (1..=4).flat_map(|source| (1..=100).map(move |port| (source, port))) {
        let event = event(
            &format!("192.0.2.{source}"),
            Some(Port::tcp(port)),
            Verdict::Blocked,
        );
        summary.add(&event, None);
    }
    summary
}

#[test]
fn beyond_the_limits_attempts_are_counted_and_the_limit_is_said() {
    let report = many(2).report(9);
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
fn two_summaries_together_are_one() {
    let mut whole = many(9);
    let mut other = many(9);
    whole.absorb(&mut other);
    let report = whole.report(9);
    assert_eq!(
        (report.attempts, report.distinct_sources, report.other_sources),
        (800, 4, 0)
    );
    assert_eq!(
        (report.sources[3].attempts, report.sources[3].on_further_ports),
        (200, 72)
    );
    assert_eq!(other.report(9).attempts, 0, "it was emptied");
    let mut small = many(2);
    small.absorb(&mut many(9));
    let report = small.report(9);
    assert_eq!(
        (report.attempts, report.distinct_sources, report.other_sources),
        (800, 2, 400)
    );
}

#[test]
fn what_was_not_read_is_counted_by_reason_with_the_first_lines() {
    let mut summary = Summary::of_all_ports();
    for number in 1..=20 {
        let place = || LogSource::File {
            path: "x".into(),
            line: number,
            offset: 30 - number,
        };
        let reason = if number % 4 == 0 {
            Reason::NotJson
        } else {
            Reason::TooLong
        };
        summary.add_unreadable(reason, b"\x1b[2J", place);
        summary.add_unrelated();
    }
    let report = summary.report(9);
    assert_eq!((report.unreadable, report.unrelated), (20, 20));
    let reasons: Vec<_> = report
        .unreadable_reasons
        .iter()
        .map(|count| count.lines)
        .collect();
    assert_eq!((reasons, report.unreadable_lines.len()), (vec![15, 5], 8));
    assert_eq!(report.unreadable_lines[0].text.to_string(), "\\u{1b}[2J");
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(
        (&json["unreadable"], &json["verdicts"]["unknown"]),
        (&20.into(), &0.into())
    );
}

#[test]
fn what_the_log_says_to_be_missing_is_counted_with_the_first_lines() {
    let file = |line| LogSource::File {
        path: "x".into(),
        line,
        offset: line * 10,
    };
    let lost = |by, count| Lost { by, count };
    let mut summary = Summary::of_all_ports();
    summary.add_lost(lost(LostBy::Rsyslog, Some(51)), b"late", || file(9));
    let mut other = Summary::of_all_ports();
    other.add_lost(lost(LostBy::Rsyslog, Some(u64::MAX - 60)), b"\x1b[2J", || file(1));
    other.add_lost(lost(LostBy::Ios, None), b"second", || file(2));
    summary.absorb(&mut other);
    let report = summary.report(1);
    let told: Vec<_> = report
        .losses
        .iter()
        .map(|loss| (loss.times, loss.at_least, loss.of_the_firewall))
        .collect();
    assert_eq!(told, [(1, 1, true), (2, u64::MAX - 9, false)]);
    let lines: Vec<_> = report
        .loss_lines
        .iter()
        .map(|line| line.text.to_string())
        .collect();
    assert_eq!(lines, ["\\u{1b}[2J", "second", "late"]);
    assert_eq!(report.loss_lines[1].read_from, file(2));
    let note = format!(
        "counts are lower bounds: the log itself says that lines are missing, at least {}",
        u64::MAX - 8
    );
    assert_eq!(
        (report.notes, report.unreadable, report.unrelated),
        (vec![note], 0, 0)
    );
}

use portcullis_model::{LogEvent, LogMoment, Untrusted, Verdict};
use serde_json::{Value, json};

use super::*;

fn finding(source: Option<&str>, kind: DetectionKind, first: &str, last: &str, says: &str) -> Finding {
    serde_json::from_value(json!({
        "kind": kind, "source": source, "destination": "10.7.10.4", "port": "tcp/22", "prefix": null, "first": first,
        "last": last, "events": 10, "got_through": 0, "says": says, "assumed": null, "evidence": []
    }))
    .unwrap()
}

fn found() -> Vec<Finding> {
    let (a, b, c) = (
        "2026-11-22T12:00:00Z",
        "2026-11-22T12:05:00.25Z",
        "2026-11-22T13:00:00Z",
    );
    vec![
        finding(
            Some("2001:db8::7"),
            DetectionKind::HostSweep,
            b,
            c,
            "2001:db8::7 tried tcp/22 of 10 hosts",
        ),
        finding(
            Some("192.0.2.7"),
            DetectionKind::PortSweep,
            b,
            c,
            "192.0.2.7 tried 15 ports",
        ),
        finding(
            Some("192.0.2.7"),
            DetectionKind::PasswordGuessing,
            a,
            b,
            "192.0.2.7 made 10 \"short\" ones",
        ),
        finding(
            Some("192.0.2.8"),
            DetectionKind::FirstSource,
            a,
            b,
            "192.0.2.8 was never seen before",
        ),
        finding(None, DetectionKind::Silence, a, b, "no line"),
    ]
}

fn event() -> LogEvent {
    serde_json::from_value(json!({
        "at": "2026-11-22T12:00:00.5Z", "time_assumed": "year 2026", "verdict": "blocked", "source": "192.0.2.7",
        "destination": "10.7.10.4", "port": "tcp/54321", "source_port": 40000, "interface": "eth0", "out_interface": "eth1",
        "prefix": "drop", "protocol": 6, "flags": "SYN", "count": 3, "bytes": 60,
        "read_from": {"kind": "file", "path": "kern.log", "line": 7, "offset": 100}
    }))
    .unwrap()
}

#[test]
fn offenders_are_those_who_did_something_each_once() {
    let offenders = offenders(&found());
    assert_eq!(list(&offenders), "192.0.2.7\n2001:db8::7\n");
    assert_eq!(offenders[0].kinds(), "password-guessing, port-sweep");
    assert_eq!(offenders[0].first.to_string(), "2026-11-22T12:00:00Z");
    assert_eq!(offenders[0].last.to_string(), "2026-11-22T13:00:00Z");
}

#[test]
fn decisions_are_as_crowdsec_takes_them() {
    insta::assert_snapshot!(
        serde_json::to_string_pretty(&crowdsec::decisions(&offenders(&found()))).unwrap()
    );
}

#[test]
fn a_bundle_of_indicators_is_the_same_for_the_same_offenders() {
    let bundle = stix::bundle(&offenders(&found()));
    assert_eq!(bundle, stix::bundle(&offenders(&found())));
    insta::assert_snapshot!(serde_json::to_string_pretty(&bundle).unwrap());
    let empty = stix::bundle(&[]);
    assert!(empty.get("objects").is_none(), "{empty}");
}

#[test]
fn quotes_do_not_end_a_string_of_a_pattern() {
    assert_eq!(stix::literal("a'] OR [x:y = '\\"), r"'a\'] OR [x:y = \'\\'");
}

#[test]
fn an_event_as_network_activity() {
    insta::assert_snapshot!(serde_json::to_string_pretty(&ocsf::event(&event()).unwrap()).unwrap());
    let timeless = LogEvent { at: None, ..event() };
    assert_eq!(ocsf::event(&timeless), None);
}

#[test]
fn each_moment_and_verdict_has_its_activity() {
    let activity = |moment, verdict| {
        let event = LogEvent {
            moment,
            verdict,
            ..event()
        };
        let event = ocsf::event(&event).unwrap();
        let of = |key: &str| event.get(key).and_then(Value::as_u64).unwrap();
        assert_eq!(of("type_uid"), 400_100 + of("activity_id"));
        (of("activity_id"), of("action_id"), of("disposition_id"))
    };
    assert_eq!(activity(LogMoment::Packet, Verdict::Blocked), (5, 2, 2));
    assert_eq!(activity(LogMoment::Packet, Verdict::Allowed), (6, 1, 1));
    assert_eq!(activity(LogMoment::Packet, Verdict::Unknown), (6, 0, 0));
    assert_eq!(activity(LogMoment::Begin, Verdict::Allowed), (1, 1, 1));
    assert_eq!(activity(LogMoment::Begin, Verdict::Blocked), (5, 2, 2));
    assert_eq!(activity(LogMoment::End, Verdict::Allowed), (2, 1, 1));
    assert_eq!(activity(LogMoment::Within, Verdict::Unknown), (6, 0, 0));
}

#[test]
fn an_event_in_cef() {
    insta::assert_snapshot!(cef::line(&event()));
    let six = LogEvent {
        source: "2001:db8::7".parse().unwrap(),
        destination: "2001:db8::4".parse().unwrap(),
        port: None,
        source_port: None,
        protocol: Some(58),
        at: None,
        time_assumed: None,
        verdict: Verdict::Unknown,
        ..event()
    };
    insta::assert_snapshot!(cef::line(&six));
}

#[test]
fn hostile_text_stays_within_its_field() {
    assert_eq!(cef::header("a|b\\c\nd"), r"a\|b\\c\\u{a}d");
    assert_eq!(cef::value("a=b\\c\r\n|d\u{1b}[2J"), r"a\=b\\c\r\n|d\\u{1b}[2J");
    let hostile = LogEvent {
        prefix: Untrusted::new("x\nCEF:0|a|b|c|d|e|9|src=6.6.6.6 act=allowed\\"),
        ..event()
    };
    let line = cef::line(&hostile);
    assert_eq!(line.lines().count(), 1);
    assert!(
        line.contains(" act=blocked ") && !line.contains("act=allowed"),
        "{line}"
    );
    let parsed = ocsf::event(&hostile).unwrap().to_string();
    assert_eq!(parsed.lines().count(), 1);
}

proptest::proptest! {
    #[test]
    fn what_is_escaped_is_read_back(text in "\\PC{0,40}") {
        let mut plain = String::new();
        let mut escaped = cef::value(&text).chars().collect::<Vec<_>>().into_iter();
        while let Some(character) = escaped.next() {
            proptest::prop_assert!(character != '=' && character != '\n');
            plain.push(if character == '\\' { escaped.next().unwrap() } else { character });
        }
        proptest::prop_assert_eq!(plain, portcullis_model::sanitize(&text));
    }
}

//! Several lines of one thing: an access list beside the session, an alert beside the flow, an audit beside the verdict.

use super::*;
use crate::{Line, LineReader};

const ASA: &str = "Nov 22 23:56:51 fw %ASA-6-";
const ENDS: &str = "outside:192.0.2.7/40000 (192.0.2.7/40000) to inside:10.7.10.4/502 (10.7.10.4/502)";
const UFW: &str = "IN=eth0 OUT= SRC=192.0.2.7 DST=10.7.10.4 LEN=60 TOS=0x00 PREC=0x00 TTL=63 ID=7 DF PROTO=TCP SPT=40000 DPT=502 \
    WINDOW=1 RES=0x00 SYN URGP=0 ";

/// What is counted of these lines: let through, blocked, unknown. All of them go from one source to one port, and so what is told of
/// each must agree; by two summaries that are joined it must be the same.
fn counted(lines: &[String]) -> (u64, u64, u64) {
    let count = |lines: &[String]| {
        let mut summary = Summary::of_ports([Port::tcp(502)]);
        let prefixes = Prefixes::default();
        let mut reader = LineReader::new(&prefixes, None);
        for line in lines {
            let Line::Event(event) = reader.read(line.as_bytes(), true) else {
                panic!("{line}");
            };
            summary.add(&event, at(1000));
        }
        summary
    };
    let report = count(lines).report(1);
    let [source] = &report.sources[..] else {
        panic!("{report:?}")
    };
    assert_eq!(source.verdicts, report.verdicts);
    assert_eq!(report.services[0].verdicts, report.verdicts);
    assert_eq!(
        report.timeline.as_ref().unwrap().spans[0].verdicts,
        report.verdicts
    );
    let (one, other) = lines.split_at(lines.len() / 2);
    let mut joined = count(one);
    joined.absorb(&mut count(other));
    assert_eq!(joined.report(1).verdicts, report.verdicts);
    assert_eq!(joined.report(1).sources[0].ports, source.ports);
    let verdicts = report.verdicts;
    (verdicts.allowed, verdicts.blocked, verdicts.unknown)
}

fn list(action: &str, hits: u64) -> String {
    format!(
        "{ASA}106100: access-list in {action} tcp outside/192.0.2.7(40000) -> inside/10.7.10.4(502) hit-cnt {hits} first hit [0x0, 0x0]"
    )
}

#[test]
fn what_a_list_of_an_asa_let_through_and_the_session_that_was_built_count_once() {
    let built = || format!("{ASA}302013: Built inbound TCP connection 7 for {ENDS}");
    assert_eq!(counted(&[list("permitted", 1), built()]), (1, 0, 0));
    assert_eq!(
        counted(&[list("permitted", 1)]),
        (1, 0, 0),
        "its session is not logged"
    );
    assert_eq!(counted(&[list("permitted", 21), built(), built()]), (21, 0, 0));
    assert_eq!(counted(&[list("est-allowed", 1), built(), built()]), (2, 0, 0));
    assert_eq!(
        counted(&[list("denied", 3), list("permitted", 1), built()]),
        (1, 3, 0)
    );
}

fn eve(kind: &str, more: &str) -> String {
    format!(
        r#"{{"timestamp":"2026-11-22T23:56:51.5+0100","flow_id":7,"event_type":"{kind}","src_ip":"192.0.2.7","src_port":40000,"dest_ip":"10.7.10.4","dest_port":502,"proto":"TCP",{more}}}"#
    )
}

#[test]
fn a_flow_its_alerts_and_what_was_dropped_of_it_count_once() {
    let flow = |action: &str| {
        eve(
            "flow",
            &format!(r#""flow":{{"age":1,"state":"new"{action}}},"tcp":{{"tcp_flags_tc":"00"}}"#),
        )
    };
    let dropped = || flow(r#","action":"drop""#);
    let stood = || {
        eve(
            "flow",
            r#""flow":{"age":1,"state":"closed"},"tcp":{"tcp_flags_tc":"1b"}"#,
        )
    };
    let alert = |action: &str| {
        eve(
            "alert",
            &format!(r#""alert":{{"action":"{action}","signature":"x"}}"#),
        )
    };
    let drop = || eve("drop", r#""drop":{"len":60}"#);
    for (lines, expected) in [
        (vec![alert("allowed"), stood()], (1, 0, 0)),
        (vec![alert("allowed"), alert("allowed"), flow("")], (0, 0, 2)),
        (vec![alert("allowed"), flow("")], (0, 0, 1)),
        (vec![alert("blocked"), flow("")], (0, 1, 0)),
        (vec![alert("blocked"), dropped()], (0, 1, 0)),
        (vec![drop(), alert("blocked"), dropped()], (0, 1, 0)),
        (vec![drop(), alert("blocked")], (0, 1, 0)),
        (vec![drop(), drop(), dropped()], (0, 2, 0)),
        (vec![alert("blocked"), flow(""), flow("")], (0, 1, 1)),
        (vec![stood(), dropped(), alert("allowed"), flow("")], (1, 1, 1)),
        // It stood before a rule stopped it: both are proven.
        (vec![stood(), alert("blocked")], (1, 1, 0)),
    ] {
        assert_eq!(counted(&lines), expected, "{lines:?}");
    }
}

#[test]
fn a_packet_that_ufw_audits_and_then_judges_counts_once() {
    let ufw = |what: &str| format!("Nov 22 23:56:51 gw kernel: [12.5] [UFW {what}] {UFW}");
    for (lines, expected) in [
        (vec!["AUDIT", "BLOCK"], (0, 1, 0)),
        (vec!["AUDIT", "ALLOW"], (1, 0, 0)),
        (vec!["AUDIT INVALID", "BLOCK"], (0, 1, 0)),
        (vec!["AUDIT", "AUDIT", "BLOCK"], (0, 1, 1)),
        (vec!["AUDIT", "AUDIT", "AUDIT"], (0, 0, 3)),
        (vec!["BLOCK", "AUDIT", "ALLOW", "BLOCK", "AUDIT"], (1, 2, 0)),
    ] {
        let lines: Vec<String> = lines.into_iter().map(ufw).collect();
        assert_eq!(counted(&lines), expected, "{lines:?}");
    }
}

#[test]
fn on_a_port_a_session_counts_once_too() {
    let mut summary = Summary::of_all_ports();
    for port in [Port::tcp(502), Port::udp(161)] {
        for moment in [LogMoment::Begin, LogMoment::End, LogMoment::Packet] {
            let mut event = event("192.0.2.1", Some(port), Verdict::Allowed);
            event.moment = moment;
            summary.add(&event, at(1000));
        }
    }
    let report = summary.report(1);
    let ports: Vec<u64> = report.sources[0]
        .ports
        .iter()
        .map(|count| count.attempts)
        .collect();
    assert_eq!((report.attempts, ports), (4, vec![2, 2]));
}

/// One rule logs beginnings only, the other one ends only.
#[test]
fn by_how_many_more_there_may_be_is_said_where_beginnings_and_ends_are_both_logged() {
    let of = |moments: &[LogMoment]| {
        let mut summary = Summary::of_all_ports();
        for moment in moments {
            let mut event = event("192.0.2.1", MDM, Verdict::Allowed);
            event.moment = *moment;
            summary.add(&event, at(1000));
        }
        let report = summary.report(1);
        assert_eq!(report.may_be_more, report.sources[0].may_be_more);
        let note = format!("there may be up to {} more", report.may_be_more);
        let is_said = report.notes.iter().any(|told| told.starts_with(&note));
        assert_eq!(is_said, report.may_be_more > 0, "{:?}", report.notes);
        (report.attempts, report.may_be_more)
    };
    use LogMoment::{Begin, End, Packet, Within};
    assert_eq!(of(&[Begin, Begin, Begin, End, End]), (3, 2));
    assert_eq!(of(&[Begin, Begin, Packet]), (3, 0));
    assert_eq!(of(&[End, Within, Within]), (2, 0));
}

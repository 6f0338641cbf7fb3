//! Lines as kernels and ulogd write them, and the traps that log readers fall into.

use jiff::tz::TimeZone;
use portcullis_model::{LogEvent, Port, Verdict};
use proptest::prelude::*;

use super::*;
use crate::{Prefixes, TimeContext};

pub(crate) fn test_settings() -> Settings {
    Settings {
        time: TimeContext {
            now: "2026-11-23T12:00:00Z".parse().unwrap(),
            timezone: TimeZone::get("Europe/Oslo").unwrap(),
            file_modified: None,
        },
        prefixes: Prefixes::default(),
    }
}

const PLACE: Place<'static> = Place {
    path: "kern.log",
    line: 7,
    offset: 900,
};

fn outcome(line: impl AsRef<[u8]>) -> LineOutcome {
    parse_line(line.as_ref(), &test_settings(), PLACE)
}

fn event(line: impl AsRef<[u8]>) -> LogEvent {
    match outcome(line) {
        LineOutcome::Event(event) => *event,
        other => panic!("{other:?}"),
    }
}

fn unreadable(line: impl AsRef<[u8]>) -> String {
    match outcome(line) {
        LineOutcome::Unreadable(reason) => reason,
        other => panic!("{other:?}"),
    }
}

const PACKET: &str = "IN=eth0 OUT= MAC=52:54:00:12:34:56:52:54:00:65:43:21:08:00 SRC=192.0.2.7 DST=10.7.10.4 \
    LEN=60 TOS=0x00 PREC=0x00 TTL=63 ID=8698 DF PROTO=TCP SPT=40000 DPT=54321 WINDOW=64240 RES=0x00 SYN URGP=0 ";

#[test]
fn every_head_gives_the_same_packet() {
    let written = "2026-11-22T22:56:51Z";
    for (head, at, prefix) in [
        (
            "Nov 22 23:56:51 gw kernel: [12345.678901] portcullis-drop ",
            Some(written),
            "portcullis-drop",
        ),
        (
            "<4>Nov 22 23:56:51 gw kernel: portcullis-drop ",
            Some(written),
            "portcullis-drop",
        ),
        (
            "2026-11-22T23:56:51+01:00 gw kernel: [UFW BLOCK] ",
            Some(written),
            "[UFW BLOCK]",
        ),
        (
            "2026-11-22T23:56:51+0100 gw kernel: DROP: ",
            Some(written),
            "DROP:",
        ),
        (
            "<4>1 2026-11-22T22:56:51Z gw kernel - - - [  12.345678] DROP ",
            Some(written),
            "DROP",
        ),
        (
            "<4>1 2026-11-22T22:56:51Z gw kernel - - [meta seq=\"7]\"][x@1 y=\"\\\"\"] DROP ",
            Some(written),
            "DROP",
        ),
        ("Nov 22 23:56:51 gw OTGUARD-DROP  ", Some(written), "OTGUARD-DROP"),
        (
            "Sun Nov 22 23:56:51 2026 kern.warn kernel: [ 12.34] DROP wan in: ",
            Some(written),
            "DROP wan in:",
        ),
        ("[Sun Nov 22 23:56:51 2026] DROP ", Some(written), "DROP"),
        ("[12345.678901] DROP ", None, "DROP"),
        ("[UFW BLOCK] ", None, "[UFW BLOCK]"),
        ("\0\0\0Nov 22 23:56:51 gw kernel: ", Some(written), ""),
        ("", None, ""),
    ] {
        let event = event(format!("{head}{PACKET}\n"));
        assert_eq!(event.at.map(|at| at.to_string()).as_deref(), at, "{head}");
        assert_eq!(event.prefix.raw(), prefix, "{head}");
        assert_eq!(event.source.to_string(), "192.0.2.7");
        assert_eq!(event.destination.to_string(), "10.7.10.4");
        assert_eq!(
            (event.port, event.source_port),
            (Some(Port::tcp(54321)), Some(40000))
        );
        assert_eq!(event.interface.unwrap().raw(), "eth0");
        assert!(event.at.is_some() || event.time_assumed.is_some(), "{head}");
    }
}

#[test]
fn where_it_was_read_is_kept() {
    let expected = LogSource::File {
        path: "kern.log".into(),
        line: 7,
        offset: 900,
    };
    assert_eq!(event(PACKET).read_from, expected);
}

#[test]
fn a_line_has_no_verdict_unless_its_prefix_is_known() {
    for (prefix, verdict) in [
        ("portcullis-drop tcp/54321 ", Verdict::Blocked),
        ("[UFW BLOCK] ", Verdict::Blocked),
        ("[UFW ALLOW] ", Verdict::Allowed),
        ("ACCEPT ", Verdict::Unknown),
        ("DROP ", Verdict::Unknown),
        ("", Verdict::Unknown),
    ] {
        assert_eq!(
            event(format!("Nov 22 23:56:51 gw kernel: {prefix}{PACKET}")).verdict,
            verdict,
            "{prefix}"
        );
    }
}

#[test]
fn a_declared_prefix_proves_what_its_owner_says() {
    let mut settings = test_settings();
    settings.prefixes = Prefixes::declared(vec![("[wan-lan-default-D]".into(), Verdict::Blocked)]);
    let line = format!("Nov 22 23:56:51 gw kernel: [wan-lan-default-D]{PACKET}");
    let LineOutcome::Event(event) = parse_line(line.as_bytes(), &settings, PLACE) else {
        panic!("{line}")
    };
    assert_eq!(event.verdict, Verdict::Blocked);
}

#[test]
fn the_packet_inside_an_icmp_error_is_not_the_one_that_was_logged() {
    let event = event(
        "Nov 22 23:56:51 gw kernel: IN=eth0 OUT= SRC=10.7.10.1 DST=10.7.10.4 LEN=88 TTL=64 ID=1 PROTO=ICMP TYPE=3 \
         CODE=3 [SRC=10.7.10.4 DST=203.0.113.9 LEN=60 PROTO=UDP SPT=4800 DPT=53 LEN=40 ] MARK=0x1",
    );
    assert_eq!(
        (event.source.to_string().as_str(), event.port),
        ("10.7.10.1", None)
    );
    assert_eq!(event.destination.to_string(), "10.7.10.4");
}

#[test]
fn fields_that_come_twice_and_flags_beside_fields_do_not_confuse() {
    let udp =
        event("x IN=eth0 OUT= SRC=192.0.2.7 DST=10.7.10.4 LEN=78 ID=5 PROTO=UDP SPT=4 DPT=4800 LEN=58 ");
    assert_eq!(udp.port, Some(Port::udp(4800)));
    let echo =
        event("x IN=eth0 OUT= SRC=192.0.2.7 DST=10.7.10.4 LEN=84 ID=5 PROTO=ICMP TYPE=8 CODE=0 ID=77 SEQ=1 ");
    assert_eq!((echo.port, echo.source_port), (None, None));
    let ulogd = event(
        "Nov 22 23:56:51 vm OTGUARD-DROP  IN=eth0 OUT= MAC= SRC=192.0.2.7 DST=10.7.10.4 LEN=60 TOS=00 PREC=0x00 \
         TTL=64 ID=1 DF PROTO=TCP SPT=40000 DPT=54321 SEQ=3594629962 ACK=0 WINDOW=64240 ACK SYN URGP=0 MARK=0x0",
    );
    assert_eq!(
        (ulogd.port, ulogd.prefix.raw()),
        (Some(Port::tcp(54321)), "OTGUARD-DROP")
    );
}

#[test]
fn a_prefix_may_be_glued_to_the_first_field_and_hold_a_quoted_description() {
    let glued = event(format!("Nov 22 23:56:51 gw kernel: [wan-lan-default-D]{PACKET}"));
    assert_eq!(glued.prefix.raw(), "[wan-lan-default-D]");
    let described = event(format!(
        "Nov 22 23:56:51 gw kernel: [WAN_IN-3001-D]DESCR=\"no IN=eth9 OUT= for SRC=1.1.1.1\" {PACKET}"
    ));
    assert_eq!(described.source.to_string(), "192.0.2.7");
    assert_eq!(described.interface.unwrap().raw(), "eth0");
    let tricky = event(format!("Nov 22 23:56:51 gw kernel: MAIN=1 JOIN= x {PACKET}"));
    assert_eq!(tricky.prefix.raw(), "MAIN=1 JOIN= x");
}

#[test]
fn a_line_without_its_beginning_is_counted_as_unreadable() {
    let tail = "L=126 ID=8698 DF PROTO=TCP SPT=40000 DPT=54321 WINDOW=64240 SYN URGP=0";
    assert!(unreadable(tail).contains("beginning of the line is missing"));
    assert!(unreadable("=eth0 OUT= SRC=192.0.2.7 DST=10.7.10.4 PROTO=UDP").contains("beginning"));
}

#[test]
fn a_line_without_its_end_is_counted_as_unreadable() {
    let until = |end: &str| PACKET.split_once(end).unwrap().0.to_owned();
    assert!(unreadable(until("LEN=60")).contains("PROTO="));
    assert!(unreadable(until(" DPT=")).contains("cut off before DPT="));
    assert!(unreadable("IN=eth0 OUT= SRC=192.0. DST=10.7.10.4 PROTO=TCP DPT=1").contains("SRC=192.0."));
    assert!(unreadable("IN=eth0 OUT= SRC=192.0.2.7 PROTO=TCP DPT=1 ").contains("no DST="));
    assert!(unreadable("IN= OUT= SRC=192.0.2.7 DST=10.7.10.4 PROTO=TCP DPT=77777 ").contains("not a port"));
}

#[test]
fn a_later_fragment_and_a_short_packet_have_no_port() {
    for end in ["FRAG:185 PROTO=UDP ", "PROTO=TCP INCOMPLETE [3 bytes] "] {
        let event = event(format!(
            "x IN=eth0 OUT= SRC=192.0.2.7 DST=10.7.10.4 LEN=60 ID=5 {end}"
        ));
        assert_eq!(event.port, None, "{end}");
    }
}

#[test]
fn mac_headers_of_any_length_and_ipv6_fields_are_read() {
    let event = event(
        "Nov 22 23:56:51 gw kernel: IN=sit1 OUT=eth1 MAC=45:00:00:7c:00:00:40:00:40:29:aa:bb:c0:00:02:01:c0:00:02:02:60:00 \
         TUNNEL=192.0.2.1->192.0.2.2 SRC=2001:0db8:0000:0000:0000:0000:0000:0007 \
         DST=2001:0db8:0007:0010:0000:0000:0000:0004 LEN=80 TC=0 HOPLIMIT=63 FLOWLBL=123456 PROTO=TCP SPT=40000 \
         DPT=54321 WINDOW=64800 RES=0x00 SYN URGP=0 ",
    );
    assert_eq!(event.source.to_string(), "2001:db8::7");
    assert_eq!(event.port, Some(Port::tcp(54321)));
}

#[test]
fn a_missing_year_is_said() {
    let event = event(format!("Dec 24 23:56:51 gw kernel: {PACKET}"));
    assert_eq!(event.at.unwrap().to_string(), "2025-12-24T22:56:51Z");
    assert_eq!(
        event.time_assumed.as_deref(),
        Some("year 2025 and zone Europe/Oslo assumed")
    );
}

#[test]
fn lines_of_something_else_are_unrelated() {
    for line in [
        "",
        "Nov 22 23:56:51 gw sshd[77]: Accepted publickey for ola from 192.0.2.7 port 4 ssh2",
        "Nov 22 23:56:51 gw app: LOGIN=ok IN=3 OUT of 4",
        "Nov 22 23:56:51 gw kernel: IN=eth0 OUT= ARP HTYPE=1 PTYPE=0x0800 OPCODE=1",
        "Nov 22 23:56:51 gw kernel: IN=eth0 OUT= MACSRC=a MACDST=b MACPROTO=88cc ",
    ] {
        assert_eq!(outcome(line), LineOutcome::Unrelated, "{line}");
    }
}

#[test]
fn hostile_text_is_kept_and_shown_harmless() {
    let event = event([b"Nov 22 23:56:51 gw kernel: \x1b[2J\xff ", PACKET.as_bytes()].concat());
    assert_eq!(event.prefix.to_string(), "\\u{1b}[2J\u{fffd}");
    assert!(unreadable("IN= OUT= SRC=\x1b[2J DST=1.1.1.1 PROTO=2 ").contains("\\u{1b}"));
}

#[test]
fn a_line_made_of_false_beginnings_is_unrelated() {
    for piece in ["IN=", "=\"IN=", "IN=eth0 ", "\"=\"", "[0.1]IN=x "] {
        assert_eq!(
            outcome(piece.repeat(LONGEST_LINE / piece.len())),
            LineOutcome::Unrelated,
            "{piece}"
        );
    }
}

#[test]
fn an_overlong_line_is_not_searched() {
    assert!(unreadable(vec![b'I'; 10_000_000]).contains("10000000 bytes"));
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(line in proptest::collection::vec(any::<u8>(), 0..400)) {
        outcome(line);
    }

    #[test]
    fn damaged_lines_never_panic_and_never_invent_a_verdict(
        cut in 0..PACKET.len(),
        noise in "[ =\\[\\]\"a-zA-Z0-9:.\u{0}\u{202e}]{0,30}",
    ) {
        let line = format!("Nov 22 23:56:51 gw kernel: {}{noise}{}", &PACKET[..cut], &PACKET[cut..]);
        if let LineOutcome::Event(event) = outcome(line) {
            prop_assert_eq!(event.verdict, Verdict::Unknown);
        }
    }

    #[test]
    fn what_is_printed_is_read_back(
        source in any::<std::net::IpAddr>(),
        destination in any::<std::net::IpAddr>(),
        (from, to) in (1_u16.., 1_u16..),
        prefix in "[A-Za-z][A-Za-z-]{0,20}",
    ) {
        let line = format!(
            "2026-11-22T23:56:51Z gw kernel: {prefix} IN=eth0 OUT= SRC={source} DST={destination} LEN=60 PROTO=UDP \
             SPT={from} DPT={to} LEN=40 "
        );
        let event = event(line);
        prop_assert_eq!((event.source, event.destination), (source, destination));
        prop_assert_eq!((event.source_port, event.port), (Some(from), Some(Port::udp(to))));
        prop_assert_eq!(event.prefix.raw(), prefix);
    }
}

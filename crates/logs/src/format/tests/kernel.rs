//! Lines as kernels and ulogd write them, and the traps that log readers fall into.

use portcullis_model::{LogFormat, LogSource, Verdict};
use proptest::prelude::*;

use super::{context, pairs, read_all, read_bytes, told};
use crate::{Clock, Event, LONGEST_LINE, Line, LineReader, Prefixes, Reason};

const PACKET: &str = "IN=eth0 OUT= MAC=52:54:00:12:34:56:52:54:00:65:43:21:08:00 SRC=192.0.2.7 DST=10.7.10.4 \
    LEN=60 TOS=0x00 PREC=0x00 TTL=63 ID=8698 DF PROTO=TCP SPT=40000 DPT=54321 WINDOW=64240 RES=0x00 SYN URGP=0 ";

fn with<T>(line: impl AsRef<[u8]>, then: impl FnOnce(Line<'_>) -> T) -> T {
    let prefixes = Prefixes::default();
    then(LineReader::new(&prefixes, None).read(line.as_ref(), true))
}

fn event(line: impl AsRef<[u8]>) -> Event<'static> {
    with(line, |line| match line {
        Line::Event(event) => event.into_owned(),
        other => panic!("{other:?}"),
    })
}

fn unreadable(line: impl AsRef<[u8]>) -> Reason {
    with(line, |line| match line {
        Line::Unreadable(reason) => reason,
        other => panic!("{other:?}"),
    })
}

#[test]
fn every_head_gives_the_same_packet() {
    let written = "2026-11-22T22:56:51Z";
    for (head, at, prefix) in [
        (
            "Nov 22 23:56:51 gw kernel: [12345.678901] portcullis-drop ",
            written,
            "portcullis-drop",
        ),
        (
            "<4>Nov 22 23:56:51 gw kernel: portcullis-drop ",
            written,
            "portcullis-drop",
        ),
        (
            "2026-11-22T23:56:51+01:00 gw kernel: [UFW BLOCK] ",
            written,
            "[UFW BLOCK]",
        ),
        ("2026-11-22T23:56:51+0100 gw kernel: DROP: ", written, "DROP:"),
        (
            "<4>1 2026-11-22T22:56:51Z gw kernel - - - [  12.345678] DROP ",
            written,
            "DROP",
        ),
        (
            "<4>1 2026-11-22T22:56:51Z gw kernel - - [meta seq=\"7]\"][x@1 y=\"\\\"\"] DROP ",
            written,
            "DROP",
        ),
        ("Nov 22 23:56:51 gw OTGUARD-DROP  ", written, "OTGUARD-DROP"),
        (
            "Sun Nov 22 23:56:51 2026 kern.warn kernel: [ 12.34] DROP wan in: ",
            written,
            "DROP wan in:",
        ),
        ("[Sun Nov 22 23:56:51 2026] DROP ", written, "DROP"),
        ("[12345.678901] DROP ", "-", "DROP"),
        ("[UFW BLOCK] ", "-", "[UFW BLOCK]"),
        ("\0\0\0Nov 22 23:56:51 gw kernel: ", written, ""),
        ("", "-", ""),
    ] {
        let event = event(format!("{head}{PACKET}"));
        let verdict = Prefixes::default().verdict(prefix.as_bytes());
        let rule = if prefix.is_empty() {
            String::new()
        } else {
            format!(" rule={prefix}")
        };
        let expected =
            format!("{at} {verdict} 6 192.0.2.7:40000 -> 10.7.10.4:54321 flags=SYN in=eth0{rule} bytes=60");
        assert_eq!(told(&event), expected, "{head}");
    }
}

#[test]
fn trap_1_a_line_has_no_verdict_unless_its_prefix_is_known() {
    for (prefix, verdict) in [
        ("portcullis-drop tcp/54321 ", Verdict::Blocked),
        ("[UFW BLOCK] ", Verdict::Blocked),
        ("[UFW ALLOW] ", Verdict::Allowed),
        ("[WAN_LOCAL-default-D]", Verdict::Blocked),
        ("Shorewall:net-fw:REJECT:", Verdict::Blocked),
        ("filter_IN_public_REJECT: ", Verdict::Blocked),
        ("ACCEPT ", Verdict::Unknown),
        ("DROP ", Verdict::Unknown),
        ("", Verdict::Unknown),
    ] {
        let event = event(format!("Nov 22 23:56:51 gw kernel: {prefix}{PACKET}"));
        assert_eq!(event.verdict, verdict, "{prefix}");
    }
    let prefixes = Prefixes::declared(vec![("OUR-LOG".into(), Verdict::Blocked)]);
    let line = format!("Nov 22 23:56:51 gw kernel: OUR-LOG {PACKET}");
    let Line::Event(event) = LineReader::new(&prefixes, None).read(line.as_bytes(), true) else {
        panic!("{line}")
    };
    assert_eq!(event.verdict, Verdict::Blocked);
}

#[test]
fn trap_2_the_packet_inside_an_icmp_error_is_not_the_one_that_was_logged() {
    let event = event(
        "Nov 22 23:56:51 gw kernel: IN=eth0 OUT= SRC=10.7.10.1 DST=10.7.10.4 LEN=88 TTL=64 ID=1 PROTO=ICMP TYPE=3 \
         CODE=3 [SRC=10.7.10.4 DST=203.0.113.9 LEN=60 PROTO=UDP SPT=4800 DPT=53 LEN=40 ] MARK=0x1",
    );
    assert_eq!(
        told(&event),
        "2026-11-22T22:56:51Z unknown 1 10.7.10.1 -> 10.7.10.4 in=eth0 bytes=88"
    );
}

#[test]
fn trap_3_fields_that_come_twice_and_flags_beside_fields_do_not_confuse() {
    let udp =
        event("x IN=eth0 OUT= SRC=192.0.2.7 DST=10.7.10.4 LEN=78 ID=5 PROTO=UDP SPT=4 DPT=4800 LEN=58 ");
    assert_eq!(
        told(&udp),
        "- unknown 17 192.0.2.7:4 -> 10.7.10.4:4800 in=eth0 rule=x bytes=78"
    );
    let echo =
        event("x IN=eth0 OUT= SRC=192.0.2.7 DST=10.7.10.4 LEN=84 ID=5 PROTO=ICMP TYPE=8 CODE=0 ID=77 SEQ=1 ");
    assert_eq!(
        told(&echo),
        "- unknown 1 192.0.2.7 -> 10.7.10.4 in=eth0 rule=x bytes=84"
    );
    let line = |flags: &str| {
        format!(
            "Nov 22 23:56:51 vm OTGUARD-DROP  IN=eth0 OUT= MAC= SRC=192.0.2.7 DST=10.7.10.4 LEN=60 TOS=00 PREC=0x00 \
             TTL=64 ID=1 DF PROTO=TCP SPT=40000 DPT=54321 SEQ=3594629962 ACK=0 WINDOW=64240 {flags}URGP=0 MARK=0x0"
        )
    };
    let flags = |line: String| event(line).flags.unwrap().to_string();
    assert_eq!(
        (flags(line("SYN ")), flags(line("ACK SYN "))),
        ("SYN".into(), "ACK SYN".into())
    );
    assert_eq!(&*event(line("SYN ")).prefix, b"OTGUARD-DROP");
}

#[test]
fn trap_4_a_prefix_may_be_glued_to_the_first_field_and_hold_a_quoted_description() {
    let glued = event(format!("Nov 22 23:56:51 gw kernel: [wan-lan-default-D]{PACKET}"));
    assert_eq!(&*glued.prefix, b"[wan-lan-default-D]");
    let described = event(format!(
        "Nov 22 23:56:51 gw kernel: [WAN_IN-3001-D]DESCR=\"no IN=eth9 OUT= for SRC=1.1.1.1\" {PACKET}"
    ));
    assert_eq!(
        (described.source.to_string().as_str(), described.verdict),
        ("192.0.2.7", Verdict::Blocked)
    );
    assert_eq!(&*described.interface, b"eth0");
    let tricky = event(format!("Nov 22 23:56:51 gw kernel: MAIN=1 JOIN= x {PACKET}"));
    assert_eq!(&*tricky.prefix, b"MAIN=1 JOIN= x");
}

#[test]
fn trap_5_a_line_without_its_beginning_is_counted_as_unreadable() {
    for tail in [
        "L=126 ID=8698 DF PROTO=TCP SPT=40000 DPT=54321 WINDOW=64240 SYN URGP=0",
        "=eth0 OUT= SRC=192.0.2.7 DST=10.7.10.4 PROTO=UDP",
    ] {
        assert_eq!(unreadable(tail), Reason::BeginningMissing);
    }
}

#[test]
fn trap_6_a_missing_year_is_said() {
    let line = event(format!("Dec 24 23:56:51 gw kernel: {PACKET}"));
    let context = context();
    let event = line.to_log_event(&mut Clock::new(&context), LogSource::Nflog { group: 1 });
    assert_eq!(event.at.unwrap().to_string(), "2025-12-24T22:56:51Z");
    assert_eq!(
        event.time_assumed.as_deref(),
        Some("year 2025 and zone Europe/Oslo assumed")
    );
}

#[test]
fn trap_7_mac_headers_of_any_length_and_ipv6_fields_are_read() {
    let event = event(
        "Nov 22 23:56:51 gw kernel: IN=sit1 OUT=eth1 MAC=45:00:00:7c:00:00:40:00:40:29:aa:bb:c0:00:02:01:c0:00:02:02:60:00 \
         TUNNEL=192.0.2.1->192.0.2.2 SRC=2001:0db8:0000:0000:0000:0000:0000:0007 \
         DST=2001:0db8:0007:0010:0000:0000:0000:0004 LEN=80 TC=0 HOPLIMIT=63 FLOWLBL=123456 PROTO=TCP SPT=40000 \
         DPT=54321 WINDOW=64800 RES=0x00 SYN URGP=0 ",
    );
    assert_eq!(
        told(&event),
        "2026-11-22T22:56:51Z unknown 6 [2001:db8::7]:40000 -> [2001:db8:7:10::4]:54321 flags=SYN in=sit1 out=eth1 bytes=80"
    );
}

/// The eighth is that of rules with a rate limit: the report says that its counts are lower bounds.
#[test]
fn trap_8_counts_are_called_lower_bounds() {
    let mut summary = crate::Summary::of_all_ports();
    assert!(summary.report(1).notes.is_empty());
    summary.add(&event(PACKET), None);
    assert!(
        summary
            .report(1)
            .notes
            .iter()
            .any(|note| note.contains("lower bounds"))
    );
}

#[test]
fn a_line_without_its_end_is_counted_as_unreadable() {
    let until = |end: &str| PACKET.split_once(end).unwrap().0.to_owned();
    assert_eq!(unreadable(until("LEN=60")), Reason::Missing("PROTO="));
    assert_eq!(unreadable(until(" DPT=")), Reason::CutOffBefore("DPT="));
    assert_eq!(
        unreadable("IN=eth0 OUT= SRC=192.0. DST=10.7.10.4 PROTO=TCP DPT=1"),
        Reason::NotAnAddress("SRC=")
    );
    assert_eq!(
        unreadable("IN=eth0 OUT= SRC=192.0.2.7 PROTO=TCP DPT=1 "),
        Reason::Missing("DST=")
    );
    assert_eq!(
        unreadable("IN= OUT= SRC=192.0.2.7 DST=10.7.10.4 PROTO=TCP DPT=77777 "),
        Reason::NotAPort("DPT=")
    );
    let prefixes = Prefixes::default();
    let line = "x IN=eth0 OUT= SRC=192.0.2.7 DST=10.7.10.4 PROTO=TCP SPT=4 DPT=502";
    let read = LineReader::new(&prefixes, None).read(line.as_bytes(), false);
    assert_eq!(
        read,
        Line::Unreadable(Reason::NoEnd),
        "502 may be the beginning of 50200"
    );
}

#[test]
fn a_later_fragment_and_a_short_packet_have_no_port() {
    for end in ["FRAG:185 PROTO=UDP ", "PROTO=TCP INCOMPLETE [3 bytes] "] {
        let event = event(format!(
            "x IN=eth0 OUT= SRC=192.0.2.7 DST=10.7.10.4 LEN=60 ID=5 {end}"
        ));
        assert_eq!((event.destination_port, event.flags), (None, None), "{end}");
    }
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
        assert!(with(line, |read| read == Line::Unrelated), "{line}");
    }
}

#[test]
fn hostile_text_is_kept_and_shown_harmless() {
    let event = event([b"Nov 22 23:56:51 gw kernel: \x1b[2J\xff ", PACKET.as_bytes()].concat());
    assert!(
        told(&event).contains("rule=\\u{1b}[2J\u{fffd} "),
        "{}",
        told(&event)
    );
}

#[test]
fn a_line_made_of_false_beginnings_is_unrelated() {
    for piece in ["IN=", "=\"IN=", "IN=eth0 ", "\"=\"", "[0.1]IN=x "] {
        let line = piece.repeat(LONGEST_LINE / piece.len());
        assert!(with(line, |read| read == Line::Unrelated), "{piece}");
    }
    assert_eq!(unreadable(vec![b'I'; LONGEST_LINE + 1]), Reason::TooLong);
}

/// With the keys that ulogd 2.0.8 writes; what it wrote itself is in `programs`.
#[test]
fn json_of_ulogd() {
    let json = r#"{"timestamp": "2026-11-22T23:56:51.123456", "dvc": "Netfilter", "raw.pktlen": 60, "raw.pktcount": 1, "oob.prefix": "OTGUARD-DROP ", "oob.time.sec": 1795388211, "oob.mark": 0, "oob.hook": 1, "oob.family": 2, "oob.protocol": 2048, "raw.label": 0, "raw.type": 1, "raw.mac.addrlen": 6, "ip.protocol": 6, "ip.tos": 0, "ip.ttl": 64, "ip.totlen": 60, "ip.ihl": 5, "src_port": 40000, "dest_port": 54321, "tcp.seq": 1, "tcp.ackseq": 0, "tcp.window": 64240, "tcp.syn": 1, "src_ip": "192.0.2.7", "dest_ip": "10.7.10.4", "oob.in": "eth0", "oob.out": ""}"#;
    pairs(
        LogFormat::UlogdJson,
        &[(
            json,
            "2026-11-22T22:56:51.123456Z unknown 6 192.0.2.7:40000 -> 10.7.10.4:54321 flags=SYN in=eth0 rule=OTGUARD-DROP bytes=60",
        )],
    );
}

#[test]
fn the_journal_tells_its_own_time() {
    let message = format!("portcullis-drop {}", PACKET.trim());
    let expected = "2026-11-22T22:56:51.5Z blocked 6 192.0.2.7:40000 -> 10.7.10.4:54321 flags=SYN in=eth0 rule=portcullis-drop bytes=60";
    let json = format!(
        r#"{{"__CURSOR":"s=1","__REALTIME_TIMESTAMP":"1795388211500000","_TRANSPORT":"kernel","PRIORITY":"4","MESSAGE":"{message}"}}"#
    );
    pairs(LogFormat::JournalJson, &[(&json, expected)]);
    let bytes: Vec<String> = message.bytes().map(|byte| byte.to_string()).collect();
    let list = format!(
        r#"{{"__REALTIME_TIMESTAMP":"1795388211500000","MESSAGE":[{}]}}"#,
        bytes.join(",")
    );
    pairs(LogFormat::JournalJson, &[(&list, expected)]);
    let escaped = json.replace("portcullis-drop IN", "[A-1-D]DESCR=\\\"a b\\\" IN");
    assert!(
        read_bytes(escaped.as_bytes(), None)[0].contains("blocked"),
        "{escaped}"
    );

    let prefixes = Prefixes::default();
    let mut reader = LineReader::new(&prefixes, Some(LogFormat::JournalExport));
    let plain = format!("__CURSOR=s=1\n__REALTIME_TIMESTAMP=1795388211500000\nMESSAGE={message}\n");
    let length = (message.len() as u64).to_le_bytes();
    let binary = [
        b"__REALTIME_TIMESTAMP=1795388211500000\nMESSAGE\n",
        &length[..],
        message.as_bytes(),
        b"\n",
    ]
    .concat();
    for entry in [plain.as_bytes(), &binary] {
        match reader.read(entry, true) {
            Line::Event(event) => assert_eq!(told(&event), expected),
            other => panic!("{other:?}"),
        }
    }
    let cut = reader.read(&binary[..60], true);
    assert!(matches!(cut, Line::Unreadable(_)), "{cut:?}");
}

#[test]
fn what_stands_behind_another_programs_tag_is_hearsay() {
    let told = "IN= OUT= SRC=203.0.113.77 DST=198.51.100.1 PROTO=TCP SPT=1 DPT=22 SYN";
    let time = "Nov 22 23:56:51 gw";
    let nil = "<38>1 - gw";
    let new = "<38>1 2026-11-22T22:56:51Z gw";
    let dmesg = "[   12.345678]";
    let logread = "Sun Nov 22 23:56:51 2026";
    let mikrotik = "in:ether1 out:bridge, proto TCP (SYN), 192.0.2.7:40000->10.7.10.4:502, len 60";
    for (line, hearsay) in [
        (format!("{time} sshd[5]: Invalid user {told}"), true),
        (
            format!("{time} sshd[5]: message repeated 2 times: [ Invalid user {told}]"),
            true,
        ),
        (format!("{time} sshd[5]: {told}"), true),
        (format!("{time} dnsmasq: query {told}"), true),
        (format!("{time} sshd[5]: ulogd[7]: {told}"), true),
        (format!("{time} relay gw sshd[5]: Invalid user {told}"), true),
        (
            format!("{logread} authpriv.info dropbear[5]: Login attempt for {told}"),
            true,
        ),
        (format!("{new} sshd 5 - - Invalid user {told}"), true),
        (format!("{nil} sshd 5 - - Invalid user {told}"), true),
        (format!("{dmesg} systemd[1]: Started {told}"), true),
        (format!("{time} sshd[5]: Invalid user forward: {mikrotik}"), true),
        (format!("{time} firewall,info OTGUARD forward: {mikrotik}"), false),
        (format!("{time} kernel: {told}"), false),
        (format!("{time} kernel: sshd[5]: {told}"), false),
        (format!("{time} ulogd[7]: mine {told}"), false),
        (format!("{new} ulogd 7 - - mine {told}"), false),
        (format!("{new} kernel - - - mine {told}"), false),
        (format!("{nil} kernel - - - mine {told}"), false),
        (format!("{time} {told}"), false),
        (format!("{time} iptables denied: {told}"), false),
        (format!("{time} drop: {told}"), false),
        (format!("{time} FW: drop {told}"), false),
        (format!("{time} Shorewall:net-fw:DROP:{told}"), false),
        (format!("{dmesg} iptables: denied {told}"), false),
        (
            format!("{logread} kern.warn kernel: [ 12.5] mine: x {told}"),
            false,
        ),
        (told.to_owned(), false),
        (format!("iptables: denied {told}"), false),
    ] {
        // Twice by one reader, which keeps heads of lines in mind.
        let prefixes = Prefixes::default();
        let mut reader = LineReader::new(&prefixes, None);
        for _ in 0..2 {
            let Line::Event(event) = reader.read(line.as_bytes(), true) else {
                panic!("{line}");
            };
            assert_eq!(event.hearsay, hearsay, "{line}");
            assert!(!hearsay || event.verdict == Verdict::Unknown, "{line}");
        }
    }
    let of_journal =
        format!(r#"{{"__REALTIME_TIMESTAMP":"1","_TRANSPORT":"kernel","MESSAGE":"a[5]: {told}"}}"#);
    assert!(!event(of_journal).hearsay);
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(line in proptest::collection::vec(any::<u8>(), 0..400)) {
        with(line, |_| ());
    }

    #[test]
    fn damaged_lines_never_panic_and_never_invent_a_verdict(
        cut in 0..PACKET.len(),
        noise in "[ =\"a-zA-Z0-9.\u{0}\u{202e}]{0,30}",
    ) {
        let line = format!("Nov 22 23:56:51 gw kernel: {}{noise}{}", &PACKET[..cut], &PACKET[cut..]);
        with(line, |read| {
            if let Line::Event(event) = read {
                assert_eq!(event.verdict, Verdict::Unknown);
            }
        });
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
        prop_assert_eq!((event.source_port, event.destination_port), (Some(from), Some(to)));
        prop_assert_eq!(&*event.prefix, prefix.as_bytes());
    }
}

/// RFC 5424, 6.2.3 and 6.2.4: time and host may be left open.
#[test]
fn fields_of_rfc_5424_that_are_left_open() {
    let body = "IN=eth0 OUT= SRC=192.0.2.7 DST=10.7.10.4 LEN=60 PROTO=TCP SPT=40000 DPT=502 SYN";
    let blocked = "blocked 6 192.0.2.7:40000 -> 10.7.10.4:502 flags=SYN in=eth0 rule=[UFW BLOCK] bytes=60";
    for (head, at) in [
        ("<4>1 - gw kernel - - - ", "-"),
        ("<4>1 - gw kernel - - - [   12.5] ", "-"),
        ("<4>1 - - kernel - - [a@1 b=\"c\"] ", "-"),
        (
            "<4>1 2026-11-22T22:56:51Z - kernel - - - ",
            "2026-11-22T22:56:51Z",
        ),
    ] {
        let line = format!("{head}[UFW BLOCK] {body}");
        pairs(LogFormat::Kernel, &[(&line, &format!("{at} {blocked}"))]);
    }
    // Others write a dash there, and then what they were told.
    for told in [
        "<4>1 - gw sshd 5 - - kernel: [UFW BLOCK] ",
        "2026-11-22 23:56:51 - kernel: [UFW BLOCK] ",
        "<4>- gw kernel: [UFW BLOCK] ",
    ] {
        let read = read_all(&format!("{told}{body}"));
        assert!(!read[0].contains("blocked"), "{read:?}");
    }
    let lost = read_all("<4>1 - gw kernel - - - net_ratelimit: 34 callbacks suppressed");
    assert!(lost[0].starts_with("lost: Some(34)"), "{lost:?}");
}

//! Lines of each format, with the event that they tell beside them.

mod cisco;
mod forged;
mod glued;
mod kernel;
mod lines;
mod programs;
mod vendors;

use jiff::tz::TimeZone;
use portcullis_model::{LogFormat, LogMoment, LogSource};
use proptest::prelude::*;

use super::*;
use crate::{Clock, Event, TimeContext};

pub(crate) fn context() -> TimeContext {
    TimeContext {
        now: "2026-11-23T12:00:00Z".parse().unwrap(),
        timezone: TimeZone::get("Europe/Oslo").unwrap(),
        file_modified: None,
        years: Default::default(),
    }
}

/// All that an event tells, in one line.
pub(crate) fn told(event: &Event<'_>) -> String {
    let context = context();
    let event = event.to_log_event(&mut Clock::new(&context), LogSource::Nflog { group: 1 });
    let end = |address: std::net::IpAddr, port: Option<u16>| match port {
        Some(port) => std::net::SocketAddr::new(address, port).to_string(),
        None => address.to_string(),
    };
    let mut text = format!(
        "{} {} {} {} -> {}",
        event.at.map_or("-".into(), |at| at.to_string()),
        event.verdict,
        event.protocol.map_or("-".into(), |protocol| protocol.to_string()),
        end(event.source, event.source_port),
        end(event.destination, event.port.map(|port| port.number)),
    );
    let mut more = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            text += &format!(" {name}={value}");
        }
    };
    let moment = match event.moment {
        LogMoment::Packet => None,
        LogMoment::Begin => Some("begin"),
        LogMoment::End => Some("end"),
        LogMoment::Within => Some("within"),
    };
    more("moment", moment.map(str::to_owned));
    more("directed", (!event.directed).then(|| "no".into()));
    more("flags", event.flags.map(|flags| flags.to_string()));
    more("in", event.interface.map(|name| name.to_string()));
    more("out", event.out_interface.map(|name| name.to_string()));
    more(
        "rule",
        Some(event.prefix.to_string()).filter(|prefix| !prefix.is_empty()),
    );
    more("count", (event.count != 1).then(|| event.count.to_string()));
    more("bytes", event.bytes.map(|bytes| bytes.to_string()));
    more("ms", event.duration_ms.map(|ms| ms.to_string()));
    text
}

/// What a reader says of each line; the format is found out.
pub(crate) fn read_all(text: &str) -> Vec<String> {
    read_bytes(text.as_bytes(), None)
}

pub(crate) fn read_bytes(bytes: &[u8], format: Option<LogFormat>) -> Vec<String> {
    let prefixes = Prefixes::default();
    let mut reader = LineReader::new(&prefixes, format);
    bytes
        .split(|byte| *byte == b'\n')
        .map(|line| match reader.read(line, true) {
            Line::Event(event) => format!("{} {}", event.format, told(&event)),
            Line::Unrelated => "unrelated".into(),
            Line::Lost(lost) => format!("lost: {:?}, {}", lost.count, lost.by),
            Line::Unreadable(reason) => format!("unreadable: {reason}"),
        })
        .collect()
}

/// Holds each line against what it should tell. They stand in pairs.
pub(crate) fn pairs(format: LogFormat, pairs: &[(&str, &str)]) {
    for (line, expected) in pairs {
        assert_eq!(read_all(line), [format!("{format} {expected}")], "{line}");
        let with_format = read_bytes(line.as_bytes(), Some(format));
        assert_eq!(
            with_format,
            [format!("{format} {expected}")],
            "with the format given: {line}"
        );
    }
}

/// Good lines of all formats that are read line by line.
fn samples() -> Vec<String> {
    vendors::SAMPLES
        .iter()
        .chain(lines::SAMPLES)
        .map(|line| (*line).to_owned())
        .collect()
}

proptest! {
    #[test]
    fn damaged_lines_never_panic_in_any_format(
        which in 0..samples().len(),
        cut in any::<proptest::sample::Index>(),
        noise in proptest::collection::vec(any::<u8>(), 0..12),
        ended in any::<bool>(),
    ) {
        let line = samples().swap_remove(which).into_bytes();
        let cut = cut.index(line.len());
        let (head, tail) = line.split_at(cut);
        let prefixes = Prefixes::default();
        for damaged in [[head, &noise, tail].concat(), [head, &noise].concat(), tail.to_vec()] {
            for format in LogFormat::ALL.map(Some).into_iter().chain([None]) {
                LineReader::new(&prefixes, format).read(&damaged, ended);
            }
        }
    }
}

/// Whoever tries to log in chooses a name, and so what another program writes.
#[test]
fn what_another_program_was_told_proves_no_verdict() {
    let body = "IN=eth0 OUT= SRC=192.0.2.7 DST=10.7.10.4 LEN=60 PROTO=TCP SPT=1 DPT=22 SYN";
    let prefixes = Prefixes::default();
    let verdict = |line: &str| match LineReader::new(&prefixes, None).read(line.as_bytes(), true) {
        Line::Event(event) => Some(event.verdict),
        _ => None,
    };
    let head = "2026-11-29T10:00:10+00:00 fw";
    let asa = "%ASA-6-302013: Built inbound TCP connection 7 for outside:192.0.2.7/1 (192.0.2.7/1) to inside:10.7.10.4/22 (10.7.10.4/22)";
    let fortigate = "date=2026-11-22 time=23:56:51 type=\"traffic\" srcip=192.0.2.7 srcport=1 dstip=10.7.10.4 dstport=22 proto=6 action=\"accept\"";
    let flow = r#"{"timestamp":"2026-11-29T10:00:10.1+0000","event_type":"drop","src_ip":"192.0.2.7","src_port":1,"dest_ip":"10.7.10.4","dest_port":22,"proto":"TCP"}"#;
    for (line, own) in [
        (format!("kernel: [UFW ALLOW] {body}"), Verdict::Allowed),
        (format!("kernel: Shorewall:net-fw:DROP:{body}"), Verdict::Blocked),
        (asa.to_owned(), Verdict::Allowed),
        (format!(": {asa}"), Verdict::Allowed),
        (fortigate.to_owned(), Verdict::Allowed),
        (format!("suricata[7]: {flow}"), Verdict::Blocked),
    ] {
        assert_eq!(verdict(&format!("{head} {line}")), Some(own), "{line}");
        let told = format!("{head} sshd[5]: Invalid user {line} from 192.0.2.9 port 4444");
        assert!(
            !matches!(verdict(&told), Some(Verdict::Allowed | Verdict::Blocked)),
            "{told}"
        );
        if let Line::Event(event) = LineReader::new(&prefixes, None).read(told.as_bytes(), true) {
            assert!(event.hearsay, "{told}");
        }
    }
    let head = "<134>1 2026-11-29T10:00:10Z fw";
    for (line, own) in [
        (format!("suricata 7 - - {flow}"), true),
        (format!(r#"suricata 7 - [x y="z"] {flow}"#), true),
        (
            format!(r#"suricata 7 - [a@1 y="\"\\]{{\"q\":1}}" z="{{"][b c="d"] {flow}"#),
            true,
        ),
        (format!(r#"suricata 7 - [x y="z"] @cee: {flow}"#), true),
        (format!(r#"sshd 5 - [x y="z"] Invalid user {flow}"#), false),
        (format!("sshd 5 - - Invalid user x: {flow}"), false),
        (format!("sshd 5 - - Invalid user x - {flow}"), false),
        (format!(r#"sshd 5 - [x y="z" Invalid user {flow}"#), false),
    ] {
        let line = format!("{head} {line}");
        assert_eq!(
            verdict(&line),
            Some(if own { Verdict::Blocked } else { Verdict::Unknown }),
            "{line}"
        );
    }
    let entry =
        format!(r#"{{"__REALTIME_TIMESTAMP":"1","_TRANSPORT":"kernel","MESSAGE":"[UFW ALLOW] {body}"}}"#);
    for (before, own) in [
        ("", Verdict::Allowed),
        ("Nov 22 23:56:51 gw journal: ", Verdict::Allowed),
        ("Nov 22 23:56:51 gw journal: @cee: ", Verdict::Allowed),
        ("Nov 22 23:56:51 gw sshd[5]: Invalid user x: ", Verdict::Unknown),
        ("Nov 22 23:56:51 gw sshd[5]: Invalid user x - ", Verdict::Unknown),
        ("Nov 22 23:56:51 gw sshd[5]: Invalid user ", Verdict::Unknown),
    ] {
        let line = format!("{before}{entry}");
        let mut reader = LineReader::new(&prefixes, Some(LogFormat::JournalJson));
        let Line::Event(event) = reader.read(line.as_bytes(), true) else {
            panic!("{line}");
        };
        assert_eq!(event.verdict, own, "{line}");
    }
    for (entry, counts) in [
        (r#""_TRANSPORT":"kernel""#, true),
        (r#""_TRANSPORT":"syslog","SYSLOG_IDENTIFIER":"kernel""#, false),
        (r#""SYSLOG_IDENTIFIER":"joe""#, false),
    ] {
        let line = format!(
            r#"{{"__REALTIME_TIMESTAMP":"1763852211123456",{entry},"MESSAGE":"[UFW ALLOW] {body}"}}"#
        );
        assert_eq!(verdict(&line) == Some(Verdict::Allowed), counts, "{line}");
        let entry = entry
            .replace("\":\"", "=")
            .replace("\",\"", "\n")
            .replace('"', "");
        let export =
            format!("__CURSOR=x\n__REALTIME_TIMESTAMP=1763852211123456\n{entry}\nMESSAGE=[UFW ALLOW] {body}");
        let read = super::journal::read_export(export.as_bytes(), &prefixes);
        assert_eq!(matches!(read, Line::Event(_)), counts, "{export}");
    }
}

#[test]
fn a_line_that_stands_for_equal_ones_counts_as_many() {
    let prefixes = Prefixes::default();
    let body = "IN=eth0 OUT= SRC=192.0.2.7 DST=10.7.10.4 LEN=60 TOS=0x00 PREC=0x00 TTL=63 ID=7 DF PROTO=TCP SPT=1 DPT=22 WINDOW=1 RES=0x00 SYN URGP=0";
    let mut reader = LineReader::new(&prefixes, None);
    for _ in 0..2 {
        for (message, count, prefix) in [
            (format!("[12.5] [UFW BLOCK] {body} "), 1, "[UFW BLOCK]"),
            (
                format!("message repeated 5 times: [ [UFW BLOCK] {body} ]"),
                5,
                "[UFW BLOCK]",
            ),
            (
                format!("message repeated 7 times: [[12.5] [UFW BLOCK] {body} ]"),
                7,
                "[UFW BLOCK]",
            ),
            (
                format!("message repeated many times: [ {body}]"),
                1,
                "message repeated many times: [",
            ),
        ] {
            let line = format!("Nov 22 23:56:51 gw kernel: {message}");
            let Line::Event(event) = reader.read(line.as_bytes(), true) else {
                panic!("{line}");
            };
            assert_eq!(
                (event.count, &*event.prefix),
                (count, prefix.as_bytes()),
                "{line}"
            );
        }
    }
}

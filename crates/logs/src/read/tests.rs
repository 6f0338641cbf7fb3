//! Whole logs: places, broken ends, compression, many threads.

use std::io::{self, Write};

use portcullis_model::{LogFormat, LogSource};

use super::*;
use crate::{LONGEST_LINE as LONGEST, LogReport, Prefixes, Shared, Summary, decoded};

const EVENT: &str =
    "Nov 22 23:56:51 gw kernel: x IN=eth0 OUT= SRC=192.0.2.7 DST=10.7.10.4 PROTO=TCP SPT=4 DPT=502";

fn settings(format: Option<LogFormat>) -> Settings {
    Settings {
        time: crate::format::test_context(),
        prefixes: Prefixes::default(),
        format,
    }
}

/// Keeps what each line was, with its number and offset.
#[derive(Default)]
struct Kept(Vec<(String, u64, u64)>);

impl Sink for Kept {
    fn line(&mut self, line: &Line<'_>, place: Place<'_>, _: &[u8], _: &mut Clock<'_>) {
        let kind = match line {
            Line::Event(event) => event.format.to_string(),
            Line::Unrelated => "unrelated".into(),
            Line::Lost(lost) => lost.by.to_string(),
            Line::Unreadable(reason) => reason.to_string(),
        };
        self.0.push((kind, place.line, place.offset));
    }
}

fn kept(reader: impl Read + Send) -> (Vec<(String, u64, u64)>, LogRead) {
    let mut sinks = [Kept::default()];
    let read = read_log(reader, "kern.log", &settings(None), &mut sinks);
    let [kept] = sinks;
    (kept.0, read)
}

fn counted(reader: impl Read + Send, threads: usize) -> (LogReport, LogRead) {
    let shared = Shared::new(Summary::of_all_ports());
    let read = read_log(reader, "kern.log", &settings(None), &mut shared.counters(threads));
    (shared.into_summary().report(5), read)
}

#[test]
fn every_line_has_its_number_and_offset() {
    let log = format!("cron: done\r\n{EVENT} \n\n{EVENT} \n");
    let (lines, read) = kept(log.as_bytes());
    let length = EVENT.len() as u64;
    let expected = [
        ("unrelated".into(), 1, 0),
        ("kernel".into(), 2, 12),
        ("unrelated".into(), 3, 12 + length + 2),
        ("kernel".into(), 4, 12 + length + 3),
    ];
    assert_eq!(lines, expected);
    assert_eq!(
        read,
        LogRead {
            bytes: log.len() as u64,
            lines: 4,
            stopped: None
        }
    );
}

#[test]
fn a_number_that_may_be_cut_off_is_not_believed() {
    let (lines, _) = kept(EVENT.as_bytes());
    assert!(lines[0].0.contains("cut off"), "{lines:?}");
    assert_eq!(kept(format!("{EVENT} LEN=40").as_bytes()).0[0].0, "kernel");
    assert_eq!(kept(format!("{EVENT}\n").as_bytes()).0[0].0, "kernel");
}

#[test]
fn a_line_of_ten_megabytes_costs_one_line() {
    let mut log = vec![0; 10_000_000];
    log.extend_from_slice(format!("\n{EVENT}\n").as_bytes());
    let (lines, read) = kept(log.as_slice());
    assert_eq!(lines[0], (Reason::TooLong.to_string(), 1, 0));
    assert_eq!(lines[1], ("kernel".into(), 2, 10_000_001));
    assert_eq!((lines.len(), read.lines), (2, 2));
    let (report, _) = counted(log.as_slice(), 2);
    assert_eq!((report.unreadable, report.attempts), (1, 1));
    let at = LogSource::File {
        path: "kern.log".into(),
        line: 1,
        offset: 0,
    };
    assert_eq!(report.unreadable_lines[0].read_from, at);
}

#[test]
fn nul_bytes_and_what_is_no_text_are_lines_like_others() {
    let log = [
        &[0, 0, b'\n', 0xff, 0xfe, b'\n'][..],
        EVENT.as_bytes(),
        b" \x1b[2J\xff\n",
    ]
    .concat();
    let (report, _) = counted(log.as_slice(), 1);
    assert_eq!((report.attempts, report.unrelated, report.unreadable), (1, 2, 0));
}

#[test]
fn a_disk_that_fails_on_the_way_is_told() {
    struct Failing;
    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("bad sector"))
        }
    }
    let start = format!("{EVENT}\nNov 2");
    let (lines, read) = kept(start.as_bytes().chain(Failing));
    assert_eq!(lines[0].0, "kernel");
    assert_eq!(
        read.stopped,
        Some(format!("reading stopped at byte {}: bad sector", start.len()))
    );
}

#[test]
fn compressed_logs_are_unpacked_by_what_they_begin_with() {
    let unpacked = |bytes: &[u8]| {
        let mut text = Vec::new();
        decoded(bytes)
            .and_then(|mut reader| reader.read_to_end(&mut text))
            .map(|_| text)
    };
    let gzip = |text: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    };
    assert_eq!(unpacked(b"plain").unwrap(), b"plain");
    assert_eq!(unpacked(b"").unwrap(), b"");
    assert_eq!(
        unpacked(&[gzip(b"one\n"), gzip(b"two\n")].concat()).unwrap(),
        b"one\ntwo\n"
    );
    let zstd = ruzstd::encoding::compress_to_vec(
        &b"hello\n".repeat(99)[..],
        ruzstd::encoding::CompressionLevel::Fastest,
    );
    assert_eq!(unpacked(&zstd).unwrap(), b"hello\n".repeat(99));
    let frames = [&zstd[..], &zstd].concat();
    assert_eq!(unpacked(&frames).unwrap(), b"hello\n".repeat(198), "both frames");
    assert!(
        unpacked(&[&zstd[..], b"junk"].concat()).is_err(),
        "what is behind is not dropped in silence"
    );
    for (broken, told) in [
        (&b"\x1f\x8b\x08\0junk that is no deflate stream"[..], ""),
        (
            b"\x28\xb5\x2f\xfdjunk",
            "what is packed with zstd is damaged, or ends too early",
        ),
        (
            &zstd[..zstd.len() - 3],
            "what is packed with zstd is damaged, or ends too early",
        ),
        (b"\x28\xb5\x2f\xfd", "what is packed with zstd is damaged"),
        (b"\xfd7zXZ\0", "compressed with xz"),
        (b"BZh9", "compressed with bzip2"),
    ] {
        let error = unpacked(broken).unwrap_err().to_string();
        assert!(error.contains(told), "{error}");
    }
    let half = gzip(EVENT.repeat(500).as_bytes());
    let (_, read) = kept(decoded(&half[..half.len() / 2]).unwrap());
    assert!(
        read.stopped
            .is_some_and(|why| why.starts_with("reading stopped at byte"))
    );
}

#[test]
fn two_threads_count_what_one_counts() {
    let mut log = String::new();
    for number in 0..30_000_u32 {
        let source = std::net::Ipv4Addr::from_bits(0x0a00_0000 + number * 7 % 40_000);
        let second = number % 60;
        log += &format!(
            "Nov 22 23:56:{second:02} gw kernel: portcullis-drop IN=eth0 OUT= SRC={source} DST=10.7.10.4 LEN=60 PROTO=TCP SPT=4 \
             DPT={} \n{}",
            502 + number % 3,
            if number % 1000 == 0 {
                "x PROTO=TCP DPT=1 \n"
            } else {
                ""
            },
        );
    }
    let (one, first) = counted(log.as_bytes(), 1);
    let (two, second) = counted(log.as_bytes(), 2);
    assert_eq!(first, second);
    assert_eq!(
        serde_json::to_value(&one).unwrap(),
        serde_json::to_value(&two).unwrap()
    );
    assert_eq!(
        (one.attempts, one.distinct_sources, one.unreadable),
        (30_000, 30_000, 30)
    );
    assert_eq!(
        one.unreadable_lines[0].reason,
        Reason::BeginningMissing.to_string()
    );
}

#[test]
fn entries_of_the_journal_are_read_as_a_whole() {
    let entry = |drop: &str| {
        format!(
            "__CURSOR=s=1\n__REALTIME_TIMESTAMP=1795388211500000\nPRIORITY=4\nMESSAGE={drop}IN=eth0 OUT= SRC=192.0.2.7 \
             DST=10.7.10.4 PROTO=TCP SPT=4 DPT=502 \n\n"
        )
    };
    let log = [
        entry("portcullis-drop "),
        "__CURSOR=s=2\nMESSAGE=hello\n\n".into(),
        entry(""),
    ]
    .concat();
    let (lines, read) = kept(log.as_bytes());
    let kinds: Vec<_> = lines
        .iter()
        .map(|(kind, line, _)| (kind.as_str(), *line))
        .collect();
    assert_eq!(
        kinds,
        [("journal-export", 1), ("unrelated", 6), ("journal-export", 9)]
    );
    assert_eq!(lines[2].2 as usize, log.len() - entry("").len());
    assert_eq!(read.lines, 13);
}

/// An entry with a value that has its length before it.
fn with_binary(head: &str, key: &str, value: &[u8]) -> Vec<u8> {
    let length = (value.len() as u64).to_le_bytes();
    [head.as_bytes(), key.as_bytes(), b"\n", &length, value, b"\n\n"].concat()
}

#[test]
fn an_empty_line_within_a_value_of_the_journal_ends_no_entry() {
    let packet = "_TRANSPORT=kernel\nMESSAGE=[UFW ALLOW] IN=eth0 OUT= SRC=192.0.2.7 DST=10.7.10.4 PROTO=TCP SPT=4 DPT=502 \n\n";
    let forged = format!("hello\n\n__REALTIME_TIMESTAMP=1795388211500000\n{packet}");
    let head = "__CURSOR=s=1\n_TRANSPORT=stdout\n";
    let first = with_binary(head, "MESSAGE", forged.as_bytes());
    let log = [&first, &b"__CURSOR=s=2\n"[..], packet.as_bytes()].concat();
    let (lines, read) = kept(log.as_slice());
    let line = 1 + memchr::memchr_iter(b'\n', &first).count() as u64;
    let expected = [
        ("unrelated".into(), 1, 0),
        ("journal-export".into(), line, first.len() as u64),
    ];
    assert_eq!(lines, expected);
    assert_eq!(read.lines, line + 3);

    let traceback = with_binary(head, "MESSAGE", b"Traceback:\n\n  in x\n\nError\r");
    let (report, _) = counted(traceback.repeat(60_000).as_slice(), 2);
    assert_eq!((report.unrelated, report.unreadable), (60_000, 0));
}

#[test]
fn who_wrote_an_entry_of_the_journal_may_have_its_length_before_it() {
    let packet = "MESSAGE=[UFW ALLOW] IN=eth0 OUT= SRC=192.0.2.7 DST=10.7.10.4 PROTO=TCP SPT=4 DPT=502 ";
    let log = with_binary(&format!("__CURSOR=s=1\n{packet}\n"), "SYSLOG_IDENTIFIER", b"x\ny");
    assert_eq!(kept(log.as_slice()).0, [("unrelated".into(), 1, 0)]);
}

#[test]
fn a_value_of_the_journal_that_is_too_long_is_passed_over_whole() {
    let packet =
        "__CURSOR=s=2\nMESSAGE=x IN=eth0 OUT= SRC=192.0.2.7 DST=10.7.10.4 PROTO=TCP SPT=4 DPT=502 \n\n";
    for size in [LONGEST, 3 << 20] {
        let value = packet.repeat(size / packet.len() + 1);
        let first = with_binary("__CURSOR=s=1\n", "COREDUMP", value.as_bytes());
        let log = [&first, packet.as_bytes()].concat();
        let line = 1 + memchr::memchr_iter(b'\n', &first).count() as u64;
        let expected = [
            (Reason::TooLong.to_string(), 1, 0),
            ("journal-export".into(), line, first.len() as u64),
        ];
        assert_eq!(kept(log.as_slice()).0, expected);
        let (cut, _) = kept(&log[..first.len() / 2]);
        assert_eq!((cut.len(), cut[0].1), (1, 1), "{cut:?}");
    }
}

#[test]
fn which_log_of_zeek_it_is_is_known_to_all_threads() {
    let line = "1795388211.5\tC1\t192.0.2.7\t40000\t10.7.10.4\t22\ttcp\tSF\n";
    for (path, expected) in [("conn", 60_000), ("mine", 0)] {
        let mut log = format!(
            "#separator \\x09\n#path\t{path}\n#open\t2026\n#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tconn_state\n"
        );
        log += &line.repeat(60_000);
        let (report, _) = counted(log.as_bytes(), 3);
        assert_eq!(
            (report.verdicts.allowed, report.unreadable),
            (expected, 0),
            "{path}"
        );
    }
}

#[test]
fn columns_are_known_to_all_threads() {
    let mut log = String::from("#Fields: date time action protocol src-ip dst-ip src-port dst-port\n");
    log += &"2026-11-22 23:56:51 DROP TCP 192.0.2.7 10.7.10.4 40000 502\n".repeat(60_000);
    let (report, _) = counted(log.as_bytes(), 3);
    assert_eq!((report.verdicts.blocked, report.unreadable), (60_000, 0));
    assert_eq!((report.formats.len(), report.formats[0].lines), (1, 60_000));
}

//! What the real programs wrote of the same five packets (`crates/logs/samples`).

use portcullis_model::LogFormat;

use super::{read_all, told};
use crate::{Line, LineReader, Prefixes, read_frame};

/// Verdict to ports of each packet, and what stands behind the flags.
const PACKETS: [(&str, &str, &str); 5] = [
    (
        "blocked 6 192.0.2.7:40000 -> 10.7.10.4:54321 flags=SYN",
        "rule=portcullis-drop",
        "60",
    ),
    (
        "unknown 17 192.0.2.7:40001 -> 10.7.10.4:4800",
        "rule=OTGUARD",
        "58",
    ),
    ("unknown 1 10.7.10.4 -> 192.0.2.7", "rule=ping", "86"),
    (
        "blocked 6 [2001:db8::7]:40000 -> [2001:db8:7::4]:54321 flags=SYN",
        "rule=portcullis-drop",
        "80",
    ),
    (
        "unknown 17 [2001:db8::7]:40001 -> [2001:db8:7::4]:4800",
        "rule=OTGUARD",
        "78",
    ),
];

fn without_time(told: &str) -> &str {
    told.split_once(' ').unwrap().1
}

#[test]
fn ulogd_logemu() {
    let text = include_str!("../../../samples/ulogd-2.0.8-logemu.log");
    let read = read_all(text.trim_end());
    for (line, (packet, rule, bytes)) in read.iter().zip(PACKETS) {
        let expected = format!("{packet} in=lo {rule} bytes={bytes}");
        assert_eq!(without_time(line.strip_prefix("kernel ").unwrap()), expected);
        assert!(
            line.contains("2025-11-29T16:18:3") || line.contains("2026-11-29T16:18:3"),
            "{line}"
        );
    }
    assert_eq!(read.len(), PACKETS.len());
}

/// Over IPv6 ulogd writes no length of the packet.
#[test]
fn ulogd_json() {
    let text = include_str!("../../../samples/ulogd-2.0.8.json");
    let read = read_all(text.trim_end());
    for (line, (packet, rule, bytes)) in read.iter().zip(PACKETS) {
        let length = if packet.contains('[') {
            String::new()
        } else {
            format!(" bytes={bytes}")
        };
        let expected = format!("{packet} in=lo {rule}{length}");
        assert_eq!(without_time(line.strip_prefix("ulogd-json ").unwrap()), expected);
        assert!(line.contains("2026-11-29T16:18:3"), "{line}");
    }
    assert_eq!(read.len(), PACKETS.len());
}

#[test]
fn tcpdump_of_a_log_group() {
    let mut rest = &include_bytes!("../../../samples/tcpdump-4.99.3-nflog.pcap")[..];
    assert_eq!(rest[20..24], [239, 0, 0, 0], "the link type");
    rest = &rest[24..];
    let prefixes = Prefixes::default();
    for (packet, rule, bytes) in PACKETS {
        let length = u32::from_le_bytes(rest[8..12].try_into().unwrap()) as usize;
        let Line::Event(event) = read_frame(&rest[16..16 + length], Some(0), &prefixes) else {
            panic!("{packet}")
        };
        assert_eq!(event.format, LogFormat::Nflog);
        assert_eq!(
            without_time(&told(&event)),
            format!("{packet} in=#1 {rule} bytes={bytes}")
        );
        rest = &rest[16 + length..];
    }
    assert!(rest.is_empty());
}

/// The output SYSLOG of ulogd: its own tag stands before the rule's prefix (`openlog("ulogd", LOG_PID, …)`).
#[test]
fn ulogd_in_syslog() {
    let body = "IN=eth0 OUT= SRC=192.0.2.7 DST=10.7.10.4 LEN=60 TOS=00 PREC=0x00 TTL=63 ID=7 DF PROTO=TCP SPT=40000 DPT=502 SEQ=1 ACK=0 \
                WINDOW=1 SYN URGP=0 MARK=0";
    let prefixes = Prefixes::declared(vec![("FW-DROP".into(), portcullis_model::Verdict::Blocked)]);
    for (head, told_to_another) in [
        ("Nov 22 23:56:51 gw ulogd[7]: ", false),
        ("Nov 22 23:56:51 gw ulogd: ", false),
        ("2026-11-22T22:56:51Z gw ulogd[7]: ", false),
        ("<30>Nov 22 23:56:51 ulogd[7]: ", false),
        ("ulogd[7]: ", false),
        ("<30>1 2026-11-22T22:56:51Z gw ulogd 7 - - ", false),
        ("<30>1 - - ulogd 7 - - ", false),
        ("Nov 22 23:56:51 gw sshd[7]: ulogd[7]: ", true),
        ("<30>1 2026-11-22T22:56:51Z gw sshd 7 - - ulogd[7]: ", true),
        ("<30>1 2026-11-22T22:56:51Z gw ulogdx 7 - - ", true),
    ] {
        for (prefix, verdict) in [
            ("FW-DROP ", "blocked"),
            ("[UFW BLOCK] ", "blocked"),
            ("x ", "unknown"),
            ("", "unknown"),
        ] {
            let line = format!("{head}{prefix}{body}");
            let Line::Event(event) = LineReader::new(&prefixes, None).read(line.as_bytes(), true) else {
                panic!("{line}");
            };
            assert_eq!(event.hearsay, told_to_another, "{line}");
            if !told_to_another {
                let said = (event.verdict.to_string(), &*event.prefix);
                assert_eq!(said, (verdict.to_owned(), prefix.trim().as_bytes()), "{line}");
            }
        }
    }
}

//! Two records in one line: what was not written of the first one, or the line end between them, is lost.

use super::{read_all, samples};
use crate::{Line, LineReader, Prefixes, Reason};

const FIRST: &str = "Nov 22 23:56:51 gw kernel: [12.5] [UFW ALLOW] IN=eth0 OUT= MAC=aa:bb SRC=192.0.2.7 DST=10.7.10.4 LEN=60 TOS=0x00 \
    PREC=0x00 TTL=63 ID=7 DF PROTO=TCP SPT=40000 DPT=502 WINDOW=1 RES=0x00 SYN URGP=0 ";

/// Others of the same form, with other ends and another verdict.
fn seconds() -> Vec<String> {
    let stamped = FIRST
        .replace("UFW ALLOW", "UFW BLOCK")
        .replace("192.0.2.7", "198.51.100.9")
        .replace("10.7.10.4", "10.7.10.5");
    vec![
        stamped.replace("[12.5] ", ""),
        stamped.replace("Nov 22 23:56:51 gw kernel: ", ""),
        stamped.replace("kernel: [12.5] ", ""),
        stamped
            .replace("Nov 22 23:56:51", "<4>1 2026-11-22T23:56:51Z")
            .replace("kernel:", "kernel - - -"),
        stamped.replace("PROTO=TCP", "PROTO=UDP"),
        stamped
            .replace("10.7.10.5", "2001:db8::5")
            .replace("198.51.100.9", "2001:db8::9"),
        stamped,
    ]
}

#[test]
fn two_packets_in_one_line_are_never_one_with_the_verdict_of_the_other() {
    let prefixes = Prefixes::default();
    for second in seconds() {
        // Wherever the first one was cut off.
        for end in 0..=FIRST.len() {
            let line = format!("{}{second}", &FIRST[..end]);
            // One reader knows the head of the first one from a line before.
            let mut knowing = LineReader::new(&prefixes, None);
            knowing.read(FIRST.as_bytes(), true);
            for reader in [&mut knowing, &mut LineReader::new(&prefixes, None)] {
                let Line::Event(event) = reader.read(line.as_bytes(), true) else {
                    continue;
                };
                let of_first = event.source.to_string() == "192.0.2.7";
                let verdict = event.verdict.to_string();
                assert!(!of_first, "the second one is not told: {line}");
                assert!(matches!(&*verdict, "blocked" | "unknown"), "{verdict}: {line}");
                assert!(
                    event.destination.to_string().ends_with('5'),
                    "the ends are of two: {line}"
                );
            }
        }
        let whole = read_all(&format!("{FIRST}{second}"));
        assert_eq!(whole, [format!("unreadable: {}", Reason::Glued)]);
    }
}

#[test]
fn what_stands_behind_a_packet_without_being_another_one_is_no_second_record() {
    let options = format!("{FIRST}OPT (020405B40402080A0000000000000000010303070204) MARK=0x1 UID=0 GID=0 ");
    let error = "Nov 22 23:56:51 gw kernel: [UFW BLOCK] IN=eth0 OUT= SRC=10.7.10.1 DST=10.7.10.4 LEN=88 PROTO=ICMP TYPE=3 CODE=3 \
        [SRC=10.7.10.4 DST=192.0.2.7 LEN=60 PROTO=TCP SPT=1 DPT=2 ] MARK=0x1 ";
    let bridged = FIRST.replace("OUT= ", "OUT=br0 PHYSIN=eth0 PHYSOUT=eth1 ");
    let declared = FIRST.replace("[UFW ALLOW]", "[WAN_IN-3001-D]DESCR=\"no IN=eth9 from 23:56\"");
    for line in [options, error.to_owned(), bridged, declared] {
        assert!(read_all(&line)[0].starts_with("kernel "), "{line}");
    }
}

#[test]
fn two_records_of_other_makers_in_one_line_are_told_as_such() {
    let glued = format!("unreadable: {}", Reason::Glued);
    let list = |id: &str, action: &str| {
        format!(
            "%ASA-6-106100: access-list {id} {action} tcp outside/192.0.2.7(40000) -> inside/10.7.10.4(502) hit-cnt 1 first hit"
        )
    };
    let (permitted, denied) = (list("a", "permitted"), list("b", "denied"));
    let (_, ends) = denied.split_once("%ASA").unwrap();
    let router = |action: &str, count: u8| {
        format!(
            "%SEC-6-IPACCESSLOGP: list 101 {action} tcp 192.0.2.7(40000) -> 10.7.10.4(502), {count} packets"
        )
    };
    let srx = "RT_FLOW: RT_FLOW_SESSION_";
    let created = format!(
        "{srx}CREATE: session created 192.0.2.7/40000->10.7.10.4/502 None 192.0.2.7/40000->10.7.10.4/502 None None 6 in a b 30 "
    );
    let refused = format!(
        "Nov 22 23:56:51 srx {srx}DENY: session denied 192.0.2.7/40000->10.7.10.4/502 None 6(0) no a b"
    );
    let structured = |kind: &str, source: &str| {
        format!(
            "<14>1 2026-11-22T23:56:51Z srx RT_FLOW - RT_FLOW_SESSION_{kind} [junos@2636 source-address=\"{source}\" source-port=\"1\" \
             destination-address=\"10.7.10.4\" destination-port=\"502\" protocol-id=\"6\"]"
        )
    };
    for line in [
        format!("{permitted} {denied}"),
        format!("%ASA-6-106100: access-list a permitted tcp %ASA{ends}"),
        format!("{}{}", router("denied", 1), router("permitted", 5)),
        format!("{created}{refused}"),
        format!("{}{refused}", &created[..50]),
        format!(
            "{}{}",
            structured("CREATE", "192.0.2.7"),
            structured("DENY", "192.0.2.8")
        ),
    ] {
        assert_eq!(read_all(&line), std::slice::from_ref(&glued), "{line}");
    }
}

/// Whatever is lost between two lines, each is read with its own verdict where it stands alone.
#[test]
fn a_line_that_stands_alone_is_never_two() {
    for line in samples() {
        let read = read_all(&line);
        assert!(!read[0].contains("two records"), "{line}");
    }
}

//! Lines of Cisco's firewalls and routers, with addresses of ours, typed after what the heads of their files name.

use portcullis_model::LogFormat;

use super::{pairs, read_all, vendors::SAMPLES};
use crate::{Line, LineReader, Prefixes, RawTime};

const ENDS: &str = "192.0.2.7:40000 -> 10.7.10.4:502";
const WHEN: &str = "2026-11-22T22:56:51Z";

/// "Cisco Secure Firewall ASA Series Syslog Messages", the numbers as in each line.
#[test]
fn cisco_asa() {
    let both = "in=outside out=inside";
    for (text, expected) in [
        (SAMPLES[0], format!("blocked 6 {ENDS} flags=SYN in=outside")),
        (
            "%ASA-6-106015: Deny TCP (no connection) from 192.0.2.7/40000 to 10.7.10.4/502 flags FIN ACK  on interface outside",
            format!("blocked 6 {ENDS} flags=ACK FIN in=outside"),
        ),
        (
            "%ASA-2-106006: Deny inbound UDP from 192.0.2.7/40000 to 10.7.10.4/502 on interface outside",
            format!("blocked 17 {ENDS} in=outside"),
        ),
        (
            "%ASA-2-106007: Deny inbound UDP from 192.0.2.7/40000 to 10.7.10.4/502 due to DNS Query",
            format!("blocked 17 {ENDS}"),
        ),
        (
            "%ASA-3-106014: Deny inbound icmp src outside:192.0.2.7 dst inside:10.7.10.4 (type 8, code 0)",
            format!("blocked 1 192.0.2.7 -> 10.7.10.4 {both}"),
        ),
        (
            "%ASA-3-106014: Deny inbound icmp src outside:192.0.2.7 dst inside:10.7.10.4(type 8, code 0)",
            format!("blocked 1 192.0.2.7 -> 10.7.10.4 {both}"),
        ),
        (SAMPLES[1], format!("blocked 6 {ENDS} {both} rule=outside_in")),
        (
            "%FTD-4-106023: Deny icmp src outside:2001:db8::7 dst inside:2001:db8:7::4 (type 128, code 0) by access-group \"v6\" [0x0, 0x0]",
            format!("blocked 58 2001:db8::7 -> 2001:db8:7::4 {both} rule=v6"),
        ),
        (
            SAMPLES[2],
            format!("blocked 6 {ENDS} {both} rule=outside_in count=21"),
        ),
        (
            "%ASA-6-106100: access-list outside_in est-allowed tcp outside/192.0.2.7(40000) -> inside/10.7.10.4(502) hit-cnt 1 first hit [0x0, 0x0]",
            format!("allowed 6 {ENDS} moment=within {both} rule=outside_in"),
        ),
        (
            "%ASA-6-302013: Built inbound TCP connection 77 for outside:192.0.2.7/40000 (192.0.2.7/40000) to inside:10.7.10.4/502 (203.0.113.4/502)",
            format!("allowed 6 {ENDS} moment=begin {both}"),
        ),
        (
            "%ASA-6-302015: Built outbound UDP connection 77 for outside:10.7.10.4/502 (10.7.10.4/502) to inside:192.0.2.7/40000 (192.0.2.7/40000)",
            format!("allowed 17 {ENDS} moment=begin in=inside out=outside"),
        ),
        (
            SAMPLES[3],
            format!("allowed 6 {ENDS} moment=end directed=no {both} bytes=1234 ms=30000"),
        ),
        (
            "%ASA-6-302016: Teardown UDP connection 77 for outside:192.0.2.7/40000 to inside:10.7.10.4/502 duration 1:02:03 bytes 9",
            format!("allowed 17 {ENDS} moment=end directed=no {both} bytes=9 ms=3723000"),
        ),
        (
            "%ASA-3-710003: TCP access denied by ACL from 192.0.2.7/40000 to outside:10.7.10.4/502",
            format!("blocked 6 {ENDS} in=outside"),
        ),
        (
            "%ASA-7-710005: UDP request discarded from 192.0.2.7/40000 to outside:10.7.10.4/502",
            format!("blocked 17 {ENDS} in=outside"),
        ),
        (
            "%ASA-3-106010: Deny inbound tcp src outside:192.0.2.7/40000 dst inside:10.7.10.4/502",
            format!("blocked 6 {ENDS} {both}"),
        ),
        (
            "%ASA-3-106010: Deny inbound protocol 47 src outside:192.0.2.7 dst inside:10.7.10.4",
            format!("blocked 47 192.0.2.7 -> 10.7.10.4 {both}"),
        ),
        (
            "%ASA-2-106016: Deny IP spoof from (127.0.0.1) to 10.7.10.4 on interface outside",
            "blocked - 127.0.0.1 -> 10.7.10.4 in=outside".to_owned(),
        ),
        (
            "%ASA-2-106017: Deny IP due to Land Attack from 10.7.10.4 to 10.7.10.4",
            "blocked - 10.7.10.4 -> 10.7.10.4".to_owned(),
        ),
        (
            "%ASA-1-106021: Deny TCP reverse path check from 192.0.2.7 to 10.7.10.4 on interface outside",
            "blocked 6 192.0.2.7 -> 10.7.10.4 in=outside".to_owned(),
        ),
        (
            "%ASA-1-106021: Deny protocol 47 reverse path check from 192.0.2.7 to 10.7.10.4 on interface outside.",
            "blocked 47 192.0.2.7 -> 10.7.10.4 in=outside".to_owned(),
        ),
        (
            "%ASA-6-106102: access-list vpn_in denied tcp for user 'an engineer' outside/192.0.2.7(40000) -> inside/10.7.10.4(502) hit-cnt 3 300-second interval [0x0, 0x0]",
            format!("blocked 6 {ENDS} {both} rule=vpn_in count=3"),
        ),
        (
            "%ASA-session-3-106102: access-list vpn_in permitted tcp for user eng outside/192.0.2.7(40000) -> inside/10.7.10.4(502) hit-cnt 1 first hit [0x0, 0x0]",
            format!("allowed 6 {ENDS} moment=within {both} rule=vpn_in"),
        ),
        (
            "%ASA-3-313001: Denied ICMP type=8, code=0 from 192.0.2.7 on interface outside",
            "blocked 1 192.0.2.7 -> 0.0.0.0 in=outside".to_owned(),
        ),
    ] {
        let line = text.strip_prefix("Nov 22 23:56:51 fw ").unwrap_or(text);
        let heads = [
            (format!("Nov 22 23:56:51 fw {line}"), WHEN),
            (format!("<166>Nov 22 2026 23:56:51: {line}"), WHEN),
            (format!("<166>{line}"), "-"),
        ];
        for (line, at) in heads {
            pairs(LogFormat::Asa, &[(&line, &format!("{at} {expected}"))]);
        }
    }
}

/// Users, names and translated ends in brackets; names of interfaces with blanks, with colons, and like an address of IPv6.
#[test]
fn cisco_asa_with_more_around_the_ends() {
    let itself = "in=outside out=NP Identity Ifc";
    for (line, expected) in [
        (
            r"%ASA-6-302013: Built inbound TCP connection 8 for outside:192.0.2.7/40000(192.0.2.7/40000)(LOCAL\eng) to NP Identity Ifc:10.7.10.4/502 (10.7.10.4/502) (eng)",
            format!("allowed 6 {ENDS} moment=begin {itself}"),
        ),
        (
            r"%ASA-6-302014: Teardown TCP connection 8 for outside:192.0.2.7/40000(LOCAL\eng) to NP Identity Ifc:10.7.10.4/502 duration 0:00:53 bytes 2436 TCP Reset-O (eng)",
            format!("allowed 6 {ENDS} moment=end directed=no {itself} bytes=2436 ms=53000"),
        ),
        (
            r#"%ASA-4-106023: Deny tcp src v1:outside:192.0.2.7/40000(LOCAL\eng) dst v2:inside:10.7.10.4/502(plc.example.org) by access-group "a" [0x0, 0x0]"#,
            format!("blocked 6 {ENDS} in=v1:outside out=v2:inside rule=a"),
        ),
        (
            r#"%ASA-4-106023: Deny protocol 47 src fed:2001:db8::7 dst inside:2001:db8:7::4 by access-group "a""#,
            "blocked 47 2001:db8::7 -> 2001:db8:7::4 in=fed out=inside rule=a".to_owned(),
        ),
    ] {
        pairs(LogFormat::Asa, &[(line, &format!("- {expected}"))]);
    }
}

#[test]
fn cisco_asa_that_cannot_be_read_and_that_is_something_else() {
    let read = read_all(
        "%ASA-5-111008: User 'enable_15' executed the 'write memory' command.\n\
         %ASA-4-106023: Deny tcp src outside:plc-gateway/40000 dst inside:10.7.10.4/502 by access-group \"x\"\n\
         %ASA-2-106001: Inbound TCP connection denied from 192.0.2.7/40000 to 10.7.10.4/502 fl\n\
         %ASA-3-710003: TCP access denied by ACL from 192.0.2.7/40000 to outside:10.7.10.4/ssh\n\
         %ASA-6-302014: Teardown 7 for outside:192.0.2.7/40000 to inside:10.7.10.4/502\n\
         %ASA-6-106102: access-list vpn_in denied tcp for user 'a outside/192.0.2.7(40000) -> inside/10.7.10.4(502) hit-cnt 3\n\
         %ASA-2-106016: Deny IP spoof from () to 10.7.10.4 on interface outside",
    );
    let expected = [
        "unrelated",
        "unreadable: the source is not an address",
        "unreadable: the line is cut off before the interface",
        "unreadable: the destination is not a port",
        "unreadable: the line has no protocol",
        "unreadable: the line is cut off before the end of the user's name",
        "unreadable: the source is not an address",
    ];
    assert_eq!(read, expected);
}

#[test]
fn cisco_ios() {
    pairs(
        LogFormat::Ios,
        &[
            (
                SAMPLES[4],
                "2026-11-22T22:56:51Z allowed 17 192.0.2.7:40000 -> 10.7.10.4:161 in=GigabitEthernet0/0 rule=OT count=5",
            ),
            (
                "000012: *Nov 22 23:56:51.5: %SEC-6-IPACCESSLOGP: list 101 denied tcp 192.0.2.7(40000) -> 10.7.10.4(502), 1 packet",
                "2026-11-22T22:56:51.5Z blocked 6 192.0.2.7:40000 -> 10.7.10.4:502 rule=101",
            ),
            (
                "%SEC-6-IPACCESSLOGDP: list 101 denied icmp 192.0.2.7 -> 10.7.10.4 (8/0), 3 packets",
                "- blocked 1 192.0.2.7 -> 10.7.10.4 rule=101 count=3",
            ),
            (
                "%SEC-6-IPACCESSLOGNP: list 101 permitted 47 192.0.2.7 -> 10.7.10.4, 1 packet",
                "- allowed 47 192.0.2.7 -> 10.7.10.4 rule=101",
            ),
            (
                "%IPV6_ACL-6-ACCESSLOGP: list V6/10 denied tcp 2001:DB8::7(40000) -> 2001:DB8:7::4(502), 2 packets",
                "- blocked 6 [2001:db8::7]:40000 -> [2001:db8:7::4]:502 rule=V6/10 count=2",
            ),
            (
                "%IPV6_ACL-6-ACCESSLOGSP: list V6/40 denied ipv6 2001:DB8::7 -> 2001:DB8:7::4, 6 packets",
                "- blocked - 2001:db8::7 -> 2001:db8:7::4 rule=V6/40 count=6",
            ),
            (
                "%SEC-6-IPACCESSLOGNP: list 1 denied 0 192.0.2.7 -> 10.7.10.4, 1 packet",
                "- blocked - 192.0.2.7 -> 10.7.10.4 rule=1",
            ),
            (
                "%SEC-6-IPACCESSLOGSP: list IN denied igmp 192.0.2.7 -> 224.0.0.2 (20), 2 packets",
                "- blocked 2 192.0.2.7 -> 224.0.0.2 rule=IN count=2",
            ),
            (
                "Nov 22 23:56:51 rtr 88: Nov 22 22:56:50.123: %FMANFP-6-IPACCESSLOGP: R0/0: fman_fp_image: list OT denied tcp 192.0.2.7(40000) -> 10.7.10.4(502), 3 packets",
                "2026-11-22T22:56:51Z blocked 6 192.0.2.7:40000 -> 10.7.10.4:502 rule=OT count=3",
            ),
            (
                "%FMANFP-6-IPACCESSLOGP: F0/0: fman_fp_image: list OT denied tcp 52-54-00-12-34-56 192.0.2.7(40000) TenGigabitEthernet0/1/1-> 10.7.10.4(502), 1 packet",
                "- blocked 6 192.0.2.7:40000 -> 10.7.10.4:502 in=TenGigabitEthernet0/1/1 rule=OT",
            ),
        ],
    );
    let read = read_all(
        "%SEC-6-IPACCESSLOGS: list 1 denied 192.0.2.7 1 packet\n%SEC-6-IPACCESSLOGRL: access-list logging rate-limited or missed 18 packets\n\
         %SEC-6-IPACCESSLOGRL: access-list logging rate-limited\n\
         Nov 22 23:56:51 gw sshd[5]: Invalid user %SEC-6-IPACCESSLOGRL: access-list logging rate-limited or missed 18 packets",
    );
    assert_eq!(
        read[0],
        "unreadable: the line has no destination: a standard list logs none"
    );
    let limited = "Cisco IOS rate-limited or missed packets of access lists";
    assert_eq!(read[1], format!("lost: Some(18), {limited}"));
    assert_eq!(read[2..], [format!("lost: None, {limited}"), "unrelated".into()]);
}

/// `logging host … format emblem`: a colon between the priority and the time. RFC 5424 of an ASA's own has one behind the host.
#[test]
fn cisco_emblem() {
    let text = "%ASA-session-4-106023: Deny tcp src outside:192.0.2.7/40000 dst inside:10.7.10.4/502 by access-group \"a\" [0x0, 0x0]";
    let expected = format!("{WHEN} blocked 6 {ENDS} in=outside out=inside rule=a");
    for head in [
        "<166>:Nov 22 23:56:51: ",
        "<166>:Nov 22 22:56:51 UTC: ",
        "<166>: Nov 22 2026 22:56:51 UTC: ",
        "<166>:2026-11-22T22:56:51Z: ",
        "<166>:2026-11-22T22:56:51Z fw : ",
        "<166>:Nov 22 23:56:51 fw : ",
        "Nov 22 23:56:51 fw :Nov 22 22:56:50 UTC: ",
    ] {
        pairs(LogFormat::Asa, &[(&format!("{head}{text}"), &expected)]);
    }
}

/// `service timestamps log uptime`, with the mark of a clock, a number and the name of the router before it.
#[test]
fn cisco_ios_that_tells_only_how_long_it_was_up() {
    let text = "%SEC-6-IPACCESSLOGP: list 101 denied tcp 192.0.2.7(40000) -> 10.7.10.4(502), 1 packet";
    let prefixes = Prefixes::default();
    for (head, time) in [
        ("6w3d: ", RawTime::Uptime),
        ("*1y2w: ", RawTime::Uptime),
        ("00:12:34: ", RawTime::Uptime),
        ("<189>44: 3d04h: ", RawTime::Uptime),
        ("<189>44: Rtr-1: 6w3d: ", RawTime::Uptime),
        ("<189>44: ", RawTime::None),
        ("", RawTime::None),
    ] {
        let line = format!("{head}{text}");
        pairs(
            LogFormat::Ios,
            &[(&line, &format!("- blocked 6 {ENDS} rule=101"))],
        );
        let Line::Event(event) = LineReader::new(&prefixes, None).read(line.as_bytes(), true) else {
            panic!("{line}");
        };
        assert_eq!((event.time, event.hearsay), (time, false), "{line}");
    }
    let relayed = format!("Nov 22 23:56:51 rtr 88: 6w3d: {text}");
    pairs(
        LogFormat::Ios,
        &[(&relayed, &format!("{WHEN} blocked 6 {ENDS} rule=101"))],
    );
}

//! Windows, Zeek, Suricata, and packets of log groups.

use etherparse::PacketBuilder;
use portcullis_model::LogFormat;

use super::{pairs, read_all, told};
use crate::{Line, LineReader, LoggedPacket, Prefixes, Reason, read_frame, read_packet};

pub(super) const SAMPLES: &[&str] = &[
    "#Fields: date time action protocol src-ip dst-ip src-port dst-port size tcpflags tcpsyn tcpack tcpwin icmptype icmpcode info path",
    "2026-11-22 23:56:51 DROP TCP 192.0.2.7 10.7.10.4 40000 502 60 S 1795388211 0 64240 - - - RECEIVE",
    "#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tservice\tduration\torig_bytes\tresp_bytes\tconn_state",
    "1795388211.500000\tC1\t192.0.2.7\t40000\t10.7.10.4\t502\ttcp\t-\t0.250\t100\t200\tSF",
    r#"{"ts":1795388211.5,"uid":"C1","id.orig_h":"192.0.2.7","id.orig_p":40000,"id.resp_h":"10.7.10.4","id.resp_p":502,"proto":"tcp","duration":0.25,"orig_bytes":100,"resp_bytes":200,"conn_state":"SF","missed_bytes":0}"#,
    r#"{"timestamp":"2026-11-22T23:56:51.500000+0100","flow_id":7,"in_iface":"eth1","event_type":"flow","src_ip":"192.0.2.7","src_port":40000,"dest_ip":"10.7.10.4","dest_port":502,"proto":"TCP","flow":{"pkts_toserver":6,"bytes_toserver":300,"bytes_toclient":200,"start":"2026-11-22T23:56:21.0+0100","age":30,"state":"closed","reason":"timeout","alerted":false},"tcp":{"tcp_flags":"1b","tcp_flags_ts":"1b","tcp_flags_tc":"1b","syn":true}}"#,
    r#"{"timestamp":"2026-11-22T23:56:51.500000+0100","event_type":"alert","src_ip":"192.0.2.7","src_port":40000,"dest_ip":"10.7.10.4","dest_port":502,"proto":"TCP","alert":{"action":"allowed","gid":1,"signature_id":7,"signature":"Modbus \"write\"","category":"x","severity":2},"flow":{"bytes_toserver":300,"bytes_toclient":200}}"#,
];

/// Microsoft, "Configuring Firewall Log Files", and the log in the troubleshooting of Azure Stack Edge.
#[test]
fn windows() {
    let old = format!(
        "#Version: 1.5\r\n#Software: Microsoft Windows Firewall\r\n#Time Format: Local\r\n{}\r\n\r\n{}\r\n\
         2026-11-22 23:56:52 ALLOW UDP 10.7.10.4 192.0.2.7 53000 53 0 - - - - - - - SEND\r\n\
         2026-11-22 23:56:53 DROP ICMP 192.0.2.7 10.7.10.4 - - 60 - - - - 8 0 - RECEIVE\r\n\
         2026-11-22 23:56:54 OPEN-INBOUND TCP 192.0.2.7 10.7.10.4 40000 502 - - - - - - - - -\r\n\
         2026-11-22 23:56:55 CLOSE TCP 192.0.2.7 10.7.10.4 40000 502 - - - - - - - - -\r\n\
         2026-11-22 23:56:56 INFO-EVENTS-LOST - - - - - - - - - - - - 7 -\r\n\
         2026-11-22 23:56:57 DROP TCP 192.0.2.7 10.7.10.4 40000",
        SAMPLES[0], SAMPLES[1]
    );
    let read = read_all(&old);
    let ends = "192.0.2.7:40000 -> 10.7.10.4:502";
    let expected = [
        "unrelated".into(),
        "unrelated".into(),
        "unrelated".into(),
        "unrelated".into(),
        "unrelated".into(),
        format!("windows 2026-11-22T22:56:51Z blocked 6 {ends} flags=SYN in=RECEIVE bytes=60"),
        "windows 2026-11-22T22:56:52Z allowed 17 10.7.10.4:53000 -> 192.0.2.7:53 in=SEND bytes=0".into(),
        "windows 2026-11-22T22:56:53Z blocked 1 192.0.2.7 -> 10.7.10.4 in=RECEIVE bytes=60".into(),
        format!("windows 2026-11-22T22:56:54Z allowed 6 {ends} moment=begin"),
        format!("windows 2026-11-22T22:56:55Z allowed 6 {ends} moment=end"),
        "lost: Some(7), the firewall of Windows lost events".into(),
        "unreadable: the line is cut off before dst-port".into(),
    ];
    assert_eq!(read, expected);
    // Columns in another order, and the process id of newer builds.
    let new = "#Fields: date time action protocol dst-ip src-ip src-port dst-port path pid\n\
               2026-11-22 23:56:51 DROP TCP 10.7.10.4 192.0.2.7 40000 502 RECEIVE 4";
    assert_eq!(
        read_all(new)[1],
        format!("windows 2026-11-22T22:56:51Z blocked 6 {ends} in=RECEIVE")
    );
    assert_eq!(
        read_all(SAMPLES[1]),
        ["unreadable: the line that names the columns is missing"]
    );
}

/// Zeek documentation, `base/protocols/conn/main.zeek`.
#[test]
fn zeek() {
    let expected =
        "2026-11-22T22:56:51.5Z allowed 6 192.0.2.7:40000 -> 10.7.10.4:502 moment=end bytes=300 ms=250";
    let read = read_all(&format!(
        "#separator \\x09\n{}\n#types\ttime\n{}\n{}\n#close\t2026-11-22-23-59-59",
        SAMPLES[2],
        SAMPLES[3],
        SAMPLES[3]
            .replace("\tSF", "\tS0")
            .replace("\t0.250\t100\t200", "\t-\t-\t-"),
    ));
    let attempt = "zeek-tsv 2026-11-22T22:56:51.5Z unknown 6 192.0.2.7:40000 -> 10.7.10.4:502 moment=end";
    assert_eq!(read[3..5], [format!("zeek-tsv {expected}"), attempt.into()]);
    assert_eq!((read[2].as_str(), read[5].as_str()), ("unrelated", "unrelated"));
    let iso = SAMPLES[4].replace("1795388211.5", "\"2026-11-22T22:56:51.500000Z\"");
    let ping = r#"{"ts":1795388211.5,"id.orig_h":"2001:db8::7","id.orig_p":128,"id.resp_h":"2001:db8:7::4","id.resp_p":129,"proto":"icmp","conn_state":"OTH"}"#;
    let refused = SAMPLES[4].replace("\"SF\"", "\"REJ\"");
    pairs(
        LogFormat::ZeekJson,
        &[
            (SAMPLES[4], expected),
            (&iso, expected),
            (&refused, &expected.replace("allowed", "unknown")),
            (
                ping,
                "2026-11-22T22:56:51.5Z unknown 58 2001:db8::7 -> 2001:db8:7::4 moment=end",
            ),
        ],
    );
    assert_eq!(
        read_all(&SAMPLES[4].replace("40000", "4000000")),
        ["unreadable: the line is no JSON object of this format"]
    );
}

/// Other logs of Zeek have the same ends in their lines.
#[test]
fn only_conn_of_zeek_is_a_log_of_connections() {
    let ssh = "#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tversion";
    let of_ssh = "1795388211.5\tC1\t192.0.2.7\t40000\t10.7.10.4\t22\t2";
    let [conn, of_conn] = [SAMPLES[2], SAMPLES[3]];
    let counts = |log: &str| {
        let read = read_all(log);
        let last = read.last().unwrap();
        assert!(!last.starts_with("unreadable"), "{log}: {last}");
        last.starts_with("zeek-tsv")
    };
    for (log, expected) in [
        (format!("#path\tconn\n#open\t2026\n{conn}\n{of_conn}"), true),
        (format!("#path\tssh\n#open\t2026\n{ssh}\n{of_ssh}"), false),
        (format!("#path\tother\r\n{conn}\n{of_conn}"), false),
        (format!("{ssh}\n{of_ssh}"), false),
        (format!("{conn}\n{of_conn}\n#path\tssh\n{ssh}\n{of_ssh}"), false),
        (format!("{conn}\n{of_conn}\n{ssh}\n{of_ssh}"), false),
        (
            format!("#path\tssh\n{ssh}\n{of_ssh}\n#path\tconn\n{conn}\n{of_conn}"),
            true,
        ),
        (format!("#path\tssh\n{ssh}\n{of_ssh}\n{conn}\n{of_conn}"), true),
    ] {
        assert_eq!(counts(&log), expected, "{log}");
    }
}

/// Suricata documentation, "Eve JSON Format".
#[test]
fn suricata() {
    let flow = "2026-11-22T22:56:51.5Z allowed 6 192.0.2.7:40000 -> 10.7.10.4:502 moment=end flags=ACK PSH SYN FIN in=eth1 bytes=500 ms=30000";
    let unanswered = SAMPLES[5].replace("\"tcp_flags_tc\":\"1b\"", "\"tcp_flags_tc\":\"04\"");
    let dropped = unanswered.replace("\"alerted\":false", "\"action\":\"drop\"");
    let alert = "2026-11-22T22:56:51.5Z unknown 6 192.0.2.7:40000 -> 10.7.10.4:502 moment=within rule=Modbus \"write\"";
    let blocked = SAMPLES[6].replace("\"allowed\"", "\"blocked\"");
    // What became of the packet after all rules; and who sent it is not who began.
    let stopped = SAMPLES[6].replace(
        "\"event_type\"",
        "\"verdict\":{\"action\":\"drop\"},\"event_type\"",
    );
    let answer = r#"{"timestamp":"2026-11-22T23:56:51.500000+0100","event_type":"alert","src_ip":"10.7.10.4","src_port":502,"dest_ip":"192.0.2.7","dest_port":40000,"proto":"TCP","alert":{"action":"allowed","signature":"Modbus \"write\""},"direction":"to_client"}"#;
    let relayed = format!("Nov 22 23:56:51 ids suricata[7]: {}", SAMPLES[5]);
    pairs(
        LogFormat::Suricata,
        &[
            (SAMPLES[5], flow),
            (&relayed, flow),
            (&unanswered, &flow.replace("allowed", "unknown")),
            (&dropped, &flow.replace("allowed", "blocked")),
            (SAMPLES[6], alert),
            (&blocked, &alert.replace("unknown", "blocked")),
            (&stopped, &alert.replace("unknown", "blocked")),
            (answer, alert),
        ],
    );
    let read = read_all(&format!(
        "{}\n{}",
        SAMPLES[5].replace("\"event_type\":\"flow\"", "\"event_type\":\"dns\""),
        SAMPLES[5].split_once("\"proto\"").unwrap().0
    ));
    assert_eq!(
        read,
        [
            "unrelated",
            "unreadable: the line is no JSON object of this format"
        ]
    );
}

fn tcp() -> Vec<u8> {
    let mut bytes = Vec::new();
    PacketBuilder::ipv4([192, 0, 2, 7], [10, 7, 10, 4], 64)
        .tcp(40000, 502, 1, 64240)
        .syn()
        .write(&mut bytes, &[])
        .unwrap();
    bytes
}

/// A frame of link type 239: family, version, group, then values with length and kind.
fn frame(order: fn(u16) -> [u8; 2], prefix: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 5];
    for (kind, value) in [
        (1, &[8, 0, 1, 0][..]),
        (10, prefix),
        (4, &[0, 0, 0, 3]),
        (9, payload),
    ] {
        frame.extend(order(4 + u16::try_from(value.len()).unwrap()));
        frame.extend(order(kind));
        frame.extend(value);
        frame.resize(frame.len().next_multiple_of(4), 0);
    }
    frame
}

#[test]
fn frames_of_a_log_group_are_read_in_both_byte_orders() {
    for order in [u16::to_le_bytes, u16::to_be_bytes] {
        let frame = frame(order, b"portcullis-drop \0", &tcp());
        let Line::Event(event) = read_frame(&frame, Some(1_795_388_211_500_000), &Prefixes::default()) else {
            panic!("{frame:?}")
        };
        let expected = "2026-11-22T22:56:51.5Z blocked 6 192.0.2.7:40000 -> 10.7.10.4:502 flags=SYN in=#3 rule=portcullis-drop bytes=40";
        assert_eq!(told(&event), expected);
    }
    for broken in [
        &b""[..],
        &[2, 0, 0, 5],
        &[2, 0, 0, 5, 3, 0, 9, 0],
        &[2, 0, 0, 5, 255, 255, 9, 0, 1],
    ] {
        assert_eq!(
            read_frame(broken, None, &Prefixes::default()),
            Line::Unreadable(Reason::NotIp)
        );
    }
}

#[test]
fn four_bytes_of_the_transport_header_are_enough_and_three_are_not() {
    let ports = |length: usize| {
        let packet = tcp();
        let logged = LoggedPacket {
            payload: &packet[..length],
            ..LoggedPacket::default()
        };
        match read_packet(&logged, &Prefixes::default()) {
            Line::Event(event) => (event.source_port, event.destination_port, event.flags.is_some()),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(ports(40), (Some(40000), Some(502), true));
    assert_eq!(ports(24), (Some(40000), Some(502), false));
    assert_eq!(ports(23), (None, None, false));
}

#[test]
fn a_later_fragment_has_no_ports() {
    let mut packet = tcp();
    packet[7] = 185;
    let logged = LoggedPacket {
        payload: &packet,
        ..LoggedPacket::default()
    };
    let Line::Event(event) = read_packet(&logged, &Prefixes::default()) else {
        panic!()
    };
    assert_eq!((event.protocol, event.destination_port), (Some(6), None));
}

/// What the journal says of itself has a transport that nobody else may use; the kernel's own limit is a message of the kernel.
#[test]
fn a_journal_that_says_that_messages_are_missing() {
    let entry = |transport: &str, program: &str, message: &str| {
        [
            format!(
                r#"{{"__REALTIME_TIMESTAMP":"1","_TRANSPORT":"{transport}","SYSLOG_IDENTIFIER":"{program}","MESSAGE":"{message}"}}"#
            ),
            format!("__CURSOR=s\n_TRANSPORT={transport}\nSYSLOG_IDENTIFIER={program}\nMESSAGE={message}"),
        ]
    };
    let missed = "Missed 8 kernel messages";
    for (transport, program, message, expected) in [
        ("driver", "systemd-journald", missed, Some(8)),
        ("syslog", "systemd-journald", missed, None),
        ("driver", "other", missed, None),
        (
            "kernel",
            "kernel",
            "net_ratelimit: 34 callbacks suppressed",
            Some(34),
        ),
        ("syslog", "sshd", "net_ratelimit: 34 callbacks suppressed", None),
    ] {
        let [json, export] = entry(transport, program, message);
        for (text, format) in [(json, LogFormat::JournalJson), (export, LogFormat::JournalExport)] {
            let prefixes = Prefixes::default();
            let read = LineReader::new(&prefixes, Some(format)).read(text.as_bytes(), true);
            let count = match read {
                Line::Lost(lost) => lost.count,
                _ => None,
            };
            assert_eq!(count, expected, "{text}");
        }
    }
}

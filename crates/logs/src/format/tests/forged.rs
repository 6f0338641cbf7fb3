//! Lines of which somebody else chose a part: nothing in that part proves anything.

use super::*;

const ASA: &str = "%ASA-6-302013: Built inbound TCP connection 1 for outside:192.0.2.7/4000 (192.0.2.7/4000) to inside:10.0.0.5/22 (198.51.100.5/22)";
const IOS: &str = "%SEC-6-IPACCESSLOGP: list 101 permitted tcp 192.0.2.26(1) -> 198.51.100.5(22), 1 packet";
const LOST: &str = "%SEC-6-IPACCESSLOGRL: access-list logging rate-limited or missed 18 packets";
const JUNOS: &str = "RT_FLOW: RT_FLOW_SESSION_CREATE: session created 192.0.2.7/40000->10.7.10.4/502 None 192.0.2.7/40000->10.7.10.4/502 None None 6 ot-in untrust ot 30 N/A(N/A) ge-0/0/0.0";
const FILTERLOG: &str = "filterlog[7]: 5,,,1000000103,em0,match,pass,in,4,0x0,,63,8698,0,DF,6,tcp,60,192.0.2.7,10.7.10.4,40000,502,0,S,1,,64240,,mss";
const PALO_ALTO: &str = "1,2026/11/22 23:56:51,0011,TRAFFIC,end,2561,2026/11/22 23:56:50,192.0.2.7,10.7.10.4,0.0.0.0,0.0.0.0,r,,,modbus,vsys1,untrust,ot,ethernet1/1,ethernet1/2,log,2026/11/22 23:56:51,1234,2,40000,502,0,0,0x19,tcp,allow,1234,600,634,10,2026/11/22 23:56:20,30";
const FORTIGATE: &str = "date=2026-11-22 time=23:56:51 type=\"traffic\" srcip=192.0.2.7 srcport=1 dstip=10.7.10.4 dstport=22 proto=6 action=\"accept\"";
const MIKROTIK: &str = "firewall,info portcullis-drop input: in:ether1 out:(unknown 0), proto TCP (SYN), 192.0.2.7:40000->10.7.10.4:502, len 60";
const EVE: &str = r#"{"timestamp":"2026-11-29T10:00:10.1+0000","event_type":"drop","src_ip":"192.0.2.7","src_port":1,"dest_ip":"10.7.10.4","dest_port":22,"proto":"TCP"}"#;
const UFW: &str = "[UFW ALLOW] IN=eth0 OUT= SRC=192.0.2.7 DST=10.7.10.4 LEN=60 PROTO=TCP SPT=1 DPT=22 SYN";
const ALL: [&str; 8] = [ASA, IOS, JUNOS, FILTERLOG, PALO_ALTO, FORTIGATE, MIKROTIK, EVE];

/// Whether a line proves a verdict or a loss, for a reader that met the other lines before.
fn proves(before: &[&str], line: &str) -> bool {
    let prefixes = Prefixes::default();
    let mut reader = LineReader::new(&prefixes, None);
    for line in before {
        reader.read(line.as_bytes(), true);
    }
    match reader.read(line.as_bytes(), true) {
        Line::Event(event) => event.verdict != Verdict::Unknown,
        Line::Lost(_) => true,
        Line::Unrelated | Line::Unreadable(_) => false,
    }
}

fn prove_nothing(lines: &[String]) {
    for line in lines {
        assert!(!proves(&[], line), "{line}");
        for last in ALL {
            assert!(!proves(&[last], line), "behind {last}: {line}");
        }
    }
}

#[test]
fn the_firewall_s_own_lines_prove_behind_the_heads_that_are_written() {
    for message in ALL.into_iter().chain([LOST, UFW]) {
        assert!(proves(&[], message), "{message}");
    }
    for head in [
        "",
        " ",
        "<166>",
        "<166>:",
        "<166>: ",
        "<166>Nov 22 2026 23:56:51: ",
        "<166>Nov 22 2026 23:56:51 fw : ",
        "<166>:Nov 22 23:56:51 UTC: ",
        "Nov 22 23:56:51 fw ",
        "Nov 22 23:56:51 fw : ",
        "Nov 22 23:56:51 10.0.0.1 Nov 22 2026 23:56:50 fw : ",
        "Nov 22 23:56:51 fw 2026-11-22T23:56:50Z fw ",
        "Nov 22 23:56:51 2001:db8::1 ",
        "2026-11-22T23:56:51.123+01:00 fw ",
        "2026-11-22 23:56:51 10.0.0.1: ",
        "2026-11-22 23:56:51\tLocal4.Info\t10.0.0.1\t",
        "<189>132: Nov 30 10:00:10.123: ",
        "<189>132: rtr: *Nov 30 10:00:10.123 CEST: ",
        "<189>132: 1w2d: ",
        "000012: *Nov 22 23:56:51.5: ",
        "132: 00:12:34: ",
        "Nov 22 23:56:51 rtr 88: .Nov 22 22:56:50.123: ",
        "<189>1 2026-11-22T23:56:51Z fw - - - ",
        "<189>1 2026-11-22T23:56:51Z fw - - - [meta sequenceId=\"1\"] : ",
        "<189>1 2026-11-22T23:56:51Z rtr 88 - - *Nov 22 22:56:50.123: ",
    ] {
        for message in [ASA, IOS, LOST] {
            let line = format!("{head}{message}");
            assert!(proves(&[], &line), "{line}");
        }
    }
    for line in [
        format!("<14>1 2026-11-22T23:56:51Z pa - - - - {PALO_ALTO}"),
        format!("<14>Nov 22 23:56:51 pa {PALO_ALTO}"),
        format!("<134>1 2026-11-22T23:56:51Z ids suricata 7 - - {EVE}"),
        format!("<134>Nov 22 23:56:51 suricata[7]: {EVE}"),
        format!("Nov 22 23:56:51 ids {EVE}"),
        format!("<30>Nov 22 23:56:51 mt {MIKROTIK}"),
    ] {
        assert!(proves(&[], &line), "{line}");
    }
}

#[test]
fn what_a_program_of_rfc_5424_was_told_proves_nothing() {
    let lines: Vec<_> = ALL
        .into_iter()
        .chain([LOST])
        .flat_map(|message| {
            [
                format!("<38>1 2026-11-30T10:00:00Z web sshd 5 - - Invalid user {message}"),
                format!("<38>1 2026-11-30T10:00:00Z web httpd 5 - - {message}"),
                format!("<38>1 2026-11-30T10:00:00Z web httpd - - [x y=\"z\"] {message}"),
                format!("2026-11-30T10:00:00Z web httpd 5 - - {message}"),
                format!("<38>1 2026-11-30T10:00:00Z web httpd - - [x y=\"{message}\"] z"),
            ]
        })
        .collect();
    prove_nothing(&lines);
}

#[test]
fn only_the_first_message_of_a_router_counts() {
    prove_nothing(&[ASA, IOS, LOST].map(|message| {
        format!(
            "<190>132: Nov 30 10:00:10.123: %SEC_LOGIN-4-LOGIN_FAILED: Login failed [user: {message}] [Source: 1.1.1.1]"
        )
    }));
    prove_nothing(&[ASA, IOS, LOST].map(|message| {
        format!("Nov 22 23:56:51 fw %ASA-6-113015: AAA user authentication Rejected : user = {message}")
    }));
}

#[test]
fn a_record_within_a_field_of_another_is_none() {
    for line in [
        format!(
            "Nov 22 23:56:51 pa 1,2026/11/22 23:56:51,0011,SYSTEM,auth,2561,2026/11/22 23:56:50,,auth-fail,,0,0,general,medium,\"failed authentication for user '{PALO_ALTO}'\""
        ),
        format!(
            "1,2026/11/22 23:56:51,0011,THREAT,url,2561,2026/11/22 23:56:50,192.0.2.7,10.7.10.4,\"example.org/{PALO_ALTO}\""
        ),
        "1,2026/11/22 23:56:51,0011,THREAT,url,x,TRAFFIC,end,y".to_owned(),
        "Nov 22 23:56:51 web GET /a,TRAFFIC,b".to_owned(),
    ] {
        assert_eq!(read_all(&line), ["unrelated"], "{line}");
        assert_eq!(
            read_bytes(line.as_bytes(), Some(LogFormat::PaloAlto)),
            ["unrelated"],
            "{line}"
        );
    }
}

#[test]
fn what_stands_behind_anything_but_a_head_proves_nothing() {
    for message in ALL.into_iter().chain([LOST]) {
        prove_nothing(&[
            format!("1.2.3.4 - - [30/Nov/2026:10:00:10 +0000] \"GET /x\" 404 0 \"-\" \"{message}\""),
            format!("1.2.3.4 - - {message}"),
            format!("2026-11-30 10:00:10,123 ERROR x - user {message}"),
            format!("2026-11-30 10:00:10,123 ERROR {message}"),
            format!("2026-11-30 10:00:10 ERROR: {message}"),
            format!("2026-11-30 10:00:10 INFO: {message}"),
            format!("2026-11-30 10:00:10 CRIT: {message}"),
            format!("Nov 30 10:00:10 web app.info {message}"),
            format!("Nov 30 10:00:10 web 42: user: {message}"),
            format!("Nov 30 10:00:10 web 1.2.3.4: {message}"),
            format!("1.2.3.4: {message}"),
            format!("2026/11/30 10:00:10 [error] 5#5: *1 user {message}"),
            format!("{{\"message\":\"user {message}\"}}"),
            format!("user {message}"),
            format!("<38>user {message}"),
            format!("Nov 30 10:00:10 web nginx 1.2.3.4 {message}"),
            format!("Nov 30 10:00:10 web nginx : {message}"),
            format!("Nov 30 10:00:10 web python3: {message}"),
            format!("Nov 30 10:00:10 web kernel: {message}"),
            format!("Nov 30 10:00:10 web_{message}"),
            format!("date=2026-11-30 time=10:00:10 type=\"event\" user=\"{message}\" action=\"login\""),
            format!("1764496810.1\tCx\t192.0.2.7\t4000\t10.7.10.4\t80\t1\tGET\tx\t/\t-\t1.1\t{message}"),
        ]);
    }
    for line in [
        format!("Nov 22 23:56:51 pf filterlogger: {}", &FILTERLOG[14..]),
        format!(
            "Nov 22 23:56:51 filterlog sshd[5]: Invalid user {}",
            &FILTERLOG[14..]
        ),
        format!("Nov 22 23:56:51 srx RT_FLOW: OTHER: {}", &JUNOS[9..]),
        format!("Nov 22 23:56:51 suricata: {{Invalid user {EVE}"),
    ] {
        prove_nothing(&[line]);
    }
}

#[test]
fn a_line_that_is_indented_proves_nothing() {
    for message in ALL.into_iter().chain([LOST, UFW]) {
        for head in ["", "Nov 22 23:56:51 gw ", "<4>Nov 22 23:56:51 gw kernel: "] {
            prove_nothing(
                &["     ", "  ", "\t", " \t", "* ", ". . "].map(|indent| format!("{indent}{head}{message}")),
            );
        }
    }
    prove_nothing(&["     kernel: net_ratelimit: 34 callbacks suppressed".to_owned()]);
    // The head is known from the line before.
    let line = format!("Nov 22 23:56:51 gw kernel: {UFW}");
    assert!(proves(&[&line], &line));
    assert!(!proves(&[&line], &format!("  {line}")));
}

#[test]
fn neither_a_level_nor_a_tag_is_a_host_before_a_prefix_of_the_kernel() {
    for before in ["", "gw ", "gw kernel: ", "kernel: ", "kern.warn kernel: [ 12.5] "] {
        let line = format!("Nov 22 23:56:51 {before}{UFW}");
        assert!(proves(&[], &line), "{line}");
    }
    prove_nothing(
        &[
            "2026-11-30 10:00:10,123 ERROR ",
            "2026-11-30 10:00:10 INFO: ",
            "Nov 30 10:00:10 sshd[5]: ",
            "Nov 30 10:00:10 sshd[5]: kernel: ",
            "Nov 30 10:00:10 sshd: kernel: ",
            "Nov 30 10:00:10 web sshd[5]: ",
        ]
        .map(|before| format!("{before}{UFW}")),
    );
}

/// Who can put a sign into a line cannot hide what the firewall says in it.
#[test]
fn a_line_that_quotes_another_format_is_still_one_of_its_own() {
    let line = format!("{FORTIGATE} user=\"{ASA}\"");
    assert!(proves(&[ASA], &line));
    let prefixes = Prefixes::default();
    let mut reader = LineReader::new(&prefixes, None);
    reader.read(ASA.as_bytes(), true);
    let Line::Event(event) = reader.read(line.as_bytes(), true) else {
        panic!("{line}");
    };
    assert_eq!(event.format, LogFormat::Fortigate);
}

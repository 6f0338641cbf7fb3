//! Lines of other makers' firewalls, with addresses of ours, typed after what the head of each format's file names.

use portcullis_model::LogFormat;

use super::{pairs, read_all};

pub(super) const SAMPLES: &[&str] = &[
    "Nov 22 23:56:51 fw %ASA-2-106001: Inbound TCP connection denied from 192.0.2.7/40000 to 10.7.10.4/502 flags SYN  on interface outside",
    "Nov 22 23:56:51 fw %ASA-4-106023: Deny tcp src outside:192.0.2.7/40000 dst inside:10.7.10.4/502 by access-group \"outside_in\" [0x0, 0x0]",
    "Nov 22 23:56:51 fw %ASA-6-106100: access-list outside_in denied tcp outside/192.0.2.7(40000) -> inside/10.7.10.4(502) hit-cnt 21 300-second interval [0x0, 0x0]",
    "Nov 22 23:56:51 fw %ASA-6-302014: Teardown TCP connection 77 for outside:192.0.2.7/40000 to inside:10.7.10.4/502 duration 0:00:30 bytes 1234 TCP FINs",
    "Nov 22 23:56:51 rtr 88: *Nov 22 22:56:50.123: %SEC-6-IPACCESSLOGP: list OT permitted udp 192.0.2.7(40000) (GigabitEthernet0/0 aabb.cc00.0100) -> 10.7.10.4(161), 5 packets",
    "<189>date=2026-11-22 time=23:56:51 devname=\"fg\" devid=\"FG1\" eventtime=1795388211500000000 tz=\"+0100\" logid=\"0000000013\" type=\"traffic\" subtype=\"forward\" level=\"notice\" vd=\"root\" srcip=192.0.2.7 srcport=40000 srcintf=\"wan1\" srcintfrole=\"wan\" dstip=10.7.10.4 dstport=502 dstintf=\"ot\" proto=6 action=\"deny\" policyid=0 policytype=\"policy\" service=\"Modbus\" duration=0 sentbyte=0 rcvdbyte=0",
    "Nov 22 23:56:51 pa 1,2026/11/22 23:56:51,0011,TRAFFIC,end,2561,2026/11/22 23:56:50,192.0.2.7,10.7.10.4,0.0.0.0,0.0.0.0,\"rule, 1\",,,modbus,vsys1,untrust,ot,ethernet1/1,ethernet1/2,log,2026/11/22 23:56:51,1234,2,40000,502,0,0,0x19,tcp,allow,4096,2048,2048,12,2026/11/22 23:56:20,30,any,0,1,0x0,a,b,0,6,6,tcp-fin",
    "Nov 22 23:56:51 pf filterlog[7]: 5,,,1000000103,em0,match,block,in,4,0x0,,63,8698,0,DF,6,tcp,60,192.0.2.7,10.7.10.4,40000,502,0,S,1,,64240,,mss",
    "<14>1 2026-11-22T23:56:51.5+01:00 srx RT_FLOW - RT_FLOW_SESSION_CLOSE [junos@2636.1.1.1.2.40 reason=\"TCP FIN\" source-address=\"192.0.2.7\" source-port=\"40000\" destination-address=\"10.7.10.4\" destination-port=\"502\" service-name=\"None\" protocol-id=\"6\" policy-name=\"ot-in\" source-zone-name=\"untrust\" destination-zone-name=\"ot\" session-id-32=\"7\" packets-from-client=\"6\" bytes-from-client=\"300\" packets-from-server=\"5\" bytes-from-server=\"200\" elapsed-time=\"30\"]",
    "Nov 22 23:56:51 srx RT_FLOW: RT_FLOW_SESSION_DENY: session denied 192.0.2.7/40000->10.7.10.4/502 None 6(0) ot-deny untrust ot UNKNOWN UNKNOWN N/A(N/A) ge-0/0/0.0",
    "Nov 22 23:56:51 mt firewall,info OTGUARD forward: in:ether1 out:bridge, src-mac 52:54:00:12:34:56, proto TCP (SYN), 192.0.2.7:40000->10.7.10.4:502, len 60",
];

const ENDS: &str = "192.0.2.7:40000 -> 10.7.10.4:502";
const WHEN: &str = "2026-11-22T22:56:51Z";

/// "FortiOS Log Message Reference", traffic log.
#[test]
fn fortigate() {
    let denied = SAMPLES[5];
    let event = |verdict: &str, moment: &str, end: &str| {
        format!("2026-11-22T22:56:51.5Z {verdict} 6 {ENDS}{moment} in=wan1 out=ot rule=0{end}")
    };
    let none = " bytes=0 ms=0";
    let old = denied
        .replace("eventtime=1795388211500000000 ", "")
        .replace('"', "");
    let old_event = event("blocked", "", none).replace("51.5Z", "51Z");
    pairs(
        LogFormat::Fortigate,
        &[
            (denied, &event("blocked", "", none)),
            (&old, &old_event),
            (
                &denied.replace("\"deny\"", "\"start\""),
                &event("allowed", " moment=begin", none),
            ),
            (
                &denied.replace("\"deny\"", "\"server-rst\""),
                &event("allowed", " moment=end", none),
            ),
            (
                &denied.replace("\"deny\"", "\"ip-conn\""),
                &event("unknown", " moment=end", none),
            ),
            (
                &denied.replace("\"deny\"", "\"close\" utmaction=\"block\""),
                &event("unknown", " moment=end", none),
            ),
            (
                &denied.replace("\"deny\"", "\"close\" utmaction=\"allow\""),
                &event("allowed", " moment=end", none),
            ),
            (
                &denied
                    .replace("forward", "sniffer")
                    .replace("\"deny\"", "\"accept\""),
                &event("unknown", " moment=end", none),
            ),
        ],
    );
    let goes_on = denied
        .replace("0000000013", "0000000020")
        .replace("\"deny\"", "\"accept\"");
    let within = event("allowed", " moment=within", " count=0 bytes=0 ms=0");
    pairs(LogFormat::Fortigate, &[(&goes_on, &within)]);
    // A name that somebody chose may end its quotes.
    let forged =
        |more: &str| denied.replace("action=\"deny\"", &format!("action=\"deny\" user=\"a\" {more}"));
    pairs(
        LogFormat::Fortigate,
        &[
            (
                &forged("action=\"accept\" srcip=9.9.9.9"),
                &event("unknown", "", none),
            ),
            (&forged("subtype=\"local\""), &event("unknown", "", none)),
            (&forged("action=\"deny\""), &event("blocked", "", none)),
            (&forged("x>action=\"accept\""), &event("blocked", "", none)),
        ],
    );
    let other = denied.replace("type=\"traffic\"", "type=\"event\" user=\"x\" type=\"traffic\"");
    assert_eq!(read_all(&other), ["unrelated"]);
    // With commas, as `set csv enable` has it; one that stands in a quoted value ends nothing.
    let commas = denied
        .replace(' ', ",")
        .replace("devname=\"fg\"", "devname=\"a, type=b\"");
    let bare = commas
        .replace("devname=\"a, type=b\"", "devname=fg")
        .replace('"', "");
    pairs(
        LogFormat::Fortigate,
        &[
            (&commas, &event("blocked", "", none)),
            (&bare, &event("blocked", "", none)),
            (
                &commas.replace("\"deny\"", "\"start\""),
                &event("allowed", " moment=begin", none),
            ),
        ],
    );
    let others = read_all(&format!(
        "{}\n{}\n{}",
        denied.replace("type=\"traffic\"", "type=\"event\""),
        denied.replace("srcip=192.0.2.7", "srcip=192.0.2"),
        denied.split_once(" dstip").unwrap().0,
    ));
    assert_eq!(
        others,
        [
            "unrelated",
            "unreadable: srcip is not an address",
            "unreadable: the line has no dstip"
        ]
    );
}

/// "PAN-OS Administrator's Guide", Syslog Field Descriptions, Traffic Log Fields.
#[test]
fn palo_alto() {
    let end = SAMPLES[6];
    let event = |verdict: &str, moment: &str| {
        format!(
            "2026-11-22T22:56:50Z {verdict} 6 {ENDS}{moment} in=untrust out=ot rule=rule, 1 count=2 bytes=4096 ms=30000"
        )
    };
    pairs(
        LogFormat::PaloAlto,
        &[
            (end, &event("allowed", " moment=end")),
            (
                &end.replace(",end,", ",start,"),
                &event("allowed", " moment=begin"),
            ),
            (
                &end.replace(",end,", ",drop,").replace(",allow,", ",drop,"),
                &event("blocked", ""),
            ),
            (
                &end.replace(",end,", ",deny,").replace(",allow,", ",reset-both,"),
                &event("blocked", ""),
            ),
        ],
    );
    // All fields in quotes, as files that are exported may have them.
    let (head, record) = end.split_at("Nov 22 23:56:51 pa ".len());
    let fields = record.replace("\"rule, 1\"", "rule; 1");
    let quoted = format!(
        "\"{}\"",
        fields.replace(',', "\",\"").replace("rule; 1", "rule, 1")
    );
    pairs(
        LogFormat::PaloAlto,
        &[
            (&quoted, &event("allowed", " moment=end")),
            (&format!("{head}{quoted}"), &event("allowed", " moment=end")),
        ],
    );
    let told = read_all(&format!("Nov 22 23:56:51 gw sshd[5]: Invalid user {quoted}"));
    assert!(!told[0].contains("allowed"), "{told:?}");
    let other = read_all(&quoted.replace("\"1\",\"2026", "\"x 1\",\"2026"));
    assert!(other[0].contains("unknown"), "{other:?}");
    let read = read_all(&format!(
        "{}\n{}",
        end.replace(",TRAFFIC,", ",THREAT,"),
        end.split_once(",tcp,").unwrap().0
    ));
    assert_eq!(
        read,
        ["unrelated", "unreadable: the line is cut off before the action"]
    );
}

/// "Raw Filter Log Format" of the pfSense documentation.
#[test]
fn filterlog() {
    pairs(
        LogFormat::Filterlog,
        &[
            (
                SAMPLES[7],
                "2026-11-22T22:56:51Z blocked 6 192.0.2.7:40000 -> 10.7.10.4:502 flags=SYN in=em0 rule=1000000103 bytes=60",
            ),
            (
                "<134>1 2026-11-22T23:56:51+01:00 opn filterlog 7 - [meta sequenceId=\"1\"] 12,,,0,igb1,match,pass,out,4,0x0,,64,1,0,none,17,udp,78,192.0.2.7,10.7.10.4,40000,161,58",
                "2026-11-22T22:56:51Z allowed 17 192.0.2.7:40000 -> 10.7.10.4:161 out=igb1 rule=12 bytes=78",
            ),
            (
                "Nov 22 23:56:51 filterlog: 5,,,1,em0,match,block,in,6,0x00,0x12345,63,TCP,6,40,2001:db8::7,2001:db8:7::4,40000,502,0,SEC,1,,64240,,",
                "2026-11-22T22:56:51Z blocked 6 [2001:db8::7]:40000 -> [2001:db8:7::4]:502 flags=CWR ECE SYN in=em0 rule=1 bytes=40",
            ),
            (
                "Nov 22 23:56:51 pf filterlog: 5,,,1,em0,match,reject,in,4,0x0,,63,1,0,none,1,icmp,84,192.0.2.7,10.7.10.4,request,1,1",
                "2026-11-22T22:56:51Z blocked 1 192.0.2.7 -> 10.7.10.4 in=em0 rule=1 bytes=84",
            ),
            (
                "Nov 22 23:56:51 pf filterlog: 5,,,1,em0,match,block,in,4,0x0,,63,1,185,none,17,udp,84,192.0.2.7,10.7.10.4",
                "2026-11-22T22:56:51Z blocked 17 192.0.2.7 -> 10.7.10.4 in=em0 rule=1 bytes=84",
            ),
        ],
    );
    let cut = SAMPLES[7].split_once(",502").unwrap().0;
    assert_eq!(
        read_all(cut),
        ["unreadable: the line is cut off before the destination port"]
    );
}

/// The rules of translation, or a service, may be called by a number.
#[test]
fn junos() {
    let closed = "2026-11-22T22:56:51.5Z allowed 6 192.0.2.7:40000 -> 10.7.10.4:502 moment=end in=untrust out=ot rule=ot-in bytes=500 ms=30000";
    let plain = |verdict: &str, moment: &str, rule: &str| {
        format!("{WHEN} {verdict} 6 {ENDS}{moment} in=untrust out=ot rule={rule}")
    };
    pairs(
        LogFormat::Junos,
        &[
            (SAMPLES[8], closed),
            (SAMPLES[9], &plain("blocked", "", "ot-deny")),
            (
                "Nov 22 23:56:51 srx RT_FLOW: RT_FLOW_SESSION_CREATE: session created 192.0.2.7/40000->10.7.10.4/502 None 192.0.2.7/40000->10.7.10.4/502 None None 6 ot-in untrust ot 30 N/A(N/A) ge-0/0/0.0",
                &plain("allowed", " moment=begin", "ot-in"),
            ),
            (
                "Nov 22 23:56:51 srx RT_FLOW: RT_FLOW_SESSION_CREATE_LS: session created 192.0.2.7/40000->10.7.10.4/502 0x0 None 192.0.2.7/40000->10.7.10.4/502 0x0 N/A N/A N/A N/A 6 ot-in untrust ot 30",
                &plain("allowed", " moment=begin", "ot-in"),
            ),
            (
                "Nov 22 23:56:51 srx RT_FLOW: RT_FLOW_SESSION_CREATE: session created 192.0.2.7/40000->10.7.10.4/502 0x0 None 192.0.2.7/40000->10.7.10.4/502 0x0 source rule 7 destination rule 8 6 ot-in untrust ot 30",
                &plain("allowed", " moment=begin", "ot-in"),
            ),
            (
                "Nov 22 23:56:51 srx RT_FLOW: RT_FLOW_SESSION_CREATE: session created 192.0.2.7/40000->10.7.10.4/502 None 192.0.2.7/40000->10.7.10.4/502 source rule 7 N/A N/A 6 ot-in untrust ot 30",
                &plain("allowed", " moment=begin", "ot-in"),
            ),
            (
                "Nov 22 23:56:51 srx RT_FLOW: RT_FLOW_SESSION_DENY: session denied 192.0.2.7/40000->10.7.10.4/502 102 6(0) ot-deny untrust ot",
                &plain("blocked", "", "ot-deny"),
            ),
            (
                "Nov 22 23:56:51 srx RT_FLOW: RT_FLOW_SESSION_CLOSE: session closed TCP FIN: 192.0.2.7/40000->10.7.10.4/502 None 192.0.2.7/40000->10.7.10.4/502 7 None 6 ot-in untrust ot 30 6(300) 5(200) 30",
                &format!("{} bytes=500 ms=30000", plain("allowed", " moment=end", "ot-in")),
            ),
            // Newer ones put the application, the user and the interface behind.
            (
                "Nov 22 23:56:51 srx RT_FLOW: RT_FLOW_SESSION_CLOSE: session closed TCP RST: 192.0.2.7/40000->10.7.10.4/502 0x0 None 192.0.2.7/40000->10.7.10.4/502 0x0 N/A N/A N/A N/A 6 ot-in untrust ot 30 6(300) 5(200) 1 UNKNOWN UNKNOWN N/A(N/A) ge-0/0/0.0 UNKNOWN",
                &format!("{} bytes=500 ms=1000", plain("allowed", " moment=end", "ot-in")),
            ),
            // Cut off in the middle of what it carried.
            (
                "Nov 22 23:56:51 srx RT_FLOW: RT_FLOW_SESSION_CLOSE: session closed TCP FIN: 192.0.2.7/40000->10.7.10.4/502 None 192.0.2.7/40000->10.7.10.4/502 None None 6 ot-in untrust ot 30 6(300) 5(2",
                &plain("allowed", " moment=end", "ot-in"),
            ),
        ],
    );
    assert!(
        read_all("srx RT_FLOW_SESSION_DENY: session denied 192.0.2.7/40000->10.7.1")[0]
            .starts_with("unreadable")
    );
}

#[test]
fn mikrotik() {
    pairs(
        LogFormat::Mikrotik,
        &[
            (
                SAMPLES[10],
                "2026-11-22T22:56:51Z unknown 6 192.0.2.7:40000 -> 10.7.10.4:502 flags=SYN in=ether1 out=bridge rule=OTGUARD bytes=60",
            ),
            (
                "firewall,info portcullis-drop input: in:ether1 out:(unknown 0), connection-state:new src-mac 52:54:00:12:34:56, proto UDP, [2001:db8::7]:40000->[2001:db8:7::4]:161, len 78",
                "- blocked 17 [2001:db8::7]:40000 -> [2001:db8:7::4]:161 in=ether1 rule=portcullis-drop bytes=78",
            ),
            (
                "Nov 22 23:56:51 mt forward: in:ether1 out:bridge, proto ICMP (type 8, code 0), 192.0.2.7->10.7.10.4, NAT (192.0.2.7->203.0.113.1)->10.7.10.4, len 84",
                "2026-11-22T22:56:51Z unknown 1 192.0.2.7 -> 10.7.10.4 in=ether1 out=bridge bytes=84",
            ),
        ],
    );
    assert_eq!(
        read_all("mt forward: in:ether1 out:bridge, proto TCP"),
        ["unreadable: the line is cut off before the addresses"]
    );
}

#[test]
fn lines_of_all_makers_in_one_file_are_each_read_in_their_format() {
    let formats: Vec<String> = read_all(&SAMPLES.repeat(2).join("\n"))
        .iter()
        .map(|told| told.split_once(' ').unwrap().0.to_owned())
        .collect();
    let one = [
        "asa",
        "asa",
        "asa",
        "asa",
        "ios",
        "fortigate",
        "palo-alto",
        "filterlog",
        "junos",
        "junos",
        "mikrotik",
    ];
    assert_eq!(formats, one.repeat(2));
}

use jiff::Timestamp;
use portcullis_model::{Coverage, Run, RunId, ServiceName, Untrusted, Vantage};
use portcullis_scan::Counters;
use quick_xml::{Reader, XmlVersion, events::BytesStart};
use serde_json::json;

use super::*;

/// What may come from a device: markup, quotation marks, control characters, and characters that XML 1.0 has not.
const HOSTILE: &str = "<!--&\"'\u{0}\u{8}\r\n\u{1b}[2J]]>\u{fffe}\u{ffff}\u{202e}泵";

fn run() -> Run {
    Run {
        id: RunId::of(&[b"test"]),
        command: "scan".into(),
        vantage: Vantage::this_host(),
        started: "2026-03-01T02:00:00Z".parse().unwrap(),
        ended: Some("2026-03-01T02:00:04.5Z".parse().unwrap()),
        settings: json!({ "mode": "connect" }),
        not_tested: Vec::new(),
        coverage: Coverage::default(),
    }
}

fn seen(run: &Run, address: &str, port: Port, state: PortState) -> Observation {
    let address = address.parse().unwrap();
    Observation {
        id: Observation::id_of(run.id, &run.vantage, address, port),
        run: run.id,
        at: Timestamp::from_second(run.started.as_second() + 2).unwrap(),
        vantage: run.vantage.clone(),
        source: None,
        address,
        port,
        state,
        because: format!("because {HOSTILE}"),
        confidence: None,
        identifications: Vec::new(),
        evidence: Vec::new(),
    }
}

fn identified(service: &str, grade: Grade, fields: &[(&str, &str)]) -> Identification {
    Identification {
        service: ServiceName::new(service).unwrap(),
        grade,
        reasons: vec!["one".into(), "two".into()],
        fields: fields
            .iter()
            .map(|(key, value)| ((*key).to_owned(), Untrusted::new(*value)))
            .collect(),
    }
}

fn silent(first: &str, last: &str, ports: Vec<Port>) -> Silent {
    Silent {
        first: first.parse().unwrap(),
        last: last.parse().unwrap(),
        ports,
        looks: 2,
        confidence: None,
    }
}

fn scanned() -> Scanned {
    let mut run = run();
    run.not_tested = vec![NotTested {
        first: "10.0.0.2".parse().unwrap(),
        last: "10.0.0.9".parse().unwrap(),
        ports: vec![Port::tcp(443), Port::tcp(444), Port::udp(161)],
        reason: format!("outside the permission {HOSTILE}"),
    }];
    let mut modbus = seen(&run, "10.0.0.1", Port::tcp(502), PortState::Open);
    modbus.identifications = vec![
        identified("http", Grade::RuledOut, &[]),
        identified(
            "modbus-tcp",
            Grade::Proven,
            &[("vendor", HOSTILE), ("model", "M1"), ("revision", "2.1")],
        ),
    ];
    run.coverage.silent = vec![silent(
        "10.0.1.254",
        "10.0.2.1",
        vec![Port::tcp(502), Port::tcp(503), Port::udp(4800)],
    )];
    let mut gateway = seen(&run, "10.0.0.1", Port::tcp(54321), PortState::Open);
    gateway.identifications = vec![identified("moxa-mdm-gateway", Grade::Possible, &[])];
    Scanned {
        observations: vec![
            modbus,
            gateway,
            seen(&run, "10.0.0.1", Port::udp(4800), PortState::NoAnswer),
            seen(&run, "10.0.0.2", Port::tcp(502), PortState::Filtered),
            seen(&run, "10.0.0.2", Port::tcp(54321), PortState::NoAnswer),
            seen(&run, "2001:db8::1", Port::tcp(502), PortState::Closed),
        ],
        run,
        addresses: 15,
        ports: 5,
        counters: Counters::default(),
        interrupted: false,
        checkpoint: None,
        permission: None,
        slowed: Vec::new(),
        tightenings: Vec::new(),
        failed: None,
    }
}

fn document(scanned: &Scanned) -> String {
    let mut out = Vec::new();
    write(scanned, "portcullis scan <plant>", &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// The elements as `host/ports/port protocol=tcp portid=502`, as a reader finds them.
fn elements(document: &str) -> Vec<String> {
    let mut reader = Reader::from_str(document);
    let mut path: Vec<String> = Vec::new();
    let mut elements = Vec::new();
    loop {
        let (start, stays) = match reader.read_event().unwrap() {
            Event::Start(start) => (start, true),
            Event::Empty(start) => (start, false),
            Event::End(_) => {
                path.pop();
                continue;
            }
            Event::Eof => break,
            _ => continue,
        };
        path.push(start.name().as_ref().to_owned());
        elements.push(format!("{}{}", path[1..].join("/"), attributes(&start)));
        if !stays {
            path.pop();
        }
    }
    assert!(path.is_empty(), "elements are left open: {path:?}");
    elements
}

fn attributes(start: &BytesStart<'_>) -> String {
    let shown = start.attributes().map(|attribute| {
        let attribute = attribute.unwrap();
        let key = attribute.key.as_ref().to_owned();
        let value = attribute.normalized_value(XmlVersion::Explicit1_0).unwrap();
        format!(" {key}={value}")
    });
    shown.collect()
}

fn of<'a>(elements: &'a [String], path: &str) -> Vec<&'a str> {
    let path = format!("{path} ");
    elements
        .iter()
        .filter_map(|element| element.strip_prefix(&path))
        .collect()
}

#[test]
fn hosts_and_ports_are_said_in_nmap_s_words_and_no_more_is_claimed() {
    let elements = elements(&document(&scanned()));
    assert_eq!(
        elements[0],
        " scanner=portcullis args=portcullis scan <plant> start=1772330400 startstr=Sun Mar  1 02:00:00 2026 \
         version=0.1.0 xmloutputversion=1.05"
    );
    assert_eq!(
        of(&elements, "scaninfo"),
        [
            "type=connect protocol=tcp numservices=5 services=443-444,502-503,54321",
            "type=udp protocol=udp numservices=2 services=161,4800"
        ]
    );
    assert_eq!(
        of(&elements, "host/address"),
        [
            "addr=10.0.0.1 addrtype=ipv4",
            "addr=10.0.0.2 addrtype=ipv4",
            "addr=2001:db8::1 addrtype=ipv6",
            "addr=10.0.1.254 addrtype=ipv4",
            "addr=10.0.1.255 addrtype=ipv4",
            "addr=10.0.2.0 addrtype=ipv4",
            "addr=10.0.2.1 addrtype=ipv4",
        ]
    );
    let mut status = vec![
        "state=up reason=syn-ack reason_ttl=0",
        "state=unknown reason=no-response reason_ttl=0",
        "state=up reason=conn-refused reason_ttl=0",
    ];
    status.extend(["state=unknown reason=no-response reason_ttl=0"; 4]);
    assert_eq!(of(&elements, "host/status"), status);
    assert_eq!(
        of(&elements, "host/ports/port"),
        [
            "protocol=tcp portid=502",
            "protocol=tcp portid=54321",
            "protocol=udp portid=4800",
            "protocol=tcp portid=502",
            "protocol=tcp portid=54321",
            "protocol=tcp portid=502",
        ]
    );
    assert_eq!(
        of(&elements, "host/ports/port/state"),
        [
            "state=open reason=syn-ack reason_ttl=0",
            "state=open reason=syn-ack reason_ttl=0",
            "state=open|filtered reason=no-response reason_ttl=0",
            "state=filtered reason=dest-unreach reason_ttl=0",
            "state=filtered reason=no-response reason_ttl=0",
            "state=closed reason=conn-refused reason_ttl=0",
        ]
    );
    assert_eq!(
        of(&elements, "host/ports/extraports/extrareasons")[..2],
        [
            "reason=no-response count=2 proto=tcp ports=502-503",
            "reason=no-response count=1 proto=udp ports=4800"
        ]
    );
    assert_eq!(of(&elements, "host/ports/extraports").len(), 8);
    assert_eq!(
        of(&elements, "runstats/finished"),
        [
            "time=1772330404 timestr=Sun Mar  1 02:00:04 2026 summary=15 addresses from this-host: 2 answered, 2 open \
          ports; not everything was tested elapsed=4.50 exit=success"
        ]
    );
    assert_eq!(of(&elements, "runstats/hosts"), ["up=2 down=0 total=15"]);
}

#[test]
fn services_are_what_was_identified_and_as_sure_as_that() {
    let elements = elements(&document(&scanned()));
    let vendor = text(HOSTILE);
    assert_eq!(
        of(&elements, "host/ports/port/service"),
        [
            format!("name=modbus-tcp product={vendor} M1 version=2.1 extrainfo=proven method=probed conf=10")
                .as_str(),
            "name=moxa-mdm-gateway extrainfo=possible method=table conf=3",
        ]
    );
    let because = text(&format!("because {HOSTILE}"));
    assert_eq!(
        of(&elements, "host/ports/port/script"),
        [
            "id=portcullis output=http is ruled-out; modbus-tcp is proven",
            "id=portcullis output=moxa-mdm-gateway is possible",
            format!("id=portcullis output={because}").as_str(),
        ]
    );
    assert_eq!(
        of(&elements, "host/ports/port/script/table"),
        ["key=http", "key=modbus-tcp", "key=moxa-mdm-gateway"]
    );
    assert_eq!(
        of(&elements, "host/ports/port/script/table/elem")[2..7],
        [
            "key=grade",
            "key=reasons",
            "key=model",
            "key=revision",
            "key=vendor"
        ]
    );
}

#[test]
fn what_was_not_tested_has_no_state_and_is_told_as_ranges() {
    let elements = elements(&document(&scanned()));
    assert!(!elements.iter().any(|element| element.contains("portid=443")));
    let reason = text(&format!("outside the permission {HOSTILE}"));
    assert_eq!(
        of(&elements, "postscript/script"),
        [format!(
            "id=portcullis-not-tested output=not tested: 10.0.0.2 - 10.0.0.9 T:443-444,U:161: {reason}"
        )]
    );
    assert_eq!(
        of(&elements, "host/hostscript/script"),
        [format!(
            "id=portcullis-not-tested output=not tested: 10.0.0.2 T:443-444,U:161: {reason}"
        )]
    );
}

#[test]
fn text_from_outside_is_harmless_wherever_it_stands() {
    let document = document(&scanned());
    let strange = document
        .chars()
        .find(|character| character.is_control() && *character != '\n');
    assert_eq!(strange, None);
    assert!(!document.contains(['\u{fffe}', '\u{ffff}', '\u{202e}']));
    assert!(document.contains("\\u{1b}[2J"));
    assert!(document.contains("&lt;!--&amp;&quot;"));
}

#[test]
fn a_scan_that_was_stopped_is_no_success_and_a_half_open_one_has_other_words() {
    let mut scanned = scanned();
    scanned.interrupted = true;
    scanned.run.ended = None;
    scanned.run.settings = json!({ "mode": "syn" });
    let elements = elements(&document(&scanned));
    let finished = of(&elements, "runstats/finished")[0];
    assert!(finished.starts_with("time=1772330402 "), "{finished}");
    assert!(
        finished.ends_with(" elapsed=2.00 exit=error errormsg=stopped before its end"),
        "{finished}"
    );
    assert!(of(&elements, "scaninfo")[0].starts_with("type=syn "));
    assert!(of(&elements, "host/status").contains(&"state=up reason=reset reason_ttl=0"));
}

#[test]
fn the_last_address_of_all_ends_a_range() {
    let mut scanned = scanned();
    scanned.run.coverage.silent = vec![silent("255.255.255.254", "255.255.255.255", vec![Port::tcp(1)])];
    let elements = elements(&document(&scanned));
    assert_eq!(of(&elements, "host/address").len(), 5);
}

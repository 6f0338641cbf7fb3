use std::net::IpAddr;

use portcullis_model::{Grade, Untrusted};
use proptest::prelude::*;

use super::*;

const MDM: Port = Port::tcp(54321);
const MOVED: Port = Port::tcp(5000);

fn knowledge() -> Knowledge {
    Knowledge::builtin().unwrap()
}

fn name(text: &str) -> ServiceName {
    ServiceName::new(text).unwrap()
}

fn mdm_on_5000() -> Vec<(ServiceName, Port)> {
    vec![(name("moxa-mdm-gateway"), MOVED)]
}

fn request(port: Port) -> Vec<u8> {
    let address: IpAddr = [127, 0, 0, 1].into();
    let request = knowledge().exchange(port, &[]).request.unwrap();
    request.bytes_for(address, port)
}

fn greeting(bytes: &[u8]) -> Seen {
    Seen {
        spoke_first: bytes.into(),
        ..Seen::default()
    }
}

fn answer(port: Port, reply: &[u8]) -> Seen {
    Seen {
        request: Some(request(port)),
        reply: reply.into(),
        silent_for: Duration::from_millis(800),
        ..Seen::default()
    }
}

fn grades(found: &[Identification]) -> Vec<(&str, Grade)> {
    found
        .iter()
        .map(|found| (found.service.as_str(), found.grade))
        .collect()
}

fn field(found: &[Identification], key: &str) -> Option<String> {
    found.first()?.fields.get(key).map(Untrusted::to_string)
}

#[test]
fn the_compiled_in_data_keeps_the_rules() {
    let knowledge = knowledge();
    knowledge.check().unwrap();
    assert_eq!(
        knowledge.service(&name("moxa-mdm-gateway")).unwrap().hazard,
        Hazard::Silent
    );
    assert_eq!(knowledge.names().len(), builtin::FILES.len());
}

#[test]
fn what_is_looked_at_by_default_is_testable_and_leaves_serial_lines_alone() {
    let knowledge = knowledge();
    let ports = knowledge.default_ports();
    for number in [
        54321, 102, 502, 1883, 1911, 2404, 4840, 4911, 9600, 20000, 44818, 22, 23, 80,
    ] {
        assert!(ports.contains(&Port::tcp(number)), "tcp/{number}");
    }
    for number in [4800, 2362, 9600, 44818, 47808] {
        assert!(ports.contains(&Port::udp(number)), "udp/{number}");
    }
    for port in [
        Port::tcp(950),
        Port::tcp(966),
        Port::tcp(4001),
        Port::tcp(443),
        Port::tcp(3389),
        Port::udp(161),
        Port::udp(5094),
        Port::udp(30718),
    ] {
        assert!(!ports.contains(&port), "{port}");
    }
    for port in ports {
        assert_eq!(knowledge.exchange(port, &[]).not_testable, None, "{port}");
    }
}

#[test]
fn an_opt_in_request_is_sent_only_when_the_service_is_named() {
    let knowledge = knowledge();
    for (service, port) in [
        ("hart-ip", Port::tcp(5094)),
        ("codesys-v2", Port::tcp(2455)),
        ("hart-ip", Port::udp(5094)),
        ("lantronix-search", Port::udp(30718)),
    ] {
        let exchange = knowledge.exchange(port, &[]);
        assert_eq!(exchange.request, None, "{service}");
        assert_eq!(
            exchange.not_testable.is_some(),
            port.transport == Transport::Udp,
            "{service}"
        );
        // That the site moved it somewhere is no wish to ask it.
        let elsewhere = Port { number: 7, ..port };
        let moved = [(name(service), elsewhere)];
        assert_eq!(knowledge.exchange(elsewhere, &moved).request, None, "{service}");
        let named = knowledge.exchange_for(&name(service), port).unwrap();
        assert_eq!(named.request, knowledge.service(&name(service)).unwrap().request);
        assert!(named.request.is_some() && named.not_testable.is_none());
    }
    let web = knowledge.exchange(Port::tcp(5000), &[]).request;
    assert_eq!(web, Some(crate::Request::HttpGet));
    let registry = knowledge
        .exchange_for(&name("container-registry"), Port::tcp(5000))
        .unwrap();
    assert_ne!(registry.request, web);
}

#[test]
fn naming_a_service_never_sends_anything_to_the_port_of_a_silent_one() {
    let knowledge = knowledge();
    for silent in [MDM, Port::tcp(4001), Port::tcp(950), Port::tcp(4911)] {
        for service in knowledge.names() {
            if let Some(exchange) = knowledge.exchange_for(&service, silent) {
                assert_eq!(exchange.request, None, "{service} on {silent}");
            }
        }
    }
    assert_eq!(knowledge.exchange_for(&name("moxa-dsci"), Port::tcp(4800)), None);
    assert_eq!(knowledge.exchange_for(&name("no-such-service"), MDM), None);
}

#[test]
fn a_port_where_connecting_is_a_use_is_left_alone_until_it_is_named() {
    let knowledge = knowledge();
    let port = Port::tcp(966);
    assert!(knowledge.exchange(port, &[]).not_testable.is_some());
    let named = knowledge.exchange_for(&name("moxa-real-com"), port).unwrap();
    assert_eq!((named.not_testable, named.request), (None, None));
    assert_eq!(knowledge.exchange(Port::tcp(4001), &[]).not_testable, None);
}

#[test]
fn the_answer_to_the_request_of_another_service_proves_nothing_of_this_one() {
    let knowledge = knowledge();
    let moved = [(name("opc-ua"), MOVED), (name("modbus-tcp"), MOVED)];
    let asked = knowledge.exchange(MOVED, &moved).request;
    assert_eq!(asked, knowledge.service(&name("modbus-tcp")).unwrap().request);
    let seen = |reply: &[u8]| Seen {
        request: Some(asked.clone().unwrap().bytes_for([127, 0, 0, 1].into(), MOVED)),
        reply: reply.into(),
        ..Seen::default()
    };
    let acknowledge = [&b"ACKF\x1c\0\0\0"[..], &[0; 20]].concat();
    let found = knowledge.identify(MOVED, &moved, &seen(&acknowledge));
    assert_eq!(
        grades(&found),
        [
            ("opc-ua", Grade::Possible),
            ("modbus-tcp", Grade::RuledOut),
            ("http", Grade::RuledOut)
        ]
    );
    assert!(found[0].reasons[1].starts_with("answered the request of another protocol with"));
    let found = knowledge.identify(MOVED, &moved, &seen(b"HTTP/1.1 400 Bad Request\r\n\r\n"));
    assert_eq!(
        grades(&found),
        [
            ("http", Grade::Proven),
            ("modbus-tcp", Grade::RuledOut),
            ("opc-ua", Grade::RuledOut)
        ]
    );
}

#[test]
fn an_outstation_that_reports_before_it_is_asked_is_recognised() {
    let reports = [
        0x05, 0x64, 0x0a, 0x44, 0, 0, 1, 0, 0xb9, 0x38, 0xc0, 0xf0, 0x82, 0x80, 0, 0x6b, 0x7d,
    ];
    let found = knowledge().identify(Port::tcp(20000), &[], &greeting(&reports));
    assert_eq!(grades(&found), [("dnp3", Grade::Proven)]);
    assert!(found[0].reasons[0].contains("link address 1"));
    let mut wrong = reports;
    wrong[12] ^= 1;
    let found = knowledge().identify(Port::tcp(20000), &[], &greeting(&wrong));
    assert_eq!(grades(&found), [("dnp3", Grade::RuledOut)]);
}

#[test]
fn every_port_gets_one_and_the_same_request_each_time() {
    let knowledge = knowledge();
    for service in knowledge.services.values() {
        for port in &service.ports {
            let first = knowledge.exchange(*port, &[]);
            assert_eq!(
                first,
                Knowledge::builtin().unwrap().exchange(*port, &[]),
                "{port}"
            );
            // Where services share a port, the request is the one that all who may be asked there have.
            for other in knowledge.services.values() {
                if other.hazard == Hazard::ReadOnlyRequest && other.ports.contains(port) {
                    assert_eq!(first.request, other.request, "{port}: {}", other.name);
                }
            }
        }
    }
}

#[test]
fn the_port_of_mdm_never_gets_a_payload_whatever_the_site_says() {
    let moved = [
        (name("http"), MDM),
        (name("modbus-tcp"), MDM),
        (name("moxa-dsci"), MDM),
    ];
    for moved in [&moved[..], &[]] {
        let exchange = knowledge().exchange(MDM, moved);
        assert_eq!(exchange, Exchange::listen(exchange.listen_first));
    }
    assert_eq!(
        knowledge().exchange(MDM, &[]).listen_first,
        Duration::from_millis(800)
    );
}

#[test]
fn a_port_gets_the_request_of_its_service_and_of_the_one_the_site_put_there_first() {
    let knowledge = knowledge();
    assert_eq!(
        knowledge.exchange(MOVED, &mdm_on_5000()).request,
        Some(crate::Request::HttpGet)
    );
    let modbus = knowledge.exchange(Port::tcp(502), &[]).request;
    assert!(modbus.is_some());
    assert_eq!(
        knowledge.exchange(MOVED, &[(name("modbus-tcp"), MOVED)]).request,
        modbus
    );
    for port in [Port::tcp(22), Port::tcp(443), Port::tcp(4001)] {
        assert_eq!(knowledge.exchange(port, &[]).request, None, "{port}");
    }
    // The bytes of a UDP service mean nothing on TCP.
    let dsci = [(name("moxa-dsci"), Port::tcp(4800))];
    assert_eq!(knowledge.exchange(Port::tcp(4800), &dsci).request, None);
}

/// What a person's `--service` and `--ports` make of a port.
fn wished(services: &[&str], port: Port, by_site: &[(ServiceName, Port)]) -> Option<crate::Request> {
    let knowledge = knowledge();
    let services: Vec<ServiceName> = services.iter().map(|service| name(service)).collect();
    let elsewhere: Vec<(ServiceName, Port)> = services
        .iter()
        .filter(|service| !knowledge.service(service).unwrap().ports.contains(&port))
        .map(|service| (service.clone(), port))
        .filter(|place| !by_site.contains(place))
        .collect();
    let moved = [by_site, &elsewhere].concat();
    let wishes = Wishes {
        services,
        elsewhere,
        community: None,
    };
    knowledge.exchange_wished(port, &moved, &wishes).request
}

#[test]
fn of_several_named_services_the_one_that_belongs_to_the_port_is_asked() {
    let of = |service: &str| knowledge().service(&name(service)).unwrap().request.clone();
    let s7 = Port::tcp(102);
    for order in [["http", "s7comm"], ["s7comm", "http"]] {
        assert_eq!(wished(&order, s7, &[]), of("s7comm"), "{order:?}");
        assert_eq!(wished(&order, Port::tcp(80), &[]), of("http"), "{order:?}");
    }
    // Where the site moved one it belongs, too.
    let by_site = [(name("modbus-tcp"), MOVED)];
    for order in [["s7comm", "modbus-tcp"], ["modbus-tcp", "s7comm"]] {
        assert_eq!(wished(&order, MOVED, &by_site), of("modbus-tcp"), "{order:?}");
    }
    // On a port that is nobody's, or of no controller, the first one that was named is asked.
    assert_eq!(wished(&["s7comm", "http"], Port::tcp(8888), &[]), of("s7comm"));
    assert_eq!(
        wished(&["modbus-tcp", "http"], Port::tcp(22), &[]),
        of("modbus-tcp")
    );
}

#[test]
fn a_controller_gets_a_strange_request_only_from_the_one_service_that_was_named_with_its_port() {
    let of = |service: &str| knowledge().service(&name(service)).unwrap().request.clone();
    for number in [102, 502, 2404, 20000, 44818] {
        let port = Port::tcp(number);
        let own = knowledge().exchange(port, &[]).request;
        assert_eq!(wished(&["http", "rdp"], port, &[]), own, "{port}");
        assert_eq!(wished(&["ssh", "http"], port, &[]), own, "{port}");
        assert_eq!(wished(&["http"], port, &[]), of("http"), "{port}");
        // The site is the owner's word.
        let by_site = [(name("http"), port)];
        assert_eq!(wished(&["http", "rdp"], port, &by_site), of("http"), "{port}");
    }
}

#[test]
fn a_udp_port_without_a_known_request_is_not_testable() {
    assert!(knowledge().exchange(Port::udp(30718), &[]).not_testable.is_some());
    let dsci = knowledge().exchange(Port::udp(4800), &[]);
    assert_eq!((dsci.not_testable, dsci.request.is_some()), (None, true));
}

#[test]
fn silence_on_the_port_of_mdm_is_possible_and_says_why() {
    let seen = Seen {
        silent_for: Duration::from_millis(800),
        ..Seen::default()
    };
    let found = knowledge().identify(MDM, &[], &seen);
    assert_eq!(grades(&found), [("moxa-mdm-gateway", Grade::Possible)]);
    assert_eq!(
        found[0].reasons,
        [
            "tcp/54321 is the port of MDM Gateway (CVE-2010-4741)",
            "silent for 800 ms after connect, as a server that waits for its client",
            "no harmless MDM request is publicly known, so port and silence give no more than possible",
        ]
    );
}

#[test]
fn a_moved_mdm_that_is_silent_even_to_a_get_stays_possible() {
    let seen = Seen {
        waited: Duration::from_secs(3),
        ..answer(MOVED, b"")
    };
    let found = knowledge().identify(MOVED, &mdm_on_5000(), &seen);
    assert_eq!(grades(&found), [("moxa-mdm-gateway", Grade::Possible)]);
    assert_eq!(
        found[0].reasons[0],
        "site.toml or the command line says that it is on tcp/5000"
    );
    assert_eq!(found[0].reasons[2], "no answer to the request for 3000 ms");
}

#[test]
fn a_web_page_on_the_moved_port_rules_mdm_out_and_is_named() {
    let page = b"HTTP/1.1 200 OK\r\nServer: MoxaHttp/1.0\r\n\r\n<HTML><TITLE>\n Pump \x1b[2Jhouse</TITLE>";
    let found = knowledge().identify(MOVED, &mdm_on_5000(), &answer(MOVED, page));
    assert_eq!(
        grades(&found),
        [
            ("moxa-web-console", Grade::Proven),
            ("http", Grade::Proven),
            ("moxa-mdm-gateway", Grade::RuledOut)
        ]
    );
    assert_eq!(field(&found, "vendor").as_deref(), Some("Moxa"));
    assert_eq!(field(&found, "name").as_deref(), Some("Pump \\u{1b}[2Jhouse"));
    assert_eq!(field(&found, "server").as_deref(), Some("MoxaHttp/1.0"));
    assert_eq!(
        found[2].reasons,
        ["the server answers in HTTP: `HTTP/1.1 200 OK`"]
    );
}

#[test]
fn whoever_speaks_first_in_a_known_way_is_not_mdm() {
    let knowledge = knowledge();
    let ssh = knowledge.identify(MDM, &[], &greeting(b"SSH-2.0-OpenSSH_9.2\r\n"));
    assert_eq!(
        grades(&ssh),
        [("ssh", Grade::Proven), ("moxa-mdm-gateway", Grade::RuledOut)]
    );
    let chargen: Vec<u8> = (b' '..=b'~').cycle().take(512).collect();
    let chargen = knowledge.identify(MDM, &[], &greeting(&chargen));
    assert_eq!(grades(&chargen), [("moxa-mdm-gateway", Grade::RuledOut)]);
    let tls = knowledge.identify(MDM, &[], &greeting(&[0x15, 3, 3, 0, 2, 2, 40]));
    assert_eq!(
        grades(&tls),
        [("tls", Grade::Proven), ("moxa-mdm-gateway", Grade::RuledOut)]
    );
    let hostile = knowledge.identify(MDM, &[], &greeting(b"220 \x1b]0;x\x07 ready ready"));
    assert!(
        hostile
            .iter()
            .all(|found| !found.reasons.concat().contains('\x1b'))
    );
}

#[test]
fn the_bytes_of_the_published_exploit_are_a_weak_hint_only() {
    let seen = greeting(&[0x28, 0x10, 0x00, 0x29, 0xff]);
    assert_eq!(
        grades(&knowledge().identify(MDM, &[], &seen)),
        [("moxa-mdm-gateway", Grade::Likely)]
    );
    assert!(knowledge().identify(Port::tcp(9999), &[], &seen).is_empty());
}

#[test]
fn echo_and_closing_at_once_prove_nothing() {
    let echo = answer(MOVED, &request(MOVED));
    let found = knowledge().identify(MOVED, &mdm_on_5000(), &echo);
    assert!(
        found.iter().all(|found| found.grade == Grade::RuledOut),
        "{found:?}"
    );
    let modbus = Port::tcp(502);
    let found = knowledge().identify(modbus, &[], &answer(modbus, &request(modbus)));
    assert_eq!(grades(&found), [("modbus-tcp", Grade::RuledOut)]);
    let closed = Seen {
        closed_by_peer: true,
        ..Seen::default()
    };
    let found = knowledge().identify(MDM, &[], &closed);
    assert_eq!(grades(&found), [("moxa-mdm-gateway", Grade::Possible)]);
    assert!(found[0].reasons[1].starts_with("closed the connection"));
}

fn search_reply(mac: [u8; 6]) -> Vec<u8> {
    let mut reply = vec![0x81, 0, 0, 24, 0, 0, 0, 0, 0x10, 0x51, 0x00, 0x80, 0x10, 0x51];
    reply.extend(mac);
    reply.extend([192, 168, 127, 254]);
    reply
}

#[test]
fn a_search_reply_proves_moxa_and_names_the_model() {
    let port = Port::udp(4800);
    let moxa = search_reply([0x00, 0x90, 0xe8, 1, 2, 3]);
    let found = knowledge().identify(port, &[], &answer(port, &moxa));
    assert_eq!(grades(&found), [("moxa-dsci", Grade::Proven)]);
    for (key, value) in [
        ("mac", "00:90:E8:01:02:03"),
        ("model", "NPort 5110"),
        ("address", "192.168.127.254"),
    ] {
        assert_eq!(field(&found, key).as_deref(), Some(value));
    }
    let rebranded = search_reply([2, 0, 0, 1, 2, 3]);
    let found = knowledge().identify(port, &[], &answer(port, &rebranded));
    assert_eq!(grades(&found), [("moxa-dsci", Grade::Likely)]);
    let mut refused = moxa;
    refused[1] = 4;
    let found = knowledge().identify(port, &[], &answer(port, &refused));
    assert_eq!(grades(&found), [("moxa-dsci", Grade::Possible)], "a refusal");
    refused[1] = 5;
    let found = knowledge().identify(port, &[], &answer(port, &refused));
    assert_eq!(grades(&found), [("moxa-dsci", Grade::RuledOut)]);
}

#[test]
fn only_who_was_asked_in_modbus_is_said_to_have_been_asked_so() {
    let port = Port::tcp(502);
    let unit = |seen: &Seen| {
        let found = knowledge().identify(port, &[], seen);
        assert_eq!(grades(&found), [("modbus-tcp", Grade::Possible)]);
        found[0].reasons.concat().contains("only unit 1 was asked")
    };
    let silent = answer(port, b"");
    assert!(unit(&silent));
    let get = Seen {
        request: Some(b"GET / HTTP/1.1\r\n\r\n".to_vec()),
        ..silent.clone()
    };
    let unasked = Seen {
        request: None,
        ..silent
    };
    for seen in [get, unasked] {
        assert!(!unit(&seen), "{seen:?}");
    }
}

#[test]
fn a_modbus_device_tells_its_name_and_an_exception_proves_it_too() {
    let port = Port::tcp(502);
    let mut reply = vec![0, 0, 0, 0, 0, 0, 1, 0x2b, 0x0e, 1, 1, 0, 0, 3];
    for (id, text) in [(0, "Acme"), (1, "PLC-7"), (2, "v1.2")] {
        reply.extend([id, text.len() as u8]);
        reply.extend(text.as_bytes());
    }
    reply[5] = (reply.len() - 6) as u8;
    let found = knowledge().identify(port, &[], &answer(port, &reply));
    assert_eq!(grades(&found), [("modbus-tcp", Grade::Proven)]);
    assert_eq!(field(&found, "vendor").as_deref(), Some("Acme"));
    assert_eq!(field(&found, "product").as_deref(), Some("PLC-7"));
    assert_eq!(field(&found, "revision").as_deref(), Some("v1.2"));
    let exception = [0, 0, 0, 0, 0, 3, 1, 0xab, 1];
    let found = knowledge().identify(port, &[], &answer(port, &exception));
    assert_eq!(grades(&found), [("modbus-tcp", Grade::Proven)]);
    reply.pop();
    let cut = knowledge().identify(port, &[], &answer(port, &reply));
    assert_eq!(grades(&cut), [("modbus-tcp", Grade::RuledOut)]);
}

#[test]
fn silence_on_the_web_port_names_nothing_and_on_443_is_only_possible() {
    let http = Port::tcp(80);
    assert!(knowledge().identify(http, &[], &answer(http, b"")).is_empty());
    let tls = knowledge().identify(Port::tcp(443), &[], &Seen::default());
    assert_eq!(grades(&tls), [("tls", Grade::Possible)]);
}

fn ports() -> impl Strategy<Value = Port> {
    prop_oneof![
        any::<u16>().prop_map(Port::tcp),
        Just(MDM),
        Just(MOVED),
        Just(Port::tcp(502)),
        Just(Port::tcp(80)),
        Just(Port::udp(4800)),
    ]
}

proptest! {
    #[test]
    fn random_bytes_never_give_more_than_possible(port in ports(), first in prop::collection::vec(any::<u8>(), 0..64),
        reply in prop::collection::vec(any::<u8>(), 0..600), asked: bool, closed: bool) {
        // The published hint is four bytes: chance must not be able to hit it in this test.
        prop_assume!(!first.starts_with(&[0x28, 0x10]) && !reply.starts_with(&[0x28, 0x10]));
        let request = if asked { knowledge().exchange(port, &[]).request } else { None };
        let seen = Seen {
            request: request.map(|request| request.bytes_for([127, 0, 0, 1].into(), port)),
            spoke_first: first,
            reply,
            closed_by_peer: closed,
            ..Seen::default()
        };
        for found in knowledge().identify(port, &mdm_on_5000(), &seen) {
            prop_assert!(found.grade <= Grade::Possible, "{found:?}");
            prop_assert!(!found.reasons.is_empty());
            prop_assert!(found.reasons.iter().all(|reason| reason.len() < 1000));
        }
    }

    #[test]
    fn bytes_that_resemble_a_protocol_never_make_a_judge_panic(port in ports(), cut in 0usize..80, place in 0usize..80,
        byte: u8, which in 0usize..5) {
        let samples: [&[u8]; 5] = [
            b"HTTP/1.1 200 OK\r\nServer: \r\n\r\n<title>x</title>",
            b"SSH-2.0-x\r\n",
            &search_reply([0, 0x90, 0xe8, 1, 2, 3]),
            &[0, 0, 0, 0, 0, 14, 1, 0x2b, 0x0e, 1, 1, 0, 0, 2, 0, 2, b'a', b'b', 1, 0],
            &[0x16, 3, 3, 0, 0x7a, 2, 0, 0, 0x76, 3, 3],
        ];
        let mut bytes = samples[which].to_vec();
        bytes.truncate(cut);
        if let Some(at) = bytes.get_mut(place) {
            *at = byte;
        }
        let request = knowledge().exchange(port, &[]).request;
        let asked = Seen {
            request: request.map(|request| request.bytes_for([127, 0, 0, 1].into(), port)),
            reply: bytes.clone(),
            ..Seen::default()
        };
        knowledge().identify(port, &mdm_on_5000(), &asked);
        knowledge().identify(port, &mdm_on_5000(), &greeting(&bytes));
    }
}

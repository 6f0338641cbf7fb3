//! What packets show, and what they do not.

use portcullis_model::{Grade, Observation, Port, PortState, ServiceName};

use super::make::*;

#[test]
fn a_handshake_is_open_and_a_reset_to_a_syn_is_closed() {
    let refused = [
        ip(6, CLIENT, SERVER, &tcp(40_001, 20_000, (5, 0), 2, &[])),
        ip(6, SERVER, CLIENT, &tcp(20_000, 40_001, (0, 6), 0x14, &[])),
    ];
    let outcome = watched(&[Line::open(54_321).packets, refused.to_vec()].concat());
    assert_eq!(
        outcome.told(),
        [
            "10.7.10.10 tcp/20000 closed",
            "10.7.10.10 tcp/54321 open moxa-mdm-gateway possible"
        ]
    );
    let open = &outcome.observations[1];
    assert_eq!(open.vantage.to_string(), "capture@10.7.20.5");
    assert_eq!(open.source, Some(CLIENT.parse().unwrap()));
    assert_eq!(open.because, "SYN-ACK to 10.7.20.5");
}

#[test]
fn answers_to_another_syn_show_nothing() {
    let syn = ip(6, CLIENT, SERVER, &tcp(40_001, 502, (5, 0), 2, &[]));
    for answer in [
        tcp(502, 40_001, (0, 7), 0x14, &[]),
        tcp(502, 40_001, (0, 7), 0x12, &[]),
        tcp(502, 40_001, (0, 0), 4, &[]),
    ] {
        let outcome = watched(&[syn.clone(), ip(6, SERVER, CLIENT, &answer)]);
        assert_eq!(outcome.told(), [""; 0]);
    }
}

#[test]
fn silence_claims_nothing_unless_the_way_back_is_in_view() {
    let syn = ip(6, CLIENT, SERVER, &tcp(40_001, 502, (5, 0), 2, &[]));
    let silent = vec![syn; 40];
    assert_eq!(watched(&silent).told(), [""; 0]);
    let outcome = watched(&[silent.clone(), Line::open(22).packets].concat());
    assert_eq!(
        outcome.told(),
        [
            "10.7.10.10 tcp/22 open ssh possible",
            "10.7.10.10 tcp/502 no-answer"
        ]
    );
    assert!(
        outcome.observations[1]
            .because
            .starts_with("40 SYNs of 10.7.20.5 within 3 s")
    );
    // Once it answered, the silence before is no state of the port.
    let outcome = watched(&[silent, Line::open(502).packets, Line::open(22).packets].concat());
    let states: Vec<PortState> = outcome.observations.iter().map(|one| one.state).collect();
    assert_eq!(states, [PortState::Open, PortState::Open]);
}

#[test]
fn the_first_bytes_name_the_service_whatever_is_repeated_or_comes_late() {
    let request = hex("00 07 00 00 00 06 01 03 00 00 00 01");
    let answer = hex("00 07 00 00 00 05 01 03 02 00 2a");
    let mut line = Line::open(502).asks(&request).answers(&answer);
    let told = ["10.7.10.10 tcp/502 open modbus-tcp likely"];
    assert_eq!(watched(&line.packets).told(), told);
    let again: Vec<Vec<u8>> = line
        .packets
        .iter()
        .flat_map(|packet| [packet.clone(), packet.clone()])
        .collect();
    assert_eq!(watched(&again).told(), told);
    // Without the question, the answer cannot be put to it.
    line.packets.remove(3);
    assert_eq!(
        watched(&line.packets).told(),
        ["10.7.10.10 tcp/502 open modbus-tcp possible"]
    );
}

#[test]
fn a_connection_that_was_up_before_counts_only_when_its_bytes_name_the_service() {
    let line = Line::up(502)
        .asks(&hex("00 07 00 00 00 06 01 03 00 00 00 01"))
        .answers(&hex("00 07 00 00 00 05 01 03 02 00 2a"));
    let outcome = watched(&line.packets);
    assert_eq!(outcome.told(), ["10.7.10.10 tcp/502 open modbus-tcp likely"]);
    assert!(
        outcome.observations[0]
            .because
            .contains("was up before the capture began")
    );
    let reason = "connection(s) whose beginning was not captured and whose server is not certain";
    for port in [502, 54_321, 9999, 40_001] {
        let outcome = watched(
            &Line::up(port)
                .asks(&[1, 2, 3])
                .answers(&hex("28 10 00 29 00"))
                .packets,
        );
        assert_eq!(
            (outcome.told(), outcome.counted.passed_over[reason]),
            (vec![], 1),
            "{port}"
        );
    }
}

#[test]
fn the_first_dword_of_an_mdm_session_is_likely_on_its_port_and_where_the_site_moved_it() {
    // The dword: Metasploit moxa_mdmtool.
    let line = |port| {
        Line::open(port)
            .asks(&[1, 2, 3, 4])
            .answers(&hex("28 10 00 29 00 00 00 00"))
            .packets
    };
    let told = |port| format!("10.7.10.10 tcp/{port} open moxa-mdm-gateway likely");
    assert_eq!(watched(&line(54_321)).told(), [told(54_321)]);
    assert_eq!(watched(&line(5000)).told(), ["10.7.10.10 tcp/5000 open"]);
    let moved = [(ServiceName::new("moxa-mdm-gateway").unwrap(), Port::tcp(5000))];
    assert_eq!(outcome_with(&pcap(101, &line(5000)), &moved).told(), [told(5000)]);
}

#[test]
fn device_search_is_decoded_from_broadcast_unicast_and_a_reply_alone() {
    // Request and reply: Moxa's Linux driver and the notes of Michael Davidsaver; the name: the same notes.
    let search = hex("01 00 00 08 00 00 00 00");
    let reply = hex("81 00 00 18 00 00 00 00 10 51 00 80 10 51 00 90 e8 01 02 03 0a 07 0a 0a");
    let ask_name = hex("10 00 00 14 00 00 00 00 10 51 00 80 10 51 00 90 e8 01 02 03");
    let mut name = hex("90 00 00 3c 00 00 00 00 10 51 00 80 10 51 00 90 e8 01 02 03");
    name.extend(b"Pump house");
    name.resize(60, 0);
    let to = |target: &str, payload: &[u8]| ip(17, CLIENT, target, &udp(29_000, 4800, payload));
    let from = |payload: &[u8]| ip(17, SERVER, CLIENT, &udp(4800, 29_000, payload));
    let outcome = watched(&[
        to("255.255.255.255", &search),
        from(&reply),
        to(SERVER, &ask_name),
        from(&name),
    ]);
    assert_eq!(outcome.told(), ["10.7.10.10 udp/4800 open moxa-dsci proven"]);
    let best = outcome.observations[0].best().unwrap();
    let field = |name: &str| best.fields[name].raw().to_owned();
    assert_eq!(
        [field("model"), field("mac"), field("address"), field("name")],
        ["NPort 5110", "00:90:E8:01:02:03", "10.7.10.10", "Pump house"]
    );
    assert_eq!(
        watched(&[to(SERVER, &search), from(&reply)]).told(),
        ["10.7.10.10 udp/4800 open moxa-dsci proven"]
    );
    let alone = watched(&[from(&reply)]);
    assert_eq!(alone.told(), ["10.7.10.10 udp/4800 open moxa-dsci likely"]);
    assert!(
        alone.observations[0]
            .because
            .contains("whose question was not captured")
    );
    // A reply that can carry a password (MSF-4800: 29 is the administrator's) leaves no byte behind.
    let mut secret = hex("a9 00 00 20 00 00 00 00");
    secret.extend(b"hunter2");
    secret.resize(32, 0);
    let outcome = watched(&[to(SERVER, &hex("29 00 00 08 00 00 00 00")), from(&secret)]);
    assert!(!format!("{:?}", outcome.observations).contains("104, 117, 110, 116"));
}

#[test]
fn udp_is_open_when_it_answers_and_never_the_wrong_way_round() {
    let ask = |from: u16, to: u16| ip(17, CLIENT, SERVER, &udp(from, to, b"x"));
    let answer = |from: u16, to: u16| ip(17, SERVER, CLIENT, &udp(from, to, b"y"));
    assert_eq!(watched(&[ask(40_000, 53), ask(40_000, 53)]).told(), [""; 0]);
    assert_eq!(
        watched(&[ask(40_000, 53), answer(53, 40_000)]).told(),
        ["10.7.10.10 udp/53 open"]
    );
    let turned = watched(&[ask(53, 40_000), answer(40_000, 53)]);
    assert_eq!(turned.told(), [""; 0]);
    assert_eq!(turned.counted.passed_over.len(), 1);
    assert_eq!(
        watched(&[ask(123, 123), answer(123, 123)]).told(),
        ["10.7.10.10 udp/123 open"]
    );
}

#[test]
fn the_community_of_snmp_is_kept_nowhere() {
    // RFC 3416: a get-next of sysDescr and its response, community `s3cret`.
    let get = hex(
        "30 26 02 01 01 04 06 73 33 63 72 65 74 a1 19 02 01 01 02 01 00 02 01 00 30 0e 30 0c 06 08 2b 06 01 02 01 01 01 00 05 00",
    );
    let response = hex(
        "30 26 02 01 01 04 06 73 33 63 72 65 74 a2 19 02 01 01 02 01 00 02 01 00 30 0e 30 0c 06 08 2b 06 01 02 01 01 01 00 05 00",
    );
    let outcome = watched(&[
        ip(17, CLIENT, SERVER, &udp(40_000, 161, &get)),
        ip(17, SERVER, CLIENT, &udp(161, 40_000, &response)),
    ]);
    assert_eq!(outcome.told(), ["10.7.10.10 udp/161 open snmp likely"]);
    let all = format!("{:?}", outcome.observations);
    assert!(
        !all.contains("s3cret") && !all.contains("115, 51, 99") && !all.contains("73 33 63"),
        "{all}"
    );
}

#[test]
fn an_address_report_makes_a_moxa_device_likely() {
    let report = ip(17, SERVER, CLIENT, &udp(1024, 4002, b"Moxa\x01NP5110"));
    let outcome = watched(&[
        report,
        ip(17, SERVER, CLIENT, &udp(1024, 4002, b"Moxa is a word")),
    ]);
    let reports = &outcome.counted.address_reports;
    assert_eq!(reports.len(), 1);
    assert_eq!(
        (reports[0].address.to_string(), reports[0].grade.to_string()),
        (SERVER.into(), "likely".into())
    );
}

#[test]
fn ipv6_with_extension_headers_and_fragments() {
    let (client, server) = ("2001:db8::5", "2001:db8::a");
    let syn = tcp(40_000, 54_321, (1, 0), 2, &[]);
    let answer = tcp(54_321, 40_000, (9, 2), 0x12, &[]);
    let behind_options = [hex("06 00 01 04 00 00 00 00"), syn].concat();
    let first_piece = [hex("06 00 00 01 00 00 00 07"), answer].concat();
    let later_piece = [hex("06 00 00 99 00 00 00 07"), vec![2; 24]].concat();
    let outcome = watched(&[
        ip6(0, client, server, &behind_options),
        ip6(44, server, client, &first_piece),
        ip6(44, server, client, &later_piece),
    ]);
    assert_eq!(
        outcome.told(),
        ["2001:db8::a tcp/54321 open moxa-mdm-gateway possible"]
    );
    let fragments = "later piece(s) of fragmented packets, which are not put together";
    assert_eq!(outcome.counted.passed_over[fragments], 1);
}

#[test]
fn packets_that_were_cut_when_captured_show_what_is_left_of_them() {
    let line = Line::open(80)
        .asks(b"GET / HTTP/1.1\r\n\r\n")
        .answers(&[b"HTTP/1.1 200 OK\r\n\r\n".as_slice(), &[b'x'; 900]].concat());
    for (kept, expected) in [
        (40, vec!["10.7.10.10 tcp/80 open http possible"]),
        (96, vec!["10.7.10.10 tcp/80 open http proven"]),
        (34, vec!["10.7.10.10 tcp/80 open http possible"]),
        (30, vec![]),
    ] {
        let cut: Vec<Vec<u8>> = line
            .packets
            .iter()
            .map(|packet| packet[..kept.min(packet.len())].to_vec())
            .collect();
        assert_eq!(watched(&cut).told(), expected, "{kept}");
    }
}

#[test]
fn a_router_has_no_addresses_and_its_neighbours_have_theirs() {
    let frame = |mac: u8, hops: u8, from: &str| {
        let mut packet = ip(17, from, SERVER, &udp(40_000, 9, b""));
        packet[8] = hops;
        let mut frame = ethernet(&packet);
        frame[6..12].copy_from_slice(&[0, 0x90, 0xe8, 0, 0, mac]);
        frame
    };
    let arp = hex(
        "ff ff ff ff ff ff 02 00 00 00 00 09 08 06 00 01 08 00 06 04 00 02 02 00 00 00 00 09 0a 07 0a 09 02 00 00 00 00 05 0a 07 0a 05",
    );
    let outcome = outcome(&pcap(
        1,
        &[
            frame(1, 64, "10.7.10.3"),
            // Forwarded: one hop is gone.
            frame(2, 63, "10.7.30.3"),
            frame(3, 64, "10.8.0.1"),
            frame(3, 64, "10.8.0.2"),
            frame(3, 64, "10.8.0.3"),
            arp,
        ],
    ));
    let found: Vec<String> = outcome
        .found
        .neighbours()
        .iter()
        .map(|one| format!("{} {}", one.mac, one.address.unwrap()))
        .collect();
    assert_eq!(
        found,
        ["00:90:e8:00:00:01 10.7.10.3", "02:00:00:00:00:09 10.7.10.9"]
    );
    assert_eq!(outcome.counted.routers, 1);
}

#[test]
fn nobody_listens_on_port_0_or_at_an_address_that_no_host_can_have() {
    let answer = |from: &str, port: u16| ip(6, from, CLIENT, &tcp(port, 40_000, (9, 10), 0x12, &[]));
    let outcome = watched(&[
        answer("10.7.10.9", 0),
        answer("255.255.255.255", 80),
        answer("224.0.0.1", 80),
        answer("0.0.0.0", 80),
        ip(17, SERVER, CLIENT, &udp(0, 40_000, b"x")),
    ]);
    assert_eq!(outcome.told(), Vec::<String>::new());
    let passed_over = &outcome.counted.passed_over;
    let count = passed_over
        .iter()
        .find(|(reason, _)| reason.contains("port 0"))
        .unwrap()
        .1;
    assert_eq!(*count, 5);
}

/// What one client was told says nothing of another one, least of all when nobody saw the other one ask.
#[test]
fn a_forged_answer_to_somebody_else_does_not_hide_what_a_client_was_told() {
    let real = Line::open(54_321)
        .asks(b"????")
        .answers(&[0x28, 0x10, 0, 0x29, 0, 0, 0, 0]);
    let forged = |flags: u8, numbers: (u32, u32), payload: &[u8]| {
        ip(
            6,
            SERVER,
            "10.7.20.66",
            &tcp(54_321, 40_000, numbers, flags, payload),
        )
    };
    let mut frames = real.packets;
    frames.push(forged(0x12, (99, 10), &[]));
    frames.push(forged(0x18, (100, 10), b"SSH-2.0-OpenSSH_9\r\n"));
    let outcome = watched(&frames);
    let best = |client: &str| {
        let of = |one: &&Observation| one.source.is_some_and(|source| source.to_string() == client);
        let observation = outcome.observations.iter().find(of).unwrap();
        let best = observation.best().unwrap();
        (best.service.to_string(), best.grade)
    };
    assert_eq!(best("10.7.20.5"), ("moxa-mdm-gateway".into(), Grade::Likely));
    assert_eq!(best("10.7.20.66"), ("ssh".into(), Grade::Likely));
}

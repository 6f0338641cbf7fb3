//! What must never go out, read from the bytes of all requests alone and without the code that permits them.

use std::net::IpAddr;

use super::*;

/// Every request of a service, as it goes on the wire.
fn requests() -> Vec<(String, Vec<u8>)> {
    let knowledge = Knowledge::builtin().unwrap();
    let mut requests = Vec::new();
    for service in knowledge.services.values() {
        let Some(port) = service.ports.first().copied() else {
            continue;
        };
        for request in service.request.iter().chain(&service.further) {
            let bytes = request.bytes_for(IpAddr::from([127, 0, 0, 1]), port);
            requests.push((service.name.to_string(), bytes));
        }
    }
    // It has no file of bytes, for each question carries a number of its own.
    requests.push((crate::profinet::SERVICE.into(), crate::profinet::identify_all(1)));
    requests
}

#[test]
fn stations_of_profinet_are_asked_who_they_are_and_neither_set_nor_blinked() {
    for bytes in of("profinet-dcp") {
        // Identify request to all: get and set are frame FEFD, service 4 is set, and blinking is a set of 5/3.
        assert_eq!(bytes[..4], [0xfe, 0xfe, 5, 0]);
        assert_eq!(bytes[10..], [0, 4, 0xff, 0xff, 0, 0]);
    }
}

fn of(service: &str) -> Vec<Vec<u8>> {
    let own = requests().into_iter().filter(|(name, _)| name == service);
    let bytes: Vec<Vec<u8>> = own.map(|(_, bytes)| bytes).collect();
    assert!(!bytes.is_empty(), "{service} has no request");
    bytes
}

fn has(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[test]
fn moxa_is_only_searched_for_and_asked_for_its_name() {
    for (service, bytes) in requests() {
        // A DSCI message of any opcode but search: its length stands in bytes 2 and 3.
        let is_dsci = bytes.len() >= 8
            && usize::from(u16::from_be_bytes([bytes[2], bytes[3]])) == bytes.len()
            && bytes[1] == 0;
        let opcodes = [0x16, 0x1e, 0x28, 0x29, 0x2c];
        assert!(!(is_dsci && opcodes.contains(&bytes[0])), "{service}");
    }
    let opcodes: Vec<(u8, usize)> = of("moxa-dsci")
        .iter()
        .map(|bytes| (bytes[0], bytes.len()))
        .collect();
    assert_eq!(opcodes, [(1, 8), (0x10, 20)], "search, then the name");
}

#[test]
fn lantronix_is_never_asked_for_its_setup_record() {
    assert_eq!(of("lantronix-search"), [[0, 0, 0, 0xf6]]);
    for (service, bytes) in requests() {
        assert!(!bytes.ends_with(&[0, 0, 0, 0xf8]), "{service}");
    }
}

#[test]
fn modbus_asks_one_unit_for_its_identification_and_reads_no_process_value() {
    let all = of("modbus-tcp");
    assert_eq!(all.len(), 1);
    // Unit, function, MEI type; never function 90, never a write.
    assert_eq!(all[0][6..9], [1, 0x2b, 0x0e]);
}

#[test]
fn telecontrol_is_neither_started_nor_interrogated_nor_swept() {
    // STARTDT act is 68 04 07; C_IC_NA_1 is type 100 in a frame longer than six bytes.
    assert_eq!(of("iec-104"), [[0x68, 4, 0x43, 0, 0, 0]]);
    let dnp3 = of("dnp3");
    assert_eq!(dnp3.len(), 1, "more than one link address");
    assert_eq!(
        (dnp3[0].len(), dnp3[0][3] & 0x0f),
        (10, 9),
        "not one Request Link Status"
    );
}

#[test]
fn controllers_are_only_read() {
    for bytes in of("bacnet-ip") {
        assert_eq!((bytes[6], bytes[9]), (0, 0x0c), "no confirmed ReadProperty");
        assert_eq!(bytes[1], 0x0a, "no unicast");
    }
    assert_eq!(of("ethernet-ip")[0][..2], [0x63, 0]);
    assert_eq!(of("omron-fins-udp")[0][10..12], [5, 1]);
    assert_eq!(of("omron-fins-tcp")[0][8..12], [0; 4]);
    for bytes in of("s7comm") {
        let connects = bytes[5] == 0xe0;
        let sets_up = bytes[7] == 0x32 && bytes[17] == 0xf0;
        assert!(connects || sets_up, "{bytes:02x?}");
    }
    for bytes in of("red-lion-crimson") {
        assert!(bytes == [0, 4, 1, 0x2b, 0x1b, 0] || bytes == [0, 4, 1, 0x2a, 0x1a, 0]);
    }
    assert!(of("ge-srtp").iter().all(|bytes| *bytes == [0; 56]));
    assert_eq!(of("pcworx").len(), 1, "the second message opens a session");
}

#[test]
fn serial_lines_are_not_opened_and_nothing_is_set() {
    assert_eq!(of("digi-realport"), [[0xfb, 1, 0xfb, 2, 0xfb, 0x18]]);
    assert_eq!(of("digi-addp")[0][4..6], [0, 1]);
    for (service, bytes) in requests() {
        assert!(!has(&bytes, b"dbps"), "{service} has a password");
    }
    for service in ["moxa-real-com", "moxa-tcp-server", "moxa-mdm-gateway"] {
        assert!(requests().iter().all(|(name, _)| name != service), "{service}");
    }
}

#[test]
fn nobody_logs_in_by_default_and_nobody_gives_a_name() {
    let mqtt = of("mqtt");
    // Flags: clean session only, so neither user name (80), password (40) nor will (04); the client id is empty.
    assert_eq!((mqtt.len(), mqtt[0][0], mqtt[0][9]), (2, 0x10, 2));
    assert_eq!(mqtt[0][12..], [0, 0]);
    assert_eq!(mqtt[1], [0xe0, 0], "neither a subscription nor a message");
    let fox = of("niagara-fox");
    assert!(fox.len() == 1 && !has(&fox[0], b"fox login"));
    assert!(!has(&of("rdp")[0], b"mstshash"));
    let knowledge = Knowledge::builtin().unwrap();
    for name in ["codesys-v2", "hart-ip", "lantronix-search", "snmp"] {
        let service = knowledge.service(&ServiceName::new(name).unwrap()).unwrap();
        assert_eq!(service.hazard, Hazard::OptIn, "{name}");
    }
    // A community is a credential.
    assert!(
        requests()
            .iter()
            .all(|(name, bytes)| name != "snmp" && !has(bytes, b"public"))
    );
}

#[test]
fn pages_are_fetched_and_nothing_is_submitted() {
    for (service, bytes) in requests() {
        let text = String::from_utf8_lossy(&bytes);
        if text.contains("HTTP/1") {
            assert!(
                text.starts_with("GET / ") || text.starts_with("GET /v2/ "),
                "{service}: {text}"
            );
            assert!(
                !text.contains("Authorization") && !text.contains("Cookie"),
                "{service}"
            );
        }
        assert!(!text.contains("mxview.key"), "{service}");
    }
}

#[test]
fn every_request_is_one_small_message() {
    for (service, bytes) in requests() {
        assert!((1..=1200).contains(&bytes.len()), "{service}");
    }
}

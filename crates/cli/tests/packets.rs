//! All packets that the program sent while its tests drove it: none that must never leave. What is forbidden is read from
//! bytes and ports alone, without the code that permits requests, and then each payload is held against that code too.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]
#![expect(clippy::print_stdout, reason = "figures are for whoever measures")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
};

use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use portcullis_capture::File;
use portcullis_knowledge::{Hazard, Knowledge};
use portcullis_model::Port;

/// Where the tests of the lab keep their captures (`lab/recorder.rs`).
const FOLDER: &str = "PORTCULLIS_TEST_PACKETS";

/// What one scan sent to one port.
#[derive(Debug, Default)]
struct Told {
    /// Source ports of connections that stood.
    connections: BTreeSet<u16>,
    /// Payloads of TCP, by source port and sequence number, and those of UDP.
    payloads: BTreeMap<(u16, u32), Vec<u8>>,
    datagrams: Vec<Vec<u8>>,
}

impl Told {
    /// The datagrams, without the one repeat of each that is due when nothing came back.
    fn questions(&self) -> Vec<&Vec<u8>> {
        let mut questions: Vec<&Vec<u8>> = Vec::new();
        for (number, datagram) in self.datagrams.iter().enumerate() {
            let earlier = self.datagrams.iter().take(number);
            if earlier.filter(|earlier| *earlier == datagram).count() != 1 {
                questions.push(datagram);
            }
        }
        questions
    }
}

#[derive(Debug, Default)]
struct Sent {
    packets: usize,
    ports: BTreeMap<(IpAddr, Port), Told>,
}

/// Reads what left a host.
fn sent(bytes: &[u8]) -> Sent {
    let mut sent = Sent::default();
    let mut file = File::open(bytes).unwrap();
    while let Some(frame) = file.next_frame().unwrap() {
        let Ok(packet) = SlicedPacket::from_ethernet(frame.bytes) else {
            continue;
        };
        let to: IpAddr = match &packet.net {
            Some(NetSlice::Ipv4(ip)) => ip.header().destination_addr().into(),
            Some(NetSlice::Ipv6(ip)) => ip.header().destination_addr().into(),
            _ => continue,
        };
        match &packet.transport {
            Some(TransportSlice::Tcp(tcp)) => {
                sent.packets += 1;
                // Half a handshake is no connection, and its reset neither.
                if tcp.syn() || tcp.rst() {
                    continue;
                }
                let place = (to, Port::tcp(tcp.destination_port()));
                let told = sent.ports.entry(place).or_default();
                told.connections.insert(tcp.source_port());
                if !tcp.payload().is_empty() {
                    let said = (tcp.source_port(), tcp.sequence_number());
                    told.payloads.insert(said, tcp.payload().to_vec());
                }
            }
            Some(TransportSlice::Udp(udp)) => {
                sent.packets += 1;
                let place = (to, Port::udp(udp.destination_port()));
                let told = sent.ports.entry(place).or_default();
                told.datagrams.push(udp.payload().to_vec());
            }
            _ => {}
        }
    }
    sent
}

/// Why these bytes must not leave for a port, if they must not. Sources: docs/out-of-scope.md and docs/knowledge.md.
fn forbidden(port: Port, bytes: &[u8]) -> Option<&'static str> {
    let at = |place: usize| bytes.get(place).copied().unwrap_or_default();
    let length = usize::from(u16::from_be_bytes([at(2), at(3)]));
    let has = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
    let text = String::from_utf8_lossy(bytes);
    let is_dsci = bytes.len() >= 8 && at(1) == 0 && length == bytes.len();
    Some(match port.number {
        _ if is_dsci && [0x16, 0x1e, 0x28, 0x29, 0x2c].contains(&at(0)) => {
            "DSCI that reads secrets or changes something"
        }
        _ if bytes.ends_with(&[0, 0, 0, 0xf8]) => "Lantronix: the setup record with its password",
        _ if has(b"fox login") || has(b"mstshash") || has(b"dbps") => "a login",
        _ if has(b"Authorization:") || has(b"Cookie:") => "credentials in HTTP",
        _ if text.contains(" HTTP/1.") && !bytes.starts_with(b"GET ") => "HTTP that is no GET",
        4800 if !matches!(at(0), 0x01 | 0x10) => "DSCI other than search and name",
        502 if at(7) != 0x2b || at(8) != 0x0e => "Modbus other than the identification",
        2404 if bytes != [0x68, 4, 0x43, 0, 0, 0] => "IEC 104 other than a test frame",
        20000 if bytes.len() != 10 || at(3) & 0x0f != 9 => "DNP3 other than one link status",
        47808 if at(9) != 0x0c => "BACnet other than ReadProperty",
        44818 if at(0) != 0x63 => "EtherNet/IP other than ListIdentity",
        102 if at(5) != 0xe0 && at(17) != 0xf0 => "S7comm beyond connecting and setting up",
        9600 if bytes.starts_with(b"FINS") && bytes[8..12] != [0; 4] => "FINS beyond the node address",
        9600 if !bytes.starts_with(b"FINS") && bytes.get(10..12) != Some(&[5, 1]) => "FINS other than read",
        161 if has(b"\x04\x06public") || has(b"\x04\x07private") => "a community that nobody gave",
        1883 if at(0) == 0x10 && at(9) & 0b1100_0100 != 0 => "MQTT with a name, a password or a will",
        1883 if !matches!(at(0), 0x10 | 0xe0) => "MQTT beyond connecting",
        21..=23 | 5900 | 9999 => "a payload for one who speaks first",
        _ => return None,
    })
}

/// Everything that is wrong with what one command sent.
fn wrong(sent: &Sent, command: &[String], knowledge: &Knowledge) -> Vec<String> {
    let silent: BTreeSet<Port> = knowledge
        .names()
        .iter()
        .filter_map(|name| knowledge.service(name))
        .filter(|service| service.hazard == Hazard::Silent)
        .flat_map(|service| service.ports.iter().copied())
        .collect();
    let named = |option: &str| -> BTreeSet<&str> {
        let pairs = command.windows(2).filter(|pair| pair[0] == option);
        pairs.map(|pair| pair[1].as_str()).collect()
    };
    let (guards, servers) = (named("--guard"), named("--nats"));
    let most = if command.iter().any(|word| word == "--second-look") {
        2
    } else {
        1
    };
    let mut wrong = Vec::new();
    for ((address, port), told) in &sent.ports {
        // A guard is asked for its answer time again and again, which is what it is named for.
        if guards.contains(format!("{address}:{}", port.number).as_str()) {
            continue;
        }
        // Nor is a NATS server looked at: it is talked to, encrypted.
        if servers.contains(format!("tls://{address}:{}", port.number).as_str()) {
            continue;
        }
        let mut complain = |what: String| wrong.push(format!("{address} {port}: {what}"));
        let datagrams = told.questions();
        let payloads: Vec<&Vec<u8>> = told.payloads.values().chain(datagrams).collect();
        for bytes in &payloads {
            if let Some(why) = forbidden(*port, bytes) {
                complain(format!("{why}: {bytes:02x?}"));
            }
            if !is_known(knowledge, *address, *port, bytes) {
                complain(format!("no request of any service: {bytes:02x?}"));
            }
        }
        if silent.contains(port) && !payloads.is_empty() {
            complain("a payload for the port of a silent service".into());
        }
        if told.datagrams.iter().any(Vec::is_empty) {
            complain("an empty datagram".into());
        }
        let looks = told.connections.len();
        // Where a port was silent, one that is known to answer is asked again beside the second look, as a canary (docs/scanning.md).
        // That one is told nothing.
        if looks > 2 {
            complain(format!("{looks} connections"));
        }
        if payloads.len() > most {
            complain(format!("{} payloads", payloads.len()));
        }
    }
    wrong
}

/// Whether some service may be asked so.
fn is_known(knowledge: &Knowledge, address: IpAddr, port: Port, bytes: &[u8]) -> bool {
    let names = knowledge.names();
    let mut services = names.iter().filter_map(|name| knowledge.service(name));
    let first = services.any(|service| {
        let request = service.request.as_ref();
        request.is_some_and(|request| request.bytes_for(address, port) == bytes)
    });
    // What is asked further is made from the answer; a read of SNMP from the community that a person gave.
    first || forbidden(port, bytes).is_none() && matches!(port.number, 102 | 161 | 789 | 4800 | 47808)
}

fn command_of(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file.with_extension("command")).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// Looks through what the tests of the lab have sent, which cargo runs before this one. `make test` names the folder; where
/// none is named nothing was recorded.
#[test]
fn nothing_that_the_suite_sent_must_never_leave() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else {
        return;
    };
    let knowledge = Knowledge::builtin().unwrap();
    let (mut captures, mut packets, mut payloads) = (0, 0, 0);
    let mut found = Vec::new();
    for entry in fs::read_dir(&folder).unwrap() {
        let file = entry.unwrap().path();
        if file.extension().is_none_or(|extension| extension != "pcap") {
            continue;
        }
        let (sent, command) = (sent(&fs::read(&file).unwrap()), command_of(&file));
        captures += 1;
        packets += sent.packets;
        let ports = sent.ports.values();
        payloads += ports
            .map(|told| told.payloads.len() + told.datagrams.len())
            .sum::<usize>();
        let wrong = wrong(&sent, &command, &knowledge);
        found.extend(wrong.iter().map(|what| format!("{}: {what}", command.join(" "))));
    }
    println!("figure packets_inspected {packets}");
    println!("{captures} captures, {payloads} payloads");
    assert!(
        found.is_empty(),
        "{} packets too many:\n{}",
        found.len(),
        found.join("\n")
    );
    assert!(
        captures > 0 && packets > 0 && payloads > 0,
        "nothing was captured in {}",
        folder.display()
    );
}

/// A capture that somebody made up.
fn forged(packets: &[(Port, u16, &[u8])]) -> Vec<u8> {
    let mut pcap = b"\xd4\xc3\xb2\xa1\x02\0\x04\0\0\0\0\0\0\0\0\0\xff\xff\0\0\x01\0\0\0".to_vec();
    for (number, (port, from, bytes)) in packets.iter().enumerate() {
        let builder =
            etherparse::PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4([10, 77, 0, 1], [10, 77, 0, 2], 64);
        let mut frame = Vec::new();
        if *port == Port::tcp(port.number) {
            let tcp = builder.tcp(*from, port.number, number as u32, 65_535).ack(7);
            tcp.write(&mut frame, bytes).unwrap();
        } else {
            builder.udp(*from, port.number).write(&mut frame, bytes).unwrap();
        }
        let length = frame.len() as u32;
        for number in [7, 0, length, length] {
            pcap.extend(u32::to_le_bytes(number));
        }
        pcap.extend(frame);
    }
    pcap
}

fn complaints(packets: &[(Port, u16, &[u8])], command: &str) -> Vec<String> {
    let command: Vec<String> = command.split(' ').map(str::to_owned).collect();
    wrong(&sent(&forged(packets)), &command, &Knowledge::builtin().unwrap())
}

#[test]
fn what_must_never_leave_is_found_in_a_forged_capture() {
    let identify: &[u8] = &[0, 0, 0, 0, 0, 5, 1, 0x2b, 0x0e, 1, 0];
    let write: &[u8] = &[0, 0, 0, 0, 0, 6, 1, 6, 0, 1, 0, 1];
    let search: &[u8] = &[1, 0, 0, 8, 0, 0, 0, 0];
    let network: &[u8] = &[0x16, 0, 0, 8, 0, 0, 0, 0];
    let (modbus, dsci) = (Port::tcp(502), Port::udp(4800));
    let one = |port, bytes| complaints(&[(port, 40_000, bytes)], "scan");
    assert_eq!(one(dsci, search), Vec::<String>::new());
    for (port, bytes, why) in [
        (modbus, write, "Modbus other than"),
        (dsci, network, "DSCI that reads"),
        (Port::udp(30_718), &[0, 0, 0, 0xf8][..], "Lantronix"),
        (Port::tcp(2404), &[0x68, 4, 7, 0, 0, 0], "IEC 104 other"),
        (Port::tcp(80), b"POST / HTTP/1.1\r\n\r\n", "no GET"),
        (Port::tcp(22), b"SSH-2.0-x\r\n", "who speaks first"),
        (Port::tcp(54_321), b"x", "a silent service"),
        (Port::udp(161), b"\x30\x0b\x02\x01\0\x04\x06public", "nobody gave"),
        (Port::udp(4800), b"", "an empty datagram"),
        (Port::tcp(7), b"hello", "no request of any service"),
    ] {
        let found = one(port, bytes);
        assert!(found.iter().any(|what| what.contains(why)), "{why}: {found:?}");
    }
    let twice = [(modbus, 40_000, identify), (modbus, 40_000, identify)];
    assert!(
        complaints(&twice, "scan")
            .iter()
            .any(|what| what.ends_with("2 payloads"))
    );
    assert!(
        !complaints(&twice, "scan --second-look")
            .iter()
            .any(|what| what.ends_with("payloads"))
    );
    let asked = |times| complaints(&[(dsci, 40_000, search)].repeat(times), "scan");
    assert_eq!(asked(2), Vec::<String>::new(), "a datagram is repeated once");
    assert_eq!(asked(3), ["10.77.0.2 udp/4800: 2 payloads"]);
    let again = [40_000, 40_001, 40_002].map(|from| (modbus, from, &b""[..]));
    let canary = complaints(&again[..2], "scan");
    assert_eq!(canary, Vec::<String>::new(), "a canary says nothing");
    assert_eq!(complaints(&again, "scan"), ["10.77.0.2 tcp/502: 3 connections"]);
    assert_eq!(
        complaints(&again, "scan --guard 10.77.0.2:502"),
        Vec::<String>::new()
    );
}

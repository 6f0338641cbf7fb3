//! Learning how a gateway behaves, and recognising its sibling: stand-ins on loopback, driven through the program.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

use std::{
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::Path,
    process::{Command, Output},
    thread,
    time::Duration,
};

use serde_json::Value;

/// How a stand-in behaves on a connection.
type Serve = fn(TcpStream);

/// Takes what it is sent, never answers, and keeps its side open for a while when its peer ends.
fn gateway(mut connection: TcpStream) {
    let mut buffer = [0; 64];
    while connection.read(&mut buffer).is_ok_and(|length| length > 0) {}
    thread::sleep(Duration::from_secs(2));
}

/// As silent, and ends when its peer does, as ordinary servers do.
fn ordinary(mut connection: TcpStream) {
    let mut buffer = [0; 64];
    while connection.read(&mut buffer).is_ok_and(|length| length > 0) {}
}

/// As ordinary, and ends after two seconds by itself.
fn timed(connection: TcpStream) {
    let _ = connection.set_read_timeout(Some(Duration::from_secs(2)));
    ordinary(connection);
}

/// As silent, and ends every connection after one second, whatever its peer does.
fn impatient(connection: TcpStream) {
    thread::sleep(Duration::from_secs(1));
    drop(connection);
}

fn web(mut connection: TcpStream) {
    let _ = connection.write_all(b"HTTP/1.1 400 Bad Request\r\nServer: x\r\n\r\n");
}

const KNOWN: Ipv4Addr = Ipv4Addr::new(127, 7, 0, 1);
const SIBLING: Ipv4Addr = Ipv4Addr::new(127, 7, 0, 2);
const OTHER: Ipv4Addr = Ipv4Addr::new(127, 7, 0, 3);
const COUNTER: Ipv4Addr = Ipv4Addr::new(127, 7, 0, 4);
const WEB: Ipv4Addr = Ipv4Addr::new(127, 7, 0, 5);
const TIMED: Ipv4Addr = Ipv4Addr::new(127, 7, 0, 6);
const ORDINARY: Ipv4Addr = Ipv4Addr::new(127, 7, 0, 7);

/// All stand-ins on one port, each at an address of its own.
fn plant() -> u16 {
    let first = TcpListener::bind((KNOWN, 0)).unwrap();
    let port = first.local_addr().unwrap().port();
    serve(first, gateway);
    let others: [(Ipv4Addr, Serve); 6] = [
        (SIBLING, gateway),
        (OTHER, impatient),
        (COUNTER, impatient),
        (WEB, web),
        (TIMED, timed),
        (ORDINARY, ordinary),
    ];
    for (address, behaves) in others {
        serve(TcpListener::bind((address, port)).unwrap(), behaves);
    }
    port
}

fn serve(listener: TcpListener, behaves: Serve) {
    thread::spawn(move || {
        for connection in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || behaves(connection));
        }
    });
}

fn portcullis(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(["--store", "plant.sqlite", "--config", "site.toml"])
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8([&output.stdout[..], &output.stderr].concat()).unwrap()
}

#[track_caller]
fn records(output: &Output) -> Vec<Value> {
    assert_eq!(output.status.code(), Some(0), "{}", text(output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A site on which the gateway was moved to this port.
fn site(port: u16) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let site = format!(
        "[site]\nname='p'\n[[zone]]\nname='plant'\nnetworks=['127.7.0.0/24']\n[[service]]\n\
         name='moxa-mdm-gateway'\nalso_on=['tcp/{port}']\n"
    );
    fs::write(folder.path().join("site.toml"), site).unwrap();
    folder
}

fn service_of(assets: &[Value], address: Ipv4Addr) -> Value {
    let asset = assets
        .iter()
        .find(|asset| asset["address"] == address.to_string());
    asset.unwrap()["services"][0].clone()
}

#[test]
fn a_sibling_is_recognised_and_another_silent_service_is_not() {
    let port = plant();
    let folder = site(port);
    let run = |arguments: &[&str]| portcullis(folder.path(), arguments);
    let at = |address: Ipv4Addr| format!("{address}:{port}");
    let (known, sibling, counter, other) = (at(KNOWN), at(SIBLING), at(COUNTER), at(OTHER));
    let learn = |place: &str, further: &[&str]| {
        let fixed = [
            "learn",
            place,
            "--as",
            "moxa-mdm-gateway",
            "--looks",
            "4",
            "--patience",
            "2s",
        ];
        let arguments = [&["--format", "json"][..], &fixed, further].concat();
        records(&run(&arguments))
    };

    // Without a counter-example a likeness is told and counts nothing.
    let learned = learn(&known, &[]);
    assert_eq!(learned[0]["schema"], "portcullis.signature/1");
    let looks = learned[0]["looks"].as_array().unwrap();
    assert_eq!(looks.len(), 4);
    assert_eq!(
        looks[0]["behaviour"]["answer_to_end"], "kept-open",
        "{learned:#?}"
    );
    assert!(looks[1]["behaviour"]["listened_ms"].as_u64().unwrap() >= 2000);
    let scan = ["scan", "127.7.0.1-3", "--ports", &port.to_string(), "--quiet"];
    assert_eq!(run(&scan).status.code(), Some(0));
    let assets = records(&run(&["--format", "json", "assets"]));
    assert_eq!(service_of(&assets, KNOWN)["grade"], "likely");
    let found = service_of(&assets, SIBLING);
    assert_eq!(found["grade"], "possible");
    let told = found["assessment"]["not_counted"][0].as_str().unwrap();
    assert!(
        told.starts_with(&format!(
            "behaves like {KNOWN} tcp/{port}, which the operator knows"
        )),
        "{told}"
    );
    assert!(told.contains("counts nothing"), "{told}");

    // With one, the sibling is likely, and what behaves differently stays possible.
    learn(&known, &["--not", &counter]);
    let assets = records(&run(&["--format", "json", "assets"]));
    assert_eq!(service_of(&assets, SIBLING)["grade"], "likely", "{assets:#?}");
    let unlike = service_of(&assets, OTHER);
    assert_eq!(unlike["grade"], "possible");
    let lowered = unlike["assessment"]["lowered_by"][0].as_str().unwrap();
    assert!(lowered.starts_with(&format!("unlike {KNOWN}")), "{lowered}");
    let shown = text(&run(&["-v", "assets"]));
    assert!(
        shown.contains("and unlike 1 counter-example(s) of this site"),
        "{shown}"
    );

    // Two known hosts and a counter-example are enough for a figure.
    let learned = learn(&sibling, &[]);
    let figure = learned.last().unwrap();
    assert_eq!(figure["schema"], "portcullis.signature-error/1");
    for (name, count) in [
        ("hosts", 2),
        ("tried", 4),
        ("missed", 0),
        ("tried_against", 2),
        ("false_matches", 0),
    ] {
        assert_eq!(figure[name], count, "{name}: {figure}");
    }
    let listed = text(&run(&["learn", "--list"]));
    assert!(
        listed.contains("missed matches: 0 of 4 looks as a scan makes them (800 ms) at 2 known hosts")
            && listed.contains("not moxa-mdm-gateway"),
        "{listed}"
    );

    // What was said before of a port is not silently another thing.
    let again = ["--looks", "2", "--patience", "1s"];
    let learn_again = [
        &["learn", &counter, "--as", "moxa-mdm-gateway", "--not", &other][..],
        &again,
    ]
    .concat();
    let replaced = text(&run(&learn_again));
    assert!(
        replaced.contains(&format!("that {COUNTER} tcp/{port} is not moxa-mdm-gateway, by "))
            && replaced.contains("(utc)")
            && replaced.matches("is replaced").count() == 1,
        "{replaced}"
    );
    let records_of = records(&run(&[&["--format", "json"], &learn_again[..]].concat()));
    assert!(
        records_of
            .iter()
            .all(|one| one["schema"] != "portcullis.signature-replaced/1")
    );
    assert_eq!(run(&["learn", "--forget", &other]).status.code(), Some(0));

    // Everything that was done is on record, with all ports of which something was said, and can be forgotten.
    let audit = text(&run(&["audit", "list"]));
    assert_eq!(audit.matches("learn.start").count(), 5);
    assert!(
        audit.contains(&format!("{known} as moxa-mdm-gateway, not {counter}")),
        "{audit}"
    );
    assert_eq!(run(&["learn", "--forget", &known]).status.code(), Some(0));
    assert_eq!(records(&run(&["--format", "json", "learn", "--list"])).len(), 3);
    let gone = run(&["learn", "--forget", &known]);
    assert!(
        gone.status.code() == Some(2) && text(&gone).contains("error[LN007]"),
        "{}",
        text(&gone)
    );
}

/// A gateway that ends by itself after a time that no scan waits, and otherwise as anybody does: nobody is taken for it.
#[test]
fn an_ordinary_silent_server_is_not_taken_for_the_gateway() {
    let port = plant();
    let folder = site(port);
    let run = |arguments: &[&str]| portcullis(folder.path(), arguments);
    let (known, counter) = (format!("{TIMED}:{port}"), format!("{SIBLING}:{port}"));
    let learn = ["learn", &known, "--as", "moxa-mdm-gateway", "--not", &counter];
    let learned = run(&[&learn[..], &["--looks", "2", "--patience", "4s"]].concat());
    assert_eq!(learned.status.code(), Some(0), "{}", text(&learned));
    let scan = [
        "scan",
        &ORDINARY.to_string(),
        "--ports",
        &port.to_string(),
        "--quiet",
    ];
    assert_eq!(run(&scan).status.code(), Some(0));
    let assets = records(&run(&["--format", "json", "assets"]));
    let found = service_of(&assets, ORDINARY);
    assert_eq!(found["grade"], "possible", "{found:#}");
    let told = found["assessment"]["not_counted"][0].as_str().unwrap();
    assert!(told.contains("too short to see it"), "{told}");
}

#[test]
fn what_may_not_be_looked_at_or_is_no_gateway_teaches_nothing() {
    let port = plant();
    let folder = site(port);
    let run = |arguments: &[&str]| portcullis(folder.path(), &[&["learn"], arguments].concat());
    let gateway = ["--as", "moxa-mdm-gateway", "--looks", "2", "--patience", "1s"];
    let (web, known) = (format!("{WEB}:{port}"), format!("{KNOWN}:{port}"));
    let nobody = {
        let free = TcpListener::bind("127.7.0.9:0").unwrap();
        free.local_addr().unwrap().to_string()
    };
    for (place, further, code, exit) in [
        ("192.0.2.1:54321", &[][..], "OP002", 4),
        ("198.51.100.7:54321", &[], "OP002", 4),
        (&known, &["--not", "192.0.2.1:7000"], "OP002", 4),
        (&known, &["--not", &known], "LN002", 2),
        (&known, &["--not", "127.7.0.9:950"], "LN003", 4),
        (&nobody, &[], "LN004", 5),
        (&web, &[], "LN005", 4),
        (&known, &["--permission", "none.toml"], "OP001", 2),
    ] {
        let refused = run(&[&[place], &gateway[..], further].concat());
        let said = text(&refused);
        assert!(
            refused.status.code() == Some(exit) && said.contains(&format!("error[{code}]")),
            "{place} {further:?}: {said}"
        );
        // Looks are announced when nothing refuses them any more.
        let looked = ["LN004", "LN005"].contains(&code);
        assert_eq!(said.contains("look(s) at each"), looked, "{said}");
    }
    let unknown = run(&[&known, "--as", "no-such-service"]);
    assert!(text(&unknown).contains("error[LN001]"), "{}", text(&unknown));
    for (place, says) in [
        ("127.7.0.1:0", "from 1 to 65535"),
        ("udp/127.7.0.1:161", "only TCP ports can be learned"),
        ("127.7.0.1:udp/161", "only TCP ports can be learned"),
        ("127.7.0.1", "write ADDRESS:PORT"),
    ] {
        for arguments in [&[place][..], &[&known, "--not", place]] {
            let refused = run(&[arguments, &gateway[..]].concat());
            let said = text(&refused);
            assert!(
                refused.status.code() == Some(2) && said.contains("error[CL002]") && said.contains(says),
                "{arguments:?}: {said}"
            );
        }
    }
    // What shows itself, or has no TCP port, is not recognised by silence.
    for (service, why) in [
        ("ssh", "shows itself"),
        ("modbus-tcp", "shows itself"),
        ("moxa-dsci", "no TCP port"),
        ("snmp", "no TCP port"),
        ("profinet-dcp", "no TCP port"),
    ] {
        let refused = run(&[&known, "--as", service]);
        let said = text(&refused);
        assert!(
            refused.status.code() == Some(2) && said.contains("error[LN009]") && said.contains(why),
            "{service}: {said}"
        );
    }
    let listed = text(&run(&["--list"]));
    assert!(listed.starts_with("Nothing was learned"), "{listed}");
}

/// A capture of raw IP in which the known port answers a client so.
fn capture(port: u16, answer: &[u8]) -> Vec<u8> {
    let (server, client) = (KNOWN.octets(), [127, 7, 0, 99]);
    let packet = |to_server: bool, numbers: (u32, u32), flags: u8, payload: &[u8]| {
        let (from, to) = if to_server {
            (client, server)
        } else {
            (server, client)
        };
        let ports = if to_server { [40_000, port] } else { [port, 40_000] };
        let length = (40 + payload.len() as u16).to_be_bytes();
        let mut bytes = vec![0x45, 0, length[0], length[1], 0, 0, 0x40, 0, 64, 6, 0, 0];
        bytes.extend([from, to].concat());
        bytes.extend(ports.iter().flat_map(|port| port.to_be_bytes()));
        bytes.extend(numbers.0.to_be_bytes().iter().chain(&numbers.1.to_be_bytes()));
        bytes.extend([0x50, flags, 0x20, 0, 0, 0, 0, 0]);
        bytes.extend(payload);
        bytes
    };
    let mut file = b"\xd4\xc3\xb2\xa1\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\x04\0\x65\0\0\0".to_vec();
    for frame in [
        packet(true, (9, 0), 2, &[]),
        packet(false, (99, 10), 0x12, &[]),
        packet(true, (10, 100), 0x18, b"????"),
        packet(false, (100, 14), 0x18, answer),
    ] {
        let length = frame.len() as u32;
        let words = [1_795_392_000, 250_000, length, length];
        file.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        file.extend(frame);
    }
    file
}

#[test]
fn the_first_bytes_of_a_captured_session_are_learned_too() {
    let port = plant();
    let folder = site(port);
    fs::write(
        folder.path().join("a.pcap"),
        capture(port, b"\x28\x10\x00\x29\0\0"),
    )
    .unwrap();
    fs::write(folder.path().join("b.pcap"), capture(1, b"\x28\x10\x00\x29\0\0")).unwrap();
    let known = format!("{KNOWN}:{port}");
    let learn = |file: &str| {
        let fixed = ["--looks", "2", "--patience", "1s", "--from-capture", file];
        let arguments = [
            &["--format", "json", "learn", &known, "--as", "moxa-mdm-gateway"],
            &fixed[..],
        ];
        portcullis(folder.path(), &arguments.concat())
    };
    assert_eq!(records(&learn("a.pcap"))[0]["overheard"], "281000290000");
    let missing = learn("b.pcap");
    assert!(
        missing.status.code() == Some(2) && text(&missing).contains("error[LN006]"),
        "{}",
        text(&missing)
    );
}

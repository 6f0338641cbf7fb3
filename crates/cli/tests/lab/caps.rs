//! How much a device and a network get in any time, counted where it arrives.

use std::{
    io::{Read, Write},
    time::Duration,
};

use crate::{
    segments::{Arrived, fullest},
    wire::{FAR, Scanned, Wire, inside, silent},
};

const SECOND: Duration = Duration::from_secs(1);
const TENTH: Duration = Duration::from_millis(100);

/// Open ports that wait to be spoken to, closed ones, silent ones, and one that is refused by message.
const PORTS: &str = "102,502,1911,2404,4840,20000,20001,20002,20003,20004,44818,54321";

fn device(wire: &Wire) {
    wire.serve(54321, silent);
    wire.serve(502, silent);
    wire.on_arrival("tcp dport { 102, 1911 } drop; tcp dport 2404 reject with icmpx admin-prohibited");
}

#[test]
fn a_device_never_gets_more_than_its_cap_and_the_run_tells_each_packet() {
    if !inside("caps::a_device_never_gets_more_than_its_cap_and_the_run_tells_each_packet") {
        return;
    }
    let wire = Wire::new();
    device(&wire);
    for (mode, ports) in [
        ("connect", format!("{PORTS},udp/4800")),
        ("syn", PORTS.to_owned()),
    ] {
        let capture = wire.capture();
        let scanned = wire
            .scan(&[FAR, "--ports", &ports, "--per-host", "20", "--mode", mode])
            .with(0);
        let arrived = capture.end();
        let states = |state: &str| scanned.states.values().filter(|one| *one == state).count();
        let closed = if mode == "connect" { 8 } else { 7 };
        assert_eq!(
            (states("open"), states("closed"), states("filtered")),
            (2, closed, 1),
            "{mode}"
        );
        held(&arrived, 20, 2);
        agrees(&scanned, FAR, &arrived);
    }
}

/// To what a device says by itself our kernel answers at once, beside any turn: docs/known-issues.md.
#[test]
fn a_device_that_speaks_or_hangs_up_by_itself_gets_one_acknowledgement_beside_its_cap() {
    if !inside("caps::a_device_that_speaks_or_hangs_up_by_itself_gets_one_acknowledgement_beside_its_cap") {
        return;
    }
    let wire = Wire::new();
    device(&wire);
    wire.serve(22, |mut stream| {
        let _ = stream.write_all(b"SSH-2.0-device\r\n");
        silent(stream);
    });
    wire.serve(8080, drop);
    let capture = wire.capture();
    let scanned = wire
        .scan(&[FAR, "--ports", "22,8080,20000,20001,54321", "--per-host", "20"])
        .with(0);
    let arrived = capture.end();
    held(&arrived, 20, 3);
    agrees(&scanned, FAR, &arrived);
}

/// What the device may say is bounded by the room that it was told of: the next piece is read when its turn has come.
#[test]
fn a_device_that_talks_without_end_gets_no_more_acknowledgements_than_its_cap() {
    if !inside("caps::a_device_that_talks_without_end_gets_no_more_acknowledgements_than_its_cap") {
        return;
    }
    let wire = Wire::new();
    wire.serve(23, |mut stream| while stream.write_all(&[b'x'; 4096]).is_ok() {});
    wire.serve(80, |mut stream| {
        let _ = stream.read(&mut [0; 512]);
        let _ = stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n<title>large</title>");
        let _ = stream.write_all(&[b' '; 1_000_000]);
    });
    for cap in [5, 20] {
        let capture = wire.capture();
        let scanned = wire
            .scan(&[FAR, "--ports", "23,80", "--per-host", &cap.to_string()])
            .with(0);
        let arrived = capture.end();
        assert_eq!(
            (scanned.state(FAR, "tcp/23"), scanned.state(FAR, "tcp/80")),
            ("open", "open")
        );
        // Its first two segments, and its questions whether there is room again, our kernel acknowledges by itself.
        held(&arrived, cap + 3, 5);
        let felt = scanned.felt(FAR)["packets"].as_u64().unwrap() as usize;
        assert!(
            (felt..=felt + 2).contains(&arrived.len()),
            "{felt}\n{}",
            list(&arrived)
        );
    }
}

#[test]
fn a_network_never_gets_more_than_its_budget() {
    if !inside("caps::a_network_never_gets_more_than_its_budget") {
        return;
    }
    let wire = Wire::new();
    wire.network(1..=40);
    wire.serve(54321, silent);
    for mode in ["syn", "connect"] {
        let capture = wire.capture();
        let scan = [
            "10.80.0.0/26",
            "--ports",
            "54321,502",
            "--per-subnet",
            "60",
            "--mode",
            mode,
        ];
        let scanned = wire.scan(&scan).with(0);
        let mut arrived = capture.end();
        arrived.retain(|one| one.segment.protocol == 6);
        held(&arrived, 60, 6);
        // Who looks by half-open connections asks for the router's address himself.
        let packets = scanned.coverage()["packets"].as_u64().unwrap() as usize;
        assert!(
            (arrived.len()..=arrived.len() + 1).contains(&packets),
            "{mode}: {packets} of {}",
            arrived.len()
        );
        for host in (1..=40).map(|host| format!("10.80.0.{host}")) {
            let own: Vec<Arrived> = arrived
                .iter()
                .filter(|one| one.segment.to.to_string() == host)
                .copied()
                .collect();
            agrees(&scanned, &host, &own);
        }
    }
}

/// Whatever a device does, the kernel that looks at it must not repeat itself faster than the cap.
#[test]
fn a_device_that_acknowledges_nothing_gets_no_more_and_is_called_a_tarpit() {
    if !inside("caps::a_device_that_acknowledges_nothing_gets_no_more_and_is_called_a_tarpit") {
        return;
    }
    let wire = Wire::new();
    wire.serve(502, silent);
    wire.serve(20000, silent);
    wire.on_arrival("tcp dport { 502, 20000 } tcp flags & (syn | rst) == 0 meta length > 60 drop");
    let capture = wire.capture();
    let scanned = wire.scan(&[FAR, "--ports", "502,20000", "--per-host", "20"]);
    let arrived = capture.end();
    assert!(scanned.labels(FAR).contains_key("tarpit"), "{:#}", scanned.run);
    held(&arrived, 20, 2);
    // At the end a connection is reset, and what the device says to that is reset once more, which nobody counts.
    let felt = scanned.felt(FAR)["packets"].as_u64().unwrap() as usize;
    assert!(
        (felt..=felt + 2).contains(&arrived.len()),
        "{felt}\n{}",
        list(&arrived)
    );
    let later = wire.capture();
    std::thread::sleep(SECOND * 2);
    assert_eq!(later.end().len(), 0, "it goes on after the scan");
}

/// The run tells exactly what was counted.
#[track_caller]
fn agrees(scanned: &Scanned, address: &str, arrived: &[Arrived]) {
    let felt = scanned.felt(address);
    assert_eq!(felt["packets"], arrived.len(), "{felt}\n{}", list(arrived));
}

/// No more than so many within any second and any tenth of one.
#[track_caller]
fn held(arrived: &[Arrived], second: usize, tenth: usize) {
    for (window, most) in [(SECOND, second), (TENTH, tenth)] {
        let worst = fullest(arrived, window);
        let count = worst.len();
        assert!(
            count <= most,
            "{count} packets within {window:?}, not {most}\n{}",
            list(worst)
        );
    }
}

fn list(arrived: &[Arrived]) -> String {
    let begin = arrived.first().map_or(Duration::ZERO, |first| first.at);
    let line = |one: &Arrived| {
        let segment = one.segment;
        format!(
            "{:?} {} {} {:#x} {}\n",
            one.at - begin,
            segment.to,
            segment.port,
            segment.flags,
            segment.data
        )
    };
    arrived.iter().map(line).collect()
}

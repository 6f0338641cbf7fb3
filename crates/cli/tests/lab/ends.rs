//! A scan always ends, whatever the wire does, and says what it could not learn. `PORTCULLIS_SOAK` says how often it looks
//! into a silent wire; once in each mode otherwise.

use std::{thread, time::Duration};

use crate::wire::{FAR, Wire, inside, ip, silent};

const MODES: [&str; 2] = ["connect", "syn"];
/// Two looks and the time between them, on a busy machine.
const SOON: Duration = Duration::from_secs(15);

#[test]
fn on_a_silent_wire() {
    if !inside("ends::on_a_silent_wire") {
        return;
    }
    let wire = Wire::new();
    wire.network(0..0);
    let soak = std::env::var("PORTCULLIS_SOAK")
        .ok()
        .and_then(|text| text.parse().ok());
    let runs: u32 = soak.map_or(1, |runs: u32| runs);
    let mut ended = 0;
    for mode in MODES.into_iter().cycle().take(2 * runs as usize) {
        let scanned = wire.scan(&[
            "10.80.0.0/28",
            "--ports",
            "54321,502",
            "--per-host",
            "100",
            "--mode",
            mode,
        ]);
        assert!(scanned.took < SOON, "{mode}: {:?}", scanned.took);
        assert_eq!(scanned.coverage()["loss"], serde_json::Value::Null);
        let silent = scanned.coverage()["silent"].as_array().unwrap().iter();
        assert!(
            silent.clone().all(|range| range["confidence"].is_null()),
            "{mode}"
        );
        assert!(
            !scanned.states.values().any(|state| state != "no-answer"),
            "{mode}"
        );
        // Silence alone cannot be told from a dead wire.
        assert_eq!(scanned.code, 3, "{mode}: {:#}", scanned.run);
        assert!(
            silent.len() + scanned.states.len() + scanned.not_tested().len() > 0,
            "{mode}: {:#}",
            scanned.run
        );
        ended += 1;
    }
    println!("figure silent_ended {ended}/{}", 2 * runs);
}

/// The last silence ends in the second look: whoever asked after losses would have nothing left to ask for.
#[test]
fn when_the_first_packet_to_the_only_port_is_lost() {
    if !inside("ends::when_the_first_packet_to_the_only_port_is_lost") {
        return;
    }
    for mode in MODES {
        let wire = Wire::new();
        wire.serve(502, silent);
        wire.on_arrival("tcp dport 502 limit rate 1/hour burst 1 packets drop");
        let scanned = wire.scan(&[FAR, "--ports", "502", "--mode", mode]).with(0);
        assert!(scanned.took < SOON, "{mode}: {:?}", scanned.took);
        assert_eq!(scanned.state(FAR, "tcp/502"), "open", "{mode}");
    }
}

#[test]
fn with_a_router_that_is_not_there_and_without_a_route() {
    if !inside("ends::with_a_router_that_is_not_there_and_without_a_route") {
        return;
    }
    let wire = Wire::new();
    ip("route add 10.80.1.0/24 via 10.77.0.9");
    ip("route add unreachable 10.80.2.0/24");
    for mode in MODES {
        for (hosts, reasons) in [
            ("10.80.1.1-10", ["router", "10.77.0.9"]),
            ("10.80.2.1-10", ["no route", "forbid"]),
            ("10.80.3.1-10", ["no route", "no route"]),
        ] {
            let scanned = wire.scan(&[hosts, "--ports", "54321", "--mode", mode]);
            assert!(scanned.took < SOON, "{mode} {hosts}: {:?}", scanned.took);
            let told = scanned.not_tested();
            assert_eq!(scanned.code, 3, "{mode} {hosts}: {:#}", scanned.run);
            assert!(
                !told.is_empty()
                    && told
                        .iter()
                        .all(|told| reasons.iter().any(|reason| told.contains(reason))),
                "{mode} {hosts}: {told:?}"
            );
        }
    }
}

#[test]
fn when_the_interface_goes_down() {
    if !inside("ends::when_the_interface_goes_down") {
        return;
    }
    for mode in MODES {
        let wire = Wire::new();
        wire.network(1..=20);
        wire.serve(54321, silent);
        let scan = [
            "scan",
            "10.80.0.1-60",
            "--ports",
            "54321,502,20000",
            "--rate",
            "60",
            "--mode",
            mode,
        ];
        let mut running = wire.start(&[&scan[..], &["--quiet", "--format", "jsonl"]].concat());
        thread::sleep(Duration::from_secs(1));
        ip("link set wire down");
        let ended = running.ends(Duration::from_secs(60));
        let scanned = crate::wire::Scanned::of(ended, SOON).with(3);
        let told = scanned.not_tested();
        assert!(
            told.iter()
                .any(|reason| reason.contains("no route") || reason.contains("interface wire")),
            "{mode}: {told:?}"
        );
        ip("link del wire");
    }
}

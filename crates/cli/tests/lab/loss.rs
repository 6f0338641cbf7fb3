//! What is lost on the way is measured, and every host that lives is found or said to be in doubt.

use std::net::IpAddr;

use crate::wire::{Scanned, Wire, inside, silent};

/// Of a /24, these live.
const LIVE: std::ops::RangeInclusive<u8> = 1..=60;
const MODES: [&str; 2] = ["connect", "syn"];

fn scan(wire: &Wire, mode: &str) -> Scanned {
    let pace = ["--rate", "1500", "--per-host", "50", "--mode", mode];
    wire.scan(&[&["10.80.0.0/24", "--ports", "54321,20000"], &pace[..]].concat())
}

fn measured(scanned: &Scanned) -> (u64, u64) {
    let loss = &scanned.coverage()["loss"];
    (loss["lost"].as_u64().unwrap(), loss["asked"].as_u64().unwrap())
}

#[test]
fn where_nothing_is_lost_two_looks_are_enough() {
    if !inside("loss::where_nothing_is_lost_two_looks_are_enough") {
        return;
    }
    let wire = Wire::new();
    wire.network(LIVE);
    wire.serve(54321, silent);
    for mode in MODES {
        let scanned = scan(&wire, mode).with(0);
        let (lost, asked) = measured(&scanned);
        assert!(lost == 0 && asked >= 60, "{mode}: {lost} of {asked}");
        for host in LIVE.map(|host| format!("10.80.0.{host}")) {
            let states = (
                scanned.state(&host, "tcp/54321"),
                scanned.state(&host, "tcp/20000"),
            );
            assert_eq!(states, ("open", "closed"), "{mode} {host}");
        }
        let silent = scanned.coverage()["silent"].as_array().unwrap();
        assert!(
            silent.iter().all(|range| range["looks"] == 2),
            "{mode}: {silent:?}"
        );
        assert!(
            silent
                .iter()
                .all(|range| range["confidence"].as_f64().unwrap() > 0.999),
            "{mode}: {silent:?}"
        );
    }
}

#[test]
fn where_a_tenth_is_lost_every_host_is_found_or_in_doubt() {
    if !inside("loss::where_a_tenth_is_lost_every_host_is_found_or_in_doubt") {
        return;
    }
    let wire = Wire::new();
    wire.network(LIVE);
    wire.serve(54321, silent);
    wire.on_arrival("meta l4proto tcp numgen random mod 100 < 10 drop");
    for mode in MODES {
        let scanned = scan(&wire, mode);
        for host in LIVE.map(|host| format!("10.80.0.{host}")) {
            for (port, state) in [("tcp/54321", "open"), ("tcp/20000", "closed")] {
                let address: IpAddr = host.parse().unwrap();
                assert!(
                    scanned.state(&host, port) == state || scanned.is_in_doubt(address, port),
                    "{mode}: {host} {port} is {}\n{:#}",
                    scanned.state(&host, port),
                    scanned.run
                );
            }
        }
        let (lost, asked) = measured(&scanned);
        let share = lost as f64 / asked as f64;
        assert!(
            (0.03..0.2).contains(&share) && asked >= 60,
            "{mode}: {lost} of {asked}"
        );
        let doubts = scanned.coverage()["in_doubt"].as_array().unwrap();
        assert_eq!(scanned.code, if doubts.is_empty() { 0 } else { 3 }, "{doubts:?}");
        let silent = scanned.coverage()["silent"].as_array().unwrap();
        assert!(
            silent.iter().all(|range| range["looks"].as_u64() > Some(2)),
            "{mode}: {silent:?}"
        );
        println!("figure loss_10_{mode}_measured {share:.3}");
    }
}

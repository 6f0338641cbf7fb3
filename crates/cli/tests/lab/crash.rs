//! Killed at any moment: nobody is locked out, nothing stays by halves, and others keep what is theirs.
//!
//! `make crash-firewall` runs it with 200 moments for each firewall system; without being told, there are three.

use std::{thread, time::Duration};

use crate::{
    backends::{GATEWAY6, rules},
    plant::{GATEWAY, GATEWAY_ADDRESS, PROGRAM, Plant},
};

#[derive(Default)]
struct Figures {
    kills: u32,
    locked_out: u32,
    half_applied: u32,
    foreign_changed: u32,
}

const VERBS: [&str; 3] = ["apply", "confirm", "rollback"];

/// Whether a port takes a connection within a second: a whole scan would be the larger part of the matrix.
fn connects(plant: &Plant, from: &str, address: &str) -> bool {
    let connect = format!("timeout 1 bash -c 'exec 3<>/dev/tcp/{address}/54321' 2>/dev/null");
    plant.shell(from, &connect).code == 0
}

/// One command, killed after some milliseconds, and what is there afterwards.
fn kill(plant: &Plant, backend: &str, verb: &str, milliseconds: u32, before: &str, figures: &mut Figures) {
    let plan = plant.plan(&["--port", "54321", "--backend", backend]);
    let subject = if verb == "apply" {
        format!("{plan} --trial 5s")
    } else {
        plant.apply(&plan, "5s")
    };
    let script = format!(
        "'{PROGRAM}' {verb} {subject} >/dev/null 2>&1 & sleep {}; kill -9 $!; wait $! 2>/dev/null; true",
        f64::from(milliseconds) / 1000.0
    );
    plant.shell(GATEWAY, &script).with(0);
    figures.kills += 1;
    // What was started before the kill may still come to its end.
    thread::sleep(Duration::from_millis(500));
    if !plant.answers("engineering", GATEWAY_ADDRESS, 54321)
        || !plant.answers(GATEWAY, GATEWAY_ADDRESS, 54321)
    {
        figures.locked_out += 1;
    }
    let open = [GATEWAY_ADDRESS, GATEWAY6].map(|address| connects(plant, "office", address));
    // One family may have been looked at before the trial ended, and the other after.
    if open[0] != open[1] && open[0] != connects(plant, "office", GATEWAY6) {
        figures.half_applied += 1;
    }
    thread::sleep(Duration::from_secs(6));
    let listed = plant
        .portcullis(GATEWAY, &["changes", "--format", "jsonl"])
        .with(0);
    for line in listed
        .stdout
        .lines()
        .filter(|line| line.contains("\"state\":\"confirmed\""))
    {
        let id = line
            .split("\"id\":\"")
            .nth(1)
            .and_then(|rest| rest.split('"').next())
            .unwrap();
        plant.portcullis(GATEWAY, &["rollback", id]).with(0);
    }
    let after = rules(plant);
    if after.to_lowercase().contains("portcullis") {
        figures.half_applied += 1;
    } else if after != before {
        figures.foreign_changed += 1;
    }
}

fn matrix(backend: &str, moments: u32) -> Figures {
    let plant = Plant::up();
    let before = rules(&plant);
    let mut figures = Figures::default();
    for (moment, verb) in (0..moments).zip(VERBS.into_iter().cycle()) {
        // Spread over the second that a command takes at most, each at another place.
        kill(
            &plant,
            backend,
            verb,
            5 + (moment * 37 + 11) % 400,
            &before,
            &mut figures,
        );
    }
    figures
}

#[test]
fn killed_at_any_moment_in_any_firewall_system() {
    let moments = std::env::var("PORTCULLIS_TEST_CRASHES")
        .ok()
        .and_then(|moments| moments.parse().ok())
        .unwrap_or(3);
    let running = ["nftables", "iptables-nft", "iptables-legacy"]
        .map(|backend| thread::spawn(move || matrix(backend, moments)));
    let all = running.map(|matrix| matrix.join().unwrap());
    let sum = |of: fn(&Figures) -> u32| all.iter().map(of).sum::<u32>();
    for (name, value) in [
        ("kills", sum(|figures| figures.kills)),
        ("locked_out", sum(|figures| figures.locked_out)),
        ("half_applied", sum(|figures| figures.half_applied)),
        ("foreign_changed", sum(|figures| figures.foreign_changed)),
    ] {
        println!("figure {name} {value}");
    }
    assert_eq!(sum(|figures| figures.kills), 3 * moments);
    assert_eq!(
        sum(|figures| figures.locked_out + figures.half_applied + figures.foreign_changed),
        0
    );
}

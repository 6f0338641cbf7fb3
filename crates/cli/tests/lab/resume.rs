//! Scans that are killed at any moment and go on. `PORTCULLIS_SOAK` says how often they are killed; three times otherwise.

use std::{
    collections::{HashMap, HashSet},
    thread,
    time::{Duration, Instant},
};

use crate::{
    segments::Arrived,
    wire::{Wire, inside, silent},
};

const PORTS: &str = "54321,20000";

fn runs() -> u32 {
    let wanted = std::env::var("PORTCULLIS_SOAK")
        .ok()
        .and_then(|text| text.parse().ok());
    wanted.unwrap_or(3)
}

/// How often each port of each host was asked. On a busy machine the kernel may have repeated a SYN by itself before the
/// program came to end the attempt: that is the same question.
fn asked(arrived: &[Arrived]) -> HashMap<(String, String), u32> {
    let mut asked = HashMap::new();
    let mut known = HashSet::new();
    for syn in arrived.iter().filter(|one| one.segment.is_syn()) {
        if !known.insert((syn.segment.from_port, syn.segment.sequence)) {
            continue;
        }
        let place = (syn.segment.to.to_string(), format!("tcp/{}", syn.segment.port));
        *asked.entry(place).or_default() += 1;
    }
    asked
}

fn killed_and_resumed(mode: &str) {
    let wire = Wire::new();
    wire.network(1..=20);
    wire.serve(54321, silent);
    let scan = ["10.80.0.1-40", "--ports", PORTS, "--rate", "100", "--mode", mode];
    let undisturbed = wire.scan(&scan).with(0);
    assert_eq!(undisturbed.states.len(), 80);
    let mut same = 0;
    let mut random = u64::from(std::process::id());
    for number in 0..runs() {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let share = 0.05 + 0.9 * (random >> 40) as f64 / (1 << 24) as f64;
        let moment = undisturbed.took.mul_f64(share);
        let capture = wire.capture();
        let arguments = [&["scan", "--quiet", "--format", "jsonl"], &scan[..]].concat();
        let mut running = wire.start(&arguments);
        let begin = Instant::now();
        while begin.elapsed() < moment && running.is_running() {
            thread::sleep(Duration::from_millis(5));
        }
        running.kill();
        let Some(checkpoint) = wire.checkpoints().pop() else {
            // It was killed before it had begun, or after its end.
            drop(capture.end());
            same += 1;
            continue;
        };
        let resumed = wire.scan(&["--resume", checkpoint.to_str().unwrap()]).with(0);
        let arrived = capture.end();
        assert_eq!(
            resumed.states, undisturbed.states,
            "{mode}, run {number}, killed after {moment:?}"
        );
        let looks = resumed.looks;
        assert!(looks >= 2, "{mode}, run {number}: {looks} looks");
        for ((host, port), count) in asked(&arrived) {
            // Once more when its silence was not yet written down. Who answers may be a canary.
            let answers = ["open", "closed"].contains(&resumed.state(&host, &port));
            assert!(
                u64::from(count) <= looks + 1 || answers,
                "{mode}, run {number}: {host} {port} was asked {count} times in {looks} looks"
            );
        }
        assert!(wire.checkpoints().is_empty());
        same += 1;
    }
    println!("figure resume_same {same}/{} {mode}", runs());
}

#[test]
fn by_full_connections_it_ends_as_if_undisturbed() {
    if inside("resume::by_full_connections_it_ends_as_if_undisturbed") {
        killed_and_resumed("connect");
    }
}

#[test]
fn by_half_open_connections_it_ends_as_if_undisturbed() {
    if inside("resume::by_half_open_connections_it_ends_as_if_undisturbed") {
        killed_and_resumed("syn");
    }
}

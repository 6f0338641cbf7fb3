//! What signs in a log lead to: proposals of which nothing is done, and a look at the counters of the rules.

use std::fmt::Write as _;

use serde_json::Value;

use crate::plant::{GATEWAY, GATEWAY_ADDRESS, Plant};

/// The lines of somebody who connects once a second.
fn knocks(source: &str, port: u16) -> String {
    (10..40).fold(String::new(), |mut log, second| {
        let _ = writeln!(
            log,
            "2026-11-22T23:56:{second}+00:00 gw kernel: IN=eth0 OUT= SRC={source} DST={GATEWAY_ADDRESS} LEN=60 TOS=0x00 PREC=0x00 \
             TTL=63 ID=7 DF PROTO=TCP SPT=40{second} DPT={port} WINDOW=64240 RES=0x00 SYN URGP=0 "
        );
        log
    })
}

#[test]
fn who_shows_signs_is_proposed_to_be_kept_out_and_only_a_person_does_it() {
    let plant = Plant::up();
    let log = plant.folder().join("kern.log");
    let file = log.to_str().unwrap();
    let block = |lines: &[String], further: &[&str]| {
        std::fs::write(&log, lines.concat()).unwrap();
        let arguments = [&["logs", file, "--block"], further].concat();
        plant.portcullis(GATEWAY, &arguments).with(1).stdout
    };
    let list = "PATH=$PATH:/usr/sbin:/sbin nft list ruleset";
    let before = plant.shell(GATEWAY, list).with(0).stdout;
    let (office, engineer) = (knocks("10.7.30.5", 54321), knocks("10.7.20.5", 54321));

    // Who must be kept is not kept out, whatever a log says of him.
    let told = block(&[office.clone(), engineer, knocks("10.7.30.5", 4711)], &[]);
    for expected in [
        "no plan for tcp/54321 against 10.7.20.5, 10.7.30.5: this would cut a connection that must be kept",
        "no plan for tcp/4711 against 10.7.30.5: nothing listens on tcp/4711",
    ] {
        assert!(told.contains(expected), "{told}");
    }
    let told = block(std::slice::from_ref(&office), &[]);
    assert!(
        told.contains("that keeps out 10.7.30.5")
            && told.contains("portcullis plan --port tcp/54321 --except 10.7.30.5"),
        "{told}"
    );
    assert_eq!(plant.shell(GATEWAY, list).with(0).stdout, before);

    let json = block(&[office], &["--format", "jsonl"]);
    let mut records = json
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let proposal = records
        .find(|record| record["schema"] == "portcullis.log-proposal/1")
        .unwrap();
    plant.apply(proposal["plan"]["id"].as_str().unwrap(), "60s");
    assert!(plant.answers("engineering", GATEWAY_ADDRESS, 54321));
    assert!(!plant.answers("office", GATEWAY_ADDRESS, 54321));
}

#[test]
fn beside_a_log_that_a_limit_kept_short_stands_what_the_rule_counted() {
    let plant = Plant::up();
    let plan = plant.plan(&["--port", "54321"]);
    let tag = plant.apply(&plan, "60s");
    for _ in 0..2 {
        assert!(!plant.answers("office", GATEWAY_ADDRESS, 54321));
    }
    let log = plant.folder().join("kern.log");
    let lines = (10..25).flat_map(|minute| (10..20).map(move |second| (minute, second)));
    let lines: String = lines
        .map(|(minute, second)| {
            format!(
                "2026-11-22T23:{minute}:{second}+00:00 gw kernel: portcullis-drop {tag} IN=eth0 OUT= SRC=10.7.30.5 \
                 DST={GATEWAY_ADDRESS} LEN=60 TOS=0x00 PREC=0x00 TTL=63 ID=7 DF PROTO=TCP SPT=40{second} DPT=54321 \
                 WINDOW=64240 RES=0x00 SYN URGP=0 \n"
            )
        })
        .collect();
    std::fs::write(&log, lines).unwrap();
    let told = plant
        .portcullis(GATEWAY, &["logs", log.to_str().unwrap(), "--signs"])
        .with(1)
        .stdout;
    let note = told
        .lines()
        .find(|line| line.contains(&format!("rule `portcullis-drop {tag}`: beside")))
        .unwrap_or_else(|| panic!("{told}"));
    let counted = note.split("its counter is at ").nth(1).unwrap();
    let counted: u64 = counted.split(' ').next().unwrap().parse().unwrap();
    assert!(counted >= 2, "{note}");
}

//! Scans that are stopped, killed and go on; and scans by half-open connections.

use std::{collections::BTreeMap, process::Stdio, time::Duration};

use serde_json::Value;

use crate::plant::{Ended, GATEWAY, PROGRAM, Plant, eventually};

/// Address and port to state, of what a scan printed as JSON lines.
fn states(text: &str) -> BTreeMap<(String, String), String> {
    let text_of = |record: &Value, key: &str| record[key].as_str().unwrap_or_default().to_owned();
    text.lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|record| record["schema"] == "portcullis.observation/1")
        .map(|record| {
            (
                (text_of(&record, "address"), text_of(&record, "port")),
                text_of(&record, "state"),
            )
        })
        .collect()
}

fn checkpoints(plant: &Plant) -> Vec<std::path::PathBuf> {
    let folder = std::fs::read_dir(plant.folder().join("scans"));
    folder
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path())
        .collect()
}

const SCAN: [&str; 9] = [
    "scan",
    "10.7.10.10-14",
    "--ports",
    "22,54321,502,5000,8080",
    "--per-host",
    "4",
    "--quiet",
    "--format",
    "jsonl",
];

#[test]
fn killed_at_any_moment_and_resumed_it_ends_as_if_undisturbed() {
    let plant = Plant::up();
    let undisturbed = states(&plant.portcullis("engineering", &SCAN).with(0).stdout);
    assert_eq!(undisturbed.len(), 25);
    assert_eq!(
        checkpoints(&plant),
        Vec::<std::path::PathBuf>::new(),
        "a complete scan keeps no checkpoint"
    );
    for lines in [1, 6, 14] {
        let mut command = plant.command(
            "engineering",
            "sh",
            &["-c", &format!("exec {PROGRAM} {}", SCAN.join(" "))],
        );
        let mut running = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let written = || -> usize {
            let files = checkpoints(&plant);
            files
                .iter()
                .map(|file| std::fs::read_to_string(file).unwrap_or_default().lines().count())
                .sum()
        };
        eventually(
            "some ports are in the checkpoint",
            Duration::from_secs(20),
            || written() > lines,
        );
        let kill = "for p in /proc/[0-9]*; do tr '\\0' ' ' <$p/cmdline 2>/dev/null | grep -q '^[^ ]*portcullis scan ' \
                    && kill -9 ${p#/proc/}; done; true";
        plant.shell("engineering", kill).with(0);
        running.wait().unwrap();
        let file = checkpoints(&plant).pop().unwrap();
        let resume = [
            "scan",
            "--resume",
            file.to_str().unwrap(),
            "--quiet",
            "--format",
            "jsonl",
        ];
        let resumed = states(&plant.portcullis("engineering", &resume).with(0).stdout);
        assert_eq!(resumed, undisturbed, "killed after {lines} ports");
        assert!(!file.exists());
    }
}

#[test]
fn a_scan_does_not_go_on_when_something_that_matters_changed() {
    let plant = Plant::up();
    let mut command = plant.command("engineering", PROGRAM, &SCAN);
    let mut running = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    eventually("the scan has begun", Duration::from_secs(10), || {
        !checkpoints(&plant).is_empty()
    });
    let stop = "for p in /proc/[0-9]*; do tr '\\0' ' ' <$p/cmdline 2>/dev/null | grep -q '^[^ ]*portcullis scan ' \
                && kill -INT ${p#/proc/}; done; true";
    plant.shell("engineering", stop).with(0);
    assert_eq!(
        running.wait().unwrap().code(),
        Some(3),
        "what was not tested shows in the exit code"
    );
    let file = checkpoints(&plant).pop().unwrap();
    let file = file.to_str().unwrap();
    plant
        .portcullis("office", &["scan", "--resume", file])
        .refused(4, "SC032");
    let site = plant.folder().join("site.toml");
    let text = std::fs::read_to_string(&site).unwrap();
    std::fs::write(&site, format!("{text}\n# looked over\n")).unwrap();
    plant
        .portcullis("engineering", &["scan", "--resume", file])
        .refused(4, "SC032");
    std::fs::write(&site, text).unwrap();
    plant
        .portcullis("engineering", &["scan", "--resume", file, "--rate", "7"])
        .with(2);
    plant
        .portcullis("engineering", &["scan", "--resume", "/etc/hostname"])
        .refused(2, "SC030");
    plant
        .portcullis("engineering", &["scan", "--resume", file, "--quiet"])
        .with(0);
}

#[test]
fn half_open_connections_find_the_same_ports_with_one_syn_each() {
    let plant = Plant::up();
    let count = "add table inet count\n\
                 add chain inet count input { type filter hook input priority -300; }\n\
                 add rule inet count input meta nfproto ipv4 tcp dport { 22, 54321 } tcp flags & (syn|ack) == syn counter comment \"syn\"\n";
    let file = plant.folder().join("count.nft");
    std::fs::write(&file, count).unwrap();
    plant
        .shell(
            GATEWAY,
            &format!("PATH=$PATH:/usr/sbin nft -f {}", file.display()),
        )
        .with(0);
    let scan = [
        "scan",
        "10.7.10.10-14",
        "2001:db8:7:10::a",
        "--ports",
        "22,54321,502,5000",
        "--mode",
        "syn",
        "--format",
        "jsonl",
    ];
    let scanned = plant.portcullis("engineering", &scan).with(0);
    let found = states(&scanned.stdout);
    let open: Vec<String> = found
        .iter()
        .filter(|(_, state)| *state == "open")
        .map(|((address, port), _)| format!("{address} {port}"))
        .collect();
    assert_eq!(
        open,
        [
            "10.7.10.10 tcp/54321",
            "10.7.10.11 tcp/5000",
            "10.7.10.12 tcp/5000",
            "10.7.10.14 tcp/502",
            "2001:db8:7:10::a tcp/54321"
        ]
    );
    assert_eq!(found.len(), 24);
    let counted = plant
        .shell(GATEWAY, "PATH=$PATH:/usr/sbin nft list table inet count")
        .with(0)
        .stdout;
    // Four SYNs and our kernel's reset; more only when an answer came too late on a busy machine and was asked for again.
    let run: serde_json::Value = serde_json::from_str(scanned.stdout.lines().last().unwrap()).unwrap();
    let devices = run["coverage"]["devices"].as_array().unwrap();
    let gateway = devices.iter().find(|one| one["address"] == "10.7.10.10").unwrap();
    let again = gateway["packets"].as_u64().unwrap() - 5;
    let syns: u64 = counted
        .split_once("packets ")
        .and_then(|(_, rest)| rest.split(' ').next()?.parse().ok())
        .unwrap();
    assert!(
        (2..=2 + again).contains(&syns),
        "two ports over IPv4, one SYN each, and {again} in all again: {counted}"
    );
}

#[test]
fn without_the_right_to_raw_sockets_the_setcap_line_is_told_and_nothing_is_sent() {
    let plant = Plant::up();
    let drop = [
        "--bounding-set=-all",
        "--inh-caps=-all",
        PROGRAM,
        "scan",
        "10.7.10.10",
        "--mode",
        "syn",
        "--quiet",
    ];
    let refused = Ended::of(&mut plant.command("engineering", "setpriv", &drop)).refused(5, "SC040");
    assert!(refused.stderr.contains("setcap"), "{}", refused.stderr);
}

//! Finding: check, scan, exposures, logs.

use std::{path::PathBuf, process::Stdio, time::Duration};

use serde_json::Value;

use crate::plant::{Ended, GATEWAY, PROGRAM, Plant, eventually};

fn records(text: &str) -> Vec<Value> {
    serde_json::from_str(text).unwrap()
}

#[test]
fn check_names_the_process_behind_the_port() {
    let plant = Plant::up();
    let checked = plant
        .portcullis(GATEWAY, &["check", "--port", "54321", "--format", "json"])
        .with(0);
    let listeners = records(&checked.stdout);
    assert_eq!(listeners.len(), 1, "{}", checked.stdout);
    assert_eq!(listeners[0]["schema"], "portcullis.listener/1");
    assert_eq!(listeners[0]["process"]["name"], "mdmgw-stand-in");
    assert_eq!(listeners[0]["takes_ipv4"], true);
}

#[test]
fn the_silent_port_is_possible_the_web_page_is_ruled_out_and_the_others_prove_themselves() {
    let plant = Plant::up();
    let scan = [
        "scan",
        "10.7.10.10-14",
        "2001:db8:7:10::c",
        "--quiet",
        "--format",
        "json",
    ];
    let observations = records(&plant.portcullis("engineering", &scan).with(0).stdout);
    let grades = |address: &str, port: &str| -> Vec<String> {
        let found = observations
            .iter()
            .find(|seen| seen["address"] == address && seen["port"] == port)
            .unwrap();
        let identifications = found["identifications"].as_array().unwrap();
        identifications
            .iter()
            .map(|one| {
                format!(
                    "{} {}",
                    one["service"].as_str().unwrap(),
                    one["grade"].as_str().unwrap()
                )
            })
            .collect()
    };
    assert_eq!(grades("10.7.10.10", "tcp/54321"), ["moxa-mdm-gateway possible"]);
    assert_eq!(grades("10.7.10.11", "tcp/5000"), ["moxa-mdm-gateway possible"]);
    for page in ["10.7.10.12", "2001:db8:7:10::c"] {
        assert_eq!(
            grades(page, "tcp/5000"),
            ["http proven", "moxa-mdm-gateway ruled-out"]
        );
    }
    assert_eq!(grades("10.7.10.13", "udp/4800"), ["moxa-dsci proven"]);
    assert_eq!(grades("10.7.10.14", "tcp/502"), ["modbus-tcp proven"]);
}

/// What the firewall of the target counts is what the target felt.
#[test]
fn an_open_port_feels_one_connection_and_the_gateway_s_own_port_no_payload() {
    let plant = Plant::up();
    let count = "add table inet count\n\
                 add chain inet count input { type filter hook input priority -300; }\n\
                 add rule inet count input tcp dport 54321 tcp flags & (syn|ack) == syn counter comment \"opened\"\n\
                 add rule inet count input tcp dport 54321 meta length > 80 counter comment \"payload\"\n";
    let file = plant.folder().join("count.nft");
    std::fs::write(&file, count).unwrap();
    plant
        .shell(
            GATEWAY,
            &format!("PATH=$PATH:/usr/sbin nft -f {}", file.display()),
        )
        .with(0);
    plant
        .portcullis("internet", &["scan", "10.7.10.10", "--ports", "54321", "--quiet"])
        .with(0);
    let counted = plant
        .shell(GATEWAY, "PATH=$PATH:/usr/sbin nft list table inet count")
        .with(0)
        .stdout;
    let packets = |comment: &str| -> u64 {
        let line = counted.lines().find(|line| line.contains(comment)).unwrap();
        line.split_once("packets ")
            .unwrap()
            .1
            .split_whitespace()
            .next()
            .unwrap()
            .parse()
            .unwrap()
    };
    assert_eq!((packets("opened"), packets("payload")), (1, 0), "{counted}");
}

#[test]
fn exposures_are_what_no_conduit_permits() {
    let plant = Plant::up();
    for host in ["internet", "engineering"] {
        plant.portcullis(host, &["scan", "10.7.10.10", "--quiet"]).with(0);
    }
    let exposures = records(
        &plant
            .portcullis(GATEWAY, &["exposures", "--format", "json"])
            .with(1)
            .stdout,
    );
    assert_eq!(exposures.len(), 1, "{exposures:?}");
    assert_eq!(exposures[0]["from_zone"], "internet");
    assert_eq!(exposures[0]["severity"], "high");
    let id = exposures[0]["id"].as_str().unwrap();
    plant.portcullis(GATEWAY, &["plan", id]).with(0);
    plant.portcullis("office", &["plan", id]).refused(2, "OP012");
}

#[test]
fn what_may_not_be_scanned_is_refused_before_anything_is_sent() {
    let plant = Plant::up();
    let before = sent(&plant);
    let refused = plant
        .portcullis("office", &["scan", "198.51.100.7"])
        .refused(4, "OP002");
    assert!(refused.stderr.contains("--permission"), "{}", refused.stderr);
    // One address too many refuses the whole scan.
    plant
        .portcullis("office", &["scan", "10.7.10.10", "198.51.100.7"])
        .refused(4, "OP002");
    let permission = plant.folder().join("permission.toml");
    let text = |expires: &str| {
        format!(
            "[permission]\nowner = \"Kari\"\ncontact = \"+47\"\nranges = [\"203.0.113.0/24\"]\nexpires = \"{expires}\"\n"
        )
    };
    std::fs::write(&permission, text("2020-01-01T00:00:00Z")).unwrap();
    let file = permission.to_str().unwrap();
    let scan = [
        "scan",
        "203.0.113.5",
        "--ports",
        "7000",
        "--quiet",
        "--permission",
        file,
    ];
    plant.portcullis("office", &scan).refused(4, "OP002");
    let after = sent(&plant);
    assert_eq!(before, after, "a refused scan has sent something");
    std::fs::write(&permission, text("2999-01-01T00:00:00Z")).unwrap();
    assert!(plant.portcullis("office", &scan).with(0).stdout.contains("open"));
}

#[test]
fn logs_of_a_file_are_counted_honestly() {
    let plant = Plant::up();
    let file = plant.folder().join("kern.log");
    let line = |prefix: &str, source: &str| {
        format!(
            "2026-11-22T23:56:51.000001+01:00 gw kernel: {prefix}IN=eth0 OUT= SRC={source} DST=10.7.10.10 LEN=60 \
             TOS=0x00 PREC=0x00 TTL=63 ID=1 DF PROTO=TCP SPT=40000 DPT=54321 WINDOW=64240 RES=0x00 SYN URGP=0\n"
        )
    };
    let text = [
        line("portcullis-drop 3f2a91 ", "203.0.113.5"),
        line("somebody's rule ", "203.0.113.6"),
        "2026-11-22T23:56:52+01:00 gw sshd[7]: Accepted publickey for ola\n".into(),
    ];
    std::fs::write(&file, text.concat()).unwrap();
    let read = plant.portcullis(
        GATEWAY,
        &[
            "logs",
            file.to_str().unwrap(),
            "--port",
            "54321",
            "--format",
            "json",
        ],
    );
    let report = &records(&read.with(0).stdout)[0];
    assert_eq!(report["attempts"], 2);
    assert_eq!(report["verdicts"]["blocked"], 1);
    assert_eq!(report["verdicts"]["unknown"], 1);
    assert_eq!(report["unrelated"], 1);
    assert_eq!(report["first"], "2026-11-22T22:56:51.000001Z");
    let ended = Ended::of(&mut plant.command(GATEWAY, PROGRAM, &["logs", "/nonexistent/kern.log"]));
    ended.refused(2, "OP001");
    let both = ["logs", "/nonexistent/kern.log", file.to_str().unwrap()];
    let ended = plant.portcullis(GATEWAY, &both).with(3);
    assert!(ended.stderr.starts_with("error[OP001]"), "{}", ended.stderr);
    assert!(
        ended.stdout.contains("2 logged packets"),
        "the other file is read all the same"
    );
}

/// A permission for the lab's internet, with more lines.
fn permission(plant: &Plant, lines: &str) -> PathBuf {
    let file = plant.folder().join("permission.toml");
    let text = format!(
        "[permission]\nowner = \"Kari\"\ncontact = \"+47\"\nranges = [\"203.0.113.0/24\"]\nexpires = \
         \"2999-01-01T00:00:00Z\"\n{lines}"
    );
    // Replaced in one step, as docs/permission.md has it.
    let draft = plant.folder().join("permission.draft");
    std::fs::write(&draft, text).unwrap();
    std::fs::rename(&draft, &file).unwrap();
    file
}

/// Connections that the office has begun. `/proc/net` is that of the asking process, while `/sys` is that of whoever
/// mounted it; and a count of all packets would have the kernel's own questions after neighbours in it.
fn sent(plant: &Plant) -> u64 {
    let counters = plant.shell("office", "grep ^Tcp: /proc/net/snmp").with(0).stdout;
    let (names, values) = counters.trim().split_once('\n').unwrap();
    let place = names.split_whitespace().position(|name| name == "ActiveOpens");
    values
        .split_whitespace()
        .nth(place.unwrap())
        .unwrap()
        .parse()
        .unwrap()
}

fn keygen(plant: &Plant, arguments: &[&str]) {
    let mut command = std::process::Command::new("ssh-keygen");
    Ended::of(command.args(arguments).current_dir(plant.folder())).with(0);
}

/// What the audit record says of the actions with this name.
fn audited(plant: &Plant, action: &str) -> Vec<Value> {
    let audit = plant
        .portcullis("office", &["audit", "list", "--format", "json"])
        .with(0);
    let mut entries: Vec<Value> = records(&audit.stdout)
        .iter_mut()
        .map(|record| record["entry"].take())
        .collect();
    entries.retain(|entry| entry["action"] == action);
    entries
}

#[test]
fn a_signed_permission_is_accepted_and_a_tampered_one_sends_nothing() {
    let plant = Plant::up();
    let lines = "signed_by = \"kari@nordfjord.example\"\nrate = \"50/s\"\n";
    let file = permission(&plant, lines);
    keygen(&plant, &["-q", "-t", "ed25519", "-N", "", "-f", "key"]);
    keygen(
        &plant,
        &[
            "-Y",
            "sign",
            "-n",
            "portcullis-permission",
            "-f",
            "key",
            "permission.toml",
        ],
    );
    let key = std::fs::read_to_string(plant.folder().join("key.pub")).unwrap();
    let signers = plant.folder().join("signers");
    std::fs::write(&signers, format!("kari@nordfjord.example {key}")).unwrap();
    let (file, signers) = (file.to_str().unwrap(), signers.to_str().unwrap());
    let scan = [
        "scan",
        "203.0.113.5",
        "--ports",
        "7000",
        "--quiet",
        "--permission",
        file,
    ];
    let checked = [&scan[..], &["--signers", signers]].concat();

    let scanned = plant.portcullis("office", &checked).with(0).stdout;
    assert!(scanned.contains("open"), "{scanned}");
    assert!(
        scanned.contains("signed by kari@nordfjord.example, signature checked"),
        "{scanned}"
    );
    assert!(
        scanned.contains("50 packets per second in all, as the permission has it"),
        "{scanned}"
    );
    let unchecked = plant.portcullis("office", &scan).with(0).stdout;
    assert!(unchecked.contains("signature not checked"), "{unchecked}");
    let starts = audited(&plant, "scan.start");
    let signatures: Vec<&Value> = starts
        .iter()
        .map(|entry| &entry["details"]["permission"]["signature"])
        .collect();
    assert_eq!(signatures, ["signature checked", "signature not checked"]);
    assert_eq!(starts[0]["details"]["packets_per_second"], 50);

    let before = sent(&plant);
    permission(&plant, &lines.replace("50/s", "5000/s"));
    plant.portcullis("office", &checked).refused(4, "OP017");
    std::fs::remove_file(plant.folder().join("permission.toml.sig")).unwrap();
    plant.portcullis("office", &checked).refused(4, "OP017");
    assert_eq!(sent(&plant), before, "a refused scan has sent something");
}

#[test]
fn outside_the_hours_of_a_permission_nothing_is_sent() {
    let plant = Plant::up();
    // Three days from now: closed now, whatever the day and the hour.
    let days = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs() / 86_400;
    let day = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"][usize::try_from((days + 3) % 7).unwrap()];
    let lines = format!("when = [\"{day} 02:00-04:00\"]\ntimezone = \"Europe/Oslo\"\n");
    let file = permission(&plant, &lines);
    let before = sent(&plant);
    let scan = [
        "scan",
        "203.0.113.5",
        "--ports",
        "7000",
        "--permission",
        file.to_str().unwrap(),
    ];
    let refused = plant.portcullis("office", &scan).refused(4, "OP002");
    let opening = format!("it opens again at {day} ");
    assert!(refused.stderr.contains(&opening), "{}", refused.stderr);
    assert!(refused.stderr.contains("02:00 Europe/Oslo"), "{}", refused.stderr);
    assert_eq!(sent(&plant), before, "a refused scan has sent something");
}

/// Begins a scan that would take minutes, changes the permission after its first packets, and returns how it ended.
fn changed_in_the_middle(plant: &Plant, change: impl FnOnce()) -> Ended {
    let file = permission(plant, "per_host = \"1/s\"\n");
    let ports: Vec<String> = (7000..7200).map(|port| port.to_string()).collect();
    let ports = ports.join(",");
    let file = file.to_str().unwrap();
    let scan = [
        "scan",
        "203.0.113.5",
        "--ports",
        &ports,
        "--quiet",
        "--format",
        "json",
        "--permission",
        file,
    ];
    let before = sent(plant);
    let mut command = plant.command("office", PROGRAM, &scan);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let running = command.spawn().unwrap();
    eventually("the first packet", Duration::from_secs(30), || {
        sent(plant) > before
    });
    change();
    let output = running.wait_with_output().unwrap();
    Ended {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// The reasons for which something was not tested.
fn reasons(ended: &Ended) -> Vec<String> {
    let records = records(&ended.stdout);
    let gaps = records
        .iter()
        .filter_map(|record| record["not_tested"].as_array())
        .flatten();
    gaps.map(|gap| gap["reason"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_permission_that_is_tightened_in_the_middle_of_a_scan_stops_what_it_no_longer_covers() {
    let plant = Plant::up();
    let ended = changed_in_the_middle(&plant, || {
        permission(&plant, "ports = [\"tcp/1\"]\n");
    })
    .with(3);
    assert_eq!(
        reasons(&ended),
        ["port not in the permission of Kari, since it was tightened while the scan ran"]
    );
    let records = audited(&plant, "scan.permission-tightened");
    assert_eq!(records.len(), 1, "{records:?}");
    assert_eq!(records[0]["details"]["tightening"]["ports"][0], "tcp/1");
}

#[test]
fn a_permission_that_is_deleted_in_the_middle_of_a_scan_is_withdrawn() {
    let plant = Plant::up();
    let file = plant.folder().join("permission.toml");
    let ended = changed_in_the_middle(&plant, || std::fs::remove_file(&file).unwrap()).with(3);
    let reason = format!("the permission was withdrawn: {} is gone", file.display());
    assert_eq!(reasons(&ended), [reason]);
    assert_eq!(audited(&plant, "scan.permission-tightened").len(), 1);
}

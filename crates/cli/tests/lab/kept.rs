//! What must be kept, by packets: before a change and with it.

use std::{os::unix::fs::PermissionsExt, process::Stdio};

use crate::plant::{Ended, GATEWAY, GATEWAY_ADDRESS, PROGRAM, Plant};

/// The station's historian, and a time server beside it.
const KEPT: &str = r#"connections = [
    "10.7.10.10 -> 10.7.20.5 tcp/7000",
    "control -> 10.7.20.5 udp/123",
    "control -> 10.7.20.5 udp/53",
    "control -> 10.7.20.5 udp/514",
    "engineering -> control tcp/54321","#;

const TIME_SERVER: &str = "import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('10.7.20.5', 123))
s.settimeout(60)
while True:
    request, peer = s.recvfrom(64)
    assert request[0] == 0x23 and len(request) == 48
    s.sendto(b'\\x24' + request[1:], peer)
";

fn plant() -> Plant {
    let plant = Plant::up();
    let file = plant.folder().join("site.toml");
    let site = std::fs::read_to_string(&file).unwrap();
    let site = site.replace("connections = [", KEPT);
    std::fs::write(file, site).unwrap();
    plant
}

/// What the step about the kept connections says.
fn told(plant: &Plant) -> String {
    let listed = plant.portcullis(GATEWAY, &["changes", "--format", "jsonl"]);
    let change: serde_json::Value = serde_json::from_str(listed.stdout.lines().next().unwrap()).unwrap();
    let steps = change["steps"].as_array().unwrap();
    let step = steps.iter().find(|step| step["step"] == "kept connections");
    step.unwrap()["outcome"].as_str().unwrap().to_owned()
}

#[test]
fn kept_connections_are_tried_before_a_change_and_with_it() {
    let plant = plant();
    let mut server = plant
        .command("engineering", "python3", &["-c", TIME_SERVER])
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    plant.listens("engineering", 123);
    let _held = plant.hold("engineering", "10.7.10.10:54321", &[]);
    plant.apply(&plant.plan(&["--port", "54321"]), "60s");
    let told = told(&plant);
    for expected in [
        "10.7.10.10 -> 10.7.20.5 tcp/7000: passes, an answer came",
        "control -> 10.7.20.5 udp/123: passes, an answer came",
        "control -> 10.7.20.5 udp/53: not tested: there was no answer before the change either",
        "control -> 10.7.20.5 udp/514: not tested: no harmless request is known for it",
        "engineering -> control tcp/54321: passes, ",
    ] {
        assert!(told.contains(expected), "{expected:?} is not in {told:?}");
    }
    let _ = server.kill();
    let _ = server.wait();
}

/// An `nft` beside which somebody drops what goes to the historian as soon as our table is there.
const FOLLOWED: &str = "#!/bin/sh
PATH=/usr/sbin:/usr/bin:/sbin:/bin
nft \"$@\"
code=$?
if nft list table inet portcullis >/dev/null 2>&1 && ! nft list table inet other >/dev/null 2>&1; then
    nft 'add table inet other; add chain inet other out { type filter hook output priority 0; }; add rule inet other out tcp \
        dport 7000 drop'
fi
exit $code
";

#[test]
fn a_kept_connection_that_falls_silent_with_a_change_takes_it_back() {
    let plant = plant();
    let plan = plant.plan(&["--port", "54321"]);
    let folder = tempfile::tempdir().unwrap();
    let nft = folder.path().join("nft");
    std::fs::write(&nft, FOLLOWED).unwrap();
    std::fs::set_permissions(&nft, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("PATH={}:/usr/sbin:/usr/bin:/sbin:/bin", folder.path().display());
    let apply = [&path, PROGRAM, "apply", &plan, "--trial", "60s"];
    let refused = Ended::of(&mut plant.command(GATEWAY, "env", &apply)).refused(4, "OP024");
    assert!(
        refused.stderr.contains("10.7.10.10 -> 10.7.20.5 tcp/7000"),
        "{}",
        refused.stderr
    );
    assert!(told(&plant).contains("10.7.10.10 -> 10.7.20.5 tcp/7000: no answer"));
    assert!(!plant.ruleset(GATEWAY).contains("portcullis"));
    assert!(
        plant.answers("office", GATEWAY_ADDRESS, 54321),
        "it was not taken back"
    );
}

//! What must be kept, by packets: before a change and with it.

use std::{process::Stdio, time::Duration};

use crate::plant::{GATEWAY, GATEWAY_ADDRESS, Plant};

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

#[test]
fn a_kept_connection_that_falls_silent_with_a_change_takes_it_back() {
    let plant = plant();
    let plan = plant.plan(&["--port", "54321"]);
    // Somebody whose own rules follow ours.
    let follower = "PATH=$PATH:/usr/sbin:/sbin; nft 'add table inet other; add chain inet other out { type filter hook \
                    output priority 0; }'; echo ready; for i in $(seq 600); do nft list table inet portcullis \
                    >/dev/null 2>&1 && exec nft add rule inet other out tcp dport 7000 drop; sleep 0.05; done";
    let mut child = plant
        .command(GATEWAY, "sh", &["-c", follower])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    crate::plant::eventually("the other table is there", Duration::from_secs(20), || {
        plant.ruleset(GATEWAY).contains("table inet other")
    });
    let plan_again = plant.plan(&["--port", "54321"]);
    assert_ne!(plan, plan_again);
    let refused = plant
        .portcullis(GATEWAY, &["apply", &plan_again, "--trial", "60s"])
        .refused(4, "OP024");
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
    let _ = child.kill();
    let _ = child.wait();
}

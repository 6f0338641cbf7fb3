//! A listener is found by listening: another host scans it, and the one that captures sends nothing.

use std::{process::Command, time::Duration};

use portcullis_sys::packet::route::interfaces;
use serde_json::Value;

use crate::{
    plant::{Ended, PROGRAM, eventually},
    wire::{FAR, Wire, inside, ip, silent},
};

/// Packets that this host has sent on an interface.
fn sent(interface: &str) -> u64 {
    let counter = std::fs::read_to_string(format!("/sys/class/net/{interface}/statistics/tx_packets"));
    counter.map_or(0, |text| text.trim().parse().unwrap())
}

fn frames(interface: &str) -> bool {
    interfaces()
        .unwrap()
        .iter()
        .any(|one| one.name == interface && one.up)
}

#[test]
fn a_listener_is_found_while_others_scan_it_and_nothing_is_sent() {
    if !inside("capture::a_listener_is_found_while_others_scan_it_and_nothing_is_sent") {
        return;
    }
    let wire = Wire::new();
    wire.serve(54321, silent);
    wire.serve(22, |mut stream| {
        let _ = std::io::Write::write_all(&mut stream, b"SSH-2.0-moxa_1.0\r\n");
        silent(stream);
    });
    let mut running = wire.start(&[
        "--format",
        "jsonl",
        "--quiet",
        "capture",
        "--interface",
        "wire",
        "--for",
        "60s",
    ]);
    let promiscuous = || {
        let shown = Command::new("ip")
            .args(["-d", "link", "show", "wire"])
            .output()
            .unwrap();
        String::from_utf8(shown.stdout).unwrap().contains("promiscuity 1")
    };
    eventually("it listens", Duration::from_secs(20), promiscuous);
    wire.scan(&[FAR, "--ports", "22,54321,20000"]).with(0);
    running.interrupt();
    let ended = running.ends(Duration::from_secs(20)).with(0);
    let records: Vec<Value> = ended
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let told: Vec<String> = records
        .iter()
        .filter(|record| record["schema"] == "portcullis.observation/1" && record["address"] == FAR)
        .map(|record| {
            format!("{} {} {}", record["port"], record["state"], record["vantage"]).replace('"', "")
        })
        .collect();
    assert_eq!(
        told,
        [
            "tcp/22 open capture@10.77.0.1",
            "tcp/20000 closed capture@10.77.0.1",
            "tcp/54321 open capture@10.77.0.1"
        ]
    );
    let names = |record: &&Value| record["port"] == "tcp/22" && record.to_string().contains("moxa-ssh");
    assert!(records.iter().any(|record| names(&record)), "{}", ended.stdout);
    let sum = records.last().unwrap();
    assert_eq!(
        (&sum["format"], &sum["dropped"]),
        (&"interface".into(), &0.into())
    );
    assert!(sum["neighbours"].as_u64() >= Some(1), "{sum}");
}

#[test]
fn at_a_port_that_only_listens_not_one_packet_goes_out() {
    if !inside("capture::at_a_port_that_only_listens_not_one_packet_goes_out") {
        return;
    }
    let wire = Wire::new();
    // A cable whose near end has no address and no IPv6: whatever goes out there, the program has sent.
    ip("link add ear type veth peer name mouth");
    for interface in ["ear", "mouth"] {
        std::fs::write(format!("/proc/sys/net/ipv6/conf/{interface}/disable_ipv6"), "1").unwrap();
        ip(&format!("link set {interface} up"));
    }
    eventually("the cable is up", Duration::from_secs(10), || {
        frames("ear") && frames("mouth")
    });
    let before = sent("ear");
    let mut running = wire.start(&[
        "--format",
        "jsonl",
        "--quiet",
        "capture",
        "--interface",
        "ear",
        "--packets",
        "2",
        "--for",
        "60s",
    ]);
    let promiscuous = || {
        let shown = Command::new("ip")
            .args(["-d", "link", "show", "ear"])
            .output()
            .unwrap();
        String::from_utf8(shown.stdout).unwrap().contains("promiscuity 1")
    };
    eventually("it listens", Duration::from_secs(20), promiscuous);
    // Somebody else's handshake, as a mirror port shows it.
    let mouth = interfaces()
        .unwrap()
        .into_iter()
        .find(|one| one.name == "mouth")
        .unwrap();
    let mut sender = portcullis_sys::packet::Sender::open(mouth.index).unwrap();
    for frame in [
        "0200000000010200000000020800450000280000400040060000c0000205c0000209a000d43100000001000000005002200000000000",
        "0200000000020200000000010800450000280000400040060000c0000209c0000205d431a00000000009000000025012200000000000",
    ] {
        let bytes: Vec<u8> = (0..frame.len() / 2)
            .map(|at| u8::from_str_radix(&frame[2 * at..2 * at + 2], 16).unwrap())
            .collect();
        sender.room(bytes.len()).unwrap().copy_from_slice(&bytes);
        sender.send().unwrap();
    }
    let ended = running.ends(Duration::from_secs(30)).with(0);
    let first: Value = serde_json::from_str(ended.stdout.lines().next().unwrap()).unwrap();
    assert_eq!(
        [&first["address"], &first["port"], &first["state"]],
        ["192.0.2.9", "tcp/54321", "open"]
    );
    assert_eq!(sent("ear"), before, "something was sent");
}

#[test]
fn without_the_right_to_raw_sockets_the_setcap_line_is_told() {
    if !inside("capture::without_the_right_to_raw_sockets_the_setcap_line_is_told") {
        return;
    }
    let wire = Wire::new();
    let unprivileged = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", PROGRAM];
    let capture = ["capture", "--interface", "wire", "--for", "5s", "--quiet"];
    let ended = Ended::of(&mut wire.command(&[&unprivileged[..], &capture].concat())).refused(5, "CP005");
    assert!(ended.stderr.contains("setcap cap_net_raw+ep"), "{}", ended.stderr);
    let refused = wire
        .portcullis(&["capture", "--interface", "nowhere"])
        .refused(2, "CP006");
    assert!(
        refused.stderr.contains("lo, wire") || refused.stderr.contains("wire, lo"),
        "{}",
        refused.stderr
    );
}

//! What a scan that cannot be made gets: code, cause, hint, exit code, and nothing sent. And a permission that is
//! tightened while it is used.

use std::{net::IpAddr, path::Path, thread, time::Duration};

use crate::{
    plant::{Ended, PROGRAM},
    wire::{FAR, Wire, inside, ip, silent},
};

fn permission(rest: &str) -> String {
    format!(
        "[permission]\nowner = \"Kari\"\ncontact = \"+47 1\"\nexpires = \"2099-01-01T00:00:00Z\"\n{rest}\n"
    )
}

#[test]
fn of_each_kind_one_paragraph_and_not_one_packet() {
    if !inside("refusals::of_each_kind_one_paragraph_and_not_one_packet") {
        return;
    }
    let wire = Wire::new();
    ip("route add default via 10.77.0.2");
    let write = |name: &str, text: &str| {
        let file = wire.home().join(name);
        std::fs::write(&file, text).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let empty = write("empty.txt", "# nothing here\n\n");
    let expired = write(
        "expired.toml",
        &permission("ranges = [\"192.0.2.0/24\"]").replace("2099", "2020"),
    );
    let elsewhere = write("elsewhere.toml", &permission("ranges = [\"198.51.100.0/24\"]"));
    let broken = write("broken.toml", "[permission]\nowner = 7\n");
    let cut = write("cut.jsonl", "{\"schema\":\"portcullis.chec");
    let list = format!("@{empty}");
    let capture = wire.capture();
    let refused = |arguments: &[&str], code: i32, error: &str, hint: &str| {
        let ended = wire.portcullis(&[&["scan", "--quiet"], arguments].concat());
        let said = ended.stderr.clone();
        ended.refused(code, error);
        assert!(
            said.contains("hint: ") && said.contains(hint),
            "{arguments:?}: {said}"
        );
    };
    refused(&[&list], 2, "SC007", "");
    refused(&["0.0.0.0/0"], 2, "SC002", "");
    refused(&["::/0"], 2, "SC002", "");
    refused(&["2001:db8::/64"], 2, "SC003", "");
    refused(&["10.77.0.300"], 2, "SC001", "");
    refused(&["fe80::1"], 2, "SC013", "fe80::1%eth0");
    refused(&["192.0.2.7", "--permission", &expired], 4, "OP002", "");
    refused(&["192.0.2.7", "--permission", &elsewhere], 4, "OP002", "");
    refused(&["192.0.2.7", "--permission", &broken], 2, "CF001", "");
    refused(&["192.0.2.7"], 4, "OP002", "permission");
    refused(&["--resume", &cut], 2, "SC030", "");
    refused(&["--resume", &expired], 2, "SC030", "");
    refused(&[FAR, "--guard", "192.0.2.7:502"], 4, "OP002", "");
    for ports in ["0", "70000", "tcp/http", "udp/", ""] {
        let ended = wire.portcullis(&["scan", FAR, "--quiet", "--ports", ports]);
        assert_eq!(ended.code, 2, "{ports}: {}", ended.stderr);
    }
    let unprivileged = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", PROGRAM];
    let syn = ["scan", FAR, "--ports", "502", "--mode", "syn", "--quiet"];
    let ended = Ended::of(&mut wire.command(&[&unprivileged[..], &syn].concat())).refused(5, "SC040");
    assert!(ended.stderr.contains("setcap cap_net_raw"), "{}", ended.stderr);
    assert_eq!(capture.end().len(), 0, "something was sent");
    assert!(wire.checkpoints().is_empty());
}

#[test]
fn overlapping_lists_are_one_scan_of_each_address() {
    if !inside("refusals::overlapping_lists_are_one_scan_of_each_address") {
        return;
    }
    let wire = Wire::new();
    let capture = wire.capture();
    let scanned = wire
        .scan(&[FAR, "10.77.0.2/32", "10.77.0.2-2", FAR, "--ports", "20000,20000"])
        .with(0);
    let syns = capture
        .end()
        .iter()
        .filter(|one| one.segment.is_syn() && one.segment.to.to_string() == FAR)
        .count();
    assert_eq!((scanned.state(FAR, "tcp/20000"), syns), ("closed", 1));
}

#[test]
fn a_smaller_rate_in_the_permission_slows_the_scan_and_it_goes_on() {
    if !inside("refusals::a_smaller_rate_in_the_permission_slows_the_scan_and_it_goes_on") {
        return;
    }
    let wire = Wire::new();
    wire.network(1..=200);
    wire.serve(54321, silent);
    let file = wire.home().join("permission.toml");
    let with_rate = |rate: &str| permission(&format!("ranges = [\"10.80.0.0/24\"]\nrate = \"{rate}/s\""));
    replace(&file, &with_rate("100"));
    let capture = wire.capture();
    let modes = [("connect", 1..=100_u8), ("syn", 101..=200)];
    let mut scans = modes.clone().map(|(mode, hosts)| {
        let store = wire.home().join(mode).join("s.sqlite");
        let targets = format!("10.80.0.{}-{}", hosts.start(), hosts.end());
        let scan = [
            "scan",
            &targets,
            "--ports",
            "20000,20001,20002,20003",
            "--quiet",
            "--mode",
            mode,
        ];
        let by = [
            "--permission",
            file.to_str().unwrap(),
            "--store",
            store.to_str().unwrap(),
            "--format",
            "jsonl",
        ];
        wire.start(&[&scan[..], &by].concat())
    });
    thread::sleep(Duration::from_millis(2000));
    replace(&file, &with_rate("20"));
    thread::sleep(Duration::from_millis(4000));
    // Wider again counts for nothing; nothing here makes it stop.
    replace(&file, &with_rate("2000"));
    let ended = scans
        .each_mut()
        .map(|running| running.ends(Duration::from_secs(40)).with(0));
    let arrived = capture.end();
    for (ended, (mode, hosts)) in ended.iter().zip(modes) {
        let hosts: Vec<IpAddr> = hosts.map(|host| [10, 80, 0, host].into()).collect();
        let theirs = arrived.iter().filter(|one| hosts.contains(&one.segment.to));
        let times: Vec<Duration> = theirs.map(|one| one.at).collect();
        let begin = *times.first().unwrap();
        let within = |from: u64, to: u64| {
            let (from, to) = (Duration::from_millis(from), Duration::from_millis(to));
            times
                .iter()
                .filter(|at| (from..to).contains(&(**at - begin)))
                .count()
        };
        let (before, after, later) = (within(0, 1000), within(3500, 4500), within(8000, 9000));
        assert!((70..=101).contains(&before), "{mode}: {before}");
        assert!(
            (10..=21).contains(&after) && (10..=21).contains(&later),
            "{mode}: {after}, {later}"
        );
        let closed = ended.stdout.matches("\"state\":\"closed\"").count();
        assert_eq!(closed, 400, "{mode}");
    }
}

/// As an editor does it: nobody reads half of it.
fn replace(file: &Path, text: &str) {
    let new = file.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(&new, file).unwrap();
}

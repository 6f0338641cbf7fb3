//! Rehearsals: in the copy everything happens, on the host nothing.

use crate::{
    backends::rules,
    plant::{GATEWAY, GATEWAY_ADDRESS, Plant, processes_of},
};

#[test]
fn a_change_is_rehearsed_in_a_copy_and_the_host_is_only_read() {
    let plant = Plant::up();
    let before = (rules(&plant), plant.ruleset(GATEWAY));
    let held = plant.hold("office", "10.7.10.10:54321", &[]);
    for asked in [
        &["--port", "54321"] as &[&str],
        &["--port", "54321", "--backend", "iptables-nft"],
        &["--port", "54321", "--backend", "iptables-legacy"],
        &["--port", "udp/4800", "--preventive", "--allow", "10.7.20.0/24"],
    ] {
        let arguments = [&["plan", "--rehearse", "--format", "json"], asked].concat();
        let planned = plant.portcullis(GATEWAY, &arguments).with(0);
        let json: serde_json::Value = serde_json::from_str(&planned.stdout).unwrap();
        let rehearsal = &json[0]["rehearsal"];
        assert_eq!(
            rehearsal["against"],
            serde_json::json!([]),
            "{asked:?}: {rehearsal}"
        );
        let rows = rehearsal["rows"].as_array().unwrap();
        let of = |name: &str| {
            let found: Vec<_> = rows.iter().filter(|row| row["name"] == name).collect();
            assert!(
                !found.is_empty(),
                "{asked:?}: nobody stands for {name}: {rehearsal}"
            );
            found
        };
        for row in of("engineering").into_iter().chain(of("this host (loopback)")) {
            let allowed = row["allowed"] == true;
            assert_eq!(
                row["on_trial"] == true,
                allowed && row["before"] == true,
                "{asked:?}: {row}"
            );
        }
        for row in of("everybody else") {
            assert_eq!(
                (&row["before"], &row["on_trial"], &row["after"]),
                (&true.into(), &false.into(), &true.into()),
                "{asked:?}: {row}"
            );
        }
        assert_eq!(
            (rules(&plant), plant.ruleset(GATEWAY)),
            before,
            "{asked:?}: the host was changed"
        );
    }
    held.is_alive();
    assert!(plant.answers("office", GATEWAY_ADDRESS, 54321));
    let copies = processes_of(&plant.folder()).into_iter().filter(|pid| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains("rehearsal")
    });
    assert_eq!(copies.count(), 0);
}

#[test]
fn a_ruleset_that_cannot_be_loaded_a_second_time_is_not_rehearsed_and_that_is_said() {
    let plant = Plant::up();
    let rule =
        "PATH=$PATH:/usr/sbin iptables-nft -A INPUT -p tcp --dport 23 -m recent --set --name seen -j ACCEPT";
    plant.shell(GATEWAY, rule).with(0);
    let planned = plant
        .portcullis(GATEWAY, &["plan", "--rehearse", "--port", "54321"])
        .with(3);
    assert!(planned.stderr.starts_with("error[OP022]: "), "{}", planned.stderr);
    assert!(
        planned.stderr.contains("cannot be loaded a second time"),
        "{}",
        planned.stderr
    );
    assert!(
        planned.stdout.contains("Nothing has been changed"),
        "{}",
        planned.stdout
    );
}

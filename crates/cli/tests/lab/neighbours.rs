//! Hosts on the same cable: by link-local address, and as the kernel's table of neighbours has them.

use std::process::Command;

use crate::{
    plant::eventually,
    wire::{Wire, inside, silent},
};

#[test]
fn link_local_addresses_and_the_table_of_neighbours() {
    if !inside("neighbours::link_local_addresses_and_the_table_of_neighbours") {
        return;
    }
    let wire = Wire::new();
    wire.serve(54321, silent);
    wire.ip("addr add fe80::77/64 dev wire nodad");
    let site = wire.home().join("site.toml");
    let text = std::fs::read_to_string(&site).unwrap();
    std::fs::write(
        &site,
        text.replace("\"fd77::/64\"", "\"fd77::/64\", \"fe80::/10\""),
    )
    .unwrap();
    let ready = || {
        let shown = Command::new("ip")
            .args(["-6", "addr", "show", "dev", "wire", "scope", "link"])
            .output()
            .unwrap();
        let shown = String::from_utf8(shown.stdout).unwrap();
        shown.contains("fe80") && !shown.contains("tentative")
    };
    eventually(
        "our own link-local address is ready",
        std::time::Duration::from_secs(10),
        ready,
    );
    for mode in ["connect", "syn"] {
        let scanned = wire
            .scan(&["fe80::77%wire", "--ports", "54321,20000", "--mode", mode])
            .with(0);
        let states = (
            scanned.state("fe80::77", "tcp/54321"),
            scanned.state("fe80::77", "tcp/20000"),
        );
        assert_eq!(states, ("open", "closed"), "{mode}");
        // Whoever was just talked to is in the table.
        let scanned = wire
            .scan(&["neighbours:wire", "--ports", "54321", "--mode", mode])
            .with(0);
        assert_eq!(
            scanned.state("fe80::77", "tcp/54321"),
            "open",
            "{mode}: {:#}",
            scanned.run
        );
        wire.scan(&["10.77.0.2", "--ports", "54321"]).with(0);
        let scanned = wire
            .scan(&["neighbours", "--ports", "54321", "--mode", mode])
            .with(0);
        assert_eq!(
            scanned.state("10.77.0.2", "tcp/54321"),
            "open",
            "{mode}: {:#}",
            scanned.run
        );
    }
    for nowhere in ["fe80::77", "fe80::77%nowhere", "neighbours:nowhere"] {
        let refused = wire.scan(&[nowhere, "--ports", "54321"]).with(2);
        assert!(refused.stderr.starts_with("error["), "{}", refused.stderr);
    }
}

//! A port of a host behind a router, closed on the router: for devices that nobody can change.

use crate::plant::{Ended, GATEWAY_ADDRESS, PROGRAM, Plant};

/// A program on the router of the plant, which is the first process of the plant.
fn on_router(plant: &Plant, script: &str) -> Ended {
    let entered = ["--target", "1", "--net", "--uts", "--", "sh", "-c", script];
    Ended::of(&mut plant.command("engineering", "nsenter", &entered))
}

fn rules(plant: &Plant) -> String {
    on_router(plant, "PATH=$PATH:/usr/sbin:/sbin nft -s list ruleset")
        .with(0)
        .stdout
}

#[test]
fn a_router_closes_the_port_of_a_host_behind_it_and_nothing_else() {
    let plant = Plant::up();
    let portcullis = |arguments: &str| on_router(&plant, &format!("exec '{PROGRAM}' {arguments}"));
    // The router's own firewall has to track connections for them to be listed.
    let foreign = "table inet site { chain forward { type filter hook forward priority filter; ct state established accept\n}\n}\n";
    on_router(&plant, &format!("PATH=$PATH:/usr/sbin:/sbin nft '{foreign}'")).with(0);
    let before = rules(&plant);
    let office = plant.hold("office", "10.7.10.10:54321", &[]);
    let engineering = plant.hold("engineering", "10.7.10.10:54321", &[]);
    let planned = portcullis("plan --port 54321 --behind 10.7.10.10 --behind 2001:db8:7:10::a").with(0);
    for line in ["10.7.30.5:", "office", "CUT", "10.7.20.5:", "lives on"] {
        assert!(planned.stdout.contains(line), "{line}: {}", planned.stdout);
    }
    let plan = planned
        .stdout
        .split_whitespace()
        .nth(1)
        .unwrap()
        .trim_end_matches(':');
    let applied = portcullis(&format!("apply {plan} --trial 30s")).with(0);
    let change = applied.stdout.split_whitespace().nth(1).unwrap();
    office.is_cut();
    engineering.is_alive();
    for address in [GATEWAY_ADDRESS, "2001:db8:7:10::a"] {
        assert!(!plant.answers("office", address, 54321), "{address}");
        assert!(plant.answers("engineering", address, 54321), "{address}");
    }
    // Another host, another port, and the gateway's own zone are not meant.
    assert!(plant.answers("office", "10.7.10.12", 5000));
    assert!(plant.answers("controller", GATEWAY_ADDRESS, 54321));
    assert!(plant.answers("engineering", GATEWAY_ADDRESS, 54321));
    let listed = portcullis("changes").with(0);
    assert!(listed.stdout.contains("on trial"), "{}", listed.stdout);
    portcullis(&format!("rollback {change}")).with(0);
    assert_eq!(rules(&plant), before);
    assert!(plant.answers("office", GATEWAY_ADDRESS, 54321));
    portcullis("plan --port 54321 --behind 10.7.10.1").refused(2, "FW014");
    portcullis("plan --port 54321 --behind 10.7.10.10 --backend ufw").refused(2, "FW013");
}

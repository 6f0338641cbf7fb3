//! What a trial promises: who is cut and who is not, and that the kernel itself lets go.

use std::time::{Duration, Instant};

use crate::plant::{GATEWAY, GATEWAY_ADDRESS, Plant, eventually};

#[test]
fn finding_06_office_is_cut_and_engineering_and_the_host_s_own_connections_live_on() {
    let plant = Plant::up();
    let office = plant.hold("office", "10.7.10.10:54321", &[]);
    let engineering = plant.hold("engineering", "10.7.10.10:54321", &[]);
    let outgoing = plant.hold(GATEWAY, "10.7.20.5:7000", &["--source-port", "54321"]);
    let plan = plant.plan(&["--port", "54321"]);
    let applied = plant
        .portcullis(GATEWAY, &["apply", &plan, "--trial", "60s"])
        .with(0);
    for (held, fate) in [
        (&office.local, "(office): cut, nothing arrives any more"),
        (&engineering.local, "(engineering): alive, "),
    ] {
        assert!(
            applied.stdout.contains(&format!("{held} {fate}")),
            "{}",
            applied.stdout
        );
    }
    assert!(
        applied.stdout.contains("10.7.20.5:7000 (engineering): "),
        "{}",
        applied.stdout
    );
    office.is_cut();
    engineering.is_alive();
    outgoing.is_alive();
    for address in [GATEWAY_ADDRESS, "2001:db8:7:10::a"] {
        assert!(
            !plant.answers("internet", address, 54321),
            "{address} is open to the internet"
        );
        assert!(
            plant.answers("engineering", address, 54321),
            "{address} is closed to engineering"
        );
    }
}

/// The connection tracker of this host was not in use when the connection began. It then takes the peer's next packet
/// for the first of a connection to the closed port, and a plain drop would cut it.
#[test]
fn finding_05_an_outgoing_connection_that_is_older_than_the_connection_tracker_s_use_lives_on() {
    let plant = Plant::up();
    let host = "controller";
    assert_eq!(
        plant.ruleset(host),
        "",
        "a ruleset would have brought the tracker into use"
    );
    let outgoing = plant.hold(host, "10.7.30.5:7000", &["--source-port", "44818"]);
    let planned = plant
        .portcullis(host, &["plan", "--port", "44818", "--preventive"])
        .with(0);
    assert!(
        planned.stdout.contains("own outgoing connection"),
        "{}",
        planned.stdout
    );
    let plan = planned
        .stdout
        .split_whitespace()
        .nth(1)
        .unwrap()
        .trim_end_matches(':')
        .to_owned();
    plant
        .portcullis(host, &["apply", &plan, "--trial", "60s"])
        .with(0);
    outgoing.is_alive();
}

#[test]
fn finding_07_a_trial_left_alone_is_open_again_in_time_and_the_next_command_restores_the_ruleset() {
    let plant = Plant::up();
    let before = plant.ruleset(GATEWAY);
    let plan = plant.plan(&["--port", "54321"]);
    let applied = Instant::now();
    plant.apply(&plan, "5s");
    assert!(!plant.answers("office", GATEWAY_ADDRESS, 54321));
    // Nothing of Portcullis runs on the gateway now: `apply` has ended, and there is no guard process to be killed.
    eventually("the port is open again", Duration::from_secs(12), || {
        plant.answers("office", GATEWAY_ADDRESS, 54321)
    });
    let open_after = applied.elapsed();
    assert!(
        open_after >= Duration::from_secs(4),
        "it was open after {open_after:?}, in the middle of the trial"
    );
    assert!(
        plant.ruleset(GATEWAY).contains("table inet portcullis"),
        "the remnant is there until a command looks"
    );
    let listed = plant.portcullis(GATEWAY, &["changes"]).with(0);
    assert!(listed.stdout.contains("fell back"), "{}", listed.stdout);
    assert_eq!(plant.ruleset(GATEWAY), before);
}

#[test]
fn the_kernel_lets_go_within_two_seconds_of_the_time() {
    let plant = Plant::up();
    let plan = plant.plan(&["--port", "54321"]);
    let applied = Instant::now();
    let change = plant.apply(&plan, "6s");
    let set = format!("PATH=$PATH:/usr/sbin nft list set inet portcullis ports_{change}");
    assert!(plant.shell(GATEWAY, &set).stdout.contains("elements"));
    eventually("the set is empty", Duration::from_secs(9), || {
        !plant.shell(GATEWAY, &set).stdout.contains("elements")
    });
    let held = applied.elapsed();
    assert!(
        held > Duration::from_secs(5) && held < Duration::from_secs(8),
        "it was held for {held:?}"
    );
}

#[test]
fn a_confirmed_change_stays_and_a_rollback_leaves_the_ruleset_as_it_was() {
    let plant = Plant::up();
    let before = plant.ruleset(GATEWAY);
    let plan = plant.plan(&["--port", "54321"]);
    let change = plant.apply(&plan, "5s");
    plant.portcullis(GATEWAY, &["confirm", &change]).with(0);
    std::thread::sleep(Duration::from_secs(6));
    assert!(
        !plant.answers("office", GATEWAY_ADDRESS, 54321),
        "it did not outlive the trial"
    );
    assert!(
        plant
            .portcullis(GATEWAY, &["changes"])
            .with(0)
            .stdout
            .contains("confirmed")
    );
    plant.portcullis(GATEWAY, &["rollback", &change]).with(0);
    assert_eq!(plant.ruleset(GATEWAY), before);
    assert!(plant.answers("office", GATEWAY_ADDRESS, 54321));
    plant
        .portcullis(GATEWAY, &["rollback", &change])
        .refused(4, "OP006");
    plant.portcullis(GATEWAY, &["audit", "verify"]).with(0);
}

#[test]
fn confirming_after_the_end_is_refused_and_changes_nothing() {
    let plant = Plant::up();
    let before = plant.ruleset(GATEWAY);
    let plan = plant.plan(&["--port", "54321"]);
    let change = plant.apply(&plan, "5s");
    eventually("the trial is over", Duration::from_secs(12), || {
        plant.answers("office", GATEWAY_ADDRESS, 54321)
    });
    plant
        .portcullis(GATEWAY, &["confirm", &change])
        .refused(4, "FW009");
    assert_eq!(plant.ruleset(GATEWAY), before);
}

//! The clock is stepped, by hours and both ways: a trial is counted by the kernel or by its guard, never by the time of
//! day.

use std::{path::PathBuf, time::Duration};

use crate::{
    backends::rules,
    managed::UNPACKED,
    plant::{Ended, GATEWAY, GATEWAY_ADDRESS, PROGRAM, Plant, eventually},
};

const CASES: [(&str, &str); 2] = [("nftables", "+2h"), ("iptables-nft", "-2h")];

fn faketime() -> PathBuf {
    let folders = std::fs::read_dir(format!("{UNPACKED}/usr/lib")).unwrap();
    folders
        .map(|entry| entry.unwrap().path().join("faketime/libfaketime.so.1"))
        .find(|library| library.exists())
        .unwrap()
}

/// The program with a clock that shows another time of day; what counts from the start of the machine stays.
fn stepped(plant: &Plant, step: &str, arguments: &str) -> Ended {
    let library = faketime();
    let script = format!(
        "LD_PRELOAD={} FAKETIME={step} DONT_FAKE_MONOTONIC=1 FAKETIME_DONT_RESET=1 {PROGRAM} {arguments}",
        library.display()
    );
    plant.shell(GATEWAY, &script)
}

#[test]
fn a_clock_that_is_stepped_during_a_trial_neither_ends_it_nor_makes_it_stay() {
    for (backend, step) in CASES {
        let plant = Plant::up();
        let before = rules(&plant);
        let plan = plant.plan(&["--port", "54321", "--backend", backend]);
        let change = plant.apply(&plan, "90s");
        let listed = stepped(&plant, step, "changes").with(0);
        assert!(
            listed.stdout.contains("on trial"),
            "{backend} {step}: {}",
            listed.stdout
        );
        assert!(
            !plant.answers("office", GATEWAY_ADDRESS, 54321),
            "{backend} {step}"
        );
        stepped(&plant, step, &format!("confirm {change}")).with(0);
        assert!(
            !plant.answers("office", GATEWAY_ADDRESS, 54321),
            "{backend} {step}"
        );
        let listed = plant.portcullis(GATEWAY, &["changes"]).with(0);
        assert!(
            listed.stdout.contains("confirmed"),
            "{backend} {step}: {}",
            listed.stdout
        );
        stepped(&plant, step, &format!("rollback {change}")).with(0);
        assert_eq!(rules(&plant), before, "{backend} {step}");
        plant.portcullis(GATEWAY, &["audit", "verify"]).with(0);
    }
}

#[test]
fn a_trial_that_began_by_a_wrong_clock_ends_in_its_time() {
    for (backend, step) in CASES {
        let plant = Plant::up();
        let before = rules(&plant);
        let plan = plant.plan(&["--port", "54321", "--backend", backend]);
        stepped(&plant, step, &format!("apply {plan} --trial 15s")).with(0);
        assert!(
            !plant.answers("office", GATEWAY_ADDRESS, 54321),
            "{backend} {step}"
        );
        eventually("the trial is over", Duration::from_secs(40), || {
            plant.answers("office", GATEWAY_ADDRESS, 54321)
        });
        let listed = plant.portcullis(GATEWAY, &["changes"]).with(0);
        assert!(
            listed.stdout.contains("expired") || listed.stdout.contains("fell back"),
            "{backend} {step}: {}",
            listed.stdout
        );
        assert_eq!(rules(&plant), before, "{backend} {step}");
    }
}

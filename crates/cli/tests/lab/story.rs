//! `lab run` itself, and what is left of it when it is killed.

use std::{process::Stdio, thread, time::Duration};

use crate::plant::{Ended, PROGRAM, eventually, processes_of};

fn lab_run(home: &std::path::Path) -> std::process::Command {
    let mut command = std::process::Command::new(PROGRAM);
    command.env("XDG_STATE_HOME", home).args(["lab", "run"]);
    command
}

#[test]
fn the_story_is_told_with_every_expectation_met_and_can_be_told_again() {
    let home = tempfile::tempdir().unwrap();
    let told = Ended::of(&mut lab_run(home.path())).with(0);
    for shown in [
        "moxa-mdm-gateway is ruled-out",
        "moxa-mdm-gateway (possible)",
        "moxa-dsci (proven)",
        "proved closed where it should be: from lab:office, lab:internet",
        "fell back",
        "rolled back",
        "0 not met",
    ] {
        assert!(
            told.stdout.contains(shown),
            "{shown:?} is not in the story:\n{}",
            told.stdout
        );
    }
    for step in told.stdout.split("\n=== ") {
        assert!(
            step.lines().count() <= 70,
            "a step is longer than a screen:\n{step}"
        );
    }
    assert!(!home.path().join("portcullis/lab").exists());
    Ended::of(&mut lab_run(home.path())).with(0);
}

#[test]
fn killed_at_any_step_it_leaves_nothing_that_lab_down_does_not_remove() {
    let folder_of = |home: &tempfile::TempDir| home.path().join("portcullis/lab");
    for moment in [30, 90, 200, 2_000, 6_000, 12_000] {
        let home = tempfile::tempdir().unwrap();
        let mut running = lab_run(home.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        thread::sleep(Duration::from_millis(moment));
        running.kill().unwrap();
        running.wait().unwrap();
        // The next `lab up` does as well as `lab down`.
        let mut up = std::process::Command::new(PROGRAM);
        Ended::of(up.env("XDG_STATE_HOME", home.path()).args(["lab", "up"])).with(0);
        let mut down = std::process::Command::new(PROGRAM);
        Ended::of(down.env("XDG_STATE_HOME", home.path()).args(["lab", "down"])).with(0);
        eventually(
            &format!("killed after {moment} ms: no process left"),
            Duration::from_secs(3),
            || processes_of(&folder_of(&home)).is_empty(),
        );
        assert!(!folder_of(&home).exists());
    }
}

#[test]
fn ctrl_c_takes_the_plant_away() {
    let home = tempfile::tempdir().unwrap();
    let mut command = lab_run(home.path());
    let mut running = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    thread::sleep(Duration::from_millis(1500));
    let interrupt = format!("kill -INT {}", running.id());
    Ended::of(std::process::Command::new("sh").args(["-c", &interrupt])).with(0);
    assert_eq!(running.wait().unwrap().code(), Some(5));
    let folder = home.path().join("portcullis/lab");
    assert!(!folder.exists());
    eventually("no process left", Duration::from_secs(3), || {
        processes_of(&folder).is_empty()
    });
}

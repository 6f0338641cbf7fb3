//! Changes beside other changes, other people's rules, and other people.

use std::{
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use crate::plant::{Ended, GATEWAY, GATEWAY_ADDRESS, PROGRAM, Plant, eventually};

#[test]
fn two_changes_live_side_by_side_and_go_one_by_one() {
    for first_back in [0, 1] {
        let plant = Plant::up();
        let before = plant.ruleset(GATEWAY);
        let gateway = plant.apply(&plant.plan(&["--port", "54321"]), "60s");
        let other = plant.apply(&plant.plan(&["--port", "44818", "--preventive"]), "60s");
        let back = [&gateway, &other];
        plant
            .portcullis(GATEWAY, &["confirm", back[1 - first_back]])
            .with(0);
        plant.portcullis(GATEWAY, &["rollback", back[first_back]]).with(0);
        let between = plant.ruleset(GATEWAY);
        assert!(
            between.contains(&format!("change_{}", back[1 - first_back])),
            "{between}"
        );
        assert!(!between.contains(back[first_back].as_str()), "{between}");
        let open = plant.answers("office", GATEWAY_ADDRESS, 54321);
        assert_eq!(open, first_back == 0, "the other change must go on as it was");
        plant
            .portcullis(GATEWAY, &["rollback", back[1 - first_back]])
            .with(0);
        assert_eq!(plant.ruleset(GATEWAY), before);
    }
}

#[test]
fn a_port_that_is_closed_already_is_not_closed_twice() {
    let plant = Plant::up();
    let plan = plant.plan(&["--port", "54321"]);
    plant.apply(&plan, "60s");
    plant.portcullis(GATEWAY, &["apply", &plan]).refused(4, "FW007");
    plant
        .portcullis(GATEWAY, &["plan", "--port", "54321"])
        .refused(4, "FW007");
}

#[test]
fn a_ruleset_that_changed_after_the_plan_was_made_is_refused_and_counters_do_not_count() {
    let plant = Plant::up();
    let plan = plant.plan(&["--port", "54321"]);
    let nft = |command: &str| {
        plant
            .shell(GATEWAY, &format!("PATH=$PATH:/usr/sbin nft {command}"))
            .with(0)
    };
    // What changes by itself is no change: a counter, and an element of a set with a timeout.
    plant.answers("office", GATEWAY_ADDRESS, 23);
    nft("add element inet plant_filter banned '{ 192.0.2.7 timeout 60s }'");
    let change = plant.apply(&plan, "60s");
    plant.portcullis(GATEWAY, &["rollback", &change]).with(0);
    nft("add rule inet plant_filter input tcp dport 8080 drop");
    let changed = plant.ruleset(GATEWAY);
    let refused = plant.portcullis(GATEWAY, &["apply", &plan]).refused(4, "FW003");
    assert!(
        refused.stderr.contains("hint: run `portcullis plan` again"),
        "{}",
        refused.stderr
    );
    assert_eq!(plant.ruleset(GATEWAY), changed);
}

#[test]
fn somebody_who_flushes_the_ruleset_is_noticed() {
    let plant = Plant::up();
    let change = plant.apply(&plant.plan(&["--port", "54321"]), "60s");
    plant.portcullis(GATEWAY, &["confirm", &change]).with(0);
    plant
        .shell(GATEWAY, "PATH=$PATH:/usr/sbin nft delete table inet portcullis")
        .with(0);
    let listed = plant.portcullis(GATEWAY, &["changes"]).with(0);
    assert!(listed.stdout.contains("not in force"), "{}", listed.stdout);
    plant
        .portcullis(GATEWAY, &["verify", &change, "--from", "lab:office"])
        .with(1);
}

/// Each of these lets somebody in, or keeps everybody out, without touching the set in which the port stands.
#[test]
fn rules_that_somebody_changed_are_not_confirmed_and_not_called_closed() {
    for tampering in [
        "nft insert rule inet portcullis prerouting accept",
        "nft flush chain inet portcullis change_TAG",
        "nft insert rule inet portcullis change_TAG ip saddr 10.7.30.5 accept",
        "nft 'add table inet portcullis { flags dormant; }'",
        "nft add element inet portcullis sources4_TAG '{ 10.7.30.0/24 }'",
        "nft chain inet portcullis prerouting '{ policy drop; }'",
        "nft replace rule inet portcullis prerouting handle JUMP tcp dport @ports_TAG limit rate 1/hour jump change_TAG",
        "nft replace rule inet portcullis prerouting handle JUMP tcp dport 9 jump change_TAG",
        "nft 'delete element inet portcullis ports_TAG { 54321 }; add element inet portcullis ports_TAG { 54321 timeout 9h }'",
    ] {
        let plant = Plant::up();
        let before = plant.ruleset(GATEWAY);
        let change = plant.apply(&plant.plan(&["--port", "54321"]), "60s");
        let script = format!(
            "export PATH=$PATH:/usr/sbin; jump=$(nft -a list chain inet portcullis prerouting | sed -n \
             's/.*jump.*handle //p'); {}",
            tampering.replace("TAG", &change).replace("JUMP", "$jump")
        );
        plant.shell(GATEWAY, &script).with(0);
        let verified = plant.portcullis(GATEWAY, &["verify", &change]);
        assert!(
            !verified.stdout.contains("proved closed where"),
            "{tampering}: {}",
            verified.stdout
        );
        assert_ne!(verified.code, 0, "{tampering}");
        plant
            .portcullis(GATEWAY, &["confirm", &change])
            .refused(4, "OP006");
        let listed = plant.portcullis(GATEWAY, &["changes"]).with(0);
        assert!(
            listed.stdout.contains("not in force"),
            "{tampering}: {}",
            listed.stdout
        );
        plant.portcullis(GATEWAY, &["rollback", &change]).with(0);
        let after = plant.ruleset(GATEWAY);
        // A rule that somebody else made stays, and what it stands in with it.
        let stranger = tampering.contains("insert rule inet portcullis prerouting");
        assert!(!after.contains(&change), "{tampering}: {after}");
        assert_eq!(after == before, !stranger, "{tampering}: {after}");
    }
}

#[test]
fn what_others_keep_in_our_table_is_left_alone_and_named() {
    let plant = Plant::up();
    let plan = plant.plan(&["--port", "54321"]);
    let nft = "add table inet portcullis; add chain inet portcullis mine; \
               add rule inet portcullis mine tcp dport 23 drop";
    plant
        .shell(GATEWAY, &format!("PATH=$PATH:/usr/sbin nft '{nft}'"))
        .with(0);
    let with_theirs = plant.ruleset(GATEWAY);
    plant
        .portcullis(GATEWAY, &["plan", "--port", "54321"])
        .refused(4, "FW010");
    plant.portcullis(GATEWAY, &["apply", &plan]).refused(4, "FW010");
    let listed = plant.portcullis(GATEWAY, &["changes"]).with(0);
    assert!(listed.stdout.contains("the chain `mine`"), "{}", listed.stdout);
    assert_eq!(plant.ruleset(GATEWAY), with_theirs);
}

#[test]
fn an_id_that_names_no_change_takes_nothing_back() {
    let plant = Plant::up();
    let change = plant.apply(&plant.plan(&["--port", "54321"]), "60s");
    let in_force = plant.ruleset(GATEWAY);
    for wrong in [
        "ffffffffff".to_owned(),
        "zz".to_owned(),
        " ".to_owned(),
        change.repeat(3),
    ] {
        let ended = plant.portcullis(GATEWAY, &["rollback", &format!("{change}{wrong}")]);
        assert_eq!(
            ended.code, 2,
            "{change}{wrong}: {} {}",
            ended.stdout, ended.stderr
        );
        assert_eq!(plant.ruleset(GATEWAY), in_force, "{change}{wrong}");
    }
    plant.portcullis(GATEWAY, &["rollback", &change]).with(0);
}

#[test]
fn the_operator_is_not_locked_out() {
    let plant = Plant::up();
    let session = plant.hold("office", "10.7.10.10:54321", &[]);
    let (client, port) = session.local.rsplit_once(':').unwrap();
    let over_session = |arguments: &[&str]| {
        let mut command = plant.command(GATEWAY, PROGRAM, arguments);
        Ended::of(command.env("SSH_CONNECTION", format!("{client} {port} 10.7.10.10 54321")))
    };
    let refused = over_session(&["plan", "--port", "54321"]).refused(4, "FW004");
    assert!(
        refused.stderr.contains("--allow 10.7.30.5/32"),
        "{}",
        refused.stderr
    );
    over_session(&["plan", "--port", "54321", "--allow", "10.7.30.5/32"]).with(0);
    // A plan that was made elsewhere is held against the operator's own connection when it is applied.
    let plan = plant.plan(&["--port", "54321"]);
    over_session(&["apply", &plan]).refused(4, "FW004");
    session.is_alive();
}

#[test]
fn a_confirmation_over_the_session_that_applied_proves_nothing() {
    let plant = Plant::up();
    let plan = plant.plan(&["--port", "54321"]);
    let session = |arguments: &[&str], port: u16| {
        let mut command = plant.command(GATEWAY, PROGRAM, arguments);
        Ended::of(command.env("SSH_CONNECTION", format!("10.7.20.5 {port} 10.7.10.10 22")))
    };
    let applied = session(&["apply", &plan, "--trial", "60s"], 40000).with(0);
    let change = applied.stdout.split_whitespace().nth(1).unwrap().to_owned();
    session(&["confirm", &change], 40000).refused(4, "OP007");
    session(&["confirm", &change], 40001).with(0);
}

#[test]
fn maintenance_windows_are_kept_unless_it_is_an_emergency() {
    let plant = Plant::up();
    let earlier = plant.plan(&["--port", "54321"]);
    // A window of one minute that is never now: it opens in twelve hours.
    let opens = jiff::Timestamp::now()
        .to_zoned_datetime(jiff::tz::TimeZone::UTC)
        .time()
        .hour();
    let hour = (opens + 12) % 24;
    let site = std::fs::read_to_string(plant.folder().join("site.toml")).unwrap();
    let site = site.replace("Europe/Oslo", "UTC");
    let closed =
        format!("{site}\n[[window]]\nname = \"night\"\nwhen = \"daily {hour:02}:00-{hour:02}:01\"\n");
    std::fs::write(plant.folder().join("site.toml"), closed).unwrap();
    plant
        .portcullis(GATEWAY, &["apply", &earlier])
        .refused(4, "OP016");
    let plan = plant.plan(&["--port", "54321"]);
    let without = format!("unset PORTCULLIS_CONFIG; {PROGRAM} apply {plan}");
    plant.shell(GATEWAY, &without).refused(4, "OP016");
    let refused = plant.portcullis(GATEWAY, &["apply", &plan]).refused(4, "OP003");
    assert!(refused.stderr.contains("`night`"), "{}", refused.stderr);
    plant
        .portcullis(GATEWAY, &["apply", &plan, "--emergency", "  "])
        .refused(2, "OP004");
    plant
        .portcullis(
            GATEWAY,
            &["apply", &plan, "--emergency", "worm on the office network"],
        )
        .with(0);
    let audit = plant
        .portcullis(GATEWAY, &["audit", "list", "--format", "jsonl"])
        .with(0);
    assert!(audit.stdout.contains("worm on the office network"));
}

/// A folder with an `nft` that takes its time, to be put first in `PATH`.
fn slow_nft(plant: &Plant, seconds: f32) -> String {
    use std::os::unix::fs::PermissionsExt;
    let folder = plant.folder().join("slow");
    std::fs::create_dir_all(&folder).unwrap();
    let script = format!("#!/bin/sh\nsleep {seconds}\nexec /usr/sbin/nft \"$@\"\n");
    std::fs::write(folder.join("nft"), script).unwrap();
    std::fs::set_permissions(folder.join("nft"), std::fs::Permissions::from_mode(0o755)).unwrap();
    format!("{}:{}", folder.display(), std::env::var("PATH").unwrap())
}

#[test]
fn a_second_change_at_the_same_time_is_refused() {
    let plant = Plant::up();
    let plan = plant.plan(&["--port", "54321"]);
    let mut slow = plant.command(GATEWAY, PROGRAM, &["apply", &plan, "--trial", "60s"]);
    let mut first = slow
        .env("PATH", slow_nft(&plant, 1.0))
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    eventually("the lock is held", Duration::from_secs(10), || {
        plant
            .shell(GATEWAY, "grep -q portcullis/firewall /proc/net/unix")
            .code
            == 0
    });
    plant.portcullis(GATEWAY, &["apply", &plan]).refused(4, "SY008");
    assert!(first.wait().unwrap().success());
    assert!(!plant.answers("office", GATEWAY_ADDRESS, 54321));
}

/// Sends SIGINT to the `apply` on the gateway, as Ctrl-C at its terminal would.
fn interrupt(plant: &Plant) {
    let script = "for p in /proc/[0-9]*; do tr '\\0' ' ' <$p/cmdline 2>/dev/null | grep -q '^[^ ]*portcullis apply ' \
                  && kill -INT ${p#/proc/}; done; true";
    plant.shell(GATEWAY, script).with(0);
}

#[test]
fn ctrl_c_at_any_step_of_apply_leaves_the_ruleset_as_it_was() {
    let plant = Plant::up();
    let before = plant.ruleset(GATEWAY);
    let plan = plant.plan(&["--port", "54321"]);
    let path = slow_nft(&plant, 0.3);
    // `apply` calls nft about six times: the moments fall into different steps.
    for moment in [200, 500, 900, 1300, 1700] {
        let mut slow: Command = plant.command(GATEWAY, PROGRAM, &["apply", &plan, "--trial", "60s"]);
        let running = slow
            .env("PATH", &path)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        thread::sleep(Duration::from_millis(moment));
        interrupt(&plant);
        let output = running.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() {
            // It had ended before the signal came: then the change is on trial as it should be.
            let change = String::from_utf8_lossy(&output.stdout)
                .split_whitespace()
                .nth(1)
                .unwrap()
                .to_owned();
            plant.portcullis(GATEWAY, &["rollback", &change]).with(0);
        } else {
            assert!(
                said.contains("error[OP008]") || said.contains("error[OP009]"),
                "after {moment} ms: {said}"
            );
        }
        assert_eq!(plant.ruleset(GATEWAY), before, "after {moment} ms: {said}");
    }
}

#[test]
fn killed_in_the_middle_of_apply_it_is_on_trial_or_not_there_and_never_for_ever() {
    let plant = Plant::up();
    let before = plant.ruleset(GATEWAY);
    let path = slow_nft(&plant, 0.2);
    for moment in [100, 400, 700, 1000, 1300] {
        let plan = plant.plan(&["--port", "54321"]);
        let script = format!(
            "{PROGRAM} apply {plan} --trial 5s >/dev/null 2>&1 & sleep {}; kill -9 $!; wait $! 2>/dev/null; true",
            f64::from(moment) / 1000.0
        );
        let mut shell = plant.command(GATEWAY, "sh", &["-c", &script]);
        Ended::of(shell.env("PATH", &path)).with(0);
        // An `nft` that was started before may still load the trial after its starter was killed.
        thread::sleep(Duration::from_millis(500));
        eventually(
            &format!("killed after {moment} ms: as before"),
            Duration::from_secs(15),
            || {
                plant.portcullis(GATEWAY, &["changes"]).with(0);
                plant.ruleset(GATEWAY) == before
            },
        );
        assert!(plant.answers("office", GATEWAY_ADDRESS, 54321));
    }
    let listed = plant
        .portcullis(GATEWAY, &["changes", "--format", "jsonl"])
        .with(0);
    for stale in ["\"state\":\"applying\"", "\"state\":\"on-trial\""] {
        assert!(!listed.stdout.contains(stale), "{}", listed.stdout);
    }
}

#[test]
fn a_dead_cable_is_not_taken_for_a_closed_port() {
    let plant = Plant::up();
    let plan = plant.plan(&["--port", "54321"]);
    plant.apply(&plan, "60s");
    // The office can send no more: nothing it does not hear proves anything.
    plant
        .shell("office", "PATH=$PATH:/usr/sbin:/sbin ip link set eth0 down")
        .with(0);
    let verified = plant
        .portcullis(GATEWAY, &["verify", &plan, "--from", "lab:office"])
        .with(3);
    assert!(verified.stdout.contains("cannot conclude"), "{}", verified.stdout);
}

#[test]
fn a_service_that_has_died_is_not_taken_for_a_closed_one() {
    let plant = Plant::up();
    let plan = plant.plan(&["--port", "54321"]);
    plant.apply(&plan, "60s");
    let listener =
        "kill -9 $(PATH=$PATH:/usr/sbin ss -tlnp | sed -n 's/.*:54321 .*pid=\\([0-9]*\\).*/\\1/p')";
    // The host's network lives on in this shell, whose process keeps the namespace.
    let script = format!("{listener}; {PROGRAM} verify {plan} --from this-host");
    let verified = plant.shell(GATEWAY, &script).with(1);
    assert!(
        verified.stdout.contains("NO LONGER LISTENS"),
        "{}",
        verified.stdout
    );
}

/// Whoever looks is kept from sending, so that silence comes from there.
fn mute(plant: &Plant, host: &str, port: u16) {
    let rules = format!(
        "add table inet mute; add chain inet mute out {{ type filter hook output priority 0; }}; add rule inet mute out tcp dport \
         {port} drop"
    );
    plant
        .shell(host, &format!("PATH=$PATH:/usr/sbin:/sbin nft '{rules}'"))
        .with(0);
}

#[test]
fn a_change_of_which_nothing_is_left_is_never_called_proved() {
    let plant = Plant::up();
    let change = plant.apply(&plant.plan(&["--port", "54321"]), "60s");
    plant.portcullis(GATEWAY, &["confirm", &change]).with(0);
    let nft = |rules: &str| {
        let script = format!("PATH=$PATH:/usr/sbin:/sbin nft '{rules}'");
        plant.shell(GATEWAY, &script).with(0)
    };
    nft("delete table inet portcullis");
    for host in ["office", "internet"] {
        mute(&plant, host, 54321);
    }
    for asked in [vec!["verify", &change], vec!["verify", "--port", "54321"]] {
        let verified = plant.portcullis(GATEWAY, &asked).with(3);
        assert!(
            verified
                .stdout
                .contains(&format!("nothing of change {change} is loaded")),
            "{}",
            verified.stdout
        );
    }
}

#[test]
fn a_trial_that_somebody_made_permanent_is_not_taken_for_confirmed() {
    let plant = Plant::up();
    let change = plant.apply(&plant.plan(&["--port", "54321"]), "60s");
    let nft = format!(
        "PATH=$PATH:/usr/sbin:/sbin nft 'delete element inet portcullis ports_{change} {{ 54321 }}; add element inet portcullis \
         ports_{change} {{ 54321 }}'"
    );
    plant.shell(GATEWAY, &nft).with(0);
    let listed = plant.portcullis(GATEWAY, &["changes"]).with(0);
    assert!(
        listed.stdout.contains("not in force") && listed.stdout.contains("nobody has confirmed it"),
        "{}",
        listed.stdout
    );
    // Nor when it is looked at once more.
    let listed = plant.portcullis(GATEWAY, &["changes"]).with(0);
    assert!(listed.stdout.contains("not in force"), "{}", listed.stdout);
    plant.portcullis(GATEWAY, &["verify", &change]).with(3);
    plant.portcullis(GATEWAY, &["rollback", &change]).with(0);
    assert!(plant.answers("office", GATEWAY_ADDRESS, 54321));
}

#[test]
fn a_service_of_one_family_is_not_called_cut_in_the_other() {
    let plant = Plant::up();
    let server =
        "import socket; s = socket.create_server((\"0.0.0.0\", 7779)); __import__(\"time\").sleep(300)";
    let mut command = plant.command(GATEWAY, "python3", &["-c", server]);
    let mut server = command.stdin(Stdio::null()).spawn().unwrap();
    plant.listens(GATEWAY, 7779);
    let change = plant.apply(&plant.plan(&["--port", "7779", "--allow", "10.7.20.0/24"]), "60s");
    let verified = plant.portcullis(GATEWAY, &["verify", &change]).with(0);
    assert!(
        verified.stdout.contains("proved closed") && !verified.stdout.contains("::1"),
        "{}",
        verified.stdout
    );
    let _ = server.kill();
    let _ = server.wait();
}

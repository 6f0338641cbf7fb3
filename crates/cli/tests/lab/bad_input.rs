//! What bad input and a bad machine get: one paragraph with code, cause and hint, the documented exit code, and
//! nothing half done.

use crate::plant::{Ended, GATEWAY, PROGRAM, Plant};

#[test]
fn a_port_that_nothing_listens_on() {
    let plant = Plant::up();
    let refused = plant
        .portcullis(GATEWAY, &["plan", "--port", "4711"])
        .refused(2, "FW006");
    assert!(refused.stderr.contains("--preventive"), "{}", refused.stderr);
}

#[test]
fn a_site_with_several_mistakes_tells_them_all_and_starts_nothing() {
    let plant = Plant::up();
    let file = plant.folder().join("wrong.toml");
    let text = "[site]\nname = \"p\"\n[[zone]]\nname = \"a\"\nnetworks = [\"10.0.0.0/8\", \"10.0.0.0/40\"]\n\
                [[zone]]\nname = \"b\"\nnetworks = [\"10.1.0.0/16\"]\n[[conduit]]\nfrom = \"c\"\nto = \"a\"\n\
                services = [\"modbus-tpc\"]\n";
    std::fs::write(&file, text).unwrap();
    let scan = ["scan", "10.7.10.10", "--config", file.to_str().unwrap()];
    let refused = plant.portcullis("office", &scan).refused(2, "CF001");
    for mistake in [
        "line 5: `10.0.0.0/40` is not a network",
        "line 6: 10.1.0.0/16 of zone `b` overlaps 10.0.0.0/8 of zone `a`",
        "line 10: no zone is called `c`",
        "line 12: no service is called `modbus-tpc`; did you mean `modbus-tcp`?",
    ] {
        assert!(
            refused.stderr.contains(mistake),
            "{mistake} is not told:\n{}",
            refused.stderr
        );
    }
}

#[test]
fn stores_that_cannot_be_used() {
    let plant = Plant::up();
    let noise = plant.folder().join("noise.sqlite");
    std::fs::write(
        &noise,
        "this is no database, however long one looks at it\n".repeat(50),
    )
    .unwrap();
    let with = |store: &str| plant.portcullis(GATEWAY, &["changes", "--store", store]);
    with(noise.to_str().unwrap()).refused(5, "ST009");
    with("postgres://db/portcullis").refused(2, "ST002");
    with("ftp://db/portcullis").refused(2, "ST001");
    with("/proc/portcullis.sqlite").refused(5, "ST004");
    let known = ["exposures", "--store", "/proc/portcullis.sqlite"];
    plant.portcullis(GATEWAY, &known).refused(2, "ST022");
}

#[test]
fn the_audit_record_of_an_evidence_copy_is_verified_where_nothing_can_be_written() {
    let plant = Plant::up();
    let plan = plant.plan(&["--port", "54321"]);
    plant.apply(&plan, "60s");
    let evidence = plant.folder().join("evidence");
    let copy = format!(
        "export PATH=$PATH:/usr/sbin:/sbin; mkdir {0}; mount -t tmpfs none {0}; cp {1}/portcullis.sqlite* {0}/; \
         mount -o remount,bind,ro {0}",
        evidence.display(),
        plant.folder().display()
    );
    plant.shell(GATEWAY, &copy).with(0);
    let store = evidence.join("portcullis.sqlite");
    let verified = plant
        .portcullis(GATEWAY, &["audit", "verify", "--store", store.to_str().unwrap()])
        .with(0);
    assert!(verified.stdout.contains("intact"), "{}", verified.stdout);
    plant
        .portcullis(GATEWAY, &["audit", "verify", "--store", "/nonexistent/s.sqlite"])
        .refused(2, "ST022");
}

#[test]
fn without_nft_the_package_is_named() {
    let plant = Plant::up();
    plant
        .shell(
            GATEWAY,
            "PATH=$PATH:/usr/sbin:/sbin mount -t tmpfs none /usr/sbin",
        )
        .with(0);
    let refused = plant
        .portcullis(GATEWAY, &["plan", "--port", "54321"])
        .refused(5, "SY001");
    assert!(
        refused.stderr.contains("apt install nftables"),
        "{}",
        refused.stderr
    );
    let doctor = plant.portcullis(GATEWAY, &["doctor"]).with(3);
    assert!(
        doctor.stdout.contains("apt install nftables"),
        "{}",
        doctor.stdout
    );
}

#[test]
fn without_privileges_the_firewall_is_not_touched_and_the_rest_works() {
    let plant = Plant::up();
    let powerless = |arguments: &[&str]| {
        let drop = ["--bounding-set=-all", "--inh-caps=-all", PROGRAM];
        Ended::of(&mut plant.command(GATEWAY, "setpriv", &[&drop, arguments].concat()))
    };
    let refused = powerless(&["plan", "--port", "54321"]).refused(5, "FW001");
    assert!(refused.stderr.contains("sudo"), "{}", refused.stderr);
    assert!(
        powerless(&["check", "--port", "54321"])
            .with(0)
            .stdout
            .contains("tcp/54321")
    );
    powerless(&["scan", "10.7.10.14", "--ports", "502", "--quiet"]).with(0);
    powerless(&["changes"]).with(3);
    powerless(&["doctor"]).with(3);
}

#[test]
fn a_disk_that_fills_up_during_a_scan_costs_no_result() {
    let plant = Plant::up();
    let disk = plant.folder().join("disk");
    let disk = disk.display();
    let store = format!("{disk}/s.sqlite");
    let scan = format!(
        "export PATH=$PATH:/usr/sbin:/sbin; mkdir -p {disk}; mount -t tmpfs -o size=700k none {disk}; \
         (sleep 1; cat /dev/zero > {disk}/fill) 2>/dev/null & \
         {PROGRAM} scan 10.7.10.10 --ports 54321,502,20000-20399 --rate 200 --per-host 200 --quiet --format jsonl --store {store}"
    );
    let full = plant.shell("engineering", &scan).with(5);
    assert!(full.stderr.contains("error[OP020]"), "{}", full.stderr);
    assert!(
        full.stdout.contains(r#""state":"open""#),
        "nothing was told:\n{}",
        full.stdout
    );
    let hint = full.stderr.lines().last().unwrap();
    let again = hint.split('`').nth(1).unwrap();
    assert!(again.starts_with("portcullis scan --resume /"), "{}", full.stderr);
    let kept = again.replacen("portcullis", PROGRAM, 1);
    let rest = format!("rm {disk}/fill; {kept} --quiet --format jsonl --store {store}");
    let resumed = plant.shell("engineering", &rest).with(0);
    assert_eq!(
        resumed.stdout.matches(r#""record":"observation""#).count(),
        full.stdout.matches(r#""record":"observation""#).count()
    );
    let assets = plant.portcullis("engineering", &["assets", "--store", &store]);
    assert!(assets.stdout.contains("10.7.10.10"), "{}", assets.stdout);
}

#[test]
fn a_full_disk_leaves_no_change_behind_however_full_it_is() {
    let plant = Plant::up();
    let before = plant.ruleset(GATEWAY);
    let disk = plant.folder().join("disk");
    let disk = disk.display();
    let store = format!("{disk}/s.sqlite");
    let mount = format!(
        "export PATH=$PATH:/usr/sbin:/sbin; mkdir -p {disk}; mount -t tmpfs -o size=700k none {disk}"
    );
    plant.shell(GATEWAY, &mount).with(0);
    let planned = plant
        .portcullis(GATEWAY, &["plan", "--port", "54321", "--store", &store])
        .with(0);
    let plan = planned
        .stdout
        .split_whitespace()
        .nth(1)
        .unwrap()
        .trim_end_matches(':')
        .to_owned();
    let mut refused = 0;
    for kilobytes in [16, 40, 52, 64, 80, 120] {
        let fill = format!(
            "rm -f {disk}/fill; free=$(df -k --output=avail {disk} | \
             tail -1); head -c $(( (free - {kilobytes}) * 1024 )) /dev/zero > {disk}/fill; true"
        );
        plant.shell(GATEWAY, &fill).with(0);
        let applied = plant.portcullis(GATEWAY, &["apply", &plan, "--trial", "60s", "--store", &store]);
        if applied.code == 0 {
            let change = applied.stdout.split_whitespace().nth(1).unwrap().to_owned();
            // Also when the rollback cannot be recorded, it is done.
            let back = plant.portcullis(GATEWAY, &["rollback", &change, "--store", &store]);
            assert!([0, 3].contains(&back.code), "{} {}", back.stdout, back.stderr);
        } else {
            refused += 1;
        }
        assert_eq!(
            plant.ruleset(GATEWAY),
            before,
            "{kilobytes} KiB free: {}",
            applied.stderr
        );
    }
    assert!(refused > 0, "the disk was never full");
}

#[test]
fn a_change_can_be_taken_back_whatever_became_of_store_site_and_host_name() {
    let plant = Plant::up();
    let before = plant.ruleset(GATEWAY);
    let plan = plant.plan(&["--port", "54321"]);
    let nowhere = plant.folder().join("other/lost.sqlite");
    let broken = plant.folder().join("broken.toml");
    std::fs::write(&broken, "[site]\nnmae = 7\n").unwrap();
    let in_force = || {
        let change = plant.apply(&plan, "60s");
        plant.portcullis(GATEWAY, &["confirm", &change]).with(0);
        change
    };
    let change = in_force();
    let listed = plant
        .portcullis(GATEWAY, &["changes", "--store", nowhere.to_str().unwrap()])
        .with(0);
    assert!(
        listed.stdout.contains(&format!("portcullis rollback {change}")),
        "{}",
        listed.stdout
    );
    plant
        .portcullis(
            GATEWAY,
            &["rollback", &change, "--store", nowhere.to_str().unwrap()],
        )
        .with(0);
    assert_eq!(plant.ruleset(GATEWAY), before, "with another store");

    let change = in_force();
    let unusable = plant
        .portcullis(GATEWAY, &["rollback", &change, "--store", "/proc/none/s.sqlite"])
        .with(3);
    assert!(
        unusable.stderr.contains("could not be recorded"),
        "{}",
        unusable.stderr
    );
    assert_eq!(plant.ruleset(GATEWAY), before, "without a store");

    let change = in_force();
    plant
        .portcullis(
            GATEWAY,
            &["rollback", &change, "--config", broken.to_str().unwrap()],
        )
        .with(0);
    assert_eq!(plant.ruleset(GATEWAY), before, "with mistakes in the site");

    let change = in_force();
    let renamed = format!("unshare -u sh -c 'hostname elsewhere && {PROGRAM} rollback {change}'");
    plant.shell(GATEWAY, &renamed).with(0);
    assert_eq!(plant.ruleset(GATEWAY), before, "under another host name");
}

#[test]
fn a_listing_without_udp_says_nothing_of_udp() {
    let plant = Plant::up();
    let script = format!("PATH=$PATH:/usr/sbin ss -tlnp | {PROGRAM} check --import - --port 4800");
    let checked = plant.shell("serial-server", &script).with(3);
    assert!(checked.stdout.contains("not tested"), "{}", checked.stdout);
    let script = format!("PATH=$PATH:/usr/sbin ss -tulnp | {PROGRAM} check --import - --port 4800");
    assert!(plant.shell("serial-server", &script).stdout.contains("udp/4800"));
}

#[test]
fn output_that_is_lost_is_an_error_and_a_reader_that_has_had_enough_is_none() {
    let plant = Plant::up();
    let lost = plant
        .shell(GATEWAY, &format!("{PROGRAM} check > /dev/full"))
        .with(5);
    assert!(lost.stderr.starts_with("error[CL001]"), "{}", lost.stderr);
    let enough = plant
        .shell(GATEWAY, &format!("{PROGRAM} check | head -c 1; true"))
        .with(0);
    assert_eq!(enough.stderr, "");
}

#[test]
fn hosts_and_labs_that_are_not_there() {
    let plant = Plant::up();
    Ended::of(&mut plant.lab(&["exec", "nowhere", "--", "true"])).refused(2, "LB004");
    Ended::of(&mut plant.lab(&["up"])).refused(2, "LB002");
    for verb in ["up", "down", "run"] {
        plant.portcullis("office", &["lab", verb]).refused(2, "LB007");
    }
    Ended::of(&mut plant.lab(&["down"])).with(0);
    Ended::of(&mut plant.lab(&["exec", "office", "--", "true"])).refused(2, "LB003");
    Ended::of(&mut plant.lab(&["down"])).with(0);
}

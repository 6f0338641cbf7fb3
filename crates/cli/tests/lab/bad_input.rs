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
fn a_full_disk_stops_a_change_before_anything_is_loaded() {
    let plant = Plant::up();
    let before = plant.ruleset(GATEWAY);
    let disk = plant.folder().join("disk");
    let script = format!(
        "export PATH=$PATH:/usr/sbin:/sbin; mkdir {disk} && mount -t tmpfs -o size=900k none {disk} && \
         {PROGRAM} plan --port 54321 --store {disk}/s.sqlite --format jsonl >/dev/null && \
         {{ head -c 2m /dev/zero > {disk}/fill; true; }}; {PROGRAM} apply $({PROGRAM} plan --port 54321 --store \
         {disk}/s.sqlite --format jsonl 2>/dev/null | sed 's/.*\"id\":\"\\([0-9a-f]*\\)\".*/\\1/') --store {disk}/s.sqlite",
        disk = disk.display()
    );
    let ended = plant.shell(GATEWAY, &script);
    assert!([2, 5].contains(&ended.code), "{}\n{}", ended.stdout, ended.stderr);
    assert_eq!(plant.ruleset(GATEWAY), before, "{}", ended.stderr);
}

#[test]
fn hosts_and_labs_that_are_not_there() {
    let plant = Plant::up();
    Ended::of(&mut plant.lab(&["exec", "nowhere", "--", "true"])).refused(2, "LB004");
    Ended::of(&mut plant.lab(&["up"])).refused(2, "LB002");
    Ended::of(&mut plant.lab(&["down"])).with(0);
    Ended::of(&mut plant.lab(&["exec", "office", "--", "true"])).refused(2, "LB003");
    Ended::of(&mut plant.lab(&["down"])).with(0);
}

//! How the known tools fail, each failure as a test (`docs/security.md`). Findings 5, 6 and 7 are in `trial.rs`.

use std::time::Duration;

use crate::plant::{GATEWAY, GATEWAY_ADDRESS, PROGRAM, Plant, eventually};

const NFT: &str = "PATH=$PATH:/usr/sbin:/sbin";

/// Loads rules of somebody else on the gateway.
fn others_load(plant: &Plant, rules: &str) {
    let script = format!("{NFT} nft -f - <<'RULES'\n{rules}\nRULES\n");
    plant.shell(GATEWAY, &script).with(0);
}

/// The trial must end by itself, and the next command must leave the ruleset as it was.
#[track_caller]
fn falls_back(plant: &Plant, before: &str) {
    eventually("the port is open again", Duration::from_secs(15), || {
        plant.answers("office", GATEWAY_ADDRESS, 54321)
    });
    let listed = plant.portcullis(GATEWAY, &["changes"]).with(0);
    assert!(listed.stdout.contains("fell back"), "{}", listed.stdout);
    assert_eq!(plant.ruleset(GATEWAY), before);
}

#[test]
fn finding_01_a_signal_while_a_confirmation_is_awaited_does_not_keep_the_rules() {
    let plant = Plant::up();
    let before = plant.ruleset(GATEWAY);
    let plan = plant.plan(&["--port", "54321"]);
    let ended = plant.shell(
        GATEWAY,
        &format!("'{PROGRAM}' apply {plan} --trial 5s; kill -TERM $$"),
    );
    assert_ne!(ended.code, 0, "the shell was not ended: {}", ended.stderr);
    assert!(ended.stdout.contains("is closed on trial"), "{}", ended.stderr);
    falls_back(&plant, &before);
}

#[test]
fn finding_02_a_ruleset_that_cannot_be_dumped_and_loaded_again_comes_back() {
    let plant = Plant::up();
    let recent = "iptables -A INPUT -p tcp --dport 4 -m recent --set --name seen";
    plant.shell(GATEWAY, &format!("{NFT} {recent}")).with(0);
    let reloaded = plant.shell(
        GATEWAY,
        &format!("{NFT}; export PATH; nft list ruleset > dump; nft -c -f dump; code=$?; rm dump; exit $code"),
    );
    assert_ne!(reloaded.code, 0, "this dump can be loaded: it proves nothing");
    let before = plant.ruleset(GATEWAY);
    let plan = plant.plan(&["--port", "54321"]);
    plant.apply(&plan, "5s");
    assert!(!plant.answers("office", GATEWAY_ADDRESS, 54321));
    falls_back(&plant, &before);
}

#[test]
fn finding_03_a_load_that_is_refused_at_its_last_line_leaves_nothing_of_its_first() {
    let plant = Plant::up();
    let before = plant.ruleset(GATEWAY);
    let plan = plant.plan(&["--port", "54321"]);
    let folder = plant.folder().join("refusing");
    let wrapper = r#"#!/bin/sh
[ "$1" = -f ] || exec /usr/sbin/nft "$@"
{ cat; echo 'add rule inet portcullis nowhere drop'; } | /usr/sbin/nft -f -
"#;
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("nft"), wrapper).unwrap();
    let folder = folder.display();
    let script =
        format!("chmod +x '{folder}/nft'; PATH='{folder}':$PATH '{PROGRAM}' apply {plan} --trial 60s");
    plant.shell(GATEWAY, &script).refused(5, "FW001");
    assert_eq!(plant.ruleset(GATEWAY), before);
    assert!(plant.answers("office", GATEWAY_ADDRESS, 54321));
}

#[test]
fn finding_04_published_and_redirected_ports_are_closed_too() {
    let plant = Plant::up();
    plant
        .shell(GATEWAY, "echo 1 > /proc/sys/net/ipv4/ip_forward")
        .with(0);
    others_load(
        &plant,
        "table ip publishing {
            chain prerouting {
                type nat hook prerouting priority dstnat; policy accept;
                tcp dport 8080 dnat to 10.7.20.5:7000
                tcp dport 9999 redirect to :54321
            }
            chain postrouting {
                type nat hook postrouting priority srcnat; policy accept;
                ct status dnat masquerade
            }
        }",
    );
    for port in [8080, 9999, 54321] {
        assert!(
            plant.answers("office", GATEWAY_ADDRESS, port),
            "{port} must be open before"
        );
    }
    let published = plant.plan(&["--port", "8080", "--preventive"]);
    plant.apply(&published, "60s");
    assert!(
        !plant.answers("office", GATEWAY_ADDRESS, 8080),
        "the published port is open"
    );
    assert!(plant.answers("office", GATEWAY_ADDRESS, 9999));
    let planned = plant.portcullis(GATEWAY, &["plan", "--port", "54321"]).with(0);
    assert!(
        planned.stdout.contains("redirect to :54321"),
        "{}",
        planned.stdout
    );
    let plan = plant.plan(&["--port", "54321"]);
    plant.apply(&plan, "60s");
    for port in [9999, 54321] {
        assert!(!plant.answers("office", GATEWAY_ADDRESS, port), "{port} is open");
    }
    assert!(
        plant.answers("engineering", GATEWAY_ADDRESS, 9999),
        "an allowed one is cut off"
    );
}

#[test]
fn finding_08_rules_that_somebody_flushed_are_not_called_closed() {
    let plant = Plant::up();
    let plan = plant.plan(&["--port", "54321"]);
    let change = plant.apply(&plan, "60s");
    plant.portcullis(GATEWAY, &["confirm", &change]).with(0);
    plant.shell(GATEWAY, &format!("{NFT} nft flush ruleset")).with(0);
    let listed = plant.portcullis(GATEWAY, &["changes"]).with(0);
    assert!(listed.stdout.contains("not in force"), "{}", listed.stdout);
}

#[test]
fn finding_09_the_host_itself_still_reaches_what_is_closed_to_others() {
    let plant = Plant::up();
    let plan = plant.plan(&["--port", "54321"]);
    plant.apply(&plan, "60s");
    assert!(
        plant.answers(GATEWAY, GATEWAY_ADDRESS, 54321),
        "the host's own panel is cut off"
    );
    assert!(!plant.answers("office", GATEWAY_ADDRESS, 54321));
}

#[test]
fn finding_12_objects_that_are_not_known_do_not_keep_a_ruleset_from_being_read() {
    let plant = Plant::up();
    others_load(
        &plant,
        "table inet others {
            counter heard { }
            limit slowly { rate 10/second; }
            map fates { type inet_service : verdict; elements = { 9 : drop }; }
            chain input {
                type filter hook input priority 5; policy accept;
                counter name \"heard\"
                tcp dport 7 limit name \"slowly\" accept
                tcp dport vmap @fates
                meta hour \"08:00\"-\"09:00\" tcp dport 11 accept
            }
        }
        table ip leaving {
            chain postrouting {
                type nat hook postrouting priority srcnat; policy accept;
                oifname \"nowhere\" masquerade random
            }
        }",
    );
    let before = plant.ruleset(GATEWAY);
    let plan = plant.plan(&["--port", "54321"]);
    let change = plant.apply(&plan, "60s");
    assert!(!plant.answers("office", GATEWAY_ADDRESS, 54321));
    plant.portcullis(GATEWAY, &["rollback", &change]).with(0);
    assert_eq!(plant.ruleset(GATEWAY), before);
}

use proptest::prelude::*;

use portcullis_model::Port;

use super::*;

fn closing(allow: &[&str]) -> Closing {
    let allow = allow.iter().map(|text| text.parse().unwrap()).collect();
    Closing::new("3f2a91", Port::tcp(54321), allow)
}

/// What `firewall-cmd` prints, as far as it is read.
fn listed(zone: &[String], policy: &[String]) -> String {
    let lines = |rules: &[String]| rules.iter().map(|rule| format!("\t{rule}\n")).collect::<String>();
    format!(
        "block\n  target: %%REJECT%%\n  rich rules: \n\npublic (active)\n  target: default\n  interfaces: eth0\n  \
         rich rules: \n\trule family=\"ipv4\" port port=\"22\" protocol=\"tcp\" accept\n{}\n== policies\n\
         portcullis-3f2a91 (active)\n  rich rules: \n{}\n== default\npublic\n",
        lines(zone),
        lines(policy)
    )
}

fn guards() -> Vec<guard::Guard> {
    vec![guard::Guard {
        tag: "3f2a91".into(),
        left: Duration::from_secs(118),
    }]
}

#[test]
fn a_trial_its_confirmation_and_what_takes_it_out() {
    let closing = closing(&["10.7.20.0/24", "10.7.22.0/24", "2001:db8:7:20::/64"]);
    let own = Own::default();
    let Lasting::OwnPlace { put, .. } = Firewalld.lasting(&closing) else {
        panic!("firewalld keeps it itself");
    };
    let texts = [
        Firewalld
            .load(&closing, Some(Duration::from_secs(120)), &own)
            .to_string(),
        Firewalld.keep(&closing).to_string(),
        put.to_string(),
        Firewalld.inverse(&closing, &own).to_string(),
    ];
    insta::assert_snapshot!(texts.join("--\n"));
}

#[test]
fn what_was_loaded_is_read_back_on_trial_kept_and_after_a_reload() {
    for allow in [
        &["10.7.20.0/24", "2001:db8:7:20::/64"] as &[&str],
        &[],
        &["0.0.0.0/0"],
        &["10.7.20.0/24", "10.7.22.0/23", "192.0.2.9/32", "::/0"],
    ] {
        let closing = closing(allow);
        let (trial, kept) = (
            rules::rules(&closing, Mark::Trial),
            rules::rules(&closing, Mark::Kept),
        );
        for (zone, policy, on_trial) in [
            (trial.clone(), Vec::new(), true),
            ([trial, kept.clone()].concat(), Vec::new(), true),
            (kept.clone(), Vec::new(), false),
            (Vec::new(), kept, false),
        ] {
            let own = read::own(&listed(&zone, &policy), &guards());
            let loaded = &own.changes["3f2a91"];
            assert_eq!(
                loaded.differences(&closing),
                Vec::<String>::new(),
                "{zone:?} {policy:?}"
            );
            assert_eq!(loaded.expires.is_some(), on_trial);
        }
    }
}

#[test]
fn a_rule_that_is_missing_or_another_is_seen_and_a_trial_without_a_guard_is_over() {
    let closing = closing(&["10.7.20.0/24"]);
    let kept = rules::rules(&closing, Mark::Kept);
    let halved = read::own(&listed(&kept[..1], &[]), &[]);
    assert_ne!(
        halved.changes["3f2a91"].differences(&closing),
        Vec::<String>::new()
    );
    let wider: Vec<String> = kept
        .iter()
        .map(|rule| rule.replace("10.7.20.0/24", "10.0.0.0/8"))
        .collect();
    let widened = read::own(&listed(&wider, &[]), &[]);
    assert!(widened.changes["3f2a91"].differences(&closing)[0].contains("10.0.0.0/8"));
    let elsewhere = listed(&[], &[]).replacen(
        "rich rules: \n",
        &format!("rich rules: \n\t{}\n\t{}\n", kept[0], kept[1]),
        1,
    );
    assert_eq!(
        read::own(&elsewhere, &[]).changes["3f2a91"].damage,
        ["there are no rules in the zone public"]
    );
    let trial = read::own(&listed(&rules::rules(&closing, Mark::Trial), &[]), &[]);
    assert_eq!(trial.changes["3f2a91"].port, None);
}

#[test]
fn a_listing_of_others_is_no_change_of_ours() {
    assert_eq!(read::own(&listed(&[], &[]), &guards()), Own::default());
}

/// Of an empty text that is looked for, one awk says that it is there and the other that it is not.
#[test]
fn the_rules_of_a_change_are_all_taken_out_whichever_awk_there_is() {
    let folder = tempfile::tempdir().unwrap();
    let program = |name: &str, script: &str| {
        use std::os::unix::fs::PermissionsExt as _;
        let file = folder.path().join(name);
        std::fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    let closing = closing(&["10.7.20.0/24"]);
    let both = [
        rules::rules(&closing, Mark::Trial),
        rules::rules(&closing, Mark::Kept),
    ]
    .concat();
    let called = folder.path().join("called");
    let zone = listed(&both, &[]);
    let listed = folder.path().join("listed");
    std::fs::write(&listed, zone).unwrap();
    program(
        "firewall-cmd",
        &format!(
            "case $1 in --list-all-zones) cat '{}' ;; --quiet) printf '%s\\n' \"$@\" >>'{}' ;; esac",
            listed.display(),
            called.display()
        ),
    );
    let busybox = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../target/tools/debian/bin/busybox"
    );
    assert!(
        std::path::Path::new(busybox).exists(),
        "run scripts/setup: busybox is not unpacked"
    );
    for awk in [
        "exec /usr/bin/awk \"$@\"".to_owned(),
        format!("exec '{busybox}' awk \"$@\""),
    ] {
        program("awk", &awk);
        for (only, expected) in [(None, 4), (Some(Mark::Trial), 2)] {
            let _ = std::fs::remove_file(&called);
            let act = take("3f2a91", only);
            let path = format!("PATH={}:/usr/sbin:/usr/bin:/sbin:/bin", folder.path().display());
            let words: Vec<&str> = [path.as_str(), act.program.as_str()]
                .into_iter()
                .chain(act.arguments.iter().map(String::as_str))
                .collect();
            let run = portcullis_sys::run("env", &words, "", Duration::from_secs(30)).unwrap();
            assert!(run.success, "{}", run.stderr);
            let called = std::fs::read_to_string(&called).unwrap_or_default();
            let removed = called
                .lines()
                .filter(|line| line.starts_with("--remove-rich-rule=rule "))
                .count();
            assert_eq!(removed, expected, "{awk} {only:?}: {called}");
        }
    }
}

proptest! {
    #[test]
    fn any_allow_list_is_read_back(v4 in prop::collection::vec((any::<u32>(), 1u8..=32), 0..5), v6 in prop::collection::vec((any::<u128>(), 1u8..=128), 0..3)) {
        let v4 = v4.into_iter().map(|(address, length)| {
            ipnet::IpNet::new(std::net::Ipv4Addr::from_bits(address).into(), length).unwrap()
        });
        let v6 = v6.into_iter().map(|(address, length)| {
            ipnet::IpNet::new(std::net::Ipv6Addr::from_bits(address).into(), length).unwrap()
        });
        let closing = Closing::new("3f2a91", Port::udp(4800), v4.chain(v6).collect());
        let own = read::own(&listed(&rules::rules(&closing, Mark::Kept), &[]), &[]);
        prop_assert_eq!(own.changes["3f2a91"].differences(&closing), Vec::<String>::new());
    }

    #[test]
    fn any_text_is_read_without_a_fault(text in "\\PC{0,200}") {
        let _ = read::own(&text.replace(';', "\n"), &[]);
        let _ = read::own(&format!("public (active)\n\trule {text} log prefix=\"portcullis-drop {text}"), &[]);
    }
}

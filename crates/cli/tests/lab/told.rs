//! What `reach` and a plan tell of the rules that are loaded, held against the packets of the plant.

use portcullis_model::NetworkSet;
use serde_json::Value;

use crate::plant::{GATEWAY, GATEWAY_ADDRESS, Plant};

/// The gateway's own rules: of the engineers one network gets in, and one only where it cannot be told.
const RULES: &str = "
table inet site {
    chain arrival {
        type filter hook input priority filter; policy drop;
        iif lo accept
        ct state established,related accept
        ip saddr 10.7.20.0/24 tcp dport 54321 accept
        meta l4proto { icmp, ipv6-icmp } accept
    }
}
";

#[test]
fn who_gets_in_by_the_rules_gets_in_by_the_packets_and_a_plan_knows_who_does_not() {
    let plant = Plant::up();
    let load = format!("PATH=$PATH:/usr/sbin:/sbin nft -f - <<'END'\n{RULES}END\n");
    plant.shell(GATEWAY, &load).with(0);
    for (from, gets_in) in [("engineering", true), ("office", false), ("internet", false)] {
        let told = plant
            .portcullis(GATEWAY, &["reach", "--port", "54321", "--from", from])
            .with(0);
        let over_ipv4 = told.stdout.split("IPv6").next().unwrap();
        assert_eq!(
            over_ipv4.contains("let through"),
            gets_in,
            "{from}: {}",
            told.stdout
        );
        assert_eq!(plant.answers(from, GATEWAY_ADDRESS, 54321), gets_in, "{from}");
    }
    let planned = plant.portcullis(GATEWAY, &["plan", "--port", "54321"]).with(0);
    let kept_out = |source: &str| {
        let line = planned
            .stdout
            .lines()
            .find(|line| line.contains(source) && line.contains("does not get through today"));
        line.is_some_and(|line| line.contains("inet site / arrival / policy"))
    };
    assert!(
        kept_out("2001:db8:7:20::/64") && kept_out("10.7.10.0/24"),
        "{}",
        planned.stdout
    );
    assert!(!kept_out("10.7.20.0/24"), "{}", planned.stdout);
    // What is no ruleset.
    plant
        .portcullis(
            GATEWAY,
            &["reach", "--port", "54321", "--ruleset", "/etc/hostname"],
        )
        .refused(2, "RE002");
}

/// Networks of one family that come by the gateway's interface, of the records that hold.
fn by_eth0(records: &str, is_ipv4: bool, holds: impl Fn(&Value) -> bool, sources: &str) -> NetworkSet {
    let records = records
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let of_family = |record: &Value| {
        let family = record["family"] == if is_ipv4 { "ipv4" } else { "ipv6" };
        let by = record["interfaces"]
            .as_array()
            .unwrap()
            .iter()
            .any(|name| name == "eth0");
        family && by && holds(record)
    };
    let networks = records
        .filter(of_family)
        .flat_map(|record| record[sources].as_array().unwrap().clone());
    networks
        .map(|network| network.as_str().unwrap().parse().unwrap())
        .collect()
}

#[test]
fn what_a_plan_says_of_those_who_get_through_today_is_what_the_rules_say_afterwards() {
    for backend in ["nftables", "iptables-nft", "iptables-legacy"] {
        let plant = Plant::up();
        let rules = RULES.replace("10.7.20.0/24", "10.7.0.0/16");
        let load = format!("PATH=$PATH:/usr/sbin:/sbin nft -f - <<'END'\n{rules}END\n");
        plant.shell(GATEWAY, &load).with(0);
        let plan = [
            "plan",
            "--port",
            "54321",
            "--backend",
            backend,
            "--allow",
            "10.7.20.0/25",
            "--format",
            "json",
        ];
        let planned: Value = serde_json::from_str(&plant.portcullis(GATEWAY, &plan).with(0).stdout).unwrap();
        let planned = &planned[0];
        let saved = plant.folder().join("before.json");
        let save = format!(
            "PATH=$PATH:/usr/sbin:/sbin nft -j list ruleset >{}",
            saved.display()
        );
        plant.shell(GATEWAY, &save).with(0);
        plant.apply(planned["id"].as_str().unwrap(), "60s");
        let reached = plant.portcullis(GATEWAY, &["reach", "--port", "54321", "--format", "jsonl"]);
        for is_ipv4 in [true, false] {
            let effect = planned["effects"].as_array().unwrap().iter().find(|effect| {
                effect["is_ipv4"] == is_ipv4
                    && effect["interfaces"]
                        .as_array()
                        .unwrap()
                        .iter()
                        .any(|name| name == "eth0")
            });
            let set =
                |name: &str| -> NetworkSet { serde_json::from_value(effect.unwrap()[name].clone()).unwrap() };
            let through = by_eth0(
                &reached.stdout,
                is_ipv4,
                |part| part["passage"] == "let through",
                "sources",
            );
            assert_eq!(set("stay"), through, "{backend}: {}", reached.stdout);
            assert!(set("unclear").is_empty());
        }
        let file = saved.to_str().unwrap();
        let diff = ["reach", "--port", "54321", "--diff", file, "--format", "jsonl"];
        let diff = plant.portcullis(GATEWAY, &diff).with(1);
        let back = by_eth0(
            &diff.stdout,
            true,
            |part| part["after"] == "let through",
            "sources",
        );
        let effect = &planned["effects"][0];
        let shut_out: NetworkSet = serde_json::from_value(effect["shut_out"].clone()).unwrap();
        assert_eq!(back, shut_out, "{backend}: {}", diff.stdout);
    }
}

#[test]
fn what_is_predicted_stands_beside_what_is_measured() {
    let plant = Plant::up();
    let verify = |further: &[&str]| plant.portcullis(GATEWAY, &[&["verify"], further].concat());
    let line = |told: &str, from: &str, to: &str| {
        let mut lines = told.lines();
        let found = lines.find(|line| line.starts_with(from) && line.contains(to));
        found.unwrap_or_default().to_owned()
    };
    // Somebody on the way drops it, of whom the rules of the gateway know nothing.
    let mute = "PATH=$PATH:/usr/sbin:/sbin; nft 'add table inet mute; add chain inet mute out { type filter hook output \
                priority 0; }; add rule inet mute out tcp dport 54321 drop'";
    plant.shell("office", mute).with(0);
    let told = verify(&["--port", "54321", "--from", "lab:office"]).stdout;
    assert!(
        line(&told, "lab:office", GATEWAY_ADDRESS).contains("closed as measured, not predicted")
            && told.contains(
                "DISAGREEMENT from lab:office to 10.7.10.10: the rules of this host let it through"
            ),
        "{told}"
    );
    // A rule of the gateway's own, for one address that nobody looks from.
    let other = "PATH=$PATH:/usr/sbin:/sbin; nft 'add table ip other; add chain ip other in { type filter hook input \
                 priority 5; }; add rule ip other in ip saddr 10.7.20.7 tcp dport 54321 drop'";
    plant.shell(GATEWAY, other).with(0);
    let plan = plant.plan(&["--port", "54321"]);
    let change = plant.apply(&plan, "60s");
    // What never came proves nothing of the rules here, as little as it is answered.
    let told = verify(&[&plan]).with(3).stdout;
    assert!(
        line(&told, "lab:office", GATEWAY_ADDRESS).contains("closed as measured, not predicted")
            && told.contains("it does not come as far as this host: somebody on the way holds it back")
            && line(&told, "lab:internet", GATEWAY_ADDRESS).contains("proved closed"),
        "{told}"
    );
    let speak = "PATH=$PATH:/usr/sbin:/sbin; nft delete table inet mute";
    plant.shell("office", speak).with(0);
    // One that is named twice looks once, and one that cannot look does not hide what the others saw.
    let told = verify(&[
        &plan,
        "--from",
        "lab:office",
        "--from",
        "lab:office",
        "--from",
        "lab:nobody",
    ])
    .with(3)
    .stdout;
    assert_eq!(
        told.lines().filter(|line| line.starts_with("lab:office")).count(),
        told.lines()
            .filter(|line| line.starts_with("lab:office") && line.contains("proved closed"))
            .count(),
        "{told}"
    );
    assert!(
        told.contains("Nobody looked: the lab has no host `nobody`"),
        "{told}"
    );
    let told = verify(&[&plan]).with(0).stdout;
    assert!(
        line(&told, "lab:internet", GATEWAY_ADDRESS).contains("proved closed"),
        "{told}"
    );
    assert!(
        told.contains("IPv4 by eth0 from 10.7.20.7/32: blocked (ip other / in / handle 2)"),
        "{told}"
    );
    // Of a change that was taken back nothing is proved, whoever else keeps the port closed today.
    let all_but_ours = "PATH=$PATH:/usr/sbin:/sbin; nft 'add rule ip other in iifname eth0 ip saddr != 10.7.20.0/24 tcp dport 54321 drop; add \
                        table ip6 other; add chain ip6 other in { type filter hook input priority 5; }; add rule ip6 other in \
                        iifname eth0 ip6 saddr != 2001:db8:7:20::/64 tcp dport 54321 drop'";
    plant.shell(GATEWAY, all_but_ours).with(0);
    plant.portcullis(GATEWAY, &["rollback", &change]).with(0);
    let told = verify(&[&plan]).with(3).stdout;
    assert!(
        told.contains("of this plan is no longer loaded: rolled back"),
        "{told}"
    );
}

/// Rules that shut out those who look, and let in others of the same zones.
const ALMOST: &str = "
table inet site {
    chain arrival {
        type filter hook input priority filter; policy accept;
        ip saddr { 10.7.30.5, 203.0.113.5 } tcp dport 54321 drop
        ip6 saddr { 2001:db8:7:30::5, 2001:db8:ffff:1::5 } tcp dport 54321 drop
    }
}
";

#[test]
fn a_port_that_is_closed_to_those_who_look_and_open_to_their_neighbours_is_not_proved_closed() {
    let plant = Plant::up();
    let load = format!("PATH=$PATH:/usr/sbin:/sbin nft -f - <<'END'\n{ALMOST}END\n");
    plant.shell(GATEWAY, &load).with(0);
    assert!(!plant.answers("office", GATEWAY_ADDRESS, 54321));
    let verified = plant
        .portcullis(GATEWAY, &["verify", "--port", "54321"])
        .with(3)
        .stdout;
    assert!(
        verified.contains("cannot conclude: by the rules that are loaded these get through, who should not"),
        "{verified}"
    );
    assert!(!verified.contains("proved closed where"), "{verified}");
}

/// Closed, but for those who ask for another port.
const LEADING: &str = "
table inet site {
    chain change {
        type nat hook prerouting priority dstnat; policy accept;
        tcp dport 6000 redirect to :54321
    }
    chain arrival {
        type filter hook input priority filter; policy accept;
        iif lo accept
        ct status dnat accept
        ip saddr { 10.7.10.0/24, 10.7.20.0/24 } tcp dport 54321 accept
        ip6 saddr { 2001:db8:7:10::/64, 2001:db8:7:20::/64 } tcp dport 54321 accept
        tcp dport 54321 drop
    }
}
";

#[test]
fn a_port_to_which_others_are_led_from_another_one_is_not_proved_closed() {
    let plant = Plant::up();
    let load = format!("PATH=$PATH:/usr/sbin:/sbin nft -f - <<'END'\n{LEADING}END\n");
    plant.shell(GATEWAY, &load).with(0);
    assert!(!plant.answers("office", GATEWAY_ADDRESS, 54321));
    assert!(plant.answers("office", GATEWAY_ADDRESS, 6000));
    let verified = plant
        .portcullis(GATEWAY, &["verify", "--port", "54321"])
        .with(3)
        .stdout;
    assert!(
        verified.contains("who ask for tcp/6000 and are led here"),
        "{verified}"
    );
}

//! What `reach` and a plan tell of the rules that are loaded, held against the packets of the plant.

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

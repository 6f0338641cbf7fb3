//! Chains that stand before the network layer, of some interfaces only; and tables that may be dormant.

use super::*;

/// A table of netdev as nft 1.0.6 lists it, with the interface where newer releases say it; and a drop in an inet table.
fn listing(device: &str) -> String {
    format!(
        r#"{{"nftables": [{{"table": {{"family": "netdev", "name": "n", "handle": 1}}}},
        {{"chain": {{"family": "netdev", "table": "n", "name": "ing", "handle": 1{device}, "type": "filter", "hook": "ingress", "prio": 0, "policy": "accept"}}}},
        {{"rule": {{"family": "netdev", "table": "n", "chain": "ing", "handle": 2, "expr": [
            {{"match": {{"op": "==", "left": {{"payload": {{"protocol": "ip", "field": "saddr"}}}}, "right": {{"prefix": {{"addr": "10.5.0.0", "len": 24}}}}}}}}, {{"drop": null}}]}}}},
        {{"table": {{"family": "inet", "name": "f", "handle": 2}}}},
        {{"chain": {{"family": "inet", "table": "f", "name": "pre", "handle": 1, "type": "filter", "hook": "prerouting", "prio": 0, "policy": "accept"}}}},
        {{"rule": {{"family": "inet", "table": "f", "chain": "pre", "handle": 2, "expr": [
            {{"match": {{"op": "==", "left": {{"payload": {{"protocol": "ip", "field": "saddr"}}}}, "right": "10.1.0.9"}}}}, {{"drop": null}}]}}}}]}}"#
    )
}

#[test]
fn an_ingress_chain_is_followed_for_its_interface_only() {
    for device in [r#", "dev": "eth0""#, r#", "dev": ["eth0", "eth7"]"#] {
        let answer = ask(&[&listing(device)], "tcp/4840", host(&["eth0", "eth1", "eth0.5"]));
        let of_device = view(&answer, true, "eth0");
        assert_eq!(
            because(of_device, "10.5.0.1"),
            "Blocked: netdev n / ing / handle 2"
        );
        assert_eq!(because(of_device, "10.1.0.9"), "Blocked: inet f / pre / handle 2");
        assert_eq!(networks(of_device, Passage::Unknown), "");
        let other = view(&answer, true, "eth1");
        assert_eq!(networks(other, Passage::Blocked), "10.1.0.9/32");
        assert_eq!(networks(other, Passage::Unknown), "");
        // What comes by a VLAN comes by the interface beneath it, too.
        let above = view(&answer, true, "eth0.5");
        assert_eq!(networks(above, Passage::Unknown), "10.5.0.0/24");
        assert_eq!(networks(view(&answer, false, "eth0"), Passage::Through), "::/0");
    }
}

#[test]
fn without_its_interface_only_those_whom_the_chain_drops_are_left_open() {
    let mut rules = Ruleset::default();
    rules.add(&listing(""), None).unwrap();
    assert_eq!(
        rules.tables_to_describe(),
        [("netdev".to_owned(), "n".to_owned())]
    );
    let question = Question::new("tcp/4840".parse().unwrap(), host(&["eth0", "eth1"]));
    let answer = reach(&rules, &question);
    let seen = view(&answer, true, "eth1");
    assert_eq!(networks(seen, Passage::Unknown), "10.5.0.0/24");
    assert_eq!(
        because(seen, "10.5.0.1"),
        "Unknown: a chain of which the listing does not tell of which interface it is"
    );
    for device in [r#"device "eth0""#, r#"devices = { "eth0", "eth7" }"#] {
        let mut rules = rules.clone();
        let text = format!(
            "table netdev n {{\n\tchain ing {{\n\t\ttype filter hook ingress {device} priority filter; policy accept;\n\t\tip saddr 10.5.0.0/24 drop\n\t}}\n}}\n"
        );
        rules.add_description("netdev", "n", &text);
        let answer = reach(&rules, &question);
        assert_eq!(
            networks(view(&answer, true, "eth0"), Passage::Blocked),
            "10.1.0.9/32 10.5.0.0/24"
        );
        assert_eq!(
            networks(view(&answer, true, "eth1"), Passage::Blocked),
            "10.1.0.9/32"
        );
    }
}

#[test]
fn a_dormant_table_has_no_effect() {
    // As nft 1.0.6 lists `flags dormant`, and as newer releases do.
    let listed = |flags: &str| {
        format!(
            r#"{{"nftables": [{{"table": {{"family": "inet", "name": "t", "handle": 1, "flags": {flags}}}}},
            {{"chain": {{"family": "inet", "table": "t", "name": "c", "handle": 1, "type": "filter", "hook": "input", "prio": 0, "policy": "drop"}}}}]}}"#
        )
    };
    let question = Question::new("tcp/4840".parse().unwrap(), Host::default());
    let seen = |rules: &Ruleset| view(&reach(rules, &question), true, "any other").clone();
    let mut rules = Ruleset::default();
    rules.add(&listed(r#"["dormant"]"#), None).unwrap();
    assert_eq!(networks(&seen(&rules), Passage::Through), "0.0.0.0/0");
    let mut rules = Ruleset::default();
    rules.add(&listed(r#""t""#), None).unwrap();
    assert_eq!(
        because(&seen(&rules), "10.0.0.1"),
        "Unknown: a table of which the listing does not tell whether it is dormant"
    );
    let mut owned = rules.clone();
    rules.add_description(
        "inet",
        "t",
        "table inet t {\n\tflags dormant\n\n\tchain c {\n\t}\n}\n",
    );
    assert_eq!(networks(&seen(&rules), Passage::Through), "0.0.0.0/0");
    owned.add_description(
        "inet",
        "t",
        "table inet t {\n\tflags owner\n\n\tchain c {\n\t\tcomment \"flags dormant\"\n\t}\n}\n",
    );
    assert_eq!(networks(&seen(&owned), Passage::Blocked), "0.0.0.0/0");
}

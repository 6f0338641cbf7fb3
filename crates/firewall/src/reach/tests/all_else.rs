//! The element `*` of a set or a map, which holds where no other element does (nft(8)), worked out by hand.

use super::*;

/// A base chain with one rule.
fn listing(policy: &str, objects: &str, rule: &str) -> String {
    format!(
        r#"{{"nftables": [
        {{"chain": {{"family": "inet", "table": "t", "name": "c", "type": "filter", "hook": "input", "prio": 0, "policy": "{policy}"}}}}{objects},
        {{"rule": {{"family": "inet", "table": "t", "chain": "c", "handle": 7, "expr": [{rule}]}}}}]}}"#
    )
}

fn of_v4(text: &str, passage: Passage) -> String {
    let answer = ask(&[text], "tcp/4840", host(&["eth0", "eth1"]));
    networks(view(&answer, true, "eth1"), passage)
}

const SADDR: &str = r#"{"payload": {"protocol": "ip", "field": "saddr"}}"#;

#[test]
fn a_verdict_for_all_else_is_for_those_without_another() {
    // eth0 is accepted by its own element, all others are dropped, whichever comes first.
    for elements in [
        r#"["*", {"drop": null}], ["eth0", {"accept": null}]"#,
        r#"["eth0", {"accept": null}], ["*", {"drop": null}]"#,
        r#"["eth0", {"accept": null}], [{"elem": {"val": "*", "counter": {"packets": 0, "bytes": 0}}}, {"drop": null}]"#,
    ] {
        let map = format!(
            r#", {{"map": {{"family": "inet", "table": "t", "name": "m", "type": "ifname", "map": "verdict", "elem": [{elements}]}}}}"#
        );
        let rule = r#"{"vmap": {"key": {"meta": {"key": "iifname"}}, "data": "@m"}}"#;
        let answer = ask(
            &[&listing("accept", &map, rule)],
            "tcp/4840",
            host(&["eth0", "eth1"]),
        );
        let through = |interface| networks(view(&answer, true, interface), Passage::Through);
        assert_eq!(
            (through("eth0").as_str(), through("eth1").as_str()),
            ("0.0.0.0/0", "")
        );
    }
}

#[test]
fn of_sources_all_else_is_the_rest() {
    // 64.0.0.0/2 has a verdict of its own; what is left are 0.0.0.0/2 and 128.0.0.0/1.
    let rule = |own: &str, rest: &str| {
        format!(
            r#"{{"vmap": {{"key": {SADDR}, "data": {{"set": [[{{"prefix": {{"addr": "64.0.0.0", "len": 2}}}}, {{"{own}": null}}], ["*", {{"{rest}": null}}]]}}}}}}"#
        )
    };
    let dropped = listing("accept", "", &rule("accept", "drop"));
    assert_eq!(of_v4(&dropped, Passage::Blocked), "0.0.0.0/2 128.0.0.0/1");
    let accepted = listing("drop", "", &rule("drop", "accept"));
    assert_eq!(of_v4(&accepted, Passage::Through), "0.0.0.0/2 128.0.0.0/1");
    // `continue` goes on in the rule.
    let on = format!("{}, {}", rule("drop", "continue"), r#"{"accept": null}"#);
    assert_eq!(
        of_v4(&listing("drop", "", &on), Passage::Through),
        "0.0.0.0/2 128.0.0.0/1"
    );
    // IPv6 has no address of IPv4, so that the rule ends.
    let answer = ask(&[&dropped], "tcp/4840", Host::default());
    assert_eq!(
        networks(view(&answer, false, "any other"), Passage::Through),
        "::/0"
    );
}

#[test]
fn a_chain_for_all_else_is_entered() {
    let chain = r#", {"chain": {"family": "inet", "table": "t", "name": "rest"}},
        {"rule": {"family": "inet", "table": "t", "chain": "rest", "handle": 8, "expr": [{"drop": null}]}}"#;
    let rule = format!(
        r#"{{"vmap": {{"key": {SADDR}, "data": {{"set": [["10.0.0.1", {{"accept": null}}], ["*", {{"jump": {{"target": "rest"}}}}]]}}}}}}"#
    );
    assert_eq!(
        of_v4(&listing("accept", chain, &rule), Passage::Through),
        "10.0.0.1/32"
    );
}

#[test]
fn a_set_with_all_else_has_everybody() {
    let rule = |key: &str, operator: &str, elements: &str| {
        format!(
            r#"{{"match": {{"op": "{operator}", "left": {key}, "right": {{"set": [{elements}]}}}}}}, {{"accept": null}}"#
        )
    };
    let pair = format!(r#"{{"concat": [{SADDR}, {{"payload": {{"protocol": "tcp", "field": "dport"}}}}]}}"#);
    let of_pair = r#"{"concat": ["10.0.0.1", 80]}, "*""#;
    let interface = r#"{"meta": {"key": "iifname"}}"#;
    let port = r#"{"payload": {"protocol": "tcp", "field": "dport"}}"#;
    for (key, elements) in [
        (SADDR, r#""10.0.0.1", "*""#),
        (SADDR, r#""*""#),
        (&pair, of_pair),
        (interface, r#""eth0", "*""#),
        (port, r#"80, "*""#),
    ] {
        let all = listing("drop", "", &rule(key, "==", elements));
        assert_eq!(of_v4(&all, Passage::Through), "0.0.0.0/0", "{key}");
        let none = listing("drop", "", &rule(key, "!=", elements));
        assert_eq!(of_v4(&none, Passage::Blocked), "0.0.0.0/0", "{key}");
    }
    // A field of another protocol is not there, and the rule ends.
    let udp = r#"{"payload": {"protocol": "udp", "field": "dport"}}"#;
    let ends = listing("drop", "", &rule(udp, "==", r#""*""#));
    assert_eq!(of_v4(&ends, Passage::Blocked), "0.0.0.0/0");
}

#[test]
fn what_is_not_known_of_all_else_is_not_concluded() {
    let map = |key: &str, elements: &str| {
        listing(
            "accept",
            "",
            &format!(r#"{{"vmap": {{"key": {key}, "data": {{"set": [{elements}]}}}}}}"#),
        )
    };
    // A packet may lack the field; an element may have run out; and two of them are none that a kernel lists.
    for (key, elements) in [
        (r#"{"rt": {"key": "mtu"}}"#, r#"["*", {"drop": null}]"#),
        (
            SADDR,
            r#"[{"elem": {"val": "*", "quota": {"val": 1}}}, {"drop": null}]"#,
        ),
        (SADDR, r#"["*", {"drop": null}], ["*", {"accept": null}]"#),
    ] {
        assert_eq!(
            of_v4(&map(key, elements), Passage::Unknown),
            "0.0.0.0/0",
            "{elements}"
        );
    }
    // Who perhaps has an element of its own may be let through by it; the rest is dropped for certain.
    let perhaps = r#"[{"elem": {"val": {"prefix": {"addr": "64.0.0.0", "len": 2}}, "quota": {"val": 1}}}, {"accept": null}], ["*", {"drop": null}]"#;
    let text = map(SADDR, perhaps);
    assert_eq!(of_v4(&text, Passage::Through), "");
    assert!(!of_v4(&text, Passage::Unknown).is_empty());
}

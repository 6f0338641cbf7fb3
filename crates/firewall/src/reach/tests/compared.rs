//! Comparisons other than with a value, worked out by hand.

use super::*;

/// Who is let through to tcp/4840 by one rule in a chain that drops, by IPv4 and by IPv6, or `None` where that is not concluded.
fn through(left: &str, operator: &str, right: &str) -> Option<[String; 2]> {
    let text = format!(
        r#"{{"nftables": [
        {{"chain": {{"family": "inet", "table": "t", "name": "c", "type": "filter", "hook": "input", "prio": 0, "policy": "drop"}}}},
        {{"rule": {{"family": "inet", "table": "t", "chain": "c", "handle": 7, "expr": [
            {{"match": {{"op": "{operator}", "left": {left}, "right": {right}}}}}, {{"accept": null}}]}}}}]}}"#
    );
    let answer = ask(&[&text], "tcp/4840", Host::default());
    let views = [true, false].map(|is_ipv4| view(&answer, is_ipv4, "any other"));
    let is_concluded = views
        .iter()
        .all(|view| networks(view, Passage::Unknown).is_empty());
    is_concluded.then(|| views.map(|view| networks(view, Passage::Through)))
}

const V4: &str = r#"{"payload": {"protocol": "ip", "field": "saddr"}}"#;
const V6: &str = r#"{"payload": {"protocol": "ip6", "field": "saddr"}}"#;
const PORT: &str = r#"{"payload": {"protocol": "tcp", "field": "dport"}}"#;
const NETWORK: &str = r#"{"prefix": {"addr": "64.0.0.0", "len": 2}}"#;

#[test]
fn addresses_are_compared_in_the_order_of_the_network() {
    for (operator, right, expected) in [
        // 64.0.0.0 is 01 and thirty zeros: below are 0.0.0.0/2, the rest is 01…, 1….
        ("<", r#""64.0.0.0""#, "0.0.0.0/2"),
        ("<=", r#""63.255.255.255""#, "0.0.0.0/2"),
        (">=", r#""64.0.0.0""#, "64.0.0.0/2 128.0.0.0/1"),
        (">", r#""63.255.255.255""#, "64.0.0.0/2 128.0.0.0/1"),
        ("!=", NETWORK, "0.0.0.0/2 128.0.0.0/1"),
        // All of 64.0.0.0/2, up to 127.255.255.255.
        ("<", NETWORK, "0.0.0.0/2"),
        ("<=", NETWORK, "0.0.0.0/1"),
        (">=", NETWORK, "64.0.0.0/2 128.0.0.0/1"),
        (">", NETWORK, "128.0.0.0/1"),
        // The ends.
        ("<", r#""0.0.0.0""#, ""),
        ("<=", r#""0.0.0.0""#, "0.0.0.0/32"),
        (">", r#""255.255.255.255""#, ""),
        (">=", r#""255.255.255.255""#, "255.255.255.255/32"),
        (">=", r#""0.0.0.0""#, "0.0.0.0/0"),
    ] {
        let expected = [expected.to_owned(), String::new()];
        assert_eq!(through(V4, operator, right), Some(expected), "{operator} {right}");
    }
    let of_v6 = |operator, right| through(V6, operator, right).unwrap();
    assert_eq!(of_v6("<", r#""4000::""#), ["", "::/2"]);
    assert_eq!(of_v6(">=", r#""4000::""#), ["", "4000::/2 8000::/1"]);
    assert_eq!(
        of_v6(">", r#""ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff""#),
        ["", ""]
    );
}

#[test]
fn ports_are_compared_as_numbers() {
    for (operator, port, holds) in [
        ("<", 4840, false),
        ("<", 4841, true),
        ("<=", 4839, false),
        ("<=", 4840, true),
        (">", 4840, false),
        (">", 4839, true),
        (">=", 4841, false),
        (">=", 4840, true),
        ("!=", 4840, false),
        ("!=", 4841, true),
        // 0x12e8; with its bytes exchanged it would be 59410.
        ("<", 5000, true),
        (">", 5000, false),
        ("<", 0, false),
        (">", 65535, false),
        (">=", 0, true),
    ] {
        let expected = if holds { ["0.0.0.0/0", "::/0"] } else { ["", ""] };
        assert_eq!(
            through(PORT, operator, &port.to_string()),
            Some(expected.map(str::to_owned)),
            "{operator} {port}"
        );
    }
}

#[test]
fn what_has_no_exact_meaning_is_not_concluded() {
    let range = r#"{"range": ["10.0.0.1", "10.0.0.9"]}"#;
    let set = r#"{"set": ["10.0.0.1"]}"#;
    for (left, operator, right) in [
        (V4, "<", range),
        (V4, "<", set),
        (V4, "<", r#""fd00::1""#),
        (V4, "<", r#""frob""#),
        (V4, "<>", r#""10.0.0.1""#),
        (PORT, "<", r#""opcua""#),
        (r#"{"meta": {"key": "mark"}}"#, "<", "7"),
        (r#"{"meta": {"key": "length"}}"#, "<", "7"),
        (r#"{"meta": {"key": "iif"}}"#, "<", "7"),
    ] {
        assert_eq!(through(left, operator, right), None, "{left} {operator} {right}");
    }
    // A type of ICMP is no port, and no packet of TCP has one.
    let kind = r#"{"payload": {"protocol": "icmp", "field": "type"}}"#;
    assert!(through(kind, "<", "7") != Some(["0.0.0.0/0".into(), "::/0".into()]));
}

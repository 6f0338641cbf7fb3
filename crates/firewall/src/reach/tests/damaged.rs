//! Texts that are no rulesets.

use super::{super::ReachError, *};

fn error(text: &str) -> (usize, usize, String) {
    match Ruleset::default().add(text, None) {
        Err(ReachError::Text { line, column, why }) => (line, column, why),
        other => panic!("{text:?}: {other:?}"),
    }
}

#[test]
fn a_text_that_breaks_off_is_an_error_with_its_place() {
    assert_eq!(
        error("*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -j DROP\n"),
        (3, 17, "the text ends before iptables filter does".into())
    );
    assert_eq!(
        error("*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -m comment --comment \"no end -j DROP\nCOMMIT\n"),
        (3, 31, "a quotation that does not end".into())
    );
    assert_eq!(error("*filter\n*nat\nCOMMIT\n").0, 2);
    assert_eq!(error("*filter\nCOMMIT\n-A INPUT -j DROP\n").0, 3);
    assert_eq!(error("*filter\nwhat is this\nCOMMIT\n").0, 2);
    assert_eq!(
        error("{\"nftables\": [\n{\"table\": "),
        (2, 10, "the text ends too early".into())
    );
    assert_eq!(error("{\"nftables\": [\n{,}]}").0, 2);
    assert_eq!(error("{}").0, 1);
}

#[test]
fn every_beginning_of_a_text_is_read_or_refused() {
    for text in [
        include_str!("practice/docker.save"),
        include_str!("practice/firewalld.json"),
    ] {
        for (end, _) in text.char_indices() {
            let _ = Ruleset::default().add(&text[..end], None);
        }
    }
}

#[test]
fn a_text_of_another_kind_is_refused() {
    for text in ["", "Chain INPUT (policy ACCEPT)", "table inet filter {\n}"] {
        assert_eq!(
            Ruleset::default().add(text, None),
            Err(ReachError::Format),
            "{text:?}"
        );
    }
}

#[test]
fn chains_that_lead_into_each_other_end() {
    // No kernel would load this.
    let text =
        "*filter\n:INPUT ACCEPT [0:0]\n:A - [0:0]\n:B - [0:0]\n-A INPUT -j A\n-A A -j B\n-A B -j A\nCOMMIT\n";
    let answer = ask(&[text], "tcp/4840", Host::default());
    assert_eq!(
        networks(view(&answer, true, "any other"), Passage::Unknown),
        "0.0.0.0/0"
    );
    let missing = "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -s 10.0.0.0/8 -j GONE\nCOMMIT\n";
    let answer = ask(&[missing], "tcp/4840", Host::default());
    assert_eq!(
        networks(view(&answer, true, "any other"), Passage::Unknown),
        "10.0.0.0/8"
    );
}

#[test]
fn an_object_or_statement_that_nobody_knows_is_not_passed_over() {
    let stranger = r#"{"nftables": [{"portal": {"name": "x"}}]}"#;
    let answer = ask(&[stranger], "tcp/4840", Host::default());
    assert_eq!(
        networks(view(&answer, true, "any other"), Passage::Unknown),
        "0.0.0.0/0"
    );
    let statement = r#"{"nftables": [
        {"chain": {"family": "ip", "table": "t", "name": "c", "type": "filter", "hook": "input", "prio": 0, "policy": "accept"}},
        {"rule": {"family": "ip", "table": "t", "chain": "c", "handle": 7, "expr": [
            {"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "saddr"}}, "right": {"prefix": {"addr": "10.0.0.0", "len": 8}}}},
            {"xt": {"type": "target", "name": "TPROXY"}}]}}]}"#;
    let answer = ask(&[statement], "tcp/4840", Host::default());
    let v4 = view(&answer, true, "any other");
    assert_eq!(networks(v4, Passage::Unknown), "10.0.0.0/8");
    assert_eq!(
        because(v4, "10.1.1.1"),
        "Unknown: ip t / c / handle 7: `xt TPROXY`"
    );
}

#[test]
fn an_element_for_all_else_of_a_map_is_not_taken_for_a_name() {
    // eth0 is accepted by its own element; what the element `*` does to all others is not concluded.
    let map = r#"{"nftables": [
        {"chain": {"family": "inet", "table": "t", "name": "c", "type": "filter", "hook": "input", "prio": 0, "policy": "accept"}},
        {"map": {"family": "inet", "table": "t", "name": "m", "type": "ifname", "map": "verdict",
            "elem": [["*", {"drop": null}], ["eth0", {"accept": null}]]}},
        {"rule": {"family": "inet", "table": "t", "chain": "c", "handle": 7, "expr": [
            {"vmap": {"key": {"meta": {"key": "iifname"}}, "data": "@m"}}]}}]}"#;
    let answer = ask(&[map], "tcp/4840", host(&["eth0", "eth1"]));
    assert_eq!(
        networks(view(&answer, true, "eth0"), Passage::Through),
        "0.0.0.0/0"
    );
    assert_eq!(
        networks(view(&answer, true, "eth1"), Passage::Unknown),
        "0.0.0.0/0"
    );
}

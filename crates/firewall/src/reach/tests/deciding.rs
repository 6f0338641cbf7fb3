//! What is named as deciding, where rules are passed of which it is not known whether they apply.

use super::*;

const TABLE: &str = r#"{"table": {"family": "inet", "name": "t", "handle": 1}}"#;

/// Rules of one chain at the hook `input`, with handles from 11 on.
fn input(policy: &str, rules: &[&str]) -> String {
    let mut objects = vec![
        TABLE.to_owned(),
        format!(
            r#"{{"chain": {{"family": "inet", "table": "t", "name": "c", "handle": 2, "type": "filter", "hook": "input", "prio": 0, "policy": "{policy}"}}}}"#
        ),
    ];
    objects.extend(rules.iter().zip(11..).map(|(parts, handle)| {
        format!(r#"{{"rule": {{"family": "inet", "table": "t", "chain": "c", "handle": {handle}, "expr": [{parts}]}}}}"#)
    }));
    format!(r#"{{"nftables": [{}]}}"#, objects.join(", "))
}

const LIMIT: &str = r#"{"limit": {"rate": 10, "burst": 5, "per": "second", "inv": true}}"#;
const NEW: &str = r#"{"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": "new"}}"#;
const PORT: &str =
    r#"{"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": 4840}}"#;

fn from(network: &str, length: u8) -> String {
    format!(
        r#"{{"match": {{"op": "==", "left": {{"payload": {{"protocol": "ip", "field": "saddr"}}}}, "right": {{"prefix": {{"addr": "{network}", "len": {length}}}}}}}}}"#
    )
}

#[test]
fn a_certain_drop_is_named_and_not_the_limit_before_it() {
    let text = input(
        "accept",
        &[
            &format!(r#"{NEW}, {LIMIT}, {{"drop": null}}"#),
            &format!(r#"{PORT}, {}, {{"accept": null}}"#, from("10.1.0.0", 24)),
            &format!(r#"{PORT}, {{"drop": null}}"#),
        ],
    );
    let answer = ask(&[&text], "tcp/4840", Host::default());
    let seen = view(&answer, true, "any other");
    assert_eq!(because(seen, "10.2.0.1"), "Blocked: inet t / c / handle 13");
    assert_eq!(
        because(seen, "10.1.0.1"),
        "Unknown: inet t / c / handle 11: `limit`"
    );
}

#[test]
fn a_certain_policy_is_named_and_not_the_limit_before_it() {
    let text = input(
        "accept",
        &[
            r#"{"limit": {"rate": 1, "burst": 5, "per": "second"}}, {"accept": null}"#,
            &format!(r#"{}, {{"drop": null}}"#, from("10.1.0.0", 16)),
        ],
    );
    let answer = ask(&[&text], "tcp/4840", Host::default());
    let seen = view(&answer, true, "any other");
    assert_eq!(because(seen, "10.2.0.1"), "Through: inet t / c / policy");
    assert_eq!(
        because(seen, "10.1.0.1"),
        "Unknown: inet t / c / handle 11: `limit`"
    );
}

#[test]
fn of_a_rule_that_never_applies_the_accept_before_it_is_told() {
    let text = input(
        "drop",
        &[
            r#"{"limit": {"rate": 1, "burst": 5, "per": "second"}}, {"accept": null}"#,
            &format!(r#"{}, {{"accept": null}}"#, from("10.0.0.0", 8)),
            &format!(r#"{PORT}, {}, {{"drop": null}}"#, from("10.1.0.0", 16)),
        ],
    );
    let told: Vec<String> = ask(&[&text], "tcp/4840", Host::default())
        .remarks
        .iter()
        .map(ToString::to_string)
        .collect();
    assert!(
        told.iter().any(|remark| remark
            == "the `drop` of inet t / c / handle 13 never applies to this port: inet t / c / handle 12 decides"),
        "{told:?}"
    );
}

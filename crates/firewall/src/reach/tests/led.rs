//! Packets that are led to another port or another host, and interfaces that only rules name.

use super::{super::compare, *};

const NAT: &str = r#"{"nftables": [{"table": {"family": "ip", "name": "nx", "handle": 1}},
    {"chain": {"family": "ip", "table": "nx", "name": "p", "handle": 1, "type": "nat", "hook": "prerouting", "prio": -100, "policy": "accept"}},
    {"rule": {"family": "ip", "table": "nx", "chain": "p", "handle": 2, "expr": [
        {"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": 4840}},
        {"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "saddr"}}, "right": {"prefix": {"addr": "10.1.0.0", "len": 24}}}},
        {"redirect": {"port": 81}}]}},
    {"rule": {"family": "ip", "table": "nx", "chain": "p", "handle": 3, "expr": [
        {"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": 4840}},
        {"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "saddr"}}, "right": {"prefix": {"addr": "10.3.0.0", "len": 24}}}},
        {"dnat": {"addr": "192.0.2.9", "port": 4840}}]}},
    {"rule": {"family": "ip", "table": "nx", "chain": "p", "handle": 4, "expr": [
        {"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "saddr"}}, "right": {"prefix": {"addr": "10.4.0.0", "len": 24}}}},
        {"dnat": {"addr": "203.0.113.2"}}]}}]}"#;

/// Networks of each place to which somebody is led.
fn led(view: &View) -> Vec<(String, String)> {
    let parts = view.parts.iter().filter(|part| part.passage == Passage::Led);
    let mut led: Vec<(String, String)> = parts
        .map(|part| {
            let sources: Vec<String> = part.sources.iter().map(ToString::to_string).collect();
            (part.led_to.clone().unwrap(), sources.join(" "))
        })
        .collect();
    led.sort();
    led
}

fn pairs(of: &[(&str, &str)]) -> Vec<(String, String)> {
    of.iter()
        .map(|(place, sources)| ((*place).into(), (*sources).into()))
        .collect()
}

#[test]
fn who_is_led_elsewhere_does_not_reach_the_port() {
    let answer = ask(
        &[NAT],
        "tcp/4840",
        host(&["eth0=203.0.113.1/24,203.0.113.2/24", "eth9=192.0.2.1/24"]),
    );
    let seen = view(&answer, true, "eth0");
    assert_eq!(
        led(seen),
        pairs(&[("192.0.2.9:4840", "10.3.0.0/24"), (":81", "10.1.0.0/24")])
    );
    assert_eq!(because(seen, "10.1.0.1"), "Led: ip nx / p / handle 2");
    assert_eq!(networks(seen, Passage::Blocked), "");
    let through = seen.of("10.4.0.1".parse().unwrap(), 50_000).unwrap();
    // Another address of the same host.
    assert_eq!((through.passage, &through.led_to), (Passage::Through, &None));
    let remarks: Vec<String> = answer.remarks.iter().map(ToString::to_string).collect();
    assert!(
        !remarks
            .iter()
            .any(|remark| remark.contains("anyone") && remark.contains("IPv4")),
        "{remarks:?}"
    );
}

#[test]
fn of_a_host_behind_this_one_each_other_place_is_elsewhere() {
    let mut rules = Ruleset::default();
    rules.add(NAT, None).unwrap();
    let mut question = Question::new(
        "tcp/4840".parse().unwrap(),
        host(&["eth0=203.0.113.1/24,203.0.113.2/24", "eth9=192.0.2.1/24"]),
    );
    question.destinations = vec!["192.0.2.9".parse().unwrap()];
    question.forwarded = true;
    let answer = reach(&rules, &question);
    let seen = view(&answer, true, "eth0");
    assert_eq!(
        led(seen),
        pairs(&[(":4840", "10.4.0.0/24"), (":81", "10.1.0.0/24")])
    );
    assert_eq!(
        seen.of("10.3.0.1".parse().unwrap(), 50_000).unwrap().passage,
        Passage::Through
    );
}

#[test]
fn who_is_perhaps_led_elsewhere_is_not_concluded() {
    let limited = NAT.replacen(
        r#"{"redirect""#,
        r#"{"limit": {"rate": 1, "per": "second"}}, {"redirect""#,
        1,
    );
    let answer = ask(
        &[&limited],
        "tcp/4840",
        host(&["eth0=203.0.113.1/24,203.0.113.2/24", "eth9=192.0.2.1/24"]),
    );
    let seen = view(&answer, true, "eth0");
    assert_eq!(
        because(seen, "10.1.0.1"),
        "Unknown: ip nx / p / handle 2: `limit`"
    );
}

#[test]
fn a_map_of_destinations_has_a_rest() {
    let map = r#"{"nftables": [{"table": {"family": "ip", "name": "nx", "handle": 1}},
        {"chain": {"family": "ip", "table": "nx", "name": "p", "handle": 1, "type": "nat", "hook": "prerouting", "prio": -100, "policy": "accept"}},
        {"rule": {"family": "ip", "table": "nx", "chain": "p", "handle": 3, "expr": [{"dnat": {"family": "ip", "addr": {"map": {
            "key": {"payload": {"protocol": "ip", "field": "saddr"}},
            "data": {"set": [[{"prefix": {"addr": "64.0.0.0", "len": 2}}, "192.0.2.9"], ["*", "203.0.113.1"]]}}}}}]}}]}"#;
    let answer = ask(
        &[map],
        "tcp/4840",
        host(&["eth0=203.0.113.1/24", "eth9=192.0.2.1/24"]),
    );
    let seen = view(&answer, true, "eth0");
    assert_eq!(led(seen), pairs(&[("192.0.2.9:4840", "64.0.0.0/2")]));
    assert_eq!(networks(seen, Passage::Through), "0.0.0.0/2 128.0.0.0/1");
}

#[test]
fn an_interface_that_only_a_rule_names_has_a_part_of_its_own() {
    let rules = r#"{"nftables": [{"table": {"family": "inet", "name": "f", "handle": 1}},
        {"chain": {"family": "inet", "table": "f", "name": "c", "handle": 1, "type": "filter", "hook": "input", "prio": 0, "policy": "drop"}},
        {"rule": {"family": "inet", "table": "f", "chain": "c", "handle": 2, "expr": [
            {"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": "wg0"}},
            {"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": 4840}}, {"accept": null}]}}]}"#;
    let answer = ask(&[rules], "tcp/4840", host(&["lo", "eth0=203.0.113.1/24"]));
    assert_eq!(
        networks(view(&answer, true, "any other wg0"), Passage::Through),
        "0.0.0.0/0"
    );
    assert_eq!(
        networks(view(&answer, true, "any other"), Passage::Blocked),
        "0.0.0.0/0"
    );
    assert_eq!(
        answer.view(true, "wg0", None),
        Some(view(&answer, true, "any other wg0"))
    );
    let told: Vec<String> = answer.remarks.iter().map(ToString::to_string).collect();
    assert!(
        !told.iter().any(|remark| remark.contains("never applies")),
        "{told:?}"
    );
}

/// A service may listen at one of the addresses only.
#[test]
fn another_address_of_this_host_at_which_they_end_is_a_change() {
    let led = |target: &str| {
        let rules = match target {
            "" => "*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n".to_owned(),
            _ => format!(
                "*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p tcp --dport 4840 -j DNAT --to-destination {target}\nCOMMIT\n"
            ),
        };
        ask(&[&rules], "tcp/4840", host(&["eth0=10.0.0.1/24,10.0.0.2/24"]))
    };
    let told = |before: &str, after: &str| {
        let mut told = Vec::new();
        for difference in compare(&led(before), &led(after)) {
            for changed in difference.changed {
                let of = |passage: Passage, place: Option<String>| {
                    format!("{passage:?} {}", place.unwrap_or_default())
                };
                told.push(format!(
                    "{} -> {}",
                    of(changed.before, changed.led_before),
                    of(changed.after, changed.led_after)
                ));
            }
        }
        told.dedup();
        told
    };
    assert_eq!(
        told("10.0.0.1:81", "10.0.0.2:81"),
        ["Led 10.0.0.1:81 -> Led 10.0.0.2:81"]
    );
    assert_eq!(told("10.0.0.1:81", "10.0.0.1:81"), Vec::<String>::new());
    // Who was sent to the second address ends where he did.
    assert_eq!(told("", "10.0.0.2"), ["Through 10.0.0.1 -> Through 10.0.0.2"]);
    assert_eq!(
        told("10.0.0.1", "10.0.0.2"),
        ["Through 10.0.0.1 -> Through 10.0.0.2"]
    );
}

#[test]
fn every_address_to_which_rules_lead_is_named() {
    let map = r#"{"nftables": [{"table": {"family": "inet", "name": "nx", "handle": 1}},
        {"chain": {"family": "inet", "table": "nx", "name": "p", "handle": 1, "type": "nat", "hook": "prerouting", "prio": -100, "policy": "accept"}},
        {"rule": {"family": "inet", "table": "nx", "chain": "p", "handle": 3, "expr": [{"dnat": {"family": "ip", "addr": {"map": {
            "key": {"payload": {"protocol": "ip", "field": "saddr"}},
            "data": {"set": [[{"prefix": {"addr": "64.0.0.0", "len": 2}}, "198.51.100.9"], ["*", "203.0.113.1"]]}}}}}]}},
        {"rule": {"family": "inet", "table": "nx", "chain": "p", "handle": 4, "expr": [{"dnat": {"family": "ip6", "addr": "2001:db8::9"}}]}}]}"#;
    let mut rules = Ruleset::default();
    rules.add(NAT, None).unwrap();
    rules.add(map, None).unwrap();
    let named: Vec<String> = rules.led_to().iter().map(ToString::to_string).collect();
    assert_eq!(
        named,
        [
            "192.0.2.9",
            "198.51.100.9",
            "203.0.113.1",
            "203.0.113.2",
            "2001:db8::9"
        ]
    );
}

//! What is loaded on hosts that people run.

use super::{Passage::*, *};

#[test]
fn a_port_that_docker_publishes_is_reached_past_the_drop_in_input() {
    // 8080 becomes 172.17.0.2:80 before INPUT is asked, so that its drop decides nothing; nor does the one in DOCKER-USER for
    // 198.51.100.0/24, which asks for 8080 where it is 80 already. The one that asks for the original port (203.0.113.0/24)
    // holds. The answers come back by FORWARD: from docker0, to eth0.
    let host = host(&["eth0=192.0.2.1/24", "docker0=172.17.0.1/16"]);
    let mut rules = Ruleset::default();
    rules.add(include_str!("practice/docker.save"), None).unwrap();
    let mut question = Question::new("tcp/8080".parse().unwrap(), host);
    question.destinations = vec!["192.0.2.1".parse().unwrap()];
    let answer = reach(&rules, &question);
    let outside = view(&answer, true, "eth0");
    assert_eq!(networks(outside, Blocked), "203.0.113.0/24", "{outside:#?}");
    assert_eq!(
        because(outside, "198.51.100.7"),
        "Led: iptables-nft nat / DOCKER / line 31; iptables-nft filter / DOCKER / line 15"
    );
    assert_eq!(
        because(outside, "203.0.113.7"),
        "Blocked: iptables-nft filter / DOCKER-USER / line 17"
    );
    // From the container itself nothing is translated, and then INPUT drops it.
    assert_eq!(networks(view(&answer, true, "docker0"), Blocked), "0.0.0.0/0");
}

#[test]
fn a_drop_that_is_appended_after_an_accept_decides_nothing() {
    // Line 6 accepts all that line 7 would drop.
    let answer = ask(
        &[include_str!("practice/appended.save")],
        "tcp/4840",
        Host::default(),
    );
    let v4 = view(&answer, true, "any other");
    assert_eq!(networks(v4, Through), "0.0.0.0/0");
    assert_eq!(
        because(v4, "10.7.0.1"),
        "Through: iptables filter / INPUT / line 5"
    );
    assert_eq!(
        because(v4, "10.8.0.1"),
        "Through: iptables filter / INPUT / line 6"
    );
    // ip6tables has no rules: nothing holds IPv6.
    assert_eq!(
        because(view(&answer, false, "any other"), "2001:db8::1"),
        "Through: no rule"
    );
}

#[test]
fn established_first_lets_no_first_packet_through() {
    // Rule 1 is for answers; a first packet is new. What is left: 10.7.20.0/24 and 2001:db8:7:20::/64.
    let answer = ask(
        &[include_str!("practice/established-first.json")],
        "tcp/4840",
        Host::default(),
    );
    let (v4, v6) = (
        view(&answer, true, "any other"),
        view(&answer, false, "any other"),
    );
    assert_eq!(networks(v4, Through), "10.7.20.0/24");
    assert_eq!(networks(v6, Through), "2001:db8:7:20::/64");
    assert_eq!(because(v4, "10.7.21.1"), "Blocked: inet filter / input / policy");
    // Port 22 is for IPv4 only, and UDP for nobody.
    let ssh = ask(
        &[include_str!("practice/established-first.json")],
        "tcp/22",
        Host::default(),
    );
    assert_eq!(networks(view(&ssh, false, "any other"), Through), "");
    let udp = ask(
        &[include_str!("practice/established-first.json")],
        "udp/4840",
        Host::default(),
    );
    assert_eq!(networks(view(&udp, true, "any other"), Blocked), "0.0.0.0/0");
}

#[test]
fn an_accept_ends_its_own_chain_only() {
    // The first chain accepts the port for everybody; the second, later one drops it for all but 10.7.20.0/24. Its rule is
    // for IPv4 (`ip saddr`), so that IPv6 stays open.
    let answer = ask(
        &[include_str!("practice/later-drop.json")],
        "tcp/4840",
        Host::default(),
    );
    let v4 = view(&answer, true, "any other");
    assert_eq!(networks(v4, Through), "10.7.20.0/24");
    assert!(because(v4, "10.7.21.1").starts_with("Blocked: inet second / input / handle"));
    assert_eq!(networks(view(&answer, false, "any other"), Through), "::/0");
}

#[test]
fn a_table_of_ipv4_leaves_ipv6_open() {
    let answer = ask(
        &[include_str!("practice/ipv4-only.json")],
        "tcp/4840",
        Host::default(),
    );
    assert_eq!(
        networks(view(&answer, true, "any other"), Through),
        "10.7.20.0/24"
    );
    assert_eq!(
        because(view(&answer, false, "any other"), "::1"),
        "Through: no rule"
    );
}

#[test]
fn two_uplinks_have_answers_of_their_own() {
    // eth0: the chain `plant`. The set holds 10.7.10.0/24 and 10.7.20.16/28: accepted. The rest of 10.7.0.0/16 returns, and
    // goes on behind the verdict map: 10.7.99.1 is dropped, the others fall to the policy, which accepts. All others: drop.
    // eth1: dropped. Any other: no entry in the map, so only 10.7.99.1 is dropped. The map is of names: it holds for IPv6.
    let answer = ask(
        &[include_str!("practice/two-uplinks.json")],
        "tcp/4840",
        host(&["lo", "eth0", "eth1", "eth2"]),
    );
    let first = view(&answer, true, "eth0");
    let all_but_one: Vec<ipnet::IpNet> = first.networks(Through);
    let inside = |address: &str| {
        let address: std::net::IpAddr = address.parse().unwrap();
        all_but_one.iter().any(|network| network.contains(&address))
    };
    assert!(inside("10.7.10.5") && inside("10.7.20.17") && inside("10.7.99.2") && inside("10.7.0.0"));
    assert!(!inside("10.7.99.1") && !inside("10.8.0.0") && !inside("10.6.255.255"));
    assert!(because(first, "10.7.20.17").starts_with("Through: inet filter / plant / handle"));
    assert_eq!(
        because(first, "10.7.20.15"),
        "Through: inet filter / input / policy"
    );
    assert_eq!(networks(view(&answer, true, "eth1"), Blocked), "0.0.0.0/0");
    assert_eq!(networks(view(&answer, false, "eth1"), Blocked), "::/0");
    // Interfaces that no rule tells apart are one view.
    assert_eq!(networks(view(&answer, true, "eth2"), Blocked), "10.7.99.1/32");
    assert!(
        view(&answer, true, "eth2")
            .interfaces
            .contains(&"any other".to_owned())
    );
    assert!(
        !answer
            .views
            .iter()
            .any(|view| view.interfaces.contains(&"lo".to_owned()))
    );
}

#[test]
fn zones_of_firewalld_are_followed() {
    // 10.7.20.0/24 is zone work, which allows 4840. eth0 and all others are zone public: it refuses 203.0.113.0/24 (IPv4), and
    // has nothing for the port; then filter_INPUT rejects. IPv6: the check of the way back (`fib … oif`) may drop, and what it
    // does not drop is rejected later: blocked either way.
    let text = include_str!("practice/firewalld.json");
    let answer = ask(&[text], "tcp/4840", Host::default());
    let v4 = view(&answer, true, "eth0");
    assert_eq!(networks(v4, Through), "10.7.20.0/24");
    assert_eq!(networks(view(&answer, false, "eth0"), Blocked), "::/0");
    // Port 22 is allowed for all: in IPv6 only for whom the check of the way back lets through, and nobody knows whom.
    let ssh = ask(&[text], "tcp/22", Host::default());
    // Zone work has no rule for it, and ends in filter_INPUT with the reject.
    assert_eq!(networks(view(&ssh, true, "any other"), Blocked), "10.7.20.0/24");
    let v6 = view(&ssh, false, "any other");
    assert_eq!(networks(v6, Unknown), "::/0");
    assert!(
        because(v6, "2001:db8::1").contains("filter_PREROUTING"),
        "{v6:#?}"
    );
}

#[test]
fn defaults_of_ufw_hold() {
    // ufw-before-input: nothing for a new TCP connection; ufw-not-local returns, since the destination is local. Then
    // ufw-user-input: 10.7.20.5 is dropped, the rest of 10.7.20.0/24 accepted; all others fall to the policy DROP.
    // The rules with a limit only log or lead to where the same happens.
    let answer = ask(&[include_str!("practice/ufw.save")], "tcp/4840", Host::default());
    let v4 = view(&answer, true, "any other");
    assert_eq!(
        networks(v4, Through),
        "10.7.20.0/30 10.7.20.4/32 10.7.20.6/31 10.7.20.8/29 10.7.20.16/28 10.7.20.32/27 10.7.20.64/26 10.7.20.128/25"
    );
    assert_eq!(networks(v4, Unknown), "");
    assert_eq!(
        because(v4, "10.7.20.5"),
        "Blocked: iptables filter / ufw-user-input / line 32"
    );
    assert_eq!(
        because(v4, "10.7.21.5"),
        "Blocked: iptables filter / INPUT / policy"
    );
}

#[test]
fn rules_like_those_of_shorewall_are_followed_by_mark_and_back() {
    // eth1 (loc): 10.7.0.0/16 is accepted, but 10.7.99.0/24 was marked 2 in mangle and is rejected. The answers by eth1: from
    // 10.7.1.1 when established, and to 10.7.20.0/24 in any case; the host's only address is 10.7.1.1, so all get out.
    // eth0 (net): 198.51.100.7 only; its answers go out by eth0 as established.
    let text = include_str!("practice/shorewall.save");
    let answer = ask(
        &[text],
        "tcp/4840",
        host(&["eth0=192.0.2.1/24", "eth1=10.7.1.1/24"]),
    );
    let to = |interface: &str, destination: &str| {
        let wanted = |view: &&View| {
            view.is_ipv4
                && view.interfaces.iter().any(|name| name == interface)
                && view.destinations.contains(&destination.parse().unwrap())
        };
        answer.views.iter().find(wanted).unwrap()
    };
    let inner = to("eth1", "10.7.1.1");
    assert!(because(inner, "10.7.98.1").starts_with("Through"));
    assert!(because(inner, "10.7.99.1").starts_with("Blocked: iptables filter / reject / "));
    assert!(because(inner, "10.8.0.1").starts_with("Blocked"));
    // At the other address, answers by eth1 get out to 10.7.20.0/24 only: all others are stopped on their way back.
    let passage = |source: &str| {
        let part = to("eth1", "192.0.2.1").of(source.parse().unwrap(), 50_000);
        part.unwrap().passage
    };
    assert_eq!((passage("10.7.20.0"), passage("10.7.20.255")), (Through, Through));
    assert_eq!((passage("10.7.19.255"), passage("10.7.21.0")), (Blocked, Blocked));
    assert_eq!(
        because(to("eth1", "192.0.2.1"), "10.7.30.1"),
        "Blocked: iptables filter / OUTPUT / policy"
    );
    // From source port 0 it is refused, as `tcpflags` has it; from all others it is not.
    let outer = to("eth0", "192.0.2.1");
    let of_port = |port| outer.of("198.51.100.7".parse().unwrap(), port).unwrap().passage;
    assert_eq!((of_port(0), of_port(1)), (Blocked, Through));
    let some = outer.parts.iter().filter_map(|part| part.source_ports.as_ref());
    assert!(some.map(ToString::to_string).any(|ports| ports == "1-65535"));
}

#[test]
fn a_country_is_a_match_that_no_listing_explains() {
    // eth0: whoever is of 192.168.1.0/24 gets through in any case, since both rules return. For all others it depends on the
    // country. Other interfaces: nothing is dropped.
    let answer = ask(
        &[include_str!("practice/synology.save")],
        "tcp/5000",
        host(&["eth0", "eth1"]),
    );
    let v4 = view(&answer, true, "eth0");
    assert_eq!(networks(v4, Through), "192.168.1.0/24");
    assert_eq!(networks(v4, Blocked), "");
    assert_eq!(
        because(v4, "10.0.0.1"),
        "Unknown: iptables filter / INPUT_FIREWALL / line 11: `-m geoip`"
    );
    assert_eq!(networks(view(&answer, true, "eth1"), Through), "0.0.0.0/0");
    // Of another port it does not depend.
    let other = ask(
        &[include_str!("practice/synology.save")],
        "tcp/4840",
        host(&["eth0"]),
    );
    assert_eq!(networks(view(&other, true, "eth0"), Unknown), "");
}

#[test]
fn rules_of_a_bridge_leave_open_what_they_may_stop() {
    // The table of frames may drop anything; 10.7.0.0/16 is dropped in any case.
    let answer = ask(
        &[include_str!("practice/bridge.json")],
        "tcp/4840",
        Host::default(),
    );
    let v4 = view(&answer, true, "any other");
    assert_eq!(networks(v4, Blocked), "10.7.0.0/16");
    assert_eq!(networks(v4, Through), "");
    assert!(because(v4, "192.0.2.1").starts_with("Unknown: bridge filter / forward / policy"));
}

#[test]
fn a_port_that_portcullis_closes_is_closed() {
    // The limit is before a log, which decides nothing, and in a rule of its own.
    let answer = ask(
        &[include_str!("practice/port-trial.json")],
        "tcp/4840",
        Host::default(),
    );
    assert_eq!(
        networks(view(&answer, true, "any other"), Through),
        "10.7.20.0/24"
    );
    assert_eq!(networks(view(&answer, false, "any other"), Blocked), "::/0");
    let other = ask(
        &[include_str!("practice/port-trial.json")],
        "tcp/4841",
        Host::default(),
    );
    assert_eq!(networks(view(&other, true, "any other"), Through), "0.0.0.0/0");
}

#[test]
fn what_depends_on_the_unknown_is_exactly_what_is_not_concluded() {
    // 10.0.0.0/8: the set is filled by packets. 192.168.0.0/16: a length. 172.16.0.0/12: a length, but the rule drops, and so
    // does the policy. 100.64.0.0/10: from high ports only.
    let answer = ask(
        &[include_str!("practice/knock.json")],
        "tcp/4840",
        Host::default(),
    );
    let v4 = view(&answer, true, "any other");
    assert_eq!(networks(v4, Unknown), "10.0.0.0/8 192.168.0.0/16");
    let of = |port| v4.of("100.64.0.1".parse().unwrap(), port).unwrap().passage;
    assert_eq!((of(1023), of(1024), of(65535)), (Blocked, Through, Through));
    // Which of the two stops it is not known, and does not matter.
    assert!(because(v4, "172.16.0.1").starts_with("Blocked"));
}

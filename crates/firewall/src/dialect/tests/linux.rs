//! Whom the change in nftables lets through that Portcullis itself would load, by the reachability model; and random orders.

use std::net::IpAddr;

use ipnet::IpNet;
use portcullis_model::{Port, Transport};
use proptest::{collection::vec, prelude::*};
use serde_json::{Value, json};

use super::{super::*, family, network};
use crate::{
    nftables::Transaction,
    reach::{Host, HostInterface, Passage, Question, Ranges, Ruleset, reach},
};

/// So many orders are held against each other for each dialect.
pub(super) const CASES: u32 = 256;

/// The addresses of the host whose own port is closed.
pub(super) const OWN: [&str; 2] = ["192.0.2.9", "2001:db8:7::9"];

/// What packets are sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct To {
    pub(super) port: Port,
    pub(super) address: IpAddr,
}

impl To {
    pub(super) fn family(self) -> Family {
        if self.address.is_ipv4() {
            Family::V4
        } else {
            Family::V6
        }
    }
}

pub(super) fn everybody(family: Family) -> Ranges {
    Ranges::one((0, family.highest()))
}

/// The networks as a set, of one family.
pub(super) fn set(networks: &[IpNet], family: Family) -> Ranges {
    Ranges::of(networks, family)
}

/// The port at its hosts, and what must stay as it was: its neighbours, the other transport, and another host.
pub(super) fn asked(order: &Order) -> (Vec<To>, Vec<To>) {
    let hosts: Vec<IpAddr> = match order.assets.as_slice() {
        [] => OWN.map(|address| address.parse().unwrap()).to_vec(),
        assets => assets.to_vec(),
    };
    let Port { transport, number } = order.port;
    let other = match transport {
        Transport::Tcp => Transport::Udp,
        Transport::Udp => Transport::Tcp,
    };
    let beside = [
        Port {
            transport: other,
            number,
        },
        Port {
            transport,
            number: number.wrapping_sub(1).max(1),
        },
        Port {
            transport,
            number: number.wrapping_add(1).max(1),
        },
    ];
    let at = |port: Port| {
        hosts.iter().map(move |address| To {
            port,
            address: *address,
        })
    };
    let mut others: Vec<To> = beside
        .into_iter()
        .filter(|port| *port != order.port)
        .flat_map(at)
        .collect();
    if !order.assets.is_empty() {
        let strangers = ["198.51.100.77", "2001:db8:ffff::77"].map(|address| address.parse().unwrap());
        others.extend(strangers.map(|address| To {
            port: order.port,
            address,
        }));
    }
    (at(order.port).collect(), others)
}

/// The sources that the change lets through.
pub(super) fn through(order: &Order, to: To) -> Ranges {
    let trial = std::time::Duration::from_secs(order.seconds());
    let script = Transaction::load(&order.closing(), Some(trial), false).to_string();
    let mut ruleset = Ruleset::default();
    ruleset.add(&listing(&script), None).unwrap();
    let networks = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
    let interface = |name: &str, texts: &[&str]| HostInterface {
        name: name.into(),
        networks: networks(texts),
    };
    let question = match order.assets.is_empty() {
        true => {
            let own = interface("eth0", &["192.0.2.9/24", "2001:db8:7::9/64"]);
            Question::new(
                to.port,
                Host {
                    interfaces: vec![own],
                    ..Host::default()
                },
            )
        }
        false => Question {
            port: to.port,
            destinations: vec![to.address],
            forwarded: true,
            host: Host {
                interfaces: vec![
                    interface("eth0", &["203.0.113.1/30", "2001:db8:1::1/64"]),
                    interface("eth1", &["203.0.113.5/30", "2001:db8:2::1/64"]),
                ],
                ..Host::default()
            },
        },
    };
    let family = to.family();
    let views = reach(&ruleset, &question).views;
    let mut of_views = views
        .iter()
        .filter(|view| view.is_ipv4 == to.address.is_ipv4() && view.destinations.contains(&to.address))
        .map(|view| {
            assert!(
                view.parts
                    .iter()
                    .all(|part| part.passage != Passage::Unknown && part.source_ports.is_none()),
                "{view:#?}"
            );
            set(&view.networks(Passage::Through), family)
        });
    let first = of_views.next().unwrap();
    assert!(of_views.all(|other| other == first));
    first
}

/// What the kernel would list of a script of ours. Whatever else stands in it is no word of this reader.
fn listing(script: &str) -> String {
    let mut objects: Vec<Value> = Vec::new();
    for line in script.lines() {
        if line == "delete table inet portcullis" {
            objects.clear();
            continue;
        }
        let (kind, rest) = line
            .strip_prefix("add ")
            .and_then(|line| line.split_once(" inet portcullis"))
            .unwrap();
        let rest = rest.trim_start();
        match kind {
            "table" => objects.push(json!({"table": {"family": "inet", "name": "portcullis", "handle": 1}})),
            "chain" => objects.push(json!({"chain": chain(rest)})),
            "set" => {
                let (name, body) = rest.split_once(" { ").unwrap();
                let mut set = json!({"family": "inet", "table": "portcullis", "name": name, "elem": []});
                for property in body.strip_suffix("; }").unwrap().split("; ") {
                    let (property, value) = property.split_once(' ').unwrap();
                    assert!(["type", "flags"].contains(&property), "{line}");
                    assert!(
                        ["inet_service", "ipv4_addr", "ipv6_addr", "timeout", "interval"].contains(&value),
                        "{line}"
                    );
                    set[property] = if property == "flags" {
                        json!([value])
                    } else {
                        json!(value)
                    };
                }
                objects.push(json!({"set": set}));
            }
            "element" => {
                let (name, body) = rest.split_once(" { ").unwrap();
                let elements = body.strip_suffix(" }").unwrap().split(", ").map(element);
                let of_name = objects
                    .iter_mut()
                    .find(|object| object["set"]["name"] == name)
                    .unwrap();
                let list = of_name["set"]["elem"].as_array_mut().unwrap();
                list.extend(elements);
            }
            "rule" => {
                let (chain, expression) = rest.split_once(' ').unwrap();
                objects.push(
                    json!({"rule": {"family": "inet", "table": "portcullis", "chain": chain,
                    "handle": objects.len(), "expr": statements(expression)}}),
                );
            }
            _ => panic!("{line}"),
        }
    }
    json!({"nftables": objects}).to_string()
}

fn chain(text: &str) -> Value {
    let mut chain = json!({"family": "inet", "table": "portcullis", "handle": 1});
    let Some((name, body)) = text.split_once(" { type filter hook ") else {
        assert!(!text.contains(' '), "{text}");
        chain["name"] = json!(text);
        return chain;
    };
    let hook = body.strip_suffix(" priority mangle; policy accept; }").unwrap();
    for (property, value) in [
        ("name", name),
        ("type", "filter"),
        ("hook", hook),
        ("policy", "accept"),
    ] {
        chain[property] = json!(value);
    }
    chain["prio"] = json!(-150);
    chain
}

fn element(text: &str) -> Value {
    if let Some((value, timeout)) = text.split_once(" timeout ") {
        let seconds: u64 = timeout.strip_suffix('s').unwrap().parse().unwrap();
        return json!({"elem": {"val": element(value), "timeout": seconds, "expires": seconds}});
    }
    match (text.split_once('/'), text.parse::<u16>()) {
        (Some((address, length)), _) => {
            json!({"prefix": {"addr": address, "len": length.parse::<u8>().unwrap()}})
        }
        (None, Ok(port)) => json!(port),
        (None, Err(_)) => json!(text.parse::<IpAddr>().unwrap()),
    }
}

fn statements(text: &str) -> Vec<Value> {
    let payload = |protocol: &str, field: &str| json!({"payload": {"protocol": protocol, "field": field}});
    let equal = |left: Value, right: Value| json!({"match": {"op": "==", "left": left, "right": right}});
    let words: Vec<&str> = text.split(' ').collect();
    let mut rest = words.as_slice();
    let mut all = Vec::new();
    while !rest.is_empty() {
        let (statement, taken) = match rest {
            ["iif", "\"lo\"", ..] => (equal(json!({"meta": {"key": "iif"}}), json!("lo")), 2),
            ["ct", "direction", "reply", ..] => {
                (equal(json!({"ct": {"key": "direction"}}), json!("reply")), 3)
            }
            [protocol @ ("ip" | "ip6"), field @ ("saddr" | "daddr"), set, ..] if set.starts_with('@') => {
                (equal(payload(protocol, field), json!(set)), 3)
            }
            [protocol @ ("tcp" | "udp"), "dport", set, ..] if set.starts_with('@') => {
                (equal(payload(protocol, "dport"), json!(set)), 3)
            }
            [
                "fib",
                "daddr",
                "type",
                "{",
                "local,",
                "broadcast,",
                "multicast",
                "}",
                ..,
            ] => {
                let kinds = json!({"set": ["local", "broadcast", "multicast"]});
                (
                    equal(json!({"fib": {"result": "type", "flags": ["daddr"]}}), kinds),
                    8,
                )
            }
            ["limit", "rate", _, "burst", _, "packets", "log", ..] => {
                // The rest of the rule is the log.
                all.push(json!({"limit": {"rate": 1, "burst": 1, "per": "second"}}));
                (json!({"log": {}}), rest.len())
            }
            ["counter", ..] => (json!({"counter": {"packets": 0, "bytes": 0}}), 1),
            ["accept"] => (json!({"accept": null}), 1),
            ["drop", "comment", ..] => (json!({"drop": null}), rest.len()),
            ["jump", chain] => (json!({"jump": {"target": chain}}), 2),
            _ => panic!("{rest:?} in {text}"),
        };
        all.push(statement);
        rest = &rest[taken..];
    }
    all
}

/// Networks that hold, touch and repeat each other, single hosts and whole families among them.
fn allowed() -> impl Strategy<Value = NetworkSet> {
    let host = network().prop_map(|network| IpNet::from(network.addr()));
    let whole = family().prop_map(|family| IpNet::new(family.address(0), 0).unwrap());
    let halves = network().prop_filter_map("a single host has no halves", |network| {
        let longer = network.prefix_len().checked_add(1)?;
        let halves: Vec<IpNet> = network.subnets(longer).ok()?.collect();
        Some(halves)
    });
    let several = prop_oneof![
        8 => network().prop_map(|network| vec![network]),
        3 => host.prop_map(|network| vec![network]),
        2 => halves,
        1 => whole.prop_map(|network| vec![network]),
    ];
    vec(several, 0..6).prop_map(|networks| networks.into_iter().flatten().collect())
}

/// Orders with these hosts, if any.
pub(super) fn orders(assets: impl Strategy<Value = Vec<IpAddr>>) -> impl Strategy<Value = Order> {
    (1..=u16::MAX, any::<bool>(), allowed(), assets, 0..10_000_u64).prop_map(
        |(number, tcp, allow, assets, trial)| Order {
            tag: "3f2a91".into(),
            port: if tcp { Port::tcp(number) } else { Port::udp(number) },
            allow,
            assets,
            trial: std::time::Duration::from_secs(trial),
        },
    )
}

/// Some hosts of one or both families.
pub(super) fn assets() -> impl Strategy<Value = Vec<IpAddr>> {
    let asset = (family(), 1..200_u128).prop_map(|(family, number)| match family {
        Family::V4 => family.address(0xc000_0200 + number),
        Family::V6 => family.address((0x2001_0db8_0007 << 80) + number),
    });
    vec(asset, 1..4).prop_map(|mut assets| {
        assets.sort_unstable();
        assets.dedup();
        assets
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(CASES))]
    /// The measure of all that is compared with it: the allowed sources and nobody else, and everybody to all else.
    #[test]
    fn the_linux_rule_lets_the_allowed_sources_through(order in prop_oneof![orders(Just(Vec::new())), orders(assets())]) {
        let (closed, others) = asked(&order);
        for to in closed {
            prop_assert_eq!(through(&order, to), set(order.allow.networks(), to.family()), "{:?}", to);
        }
        for to in others {
            prop_assert_eq!(through(&order, to), everybody(to.family()), "{:?}", to);
        }
    }
}

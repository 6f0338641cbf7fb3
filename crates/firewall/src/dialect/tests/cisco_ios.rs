//! A small IOS: access lists of both families as the configuration guides have them ("Configuring IP Access Lists";
//! "Implementing Traffic Filters for IPv6 Security"). The first entry that matches decides; at the end everything is
//! denied, in IPv6 but for the neighbour discovery, which is ICMP. In a wildcard mask a bit that is set is not looked at. An entry
//! that is there already is ignored, and stays where it is.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
};

use ipnet::IpNet;
use portcullis_model::{Port, Transport};
use proptest::{collection::vec, prelude::*};

use super::{
    super::*,
    linux::{CASES, To, asked, assets, everybody, orders, set, through},
    network,
};
use crate::reach::Ranges;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    permits: bool,
    /// `None` is every protocol.
    transport: Option<Transport>,
    source: IpNet,
    destination: IpNet,
    port: Option<(u16, u16)>,
    logs: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct List(BTreeMap<u32, Entry>);

#[derive(Debug, Clone, Default)]
struct Device {
    lists: BTreeMap<(bool, String), List>,
    /// The list that is bound with `in`, by family (whether IPv4).
    bound: BTreeMap<bool, String>,
}

/// The names that a person would fill in.
fn filled(line: &str) -> String {
    line.replace("<ACL-NAME-4>", "plant4")
        .replace("<ACL-NAME-6>", "plant6")
        .replace("<INTERFACE>", "Gi0/1")
}

fn everything(is_ipv4: bool) -> IpNet {
    if is_ipv4 {
        "0.0.0.0/0".parse().unwrap()
    } else {
        "::/0".parse().unwrap()
    }
}

impl Entry {
    fn read(text: &str, is_ipv4: bool) -> Self {
        let words: Vec<&str> = text.split(' ').collect();
        let (permits, rest) = match words.as_slice() {
            ["permit", rest @ ..] => (true, rest),
            ["deny", rest @ ..] => (false, rest),
            _ => panic!("{text}"),
        };
        let (transport, rest) = match rest {
            ["tcp", rest @ ..] => (Some(Transport::Tcp), rest),
            ["udp", rest @ ..] => (Some(Transport::Udp), rest),
            ["ip", rest @ ..] if is_ipv4 => (None, rest),
            ["ipv6", rest @ ..] if !is_ipv4 => (None, rest),
            _ => panic!("{text}"),
        };
        let (source, rest) = address(rest, is_ipv4);
        let (destination, rest) = address(rest, is_ipv4);
        let (port, rest) = match rest {
            ["eq", port, rest @ ..] => {
                let port = port.parse().unwrap();
                (Some((port, port)), rest)
            }
            ["range", first, last, rest @ ..] => {
                (Some((first.parse().unwrap(), last.parse().unwrap())), rest)
            }
            rest => (None, rest),
        };
        assert!(rest.is_empty() || rest == ["log"], "{text}");
        assert!(port.is_none() || transport.is_some(), "{text}");
        Self {
            permits,
            transport,
            source,
            destination,
            port,
            logs: !rest.is_empty(),
        }
    }

    fn matches(&self, to: To) -> bool {
        self.transport
            .is_none_or(|transport| transport == to.port.transport)
            && self.destination.contains(&to.address)
            && self
                .port
                .is_none_or(|(first, last)| (first..=last).contains(&to.port.number))
    }
}

/// `any`, `host ADDRESS`, an address with its wildcard (IPv4), or a prefix (IPv6).
fn address<'a>(words: &'a [&'a str], is_ipv4: bool) -> (IpNet, &'a [&'a str]) {
    let (network, rest): (IpNet, _) = match words {
        ["any", rest @ ..] => (everything(is_ipv4), rest),
        ["host", address, rest @ ..] => (address.parse::<IpAddr>().unwrap().into(), rest),
        [prefix, rest @ ..] if !is_ipv4 => (prefix.parse().unwrap(), rest),
        [address, wildcard, rest @ ..] => {
            let mask = Ipv4Addr::from_bits(!wildcard.parse::<Ipv4Addr>().unwrap().to_bits());
            (
                IpNet::with_netmask(address.parse().unwrap(), mask.into()).unwrap(),
                rest,
            )
        }
        _ => panic!("{words:?}"),
    };
    assert_eq!(network, network.trunc(), "bits beside the mask");
    assert_eq!(network.addr().is_ipv4(), is_ipv4, "{words:?}");
    (network, rest)
}

impl List {
    fn add(&mut self, sequence: Option<u32>, entry: Entry) {
        if self.0.values().any(|known| *known == entry) {
            return;
        }
        let next = self
            .0
            .last_key_value()
            .map_or(10, |(last, _)| last / 10 * 10 + 10);
        let at = sequence.unwrap_or(next);
        assert!(self.0.insert(at, entry).is_none(), "sequence {at} is taken");
    }

    fn through(&self, to: To) -> Ranges {
        let family = to.family();
        let (mut left, mut through) = (everybody(family), Ranges::default());
        for entry in self.0.values().filter(|entry| entry.matches(to)) {
            let matched = left.intersect(&set(&[entry.source], family));
            left = left.minus(&matched);
            if entry.permits {
                through = through.union(&matched);
            }
        }
        through
    }
}

impl Device {
    /// Types lines. A line that no mode knows is refused.
    fn types(&mut self, lines: &[String]) {
        let mut is_configuring = false;
        let mut list: Option<(bool, String)> = None;
        for line in lines {
            let words: Vec<&str> = line.trim_start().split(' ').collect();
            let is_inner = line.starts_with(' ');
            match words.as_slice() {
                ["show", ..] | ["configure", "confirm"] | ["copy", "running-config", "startup-config"] => {
                    assert!(!is_configuring, "{line}");
                }
                ["configure", "terminal"] => is_configuring = true,
                ["configure", "terminal", "revert", "timer", minutes] => {
                    assert!((1..=120).contains(&minutes.parse::<u64>().unwrap()), "{line}");
                    is_configuring = true;
                }
                ["end"] => {
                    assert!(is_configuring, "{line}");
                    (is_configuring, list) = (false, None);
                }
                ["ip", "access-list", "resequence", name, first, step] => {
                    assert!(is_configuring && !is_inner, "{line}");
                    let list = self.lists.get_mut(&(true, (*name).to_owned())).unwrap();
                    let (first, step): (u32, usize) = (first.parse().unwrap(), step.parse().unwrap());
                    let entries = std::mem::take(&mut list.0).into_values();
                    list.0 = (first..).step_by(step).zip(entries).collect();
                }
                [family @ ("ip" | "ipv6"), "access-list", rest @ ..] if !is_inner => {
                    let is_ipv4 = *family == "ip";
                    let name = match rest {
                        ["extended", name] if is_ipv4 => name,
                        [name] if !is_ipv4 => name,
                        _ => panic!("{line}"),
                    };
                    assert!(is_configuring, "{line}");
                    let key = (is_ipv4, (*name).to_owned());
                    self.lists.entry(key.clone()).or_default();
                    list = Some(key);
                }
                ["interface", "Gi0/1"] => {
                    assert!(is_configuring && !is_inner, "{line}");
                    list = None;
                }
                ["ip", "access-group", name, "in"] if is_inner => self.bind(true, name),
                ["ipv6", "traffic-filter", name, "in"] if is_inner => self.bind(false, name),
                _ if is_inner => {
                    let key = list.clone().unwrap();
                    let entries = self.lists.get_mut(&key).unwrap();
                    let text = line.trim_start();
                    if let Some(text) = text.strip_prefix("no ") {
                        let gone = Entry::read(text, key.0);
                        let before = entries.0.len();
                        entries.0.retain(|_, entry| *entry != gone);
                        assert_eq!(entries.0.len() + 1, before, "{line}");
                        continue;
                    }
                    // The number stands first, in IPv6 after its word.
                    let numbered = if key.0 {
                        Some(text)
                    } else {
                        text.strip_prefix("sequence ")
                    };
                    let number = numbered.and_then(|text| {
                        let (number, entry) = text.split_once(' ')?;
                        Some((number.parse().ok()?, entry))
                    });
                    match number {
                        Some((number, text)) => entries.add(Some(number), Entry::read(text, key.0)),
                        None => entries.add(None, Entry::read(text, key.0)),
                    }
                }
                _ => panic!("{line}"),
            }
        }
        assert!(
            !is_configuring,
            "the last line leaves the device in its configuration"
        );
    }

    /// A list that is bound to an interface stands in the place of another one.
    fn bind(&mut self, is_ipv4: bool, name: &str) {
        self.bound.insert(is_ipv4, name.to_owned());
    }

    fn through(&self, to: To) -> Ranges {
        let is_ipv4 = to.address.is_ipv4();
        match self.bound.get(&is_ipv4) {
            None => everybody(to.family()),
            Some(name) => self.lists[&(is_ipv4, name.clone())].through(to),
        }
    }
}

/// The lines of a section, those of its comment or the others.
fn lines(text: &str, commented: bool) -> Vec<String> {
    let of = |line: &str| match (line.strip_prefix("!   "), commented) {
        (Some(line), true) => Some(filled(line)),
        (None, false) if !line.starts_with('!') => Some(filled(line)),
        _ => None,
    };
    text.lines().filter_map(of).collect()
}

/// A line of a list that is there already, on ports and hosts near those that are closed.
fn entry(is_ipv4: bool) -> impl Strategy<Value = Entry> {
    let side = prop_oneof![
        2 => Just(everything(is_ipv4)),
        3 => network().prop_filter_map("of the other family", move |network| (network.addr().is_ipv4() == is_ipv4).then_some(network)),
    ];
    let to = if is_ipv4 {
        "192.0.2.0/24"
    } else {
        "2001:db8:7::/64"
    };
    let to = prop_oneof![Just(everything(is_ipv4)), Just(to.parse::<IpNet>().unwrap())];
    let transport = prop_oneof![Just(None), Just(Some(Transport::Tcp)), Just(Some(Transport::Udp))];
    (
        any::<bool>(),
        transport,
        side,
        to,
        proptest::option::of((any::<u16>(), any::<u16>())),
    )
        .prop_map(|(permits, transport, source, destination, ports)| Entry {
            permits,
            transport,
            source,
            destination,
            port: ports
                .filter(|_| transport.is_some())
                .map(|(a, b)| (a.min(b), a.max(b))),
            logs: false,
        })
}

/// Lists that are bound already. In IPv6 the first line has a number above those of the change, as its text asks for.
fn device() -> impl Strategy<Value = Device> {
    (vec(entry(true), 1..6), vec(entry(false), 1..6)).prop_map(|(v4, v6)| {
        let mut device = Device::default();
        for (is_ipv4, name, entries, first) in [(true, "plant4", v4, 10), (false, "plant6", v6, 1000)] {
            let list = (first..).step_by(10).zip(entries).collect();
            device.lists.insert((is_ipv4, name.to_owned()), List(list));
            device.bind(is_ipv4, name);
        }
        device
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(CASES))]
    #[test]
    fn a_list_that_is_there_lets_through_what_the_linux_rule_does(order in orders(assets()), before in device()) {
        let Ok(document) = write(Dialect::CiscoIos, &order) else { return Ok(()) };
        let mut after = before.clone();
        for section in document.sections.iter().filter(|section| section.step == Step::Apply) {
            after.types(&lines(&section.text, false));
        }
        let (closed, others) = asked(&order);
        for to in closed {
            // The permits come first, so that the allowed get through whatever the list says; a family that is not
            // closed stays as it was.
            let expected = match order.closed().contains(&to.family()) {
                true => through(&order, to),
                false => before.through(to),
            };
            prop_assert_eq!(after.through(to), expected, "{:?}\n{}", to, document);
        }
        for to in others {
            prop_assert_eq!(after.through(to), before.through(to), "{:?}\n{}", to, document);
        }
        // Taken back, once it was confirmed: the lists have the lines that they had, in their order.
        let confirmed = document.sections.iter().rfind(|section| section.step == Step::Rollback).unwrap();
        after.types(&lines(&confirmed.text, false));
        for (name, list) in &before.lists {
            let left: Vec<&Entry> = after.lists[name].0.values().collect();
            prop_assert_eq!(left, list.0.values().collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_list_of_its_own_lets_through_what_the_linux_rule_does(order in orders(assets())) {
        let Ok(document) = write(Dialect::CiscoIos, &order) else { return Ok(()) };
        let mut after = Device::default();
        for section in document.sections.iter().filter(|section| section.step == Step::Apply) {
            after.types(&lines(&section.text, true));
        }
        let (closed, others) = asked(&order);
        for to in closed.into_iter().chain(others) {
            prop_assert_eq!(after.through(to), through(&order, to), "{:?}\n{}", to, document);
        }
    }
}

#[test]
fn the_first_line_decides_and_what_no_line_names_is_denied() {
    let mut device = Device::default();
    let typed = [
        "configure terminal",
        "ip access-list extended plant4",
        " 20 permit ip any any",
        " 10 deny tcp 10.7.0.0 0.0.255.255 host 192.0.2.9 eq 4840",
        " 5 permit tcp host 10.7.1.1 any",
        " 30 permit tcp host 10.7.1.1 any",
        "interface Gi0/1",
        " ip access-group plant4 in",
        "end",
    ];
    device.types(&typed.map(str::to_owned));
    let to = |port| To {
        port,
        address: "192.0.2.9".parse().unwrap(),
    };
    // All but 10.7.0.0/16, and of that 10.7.1.1. The line that is there already stays at 5.
    let denied = set(&["10.7.0.0/16".parse().unwrap()], Family::V4)
        .minus(&set(&["10.7.1.1/32".parse().unwrap()], Family::V4));
    assert_eq!(
        device.through(to(Port::tcp(4840))),
        everybody(Family::V4).minus(&denied)
    );
    assert_eq!(device.lists[&(true, "plant4".to_owned())].0.len(), 3);
    device.types(
        &[
            "configure terminal",
            "ip access-list extended plant4",
            " no permit ip any any",
            "end",
        ]
        .map(str::to_owned),
    );
    assert_eq!(device.through(to(Port::udp(4840))), Ranges::default());
}

//! A small ASA: one list for both families, bound with `in` ("Access Control Lists" and "Access Rules", ASA Series Firewall CLI
//! Configuration Guide). The first entry that matches decides, at the end everything is denied. Masks are those of networks;
//! `any` is of both families, `any4` and `any6` of one. `line` puts an entry before the one that stands there; one that is
//! there already stays where it is.

use std::net::IpAddr;

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
    transport: Option<Transport>,
    source: Vec<IpNet>,
    destination: Vec<IpNet>,
    port: Option<(u16, u16)>,
    logs: bool,
}

impl Entry {
    fn read(text: &str) -> Self {
        let words: Vec<&str> = text.split(' ').collect();
        let (permits, rest) = match words.as_slice() {
            ["permit", rest @ ..] => (true, rest),
            ["deny", rest @ ..] => (false, rest),
            _ => panic!("{text}"),
        };
        let (transport, rest) = match rest {
            ["tcp", rest @ ..] => (Some(Transport::Tcp), rest),
            ["udp", rest @ ..] => (Some(Transport::Udp), rest),
            ["ip", rest @ ..] => (None, rest),
            _ => panic!("{text}"),
        };
        let (source, rest) = address(rest);
        let (destination, rest) = address(rest);
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
        // Both ends of one family, unless one of them is of both.
        let families = |networks: &[IpNet]| {
            networks
                .iter()
                .map(|network| network.addr().is_ipv4())
                .collect::<Vec<_>>()
        };
        assert!(
            families(&source)
                .iter()
                .any(|family| families(&destination).contains(family)),
            "{text}"
        );
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
            && self
                .destination
                .iter()
                .any(|network| network.contains(&to.address))
            && self
                .port
                .is_none_or(|(first, last)| (first..=last).contains(&to.port.number))
    }
}

fn address<'a>(words: &'a [&'a str]) -> (Vec<IpNet>, &'a [&'a str]) {
    let whole = |texts: &[&str]| texts.iter().map(|text| text.parse::<IpNet>().unwrap()).collect();
    match words {
        ["any", rest @ ..] => (whole(&["0.0.0.0/0", "::/0"]), rest),
        ["any4", rest @ ..] => (whole(&["0.0.0.0/0"]), rest),
        ["any6", rest @ ..] => (whole(&["::/0"]), rest),
        ["host", address, rest @ ..] => (vec![address.parse::<IpAddr>().unwrap().into()], rest),
        [prefix, rest @ ..] if prefix.contains(':') => {
            let network: IpNet = prefix.parse().unwrap();
            assert_eq!(network, network.trunc());
            (vec![network], rest)
        }
        [address, mask, rest @ ..] => {
            let network = IpNet::with_netmask(address.parse().unwrap(), mask.parse().unwrap()).unwrap();
            assert_eq!(network, network.trunc());
            (vec![network], rest)
        }
        _ => panic!("{words:?}"),
    }
}

/// The list that is bound.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct List(Vec<Entry>);

impl List {
    fn types(&mut self, text: &str) {
        let mut is_configuring = false;
        for line in text.lines().filter(|line| !line.starts_with('!')) {
            let line = line.replace("<ACL-NAME>", "outside_in");
            match line.as_str() {
                "configure terminal" => is_configuring = true,
                "end" => is_configuring = false,
                "write memory" | "show access-list outside_in" => assert!(!is_configuring, "{line}"),
                clear if clear.starts_with("clear conn protocol ") => assert!(!is_configuring, "{line}"),
                line => {
                    assert!(is_configuring, "{line}");
                    self.enter(line);
                }
            }
        }
        assert!(
            !is_configuring,
            "the last line leaves the device in its configuration"
        );
    }

    fn enter(&mut self, line: &str) {
        if let Some(text) = line.strip_prefix("no access-list outside_in extended ") {
            let gone = Entry::read(text);
            let before = self.0.len();
            self.0.retain(|entry| *entry != gone);
            assert_eq!(self.0.len() + 1, before, "{line}");
            return;
        }
        let text = line.strip_prefix("access-list outside_in line ").unwrap();
        let (number, text) = text.split_once(" extended ").unwrap();
        let (number, entry): (usize, _) = (number.parse().unwrap(), Entry::read(text));
        if !self.0.contains(&entry) {
            self.0.insert(number - 1, entry);
        }
    }

    fn through(&self, to: To) -> Ranges {
        let family = to.family();
        let (mut left, mut through) = (everybody(family), Ranges::default());
        for entry in self.0.iter().filter(|entry| entry.matches(to)) {
            let matched = left.intersect(&set(&entry.source, family));
            left = left.minus(&matched);
            if entry.permits {
                through = through.union(&matched);
            }
        }
        through
    }
}

fn entry() -> impl Strategy<Value = Entry> {
    let both = || vec!["0.0.0.0/0".parse::<IpNet>().unwrap(), "::/0".parse().unwrap()];
    let source = prop_oneof![2 => Just(both()), 3 => network().prop_map(|network| vec![network])];
    let to = prop_oneof![
        2 => Just(both()),
        1 => Just(vec!["192.0.2.0/24".parse::<IpNet>().unwrap()]),
        1 => Just(vec!["2001:db8:7::/64".parse::<IpNet>().unwrap()]),
    ];
    let transport = prop_oneof![Just(None), Just(Some(Transport::Tcp)), Just(Some(Transport::Udp))];
    (
        any::<bool>(),
        transport,
        source,
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(CASES))]
    #[test]
    fn the_list_lets_through_what_the_linux_rule_does(order in orders(assets()), before in vec(entry(), 0..6)) {
        let Ok(document) = write(Dialect::CiscoAsa, &order) else { return Ok(()) };
        let before = List(before);
        let mut after = before.clone();
        for section in document.sections.iter().filter(|section| section.step == Step::Apply) {
            after.types(&section.text);
        }
        let (closed, others) = asked(&order);
        for to in closed {
            let expected = match order.closed().contains(&to.family()) {
                true => through(&order, to),
                false => before.through(to),
            };
            prop_assert_eq!(after.through(to), expected, "{:?}\n{}", to, document);
        }
        for to in others {
            prop_assert_eq!(after.through(to), before.through(to), "{:?}\n{}", to, document);
        }
        after.types(&document.text(Step::Rollback));
        prop_assert_eq!(after, before);
    }
}

#[test]
fn the_first_entry_decides_and_what_no_entry_names_is_denied() {
    let mut list = List::default();
    list.types(
        "configure terminal\naccess-list outside_in line 1 extended permit ip any any\n\
         access-list outside_in line 1 extended deny tcp any6 host 2001:db8:7::9 eq 4840 log\n\
         access-list outside_in line 1 extended permit tcp 10.7.0.0 255.255.0.0 host 192.0.2.9 range 4840 4841\n\
         access-list outside_in line 1 extended permit ip any any\nend\n",
    );
    let to = |address: &str| To {
        port: Port::tcp(4840),
        address: address.parse().unwrap(),
    };
    assert_eq!(list.0.len(), 3);
    assert_eq!(list.through(to("192.0.2.9")), everybody(Family::V4));
    assert_eq!(list.through(to("2001:db8:7::9")), Ranges::default());
    list.types("configure terminal\nno access-list outside_in extended permit ip any any\nend\n");
    assert_eq!(
        list.through(to("192.0.2.9")),
        set(&["10.7.0.0/16".parse().unwrap()], Family::V4)
    );
}

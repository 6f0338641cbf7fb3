//! A small pf (pf.conf(5)): the last rule that matches decides, unless one with `quick` comes before; without one a packet
//! passes. A list is one rule for each of its members. A matching rule with `quick` in an anchor ends the whole evaluation.
//! An address is of its own family only; a table of both, as far as the rule is.

use std::{collections::BTreeMap, net::IpAddr};

use ipnet::IpNet;
use portcullis_model::{Port, Transport};
use proptest::{collection::vec, prelude::*};

use super::{
    super::*,
    linux::{CASES, OWN, To, asked, assets, everybody, orders, set, through},
    network,
};
use crate::reach::Ranges;

/// One end of a rule, after lists were taken apart.
#[derive(Debug, Clone)]
enum End {
    Any,
    Own,
    Network(IpNet),
    Table(Vec<IpNet>),
    Not(Box<Self>),
}

impl End {
    fn addresses(&self, family: Family) -> Ranges {
        let own = || OWN.map(|address| IpNet::from(address.parse::<IpAddr>().unwrap()));
        match self {
            Self::Any => everybody(family),
            Self::Own => set(&own(), family),
            Self::Network(network) => set(&[*network], family),
            Self::Table(networks) => set(networks, family),
            Self::Not(end) => everybody(family).minus(&end.addresses(family)),
        }
    }

    /// An address that is written out has its family, also behind a `!`.
    fn is_of(&self, family: Family) -> bool {
        match self {
            Self::Network(network) => family.is_of(network.addr()),
            Self::Not(end) => end.is_of(family),
            Self::Any | Self::Own | Self::Table(_) => true,
        }
    }
}

#[derive(Debug, Clone)]
struct Rule {
    passes: bool,
    is_quick: bool,
    family: Option<Family>,
    transport: Option<Transport>,
    from: End,
    to: End,
    port: Option<(u16, u16)>,
}

impl Rule {
    fn matches(&self, to: To) -> bool {
        let family = to.family();
        let address = set(&[to.address.into()], family);
        self.family.is_none_or(|own| own == family)
            && self.transport.is_none_or(|own| own == to.port.transport)
            && self.from.is_of(family)
            && self.to.is_of(family)
            && !self.to.addresses(family).intersect(&address).is_empty()
            && self
                .port
                .is_none_or(|(first, last)| (first..=last).contains(&to.port.number))
    }
}

#[derive(Debug, Clone)]
enum Line {
    Rule(Rule),
    Anchor,
}

/// Words, with braces and commas apart.
fn words(line: &str) -> Vec<String> {
    let apart = line
        .replace('{', " { ")
        .replace('}', " } ")
        .replace(',', " , ")
        .replace('!', " ! ");
    apart.split_whitespace().map(str::to_owned).collect()
}

/// Reads a text of pf. Whatever it does not know fails.
fn read(text: &str) -> Vec<Line> {
    let mut tables: BTreeMap<String, Vec<IpNet>> = BTreeMap::new();
    let mut lines = Vec::new();
    for line in text.lines() {
        let words = words(line);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["anchor", "\"portcullis/*\""] => lines.push(Line::Anchor),
            ["table", name, "{", members @ .., "}"] => {
                let name = name
                    .strip_prefix('<')
                    .and_then(|name| name.strip_suffix('>'))
                    .unwrap();
                let members = members.split(|word| *word == ",").map(|member| match member {
                    [one] => one.parse::<IpNet>().unwrap(),
                    _ => panic!("{line}"),
                });
                assert!(
                    tables.insert(name.to_owned(), members.collect()).is_none(),
                    "{line}"
                );
            }
            [action @ ("block" | "pass"), rest @ ..] => {
                let rules = rules(*action == "pass", rest, &tables);
                lines.extend(rules.into_iter().map(Line::Rule));
            }
            _ => panic!("{line}"),
        }
    }
    lines
}

fn rules(passes: bool, words: &[&str], tables: &BTreeMap<String, Vec<IpNet>>) -> Vec<Rule> {
    let mut rest = words;
    // In this order, as the grammar has them.
    let mut next = |known: &[&str]| {
        let (first, more) = rest.split_first()?;
        let found = known.iter().position(|word| word == first)?;
        rest = more;
        Some(found)
    };
    if !passes {
        next(&["drop"]);
    }
    assert_eq!(next(&["in"]), Some(0), "{words:?}");
    next(&["log"]);
    let is_quick = next(&["quick"]).is_some();
    let family = next(&["inet", "inet6"]).map(|which| Family::BOTH[which]);
    let transport =
        next(&["proto"]).map(|_| [Transport::Tcp, Transport::Udp][next(&["tcp", "udp"]).unwrap()]);
    let (froms, tos) = if next(&["all"]).is_some() {
        (vec![End::Any], vec![End::Any])
    } else {
        assert_eq!(next(&["from"]), Some(0), "{words:?}");
        let (froms, more) = ends(rest, tables);
        let (tos, more) = ends(more.strip_prefix(&["to"]).unwrap(), tables);
        rest = more;
        (froms, tos)
    };
    let mut port = None;
    if let ["port", range, more @ ..] = rest {
        let (first, last) = range.split_once(':').unwrap_or((range, range));
        port = Some((first.parse().unwrap(), last.parse().unwrap()));
        rest = more;
    }
    assert!(port.is_none() || transport.is_some(), "{words:?}");
    assert!(matches!(rest, [] | ["label", _]), "{words:?}");
    let mut rules = Vec::new();
    for from in &froms {
        for to in &tos {
            let families = Family::BOTH
                .into_iter()
                .filter(|known| family.is_none_or(|own| own == *known));
            let possible = families
                .filter(|family| from.is_of(*family) && to.is_of(*family))
                .count();
            assert!(possible > 0, "no rule has both families: {words:?}");
            rules.push(Rule {
                passes,
                is_quick,
                family,
                transport,
                from: from.clone(),
                to: to.clone(),
                port,
            });
        }
    }
    rules
}

/// One end, or a list of them.
fn ends<'a, 'b>(words: &'a [&'b str], tables: &BTreeMap<String, Vec<IpNet>>) -> (Vec<End>, &'a [&'b str]) {
    if let ["{", rest @ ..] = words {
        let close = rest.iter().position(|word| *word == "}").unwrap();
        let members = rest[..close]
            .split(|word| *word == ",")
            .map(|member| match end(member, tables) {
                (end, []) => end,
                (_, more) => panic!("{more:?}"),
            });
        return (members.collect(), &rest[close + 1..]);
    }
    let (one, rest) = end(words, tables);
    (vec![one], rest)
}

fn end<'a, 'b>(words: &'a [&'b str], tables: &BTreeMap<String, Vec<IpNet>>) -> (End, &'a [&'b str]) {
    match words {
        ["!", rest @ ..] => {
            let (end, rest) = end(rest, tables);
            (End::Not(Box::new(end)), rest)
        }
        ["any", rest @ ..] => (End::Any, rest),
        ["(self)", rest @ ..] => (End::Own, rest),
        [name, rest @ ..] if name.starts_with('<') => {
            let name = name.trim_start_matches('<').strip_suffix('>').unwrap();
            (End::Table(tables[name].clone()), rest)
        }
        [address, rest @ ..] => {
            let network = address
                .parse::<IpNet>()
                .or_else(|_| address.parse::<IpAddr>().map(IpNet::from));
            (End::Network(network.unwrap()), rest)
        }
        [] => panic!("an end without a word"),
    }
}

/// Who passes: by the main rules, with those of the anchor in its place.
fn passes(main: &[Line], anchor: &[Line], to: To) -> Ranges {
    let family = to.family();
    let (mut open, mut passing) = (everybody(family), everybody(family));
    walk(main, anchor, to, &mut open, &mut passing);
    passing
}

/// `open` is of whom no rule with `quick` has decided.
fn walk(lines: &[Line], anchor: &[Line], to: To, open: &mut Ranges, passing: &mut Ranges) {
    for line in lines {
        match line {
            Line::Anchor => walk(anchor, &[], to, open, passing),
            Line::Rule(rule) if rule.matches(to) => {
                let matched = open.intersect(&rule.from.addresses(to.family()));
                *passing = if rule.passes {
                    passing.union(&matched)
                } else {
                    passing.minus(&matched)
                };
                if rule.is_quick {
                    *open = open.minus(&matched);
                }
            }
            Line::Rule(_) => {}
        }
    }
}

/// The file that the step writes, and that it is what is loaded.
fn written(document: &Document) -> String {
    let apply = document.text(Step::Apply);
    let (_, rest) = apply
        .split_once("cat >/etc/pf.portcullis-3f2a91.conf <<'END'\n")
        .unwrap();
    let (file, rest) = rest.split_once("END\n").unwrap();
    assert!(rest.contains("pfctl -a portcullis/3f2a91 -f /etc/pf.portcullis-3f2a91.conf"));
    assert_eq!(apply.matches("pfctl -a portcullis/3f2a91 -f").count(), 1);
    file.to_owned()
}

/// A rule of the site, as its text.
fn site_rule(may_be_quick: bool) -> impl Strategy<Value = String> {
    let from = prop_oneof![
        2 => Just("any".to_owned()),
        3 => network().prop_map(|network| network.to_string()),
        1 => network().prop_map(|network| format!("! {network}")),
    ];
    let to = prop_oneof![Just("any"), Just("(self)")];
    let proto = prop_oneof![
        2 => Just(String::new()),
        2 => any::<bool>().prop_map(|tcp| format!("proto {} ", if tcp { "tcp" } else { "udp" })),
    ];
    let ports = (any::<u16>(), any::<u16>()).prop_map(|(a, b)| format!(" port {}:{}", a.min(b), a.max(b)));
    (
        any::<bool>(),
        any::<bool>(),
        proto,
        from,
        to,
        proptest::option::of(ports),
    )
        .prop_map(move |(pass, quick, proto, from, to, ports)| {
            let action = if pass { "pass in" } else { "block in" };
            let quick = if quick && may_be_quick { "quick " } else { "" };
            let ports = ports.filter(|_| !proto.is_empty()).unwrap_or_default();
            format!("{action} {quick}{proto}from {from} to {to}{ports}\n")
        })
}

/// The anchor stands before every rule with `quick`, as its text asks for.
fn site() -> impl Strategy<Value = String> {
    (vec(site_rule(false), 0..3), vec(site_rule(true), 0..5))
        .prop_map(|(before, after)| format!("{}anchor \"portcullis/*\"\n{}", before.concat(), after.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(CASES))]
    #[test]
    fn the_anchor_lets_through_what_the_linux_rule_does(
        order in prop_oneof![orders(Just(Vec::new())), orders(assets())],
        site in site(),
    ) {
        let Ok(document) = write(Dialect::Pf, &order) else { return Ok(()) };
        let (anchor, site) = (read(&written(&document)), read(&site));
        let (closed, others) = asked(&order);
        for to in closed {
            // The rules open nothing: what the site keeps out stays out.
            let expected = passes(&site, &[], to).intersect(&through(&order, to));
            prop_assert_eq!(passes(&site, &anchor, to), expected, "{:?}\n{}", to, document);
        }
        for to in others {
            prop_assert_eq!(passes(&site, &anchor, to), passes(&site, &[], to), "{:?}\n{}", to, document);
        }
        // What is sent to many at once is closed as the host's own address is: `fib daddr type` of the Linux rule.
        if order.assets.is_empty() && order.port.transport == Transport::Udp {
            for (many, own) in [("255.255.255.255", OWN[0]), ("224.0.0.5", OWN[0]), ("ff02::1", OWN[1])] {
                let to = |address: &str| To { port: order.port, address: address.parse().unwrap() };
                let expected = passes(&site, &[], to(many)).intersect(&through(&order, to(own)));
                prop_assert_eq!(passes(&site, &anchor, to(many)), expected, "{}\n{}", many, document);
            }
        }
    }
}

#[test]
fn the_last_rule_decides_unless_one_with_quick_comes_before() {
    let to = |port| To {
        port,
        address: OWN[0].parse().unwrap(),
    };
    let ten = || set(&["10.0.0.0/8".parse().unwrap()], Family::V4);
    let of = |text: &str, port| passes(&read(text), &[], to(port));
    let last = "block in all\npass in inet proto tcp from 10.0.0.0/8 to (self) port 4840\n";
    assert_eq!(of(last, Port::tcp(4840)), ten());
    assert_eq!(of(last, Port::udp(4840)), Ranges::default());
    let quick = "block drop in quick proto tcp from ! 10.0.0.0/8 to any port 4000:5000\npass in all\n";
    assert_eq!(of(quick, Port::tcp(4840)), ten());
    // A list with `!` is one rule for each member, and each blocks the other: the trap that docs/dialects.md names.
    let list = "block in quick inet from { ! 10.0.0.0/8, ! 192.168.0.0/16 } to any\n";
    assert_eq!(of(list, Port::tcp(4840)), Ranges::default());
    let table = "table <t> { 10.0.0.0/8, 2001:db8::/32 }\nblock in quick inet from ! <t> to any\n";
    assert_eq!(of(table, Port::tcp(4840)), ten());
    // Of the other family nothing is said.
    let v6 = To {
        port: Port::tcp(4840),
        address: OWN[1].parse().unwrap(),
    };
    assert_eq!(passes(&read(table), &[], v6), everybody(Family::V6));
    // What stands in an anchor with `quick` ends it all.
    let main = read("anchor \"portcullis/*\"\npass in quick all\n");
    let anchor = read("block in quick inet from ! 10.0.0.0/8 to any\n");
    assert_eq!(passes(&main, &anchor, to(Port::tcp(4840))), ten());
}

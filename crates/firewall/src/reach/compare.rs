//! What two answers to one question have different: who gets through by the one and not by the other.

use std::{collections::BTreeSet, net::IpAddr};

use ipnet::IpNet;

use super::{
    answer::{Answer, Because, Part, Passage, SourcePorts, View},
    ranges::Ranges,
};
use crate::family::Family;

/// Sources whose fate changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// The fewest networks that are these sources.
    pub sources: Vec<IpNet>,
    /// When it is of some source ports only.
    pub source_ports: Option<SourcePorts>,
    /// Their fate by the first answer.
    pub before: Passage,
    /// Their fate by the second one.
    pub after: Passage,
    /// Where the first one leads them, as in [`Part::led_to`], with the address of this host where only that changes.
    pub led_before: Option<String>,
    /// Where the second one does.
    pub led_after: Option<String>,
    /// What decides by the second one.
    pub because: Vec<Because>,
}

/// What changes for those who arrive by these interfaces at these destinations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Whether it is of IPv4; otherwise of IPv6.
    pub is_ipv4: bool,
    /// Names of interfaces, as in [`View::interfaces`].
    pub interfaces: Vec<String>,
    /// The destinations; none is any address of the host.
    pub destinations: Vec<IpAddr>,
    /// No source is in two of them.
    pub changed: Vec<Changed>,
}

/// Holds two answers to the same question against each other, by rules that are not the same. What is not in the result is as it
/// was, though another rule may decide it; what neither answer concludes is in it.
pub fn compare(before: &Answer, after: &Answer) -> Vec<Difference> {
    let mut differences: Vec<Difference> = Vec::new();
    for is_ipv4 in [true, false] {
        let places = Places::of(&[before, after], is_ipv4);
        for interface in &places.interfaces {
            for found in on_interface(before, after, is_ipv4, interface, &places.destinations) {
                let same = |known: &&mut Difference| {
                    (known.is_ipv4, &known.destinations, &known.changed)
                        == (is_ipv4, &found.destinations, &found.changed)
                };
                match differences.iter_mut().find(same) {
                    Some(known) => known.interfaces.extend(found.interfaces),
                    None => differences.push(found),
                }
            }
        }
    }
    differences
}

/// What changes on one interface, destinations with the same changes together.
fn on_interface(
    before: &Answer,
    after: &Answer,
    is_ipv4: bool,
    interface: &str,
    destinations: &[Option<IpAddr>],
) -> Vec<Difference> {
    let mut differences: Vec<Difference> = Vec::new();
    for destination in destinations {
        let of = |answer: &'_ Answer| answer.view(is_ipv4, interface, *destination).cloned();
        let (Some(old), Some(new)) = (of(before), of(after)) else {
            continue;
        };
        let changed = changed(&old, &new, *destination);
        if changed.is_empty() {
            continue;
        }
        match differences.iter_mut().find(|known| known.changed == changed) {
            Some(known) => known.destinations.extend(*destination),
            None => differences.push(Difference {
                is_ipv4,
                interfaces: vec![interface.to_owned()],
                destinations: destination.iter().copied().collect(),
                changed,
            }),
        }
    }
    differences
}

/// All that any of the answers tells apart in one family, each once.
struct Places {
    interfaces: Vec<String>,
    destinations: Vec<Option<IpAddr>>,
}

impl Places {
    fn of(answers: &[&Answer], is_ipv4: bool) -> Self {
        let views = || {
            answers
                .iter()
                .flat_map(|answer| &answer.views)
                .filter(|view| view.is_ipv4 == is_ipv4)
        };
        let mut interfaces: Vec<String> = Vec::new();
        for interface in views().flat_map(|view| &view.interfaces) {
            if !interfaces.contains(interface) {
                interfaces.push(interface.clone());
            }
        }
        let known: BTreeSet<IpAddr> = views()
            .flat_map(|view| view.destinations.iter().copied())
            .collect();
        let destinations = match known.is_empty() {
            true => vec![None],
            false => known.into_iter().map(Some).collect(),
        };
        Self {
            interfaces,
            destinations,
        }
    }
}

impl Answer {
    /// The view of those who arrive by an interface. One that is not named is one of the others.
    pub fn view(&self, is_ipv4: bool, interface: &str, destination: Option<IpAddr>) -> Option<&View> {
        let of_place = |view: &&View| {
            view.is_ipv4 == is_ipv4
                && (view.destinations.is_empty()
                    || destination.is_none_or(|address| view.destinations.contains(&address)))
        };
        let named = |name: &str| {
            let mut views = self.views.iter().filter(of_place);
            views.find(|view| view.interfaces.iter().any(|known| known == name))
        };
        let plain = interface
            .strip_prefix(OTHER)
            .map_or(interface, |rest| rest.trim_matches([' ', '*']));
        let beginnings = (0..=plain.len()).rev().filter(|end| plain.is_char_boundary(*end));
        named(interface)
            .or_else(|| named(&format!("{OTHER} {plain}")))
            .or_else(|| {
                beginnings
                    .filter_map(|end| plain.get(..end))
                    .filter(|beginning| !beginning.is_empty())
                    .find_map(|beginning| named(&format!("{OTHER} {beginning}*")))
            })
            .or_else(|| named(OTHER))
            .or_else(|| named("any interface"))
    }
}

/// How [`View::interfaces`] names those that no rule names.
const OTHER: &str = "any other";

/// What becomes of a part, where it is led, and at which address of this host it ends.
type Fate<'a> = (Passage, Option<&'a str>, Option<IpAddr>);

/// A part that no rule leads to another address ends at the destination, as far as that is known.
fn fate(part: &Part, destination: Option<IpAddr>) -> Fate<'_> {
    let ends_somewhere = matches!(part.passage, Passage::Through | Passage::Led);
    let at = part.at.or(destination).filter(|_| ends_somewhere);
    (part.passage, part.led_to.as_deref(), at)
}

fn fates(view: &View, destination: Option<IpAddr>) -> BTreeSet<Fate<'_>> {
    view.parts.iter().map(|part| fate(part, destination)).collect()
}

fn changed(before: &View, after: &View, destination: Option<IpAddr>) -> Vec<Changed> {
    let family = if before.is_ipv4 { Family::V4 } else { Family::V6 };
    let mut all: Vec<(Fate<'_>, Fate<'_>, Ranges, Ranges)> = Vec::new();
    let (old_fates, new_fates) = (fates(before, destination), fates(after, destination));
    for ports in classes_of_ports(before, after) {
        for old in &old_fates {
            let were = with_fate(before, *old, destination, &ports, family);
            // Of two that are not concluded nobody knows whether they are the same.
            let differs = |new: &&Fate<'_>| *new != old || new.0 == Passage::Unknown;
            for new in new_fates.iter().filter(differs) {
                let sources = were.intersect(&with_fate(after, *new, destination, &ports, family));
                if sources.is_empty() {
                    continue;
                }
                let same = |known: &&mut (Fate<'_>, Fate<'_>, Ranges, Ranges)| {
                    (&known.0, &known.1, &known.2) == (old, new, &sources)
                };
                match all.iter_mut().find(same) {
                    Some((.., known)) => *known = known.union(&ports),
                    None => all.push((*old, *new, sources, ports.clone())),
                }
            }
        }
    }
    let changed = |(old, new, sources, ports): (Fate<'_>, Fate<'_>, Ranges, Ranges)| {
        // Where the same port is reached at another address, that is all that changes.
        let (led_before, led_after) = match (old.0, old.1) == (new.0, new.1) {
            true => (at_address(old), at_address(new)),
            false => (old.1.map(str::to_owned), new.1.map(str::to_owned)),
        };
        Changed {
            because: because(after, new, destination, &sources, family),
            sources: sources.networks(family),
            source_ports: SourcePorts::of(&ports),
            before: old.0,
            after: new.0,
            led_before,
            led_after,
        }
    };
    all.into_iter().map(changed).collect()
}

/// The place of a fate, with the address where that is one of this host.
fn at_address((_, place, at): Fate<'_>) -> Option<String> {
    match (place, at) {
        (None, Some(at)) => Some(at.to_string()),
        (Some(place), Some(at)) if place.starts_with(':') => Some(match at {
            IpAddr::V4(at) => format!("{at}{place}"),
            IpAddr::V6(at) => format!("[{at}]{place}"),
        }),
        (place, _) => place.map(str::to_owned),
    }
}

/// Source ports that neither answer tells apart.
fn classes_of_ports(before: &View, after: &View) -> Vec<Ranges> {
    let mut classes = vec![Ranges::all_ports()];
    for part in before.parts.iter().chain(&after.parts) {
        let Some(ports) = &part.source_ports else {
            continue;
        };
        let ports = ports.as_ranges();
        let finer = classes
            .iter()
            .flat_map(|class| [class.intersect(&ports), class.minus(&ports)]);
        classes = finer.filter(|class| !class.is_empty()).collect();
    }
    classes
}

fn with_fate(
    view: &View,
    wanted: Fate<'_>,
    destination: Option<IpAddr>,
    ports: &Ranges,
    family: Family,
) -> Ranges {
    let of_fate = view
        .parts
        .iter()
        .filter(|part| fate(part, destination) == wanted && has_ports(part, ports));
    let networks: Vec<IpNet> = of_fate.flat_map(|part| part.sources.iter().copied()).collect();
    Ranges::of(&networks, family)
}

fn has_ports(part: &Part, ports: &Ranges) -> bool {
    let own = part.source_ports.as_ref();
    own.is_none_or(|own| !own.as_ranges().intersect(ports).is_empty())
}

/// What decides it, each once.
fn because(
    view: &View,
    wanted: Fate<'_>,
    destination: Option<IpAddr>,
    sources: &Ranges,
    family: Family,
) -> Vec<Because> {
    let mut because: Vec<Because> = Vec::new();
    for part in view.parts.iter().filter(|part| fate(part, destination) == wanted) {
        if !Ranges::of(&part.sources, family).intersect(sources).is_empty() {
            because.extend(
                part.because
                    .iter()
                    .filter(|one| !because.contains(one))
                    .cloned()
                    .collect::<Vec<_>>(),
            );
        }
    }
    because
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reach::{Host, Question, Ruleset, reach};

    fn answer(rules: &str) -> Answer {
        let mut ruleset = Ruleset::default();
        let text = format!("*filter\n:INPUT ACCEPT [0:0]\n{rules}\nCOMMIT\n");
        ruleset.add(&text, None).unwrap();
        reach(
            &ruleset,
            &Question::new("tcp/4840".parse().unwrap(), Host::default()),
        )
    }

    fn told(before: &str, after: &str) -> Vec<String> {
        let mut told = Vec::new();
        for difference in compare(&answer(before), &answer(after)) {
            for changed in &difference.changed {
                let sources: Vec<String> = changed.sources.iter().map(ToString::to_string).collect();
                let ports = changed
                    .source_ports
                    .as_ref()
                    .map_or(String::new(), |ports| format!(" from {ports}"));
                told.push(format!(
                    "{}: {}{ports} {:?}->{:?} by {}",
                    difference.interfaces.join(","),
                    sources.join(" "),
                    changed.before,
                    changed.after,
                    changed
                        .because
                        .iter()
                        .map(ToString::to_string)
                        .collect::<Vec<_>>()
                        .join(";"),
                ));
            }
        }
        told
    }

    #[test]
    fn the_same_rules_differ_in_nothing() {
        let rules = "-A INPUT -s 10.0.0.0/8 -p tcp --dport 4840 -j DROP";
        assert_eq!(told(rules, rules), Vec::<String>::new());
        // Another rule decides the same.
        assert_eq!(
            told(rules, "-A INPUT -s 10.0.0.0/8 -j DROP"),
            Vec::<String>::new()
        );
    }

    #[test]
    fn who_is_shut_out_and_who_is_let_in_is_told() {
        let before = "-A INPUT -s 10.0.0.0/8 -p tcp --dport 4840 -j DROP";
        let after = "-A INPUT -s 10.0.0.0/9 -p tcp --dport 4840 -j DROP\n-A INPUT -s 192.168.0.0/16 -j DROP";
        assert_eq!(
            told(before, after),
            [
                "any other: 192.168.0.0/16 Through->Blocked by iptables filter / INPUT / line 4",
                "any other: 10.128.0.0/9 Blocked->Through by iptables filter / INPUT / policy",
            ]
        );
    }

    #[test]
    fn an_interface_that_one_of_them_names_is_one_of_the_others_for_the_other() {
        let before = "-A INPUT -i eth+ -j DROP";
        let after = "-A INPUT -i eth1 -j DROP";
        let mut told = told(before, after);
        told.sort();
        assert_eq!(
            told,
            ["any other eth*: 0.0.0.0/0 Blocked->Through by iptables filter / INPUT / policy"]
        );
    }

    #[test]
    fn another_place_to_which_a_part_is_led_is_a_change() {
        let led_to = |port: u16| {
            let mut ruleset = Ruleset::default();
            let text = format!(
                "*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -s 10.7.20.0/24 -p tcp --dport 4840 -j REDIRECT --to-ports {port}\nCOMMIT\n"
            );
            ruleset.add(&text, None).unwrap();
            reach(
                &ruleset,
                &Question::new("tcp/4840".parse().unwrap(), Host::default()),
            )
        };
        assert_eq!(compare(&led_to(81), &led_to(81)), []);
        let differences = compare(&led_to(81), &led_to(82));
        let [Difference { changed, .. }] = differences.as_slice() else {
            panic!("{differences:?}");
        };
        let [changed] = changed.as_slice() else {
            panic!("{changed:?}");
        };
        assert_eq!((changed.before, changed.after), (Passage::Led, Passage::Led));
        assert_eq!(changed.led_before.as_deref(), Some(":81"));
        assert_eq!(changed.led_after.as_deref(), Some(":82"));
        assert_eq!(changed.sources, ["10.7.20.0/24".parse().unwrap()]);
    }

    #[test]
    fn what_neither_answer_concludes_may_have_changed() {
        let told = told(
            "-A INPUT -m geoip --source-country NO -j DROP",
            "-A INPUT -m geoip --source-country SE -j DROP",
        );
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains("Unknown->Unknown"), "{told:?}");
    }

    #[test]
    fn what_is_not_concluded_is_a_fate_of_its_own_and_source_ports_are_told_apart() {
        let before = "-A INPUT -p tcp --sport 1024:65535 --dport 4840 -j DROP";
        let after = "-A INPUT -m geoip --source-country NO -p tcp --dport 4840 -j DROP";
        let told = told(before, after);
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(
            told.iter()
                .any(|line| line.contains("from 1024-65535 Blocked->Unknown")),
            "{told:?}"
        );
        assert!(
            told.iter()
                .any(|line| line.contains("from 0-1023 Through->Unknown")),
            "{told:?}"
        );
    }
}

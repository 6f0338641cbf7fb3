//! What a reviewer of the rules should look at.

use std::{borrow::Cow, cell::LazyCell, fmt};

use portcullis_model::{Port, Transport, sanitize};

use super::{
    answer::{Because, Passage, View},
    applied::Applied,
    link::Linked,
    nft::bits_of,
    packet::TCP,
    question::Question,
    ranges::Ranges,
    reason::one_cause,
    ruleset::{End, Field, Lookup, Match, NewAddress, NewPort, Rule, Set, Step, Table, Test, Value, Verdict},
};
use crate::family::Family;

/// Something about the rules for one port that is hardly meant so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remark {
    /// A rule that names the port applies to nobody.
    NeverApplies {
        /// The rule.
        rule: Because,
        /// Whether it would drop; otherwise it would accept.
        drops: bool,
        /// What decides about its sources instead.
        instead: Vec<Because>,
    },
    /// A rule leads packets for other ports, or perhaps does, to the one that was asked for.
    LedHere {
        /// The rule.
        rule: Because,
        /// Those ports, where the rule names a few.
        ports: Option<Vec<u16>>,
    },
    /// What is sent to several hosts at once was not asked for.
    NoGroups,
    /// In one family somebody is shut out, in the other one nobody.
    OneFamily {
        /// Whether IPv4 is the one that is open.
        open_is_ipv4: bool,
    },
    /// Everybody who comes by these interfaces gets through.
    Anyone {
        /// Whether it is of IPv4; otherwise of IPv6.
        is_ipv4: bool,
        /// Names as in [`View::interfaces`].
        interfaces: Vec<String>,
    },
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let family = |is_ipv4: bool| if is_ipv4 { "IPv4" } else { "IPv6" };
        match self {
            Self::NeverApplies { rule, drops, instead } => {
                let verdict = if *drops { "drop" } else { "accept" };
                write!(f, "the `{verdict}` of {rule} never applies to this port")?;
                let instead: Vec<String> = instead.iter().take(MOST_NAMED).map(ToString::to_string).collect();
                match instead.is_empty() {
                    true => Ok(()),
                    false => write!(f, ": {} decides", instead.join(", ")),
                }
            }
            Self::LedHere { rule, .. } => write!(
                f,
                "{rule} may lead packets for other ports to this one: ask for those ports as well"
            ),
            Self::NoGroups => f.write_str(
                "packets to broadcast and multicast addresses are not among these: reach --address asks for them, as in \
                 --address 255.255.255.255 224.0.0.251 ff02::fb",
            ),
            Self::OneFamily { open_is_ipv4 } => {
                let (open, other) = (family(*open_is_ipv4), family(!open_is_ipv4));
                write!(
                    f,
                    "{open} is not covered: rules shut out sources of {other}, and none of {open}"
                )
            }
            Self::Anyone { is_ipv4, interfaces } if interfaces == &["any other"] => {
                write!(f, "anyone gets through, by any interface ({})", family(*is_ipv4))
            }
            Self::Anyone { is_ipv4, interfaces } => {
                write!(
                    f,
                    "anyone on {} gets through ({})",
                    sanitize(&interfaces.join(", ")),
                    family(*is_ipv4)
                )
            }
        }
    }
}

/// So many of those that decide instead are named.
const MOST_NAMED: usize = 3;

/// So many rules that never apply are told.
const MOST_RULES: usize = 20;

/// So many ports of a rule are named.
const MOST_PORTS: usize = 20;

pub(super) fn remarks(
    linked: &Linked<'_>,
    question: &Question,
    views: &[View],
    applied: &Applied,
) -> Vec<Remark> {
    let mut remarks = led_here(linked, question);
    // What a rule does for those who are led here is not known; nor for others, where several hosts at once were asked for.
    if remarks.is_empty() && !question.asks_for_groups() {
        remarks = never(linked, question, views, applied);
    }
    remarks.extend(remarks_of_views(question, views));
    remarks
}

/// All rules by which somebody who asks for another port gets to this one: one that is not told could make a port look closed.
fn led_here(linked: &Linked<'_>, question: &Question) -> Vec<Remark> {
    let mut remarks = Vec::new();
    for table in &linked.tables {
        for chain in table.chains.values() {
            for (rule, id) in chain.chain.rules.iter().zip(chain.id.saturating_add(1)..) {
                if leads_to(rule, question, table.table)
                    && let Some(cause) = one_cause(linked, id, false)
                {
                    remarks.push(Remark::LedHere {
                        rule: cause,
                        ports: ports_of(rule, table.table),
                    });
                }
            }
        }
    }
    remarks
}

/// The ports that a rule is for, if they are few.
fn ports_of(rule: &Rule, table: &Table) -> Option<Vec<u16>> {
    let of_port = |matching: &&Match| {
        matches!(matching.key.fields(), [Field::Port(End::Destination, _)]) && !matching.negated
    };
    let ports = numbers(matches(rule).find(of_port)?, table)?;
    let mut few = Vec::new();
    for (first, last) in ports.as_slice() {
        for number in *first..=*last {
            few.push(u16::try_from(number).ok().filter(|_| few.len() < MOST_PORTS)?);
        }
    }
    Some(few)
}

fn leads_to(rule: &Rule, question: &Question, table: &Table) -> bool {
    let port = question.port;
    let asked = &question.destinations;
    let to_asked = |address: &NewAddress| match address {
        NewAddress::To(bits) => asked.is_empty() || asked.iter().any(|address| bits_of(*address) == *bits),
        NewAddress::Here => !question.forwarded,
        NewAddress::Keep | NewAddress::Mapped { .. } | NewAddress::Unknown => true,
    };
    let to_port = rule.steps.iter().any(|step| match step {
        Step::Translate(translation) if to_asked(&translation.address) => match translation.port {
            NewPort::To(number) => number == port.number,
            NewPort::Unknown => true,
            // A map may have ports as well.
            NewPort::Keep => matches!(
                translation.address,
                NewAddress::Mapped { .. } | NewAddress::Unknown
            ),
        },
        Step::Opaque(text) => may_change_port(text),
        _ => false,
    });
    // Who asks for this port and no other is led to where he was going.
    let only_here = |step: &Step| match step {
        Step::Match(matching) => {
            matches!(matching.key.fields(), [Field::Port(End::Destination, _)])
                && !matching.negated
                && numbers(matching, table)
                    .is_some_and(|ports| *ports == Ranges::one((port.number.into(), port.number.into())))
        }
        _ => false,
    };
    to_port && is_of_protocol(rule, number_of(port.transport), table) && !rule.steps.iter().any(only_here)
}

/// Whether what was not understood may give packets another port without the connection tracker, or hand them to a socket of another
/// port.
fn may_change_port(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    text.contains("tproxy") || text.starts_with("setting ") && text.contains("dport")
}

/// What the answer alone tells.
pub(super) fn remarks_of_views(question: &Question, views: &[View]) -> Vec<Remark> {
    let mut remarks: Vec<Remark> = one_family(question, views).into_iter().collect();
    if question.port.transport == Transport::Udp && !question.asks_for_groups() && !views.iter().all(is_open)
    {
        remarks.push(Remark::NoGroups);
    }
    let open = views.iter().filter(|view| is_open(view));
    remarks.extend(open.map(|view| Remark::Anyone {
        is_ipv4: view.is_ipv4,
        interfaces: view.interfaces.clone(),
    }));
    remarks.dedup();
    remarks
}

fn is_open(view: &View) -> bool {
    !view.parts.is_empty() && view.parts.iter().all(|part| part.passage == Passage::Through)
}

/// Where a host has no address of a family, nobody reaches it so.
fn one_family(question: &Question, views: &[View]) -> Option<Remark> {
    let of = |is_ipv4: bool| views.iter().filter(move |view| view.is_ipv4 == is_ipv4);
    let has_addresses = |is_ipv4: bool| {
        question.destinations.is_empty()
            || question
                .destinations
                .iter()
                .any(|address| address.is_ipv4() == is_ipv4)
    };
    let is_wide_open = |is_ipv4: bool| of(is_ipv4).next().is_some() && of(is_ipv4).all(is_open);
    let shuts_out = |is_ipv4: bool| {
        let mut parts = of(is_ipv4).flat_map(|view| &view.parts);
        parts.any(|part| part.passage == Passage::Blocked)
    };
    [true, false]
        .into_iter()
        .find(|open| has_addresses(*open) && is_wide_open(*open) && shuts_out(!open))
        .map(|open_is_ipv4| Remark::OneFamily { open_is_ipv4 })
}

fn never(linked: &Linked<'_>, question: &Question, views: &[View], applied: &Applied) -> Vec<Remark> {
    let port = question.port;
    // A datagram may go to several hosts at once, which was not asked for.
    let may_be_of_groups = |rule: &Rule| {
        port.transport == Transport::Udp
            && !question.asks_for_groups()
            && rule.steps.iter().any(looks_at_destination)
    };
    let mut remarks = Vec::new();
    // Mostly every rule applies to somebody, and nobody asks.
    let decided = LazyCell::new(|| views.iter().flat_map(Decided::of).collect::<Vec<_>>());
    for table in &linked.tables {
        for chain in table.chains.values() {
            let numbers = chain.id.saturating_add(1)..;
            for (rule, id) in chain.chain.rules.iter().zip(numbers) {
                if !applied.never(id) || may_be_of_groups(rule) {
                    continue;
                }
                let Some(drops) = named(rule, port, table.table) else {
                    continue;
                };
                let Some(own) = one_cause(linked, id, false) else {
                    continue;
                };
                remarks.push(Remark::NeverApplies {
                    rule: own,
                    drops,
                    instead: instead(rule, table.table, &decided),
                });
                if remarks.len() >= MOST_RULES {
                    return remarks;
                }
            }
        }
    }
    remarks
}

fn looks_at_destination(step: &Step) -> bool {
    let fields = match step {
        Step::Match(matching) => matching.key.fields(),
        Step::VerdictMap { key, .. } => key,
        _ => &[],
    };
    fields.iter().any(|field| {
        matches!(
            field,
            Field::Address(End::Destination, _) | Field::DestinationKind
        )
    })
}

/// A part of the sources, and what decides about it.
struct Decided<'a> {
    family: Family,
    sources: Ranges,
    because: &'a [Because],
}

impl<'a> Decided<'a> {
    fn of(view: &'a View) -> impl Iterator<Item = Self> {
        let family = if view.is_ipv4 { Family::V4 } else { Family::V6 };
        view.parts.iter().map(move |part| Self {
            family,
            sources: Ranges::of(&part.sources, family),
            because: &part.because,
        })
    }
}

/// What decides about the sources that a rule names.
fn instead(rule: &Rule, table: &Table, decided: &[Decided<'_>]) -> Vec<Because> {
    let mut instead: Vec<Because> = Vec::new();
    for family in Family::BOTH {
        let Some(sources) = sources(rule, table, family) else {
            continue;
        };
        let concerned = decided
            .iter()
            .filter(|part| part.family == family && part.sources.overlaps(&sources));
        for because in concerned.flat_map(|part| part.because) {
            if !instead.contains(because) {
                instead.push(because.clone());
            }
        }
    }
    instead
}

/// Whether a rule that names the port drops or accepts what it applies to; `None` for one that does not name it, or does
/// something else.
fn named(rule: &Rule, port: Port, table: &Table) -> Option<bool> {
    let drops = rule.steps.iter().find_map(|step| match step {
        Step::Verdict(Verdict::Drop) => Some(true),
        Step::Verdict(Verdict::Accept) => Some(false),
        _ => None,
    })?;
    let protocol = number_of(port.transport);
    let names = |matching: &Match| {
        let of_protocol = |known: &Option<u8>| known.is_none_or(|known| known == protocol);
        matches!(matching.key.fields(), [Field::Port(End::Destination, known)] if of_protocol(known))
            && !matching.negated
            && numbers(matching, table).is_some_and(|ports| ports.contains(port.number.into()))
    };
    (matches(rule).any(names) && is_of_protocol(rule, protocol, table)).then_some(drops)
}

fn matches(rule: &Rule) -> impl Iterator<Item = &Match> {
    rule.steps.iter().filter_map(|step| match step {
        Step::Match(matching) => Some(matching),
        _ => None,
    })
}

fn number_of(transport: Transport) -> u8 {
    match transport {
        Transport::Tcp => TCP,
        Transport::Udp => 17,
    }
}

/// Whether no match of a rule is for another protocol.
fn is_of_protocol(rule: &Rule, protocol: u8, table: &Table) -> bool {
    let other_protocol = |matching: &Match| match matching.key.fields() {
        [Field::Protocol | Field::ProtocolOf(_)] => {
            numbers(matching, table).is_some_and(|known| known.contains(protocol.into()) == matching.negated)
        }
        [Field::Port(_, Some(known))] => *known != protocol,
        _ => false,
    };
    !matches(rule).any(other_protocol)
}

/// The sources that a rule names; `None` where it is of the other family.
fn sources<'a>(rule: &Rule, table: &'a Table, family: Family) -> Option<Cow<'a, Ranges>> {
    if !table.scope.sees(family) {
        return None;
    }
    let highest = match family {
        Family::V4 => u128::from(u32::MAX),
        Family::V6 => u128::MAX,
    };
    let mut sources: Option<Cow<'a, Ranges>> = None;
    for step in &rule.steps {
        let Step::Match(matching) = step else { continue };
        let [Field::Address(End::Source, of)] = matching.key.fields() else {
            continue;
        };
        if *of != family {
            return None;
        }
        let named = numbers(matching, table).or_else(|| of_prefix(&matching.test, highest).map(Cow::Owned));
        if let Some(named) = named {
            let named = match matching.negated {
                true => Cow::Owned(named.complement(highest)),
                false => named,
            };
            sources = Some(match sources {
                Some(known) => Cow::Owned(known.intersect(&named)),
                None => named,
            });
        }
    }
    Some(sources.unwrap_or_else(|| Cow::Owned(Ranges::one((0, highest)))))
}

/// The addresses of a mask that leaves the first bits.
fn of_prefix(test: &Test, highest: u128) -> Option<Ranges> {
    let Test::Masked { mask, value } = test else {
        return None;
    };
    let free = !mask & highest;
    (free & free.wrapping_add(1) == 0).then(|| Ranges::one((value & !free, value | free)))
}

/// The numbers that a match compares with, where that is all that it does.
fn numbers<'a>(matching: &Match, table: &'a Table) -> Option<Cow<'a, Ranges>> {
    fn of_set(set: &Set) -> Option<&Ranges> {
        set.numbers.as_ref().filter(|_| !set.uncertain)
    }
    match &matching.test {
        Test::Value(Value::Numbers(first, last)) => Some(Cow::Owned(Ranges::one((*first, *last)))),
        Test::In(Lookup::Inline(set)) => of_set(set).cloned().map(Cow::Owned),
        Test::In(Lookup::Named(name)) => table
            .sets
            .get(&**name)
            .and_then(|set| of_set(set))
            .map(Cow::Borrowed),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reach::{Host, HostInterface, Ruleset, reach};

    fn told(rules: &str, host: Host) -> Vec<String> {
        let mut ruleset = Ruleset::default();
        ruleset.add(rules, None).unwrap();
        let answer = reach(&ruleset, &Question::new("tcp/4840".parse().unwrap(), host));
        answer.remarks.iter().map(ToString::to_string).collect()
    }

    fn filter(rules: &str) -> String {
        format!("*filter\n:INPUT DROP [0:0]\n{rules}\nCOMMIT\n")
    }

    fn ipv4_only() -> Host {
        Host {
            interfaces: vec![HostInterface {
                name: "eth0".into(),
                networks: vec!["10.7.10.10/24".parse().unwrap()],
            }],
            ..Host::default()
        }
    }

    #[test]
    fn an_accept_that_makes_a_drop_useless_is_told_with_both() {
        let rules = filter(
            "-A INPUT -s 10.0.0.0/8 -j ACCEPT\n-A INPUT -s 10.7.30.0/24 -p tcp --dport 4840 -j DROP\n\
             -A INPUT -p tcp --dport 4840 -j ACCEPT",
        );
        assert_eq!(
            told(&rules, ipv4_only()),
            [
                "the `drop` of iptables filter / INPUT / line 4 never applies to this port: iptables filter / INPUT / line \
                 3 decides",
                "anyone on eth0, any other gets through (IPv4)",
            ]
        );
    }

    #[test]
    fn rules_of_other_ports_and_protocols_and_those_that_apply_are_not_told() {
        let rules = filter(
            "-A INPUT -s 10.7.20.0/24 -p tcp --dport 4840 -j ACCEPT\n-A INPUT -p tcp --dport 4840 -j DROP\n\
             -A INPUT -p tcp --dport 22 -j DROP\n-A INPUT -p udp --dport 4840 -j DROP",
        );
        assert_eq!(told(&rules, ipv4_only()), Vec::<String>::new());
    }

    #[test]
    fn a_rule_in_a_chain_that_nobody_enters_never_applies() {
        let rules = "*filter\n:INPUT DROP [0:0]\n:left - [0:0]\n-A left -p tcp -m multiport --dports 80,4840 -j ACCEPT\nCOMMIT\n";
        assert_eq!(
            told(rules, ipv4_only()),
            [
                "the `accept` of iptables filter / left / line 4 never applies to this port: iptables filter / INPUT / policy \
              decides"
            ]
        );
    }

    #[test]
    fn a_family_that_is_not_covered_is_told_where_the_host_has_it() {
        let rules = filter("-A INPUT -s 10.7.20.0/24 -p tcp --dport 4840 -j ACCEPT");
        assert!(told(&rules, ipv4_only()).is_empty());
        let told = told(&rules, Host::default());
        assert_eq!(
            told,
            [
                "IPv6 is not covered: rules shut out sources of IPv4, and none of IPv6",
                "anyone gets through, by any interface (IPv6)",
            ]
        );
    }
}

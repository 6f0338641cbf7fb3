//! The matches of a rule (iptables-extensions(8)).

use super::{
    Program, target,
    words::{self, Word},
};
use crate::{
    family::Family,
    reach::{
        error::shown,
        negated::perhaps_as_one,
        nft::{number_of_word, other_protocol},
        ruleset::{Element, End, Field, Key, Lookup, Match, Set, Step, Test, Value, kind, state},
    },
};

/// What the words of a rule say, without its chain.
pub(super) fn steps(words: &[Word], by: Program) -> Vec<Step> {
    let family = by.family;
    let mut reader = Reader {
        family,
        steps: Vec::new(),
        protocol: None,
        module: Module::default(),
    };
    let mut rest = words;
    while let Some((word, after)) = rest.split_first() {
        let (negated, word, after) = match (&*word.text, after.split_first()) {
            ("!", Some((option, after))) => (true, option, after),
            _ => (false, word, after),
        };
        if matches!(&*word.text, "-j" | "--jump" | "-g" | "--goto") {
            reader.end_module();
            let is_goto = matches!(&*word.text, "-g" | "--goto");
            target::read(after, is_goto, family, &mut reader.steps);
            break;
        }
        let count = after.iter().take_while(|word| !is_option(word)).count();
        let (values, after) = after.split_at_checked(count).unwrap_or((&[], &[]));
        let values: Vec<&str> = values.iter().map(|word| &*word.text).collect();
        reader.option(negated, &word.text, &values);
        rest = after;
    }
    reader.end_module();
    // The older interface of the kernel has a place for each port.
    if by.variant != Some("legacy") {
        ports_as_one(&mut reader.steps);
    }
    // There may be a million rules.
    reader.steps.shrink_to_fit();
    reader.steps
}

/// Leaves open where neither port of a rule is to have one value: iptables-nft may have loaded that as one comparison.
fn ports_as_one(steps: &mut Vec<Step>) {
    let other_than_one = |step: &Step| match step {
        Step::Match(Match {
            key: Key::One(Field::Port(end, Some(protocol))),
            test: Test::Value(Value::Numbers(first, last)),
            negated: true,
            ..
        }) if first == last => Some((*end, *protocol)),
        _ => None,
    };
    let at = steps.windows(2).position(|pair| match pair {
        [source, destination] => match (other_than_one(source), other_than_one(destination)) {
            (Some((End::Source, one)), Some((End::Destination, other))) => one == other,
            _ => false,
        },
        _ => false,
    });
    if let Some(at) = at {
        let after = steps.split_off(at.saturating_add(2));
        let pair = steps.split_off(at);
        steps.extend(perhaps_as_one(pair));
        steps.extend(after);
    }
}

fn is_option(word: &Word<'_>) -> bool {
    !word.quoted
        && (word.text == "!" || word.text.starts_with('-') && word.text.len() > 1 && !is_number(&word.text))
}

fn is_number(text: &str) -> bool {
    text.trim_start_matches('-')
        .chars()
        .all(|character| character.is_ascii_digit())
}

/// Modules for headers that stand between that of IP and that of the transport protocol.
const EXTENSIONS: [&str; 6] = ["rt", "frag", "hbh", "dst", "mh", "ah"];

/// The module whose options follow.
#[derive(Default)]
struct Module<'a> {
    name: &'a str,
    /// Where its steps begin.
    begin: usize,
    /// Of `conntrack`: with a state, a packet without a connection need match nothing else.
    has_state: bool,
    /// Of `addrtype`: only of one interface.
    is_limited: bool,
}

struct Reader<'a> {
    family: Family,
    steps: Vec<Step>,
    protocol: Option<u8>,
    module: Module<'a>,
}

impl<'a> Reader<'a> {
    fn end_module(&mut self) {
        let module = std::mem::take(&mut self.module);
        let own = self.steps.get_mut(module.begin..).unwrap_or_default();
        if module.name == "conntrack" && module.has_state {
            for step in own {
                if let Step::Match(matching) = step {
                    matching.when_absent = true;
                }
            }
        } else if module.is_limited {
            self.steps.truncate(module.begin);
            self.steps
                .push(Step::Perhaps("`-m addrtype --limit-iface-in`".into()));
        }
    }

    fn option(&mut self, negated: bool, option: &str, values: &[&'a str]) {
        if matches!(option, "-m" | "--match") {
            self.end_module();
            self.module = Module {
                name: values.first().copied().unwrap_or_default(),
                begin: self.steps.len(),
                ..Module::default()
            };
            // Headers that no packet has (docs/reach.md): without one, none of these matches, whatever it asks for.
            if EXTENSIONS.contains(&self.module.name) {
                self.steps.push(Step::Match(Match {
                    key: Key::One(Field::Missing),
                    test: Test::Value(Value::Unknown),
                    negated: false,
                    when_absent: false,
                }));
                return;
            }
            let understood = [
                "tcp",
                "udp",
                "multiport",
                "conntrack",
                "state",
                "comment",
                "mark",
                "connmark",
                "addrtype",
                "iprange",
                "icmp",
                "icmp6",
            ];
            if !understood.contains(&self.module.name) {
                let name = format!("`-m {}`", shown(self.module.name));
                self.steps.push(Step::Perhaps(name));
            }
            return;
        }
        if EXTENSIONS.contains(&self.module.name) && option.starts_with("--") {
            return;
        }
        // A counter or a comment: it matches everything.
        if matches!((option, self.module.name), ("-c", _) | ("--comment", "comment")) {
            return;
        }
        match self.matching(negated, option, values) {
            Some(step) => self.steps.extend(step),
            None => {
                let words: Vec<&str> = [option].into_iter().chain(values.iter().copied()).collect();
                self.steps
                    .push(Step::Perhaps(format!("`{}`", shown(&words.join(" ")))));
            }
        }
    }

    /// What an option matches; `None` when it is not understood, and no step when it matches everything.
    fn matching(&mut self, negated: bool, option: &str, values: &[&str]) -> Option<Option<Step>> {
        let one = || match values {
            [value] => Some(*value),
            _ => None,
        };
        let family = self.family;
        let step = |field, test| {
            Some(Some(Step::Match(Match {
                key: Key::One(field),
                test,
                negated,
                when_absent: false,
            })))
        };
        let numbers = |(first, last): (u128, u128)| Test::Value(Value::Numbers(first, last));
        let module = self.module.name;
        match (module, option) {
            (_, "-s" | "--source") => step(Field::Address(End::Source, family), network(one()?, family)?),
            (_, "-d" | "--destination") => {
                step(Field::Address(End::Destination, family), network(one()?, family)?)
            }
            (_, "-i" | "--in-interface") => interface(Field::ArrivesBy, negated, one()?, step),
            (_, "-o" | "--out-interface") => interface(Field::LeavesBy, negated, one()?, step),
            (_, "-p" | "--protocol") => {
                let protocol = protocol(one()?)?;
                if protocol == 0 {
                    return Some(None);
                }
                if !negated {
                    self.protocol = Some(protocol);
                }
                step(Field::Protocol, numbers((protocol.into(), protocol.into())))
            }
            // Of a packet that is no fragment, or was put together before.
            (_, "-f" | "--fragment") if negated => Some(None),
            (_, "-f" | "--fragment") => step(Field::Port(End::Source, Some(u8::MAX)), numbers((0, 0))),
            ("tcp" | "udp" | "", "--sport" | "--source-port") => step(
                Field::Port(End::Source, self.protocol_of_module()),
                numbers(words::ports(one()?)?),
            ),
            ("tcp" | "udp" | "", "--dport" | "--destination-port") => step(
                Field::Port(End::Destination, self.protocol_of_module()),
                numbers(words::ports(one()?)?),
            ),
            ("tcp", "--tcp-flags") => {
                let [mask, set] = values else {
                    return None;
                };
                let (mask, value) = (tcp_flags(mask)?, tcp_flags(set)?);
                step(Field::TcpFlags, Test::Masked { mask, value })
            }
            ("tcp", "--syn") => step(
                Field::TcpFlags,
                Test::Masked {
                    mask: 0x17,
                    value: 0x02,
                },
            ),
            ("icmp" | "icmp6", _) => step(Field::Port(End::Source, Some(u8::MAX)), numbers((0, 0))),
            ("multiport", "--sports" | "--source-ports") => {
                step(Field::Port(End::Source, None), several_ports(one()?)?)
            }
            ("multiport", "--dports" | "--destination-ports") => {
                step(Field::Port(End::Destination, None), several_ports(one()?)?)
            }
            ("state", "--state") => step(
                Field::ConnectionState,
                Test::AnyBit(states(one()?, state::of_name)?),
            ),
            ("conntrack", "--ctstate") => {
                self.module.has_state = true;
                let of_name = |name: &str| match name {
                    "SNAT" => Some(state::SNAT),
                    "DNAT" => Some(state::DNAT),
                    name => state::of_name(name),
                };
                step(
                    Field::ConnectionStateAndNat,
                    Test::AnyBit(states(one()?, of_name)?),
                )
            }
            ("conntrack", "--ctproto") => {
                let of_connection = Match {
                    key: Key::One(Field::ConnectionDirection),
                    test: numbers((0, 1)),
                    negated: false,
                    when_absent: false,
                };
                self.steps.push(Step::Match(of_connection));
                let protocol = u128::from(protocol(one()?)?);
                step(Field::Protocol, numbers((protocol, protocol)))
            }
            ("conntrack", "--ctdir") => {
                let direction = u128::from(match one()? {
                    "ORIGINAL" => 0_u8,
                    "REPLY" => 1,
                    _ => return None,
                });
                step(Field::ConnectionDirection, numbers((direction, direction)))
            }
            ("conntrack", "--ctstatus") => {
                let status = |name: &str| match name {
                    "NONE" => None,
                    "SEEN_REPLY" => Some(2),
                    name => number_of_word(&Field::ConnectionStatus, &name.to_ascii_lowercase()),
                };
                step(Field::ConnectionStatus, Test::AnyBit(states(one()?, status)?))
            }
            ("conntrack", "--ctorigsrc") => step(
                Field::OriginalAddress(End::Source, family),
                network(one()?, family)?,
            ),
            ("conntrack", "--ctorigdst") => step(
                Field::OriginalAddress(End::Destination, family),
                network(one()?, family)?,
            ),
            ("conntrack", "--ctreplsrc") => {
                step(Field::ReplyAddress(End::Source, family), network(one()?, family)?)
            }
            ("conntrack", "--ctrepldst") => step(
                Field::ReplyAddress(End::Destination, family),
                network(one()?, family)?,
            ),
            ("conntrack", "--ctorigsrcport") => {
                step(Field::OriginalPort(End::Source), numbers(words::ports(one()?)?))
            }
            ("conntrack", "--ctorigdstport") => step(
                Field::OriginalPort(End::Destination),
                numbers(words::ports(one()?)?),
            ),
            ("conntrack", "--ctreplsrcport") => {
                step(Field::ReplyPort(End::Source), numbers(words::ports(one()?)?))
            }
            ("conntrack", "--ctrepldstport") => {
                step(Field::ReplyPort(End::Destination), numbers(words::ports(one()?)?))
            }
            ("mark", "--mark") => step(Field::Mark, mark(one()?)?),
            ("connmark", "--mark") => step(Field::ConnectionMark, mark(one()?)?),
            // For IPv6 the kernel asks otherwise: its own addresses are unicast as well, and a list is no choice.
            ("addrtype", "--src-type" | "--dst-type") if family == Family::V6 => None,
            ("addrtype", "--src-type") => step(Field::SourceKind, kinds(one()?)?),
            ("addrtype", "--dst-type") => step(Field::DestinationKind, kinds(one()?)?),
            ("addrtype", "--limit-iface-in" | "--limit-iface-out") => {
                self.module.is_limited = true;
                Some(None)
            }
            ("iprange", "--src-range") => step(
                Field::Address(End::Source, family),
                numbers(words::range(one()?, family)?),
            ),
            ("iprange", "--dst-range") => step(
                Field::Address(End::Destination, family),
                numbers(words::range(one()?, family)?),
            ),
            _ => None,
        }
    }

    fn protocol_of_module(&self) -> Option<u8> {
        match self.module.name {
            "tcp" => Some(6),
            "udp" => Some(17),
            _ => self.protocol,
        }
    }
}

fn interface(
    field: Field,
    negated: bool,
    name: &str,
    step: impl Fn(Field, Test) -> Option<Option<Step>>,
) -> Option<Option<Step>> {
    // No interface has a longer name (`IFNAMSIZ` in `linux/if.h`).
    if name.len() > 15 {
        return None;
    }
    match name.strip_suffix('+') {
        // "No interface" is written differently by each kind of iptables, or left out.
        Some("") if negated => None,
        Some("") => Some(None),
        Some(beginning) => step(field, Test::Value(Value::Name(beginning.into(), true))),
        None => step(field, Test::Value(Value::Name(name.into(), false))),
    }
}

fn network(text: &str, family: Family) -> Option<Test> {
    let (value, mask) = words::network(text, family)?;
    Some(Test::Masked { mask, value })
}

fn protocol(name: &str) -> Option<u8> {
    match name {
        "all" => Some(0),
        name => other_protocol(name).or_else(|| name.parse().ok()),
    }
}

fn tcp_flags(names: &str) -> Option<u128> {
    match names {
        "NONE" => Some(0),
        "ALL" => Some(0x3f),
        names => states(names, |name| {
            number_of_word(&Field::TcpFlags, &name.to_ascii_lowercase())
        }),
    }
}

/// Several bits by their names.
fn states(names: &str, of_name: impl Fn(&str) -> Option<u128>) -> Option<u128> {
    names
        .split(',')
        .try_fold(0, |all, name| Some(all | of_name(name)?))
}

fn several_ports(list: &str) -> Option<Test> {
    let elements: Option<Vec<Element>> = list
        .split(',')
        .map(|ports| {
            let (first, last) = words::ports(ports)?;
            Some(Element {
                key: vec![Value::Numbers(first, last)],
                verdict: None,
                data: Vec::new(),
            })
        })
        .collect();
    Some(Test::In(Lookup::Inline(Set::new(elements?).into())))
}

fn kinds(names: &str) -> Option<Test> {
    let elements: Option<Vec<Element>> = names
        .split(',')
        .map(|name| {
            let kind = kind::of_name(name)?;
            Some(Element {
                key: vec![Value::Numbers(kind, kind)],
                verdict: None,
                data: Vec::new(),
            })
        })
        .collect();
    Some(Test::In(Lookup::Inline(Set::new(elements?).into())))
}

fn mark(text: &str) -> Option<Test> {
    let (value, mask) = words::masked(text)?;
    Some(Test::Masked {
        mask: mask.into(),
        value: value.into(),
    })
}

//! Random chains, held against an evaluator of single packets that shares nothing with the symbolic one but the text.

use proptest::prelude::*;

use super::*;

/// One rule of a random filter: what it matches, and what it does.
#[derive(Debug, Clone)]
struct Plain {
    source: Option<(bool, u32, u32)>,
    ports: Option<(bool, u16, u16)>,
    unclear: bool,
    mark: Option<(bool, u32)>,
    does: Does,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Does {
    Accept,
    Drop,
    Return,
    Jump(usize),
    Goto(usize),
    SetMark(u32),
    Nothing,
}

const CHAINS: usize = 3;

fn rule(chain: usize) -> impl Strategy<Value = Plain> {
    let does = prop_oneof![
        2 => Just(Does::Accept),
        2 => Just(Does::Drop),
        1 => Just(Does::Return),
        1 => Just(Does::Nothing),
        1 => (0_u32..4).prop_map(Does::SetMark),
        // Only to chains further down, so that nothing goes round.
        1 => (chain + 1..=CHAINS).prop_map(|to| if to < CHAINS { Does::Jump(to) } else { Does::Return }),
        1 => (chain + 1..=CHAINS).prop_map(|to| if to < CHAINS { Does::Goto(to) } else { Does::Drop }),
    ];
    let range =
        (any::<bool>(), 0_u32..64, 0_u32..32).prop_map(|(not, first, more)| (not, first, first + more));
    let ports = (any::<bool>(), 0_u16..8, 0_u16..4).prop_map(|(not, first, more)| (not, first, first + more));
    (
        proptest::option::weighted(0.8, range),
        proptest::option::weighted(0.3, ports),
        proptest::bool::weighted(0.1),
        proptest::option::weighted(0.2, (any::<bool>(), 0_u32..4)),
        does,
    )
        .prop_map(|(source, ports, unclear, mark, does)| Plain {
            source,
            ports,
            unclear,
            mark,
            does,
        })
}

/// Two tables with chains of their own, one in mangle and one in filter.
fn tables() -> impl Strategy<Value = Vec<(Vec<Vec<Plain>>, bool)>> {
    let chain = |number| proptest::collection::vec(rule(number), 0..5);
    let table = ((chain(0), chain(1), chain(2)), proptest::bool::weighted(0.3));
    let table = table.prop_map(|((a, b, c), drops)| (vec![a, b, c], drops));
    proptest::collection::vec(table, 2..=2)
}

fn name(chain: usize) -> String {
    if chain == 0 {
        "INPUT".into()
    } else {
        format!("U{chain}")
    }
}

fn text(tables: &[(Vec<Vec<Plain>>, bool)]) -> String {
    let mut text = String::new();
    for ((chains, drops), table) in tables.iter().zip(["mangle", "filter"]) {
        let policy = if *drops { "DROP" } else { "ACCEPT" };
        text += &format!("*{table}\n:INPUT {policy} [0:0]\n:U1 - [0:0]\n:U2 - [0:0]\n");
        for (number, chain) in chains.iter().enumerate() {
            for rule in chain {
                text += &format!("-A {} -p tcp", name(number));
                let not = |not: bool| if not { " !" } else { "" };
                if let Some((negated, first, last)) = rule.source {
                    text += &format!(
                        " -m iprange{} --src-range 10.0.0.{first}-10.0.0.{last}",
                        not(negated)
                    );
                }
                if let Some((negated, first, last)) = rule.ports {
                    text += &format!(" -m tcp{} --sport {first}:{last}", not(negated));
                }
                if let Some((negated, mark)) = rule.mark {
                    text += &format!(" -m mark{} --mark {mark}", not(negated));
                }
                if rule.unclear {
                    text += " -m length --length 0:60";
                }
                text += &match rule.does {
                    Does::Accept => " -j ACCEPT".into(),
                    Does::Drop => " -j DROP".into(),
                    Does::Return => " -j RETURN".into(),
                    Does::Jump(to) => format!(" -j {}", name(to)),
                    Does::Goto(to) => format!(" -g {}", name(to)),
                    Does::SetMark(mark) => format!(" -j MARK --set-mark {mark}"),
                    Does::Nothing => String::new(),
                };
                text += "\n";
            }
        }
        text += "COMMIT\n";
    }
    text
}

/// How a chain ends for one packet.
enum Ends {
    Accept,
    Drop,
    Falls,
}

struct Packet {
    source: u32,
    port: u16,
    mark: u32,
    /// Whether each unclear match matches, one after the other.
    oracle: u32,
    asked: u32,
}

fn run(chains: &[Vec<Plain>], number: usize, packet: &mut Packet) -> Ends {
    for rule in &chains[number] {
        let within = |first: u32, last: u32, it: u32| first <= it && it <= last;
        let source = rule
            .source
            .is_none_or(|(not, first, last)| within(first, last, packet.source) != not);
        let port = rule
            .ports
            .is_none_or(|(not, first, last)| within(first.into(), last.into(), packet.port.into()) != not);
        let mark = rule.mark.is_none_or(|(not, mark)| (mark == packet.mark) != not);
        if !(source && port && mark) {
            continue;
        }
        if rule.unclear {
            packet.asked += 1;
            if packet.oracle >> (packet.asked - 1) & 1 == 0 {
                continue;
            }
        }
        match rule.does {
            Does::Accept => return Ends::Accept,
            Does::Drop => return Ends::Drop,
            Does::Return => return Ends::Falls,
            Does::SetMark(mark) => packet.mark = mark,
            Does::Nothing => {}
            Does::Jump(to) => match run(chains, to, packet) {
                Ends::Falls => {}
                end => return end,
            },
            Does::Goto(to) => return run(chains, to, packet),
        }
    }
    Ends::Falls
}

/// Both fates that are possible for a source: by every way in which the unclear can turn out.
fn fates(tables: &[(Vec<Vec<Plain>>, bool)], source: u32, port: u16) -> (bool, bool) {
    let (mut through, mut blocked) = (false, false);
    for oracle in 0..256 {
        let mut most = 0;
        // The packet itself, and the third one, which sees the same rules with a mark of its own.
        let passes = tables.iter().try_fold(0, |mark, (chains, drops)| {
            let mut packet = Packet {
                source,
                port,
                mark,
                oracle: oracle >> most,
                asked: 0,
            };
            let end = run(chains, 0, &mut packet);
            most += packet.asked;
            match end {
                Ends::Accept => Some(packet.mark),
                Ends::Falls if !drops => Some(packet.mark),
                Ends::Falls | Ends::Drop => None,
            }
        });
        match passes {
            Some(_) => through = true,
            None => blocked = true,
        }
    }
    (through, blocked)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn the_symbolic_answer_is_the_answer_for_each_packet(tables in tables()) {
        let text = text(&tables);
        let answer = ask(&[&text], "tcp/4840", Host::default());
        let view = view(&answer, true, "any other");
        for source in (0..100).step_by(3).chain([63, 64, 95, 96]) {
            for port in [0_u16, 3, 4, 7, 9, 12] {
                let address = std::net::IpAddr::from([10, 0, 0, u8::try_from(source).unwrap()]);
                let parts: Vec<_> = view.parts.iter().filter(|part| {
                    part.sources.iter().any(|network| network.contains(&address))
                        && part.source_ports.as_ref().is_none_or(|ports| {
                            ports.ranges().iter().any(|(first, last)| (*first..=*last).contains(&port))
                        })
                }).collect();
                prop_assert_eq!(parts.len(), 1, "{} from {} {}: {:#?}", text, source, port, parts);
                let expected = match fates(&tables, source, port) {
                    (true, false) => Passage::Through,
                    (false, true) => Passage::Blocked,
                    _ => Passage::Unknown,
                };
                let said = parts[0].passage;
                // One match that is asked twice could turn out twice; it is never said more than is known.
                let admitted = said == expected || said == Passage::Unknown;
                prop_assert!(admitted, "{}{}:{} is {:?} and not {:?}", text, address, port, said, expected);
                if !text.contains("--length") {
                    prop_assert_eq!(said, expected, "{}", text);
                }
            }
        }
    }
}

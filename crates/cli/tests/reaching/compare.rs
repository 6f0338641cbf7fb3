//! Holds what the model says of each packet against what has happened to it.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use ipnet::IpNet;
use portcullis_firewall::reach::{Answer, Host, Passage, Question, Ruleset, TextKind, View, reach};
use portcullis_model::{Port, Transport};

use crate::{
    chance::Chance,
    grammar::{self, Ports, Rules},
    packets::{Listening, Try},
    place::{Place, UPLINKS},
};

/// What has come of it.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) pairs: u64,
    pub(crate) disagreements: u64,
    pub(crate) not_concluded: u64,
    pub(crate) rulesets: u64,
    pub(crate) refused: u64,
    pub(crate) through: u64,
}

/// So many failures are made smaller and shown; then it ends.
const ENOUGH: u64 = 5;

pub(crate) fn run(place: &Place, seed: u64, pairs: u64) -> Tally {
    let mut tally = Tally::default();
    let host = place.host();
    let mut turn = 0_u16;
    while tally.pairs < pairs && tally.disagreements < ENOUGH {
        let of_ruleset = seed
            .wrapping_mul(1_000_003)
            .wrapping_add(tally.rulesets + tally.refused);
        let mut chance = Chance::new(of_ruleset);
        let ports = next_ports(&mut turn);
        let rules = match grammar::kept(tally.rulesets as usize, ports) {
            Some(kept) => kept,
            None => grammar::rules(&mut chance, ports),
        };
        let Some(model) = load(place, &rules) else {
            tally.refused += 1;
            assert!(tally.refused < 200 + tally.rulesets, "most rulesets are refused");
            continue;
        };
        tally.rulesets += 1;
        let listening = Listening::on(place, &[ports.asked, ports.other]);
        let asked = Asked::new(&model, &host, ports);
        let (tries, said) = asked.tries(&mut chance);
        let done = listening.send(&tries, Duration::from_millis(25));
        for ((one, said), done) in tries.iter().zip(said).zip(done) {
            let expected = match said {
                Passage::Unknown => {
                    tally.not_concluded += 1;
                    continue;
                }
                Passage::Through | Passage::Led => true,
                Passage::Blocked => false,
            };
            tally.pairs += 1;
            tally.through += u64::from(expected);
            if expected == done {
                continue;
            }
            // A machine that is busy may be slow; once more, with more patience and as a new connection.
            let again = again(*one, &mut chance);
            if listening.send(&[again], Duration::from_millis(400)) == [expected] {
                continue;
            }
            tally.disagreements += 1;
            drop(listening);
            println!("seed {of_ruleset}: {again:?}: the model says {said:?}");
            smaller(place, &host, rules, again, &mut turn, ports);
            break;
        }
    }
    unload(place);
    tally
}

/// Other ports each time, so that no connection of an earlier ruleset is known any more.
fn next_ports(turn: &mut u16) -> Ports {
    *turn = (*turn + 1) % 9_000;
    let asked = 10_000 + *turn * 2;
    Ports {
        asked,
        other: asked + 1,
    }
}

fn again(one: Try, chance: &mut Chance) -> Try {
    let mut again = one;
    // Of the same kind as before: rules look at some of these numbers.
    let port = match one.from.port() {
        40_000 => 40_000,
        1..=39_999 => 30_000 + chance.below(9_000) as u16,
        50_000..=59_999 => 50_000 + chance.below(10_000) as u16,
        _ => 61_000 + chance.below(2_000) as u16,
    };
    again.from.set_port(port);
    again
}

fn unload(place: &Place) {
    place.run("nft", &["flush", "ruleset"], "");
    for program in ["iptables-legacy-restore", "ip6tables-legacy-restore"] {
        let empty = "*raw\n:PREROUTING ACCEPT\n:OUTPUT ACCEPT\nCOMMIT\n*mangle\n:PREROUTING ACCEPT\n:INPUT ACCEPT\n\
            :FORWARD ACCEPT\n:OUTPUT ACCEPT\n:POSTROUTING ACCEPT\nCOMMIT\n*nat\n:PREROUTING ACCEPT\n:INPUT ACCEPT\n\
            :OUTPUT ACCEPT\n:POSTROUTING ACCEPT\nCOMMIT\n*filter\n:INPUT ACCEPT\n:FORWARD ACCEPT\n:OUTPUT ACCEPT\nCOMMIT\n";
        place.run(program, &[], empty);
    }
}

const PROGRAMS: [(bool, bool, &str); 4] = [
    (false, false, "iptables-nft"),
    (true, false, "ip6tables-nft"),
    (false, true, "iptables-legacy"),
    (true, true, "ip6tables-legacy"),
];

/// Loads rules, and reads what the tools say is loaded.
fn load(place: &Place, rules: &Rules) -> Option<Ruleset> {
    unload(place);
    let loaded = place.run("nft", &["-f", "-"], &rules.nft());
    if !loaded.status.success() {
        if std::env::var_os("PORTCULLIS_TEST_REACH_SHOW").is_some() {
            println!("refused: {}", String::from_utf8_lossy(&loaded.stderr));
        }
        return None;
    }
    for (v6, legacy, program) in PROGRAMS {
        if let Some(save) = rules.save(v6, legacy) {
            let loaded = place.run(&format!("{program}-restore"), &[], &save);
            if !loaded.status.success() {
                if std::env::var_os("PORTCULLIS_TEST_REACH_SHOW").is_some() {
                    println!("refused: {save}\n{}", String::from_utf8_lossy(&loaded.stderr));
                }
                return None;
            }
        }
    }
    let beside = place.run("nft", &["-f", "-"], &rules.nft_beside());
    if !beside.status.success() {
        if std::env::var_os("PORTCULLIS_TEST_REACH_SHOW").is_some() {
            println!("refused: {}", String::from_utf8_lossy(&beside.stderr));
        }
        return None;
    }
    let mut model = Ruleset::default();
    let text = |program: &str, arguments: &[&str]| {
        let output = place.run(program, arguments, "");
        assert!(
            output.status.success(),
            "{program}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    };
    model
        .add(&text("nft", &["-j", "list", "ruleset"]), Some(TextKind::NftJson))
        .unwrap();
    for (family, table) in model.tables_to_describe() {
        let printed = text("nft", &["-t", "list", "table", &family, &table]);
        model.add_description(&family, &table, &printed);
    }
    for (v6, legacy, program) in PROGRAMS {
        let (kind, own) = match v6 {
            true => (TextKind::Ip6tablesSave, "ip6"),
            false => (TextKind::IptablesSave, "ip"),
        };
        let save = format!("{program}-save");
        if legacy && rules.save(v6, legacy).is_some() {
            model.add(&text(&save, &[]), Some(kind)).unwrap();
        } else if !legacy {
            for (family, table) in model.tables_to_save() {
                if family == own {
                    // It fails for what it does not understand.
                    let saved = place.run(&save, &["-t", &table], "");
                    if saved.status.success() {
                        model
                            .add_shown(&String::from_utf8(saved.stdout).unwrap(), kind)
                            .unwrap();
                    }
                }
            }
        }
    }
    Some(model)
}

/// What the model says of one ruleset.
struct Asked {
    /// By transport, and whether it is of the host behind the box.
    answers: Vec<(Transport, bool, Answer)>,
    ports: Ports,
}

fn destination(v4: bool, uplink: usize, forwarded: bool) -> IpAddr {
    let text = match (v4, forwarded) {
        (true, false) => format!("203.0.11{uplink}.1"),
        (false, false) => format!("fd0{uplink}::1"),
        (true, true) => "203.0.119.2".into(),
        (false, true) => "fd09::2".into(),
    };
    text.parse().unwrap()
}

impl Asked {
    fn new(model: &Ruleset, host: &Host, ports: Ports) -> Self {
        let mut answers = Vec::new();
        for transport in [Transport::Tcp, Transport::Udp] {
            for forwarded in [false, true] {
                let port = Port {
                    transport,
                    number: ports.asked,
                };
                let mut question = Question::new(port, host.clone());
                question.destinations = [true, false]
                    .into_iter()
                    .flat_map(|v4| (0..2).map(move |uplink| destination(v4, uplink, forwarded)))
                    .collect();
                question.forwarded = forwarded;
                answers.push((transport, forwarded, reach(model, &question)));
            }
        }
        Self { answers, ports }
    }

    fn view(&self, transport: Transport, forwarded: bool, uplink: usize, to: IpAddr) -> &View {
        let (.., answer) = self
            .answers
            .iter()
            .find(|(t, f, _)| (*t, *f) == (transport, forwarded))
            .unwrap();
        let found = answer.views.iter().find(|view| {
            view.is_ipv4 == to.is_ipv4()
                && view.interfaces.iter().any(|name| name == UPLINKS[uplink])
                && view.destinations.contains(&to)
        });
        found.unwrap_or_else(|| panic!("no view of {to} by {uplink}: {answer:?}"))
    }

    fn says(&self, one: &Try) -> Passage {
        let uplink = uplink_of(one.from.ip());
        let forwarded = one.to.ip() == destination(one.to.is_ipv4(), 0, true);
        let view = self.view(one.transport, forwarded, uplink, one.to.ip());
        view.of(one.from.ip(), one.from.port())
            .map_or_else(|| panic!("{one:?} is in no part: {view:?}"), |part| part.passage)
    }

    /// One packet of each part, and some more.
    fn tries(&self, chance: &mut Chance) -> (Vec<Try>, Vec<Passage>) {
        let mut tries: Vec<Try> = Vec::new();
        for transport in [Transport::Tcp, Transport::Udp] {
            for (v4, uplink, forwarded) in [
                (true, 0, false),
                (true, 1, false),
                (false, 0, false),
                (false, 1, false),
                (true, 0, true),
                (false, 0, true),
            ] {
                let to = destination(v4, uplink, forwarded);
                let view = self.view(transport, forwarded, uplink, to);
                let mut sources: Vec<IpAddr> = (0..3).map(|_| some_source(chance, v4, uplink)).collect();
                let all = all_of(v4, uplink);
                for part in &view.parts {
                    let inside: Vec<&IpNet> = part
                        .sources
                        .iter()
                        .filter(|network| all.contains(*network) || network.contains(&all))
                        .collect();
                    if let Some(network) = inside.get(chance.below(inside.len().max(1) as u64) as usize) {
                        sources.extend(witness(chance, network, &all));
                    }
                }
                for source in sources.into_iter().take(9) {
                    // No two from one port: with a translated source, the kernel would have to change one of them.
                    let is_taken = |port: u16| {
                        let same = |known: &Try| (known.transport, known.from.is_ipv4()) == (transport, v4);
                        tries.iter().any(|known| same(known) && known.from.port() == port)
                    };
                    let port = loop {
                        let port = match chance.below(5) {
                            0 => 40_000,
                            1 => 30_000 + chance.below(9_000) as u16,
                            2 => 50_000 + chance.below(10_000) as u16,
                            _ => 61_000 + chance.below(2_000) as u16,
                        };
                        if !is_taken(port) {
                            break port;
                        }
                    };
                    let one = Try {
                        transport,
                        from: SocketAddr::new(source, port),
                        to: SocketAddr::new(to, self.ports.asked),
                    };
                    tries.push(one);
                }
            }
        }
        let said = tries.iter().map(|one| self.says(one)).collect();
        (tries, said)
    }
}

fn all_of(v4: bool, uplink: usize) -> IpNet {
    let text = match (v4, uplink) {
        (true, 0) => "10.0.0.0/9",
        (true, _) => "10.128.0.0/9",
        (false, 0) => "fd10::/16",
        (false, _) => "fd11::/16",
    };
    text.parse().unwrap()
}

fn uplink_of(source: IpAddr) -> usize {
    usize::from((0..2).any(|at| at == 1 && all_of(source.is_ipv4(), 1).contains(&source)))
}

fn some_source(chance: &mut Chance, v4: bool, uplink: usize) -> IpAddr {
    let (b, c, d) = (chance.below(4), chance.below(4), 1 + chance.below(9));
    let text = if v4 {
        format!("10.{}.{c}.{d}", b + uplink as u64 * 128)
    } else {
        format!("fd1{uplink}:{b}:{c}::{d}")
    };
    text.parse().unwrap()
}

/// An address of a network, as far as it is one of the far end.
fn witness(chance: &mut Chance, network: &IpNet, all: &IpNet) -> Option<IpAddr> {
    let network = if network.contains(all) { all } else { network };
    let address = match (network, chance.below(3)) {
        (_, 0) => network.network(),
        (_, 1) => network.broadcast(),
        (IpNet::V4(network), _) => {
            let span = u32::from(network.broadcast()) - u32::from(network.network());
            IpAddr::V4((u32::from(network.network()) + (chance.next() as u32) % span.max(1)).into())
        }
        (IpNet::V6(network), _) => {
            let span = u128::from(network.broadcast()) - u128::from(network.network());
            let number = (u128::from(chance.next()) << 64) | u128::from(chance.next());
            IpAddr::V6((u128::from(network.network()) + number % span.max(1)).into())
        }
    };
    // The first and the last address of all that is local there are no hosts.
    (address != all.network() && address != all.broadcast() && address.to_string() != "10.0.0.0")
        .then_some(address)
}

/// Leaves out what is not needed for the model and the kernel to differ, and shows the rest.
fn smaller(place: &Place, host: &Host, rules: Rules, one: Try, turn: &mut u16, ports: Ports) {
    let mut differ = |rules: &Rules| -> Option<(Passage, bool)> {
        let fresh = next_ports(turn);
        let rules = renumbered(rules, ports, fresh);
        let model = load(place, &rules)?;
        let listening = Listening::on(place, &[fresh.asked, fresh.other]);
        let mut one = one;
        one.to.set_port(fresh.asked);
        let said = Asked::new(&model, host, fresh).says(&one);
        let done = listening.send(&[one], Duration::from_millis(60))[0];
        let differs = match said {
            Passage::Through | Passage::Led => !done,
            Passage::Blocked => done,
            Passage::Unknown => false,
        };
        differs.then_some((said, done))
    };
    let mut rules = rules;
    if differ(&rules).is_none() {
        println!("it does not happen again:\n{}", shown(&rules));
        return;
    }
    let mut changed = true;
    while changed {
        changed = false;
        for at in (0..rules.tables.len()).rev() {
            let mut fewer = rules.clone();
            fewer.tables.remove(at);
            if differ(&fewer).is_some() {
                (rules, changed) = (fewer, true);
            }
        }
        for at in (0..rules.beside.len()).rev() {
            let mut fewer = rules.clone();
            fewer.beside.remove(at);
            if differ(&fewer).is_some() {
                (rules, changed) = (fewer, true);
            }
        }
        for at in (0..rules.saves.len()).rev() {
            let mut fewer = rules.clone();
            fewer.saves.remove(at);
            if differ(&fewer).is_some() {
                (rules, changed) = (fewer, true);
            }
        }
        for list in 0..rules.lists().len() {
            let count = rules.lists()[list].len();
            for at in (0..count).rev() {
                let mut fewer = rules.clone();
                fewer.lists()[list].remove(at);
                if differ(&fewer).is_some() {
                    (rules, changed) = (fewer, true);
                }
            }
        }
        for table in 0..rules.tables.len() {
            for at in (0..rules.tables[table].chains.len()).rev() {
                let mut fewer = rules.clone();
                fewer.tables[table].chains.remove(at);
                if differ(&fewer).is_some() {
                    (rules, changed) = (fewer, true);
                }
            }
        }
    }
    let last = differ(&rules);
    println!("smallest: {one:?}: {last:?}\n{}", shown(&rules));
}

fn shown(rules: &Rules) -> String {
    let saves = PROGRAMS.iter().filter_map(|(v6, legacy, program)| {
        Some(format!("{program}-restore:\n{}", rules.save(*v6, *legacy)?))
    });
    format!(
        "{}{}{}",
        rules.nft(),
        saves.collect::<String>(),
        rules.nft_beside()
    )
}

fn renumbered(rules: &Rules, from: Ports, to: Ports) -> Rules {
    let mut rules = rules.clone();
    let renumber = |text: &mut String| {
        *text = text
            .replace(&from.asked.to_string(), "ASKED")
            .replace(&from.other.to_string(), &to.other.to_string())
            .replace("ASKED", &to.asked.to_string());
    };
    rules.lists().into_iter().flatten().for_each(renumber);
    rules
        .tables
        .iter_mut()
        .chain(&mut rules.beside)
        .flat_map(|table| &mut table.sets)
        .for_each(renumber);
    rules
}

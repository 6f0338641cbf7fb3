//! From what was observed to hosts. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use jiff::Timestamp;
use portcullis_knowledge::Role;
use portcullis_model::{
    Grade, HostEvidence, Introduction, MacAddress, Neighbour, Observation, Port, PortState, Vantage,
};

use super::{AdvisedProduct, Asset, AssetMac, AssetService, Fact, Known};
use crate::{
    evidence::{Facts, Hosts},
    host::{AdvisedProgram, advisories_of},
};

/// All that tells of one host.
#[derive(Default)]
struct Told<'a> {
    /// Of open and closed ports, oldest first.
    observations: Vec<&'a Observation>,
    /// Each with the run's vantage, which names the table.
    neighbours: Vec<(&'a Neighbour, &'a Vantage)>,
    /// What it said of itself without being asked at a port, oldest first.
    introductions: Vec<&'a Introduction>,
    /// The newest texts of its own tools.
    host: Option<&'a HostEvidence>,
}

/// Puts everything together by host. A host of which only silence is known is left out: nobody knows that it is there.
pub fn derive(known: &Known<'_>) -> Vec<Asset> {
    let mut hosts: BTreeMap<IpAddr, Told<'_>> = BTreeMap::new();
    for observation in known.observations {
        if matches!(observation.state, PortState::Open | PortState::Closed) {
            hosts
                .entry(observation.address)
                .or_default()
                .observations
                .push(observation);
        }
    }
    let mut switches: BTreeMap<MacAddress, &Neighbour> = BTreeMap::new();
    for run in known.runs {
        for neighbour in &run.coverage.neighbours {
            match neighbour.address {
                Some(address) => hosts
                    .entry(address)
                    .or_default()
                    .neighbours
                    .push((neighbour, &run.vantage)),
                None => {
                    let newest = switches.entry(neighbour.mac).or_insert(neighbour);
                    if newest.at <= neighbour.at {
                        *newest = neighbour;
                    }
                }
            }
        }
        for introduction in &run.coverage.introductions {
            if let Some(address) = introduction.address {
                let told = hosts.entry(address).or_default();
                told.introductions.push(introduction);
            }
        }
        if let Some(host) = &run.coverage.host {
            let told = hosts.entry(host.address).or_default();
            if told.host.is_none_or(|before| before.at <= host.at) {
                told.host = Some(host);
            }
        }
    }
    let evidence = Hosts::of(Facts {
        observations: known.observations,
        runs: known.runs,
        knowledge: known.knowledge,
        programs: known.programs,
        site: known.site,
        signatures: known.signatures,
    });
    let assets = hosts.into_iter().filter_map(|(address, mut told)| {
        told.observations.sort_by_key(|observation| observation.at);
        told.introductions.sort_by_key(|introduction| introduction.at);
        asset(address, &told, &switches, known, &evidence)
    });
    assets.collect()
}

fn asset(
    address: IpAddr,
    told: &Told<'_>,
    switches: &BTreeMap<MacAddress, &Neighbour>,
    known: &Known<'_>,
    hosts: &Hosts<'_>,
) -> Option<Asset> {
    let (services, open) = services(address, told, hosts);
    let statements = statements(told);
    let facts = facts(&statements);
    let unidentified = open
        .into_iter()
        .filter(|port| services.iter().all(|service| service.port != *port));
    let programs: Vec<AdvisedProgram> = told
        .host
        .iter()
        .flat_map(|host| &host.programs)
        .map(|program| AdvisedProgram {
            program: program.clone(),
            advisories: advisories_of(program, known.programs, known.advisories),
        })
        .collect();
    let device = device(&statements);
    let of_device = device.iter().flat_map(|device| known.advisories.hold(device));
    let of_programs = programs.iter().flat_map(|program| program.advisories.clone());
    let mut advisories: Vec<_> = of_device.chain(of_programs).collect();
    advisories
        .sort_by(|one, other| (other.status, &one.id, &one.cves).cmp(&(one.status, &other.id, &other.cves)));
    Some(Asset {
        address,
        zone: known
            .site
            .and_then(|site| site.zone_of(address))
            .map(|zone| zone.name.clone()),
        roles: roles(&services, known),
        unidentified: unidentified.collect(),
        closed_since: closed_since(told),
        services,
        mac: mac(told, &statements, switches),
        device,
        contradictions: contradictions(&statements),
        facts,
        programs,
        answered: !told.observations.is_empty(),
        sources: sources(told, known),
        last_seen: last_seen(told)?,
        seen_from: told
            .observations
            .iter()
            .map(|one| one.vantage.to_string())
            .collect(),
        advisories,
    })
}

fn services(address: IpAddr, told: &Told<'_>, hosts: &Hosts<'_>) -> (Vec<AssetService>, BTreeSet<Port>) {
    let is_open = |one: &&&Observation| one.state == PortState::Open;
    let open: BTreeSet<Port> = told
        .observations
        .iter()
        .filter(is_open)
        .map(|one| one.port)
        .collect();
    let within = told.host.iter().flat_map(|host| &host.listeners);
    let within = within.map(|found| found.listener.port());
    let ports: BTreeSet<Port> = open.iter().copied().chain(within).collect();
    let services = ports.into_iter().filter_map(|port| {
        let best = hosts.best(address, port)?;
        Some(AssetService {
            port,
            service: best.service,
            grade: best.assessment.grade,
            assessment: best.assessment,
            from_within: !open.contains(&port),
        })
    });
    (services.collect(), open)
}

/// Ports that were open once and were closed when they answered last. Observations come oldest first.
fn closed_since(told: &Told<'_>) -> BTreeMap<Port, Timestamp> {
    let mut last: BTreeMap<Port, (PortState, Timestamp, bool)> = BTreeMap::new();
    for one in &told.observations {
        let was_open = last.get(&one.port).is_some_and(|(.., was_open)| *was_open);
        let was_open = was_open || one.state == PortState::Open;
        last.insert(one.port, (one.state, one.at, was_open));
    }
    let closed = last
        .into_iter()
        .filter(|(_, (state, _, was_open))| *was_open && *state == PortState::Closed);
    closed.map(|(port, (_, at, _))| (port, at)).collect()
}

fn roles(services: &[AssetService], known: &Known<'_>) -> BTreeSet<&'static str> {
    let services = services
        .iter()
        .filter_map(|one| known.knowledge.service(&one.service));
    services
        .map(|service| match service.role {
            Role::Management => "management",
            Role::Control => "control",
            Role::General => "general",
        })
        .collect()
}

/// What one service of a host says of it, as of the last time.
struct Statement {
    at: Timestamp,
    said_by: String,
    fields: BTreeMap<String, String>,
}

impl Statement {
    fn first(&self, names: &[&str]) -> Option<&String> {
        names.iter().find_map(|name| self.fields.get(*name))
    }
}

/// What the host says of itself, oldest first: each service once.
fn statements(told: &Told<'_>) -> Vec<Statement> {
    let introduced = told.introductions.iter().map(|introduction| {
        let what = &introduction.identification;
        (introduction.at, what.service.to_string(), what)
    });
    let open = told
        .observations
        .iter()
        .filter(|one| one.state == PortState::Open);
    // A guess by the port alone tells nothing of the device.
    let answered = open.filter_map(|observation| {
        let best = observation.best().filter(|best| best.grade >= Grade::Likely)?;
        let said_by = format!("{} {}", observation.port, best.service);
        Some((observation.at, said_by, best))
    });
    let mut newest: BTreeMap<String, Statement> = BTreeMap::new();
    for (at, said_by, what) in introduced.chain(answered) {
        let fields = what.fields.iter();
        let fields = fields.map(|(name, value)| (name.clone(), value.to_string()));
        let known = newest.entry(said_by.clone()).or_insert_with(|| Statement {
            at,
            said_by,
            fields: BTreeMap::new(),
        });
        known.at = known.at.max(at);
        known.fields.extend(fields);
    }
    let mut statements: Vec<Statement> = newest.into_values().collect();
    // What an answer at a port says goes before what was said unasked.
    statements.sort_by_key(|one| (one.said_by.contains('/'), one.at));
    statements
}

fn facts(statements: &[Statement]) -> BTreeMap<String, Fact> {
    let mut facts = BTreeMap::new();
    for statement in statements {
        for (name, value) in &statement.fields {
            let fact = Fact {
                value: value.clone(),
                said_by: statement.said_by.clone(),
            };
            facts.insert(name.clone(), fact);
        }
    }
    facts
}

const MODEL: [&str; 2] = ["model", "product"];
const VERSION: [&str; 3] = ["firmware", "revision", "version"];

/// The device, as the newest statement that names its model has it. Its version comes from the same statement, or from one
/// that names no other model: half of one device and half of another is no device.
fn device(statements: &[Statement]) -> Option<AdvisedProduct> {
    let naming = statements.iter().rev().find(|one| one.first(&MODEL).is_some())?;
    let model = naming.first(&MODEL)?;
    let same = |one: &&Statement| one.first(&MODEL).is_none_or(|other| is_same(other, model));
    let fitting = || std::iter::once(naming).chain(statements.iter().rev().filter(same));
    let said = |names: &[&str]| fitting().find_map(|one| one.first(names)).cloned();
    Some(AdvisedProduct {
        vendor: said(&["vendor"]),
        model: model.clone(),
        version: said(&VERSION),
        installed: false,
    })
}

/// Models are written with more and less space, and in any case.
fn is_same(one: &str, other: &str) -> bool {
    let plain = |text: &str| text.split_whitespace().collect::<String>().to_lowercase();
    plain(one) == plain(other)
}

/// Two services of one host that tell different things of it: one is out of date, or somebody answers for another.
fn contradictions(statements: &[Statement]) -> Vec<String> {
    let of = |name: &&str| {
        let saying = statements.iter().rev();
        let mut told: Vec<(&Statement, &String)> = Vec::new();
        for (statement, value) in saying.filter_map(|one| Some((one, one.fields.get(*name)?))) {
            if told.iter().all(|(_, other)| !is_same(other, value)) {
                told.push((statement, value));
            }
        }
        let words = told.iter().take(5).map(|(statement, value)| {
            let at = statement.at.strftime("%Y-%m-%d %H:%M");
            format!("{value} ({}, {at})", statement.said_by)
        });
        let words: Vec<String> = words.collect();
        (told.len() > 1).then(|| format!("{name}: {}", words.join(", but ")))
    };
    ["model", "firmware", "serial"].iter().filter_map(of).collect()
}

/// The newest hardware address wins; others are told. What a device says of itself counts as of when it was last seen.
fn mac(
    told: &Told<'_>,
    statements: &[Statement],
    switches: &BTreeMap<MacAddress, &Neighbour>,
) -> Option<AssetMac> {
    let mut said: Vec<(Timestamp, MacAddress, String)> = told
        .neighbours
        .iter()
        .map(|(neighbour, vantage)| (neighbour.at, neighbour.mac, vantage.to_string()))
        .collect();
    said.extend(told.introductions.iter().filter_map(|introduction| {
        let said_by = introduction.identification.service.to_string();
        Some((introduction.at, introduction.mac?, said_by))
    }));
    said.extend(statements.iter().filter_map(|statement| {
        let own = statement.fields.get("mac")?.parse().ok()?;
        Some((statement.at, own, statement.said_by.clone()))
    }));
    said.sort();
    said.dedup();
    let (at, address, said_by) = said.pop()?;
    let mut others: Vec<String> = Vec::new();
    for (at, other, by) in said.iter().rev().filter(|(_, other, _)| *other != address) {
        let other = format!("{other} ({by}, {})", at.strftime("%Y-%m-%d %H:%M"));
        if others.len() < 5 {
            others.push(other);
        }
    }
    let behind = switches.get(&address).map(|port| {
        let interface = port.interface.as_ref().map(ToString::to_string);
        let vlan = port.vlan.map(|vlan| format!("vlan {vlan}"));
        let place: Vec<String> = interface.into_iter().chain(vlan).collect();
        place.join(", ")
    });
    Some(AssetMac {
        address,
        registered_to_moxa: address.is_moxa(),
        said_by,
        at,
        others,
        behind,
    })
}

fn sources(told: &Told<'_>, known: &Known<'_>) -> BTreeSet<String> {
    let of_vantage = |vantage: &Vantage| vantage.imported().map(|(tool, _)| format!("import:{tool}"));
    let observed = told
        .observations
        .iter()
        .filter_map(|one| of_vantage(&one.vantage).or_else(|| known.commands.get(&one.run).cloned()));
    let tables = told
        .neighbours
        .iter()
        .filter_map(|(_, vantage)| of_vantage(vantage));
    let within = told.host.map(|_| "check".to_owned());
    let introduced = told.introductions.iter();
    let introduced = introduced.map(|introduction| introduction.identification.service.to_string());
    observed.chain(introduced).chain(tables).chain(within).collect()
}

fn last_seen(told: &Told<'_>) -> Option<Timestamp> {
    let observed = told.observations.iter().map(|one| one.at);
    let tables = told.neighbours.iter().map(|(neighbour, _)| neighbour.at);
    let introduced = told.introductions.iter().map(|introduction| introduction.at);
    observed
        .chain(tables)
        .chain(introduced)
        .chain(told.host.map(|host| host.at))
        .max()
}

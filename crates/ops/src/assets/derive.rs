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
    let facts = facts(told);
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
    let device = device(&facts);
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
        mac: mac(told, &facts, switches),
        device,
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

fn facts(told: &Told<'_>) -> BTreeMap<String, Fact> {
    let mut facts = BTreeMap::new();
    // What an answer at a port says goes before it.
    for introduction in &told.introductions {
        let identification = &introduction.identification;
        for (name, value) in &identification.fields {
            let fact = Fact {
                value: value.to_string(),
                said_by: identification.service.to_string(),
            };
            facts.insert(name.clone(), fact);
        }
    }
    for observation in told
        .observations
        .iter()
        .filter(|one| one.state == PortState::Open)
    {
        // A guess by the port alone tells nothing of the device.
        let Some(best) = observation.best().filter(|best| best.grade >= Grade::Likely) else {
            continue;
        };
        for (name, value) in &best.fields {
            let fact = Fact {
                value: value.to_string(),
                said_by: format!("{} {}", observation.port, best.service),
            };
            facts.insert(name.clone(), fact);
        }
    }
    facts
}

fn device(facts: &BTreeMap<String, Fact>) -> Option<AdvisedProduct> {
    let said = |names: &[&str]| {
        names
            .iter()
            .find_map(|name| facts.get(*name))
            .map(|fact| fact.value.clone())
    };
    Some(AdvisedProduct {
        vendor: said(&["vendor"]),
        model: said(&["model", "product"])?,
        version: said(&["firmware", "revision", "version"]),
        installed: false,
    })
}

/// The newest hardware address wins; others are told. What a device says of itself counts as of when it was last seen.
fn mac(
    told: &Told<'_>,
    facts: &BTreeMap<String, Fact>,
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
    if let (Some(fact), Some(last)) = (facts.get("mac"), told.observations.last()) {
        let own = fact.value.parse().ok();
        said.extend(own.map(|mac| (last.at, mac, fact.said_by.clone())));
    }
    said.sort();
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

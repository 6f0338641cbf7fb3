//! What is known of each host, as evidence for and against the services at its ports. Pure.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use jiff::Timestamp;
use portcullis_knowledge::{
    Hazard, Knowledge,
    combine::{Kind, Piece, Source, combine},
    program::{self, KnownProgram, Within},
    signature::{Signature, recognise, recognise_bytes},
};
use portcullis_model::{
    Assessment, EvidenceKind, Grade, HostEvidence, Identification, MacAddress, Observation, Port, PortState,
    Run, ServiceName, Site, Vantage,
};
use portcullis_scan::import::had_asked;

use crate::learn::look_of;

/// A service that may be at a port, with all that is known for and against it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Assessed {
    /// The service.
    pub(crate) service: ServiceName,
    /// How sure that is, and why.
    pub(crate) assessment: Assessment,
    /// What others than our own packets say for it, or what an earlier look proved and a later one excludes: it contradicts
    /// any other service at this port.
    claims: Vec<String>,
}

/// Everything that evidence is taken from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts<'a> {
    /// The latest of each port from each vantage.
    pub(crate) observations: &'a [Observation],
    /// Runs that name neighbours or tell of a host from within, oldest first.
    pub(crate) runs: &'a [Run],
    /// What is known of services.
    pub(crate) knowledge: &'a Knowledge,
    /// What is known of programs.
    pub(crate) programs: &'a [KnownProgram],
    /// The site, if one is declared.
    pub(crate) site: Option<&'a Site>,
    /// What was learned on the site.
    pub(crate) signatures: &'a [Signature],
}

/// All hosts, each with what is known of it.
#[derive(Debug)]
pub(crate) struct Hosts<'a> {
    facts: Facts<'a>,
    hosts: BTreeMap<IpAddr, Host<'a>>,
}

#[derive(Debug, Default)]
struct Host<'a> {
    /// What was seen of each open port, newest first: of some hosts every port is open.
    open: BTreeMap<Port, Vec<&'a Observation>>,
    /// Services of known makers that proved themselves to somebody's packets, by port.
    proven: BTreeMap<(Port, &'a ServiceName), Timestamp>,
    /// The hardware address that was seen last, and who says so.
    mac: Option<(Timestamp, MacAddress, String)>,
    /// The newest texts of its own tools.
    texts: Option<&'a HostEvidence>,
}

impl<'a> Hosts<'a> {
    pub(crate) fn of(facts: Facts<'a>) -> Self {
        let mut hosts: BTreeMap<IpAddr, Host<'a>> = BTreeMap::new();
        for observation in facts.observations {
            if observation.state == PortState::Open {
                let host = hosts.entry(observation.address).or_default();
                host.add(observation, facts.knowledge);
            }
        }
        for run in facts.runs {
            for neighbour in &run.coverage.neighbours {
                let Some(address) = neighbour.address else {
                    continue;
                };
                let host = hosts.entry(address).or_default();
                host.has_mac(neighbour.at, neighbour.mac, &run.vantage.to_string());
            }
            if let Some(texts) = &run.coverage.host {
                let host = hosts.entry(texts.address).or_default();
                if host.texts.is_none_or(|before| before.at <= texts.at) {
                    host.texts = Some(texts);
                }
            }
        }
        for host in hosts.values_mut() {
            for seen in host.open.values_mut() {
                seen.sort_by_key(|one| (Reverse(one.at), one.id));
            }
        }
        Self { facts, hosts }
    }

    /// The services that may be at a port, the surest first; of equals the one that the newest look put first.
    pub(crate) fn at(&self, address: IpAddr, port: Port) -> Vec<Assessed> {
        let Some(host) = self.hosts.get(&address) else {
            return Vec::new();
        };
        let mut candidates = host.candidates(port);
        let guessed = self.guessed(host, port);
        for service in &guessed {
            if !candidates.contains(&service) {
                candidates.push(service);
            }
        }
        for signature in self.facts.signatures {
            if !candidates.contains(&&signature.service) {
                candidates.push(&signature.service);
            }
        }
        let mut found: Vec<Assessed> = candidates
            .into_iter()
            .filter_map(|service| {
                let pieces = self.evidence(address, host, port, service);
                let assessment = combine(&pieces)?;
                Some(Assessed {
                    service: service.clone(),
                    claims: claims(service, &assessment, &pieces),
                    assessment,
                })
            })
            .collect();
        found.sort_by_key(|one| Reverse(one.assessment.grade));
        found
    }

    /// The service that is most probably at a port; `None` when every candidate is ruled out or there is none.
    pub(crate) fn best(&self, address: IpAddr, port: Port) -> Option<Assessed> {
        let mut found = self.at(address, port);
        if found.is_empty() || found.iter().all(is_ruled_out) {
            return None;
        }
        // The surest stands first, and none that is ruled out goes before one that is not.
        let mut best = found.remove(0);
        let others = found.into_iter().flat_map(|other| other.claims);
        best.assessment.lowered_by.extend(others);
        Some(best)
    }

    /// Why no service is named at a port where one or more were considered.
    pub(crate) fn ruled_out(&self, address: IpAddr, port: Port) -> Option<Assessment> {
        let found = self.at(address, port);
        if found.is_empty() || !found.iter().all(is_ruled_out) {
            return None;
        }
        let told = found.into_iter().flat_map(|one| {
            let service = one.service;
            let reasons = one.assessment.lowered_by.into_iter();
            reasons.map(move |reason| format!("not {service}: {reason}"))
        });
        Some(Assessment {
            grade: Grade::RuledOut,
            raised_by: Vec::new(),
            lowered_by: told.collect(),
            not_counted: Vec::new(),
            for_more: None,
        })
    }

    /// Whether a service is declared for a port: it is usual there, or the site says that it was moved there. The port is what
    /// a service is known by that never shows itself; any other one has to show itself to be taken for what it is.
    pub(crate) fn may_be_taken_for(&self, best: &Assessed, port: Port) -> bool {
        let known = self.facts.knowledge.service(&best.service);
        let is_silent = known.is_some_and(|known| known.hazard == Hazard::Silent);
        best.assessment.grade >= Grade::Likely || is_silent && self.is_usual(&best.service, port)
    }

    /// Services for which the number of an open port speaks that only other programs saw.
    fn guessed(&self, host: &Host<'_>, port: Port) -> Vec<ServiceName> {
        let mut seen = host.seen(port).peekable();
        if seen.peek().is_none() || seen.any(|one| one.vantage.imported().is_none()) {
            return Vec::new();
        }
        let moved: Vec<(ServiceName, Port)> = self.facts.site.map(Site::moved).unwrap_or_default();
        let found = self
            .facts
            .knowledge
            .identify(port, &moved, &portcullis_knowledge::Seen::default());
        let found = found.into_iter().filter(|what| what.grade == Grade::Possible);
        found.map(|what| what.service).collect()
    }

    fn evidence(&self, address: IpAddr, host: &Host<'_>, port: Port, service: &ServiceName) -> Vec<Piece> {
        let mut pieces: Vec<Piece> = host
            .seen(port)
            .flat_map(|one| one.identifications.iter().map(move |what| (one, what)))
            .filter(|(_, what)| what.service == *service)
            .map(|(observation, what)| looked(observation, what))
            .collect();
        // The number speaks for it beside what the bytes say.
        let marked = pieces
            .iter()
            .find(|piece| piece.kind == Kind::Marks)
            .map(|piece| piece.at);
        pieces.extend(marked.filter(|_| self.is_usual(service, port)).map(|at| Piece {
            kind: Kind::Place,
            source: Source::Port,
            at,
            because: format!("{port} is the port of {service}"),
        }));
        if pieces.is_empty() && self.guessed(host, port).contains(service) {
            let newest = host.seen(port).next();
            pieces.extend(newest.map(|seen| Piece {
                kind: Kind::Place,
                source: Source::Port,
                at: seen.at,
                because: format!(
                    "{port}, which {} saw open, is the port of {service}",
                    seen.vantage
                ),
            }));
        }
        pieces.extend(self.within(host, port, service));
        pieces.extend(self.of_maker(host, port, service));
        pieces.extend(self.learned((address, port), host, service));
        pieces
    }

    /// What the operator said of this very port, and else whether it behaves like one of which he said it.
    fn learned(&self, place: (IpAddr, Port), host: &Host<'_>, service: &ServiceName) -> Vec<Piece> {
        let of_it: Vec<&Signature> = self
            .facts
            .signatures
            .iter()
            .filter(|one| one.service == *service)
            .collect();
        let here = of_it.iter().find(|one| (one.address, one.port) == place);
        if let Some(word) = here {
            return vec![Piece {
                kind: if word.is_it { Kind::Operator } else { Kind::Denied },
                source: Source::Operator,
                at: word.at,
                because: match word.is_it {
                    true => format!("{} knows it as {service}", word.by),
                    false => format!("{} says that it is another service than {service}", word.by),
                },
            }];
        }
        let at_port = || host.seen(place.1);
        let own_looks = at_port().filter(|one| one.vantage.imported().is_none() && !one.vantage.is_capture());
        let seen = own_looks
            .filter_map(look_of)
            .map(|look| (look.at, recognise(&look, &of_it)));
        let heard = at_port().filter(|one| one.vantage.is_capture()).map(|one| {
            let said = one.evidence.iter().find(|piece| !piece.bytes.is_empty());
            (one.at, said.and_then(|said| recognise_bytes(&said.bytes, &of_it)))
        });
        seen.chain(heard)
            .filter_map(|(at, found)| {
                let (kind, because) = found?;
                Some(Piece {
                    kind,
                    source: Source::Signatures,
                    at,
                    because,
                })
            })
            .collect()
    }

    /// What the host's own tools say.
    fn within(&self, host: &Host<'_>, port: Port, service: &ServiceName) -> Vec<Piece> {
        let Some(texts) = host.texts else {
            return Vec::new();
        };
        let usual = self.is_usual(service, port);
        let mut pieces = Vec::new();
        for found in texts.listeners.iter().filter(|one| one.listener.port() == port) {
            let process = found.listener.process.as_ref();
            let within = Within {
                port,
                process: process.and_then(|process| process.name.as_ref()),
                system_services: &found.services,
                programs: &texts.programs,
            };
            let known = self.facts.knowledge.service(service);
            let evidence =
                known.and_then(|known| program::evidence(self.facts.programs, &within, known, usual));
            pieces.extend(evidence.map(|(kind, because)| Piece {
                kind,
                source: Source::Host,
                at: texts.at,
                because: format!("by its own tools, {because}"),
            }));
            let named = found.identifications.iter().any(|one| one.service == *service);
            pieces.extend((usual && named).then(|| Piece {
                kind: Kind::Place,
                source: Source::Port,
                at: texts.at,
                because: format!("by its own tools, something listens on {port}, where {service} is usual"),
            }));
        }
        pieces
    }

    /// Who made the host: its hardware address, and other services that are of one maker.
    fn of_maker(&self, host: &Host<'_>, port: Port, service: &ServiceName) -> Vec<Piece> {
        let maker_of = |name: &ServiceName| self.facts.knowledge.service(name)?.maker.as_deref();
        let Some(maker) = maker_of(service).filter(|_| host.open.contains_key(&port)) else {
            return Vec::new();
        };
        let mut pieces = Vec::new();
        if let Some((at, mac, by)) = host
            .mac
            .as_ref()
            .filter(|(_, mac, _)| mac.is_moxa() && maker == "Moxa")
        {
            pieces.push(Piece {
                kind: Kind::Hardware,
                source: Source::Maker,
                at: *at,
                because: format!("its hardware address {mac} is of a block registered to {maker} ({by})"),
            });
        }
        // However many there are, they count once.
        let proven = host
            .proven
            .iter()
            .find(|((other, name), _)| *other != port && maker_of(name) == Some(maker));
        pieces.extend(proven.map(|((other, name), at)| Piece {
            kind: Kind::SameMaker,
            source: Source::Maker,
            at: *at,
            because: format!("{name} of {maker}, too, is proven on {other} of this host"),
        }));
        pieces
    }

    fn is_usual(&self, service: &ServiceName, port: Port) -> bool {
        let own = self.facts.knowledge.service(service);
        let moved = self.facts.site.iter().flat_map(|site| &site.services);
        own.is_some_and(|known| known.ports.contains(&port))
            || moved
                .into_iter()
                .any(|entry| entry.name == *service && entry.also_on.contains(&port))
    }
}

impl<'a> Host<'a> {
    fn add(&mut self, observation: &'a Observation, knowledge: &Knowledge) {
        self.open.entry(observation.port).or_default().push(observation);
        for what in &observation.identifications {
            let known = knowledge.service(&what.service);
            let counts = what.grade == Grade::Proven && observation.vantage.imported().is_none();
            if counts && known.is_some_and(|known| known.maker.is_some()) {
                let at = self
                    .proven
                    .entry((observation.port, &what.service))
                    .or_insert(observation.at);
                *at = observation.at.max(*at);
            }
        }
        let in_evidence = observation
            .evidence
            .iter()
            .filter(|one| one.kind == EvidenceKind::HardwareAddress)
            .filter_map(|one| one.note.split(',').next()?.parse().ok());
        let in_reply = observation
            .identifications
            .iter()
            .filter(|what| what.grade >= Grade::Likely)
            .filter_map(|what| what.fields.get("mac")?.raw().parse().ok());
        for mac in in_evidence.chain(in_reply).collect::<Vec<MacAddress>>() {
            let by = format!("{}, {}", observation.port, observation.vantage);
            self.has_mac(observation.at, mac, &by);
        }
    }

    fn has_mac(&mut self, at: Timestamp, mac: MacAddress, by: &str) {
        let seen = (at, mac, by.to_owned());
        if self.mac.as_ref().is_none_or(|before| *before < seen) {
            self.mac = Some(seen);
        }
    }

    /// What was seen of a port, newest first.
    fn seen(&self, port: Port) -> impl Iterator<Item = &'a Observation> + '_ {
        self.open.get(&port).into_iter().flatten().copied()
    }

    /// The services that anything at all names for a port.
    fn candidates(&self, port: Port) -> Vec<&ServiceName> {
        let seen = self.seen(port).flat_map(|one| &one.identifications);
        let within = self.texts.iter().flat_map(|texts| &texts.listeners);
        let within = within.filter(|one| one.listener.port() == port);
        let within = within.flat_map(|one| &one.identifications);
        let mut told = BTreeSet::new();
        seen.chain(within)
            .map(|what| &what.service)
            .filter(|service| told.insert(*service))
            .collect()
    }
}

fn is_ruled_out(one: &Assessed) -> bool {
    one.assessment.grade == Grade::RuledOut
}

/// What speaks for a service so that no other one can be there as well, in words.
fn claims(service: &ServiceName, assessment: &Assessment, pieces: &[Piece]) -> Vec<String> {
    // Two services can show themselves at one port: a page is carried in HTTP.
    let by_us = |piece: &Piece| matches!(piece.source, Source::Look | Source::Capture);
    let shown = |piece: &Piece| by_us(piece) && matches!(piece.kind, Kind::Proof | Kind::Marks);
    if assessment.grade >= Grade::Likely && pieces.iter().any(shown) {
        return Vec::new();
    }
    let claiming = pieces.iter().filter(|piece| {
        matches!(
            piece.kind,
            Kind::Proof | Kind::Process | Kind::Program | Kind::Check | Kind::Operator | Kind::Named
        )
    });
    let mut told: Vec<String> = claiming
        .map(|piece| {
            let (because, at) = (&piece.because, piece.at.strftime("%Y-%m-%d %H:%M"));
            format!("for {service} speaks: {because} ({at}); one of the two is wrong or out of date")
        })
        .collect();
    told.sort();
    told.dedup();
    told
}

/// What one observation says of one service.
fn looked(observation: &Observation, what: &Identification) -> Piece {
    let vantage: &Vantage = &observation.vantage;
    let tool = vantage.imported().map(|(tool, _)| Source::Tool(tool.to_owned()));
    let own = || match vantage.is_capture() {
        true => Source::Capture,
        false => Source::Look,
    };
    let (kind, source) = match (what.grade, tool) {
        (Grade::Possible, Some(tool)) if had_asked(what) => (Kind::Named, tool),
        (Grade::Possible, _) => (Kind::Place, Source::Port),
        // What another program was told is not ours to prove or to exclude by.
        (Grade::Likely | Grade::Proven, Some(tool)) => (Kind::Check, tool),
        (Grade::RuledOut, Some(tool)) => (Kind::Unlike, tool),
        (Grade::Likely, None) => (Kind::Marks, own()),
        (Grade::Proven, None) => (Kind::Proof, own()),
        (Grade::RuledOut, None) => (Kind::Excluded, own()),
    };
    let because = match what.reasons.is_empty() {
        true => format!("{} by {vantage}", what.grade),
        false => what.reasons.join("; "),
    };
    Piece {
        kind,
        source,
        at: observation.at,
        because,
    }
}

#[cfg(test)]
mod tests;

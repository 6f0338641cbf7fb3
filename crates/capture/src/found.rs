//! What a capture has shown, as facts of a run.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    time::Duration,
};

use jiff::Timestamp;
use portcullis_knowledge::{Knowledge, Overheard};
use portcullis_model::{
    Evidence, EvidenceKind, Grade, Identification, Introduction, MacAddress, Neighbour, Observation,
    ObservationId, Port, PortState, RunId, ServiceName, Transport, Untrusted, Vantage,
};
use serde::Serialize;

use crate::{
    Limits, Watch,
    conversation::Shown,
    findings::{Exchange, Pair, Tally},
    moment,
    packet::Nothing,
};

/// What all facts of one capture share.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// The run that the capture became.
    pub run: RunId,
    /// The capture's name, as it may be shown.
    pub document: &'a str,
    /// Frames that were lost while it was made: with any, a silence claims nothing.
    pub dropped: u64,
}

/// What was counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Counted {
    /// Frames.
    pub frames: u64,
    /// Their bytes, as far as they were kept.
    pub bytes: u64,
    /// Time of the first frame.
    pub first_at: Option<Timestamp>,
    /// Time of the last one.
    pub last_at: Option<Timestamp>,
    /// Conversations: connections, and exchanges of datagrams.
    pub conversations: u64,
    /// Stations that speak for more addresses than a station has: routers, to which no address is attributed.
    pub routers: usize,
    /// Hosts that sent Auto IP Report of Moxa, with the time: likely Moxa devices.
    pub address_reports: Vec<AddressReport>,
    /// Frames of a link type that is not read.
    #[serde(skip)]
    pub unread_links: u64,
    /// What was read and claims nothing, with the reason and the number.
    pub passed_over: BTreeMap<String, u64>,
    /// What was not followed or kept because there was no room, with the reason and the number.
    pub left_out: BTreeMap<String, u64>,
}

/// A host that reports its own address as Moxa's devices do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AddressReport {
    /// The host.
    pub address: IpAddr,
    /// How sure it is that it is a Moxa device: the word alone, whose continuation is not read.
    pub grade: Grade,
    /// What it says of itself, where its items are as the manual describes them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, Untrusted>,
    /// When it reported last.
    pub at: Timestamp,
}

/// What a watch has found.
#[derive(Debug)]
pub struct Found {
    watch: Watch,
    limits: Limits,
    macs: HashMap<IpAddr, MacAddress>,
    routers: usize,
    /// Connections that were up before and were not told after all.
    unnamed: u64,
}

impl Found {
    pub(crate) fn new(watch: Watch, limits: Limits) -> Self {
        Self {
            macs: watch.stations.by_address(),
            routers: watch.stations.routers(),
            limits,
            watch,
            unnamed: 0,
        }
    }

    /// The hardware addresses that were seen, with the addresses of the same segment that they have.
    pub fn neighbours(&self) -> Vec<Neighbour> {
        self.watch.stations.neighbours()
    }

    /// What stations said of themselves: by PROFINET DCP, and by Auto IP Report of Moxa.
    pub fn introductions(&self) -> Vec<Introduction> {
        let profinet = self.watch.profinet.iter().filter_map(|(mac, (station, at))| {
            Some(Introduction {
                address: station.address.map(Into::into),
                mac: Some(*mac),
                identification: station.identification()?,
                at: moment::of(*at),
            })
        });
        let reports = self.watch.reports.iter().filter_map(|(address, (report, at))| {
            let reason = match report {
                Some(_) => "its datagrams are laid out as Moxa's Auto IP Report",
                None => "its datagrams begin as Moxa's Auto IP Report does",
            };
            let report = report.clone().unwrap_or_default();
            Some(Introduction {
                address: Some(*address),
                mac: report.mac,
                identification: Identification {
                    service: ServiceName::new("moxa-auto-ip-report")?,
                    grade: Grade::Likely,
                    reasons: vec![reason.into()],
                    fields: report.fields,
                },
                at: moment::of(*at),
            })
        });
        profinet.chain(reports).collect()
    }

    /// The hardware address of a host of the same segment.
    pub fn mac(&self, address: IpAddr) -> Option<MacAddress> {
        self.macs.get(&address).copied()
    }

    /// What was counted. To be asked when the [`Self::observations`] are made, which decides on connections that were up before.
    pub fn counted(&self) -> Counted {
        let counts = &self.watch.counts;
        let nothing = |nothing| counts.nothing.get(&nothing).copied().unwrap_or_default();
        let findings = &self.watch.findings;
        Counted {
            frames: counts.frames,
            bytes: counts.bytes,
            first_at: self.watch.first_at.map(moment::of),
            last_at: self.watch.first_at.map(|_| moment::of(self.watch.last_at)),
            conversations: counts.conversations,
            routers: self.routers,
            address_reports: self
                .watch
                .reports
                .iter()
                .map(|(address, (report, at))| AddressReport {
                    address: *address,
                    grade: Grade::Likely,
                    fields: report
                        .as_ref()
                        .map(|report| report.fields.clone())
                        .unwrap_or_default(),
                    at: moment::of(*at),
                })
                .collect(),
            unread_links: nothing(Nothing::Link),
            passed_over: counted([
                ("frame(s) of a link type that is not read", nothing(Nothing::Link)),
                ("frame(s) that are no IP", nothing(Nothing::NotIp)),
                (
                    "packet(s) that are neither TCP nor UDP",
                    nothing(Nothing::OtherTransport),
                ),
                (
                    "packet(s) of port 0, or from an address that no host can have",
                    nothing(Nothing::NoEnd),
                ),
                (
                    "later piece(s) of fragmented packets, which are not put together",
                    nothing(Nothing::Fragment),
                ),
                (
                    "frame(s) whose headers are cut off or do not fit together",
                    nothing(Nothing::Broken),
                ),
                (
                    "connection(s) whose beginning was not captured and whose server is not certain",
                    counts.mid_stream + self.unnamed,
                ),
                (
                    "UDP exchange(s) that may have begun before the capture, the wrong way round",
                    counts.turned_round,
                ),
            ]),
            left_out: counted([
                (
                    &format!(
                        "conversation(s) given up early: no more than {} are followed at a time",
                        self.limits.conversations
                    ),
                    counts.early,
                ),
                (
                    &format!(
                        "conversation(s) of further clients and ports: no more than {} pairs are kept",
                        self.limits.pairs
                    ),
                    findings.pairs_left_out,
                ),
                (
                    "conversation(s) whose first bytes were not kept for want of room",
                    counts.bytes_left_out + findings.bytes_left_out,
                ),
                (
                    &format!(
                        "packet(s) of further stations: no more than {} hardware addresses are kept",
                        self.limits.stations
                    ),
                    self.watch.stations.left_out,
                ),
                (
                    "question(s) to a group beyond those that are remembered",
                    counts.calls_left_out,
                ),
            ]),
        }
    }

    /// The observations, in the order of addresses and ports, each made when it is asked for.
    pub fn observations<'a>(
        &'a mut self,
        source: Source<'a>,
        knowledge: &'a Knowledge,
        moved: &'a [(ServiceName, Port)],
    ) -> Observations<'a> {
        let findings = &self.watch.findings;
        let mut pairs: Vec<(Pair, Tally)> = findings
            .pairs
            .iter()
            .map(|(pair, tally)| (*pair, *tally))
            .collect();
        // Where frames or conversations are missing, an answer can be among them.
        if source.dropped == 0 && self.watch.counts.early == 0 {
            pairs.extend(findings.silent());
        }
        pairs.sort_by_key(|(pair, _)| *pair);
        Observations {
            found: self,
            pairs: pairs.into_iter(),
            judged: None,
            source,
            knowledge,
            moved,
        }
    }

    /// What this very client was told by the port; `None` when nothing of that was kept.
    fn of_client(&self, pair: &Pair, knowledge: &Knowledge, moved: &[(ServiceName, Port)]) -> Option<Judged> {
        let exchanges = self.watch.findings.exchanges.get(&(pair.address, pair.port))?;
        let own: Vec<Exchange> = exchanges
            .iter()
            .filter(|exchange| exchange.client == pair.client && exchange.turns.has_answer())
            .cloned()
            .collect();
        if own.is_empty() || own.len() == exchanges.len() {
            return None;
        }
        Some(Judged::of(pair.port, &own, knowledge, moved))
    }

    fn observation(&self, pair: &Pair, tally: &Tally, judged: &Judged, source: Source<'_>) -> Observation {
        let vantage = Vantage::capture(Some(&pair.client.to_string()));
        let at = moment::of(tally.last_at);
        let is_open = pair.state == PortState::Open;
        let mut evidence = vec![Evidence {
            kind: EvidenceKind::Handshake,
            note: format!(
                "overheard in {}: {} bytes to the port and {} from it",
                source.document, tally.asked_bytes, tally.answered_bytes
            ),
            bytes: Vec::new(),
            behaviour: None,
        }];
        if is_open {
            evidence.extend(judged.evidence.clone());
        }
        evidence.extend(self.mac(pair.address).map(|mac| {
            let whose = if mac.is_moxa() { ", registered to Moxa" } else { "" };
            Evidence {
                kind: EvidenceKind::HardwareAddress,
                note: format!("{mac}{whose}"),
                bytes: Vec::new(),
                behaviour: None,
            }
        }));
        evidence.extend(self.watch.reports.get(&pair.address).map(|_| Evidence {
            kind: EvidenceKind::Reply,
            note: "likely a Moxa device: it sends datagrams that begin as Auto IP Report does".into(),
            bytes: Vec::new(),
            behaviour: None,
        }));
        Observation {
            id: ObservationId::of(&[
                source.run.to_string().as_bytes(),
                vantage.as_str().as_bytes(),
                pair.address.to_string().as_bytes(),
                pair.port.to_string().as_bytes(),
                at.to_string().as_bytes(),
                pair.state.to_string().as_bytes(),
            ]),
            run: source.run,
            at,
            vantage,
            source: Some(pair.client),
            address: pair.address,
            port: pair.port,
            state: pair.state,
            because: because(pair, tally),
            confidence: None,
            identifications: if is_open {
                judged.told_to(pair.client)
            } else {
                Vec::new()
            },
            evidence,
        }
    }
}

/// Observations that are made one by one, so that never more than one is held.
#[derive(Debug)]
pub struct Observations<'a> {
    found: &'a mut Found,
    pairs: std::vec::IntoIter<(Pair, Tally)>,
    /// Of the listener that the last one was of.
    judged: Option<((IpAddr, Port), Judged)>,
    source: Source<'a>,
    knowledge: &'a Knowledge,
    moved: &'a [(ServiceName, Port)],
}

impl Iterator for Observations<'_> {
    type Item = Observation;

    fn next(&mut self) -> Option<Observation> {
        loop {
            let (pair, tally) = self.pairs.next()?;
            let listener = (pair.address, pair.port);
            if self.judged.as_ref().is_none_or(|(known, _)| *known != listener) {
                let exchanges = self.found.watch.findings.exchanges.get(&listener);
                let exchanges = exchanges.map_or(&[][..], Vec::as_slice);
                let judged = Judged::of(pair.port, exchanges, self.knowledge, self.moved);
                self.judged = Some((listener, judged));
            }
            let own = self.found.of_client(&pair, self.knowledge, self.moved);
            let judged = match (&own, &self.judged) {
                (Some(own), _) => own,
                (None, Some((_, judged))) => judged,
                (None, None) => return None,
            };
            if tally.shown == Shown::MidStream && judged.grade < Some(Grade::Likely) {
                self.found.unnamed += tally.count;
                continue;
            }
            return Some(self.found.observation(&pair, &tally, judged, self.source));
        }
    }
}

fn counted<const N: usize>(reasons: [(&str, u64); N]) -> BTreeMap<String, u64> {
    reasons
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|(reason, count)| (reason.to_owned(), count))
        .collect()
}

fn because(pair: &Pair, tally: &Tally) -> String {
    let client = pair.client;
    let what = match tally.shown {
        Shown::Handshake => format!("SYN-ACK to {client}"),
        Shown::HalfHandshake => format!("SYN-ACK to {client}, whose SYN was not captured"),
        Shown::Refused => format!("reset in answer to a SYN of {client}"),
        Shown::Unanswered => {
            let seconds = tally.last_at.saturating_sub(tally.first_at) / 1_000_000_000;
            return format!(
                "{} SYNs of {client} within {seconds} s stayed without an answer, although the host answered it on \
                 another port",
                tally.questions
            );
        }
        Shown::Answered => format!("answered a datagram of {client}"),
        Shown::AnsweredGroup => format!("answered a question of {client} that went to a group or to all"),
        Shown::AnswerAlone => format!("sent {client} an answer whose question was not captured"),
        Shown::MidStream => format!(
            "talked with {client} over a connection that was up before the capture began; its ports and its bytes tell \
             which side is the server"
        ),
    };
    if tally.count == 1 {
        return what;
    }
    let first = moment::of(tally.first_at)
        .strftime("%Y-%m-%d %H:%M:%S")
        .to_string();
    let kind = match pair.port.transport {
        Transport::Tcp => "connections",
        Transport::Udp => "exchanges",
    };
    format!("{what}, the last of {} {kind} since {first}", tally.count)
}

/// What the kept bytes of a listener say.
#[derive(Debug)]
struct Judged {
    identifications: Vec<Identification>,
    grade: Option<Grade>,
    evidence: Option<Evidence>,
    /// Who was told that.
    client: Option<IpAddr>,
}

impl Judged {
    /// What it means for a client: what another one was told is named as such.
    fn told_to(&self, client: IpAddr) -> Vec<Identification> {
        let mut identifications = self.identifications.clone();
        if let Some(other) = self.client.filter(|other| *other != client) {
            for identification in &mut identifications {
                identification
                    .reasons
                    .push(format!("that is what {other} was told"));
            }
        }
        identifications
    }

    fn of(port: Port, exchanges: &[Exchange], knowledge: &Knowledge, moved: &[(ServiceName, Port)]) -> Self {
        let judged = exchanges.iter().map(|exchange| {
            let mut identifications = knowledge.identify(port, moved, &seen(exchange));
            if exchange.shown == Shown::HalfHandshake {
                identifications.iter_mut().for_each(without_question);
            }
            let grade = identifications.first().map(|first| first.grade);
            let fields = identifications.first().map_or(0, |first| first.fields.len());
            (grade, fields, identifications, exchange)
        });
        let best = judged
            .max_by_key(|(grade, fields, _, exchange)| (*grade, *fields, exchange.shown != Shown::MidStream));
        let Some((grade, _, identifications, exchange)) = best else {
            // Nothing was kept of any conversation: the port alone is judged.
            let seen = portcullis_knowledge::Seen {
                overheard: Some(Overheard::MidStream),
                ..portcullis_knowledge::Seen::default()
            };
            let identifications = knowledge.identify(port, moved, &seen);
            return Self {
                grade: identifications.first().map(|first| first.grade),
                identifications,
                evidence: None,
                client: None,
            };
        };
        Self {
            grade,
            evidence: evidence(port, exchange),
            client: Some(exchange.client),
            identifications,
        }
    }
}

/// Whoever wants to be taken for a server can send an answer to a question that nobody saw.
fn without_question(identification: &mut Identification) {
    if identification.grade == Grade::Proven {
        identification.grade = Grade::Likely;
        let reason = "the client's first packet was not captured: anybody can have sent that";
        identification.reasons.push(reason.into());
    }
}

fn seen(exchange: &Exchange) -> portcullis_knowledge::Seen {
    let mut seen = exchange.turns.seen(match exchange.shown {
        Shown::MidStream | Shown::HalfHandshake => Overheard::MidStream,
        Shown::AnswerAlone => Overheard::AnswerOnly,
        _ => Overheard::FromTheBeginning,
    });
    if !exchange.turns.has_answer() {
        seen.silent_for = Duration::from_nanos(exchange.lasted);
        seen.waited = seen.silent_for;
    }
    seen
}

/// The first words of the server. What the client said is never kept as evidence: passwords and communities are in it. So
/// they are in the answers of SNMP.
fn evidence(port: Port, exchange: &Exchange) -> Option<Evidence> {
    let (question, answer) = exchange.turns.first();
    if answer.is_empty() || (port.transport == Transport::Udp && matches!(port.number, 161 | 162)) {
        return None;
    }
    let at = moment::of(exchange.at);
    Some(match question {
        [] => Evidence {
            kind: EvidenceKind::ServerSpokeFirst,
            note: format!("first bytes to {} at {at}", exchange.client),
            behaviour: None,
            bytes: answer.to_vec(),
        },
        question => Evidence {
            kind: EvidenceKind::Reply,
            note: format!(
                "answer to {} bytes of {} at {at}",
                question.len(),
                exchange.client
            ),
            bytes: answer.to_vec(),
            behaviour: None,
        },
    })
}

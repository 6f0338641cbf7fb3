//! A record of another program as a fact of a run.

use std::net::IpAddr;

use jiff::Timestamp;
use portcullis_knowledge::Knowledge;
use portcullis_model::{
    Evidence, EvidenceKind, Neighbour, Observation, ObservationId, Port, RunId, ServiceName, Vantage,
};

use super::{NeighbourSeen, PortSeen, named};

/// What all records of one document share.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// The run that the document became.
    pub run: RunId,
    /// The document's name, as it may be shown.
    pub document: &'a str,
    /// The zone or address that the program looked from, if somebody said so.
    pub seen_from: Option<&'a str>,
    /// The time of records that have none.
    pub otherwise_at: Timestamp,
}

/// The observation that a record is. Its vantage names the program and, of an overheard connection, its client. Its id is
/// derived from the run and from what the record says, so that the same record is the same observation.
pub fn observation(
    seen: &PortSeen,
    source: Source<'_>,
    knowledge: &Knowledge,
    moved: &[(ServiceName, Port)],
) -> Observation {
    let client = seen.client.map(|client| client.to_string());
    let vantage = Vantage::import(&seen.tool.to_string(), client.as_deref().or(source.seen_from));
    let stood: Option<IpAddr> = source.seen_from.and_then(|place| place.parse().ok());
    let at = seen.at.unwrap_or(source.otherwise_at);
    let no_time = if seen.at.is_none() {
        "; it names no time"
    } else {
        ""
    };
    let mut evidence = vec![Evidence {
        kind: EvidenceKind::Import,
        note: format!("line {} of {}{no_time}", seen.line, source.document),
        bytes: Vec::new(),
        behaviour: None,
    }];
    evidence.extend(seen.mac.map(|mac| {
        let whose = if mac.is_moxa() { ", registered to Moxa" } else { "" };
        Evidence {
            kind: EvidenceKind::HardwareAddress,
            note: format!("{mac}{whose}"),
            bytes: Vec::new(),
            behaviour: None,
        }
    }));
    Observation {
        id: ObservationId::of(&[
            source.run.to_string().as_bytes(),
            vantage.as_str().as_bytes(),
            seen.address.to_string().as_bytes(),
            seen.port.to_string().as_bytes(),
            at.to_string().as_bytes(),
            seen.state.to_string().as_bytes(),
        ]),
        run: source.run,
        at,
        vantage,
        source: seen.client.or(stood),
        address: seen.address,
        port: seen.port,
        state: seen.state,
        because: seen.because.clone(),
        confidence: None,
        identifications: named::identifications(seen, knowledge, moved),
        evidence,
    }
}

/// The neighbour that a record is.
pub fn neighbour(seen: &NeighbourSeen, otherwise_at: Timestamp) -> Neighbour {
    Neighbour {
        address: seen.address,
        mac: seen.mac,
        interface: seen.interface.clone(),
        vlan: seen.vlan,
        at: seen.at.unwrap_or(otherwise_at),
    }
}

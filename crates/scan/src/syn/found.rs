//! What answered, in few bytes: a large scan has many of them.

use std::net::IpAddr;

use jiff::Timestamp;
use portcullis_model::{Evidence, EvidenceKind, Observation, Port, PortState};

use super::{SynRequest, answer::Answer, verdict};
use crate::places::Place;

/// An answer, when it came, and at which look.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) place: Place,
    pub(super) look: u32,
    what: What,
}

#[derive(Debug, Clone)]
enum What {
    Answer {
        at: Timestamp,
        answer: Answer,
    },
    /// Taken over from an earlier part of the run.
    Earlier(Box<Observation>),
}

impl Found {
    /// An answer that came now.
    pub(super) fn new(place: Place, answer: Answer, look: u32) -> Self {
        let at = Timestamp::now();
        Self {
            place,
            look,
            what: What::Answer { at, answer },
        }
    }

    pub(super) fn earlier(place: Place, observation: Observation) -> Self {
        Self {
            place,
            look: 0,
            what: What::Earlier(Box::new(observation)),
        }
    }

    /// Whether it was taken over from an earlier part of the run.
    pub(super) fn is_earlier(&self) -> bool {
        matches!(self.what, What::Earlier(_))
    }

    pub(super) fn state(&self) -> PortState {
        match &self.what {
            What::Answer { answer, .. } => verdict::of(answer).0,
            What::Earlier(observation) => observation.state,
        }
    }

    pub(super) fn observation(&self, request: &SynRequest, port: Option<Port>) -> Observation {
        let (at, answer) = match &self.what {
            What::Earlier(observation) => return Observation::clone(observation),
            What::Answer { at, answer } => (*at, answer),
        };
        let (state, because) = verdict::of(answer);
        let address: IpAddr = answer.target;
        let port = port.unwrap_or(Port::tcp(answer.port));
        Observation {
            id: Observation::id_of(request.run, &request.vantage, address, port),
            run: request.run,
            at,
            vantage: request.vantage.clone(),
            source: Some(answer.source),
            address,
            port,
            state,
            because: because.clone(),
            confidence: None,
            identifications: Vec::new(),
            evidence: vec![Evidence {
                kind: EvidenceKind::Handshake,
                note: because,
                bytes: Vec::new(),
                behaviour: None,
            }],
        }
    }
}

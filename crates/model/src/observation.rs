//! Facts: what one vantage saw of one port at one time. They are never edited; what is true now is a query.

use std::{fmt, net::IpAddr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    Confidence, Coverage, Evidence, Grade, Identification, NotTested, ObservationId, Port, RunId, Vantage,
};

/// What a port answered. `NotTested` is never merged with another state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PortState {
    /// TCP handshake completed, or a UDP reply arrived.
    Open,
    /// TCP reset, or ICMP port unreachable: the host answers, nothing listens.
    Closed,
    /// An ICMP "administratively prohibited" or the like: a device on the path said no.
    Filtered,
    /// Nothing came back in time: dropped, lost, or nobody there.
    NoAnswer,
    /// No packet was sent, or the attempt ended before it could tell.
    NotTested,
}

impl fmt::Display for PortState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "open",
            Self::Closed => "closed",
            Self::Filtered => "filtered",
            Self::NoAnswer => "no-answer",
            Self::NotTested => "not-tested",
        })
    }
}

/// One run: a scan, a check or a verification, from one vantage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Derived from command, vantage and start.
    pub id: RunId,
    /// The verb: `scan`, `check`, `verify`, `import`, `capture`.
    pub command: String,
    /// Where it looked from.
    pub vantage: Vantage,
    /// When it began.
    pub started: Timestamp,
    /// When it ended; `None` when it did not come to its end.
    pub ended: Option<Timestamp>,
    /// What it was told to look at and how, as typed and resolved.
    pub settings: serde_json::Value,
    /// What was asked for and not tested, with the reason.
    pub not_tested: Vec<NotTested>,
    /// What else it covered, and what it cost.
    #[serde(default)]
    pub coverage: Coverage,
}

/// What one vantage saw of one port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// Derived from run, vantage, address and port.
    pub id: ObservationId,
    /// The run it belongs to.
    pub run: RunId,
    /// When the answer came, or the wait ended.
    pub at: Timestamp,
    /// Where it was seen from.
    pub vantage: Vantage,
    /// Our own address in the exchange, when known: it tells the zone that was looked from.
    pub source: Option<IpAddr>,
    /// The address that was asked.
    pub address: IpAddr,
    /// The port that was asked.
    pub port: Port,
    /// What it answered.
    pub state: PortState,
    /// Why that is its state, in plain words, e.g. `connection accepted after 0.4 ms`.
    pub because: String,
    /// Of a silence: how sure it is that no answer was merely lost, when that could be measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<Confidence>,
    /// The services that were considered.
    pub identifications: Vec<Identification>,
    /// The bytes and circumstances behind it.
    pub evidence: Vec<Evidence>,
}

impl Observation {
    /// The service that it most probably is, the first of equals; `None` when every candidate is ruled out or there
    /// was none.
    pub fn best(&self) -> Option<&Identification> {
        let best = self
            .identifications
            .iter()
            .map(|candidate| candidate.grade)
            .max()?;
        self.identifications
            .iter()
            .find(|candidate| candidate.grade == best && best > Grade::RuledOut)
    }

    /// The id for a port seen from a vantage in a run.
    pub fn id_of(run: RunId, vantage: &Vantage, address: IpAddr, port: Port) -> ObservationId {
        ObservationId::of(&[
            run.to_string().as_bytes(),
            vantage.as_str().as_bytes(),
            address.to_string().as_bytes(),
            port.to_string().as_bytes(),
        ])
    }
}

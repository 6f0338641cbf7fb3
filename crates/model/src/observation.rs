//! Facts: what one vantage saw of one port at one time. They are never edited; what is true now is a query.

use std::{fmt, net::IpAddr, str::FromStr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Confidence, Coverage, Evidence, Grade, Identification, NotTested, ObservationId, Port, RunId};

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

/// Where we look from: a short name such as `this-host` or `lab:office`. What another program looked at is
/// `import:TOOL`, or `import:TOOL@PLACE` when it is known where it stood; whose packets were overheard is
/// `capture@CLIENT`. Nothing of our own is ever called so.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Vantage(String);

impl Vantage {
    /// The host that runs Portcullis, talking through its own network stack.
    pub fn this_host() -> Self {
        Self("this-host".into())
    }

    /// A host of the miniature plant.
    pub fn lab(host: &str) -> Self {
        Self(format!("lab:{host}"))
    }

    /// The host's name if this is a host of the miniature plant.
    pub fn lab_host(&self) -> Option<&str> {
        self.0.strip_prefix("lab:")
    }

    /// Another host that is reached over ssh, as `ssh://user@host`.
    pub fn ssh(target: &str) -> Self {
        Self(target.into())
    }

    /// How another host is reached over ssh, if this is one.
    pub fn ssh_target(&self) -> Option<&str> {
        self.0.starts_with(SSH).then_some(self.0.as_str())
    }

    /// Another program, by its short name, and the zone or address that it looked from.
    pub fn import(tool: &str, seen_from: Option<&str>) -> Self {
        Self(match seen_from {
            Some(place) => format!("import:{tool}@{place}"),
            None => format!("import:{tool}"),
        })
    }

    /// The program that looked, and from where if that is known, when it was not Portcullis.
    pub fn imported(&self) -> Option<(&str, Option<&str>)> {
        let name = self.0.strip_prefix("import:")?;
        Some(match name.split_once('@') {
            Some((tool, place)) => (tool, Some(place)),
            None => (name, None),
        })
    }

    /// A capture of packets, and the client whose conversation was overheard.
    pub fn capture(client: Option<&str>) -> Self {
        Self(match client {
            Some(client) => format!("capture@{client}"),
            None => "capture".into(),
        })
    }

    /// Whether somebody else's packets were overheard.
    pub fn is_capture(&self) -> bool {
        self.0 == "capture" || self.0.starts_with("capture@")
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Vantage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

const SSH: &str = "ssh://";

/// A text that is not the name of a vantage.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a vantage: use this-host, lab:HOST or ssh://user@host")]
pub struct VantageError(String);

impl FromStr for Vantage {
    type Err = VantageError;
    fn from_str(text: &str) -> Result<Self, VantageError> {
        let named =
            |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        match text.strip_prefix("lab:") {
            Some(host) if named(host) => Ok(Self::lab(host)),
            None if text == "this-host" => Ok(Self::this_host()),
            None if text.len() > SSH.len() && text.starts_with(SSH) => Ok(Self::ssh(text)),
            _ => Err(VantageError(text.into())),
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_imported_vantage_is_never_one_to_look_from() {
        let nmap = Vantage::import("nmap", Some("2001:db8::1"));
        assert_eq!(nmap.to_string(), "import:nmap@2001:db8::1");
        assert_eq!(nmap.imported(), Some(("nmap", Some("2001:db8::1"))));
        assert_eq!(Vantage::import("zeek", None).imported(), Some(("zeek", None)));
        assert_eq!(Vantage::lab("office").imported(), None);
        assert!("import:nmap".parse::<Vantage>().is_err());
        assert!("capture@10.7.20.5".parse::<Vantage>().is_err());
        assert!(
            Vantage::capture(Some("10.7.20.5")).is_capture() && !Vantage::import("zeek", None).is_capture()
        );
        assert_ne!(Vantage::import("nmap", None), nmap);
    }
}

//! What a run has covered, how sure its silences are, and what it cost the devices.

use std::{fmt, net::IpAddr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{HostEvidence, Identification, MacAddress, Port, Untrusted};

/// Something that was asked for and not tested.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotTested {
    /// First address of the range.
    pub first: IpAddr,
    /// Last address of the range, inclusive.
    pub last: IpAddr,
    /// The ports that were not tested on it.
    pub ports: Vec<Port>,
    /// Why, in plain words.
    pub reason: String,
}

/// Consecutive addresses that were asked on these ports and did not answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silent {
    /// First address of the range.
    pub first: IpAddr,
    /// Last address of the range, inclusive.
    pub last: IpAddr,
    /// The ports that were asked; each is `no-answer`.
    pub ports: Vec<Port>,
    /// How often each was asked.
    pub looks: u32,
    /// How sure it is that no answer was merely lost; `None` when nothing answered by which loss could be measured.
    pub confidence: Option<Confidence>,
}

/// A probability in millionths, rounded down: it is never shown surer than it is, and never as certainty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "f64", into = "f64")]
pub struct Confidence(u32);

const MILLION: f64 = 1_000_000.0;

impl Confidence {
    /// The confidence of a statement that is wrong with this chance, from 0 to 1.
    pub fn unless(chance_of_error: f64) -> Self {
        Self::from(1.0 - chance_of_error)
    }
}

impl From<f64> for Confidence {
    fn from(probability: f64) -> Self {
        // What JSON rounded must come back as it was.
        let millionths = (probability * MILLION + 1e-6).floor();
        Self(millionths.clamp(0.0, MILLION - 1.0) as u32)
    }
}

impl From<Confidence> for f64 {
    fn from(confidence: Confidence) -> Self {
        Self::from(confidence.0) / MILLION
    }
}

impl fmt::Display for Confidence {
    /// In percent, with as many decimals as it is sure of.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (percent, fraction) = (self.0 / 10_000, self.0 % 10_000);
        match self.0 {
            999_990.. => write!(f, "{percent}.{fraction:04} %"),
            999_000.. => write!(f, "{percent}.{:03} %", fraction / 10),
            _ => write!(f, "{percent}.{} %", fraction / 1000),
        }
    }
}

/// How many questions to ports that are known to answer stayed without an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    /// Questions.
    pub asked: u64,
    /// Those without an answer in time.
    pub lost: u64,
}

/// What one device felt of a run, as counted when it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Felt {
    /// The device.
    pub address: IpAddr,
    /// Packets that were sent to it, acknowledgements among them.
    pub packets: u32,
    /// Connections that it accepted.
    pub connections: u32,
    /// Most packets that followed each other within 10 ms.
    pub largest_burst: u32,
}

/// Something about a host that makes its answers mean less than they seem, or that made the run leave it alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remark {
    /// The host.
    pub address: IpAddr,
    /// What it is.
    pub label: Label,
    /// What shows it, in plain words.
    pub reason: String,
}

/// Kinds of hosts whose answers mean less than they seem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Label {
    /// It accepts connections and then holds them without acknowledging anything.
    Tarpit,
    /// Something in front of it accepts every connection before it is asked itself.
    SynProxy,
    /// Every port that was asked is open.
    EveryPortOpen,
    /// Its answers changed while it was looked at, and it was not asked any further.
    LeftAlone,
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tarpit => "tarpit",
            Self::SynProxy => "syn-proxy",
            Self::EveryPortOpen => "every-port-open",
            Self::LeftAlone => "left-alone",
        })
    }
}

/// A station of the same network segment, as a table of neighbours or of a switch names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Neighbour {
    /// Its address; `None` in the table of a switch, which knows hardware addresses only.
    pub address: Option<IpAddr>,
    /// Its hardware address.
    pub mac: MacAddress,
    /// The interface that it is behind, as the table names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<Untrusted>,
    /// The virtual network that it is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vlan: Option<u16>,
    /// When the table was taken, as far as that is known.
    pub at: Timestamp,
}

/// Something that a station said of itself without being asked at a port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Introduction {
    /// Its address, if it has one and says so.
    pub address: Option<IpAddr>,
    /// Its hardware address, if that is known.
    pub mac: Option<MacAddress>,
    /// By which service it said so, and what.
    pub identification: Identification,
    /// When.
    pub at: Timestamp,
}

/// What a run has covered beside its observations, and what it cost.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Coverage {
    /// Silence that is not told as observations.
    pub silent: Vec<Silent>,
    /// Silence that proves nothing: too much was lost, too little was asked, or the host stopped answering. The ports are
    /// among those of the observations or of `silent`, too.
    pub in_doubt: Vec<Silent>,
    /// Loss as measured on ports that answer; `None` when nothing answered.
    pub loss: Option<Loss>,
    /// Packets that were sent in all.
    pub packets: u64,
    /// What the devices felt that answered, and of the others the one that felt most.
    pub devices: Vec<Felt>,
    /// Hosts whose answers mean less than they seem.
    pub remarks: Vec<Remark>,
    /// What the watched neighbours answered.
    pub guards: Vec<serde_json::Value>,
    /// Stations whose hardware addresses were read in an imported file.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub neighbours: Vec<Neighbour>,
    /// What the texts of a host say of it from within.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<HostEvidence>,
    /// What stations said of themselves without being asked at a port.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub introductions: Vec<Introduction>,
    /// Why the run stopped itself.
    pub stopped: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_confidence_is_rounded_down_and_never_certain() {
        assert_eq!(Confidence::unless(0.0).to_string(), "99.9999 %");
        assert_eq!(Confidence::unless(0.000_002).to_string(), "99.9998 %");
        assert_eq!(Confidence::unless(0.000_49).to_string(), "99.951 %");
        assert_eq!(Confidence::unless(0.037).to_string(), "96.3 %");
        assert_eq!(Confidence::unless(1.0).to_string(), "0.0 %");
    }

    #[test]
    fn json_gives_it_back_as_it_was() {
        for millionths in (0..MILLION as u32).step_by(997) {
            let confidence = Confidence(millionths);
            let text = serde_json::to_string(&confidence).unwrap();
            assert_eq!(
                serde_json::from_str::<Confidence>(&text).unwrap(),
                confidence,
                "{text}"
            );
        }
    }
}

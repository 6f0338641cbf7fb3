//! What a port was found to be, how sure that is, and why.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use crate::{Behaviour, Untrusted};

/// The name of a service in `knowledge/services`, e.g. `moxa-mdm-gateway`: lower-case letters, digits and hyphens.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ServiceName(String);

impl ServiceName {
    /// Takes a name if it is well formed.
    pub fn new(name: &str) -> Option<Self> {
        let well_formed = !name.is_empty()
            && name.len() <= 64
            && name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        well_formed.then(|| Self(name.into()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How sure an identification is. The order is from least to most sure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Grade {
    /// Something was seen that this service does not do.
    RuledOut,
    /// Nothing speaks against it; port and silence alone give no more.
    Possible,
    /// Independent evidence points to it.
    Likely,
    /// The service proved itself by its protocol.
    Proven,
}

impl fmt::Display for Grade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RuledOut => "ruled-out",
            Self::Possible => "possible",
            Self::Likely => "likely",
            Self::Proven => "proven",
        })
    }
}

/// One service that was considered for a port, with the verdict and its reasons.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identification {
    /// The service.
    pub service: ServiceName,
    /// How sure.
    pub grade: Grade,
    /// Why, in plain words, strongest first. May quote text from outside, already sanitized.
    pub reasons: Vec<String>,
    /// What the reply tells of the device: `vendor`, `model`, `product`, `revision`, `firmware`,
    /// `mac`, `serial`, `name`, `address`, `server`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, Untrusted>,
}

/// How sure it is that a service is at a port of a host, from all that is known of the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assessment {
    /// How sure.
    pub grade: Grade,
    /// What raised it, in plain words, strongest first. May quote text from outside, already sanitized.
    pub raised_by: Vec<String>,
    /// What lowered it, strongest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lowered_by: Vec<String>,
    /// What was known and changed nothing, each with the reason why not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_counted: Vec<String>,
    /// What would be needed for the next grade; `None` for what is proven.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_more: Option<String>,
}

/// Where a piece of evidence comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EvidenceKind {
    /// Bytes that the server sent without being asked.
    ServerSpokeFirst,
    /// Bytes that answer our one request.
    Reply,
    /// The server stayed silent for the time given in the note.
    Silence,
    /// The connection attempt itself: how the port answered.
    Handshake,
    /// A socket of this host, or of an imported listing.
    HostListener,
    /// A record that another program wrote.
    Import,
    /// The hardware address of the host.
    HardwareAddress,
    /// What the other side of a connection did beside its bytes.
    Behaviour,
}

/// The bytes or the circumstances behind an observation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Where it comes from.
    pub kind: EvidenceKind,
    /// What happened, in plain words with its unit, e.g. `silent for 800 ms after connect`.
    pub note: String,
    /// The first bytes received, at most 512, as hexadecimal text in JSON.
    #[serde(default, with = "hex::serde", skip_serializing_if = "Vec::is_empty")]
    pub bytes: Vec<u8>,
    /// How the other side behaved, of evidence of that kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behaviour: Option<Behaviour>,
}

//! A plan: one firewall change, thought through before anything is touched. It is immutable.

use std::{fmt, net::IpAddr};

use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{BackendName, Connection, Digest, ExposureId, Listener, NetworkSet, PlanId, Port};

/// What will be closed on one host, who still gets through, what was read before, and what is expected after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Derived from everything else in the plan.
    pub id: PlanId,
    /// When it was made.
    pub made: Timestamp,
    /// Name of the host it is for.
    pub host: String,
    /// How the host is reached, e.g. `ssh://root@gw`; `None` for the one that the plan was made on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<String>,
    /// The firewall system that the change is made in.
    #[serde(default)]
    pub backend: BackendName,
    /// The port that is closed, on every address of the host or of the hosts behind it.
    pub close: Port,
    /// The hosts behind this one whose port is closed; that of the host itself when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub behind: Vec<IpAddr>,
    /// Who still gets through, and why. Nobody but the host itself when empty.
    pub allow: Vec<AllowedSource>,
    /// The exposure that it closes, when it was made for one.
    pub exposure: Option<ExposureId>,
    /// Digest of the `site.toml` that it was made with; `apply` refuses with another one.
    pub site: Option<Digest>,
    /// Digest of the ruleset that was read; `apply` refuses when it is another one.
    pub ruleset: Digest,
    /// The full state before, for the record and for comparison; never loaded back.
    pub before: Vec<StatePart>,
    /// What listens on the port.
    pub listeners: Vec<Listener>,
    /// Live connections to the port, and what becomes of each.
    pub connections: Vec<LiveConnection>,
    /// Review notes.
    pub notes: Vec<Note>,
    /// What is expected from where.
    pub predictions: Vec<Prediction>,
    /// What it does to those who get through by the rules of today; empty where no model could be made of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub effects: Vec<Effect>,
}

/// What a change does to sources of one family that come by some interfaces, as the rules of today have it. Together with
/// those who are kept out today, these are all sources.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effect {
    /// Whether it is of IPv4; otherwise of IPv6.
    pub is_ipv4: bool,
    /// Names of interfaces; `any other` stands for those that no rule names.
    pub interfaces: Vec<String>,
    /// They get through today and with the change.
    pub stay: NetworkSet,
    /// They get through today, or perhaps, and not with the change.
    pub shut_out: NetworkSet,
    /// The change lets them through, and whether the other rules do cannot be concluded.
    pub unclear: NetworkSet,
}

impl Plan {
    /// Fills in the id, which is derived from everything else.
    #[must_use]
    pub fn seal(mut self) -> Self {
        self.id = PlanId::of(&[]);
        self.id = PlanId::of(&[serde_json::to_vec(&self).unwrap_or_default().as_slice()]);
        self
    }

    /// The networks that still get through.
    pub fn allowed_networks(&self) -> NetworkSet {
        self.allow.iter().map(|source| source.network).collect()
    }
}

/// A network that still gets through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AllowedSource {
    /// The network.
    pub network: IpNet,
    /// Why, e.g. `conduit engineering -> control`.
    pub because: String,
}

/// A connection that is alive when the plan is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveConnection {
    /// The connection.
    pub connection: Connection,
    /// Seconds since it was opened; only where the connection tracker of the host keeps times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_seconds: Option<u64>,
    /// The zone of its peer, if the site declares one.
    pub zone: Option<String>,
    /// Whether the change cuts it.
    pub cut: bool,
    /// Why, in plain words.
    pub because: String,
}

/// How much a review note matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NoteLevel {
    /// Good to know.
    Info,
    /// Read this before you approve.
    Warning,
}

impl fmt::Display for NoteLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Info => "note",
            Self::Warning => "warning",
        })
    }
}

/// A remark of the plan's own review.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// How much it matters.
    pub level: NoteLevel,
    /// The remark.
    pub text: String,
}

/// One part of the state before the change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatePart {
    /// What it is: `nftables`, `iptables`, `ip6tables`, `iptables-legacy`, `routes`, `listeners`, `connections` …
    pub name: String,
    /// The command that printed it, or `netlink`.
    pub command: String,
    /// What it printed; the error text when it could not be read.
    pub output: String,
    /// Whether it could be read.
    pub read: bool,
    /// Digest of `output`.
    pub digest: Digest,
}

/// What is expected for sources of one kind after the change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prediction {
    /// Who: a zone's name, or `everybody else`.
    pub from: String,
    /// Their networks; empty for "everybody else".
    pub networks: NetworkSet,
    /// Whether they get through.
    pub passes: bool,
}

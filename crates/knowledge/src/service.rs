//! One service, as its data file describes it.

use std::time::Duration;

use portcullis_model::{Port, ServiceName};
use serde::{Deserialize, Deserializer};

use crate::{Request, judge::Judge};

/// What recognising a service does to the device that offers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hazard {
    /// Connect and listen; never a payload on its own port, because no harmless one is known.
    Silent,
    /// The server greets first: listening is enough.
    Banner,
    /// One well-formed request that only reads.
    ReadOnlyRequest,
    /// Asking costs the device something: only when a person wants it.
    OptIn,
}

/// What a service is for, which decides whether it is looked for by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Manages devices.
    Management,
    /// Reads or writes the process.
    Control,
    /// Found everywhere; known so that it can be told apart.
    General,
}

/// Where a statement about a service comes from.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// The standard, advisory or work.
    pub source: String,
    /// What it says.
    pub says: String,
}

/// One service: its ports, what may be sent to it, and how its answer is judged.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// Its name in `site.toml` and in reports.
    pub name: ServiceName,
    /// Its name for people.
    pub title: String,
    /// What it is for.
    pub purpose: String,
    /// Whether it is looked for by default.
    pub role: Role,
    /// What recognising it does to the device.
    pub hazard: Hazard,
    /// The ports that it has by default; all of one transport.
    pub ports: Vec<Port>,
    /// How long to listen after connect before anything is sent.
    #[serde(rename = "listen_first_ms", deserialize_with = "milliseconds")]
    pub listen_first: Duration,
    /// The one request that may be sent.
    pub request: Option<Request>,
    /// How long to wait for the reply to that request.
    #[serde(rename = "wait_ms", default, deserialize_with = "milliseconds")]
    pub wait: Duration,
    /// Where all this comes from.
    #[serde(rename = "reference")]
    pub references: Vec<Reference>,
    pub(crate) judge: Judge,
    #[serde(default)]
    pub(crate) hardware: Vec<Hardware>,
}

/// A hardware id that a device search reply can carry.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Hardware {
    pub(crate) id: u16,
    /// The application id that must come with it; `None` when the source lists the hardware id alone.
    pub(crate) application: Option<u32>,
    pub(crate) name: String,
}

fn milliseconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    u64::deserialize(deserializer).map(Duration::from_millis)
}

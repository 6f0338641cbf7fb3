//! One service, as its data file describes it.

use std::time::Duration;

use portcullis_model::{Port, ServiceName};
use serde::{Deserialize, Deserializer, Serialize};

use crate::{Request, judge::Judge};

/// What recognising a service does to the device that offers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
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
    /// Who makes it, where one maker alone does: other things of this maker on the same host then speak for it.
    #[serde(default)]
    pub maker: Option<String>,
    /// Whether it is looked for by default.
    pub role: Role,
    /// What recognising it does to the device.
    pub hazard: Hazard,
    /// The ports that it has by default.
    pub ports: Vec<Port>,
    /// How long to listen after connect before anything is sent.
    #[serde(rename = "listen_first_ms", deserialize_with = "milliseconds")]
    pub listen_first: Duration,
    /// The one request that may be sent.
    pub request: Option<Request>,
    /// What may be asked next over the same connection, one after the other, each once the one before was answered.
    #[serde(default)]
    pub further: Vec<Request>,
    /// How long to wait for the reply to each request.
    #[serde(rename = "wait_ms", default, deserialize_with = "milliseconds")]
    pub wait: Duration,
    /// Whether its ports are looked at when nobody names any.
    #[serde(rename = "default", default = "yes")]
    pub by_default: bool,
    /// Whether connecting alone already uses the device, so that its ports are left alone unless a person names the
    /// service.
    #[serde(default)]
    pub connecting_is_use: bool,
    /// Where all this comes from.
    #[serde(rename = "reference")]
    pub references: Vec<Reference>,
    pub(crate) judge: Judge,
    #[serde(default)]
    pub(crate) hardware: Vec<Hardware>,
    #[serde(rename = "page", default)]
    pub(crate) pages: Vec<Page>,
    pub(crate) banner: Option<Banner>,
}

impl Service {
    /// What is sent to recognise it, in plain words and in order; empty for nothing at all.
    pub fn sends(&self) -> Vec<String> {
        let community = (self.judge == Judge::Snmp)
            .then(|| "get of sysDescr and sysObjectID, with a community that a person gives".to_owned());
        let requests = self.request.iter().chain(&self.further).map(Request::shown);
        community.into_iter().chain(requests).collect()
    }

    /// Whether the bytes are the request that this service may be asked with.
    pub(crate) fn may_have_sent(&self, bytes: &[u8]) -> bool {
        match &self.request {
            Some(Request::Bytes { bytes: own }) => own == bytes,
            Some(Request::HttpGet | Request::HttpGetPath { .. }) => bytes.starts_with(b"GET "),
            Some(Request::OpcUaHello) => bytes.starts_with(b"HELF"),
            None => false,
        }
    }
}

/// What an HTTP answer must show: all marks that are given, each as it stands. Empty marks are not asked for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Page {
    /// How the Server header begins.
    #[serde(default)]
    pub(crate) server: String,
    /// What stands anywhere in the Server header.
    #[serde(default)]
    pub(crate) server_names: String,
    /// Another header, as `Name: beginning of its value`.
    #[serde(default)]
    pub(crate) header: String,
    /// How the title begins.
    #[serde(default)]
    pub(crate) title: String,
    /// Texts that stand anywhere in the answer.
    #[serde(default)]
    pub(crate) contains: Vec<String>,
    /// Whose it is then.
    #[serde(default)]
    pub(crate) vendor: String,
    /// What it is then.
    #[serde(default)]
    pub(crate) model: String,
}

/// What a greeting must show, once Telnet options and terminal sequences are taken out.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Banner {
    /// How it begins.
    #[serde(default)]
    pub(crate) begins: String,
    /// Texts that stand anywhere in it.
    #[serde(default)]
    pub(crate) contains: Vec<String>,
    /// Whose it is then.
    #[serde(default)]
    pub(crate) vendor: String,
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

fn yes() -> bool {
    true
}

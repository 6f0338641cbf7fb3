//! One file per protocol: what bytes prove it, and what speaks against it.

mod dsci;
mod http;
mod mdm;
mod modbus;
mod speech;
mod ssh;
mod tls;

use std::{collections::BTreeMap, time::Duration};

use portcullis_model::{Grade, Port, Untrusted};
use serde::Deserialize;

use crate::{Seen, Service};

/// Which protocol's rules a service is judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Judge {
    Dsci,
    Http,
    Mdm,
    Modbus,
    Ssh,
    Tls,
}

/// Why a service is considered for a port at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// It is one of the service's usual ports.
    Own,
    /// The site says that its owner moved the service there.
    Moved,
}

/// A service held against a port.
pub(crate) struct Subject<'k> {
    pub(crate) service: &'k Service,
    pub(crate) port: Port,
    /// `None`: nothing but the bytes can speak for the service.
    pub(crate) place: Option<Place>,
}

/// What a judge says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) grade: Grade,
    pub(crate) reasons: Vec<String>,
    pub(crate) fields: BTreeMap<String, Untrusted>,
}

impl Verdict {
    fn new(grade: Grade, reasons: impl IntoIterator<Item = String>) -> Self {
        Self {
            grade,
            reasons: reasons.into_iter().collect(),
            fields: BTreeMap::new(),
        }
    }

    fn field(mut self, name: &str, value: Untrusted) -> Self {
        if !value.raw().is_empty() {
            self.fields.insert(name.into(), value);
        }
        self
    }
}

impl Judge {
    /// The verdict on a subject; `None` when there is nothing to say about it.
    pub(crate) fn judge(self, subject: &Subject<'_>, seen: &Seen) -> Option<Verdict> {
        match self {
            Self::Dsci => dsci::judge(subject, seen),
            Self::Http => http::judge(subject, seen),
            Self::Mdm => mdm::judge(subject, seen),
            Self::Modbus => modbus::judge(subject, seen),
            Self::Ssh => ssh::judge(subject, seen),
            Self::Tls => tls::judge(subject, seen),
        }
    }
}

impl Subject<'_> {
    /// Why the service is considered on this port; empty when it is not.
    fn place_reason(&self, name: &str) -> Option<String> {
        match self.place? {
            Place::Own => Some(format!("{} is the port of {name}", self.port)),
            Place::Moved => Some(format!("site.toml says its owner moved it to {}", self.port)),
        }
    }
}

/// What the server's silence looked like, in the order in which it happened.
fn silence_reasons(seen: &Seen) -> Vec<String> {
    if seen.closed_by_peer && seen.request.is_none() {
        return vec![format!(
            "closed the connection after {} without sending anything",
            milliseconds(seen.silent_for)
        )];
    }
    let mut reasons = vec![format!(
        "silent for {} after connect",
        milliseconds(seen.silent_for)
    )];
    if seen.request.is_some() {
        reasons.push(if seen.closed_by_peer {
            "closed the connection without answering the request".into()
        } else {
            format!("no answer to the request for {}", milliseconds(seen.waited))
        });
    }
    reasons
}

fn milliseconds(duration: Duration) -> String {
    format!("{} ms", duration.as_millis())
}

//! What a log told, in the forms that other programs take. Pure: values in, text out.
//!
//! [docs/log-export.md](../../../../docs/log-export.md) has the fields of each.

pub(crate) mod cef;
pub(crate) mod crowdsec;
pub(crate) mod ocsf;
pub(crate) mod stix;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, fmt::Write as _, net::IpAddr};

use clap::ValueEnum;
use jiff::Timestamp;
use portcullis_model::DetectionKind;
use portcullis_ops::logs::Finding;

/// A form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// Offenders, one address a line.
    List,
    /// Offenders as `cscli decisions import` takes them.
    Crowdsec,
    /// Offenders as a bundle of STIX 2.1 indicators.
    Stix,
    /// Each event as OCSF 1.3 Network Activity, one JSON object a line.
    Ocsf,
    /// Each event in CEF, one a line.
    Cef,
}

impl Form {
    /// Whether it is about those who show signs, and not about each event.
    pub(crate) fn is_of_offenders(self) -> bool {
        matches!(self, Self::List | Self::Crowdsec | Self::Stix)
    }
}

/// A source that showed signs of which it is the author.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Offender {
    pub(crate) address: IpAddr,
    pub(crate) first: Timestamp,
    pub(crate) last: Timestamp,
    /// What it did, each in the words of its sign.
    pub(crate) did: Vec<(DetectionKind, String)>,
}

/// The sources of signs, in the order of their addresses. Who is only new has done nothing, and silence has no source.
pub(crate) fn offenders(findings: &[Finding]) -> Vec<Offender> {
    let mut all: BTreeMap<IpAddr, Offender> = BTreeMap::new();
    for finding in findings {
        let (Some(address), true) = (finding.source, is_an_offence(finding.kind)) else {
            continue;
        };
        // No block list takes an address of IPv4 in the form of IPv6.
        let address = address.to_canonical();
        let offender = all.entry(address).or_insert_with(|| Offender {
            address,
            first: finding.first,
            last: finding.last,
            did: Vec::new(),
        });
        offender.first = offender.first.min(finding.first);
        offender.last = offender.last.max(finding.last);
        offender.did.push((finding.kind, finding.says.clone()));
    }
    all.into_values().collect()
}

fn is_an_offence(kind: DetectionKind) -> bool {
    match kind {
        DetectionKind::PasswordGuessing
        | DetectionKind::PortSweep
        | DetectionKind::HostSweep
        | DetectionKind::SuccessAfterFailures
        | DetectionKind::ClosedPort => true,
        DetectionKind::SlowGuessing
        | DetectionKind::FirstSource
        | DetectionKind::Silence
        | DetectionKind::RateLimit => false,
    }
}

/// One address a line.
pub(crate) fn list(offenders: &[Offender]) -> String {
    let mut text = String::new();
    for offender in offenders {
        let _ = writeln!(text, "{}", offender.address);
    }
    text
}

impl Offender {
    /// The names of what it did, each once.
    fn kinds(&self) -> String {
        let mut kinds: Vec<&str> = self.did.iter().map(|(kind, _)| kind.name()).collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds.join(", ")
    }
}

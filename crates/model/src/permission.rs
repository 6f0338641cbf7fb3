//! `permission.toml`: what its owner allows to be scanned, how fast, when, and until when.

mod decide;
mod denial;
mod hours;
mod standing;

use std::{collections::BTreeSet, fmt, net::IpAddr, str::FromStr};

use ipnet::IpNet;
use jiff::{Timestamp, tz::TimeZone};
use serde::Serialize;

use crate::{
    ConfigError, NetworkSet, Port,
    config::{Document, Located},
};
pub use decide::{covered, may_scan};
pub use denial::Denial;
pub use hours::Hours;
pub use standing::Standing;

/// A permission to scan, given by the owner of the network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Permission {
    /// Who gave it.
    pub owner: String,
    /// How to reach the owner while the scan runs.
    pub contact: String,
    /// Who signs the file, as named in the list of allowed signers.
    pub signed_by: Option<String>,
    /// What may be scanned.
    pub ranges: NetworkSet,
    /// What must not be touched although it lies in `ranges`.
    pub exclude: NetworkSet,
    /// Which ports; `None` permits every port.
    pub ports: Option<BTreeSet<Port>>,
    /// Most packets per second in all.
    pub rate: Option<u32>,
    /// Most packets per second to one host.
    pub per_host: Option<u32>,
    /// Most packets per second to one network (/24 of IPv4, /64 of IPv6).
    pub per_subnet: Option<u32>,
    /// Hours of the week. All of them must be open; an empty list permits every hour.
    pub hours: Vec<Hours>,
    /// Before this moment it permits nothing.
    pub starts: Option<Timestamp>,
    /// From this moment on it permits nothing.
    pub expires: Timestamp,
}

impl Permission {
    /// Reads a `permission.toml`. `file` is the name used in messages.
    ///
    /// # Errors
    /// All mistakes of the file at once, each with its line.
    pub fn parse(file: &str, text: &str) -> Result<Self, ConfigError> {
        Document::read(file, text, |document, top| {
            let Some(mut section) = top.section("permission") else {
                document.problem(0, "the file has no [permission] section");
                return None;
            };
            let owner = section.required("owner");
            let contact = section.required("contact");
            let signed_by = read(document, "signed_by", section.text("signed_by"));
            let ranges = section.parsed::<Range>("ranges");
            let exclude = section.parsed::<Range>("exclude");
            let ports = section.parsed("ports");
            let rate = read(document, "rate", section.text("rate"));
            let per_host = read(document, "per_host", section.text("per_host"));
            let per_subnet = read(document, "per_subnet", section.text("per_subnet"));
            let timezone = section.text("timezone");
            let hours = hours(document, section.texts("when"), timezone);
            // An empty list reads like "none" and would mean "all".
            for key in ["ports", "when"] {
                section.not_empty(key);
            }
            let starts = moment(document, "starts", section.text("starts"));
            let expires = section.required("expires");
            let offset = section.offset;
            section.finish();
            if ranges.is_empty() {
                document.problem(offset, "permission has no `ranges`: it permits nothing");
            }
            let expires = moment(document, "expires", expires);
            if let (Some(starts), Some(expires)) = (&starts, &expires)
                && starts.value >= expires.value
            {
                let what = "`starts` is not before `expires`: it permits nothing";
                document.problem(starts.offset, what);
            }
            let ports: BTreeSet<Port> = ports.into_iter().map(|port| port.value).collect();
            Some(Self {
                owner: owner?.value,
                contact: contact?.value,
                signed_by: signed_by.map(|Signer(name)| name),
                ranges: ranges.into_iter().map(|range| range.value.0).collect(),
                exclude: exclude.into_iter().map(|range| range.value.0).collect(),
                ports: (!ports.is_empty()).then_some(ports),
                rate: rate.map(|Rate(packets)| packets),
                per_host: per_host.map(|Rate(packets)| packets),
                per_subnet: per_subnet.map(|Rate(packets)| packets),
                hours: hours.into_iter().collect(),
                starts: starts.map(|starts| starts.value),
                expires: expires?.value,
            })
        })?
        // A reader that reported nothing has read everything that is required.
        .ok_or_else(|| ConfigError {
            file: file.into(),
            problems: vec![crate::Problem {
                line: 1,
                what: "the permission is not complete".into(),
            }],
        })
    }
}

/// A value that is written as a text; one that does not parse is reported.
fn read<T: FromStr<Err: fmt::Display>>(
    document: &Document<'_>,
    key: &str,
    text: Option<Located<String>>,
) -> Option<T> {
    let text = text?;
    let value = text.value.parse();
    value
        .map_err(|error| document.problem(text.offset, format!("`{key}`: {error}")))
        .ok()
}

fn moment(document: &Document<'_>, key: &str, text: Option<Located<String>>) -> Option<Located<Timestamp>> {
    let Located { value, offset } = text?;
    let Ok(value) = value.parse() else {
        let what = format!("`{key}` must be a time with its zone, such as 2026-12-31T18:00:00+01:00");
        document.problem(offset, what);
        return None;
    };
    Some(Located { value, offset })
}

fn hours(
    document: &Document<'_>,
    when: Vec<Located<String>>,
    timezone: Option<Located<String>>,
) -> Option<Hours> {
    let zone = timezone.as_ref().and_then(|zone| {
        let found = TimeZone::get(&zone.value);
        found
            .map_err(|_| {
                let what = format!("`{}` is not an IANA time zone such as Europe/Oslo", zone.value);
                document.problem(zone.offset, what);
            })
            .ok()
    });
    let first = when.first()?.offset;
    if timezone.is_none() {
        document.problem(first, "`when` needs a `timezone` such as \"Europe/Oslo\"");
    }
    // Without a zone the windows are read all the same, so that their mistakes are told too.
    let mut hours = Hours::new(zone.unwrap_or(TimeZone::UTC));
    for Located { value, offset } in when {
        if let Err(error) = hours.add(&value) {
            document.problem(offset, format!("`when`: {error}"));
        }
    }
    Some(hours)
}

/// A network, or one address as a network of its full length.
struct Range(IpNet);

impl FromStr for Range {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let address = text
            .parse::<IpAddr>()
            .map(|address| IpNet::from(address.to_canonical()));
        let network: IpNet = text
            .parse()
            .or(address)
            .map_err(|_| format!("`{text}` is not an address or a network such as 10.7.10.0/24"))?;
        if network.addr() != network.network() {
            return Err(format!(
                "`{text}` has bits set behind its prefix: did you mean `{}`?",
                network.trunc()
            ));
        }
        Ok(Self(network))
    }
}

/// Packets per second, at least one. It is written with its unit, so that nobody signs a bare number.
struct Rate(u32);

impl FromStr for Rate {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.strip_suffix("/s").map(str::trim_end);
        let packets = number.and_then(|number| number.parse().ok());
        packets
            .filter(|packets| *packets > 0)
            .map(Self)
            .ok_or_else(|| format!("`{text}` is not a number of packets per second such as \"50/s\""))
    }
}

/// A name in a list of allowed signers, in the shape of an e-mail address: `ssh-keygen` reads others as patterns or
/// options.
struct Signer(String);

impl FromStr for Signer {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let plain = |part: &str| {
            let known = |letter: char| letter.is_ascii_alphanumeric() || "._+-".contains(letter);
            !part.is_empty() && !part.starts_with('-') && part.chars().all(known)
        };
        match text.split_once('@') {
            Some((name, domain)) if plain(name) && plain(domain) => Ok(Self(text.into())),
            _ => Err(format!(
                "`{text}` is not a signer such as \"kari@nordfjord.example\""
            )),
        }
    }
}

#[cfg(test)]
mod tests;

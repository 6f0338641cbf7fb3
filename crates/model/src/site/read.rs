//! From text to [`Site`].

use std::{collections::BTreeSet, fmt, str::FromStr};

use ipnet::IpNet;
use jiff::tz::TimeZone;

use super::{
    ApprovalPolicy, Conduit, KeptConnection, KeptEnd, Networks, ServiceOverride, Site, WatchPolicy, Zone,
    detections::detections, log_prefixes::log_prefixes,
};
use crate::{
    ConfigError, Digest, MaintenanceWindow, Port, ServiceName,
    config::{Document, Located, Section, nearest},
};

pub(super) fn site(
    file: &str,
    text: &str,
    known_services: Option<&BTreeSet<ServiceName>>,
) -> Result<Site, ConfigError> {
    Document::read(file, text, |document, top| {
        let (name, timezone) = header(document, top);
        let zones = zones(document, top.sections("zone"));
        let services = ServiceNames {
            document,
            known: known_services,
        };
        let overrides = top
            .sections("service")
            .into_iter()
            .filter_map(|mut section| {
                let name = section.required("name");
                let also_on = section
                    .parsed("also_on")
                    .into_iter()
                    .map(|port| port.value)
                    .collect();
                section.finish();
                Some(ServiceOverride {
                    name: services.check(name?)?,
                    also_on,
                })
            })
            .collect();
        let conduits = top
            .sections("conduit")
            .into_iter()
            .filter_map(|section| conduit(document, section, &zones, &services))
            .collect();
        let windows = windows(document, top.sections("window"), &timezone);
        let keep = keep(document, top.section("keep"), &zones);
        let watch = watch(top.section("watch"));
        let approval = approval(top.section("approval"));
        let detections = detections(document, top.sections("detection"));
        let log_prefixes = log_prefixes(document, top.sections("log_prefix"));
        Site {
            digest: Digest::of(text),
            name,
            timezone,
            zones,
            conduits,
            services: overrides,
            windows,
            keep,
            watch,
            approval,
            detections,
            log_prefixes,
        }
    })
}

fn header(document: &Document<'_>, top: &mut Section<'_, '_>) -> (String, TimeZone) {
    let Some(mut section) = top.section("site") else {
        document.problem(0, "the file has no [site] section with a `name`");
        return (String::new(), TimeZone::UTC);
    };
    let name = section
        .required("name")
        .map(|name| name.value)
        .unwrap_or_default();
    let timezone = section.text("timezone").and_then(|zone| {
        TimeZone::get(&zone.value)
            .map_err(|_| {
                let what = format!("`{}` is not an IANA time zone such as Europe/Oslo", zone.value);
                document.problem(zone.offset, what);
            })
            .ok()
    });
    section.finish();
    (name, timezone.unwrap_or(TimeZone::UTC))
}

fn watch(section: Option<Section<'_, '_>>) -> WatchPolicy {
    let Some(mut section) = section else {
        return WatchPolicy::default();
    };
    let reapply = section.flag("reapply");
    section.finish();
    WatchPolicy { reapply }
}

fn approval(section: Option<Section<'_, '_>>) -> Option<ApprovalPolicy> {
    let mut section = section?;
    let signers = section.required("signers");
    section.finish();
    Some(ApprovalPolicy {
        signers: signers?.value.into(),
    })
}

fn zones(document: &Document<'_>, sections: Vec<Section<'_, '_>>) -> Vec<Zone> {
    let mut zones: Vec<Zone> = Vec::new();
    let mut claimed: Vec<(IpNet, String)> = Vec::new();
    for mut section in sections {
        let name = section.required("name");
        let networks = section.texts("networks");
        let offset = section.offset;
        section.finish();
        let label = name.as_ref().map_or_else(String::new, |name| name.value.clone());
        if networks.is_empty() {
            document.problem(
                offset,
                format!("zone `{label}` has no `networks`; write [\"any\"] for the rest"),
            );
        }
        let rest = networks.iter().any(|network| network.value == "any");
        if rest && zones.iter().any(|zone| zone.networks == Networks::Rest) {
            document.problem(offset, "only one zone can have the networks [\"any\"]");
        }
        let mut listed = Vec::new();
        for network in networks.into_iter().filter(|network| network.value != "any") {
            if let Some(network) = network_of(document, &network) {
                listed.push(network);
            }
            if rest {
                document.problem(
                    network.offset,
                    "\"any\" already stands for all that no other zone claims",
                );
            }
        }
        for network in &listed {
            for (other, zone) in &claimed {
                if *zone != label && (other.contains(network) || network.contains(other)) {
                    let what = format!("{network} of zone `{label}` overlaps {other} of zone `{zone}`");
                    document.problem(offset, what);
                }
            }
            claimed.push((*network, label.clone()));
        }
        let Some(name) = name else { continue };
        if zones.iter().any(|zone| zone.name == name.value) {
            document.problem(
                name.offset,
                format!("there are two zones called `{}`", name.value),
            );
        }
        if !name
            .value
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        {
            document.problem(
                name.offset,
                "a zone's name may hold letters, digits, `-` and `_` only",
            );
        }
        let networks = if rest {
            Networks::Rest
        } else {
            Networks::Listed(listed.into_iter().collect())
        };
        zones.push(Zone {
            name: name.value,
            networks,
        });
    }
    zones
}

pub(super) fn network_of(document: &Document<'_>, text: &Located<String>) -> Option<IpNet> {
    let network: IpNet = match text.value.parse() {
        Ok(network) => network,
        Err(_) if text.value.parse::<std::net::IpAddr>().is_ok() => {
            let what = format!(
                "`{0}` is one address, not a network: write `{0}/32` or `{0}/128`",
                text.value
            );
            document.problem(text.offset, what);
            return None;
        }
        Err(_) => {
            document.problem(
                text.offset,
                format!("`{}` is not a network such as 10.7.10.0/24", text.value),
            );
            return None;
        }
    };
    if network.addr() != network.network() {
        let what = format!(
            "`{network}` has bits set behind its prefix: did you mean `{}`?",
            network.trunc()
        );
        document.problem(text.offset, what);
    }
    Some(network)
}

struct ServiceNames<'d, 's> {
    document: &'d Document<'s>,
    known: Option<&'d BTreeSet<ServiceName>>,
}

impl ServiceNames<'_, '_> {
    fn check(&self, name: Located<String>) -> Option<ServiceName> {
        let Some(service) = ServiceName::new(&name.value) else {
            let what = format!("`{}` is not a service name such as moxa-mdm-gateway", name.value);
            self.document.problem(name.offset, what);
            return None;
        };
        if let Some(known) = self.known
            && !known.contains(&service)
        {
            let near = nearest(service.as_str(), known.iter().map(ServiceName::as_str));
            let hint = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            self.document
                .problem(name.offset, format!("no service is called `{service}`{hint}"));
        }
        Some(service)
    }
}

fn conduit(
    document: &Document<'_>,
    mut section: Section<'_, '_>,
    zones: &[Zone],
    services: &ServiceNames<'_, '_>,
) -> Option<Conduit> {
    let from = section.required("from");
    let to = section.required("to");
    let names = section.texts("services");
    let offset = section.offset;
    section.finish();
    if names.is_empty() {
        document.problem(offset, "a conduit without `services` lets nothing through");
    }
    for end in [&from, &to].into_iter().flatten() {
        known_zone(document, end, zones);
    }
    let services = names
        .into_iter()
        .filter_map(|name| services.check(name))
        .collect();
    Some(Conduit {
        from: from?.value,
        to: to?.value,
        services,
    })
}

fn known_zone(document: &Document<'_>, name: &Located<String>, zones: &[Zone]) -> bool {
    if zones.iter().any(|zone| zone.name == name.value) {
        return true;
    }
    let near = nearest(&name.value, zones.iter().map(|zone| zone.name.as_str()));
    let hint = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
    document.problem(name.offset, format!("no zone is called `{}`{hint}", name.value));
    false
}

fn windows(
    document: &Document<'_>,
    sections: Vec<Section<'_, '_>>,
    timezone: &TimeZone,
) -> Vec<MaintenanceWindow> {
    let mut windows = Vec::new();
    for mut section in sections {
        let name = section.required("name");
        let when = section.required("when");
        section.finish();
        let (Some(name), Some(when)) = (name, when) else {
            continue;
        };
        match MaintenanceWindow::new(&name.value, &when.value, timezone.clone()) {
            Ok(window) => windows.push(window),
            Err(error) => document.problem(when.offset, error.to_string()),
        }
    }
    windows
}

fn keep(document: &Document<'_>, section: Option<Section<'_, '_>>, zones: &[Zone]) -> Vec<KeptConnection> {
    let Some(mut section) = section else {
        return Vec::new();
    };
    let connections = section.parsed::<KeptConnection>("connections");
    section.finish();
    for connection in &connections {
        for end in [&connection.value.from, &connection.value.to] {
            if let KeptEnd::Zone(name) = end {
                known_zone(
                    document,
                    &Located {
                        value: name.clone(),
                        offset: connection.offset,
                    },
                    zones,
                );
            }
        }
    }
    connections
        .into_iter()
        .map(|connection| connection.value)
        .collect()
}

/// A text that is not a kept connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeepError(String);

impl fmt::Display for KeepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is not a connection such as \"10.7.20.5 -> control tcp/22\"",
            self.0
        )
    }
}

impl FromStr for KeptConnection {
    type Err = KeepError;

    fn from_str(text: &str) -> Result<Self, KeepError> {
        let wrong = || KeepError(text.into());
        let (from, rest) = text.split_once("->").ok_or_else(wrong)?;
        let (to, port) = rest.trim().rsplit_once(' ').ok_or_else(wrong)?;
        let port: Port = port.parse().map_err(|_| wrong())?;
        let end = |text: &str| {
            let text = text.trim();
            if text.is_empty() || text.contains(char::is_whitespace) {
                return Err(wrong());
            }
            if let Ok(network) = text.parse() {
                return Ok(KeptEnd::Network(network));
            }
            Ok(text.parse().map_or_else(
                |_| KeptEnd::Zone(text.into()),
                |address: std::net::IpAddr| KeptEnd::Network(address.into()),
            ))
        };
        Ok(Self {
            from: end(from)?,
            to: end(to)?,
            port,
        })
    }
}

//! `site.toml`: zones, conduits, services, maintenance windows (the words of IEC 62443-3-2).

mod detections;
mod log_prefixes;
mod read;
#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, fmt, net::IpAddr, path::PathBuf};

use ipnet::IpNet;
use jiff::tz::TimeZone;

use crate::{ConfigError, Detections, Digest, MaintenanceWindow, NetworkSet, Port, ServiceName, Verdict};

/// A site as its owner declared it.
#[derive(Debug, Clone)]
pub struct Site {
    /// Digest of the file that it was read from.
    pub digest: Digest,
    /// Name of the site.
    pub name: String,
    /// Time zone in which the windows are written; UTC when not given.
    pub timezone: TimeZone,
    /// Zones in the order of the file.
    pub zones: Vec<Zone>,
    /// What may reach what.
    pub conduits: Vec<Conduit>,
    /// Services that their owner moved to other ports.
    pub services: Vec<ServiceOverride>,
    /// When changes may be made; an empty list sets no limit.
    pub windows: Vec<MaintenanceWindow>,
    /// Connections that must always get through.
    pub keep: Vec<KeptConnection>,
    /// What is done when somebody else alters a change.
    pub watch: WatchPolicy,
    /// Whose approval a change needs; `None` when nobody's.
    pub approval: Option<ApprovalPolicy>,
    /// Which signs in firewall logs are told of.
    pub detections: Detections,
    /// What the owner's own log rules do with a packet.
    pub log_prefixes: Vec<LogPrefix>,
}

/// A log rule of the owner, whose verdict no line proves and for which the site vouches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogPrefix {
    /// What its prefix begins with, without blanks at both ends; unique on the site.
    pub begins: String,
    /// What becomes of the packet.
    pub verdict: Verdict,
}

/// Who approves changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovalPolicy {
    /// The list of those whose signature counts, as `ssh-keygen` reads it.
    pub signers: PathBuf,
}

/// What `portcullis watch` does beside telling.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WatchPolicy {
    /// Whether confirmed changes that somebody else altered or removed are put back.
    pub reapply: bool,
}

/// A zone: a set of networks with the same need of protection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    /// Its name, unique on the site.
    pub name: String,
    /// Its addresses.
    pub networks: Networks,
}

/// The addresses of a zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Networks {
    /// These networks.
    Listed(NetworkSet),
    /// Whatever no other zone claims.
    Rest,
}

/// A permitted way from one zone to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conduit {
    /// Zone that may open connections.
    pub from: String,
    /// Zone that is reached.
    pub to: String,
    /// Services that may be reached; everything else is an exposure.
    pub services: Vec<ServiceName>,
}

/// A service that also listens elsewhere on this site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceOverride {
    /// The service.
    pub name: ServiceName,
    /// Ports beside its usual ones.
    pub also_on: Vec<Port>,
}

/// A connection that every change must leave alone, written `10.7.20.5 -> control tcp/22`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptConnection {
    /// Who opens it.
    pub from: KeptEnd,
    /// Who is reached.
    pub to: KeptEnd,
    /// On which port.
    pub port: Port,
}

/// One end of a kept connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeptEnd {
    /// A network, or one address as a network of its full length.
    Network(IpNet),
    /// All addresses of a zone.
    Zone(String),
}

impl fmt::Display for KeptEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(network) => match network.prefix_len() == network.max_prefix_len() {
                true => network.addr().fmt(f),
                false => network.fmt(f),
            },
            Self::Zone(zone) => f.write_str(zone),
        }
    }
}

impl fmt::Display for KeptConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {} {}", self.from, self.to, self.port)
    }
}

impl Site {
    /// Reads a `site.toml` without judging its service names. `file` is the name used in messages.
    ///
    /// # Errors
    /// All mistakes of the file at once, each with its line.
    pub fn parse(file: &str, text: &str) -> Result<Self, ConfigError> {
        read::site(file, text, None)
    }

    /// Reads a `site.toml` and reports service names that are not in `services`.
    ///
    /// # Errors
    /// All mistakes of the file at once, each with its line.
    pub fn parse_knowing(
        file: &str,
        text: &str,
        services: &BTreeSet<ServiceName>,
    ) -> Result<Self, ConfigError> {
        read::site(file, text, Some(services))
    }

    /// The zone with this name.
    pub fn zone(&self, name: &str) -> Option<&Zone> {
        self.zones.iter().find(|zone| zone.name == name)
    }

    /// The zone that an address belongs to: the one whose networks hold it, else the one that takes the rest.
    pub fn zone_of(&self, address: IpAddr) -> Option<&Zone> {
        let address = address.to_canonical();
        let listed = |zone: &&Zone| matches!(&zone.networks, Networks::Listed(set) if set.contains(address));
        let rest = |zone: &&Zone| matches!(zone.networks, Networks::Rest);
        self.zones
            .iter()
            .find(listed)
            .or_else(|| self.zones.iter().find(rest))
    }

    /// Whether a declared zone (not the rest) holds the address.
    pub fn declares(&self, address: IpAddr) -> bool {
        self.zone_of(address)
            .is_some_and(|zone| matches!(zone.networks, Networks::Listed(_)))
    }

    /// Whether a service may be reached from one zone in another. Inside a zone no conduit is needed: conduits
    /// connect zones (IEC 62443-3-2).
    pub fn permits(&self, from: &str, to: &str, service: &ServiceName) -> bool {
        from == to
            || self
                .conduits
                .iter()
                .any(|conduit| conduit.from == from && conduit.to == to && conduit.services.contains(service))
    }

    /// The ports that services were moved to on this site.
    pub fn moved(&self) -> Vec<(ServiceName, Port)> {
        let services = self.services.iter();
        services
            .flat_map(|entry| entry.also_on.iter().map(|port| (entry.name.clone(), *port)))
            .collect()
    }

    /// The extra ports of a service on this site.
    pub fn extra_ports(&self, service: &ServiceName) -> impl Iterator<Item = Port> {
        self.services
            .iter()
            .filter(move |entry| &entry.name == service)
            .flat_map(|entry| entry.also_on.iter().copied())
    }

    /// Whether one end of a kept connection holds the address.
    pub fn end_holds(&self, end: &KeptEnd, address: IpAddr) -> bool {
        match end {
            KeptEnd::Network(network) => network.contains(&address),
            KeptEnd::Zone(name) => self.zone_of(address).is_some_and(|zone| &zone.name == name),
        }
    }
}

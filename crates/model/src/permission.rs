//! `permission.toml`: what its owner allows to be scanned, and until when.

use std::{net::IpAddr, str::FromStr};

use ipnet::IpNet;
use jiff::Timestamp;
use serde::Serialize;

use crate::{ConfigError, NetworkSet, Port, Site, config::Document, is_public};

/// A permission to scan, given by the owner of the network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Permission {
    /// Who gave it.
    pub owner: String,
    /// How to reach the owner while the scan runs.
    pub contact: String,
    /// What may be scanned.
    pub ranges: NetworkSet,
    /// What must not be touched although it lies in `ranges`.
    pub exclude: NetworkSet,
    /// Which ports; an empty list permits every port.
    pub ports: Vec<Port>,
    /// After this moment it permits nothing.
    pub expires: Timestamp,
}

/// Why an address and port may not be scanned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// The permission's time is over.
    #[error("the permission of {owner} expired at {expired}")]
    Expired {
        /// Who gave it.
        owner: String,
        /// When it ended.
        expired: Timestamp,
    },
    /// The permission leaves this address out.
    #[error("{address} is not in the permission of {owner}")]
    Address {
        /// Who gave it.
        owner: String,
        /// The address.
        address: IpAddr,
    },
    /// The permission leaves this port out.
    #[error("{port} is not in the permission of {owner}")]
    Port {
        /// Who gave it.
        owner: String,
        /// The port.
        port: Port,
    },
    /// Without a permission only declared zones may be scanned.
    #[error("{address} is in none of the zones that {site} declares, and there is no permission for it")]
    NoZone {
        /// The address.
        address: IpAddr,
        /// Name of the site.
        site: String,
    },
    /// Without a permission and without a site nothing may be scanned.
    #[error("nothing says that {address} is yours: there is no site and no permission")]
    NoSite {
        /// The address.
        address: IpAddr,
    },
    /// Public addresses are scanned with a permission only, also where a zone declares them.
    #[error("{address} is a public address, and there is no permission for it")]
    Public {
        /// The address.
        address: IpAddr,
    },
}

/// A network, or one address as a network of its full length.
struct Range(IpNet);

impl FromStr for Range {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let address = text.parse::<IpAddr>().map(IpNet::from);
        let network = text.parse::<IpNet>().or(address);
        network
            .map(Self)
            .map_err(|_| format!("`{text}` is not an address or a network such as 10.7.10.0/24"))
    }
}

impl Denial {
    /// The reason without the address, so that neighbours that are refused for the same reason make one range.
    pub fn reason(&self) -> String {
        match self {
            Self::Address { owner, .. } => format!("not in the permission of {owner}"),
            Self::NoZone { site, .. } => {
                format!("in no declared zone of {site}, and there is no permission for it")
            }
            Self::NoSite { .. } => "there is no site and no permission".into(),
            Self::Public { .. } => "a public address, and there is no permission for it".into(),
            Self::Expired { .. } | Self::Port { .. } => self.to_string(),
        }
    }
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
            let ranges = section.parsed::<Range>("ranges");
            let exclude = section.parsed::<Range>("exclude");
            let ports = section.parsed("ports");
            let expires = section.required("expires");
            let offset = section.offset;
            section.finish();
            if ranges.is_empty() {
                document.problem(offset, "permission has no `ranges`: it permits nothing");
            }
            let expires = expires?;
            let Ok(expires) = expires.value.parse() else {
                let what = "`expires` must be a time with its zone, such as 2026-12-31T18:00:00+01:00";
                document.problem(expires.offset, what);
                return None;
            };
            Some(Self {
                owner: owner?.value,
                contact: contact?.value,
                ranges: ranges.into_iter().map(|range| range.value.0).collect(),
                exclude: exclude.into_iter().map(|range| range.value.0).collect(),
                ports: ports.into_iter().map(|port| port.value).collect(),
                expires,
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

    /// Whether this address and port may be scanned now.
    ///
    /// # Errors
    /// The reason why not.
    pub fn allows(&self, address: IpAddr, port: Port, now: Timestamp) -> Result<(), Denial> {
        let owner = || self.owner.clone();
        if now >= self.expires {
            return Err(Denial::Expired {
                owner: owner(),
                expired: self.expires,
            });
        }
        if !self.ranges.contains(address) || self.exclude.contains(address) {
            return Err(Denial::Address {
                owner: owner(),
                address,
            });
        }
        if !self.ports.is_empty() && !self.ports.contains(&port) {
            return Err(Denial::Port { owner: owner(), port });
        }
        Ok(())
    }
}

/// Whether an address and port may be scanned: by the permission if there is one; else inside the declared zones, if
/// the address is not public. Loopback is this host and always permitted.
///
/// # Errors
/// The reason why not.
pub fn may_scan(
    address: IpAddr,
    port: Port,
    site: Option<&Site>,
    permission: Option<&Permission>,
    now: Timestamp,
) -> Result<(), Denial> {
    let address = address.to_canonical();
    if address.is_loopback() {
        return Ok(());
    }
    if let Some(permission) = permission {
        return permission.allows(address, port, now);
    }
    if is_public(address) {
        return Err(Denial::Public { address });
    }
    match site {
        Some(site) if site.declares(address) => Ok(()),
        Some(site) => Err(Denial::NoZone {
            address,
            site: site.name.clone(),
        }),
        None => Err(Denial::NoSite { address }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
[permission]
owner = "Kari Nordmann"
contact = "+47 555 01 234"
ranges = ["198.51.100.0/24"]
exclude = ["198.51.100.7"]
ports = ["tcp/54321"]
expires = "2026-12-31T18:00:00+01:00"
"#;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn it_permits_what_it_says_and_nothing_else() {
        let permission = Permission::parse("permission.toml", TEXT).unwrap();
        let now = "2026-12-31T16:59:59Z".parse().unwrap();
        let port = Port::tcp(54321);
        assert_eq!(permission.allows(ip("198.51.100.8"), port, now), Ok(()));
        assert!(matches!(
            permission.allows(ip("198.51.100.7"), port, now),
            Err(Denial::Address { .. })
        ));
        assert!(matches!(
            permission.allows(ip("198.51.101.1"), port, now),
            Err(Denial::Address { .. })
        ));
        assert!(matches!(
            permission.allows(ip("198.51.100.8"), Port::tcp(80), now),
            Err(Denial::Port { .. })
        ));
        let later = "2026-12-31T17:00:00Z".parse().unwrap();
        assert!(matches!(
            permission.allows(ip("198.51.100.8"), port, later),
            Err(Denial::Expired { .. })
        ));
    }

    #[test]
    fn without_a_permission_only_declared_zones_that_are_not_public_may_be_scanned() {
        let now = Timestamp::UNIX_EPOCH;
        let port = Port::tcp(1);
        let site = Site::parse(
            "s",
            "[site]\nname='p'\n[[zone]]\nname='a'\nnetworks=['10.1.0.0/16']\n",
        )
        .unwrap();
        assert_eq!(may_scan(ip("10.1.0.9"), port, Some(&site), None, now), Ok(()));
        assert!(matches!(
            may_scan(ip("10.2.0.9"), port, Some(&site), None, now),
            Err(Denial::NoZone { .. })
        ));
        assert!(matches!(
            may_scan(ip("10.2.0.9"), port, None, None, now),
            Err(Denial::NoSite { .. })
        ));
        assert!(matches!(
            may_scan(ip("9.9.9.9"), port, Some(&site), None, now),
            Err(Denial::Public { .. })
        ));
        assert!(matches!(
            may_scan(ip("8.8.8.8"), port, None, None, now),
            Err(Denial::Public { .. })
        ));
        assert_eq!(may_scan(ip("127.0.0.1"), port, Some(&site), None, now), Ok(()));
    }

    #[test]
    fn its_mistakes_are_told_together() {
        let error = Permission::parse(
            "p",
            "[permission]\nowner = \"\"\nranges = [\"x\"]\nexpires = \"soon\"\n",
        );
        assert_eq!(error.unwrap_err().problems.len(), 5);
    }
}

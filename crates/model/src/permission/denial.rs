//! Why something may not be scanned, in words.

use std::net::IpAddr;

use jiff::Timestamp;

use crate::Port;

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
    /// The permission's time has not come.
    #[error("the permission of {owner} permits nothing before {starts}")]
    NotYet {
        /// Who gave it.
        owner: String,
        /// When it begins.
        starts: Timestamp,
    },
    /// The permission permits nothing at this hour of the week.
    #[error("the permission of {owner} permits nothing at this hour; {next}")]
    Closed {
        /// Who gave it.
        owner: String,
        /// When it opens again, in words and in the time zone of the permission.
        next: String,
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
    /// The file was changed while the scan ran; the first version would have permitted it.
    #[error("{0}, since it was tightened while the scan ran")]
    Tightened(Box<Denial>),
    /// The file went away or cannot be trusted any more.
    #[error("the permission was withdrawn: {why}")]
    Withdrawn {
        /// What became of the file.
        why: String,
    },
}

impl Denial {
    /// The reason without the address and port, so that neighbours that are refused for the same reason make one range.
    pub fn reason(&self) -> String {
        match self {
            Self::Address { owner, .. } => format!("not in the permission of {owner}"),
            Self::NoZone { site, .. } => {
                format!("in no declared zone of {site}, and there is no permission for it")
            }
            Self::NoSite { .. } => "there is no site and no permission".into(),
            Self::Public { .. } => "a public address, and there is no permission for it".into(),
            Self::Port { owner, .. } => format!("port not in the permission of {owner}"),
            Self::Tightened(denial) => {
                format!("{}, since it was tightened while the scan ran", denial.reason())
            }
            Self::Expired { .. } | Self::NotYet { .. } | Self::Closed { .. } | Self::Withdrawn { .. } => {
                self.to_string()
            }
        }
    }

    /// Whether it is a matter of time alone: the same may be permitted later.
    pub fn is_for_now(&self) -> bool {
        matches!(self, Self::NotYet { .. } | Self::Closed { .. })
    }
}

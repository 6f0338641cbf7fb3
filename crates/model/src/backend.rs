//! The firewall systems that are driven on a host.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A firewall system.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BackendName {
    /// Native nftables, by `nft`.
    #[default]
    Nftables,
    /// iptables and ip6tables over nf_tables.
    IptablesNft,
    /// iptables and ip6tables over the kernel's older interface.
    IptablesLegacy,
    /// iptables and ip6tables of hosts that have only one kind of them: older than nftables, or without it.
    Iptables,
    /// firewalld, by `firewall-cmd`.
    Firewalld,
    /// ufw, by its own files and iptables.
    Ufw,
}

impl BackendName {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Nftables,
        Self::IptablesNft,
        Self::IptablesLegacy,
        Self::Iptables,
        Self::Firewalld,
        Self::Ufw,
    ];
}

impl fmt::Display for BackendName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nftables => "nftables",
            Self::IptablesNft => "iptables-nft",
            Self::IptablesLegacy => "iptables-legacy",
            Self::Iptables => "iptables",
            Self::Firewalld => "firewalld",
            Self::Ufw => "ufw",
        })
    }
}

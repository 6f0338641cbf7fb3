//! Texts for devices that Portcullis cannot drive itself: a person reads them, fills in what stands in `<ANGLES>`, and
//! pastes them.
//!
//! Each system has its file, with its traps as comments in the text itself. What was neither tried on a real device nor
//! found in its documentation is listed in each text. What is known of which system, and from where: `docs/dialects.md`.

mod ansible;
mod aws_sg;
mod azure_nsg;
mod cisco_asa;
mod cisco_ios;
mod document;
mod firewalld;
mod fortigate;
mod juniper_srx;
mod mikrotik;
mod moxa_edr;
mod palo_alto;
mod pf;
mod plain;
#[cfg(test)]
mod tests;
mod ufw;
mod windows;

use std::{fmt, net::IpAddr, str::FromStr, time::Duration};

use ipnet::IpNet;
use portcullis_model::{BackendName, NetworkSet, Port, Transport};

use crate::{FirewallError, closing::Closing, complement, family::Family};

pub use document::{Document, Section, Step};

/// A system whose words are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dialect {
    /// Windows Defender Firewall.
    Windows,
    /// Cisco IOS and IOS XE.
    CiscoIos,
    /// Cisco ASA, since 9.0.
    CiscoAsa,
    /// Juniper SRX.
    JuniperSrx,
    /// Palo Alto Networks PAN-OS.
    PaloAlto,
    /// Fortinet FortiGate, since FortiOS 6.4.
    FortiGate,
    /// pf of OpenBSD and FreeBSD.
    Pf,
    /// MikroTik RouterOS.
    MikroTik,
    /// Moxa secure routers of the EDR series.
    MoxaEdr,
    /// Security groups of Amazon EC2.
    AwsSg,
    /// Network security groups of Azure.
    AzureNsg,
    /// A playbook for Linux hosts.
    Ansible,
    /// Native nftables.
    Nftables,
    /// iptables and ip6tables.
    Iptables,
    /// ufw.
    Ufw,
    /// firewalld.
    Firewalld,
}

impl Dialect {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::Windows,
        Self::CiscoIos,
        Self::CiscoAsa,
        Self::JuniperSrx,
        Self::PaloAlto,
        Self::FortiGate,
        Self::Pf,
        Self::MikroTik,
        Self::MoxaEdr,
        Self::AwsSg,
        Self::AzureNsg,
        Self::Ansible,
        Self::Nftables,
        Self::Iptables,
        Self::Ufw,
        Self::Firewalld,
    ];

    /// Whether it is the firewall of the host itself; the others stand before the hosts and must be told which.
    pub fn is_of_host(self) -> bool {
        matches!(
            self,
            Self::Windows
                | Self::Pf
                | Self::Ansible
                | Self::Nftables
                | Self::Iptables
                | Self::Ufw
                | Self::Firewalld
        )
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Windows => "windows",
            Self::CiscoIos => "cisco-ios",
            Self::CiscoAsa => "cisco-asa",
            Self::JuniperSrx => "juniper-srx",
            Self::PaloAlto => "palo-alto",
            Self::FortiGate => "fortigate",
            Self::Pf => "pf",
            Self::MikroTik => "mikrotik",
            Self::MoxaEdr => "moxa-edr",
            Self::AwsSg => "aws-sg",
            Self::AzureNsg => "azure-nsg",
            Self::Ansible => "ansible",
            Self::Nftables => "nftables",
            Self::Iptables => "iptables",
            Self::Ufw => "ufw",
            Self::Firewalld => "firewalld",
        })
    }
}

/// A text that names no dialect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a dialect: use one of {}", portcullis_model::sanitize(.0), Dialect::ALL.map(|dialect| dialect.to_string()).join(", "))]
pub struct DialectError(String);

impl FromStr for Dialect {
    type Err = DialectError;

    fn from_str(text: &str) -> Result<Self, DialectError> {
        let named = Self::ALL.into_iter().find(|dialect| dialect.to_string() == text);
        named.ok_or_else(|| DialectError(text.into()))
    }
}

/// What is to be closed, for whom it stays open, and how long the trial is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Six hexadecimal digits that name the change. All names in the texts are made from them.
    pub tag: String,
    /// The port.
    pub port: Port,
    /// Who still gets through.
    pub allow: NetworkSet,
    /// Addresses of the hosts whose port is closed; for the firewall of a host, the hosts behind it, or the host itself
    /// when empty.
    pub assets: Vec<IpAddr>,
    /// How long the change stands without being confirmed.
    pub trial: Duration,
}

impl Order {
    /// Everybody who is not let through, as the fewest networks, IPv4 first: for a system that is not among the dialects
    /// and can only block.
    pub fn shut_out(&self) -> Vec<IpNet> {
        let of = |family| complement::networks(&self.allow, family);
        Family::BOTH.into_iter().flat_map(of).collect()
    }

    /// The name of all that the change makes.
    fn name(&self) -> String {
        format!("portcullis-{}", self.tag)
    }

    /// The trial, at least a second.
    fn seconds(&self) -> u64 {
        self.trial.as_secs().max(1)
    }

    /// The trial where a device counts minutes: rounded up, for nobody must have less time than was asked for.
    fn minutes(&self) -> u64 {
        self.seconds().div_ceil(60)
    }

    /// Who still gets through in a family.
    fn allowed(&self, family: Family) -> Vec<IpNet> {
        let networks = self.allow.networks().iter();
        networks
            .filter(|network| family.is_of(network.addr()))
            .copied()
            .collect()
    }

    /// The assets of a family.
    fn assets_of(&self, family: Family) -> Vec<IpAddr> {
        let assets = self.assets.iter();
        assets.filter(|asset| family.is_of(**asset)).copied().collect()
    }

    /// The families in which somebody is shut out. In one that is allowed as a whole nothing is to be blocked.
    fn closed(&self) -> Vec<Family> {
        let concerned = |family: &Family| self.assets.is_empty() || !self.assets_of(*family).is_empty();
        let open = |family: &Family| complement::ranges(&self.allow, *family).is_empty();
        Family::BOTH
            .into_iter()
            .filter(|family| concerned(family) && !open(family))
            .collect()
    }

    /// The same as a closing of our own backends.
    fn closing(&self) -> Closing {
        Closing {
            behind: self.assets.clone(),
            ..Closing::new(&self.tag, self.port, self.allow.clone())
        }
    }

    /// Whether somebody is let through in a family that is closed.
    fn allows(&self) -> bool {
        self.closed()
            .into_iter()
            .any(|family| !self.allowed(family).is_empty())
    }

    /// What the change is, in sentences.
    fn head(&self, dialect: Dialect) -> Vec<String> {
        let allow = if self.allow.is_empty() {
            "none".to_owned()
        } else {
            self.allow.to_string()
        };
        vec![
            format!(
                "Portcullis, change {}, for {dialect}: closes {} of {}.",
                self.tag,
                self.port,
                self.whose(dialect)
            ),
            format!("Allowed sources: {allow}. {}", self.families(dialect)),
            match dialect {
                Dialect::Ansible => {
                    "Portcullis does not run this. Read it whole. Run one step at a time, and stop at the first task \
                     that fails."
                }
                Dialect::MoxaEdr => {
                    "Portcullis does not do this. Read it whole, and fill in what stands in <ANGLES>. Do one step at a \
                     time, and stop where a page says something else."
                }
                _ => {
                    "Portcullis does not run this. Read it whole, and fill in what stands in <ANGLES>; a line that still \
                     holds one must not be pasted. Paste one step at a time, and stop at the first line that is refused."
                }
            }
            .into(),
        ]
    }

    /// Whose port is closed.
    fn whose(&self, dialect: Dialect) -> String {
        let assets = joined(&self.assets, ", ");
        match dialect {
            Dialect::Windows if !self.assets.is_empty() => {
                format!("the host on which this is run, on all its addresses (asked for: {assets})")
            }
            Dialect::AwsSg => format!("{assets}, and of all else that has their security groups"),
            Dialect::Ansible if self.assets.is_empty() => {
                format!("the hosts of the group portcullis_{}", self.tag)
            }
            _ if self.assets.is_empty() => "the host on which this is run".to_owned(),
            _ => assets,
        }
    }

    /// Which families are closed, and why one is not.
    fn families(&self, dialect: Dialect) -> String {
        // These two close a port whatever the address of the host is.
        let whatever = matches!(dialect, Dialect::Windows | Dialect::AwsSg);
        let told = |family: Family| {
            let name = match family {
                Family::V4 => "IPv4",
                Family::V6 => "IPv6",
            };
            if complement::ranges(&self.allow, family).is_empty() {
                format!("{name} stays open: it is allowed as a whole.")
            } else if whatever || self.assets.is_empty() || !self.assets_of(family).is_empty() {
                format!("{name} is closed.")
            } else {
                format!("{name} is not closed: no such address was given.")
            }
        };
        Family::BOTH.map(told).join(" ")
    }
}

/// Things with something between them.
fn joined<T: fmt::Display>(things: &[T], between: &str) -> String {
    let texts: Vec<String> = things.iter().map(T::to_string).collect();
    texts.join(between)
}

/// Ends every check: a device that says it blocks has not proved it. Another service of the asset is the control.
fn prove(order: &Order) -> String {
    let (attempt, fails) = match order.port.transport {
        Transport::Tcp => ("a connection to the port", "fail"),
        Transport::Udp => ("a request to the port", "stay without an answer"),
    };
    if order.allows() {
        format!(
            "Then prove it from outside: {attempt} must {fails} from a host outside the allowed sources, and succeed from \
             one in them. Another service of the asset must still answer both."
        )
    } else {
        format!(
            "Then prove it from outside: {attempt} must {fails}, and another service of the asset must still answer the \
             same host."
        )
    }
}

/// A trap of every device that stands between networks.
const BESIDE: &str = "Hosts in the asset's own network reach it without passing this device.";

/// The change in the words of a system.
///
/// # Errors
/// When a device that stands before the hosts is not told which, or when nobody would be shut out.
pub fn write(dialect: Dialect, order: &Order) -> Result<Document, FirewallError> {
    if !dialect.is_of_host() && order.assets.is_empty() {
        return Err(FirewallError::NoAssets(dialect));
    }
    if order.closed().is_empty() {
        return Err(FirewallError::NobodyShutOut(order.port));
    }
    // Nothing but digits of a tag comes into a text, whatever it was made of.
    let mut order = order.clone();
    order.tag.retain(|c| c.is_ascii_hexdigit());
    order.tag.truncate(6);
    let mut document = match dialect {
        Dialect::Windows => windows::document(&order),
        Dialect::CiscoIos => cisco_ios::document(&order),
        Dialect::CiscoAsa => cisco_asa::document(&order),
        Dialect::JuniperSrx => juniper_srx::document(&order),
        Dialect::PaloAlto => palo_alto::document(&order),
        Dialect::FortiGate => fortigate::document(&order),
        Dialect::Pf => pf::document(&order),
        Dialect::MikroTik => mikrotik::document(&order),
        Dialect::MoxaEdr => moxa_edr::document(&order),
        Dialect::AwsSg => aws_sg::document(&order),
        Dialect::AzureNsg => azure_nsg::document(&order),
        Dialect::Ansible => ansible::document(&order),
        Dialect::Nftables => plain::document(&order, BackendName::Nftables),
        Dialect::Iptables => plain::document(&order, BackendName::IptablesNft),
        Dialect::Ufw => ufw::document(&order),
        Dialect::Firewalld => firewalld::document(&order),
    };
    document.head = order.head(dialect);
    Ok(document)
}

//! The shapes of firewall logs that can be read.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A shape of log. What only differs in the rule's prefix (ufw, firewalld, Shorewall, OpenWrt, UniFi) is one shape:
/// that of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// The kernel's LOG target in any syslog, dmesg, and ulogd LOGEMU.
    Kernel,
    /// `journalctl -o json`.
    JournalJson,
    /// `journalctl -o export`.
    JournalExport,
    /// The JSON output of ulogd 2.
    UlogdJson,
    /// A netfilter log group: live, or a capture of link type 239.
    Nflog,
    /// `pfirewall.log` of Windows.
    Windows,
    /// Cisco ASA.
    Asa,
    /// Cisco IOS access lists.
    Ios,
    /// FortiGate `key=value`.
    Fortigate,
    /// Palo Alto traffic log, comma separated.
    PaloAlto,
    /// `filterlog` of pfSense and OPNsense.
    Filterlog,
    /// Juniper RT_FLOW, plain and structured.
    Junos,
    /// MikroTik RouterOS firewall topic.
    Mikrotik,
    /// Suricata EVE, flows and alerts.
    Suricata,
    /// Zeek `conn.log`, tab separated.
    ZeekTsv,
    /// Zeek `conn.log`, JSON.
    ZeekJson,
}

impl LogFormat {
    /// All of them, in the order in which they are told.
    pub const ALL: [Self; 16] = [
        Self::Kernel,
        Self::JournalJson,
        Self::JournalExport,
        Self::UlogdJson,
        Self::Nflog,
        Self::Windows,
        Self::Asa,
        Self::Ios,
        Self::Fortigate,
        Self::PaloAlto,
        Self::Filterlog,
        Self::Junos,
        Self::Mikrotik,
        Self::Suricata,
        Self::ZeekTsv,
        Self::ZeekJson,
    ];

    /// Its name, as on the command line and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::JournalJson => "journal-json",
            Self::JournalExport => "journal-export",
            Self::UlogdJson => "ulogd-json",
            Self::Nflog => "nflog",
            Self::Windows => "windows",
            Self::Asa => "asa",
            Self::Ios => "ios",
            Self::Fortigate => "fortigate",
            Self::PaloAlto => "palo-alto",
            Self::Filterlog => "filterlog",
            Self::Junos => "junos",
            Self::Mikrotik => "mikrotik",
            Self::Suricata => "suricata",
            Self::ZeekTsv => "zeek-tsv",
            Self::ZeekJson => "zeek-json",
        }
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A text that names no format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} is no log format; there are {}", crate::sanitize(.0), names())]
pub struct NotALogFormat(String);

fn names() -> String {
    LogFormat::ALL.map(LogFormat::name).join(", ")
}

impl FromStr for LogFormat {
    type Err = NotALogFormat;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|format| format.name() == text)
            .ok_or_else(|| NotALogFormat(text.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_back_and_is_the_same_in_json() {
        for format in LogFormat::ALL {
            assert_eq!(format.name().parse(), Ok(format));
            let json = serde_json::to_string(&format).unwrap();
            assert_eq!(json, format!("\"{format}\""));
        }
        let error = "moxa".parse::<LogFormat>().unwrap_err().to_string();
        assert!(
            error.contains("moxa is no log format") && error.contains("zeek-json"),
            "{error}"
        );
    }
}

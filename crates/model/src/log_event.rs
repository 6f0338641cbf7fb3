//! One event of a firewall log, without the guesses that log readers usually add.

use std::{fmt, net::IpAddr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Port, Untrusted};

/// What the firewall did with the packet, as far as the log proves it. A kernel LOG line alone carries no verdict: it
/// is `Unknown` unless its prefix is one whose rule is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Let through.
    Allowed,
    /// Dropped or rejected.
    Blocked,
    /// The log does not tell.
    Unknown,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allowed => "allowed",
            Self::Blocked => "blocked",
            Self::Unknown => "unknown",
        })
    }
}

/// Where an event was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum LogSource {
    /// A line of a file: path as given, line number from 1, offset of its first byte.
    File {
        /// Path as given on the command line.
        path: String,
        /// Line number, from 1.
        line: u64,
        /// Offset of the first byte of the line.
        offset: u64,
    },
    /// A netfilter log group of the running kernel.
    Nflog {
        /// Group number.
        group: u16,
    },
}

/// One logged packet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEvent {
    /// When, in UTC; `None` when the line has no time that can be read.
    pub at: Option<Timestamp>,
    /// What had to be assumed about the time (zone, year), in plain words.
    pub time_assumed: Option<String>,
    /// What the log proves of the verdict.
    pub verdict: Verdict,
    /// Source address.
    pub source: IpAddr,
    /// Destination address.
    pub destination: IpAddr,
    /// Destination port, for TCP and UDP.
    pub port: Option<Port>,
    /// Source port, for TCP and UDP.
    pub source_port: Option<u16>,
    /// Interface the packet came in by.
    pub interface: Option<Untrusted>,
    /// The rule's log prefix, trimmed.
    pub prefix: Untrusted,
    /// Where it was read.
    pub read_from: LogSource,
}

//! One event of a firewall log, without the guesses that log readers usually add.

use std::{fmt, net::IpAddr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{LogFormat, Port, TcpFlags, Untrusted};

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
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
    /// An entry of systemd's journal.
    Journal {
        /// When it came, by the journal's own account, in microseconds since 1970 (UTC).
        realtime: u64,
    },
    /// A message of syslog that was received.
    Syslog {
        /// Where it was listened for, such as `udp://192.0.2.1:514`.
        listener: String,
        /// Who sent it, or handed it on.
        from: IpAddr,
    },
}

/// Which moment of a conversation a line tells of. A firewall that logs the beginning and the end of a session writes two
/// lines for one attempt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogMoment {
    /// A packet, or a session that was refused.
    #[default]
    Packet,
    /// A session was opened, or the first of it that was dropped is told and it has other lines.
    Begin,
    /// A session is over; the line tells of all of it.
    End,
    /// Something about a session or a packet that may have lines of its own, such as an alert, or a packet that is logged before it is
    /// judged.
    Within,
}

/// One logged packet or session. Fields with a default came later than the first stored events.
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
    /// The shape of the line.
    #[serde(default = "kernel")]
    pub format: LogFormat,
    /// Which moment of a conversation the line tells of.
    #[serde(default)]
    pub moment: LogMoment,
    /// Whether the log tells which of the two began; if not, they may be the other way round.
    #[serde(default = "yes")]
    pub directed: bool,
    /// Protocol number (IANA), when the log tells one.
    #[serde(default)]
    pub protocol: Option<u8>,
    /// Flags of the TCP segment, when the log tells them.
    #[serde(default)]
    pub flags: Option<TcpFlags>,
    /// Interface the packet went out by.
    #[serde(default)]
    pub out_interface: Option<Untrusted>,
    /// How many packets or connections the line stands for; 1 for most, 0 for one of many lines within a session.
    #[serde(default = "one")]
    pub count: u64,
    /// Bytes of the session in both directions, or of the packet, when the log tells them.
    #[serde(default)]
    pub bytes: Option<u64>,
    /// Length of the session in milliseconds, when the log tells it.
    #[serde(default)]
    pub duration_ms: Option<u64>,
}

/// What was stored before formats were told came from kernels.
fn kernel() -> LogFormat {
    LogFormat::Kernel
}

fn yes() -> bool {
    true
}

fn one() -> u64 {
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_that_was_stored_before_there_were_formats_is_still_read() {
        let old = r#"{"at":"2026-11-22T22:56:51Z","time_assumed":null,"verdict":"blocked","source":"192.0.2.7",
            "destination":"10.7.10.4","port":"tcp/54321","source_port":40000,"interface":"eth0","prefix":"x",
            "read_from":{"kind":"nflog","group":5}}"#;
        let event: LogEvent = serde_json::from_str(old).unwrap();
        assert_eq!(
            (event.format, event.count, event.moment),
            (LogFormat::Kernel, 1, LogMoment::Packet)
        );
        let again = serde_json::to_string(&event).unwrap();
        assert_eq!(serde_json::from_str::<LogEvent>(&again).unwrap(), event);
    }
}

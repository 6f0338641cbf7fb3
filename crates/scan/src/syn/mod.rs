//! Half a handshake: one SYN to each port, and the answers, without a connection and without state per port.
//!
//! It is for large networks. It sends whole Ethernet frames (`packet(7)`), so that it needs CAP_NET_RAW; it names no
//! service, for it never has a connection. See [`WARNING`] for why it is not the default.
//!
//! Nothing is remembered of a packet that was sent: who it went to is proved by the answer itself. What is kept is two
//! bits for each port, and what was answered.

mod answer;
mod cookie;
mod engine;
mod error;
mod found;
mod frame;
mod neighbour;
mod order;
mod resolve;
mod source_ports;
mod teller;
mod tempo;
mod verdict;
mod walk;
mod ways;

use std::{net::IpAddr, sync::Arc, time::Duration};

use portcullis_model::{Port, RunId, Vantage};

pub use engine::scan;
pub use error::SynError;

use crate::{Brake, Pace, ScanOutcome, checkpoint::Entry};

/// What must be said before a SYN scan begins.
pub const WARNING: &str = "A SYN scan leaves connections half open until this host's kernel resets them. Half-open connections \
and bare SYN packets have hung serial device servers (CVE-2017-14028, ICSA-17-320-01: Moxa NPort 5110, 5130 and 5150; \
CVE-2018-10632, ICSA-18-200-04: Moxa NPort 5210, 5230 and 5232). No port gets a second SYN while the first may still be \
answered. For fragile devices use --mode connect.";

/// Whether an Ethernet frame is taken for an answer to a SYN that carried a cookie made with this secret. The engine reads
/// frames so; it is public for those who hold it against hostile ones.
pub fn is_answer(frame: &[u8], secret: [u64; 2]) -> bool {
    answer::read(frame, &cookie::Cookies::new(secret, 1024..=u16::MAX)).is_some()
}

/// A total rate from which on nothing is held back; the cap per host holds all the same.
pub const UNLIMITED: u32 = crate::pace::UNLIMITED;

/// How often a silent port is asked at most, where loss leaves doubt.
pub const MOST_LOOKS: u32 = crate::loss::MOST_LOOKS;

/// How long after the last SYN answers are waited for: as long as a connection attempt waits.
pub const DEFAULT_ANSWER_WAIT: Duration = crate::DEFAULT_CONNECT_TIMEOUT;

/// What to scan and how.
#[derive(Debug, Clone)]
pub struct SynRequest {
    /// The run that the observations belong to.
    pub run: RunId,
    /// Where it looks from.
    pub vantage: Vantage,
    /// The addresses.
    pub addresses: Vec<IpAddr>,
    /// The interfaces of link-local addresses (RFC 4007).
    pub scopes: Vec<(IpAddr, u32)>,
    /// The ports. UDP ports come back as not tested.
    pub ports: Vec<Port>,
    /// How fast. `host_connections` does not matter: no connection is ever made.
    pub pace: Pace,
    /// What holds it back beside its pace.
    pub brake: Arc<Brake>,
    /// What an earlier part of the same run has kept.
    pub earlier: Vec<Entry>,
    /// How often a silent port is asked at most, see [`MOST_LOOKS`]; at least once.
    pub most_looks: u32,
    /// How long answers are waited for after the last SYN of an attempt.
    pub answer_wait: Duration,
}

/// The result of a SYN scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SynOutcome {
    /// What was seen, silent and not tested. `packets_sent` counts SYN packets and questions for Ethernet addresses, not
    /// the resets of our kernel.
    pub scan: ScanOutcome,
    /// Frames that looked like answers and were not to a SYN of ours.
    pub strays: u64,
    /// Frames that the kernel dropped because they were not fetched fast enough. Above 0 a silence may have been an
    /// answer.
    pub lost: u64,
    /// From the first SYN to the last.
    pub sending: Duration,
}

#[cfg(test)]
mod tests;

//! Reads firewall logs honestly: lines and packets in, events and a summary out.
//!
//! It opens no file and no socket and reads no clock. A verdict is only told when the rule's prefix proves it; what had
//! to be assumed about a time is said; what cannot be read is an outcome of its own, with the reason.
//!
//! Verbs: parse a line ([`kernel::parse_line`]), read a log ([`read_log`]), read a packet ([`packet_event`]), sum up
//! ([`Summary`]).
//!
//! ```
//! use portcullis_logs::{Prefixes, Settings, Summary, TimeContext, read_log};
//! let log = b"2026-11-22T23:56:51+01:00 gw kernel: portcullis-drop IN=eth0 OUT= SRC=192.0.2.7 DST=10.7.10.4 \
//!     PROTO=TCP SPT=40000 DPT=54321 SYN\n";
//! let settings = Settings {
//!     time: TimeContext {
//!         now: "2026-11-23T12:00:00Z".parse()?,
//!         timezone: jiff::tz::TimeZone::UTC,
//!         file_modified: None,
//!     },
//!     prefixes: Prefixes::default(),
//! };
//! let mut summary = Summary::of_all_ports();
//! for line in read_log(log.as_slice(), "kern.log", &settings) {
//!     summary.add_outcome(&line.outcome);
//! }
//! let report = summary.report(10);
//! assert_eq!((report.verdicts.blocked, report.sources.len()), (1, 1));
//! # Ok::<(), jiff::Error>(())
//! ```

pub mod kernel;
mod packet;
mod prefix;
mod reader;
mod summary;
mod time;

use portcullis_model::LogEvent;

pub use packet::{LoggedPacket, PacketError, packet_event};
pub use prefix::Prefixes;
pub use reader::{LogLine, LogLines, read_log};
pub use summary::{LogReport, PortCount, SourceReport, Summary, VerdictCounts};
pub use time::TimeContext;

/// What the reader of a log must know that the log does not say.
#[derive(Debug, Clone)]
pub struct Settings {
    /// For lines without a year or a zone.
    pub time: TimeContext,
    /// Which prefixes prove a verdict.
    pub prefixes: Prefixes,
}

/// What a line turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LineOutcome {
    /// A logged packet.
    Event(Box<LogEvent>),
    /// Something else that is logged to the same file.
    Unrelated,
    /// It should be a logged packet and cannot be read, for this reason.
    Unreadable(String),
}

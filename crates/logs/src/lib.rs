//! Reads firewall logs honestly and fast: lines and packets in, events and a summary out.
//!
//! It opens no file and no socket and reads no clock. A verdict is only told when the line proves it; what had to be
//! assumed about a time is said; what cannot be read is an outcome of its own, with the reason.
//!
//! Verbs: read a line ([`LineReader`]), read a log with as many threads as there are sinks ([`read_log`]), read a packet
//! ([`read_packet`], [`read_frame`]), cut a stream of syslog
//! ([`Framing`]), resolve a time ([`Clock`]), sum up ([`Summary`], [`Shared`]) with what
//! no log tells ([`Facts`]), infer sessions ([`Sessions`]), unpack
//! ([`decoded`]), tell why a file holds nothing that can be read ([`unfit()`]), order rotated files ([`in_order`]), look for signs ([`detection::Detector`]).
//!
//! ```
//! use portcullis_logs::{Prefixes, Settings, Shared, Summary, TimeContext, Years, read_log};
//! let log = b"2026-11-22T23:56:51+01:00 gw kernel: portcullis-drop IN=eth0 OUT= SRC=192.0.2.7 DST=10.7.10.4 \
//!     PROTO=TCP SPT=40000 DPT=54321 SYN\n";
//! let settings = Settings {
//!     time: TimeContext {
//!         now: "2026-11-23T12:00:00Z".parse()?,
//!         timezone: jiff::tz::TimeZone::UTC,
//!         file_modified: None,
//!         years: Years::default(),
//!     },
//!     prefixes: Prefixes::default(),
//!     format: None,
//! };
//! let shared = Shared::new(Summary::of_all_ports());
//! read_log(log.as_slice(), "kern.log", &settings, &mut shared.counters(2));
//! let report = shared.into_summary().report(10);
//! assert_eq!((report.verdicts.blocked, report.sources.len()), (1, 1));
//! # Ok::<(), jiff::Error>(())
//! ```

mod blocks;
mod clock;
mod columns;
mod decode;
pub mod detection;
mod digits;
mod entries;
mod event;
mod format;
mod framing;
mod lost;
mod pairs;
mod prefix;
mod read;
mod reason;
mod series;
mod summary;
mod syslog;
mod time;
mod unfit;
mod words;
mod years;

use portcullis_model::LogFormat;

pub use clock::{Clock, Moment, RawTime};
pub use columns::Columns;
pub use decode::decoded;
pub use event::{Event, Line, TCP, UDP};
pub use format::{LineReader, LoggedPacket, read_frame, read_packet, sign};
pub use framing::{Frame, Framing, NoFrame};
pub use lost::{Lost, LostBy};
pub use prefix::Prefixes;
pub use read::{LogRead, Place, Sink, read_log};
pub use reason::Reason;
pub use series::{in_order, is_of_two_ways};
pub use summary::{
    ChangeReport, ChangeTimes, Counter, Countries, Facts, FormatCount, GroupCount, LogReport, LossCount,
    LossLine, NotCountries, OwnScan, OwnScanReport, OwnScans, PhaseCounts, PortCount, ReasonCount,
    ServiceCount, SessionReport, Sessions, Shared, SourceReport, Summary, TimeSpan, TimelineReport,
    UnreadableLine, VerdictCounts, Way,
};
pub use time::TimeContext;
pub use unfit::{Unfit, ends_with_returns, unfit};
pub use years::Years;

/// Bytes of a line, or of an entry, that are looked at. The kernel's own lines end before 1024 (`S_SIZE` in `nf_log.h`), the
/// longest of firewalls are of a few thousand.
pub const LONGEST_LINE: usize = 64 * 1024;

/// What the reader of a log must know that the log does not say.
#[derive(Debug, Clone)]
pub struct Settings {
    /// For lines without a year or a zone.
    pub time: TimeContext,
    /// Which prefixes prove a verdict.
    pub prefixes: Prefixes,
    /// The format, when it is not to be found out.
    pub format: Option<LogFormat>,
}

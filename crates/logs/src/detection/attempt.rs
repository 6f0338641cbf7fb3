//! Which events are attempts to connect, and how each went.
//!
//! A firewall that logs the beginning and the end of a session writes two lines for one attempt. Once a format was seen to
//! log ends, its beginnings are no attempts of their own.

use std::{collections::BTreeSet, time::Duration};

use portcullis_model::{LogEvent, LogFormat, LogMoment, TcpFlags, Verdict};

/// An attempt to connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Attempt {
    /// What the log proves.
    pub(super) verdict: Verdict,
    /// How long the session was, when the log tells it.
    pub(super) length: Option<Duration>,
}

#[derive(Debug, Default)]
pub(super) struct Attempts {
    with_ends: BTreeSet<LogFormat>,
}

impl Attempts {
    /// `None` for what is no attempt: segments inside a TCP connection, beginnings whose end is logged too, and lines that do not
    /// tell who began.
    pub(super) fn of(&mut self, event: &LogEvent) -> Option<Attempt> {
        if !event.directed {
            return None;
        }
        match event.moment {
            LogMoment::End => {
                self.with_ends.insert(event.format);
            }
            LogMoment::Begin if self.with_ends.contains(&event.format) => return None,
            LogMoment::Packet if event.flags.is_some_and(inside_a_connection) => return None,
            LogMoment::Within => return None,
            LogMoment::Begin | LogMoment::Packet => {}
        }
        Some(Attempt {
            verdict: event.verdict,
            length: event.duration_ms.map(Duration::from_millis),
        })
    }
}

/// The first segment of a connection has SYN and no ACK (RFC 9293, 3.5). Segments without any flag, or with FIN alone, are
/// those of scanners and count.
fn inside_a_connection(flags: TcpFlags) -> bool {
    flags.has(TcpFlags::ACK) || flags.has(TcpFlags::RST)
}

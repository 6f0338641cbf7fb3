//! Which events are attempts to connect, and how each went.
//!
//! A firewall that logs the beginning and the end of a session writes two lines for one attempt. Once a format was seen to
//! log ends, its beginnings are no attempts of their own; once it was seen to log either, neither is what a list let through. A packet
//! that ufw audits is an attempt before it is known what becomes of it: its own line with the verdict may be one more.

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
    with_begins: BTreeSet<LogFormat>,
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
            LogMoment::Begin => {
                self.with_begins.insert(event.format);
            }
            LogMoment::Within if !self.is_alone(event) => return None,
            LogMoment::Packet | LogMoment::Within if event.flags.is_some_and(inside_a_connection) => {
                return None;
            }
            LogMoment::Packet | LogMoment::Within => {}
        }
        Some(Attempt {
            verdict: event.verdict,
            length: event.duration_ms.map(Duration::from_millis),
        })
    }

    /// Whether a line within may be the only one of an attempt: not an alert, nor one of a session that goes on.
    fn is_alone(&self, event: &LogEvent) -> bool {
        let has_sessions = self.with_begins.contains(&event.format) || self.with_ends.contains(&event.format);
        event.count > 0 && event.format != LogFormat::Suricata && !has_sessions
    }
}

/// The first segment of a connection has SYN and no ACK (RFC 9293, 3.5). Segments without any flag, or with FIN alone, are
/// those of scanners and count.
fn inside_a_connection(flags: TcpFlags) -> bool {
    flags.has(TcpFlags::ACK) || flags.has(TcpFlags::RST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_list_let_through_is_an_attempt_until_its_session_is_logged_too() {
        let event = |format: &str, moment: &str, count: u64| {
            let event = serde_json::json!({
                "at": null, "time_assumed": null, "verdict": "allowed", "source": "192.0.2.7", "destination": "10.7.10.4",
                "port": "tcp/502", "source_port": 1, "interface": null, "prefix": "in", "format": format, "moment": moment,
                "count": count, "read_from": {"kind": "nflog", "group": 1},
            });
            serde_json::from_value::<LogEvent>(event).unwrap()
        };
        let mut attempts = Attempts::default();
        for (format, moment, count, is_one) in [
            ("asa", "within", 1, true),
            ("kernel", "within", 1, true),
            ("suricata", "within", 1, false),
            ("fortigate", "within", 0, false),
            ("asa", "begin", 1, true),
            ("asa", "within", 1, false),
            ("kernel", "within", 1, true),
        ] {
            let attempt = attempts.of(&event(format, moment, count));
            assert_eq!(attempt.is_some(), is_one, "{format} {moment} {count}");
        }
    }
}

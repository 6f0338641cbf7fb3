//! What a listener hands over: messages, and what is said of those that were none.

use std::net::IpAddr;

use portcullis_logs::{Frame, Framing, Line, LineReader, NoFrame, Reason};
use portcullis_model::LogSource;

use crate::logs::follow::source::Taking;

/// What stood at one place of what was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// A message, up to this place of the bytes.
    Message(usize),
    /// Something that cannot be read, up to this place.
    Unreadable(Reason, usize),
}

/// Messages of one sender, in their order.
#[derive(Debug)]
pub(super) struct Heard {
    from: IpAddr,
    bytes: Vec<u8>,
    what: Vec<What>,
    /// What may be missing, in plain words.
    pub(super) gaps: Vec<String>,
}

impl Heard {
    pub(super) fn from(from: IpAddr) -> Self {
        Self {
            from,
            bytes: Vec::new(),
            what: Vec::new(),
            gaps: Vec::new(),
        }
    }

    /// Only something that is missing.
    pub(super) fn gap(from: IpAddr, gap: String) -> Self {
        Self {
            gaps: vec![gap],
            ..Self::from(from)
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.what.is_empty() && self.gaps.is_empty()
    }

    /// Bytes so far.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// A message that came alone.
    pub(super) fn message(&mut self, message: &[u8], cut: bool) {
        self.bytes.extend_from_slice(message);
        self.what.push(if cut {
            What::Unreadable(Reason::TooLong, self.bytes.len())
        } else {
            What::Message(self.bytes.len())
        });
    }

    /// Bytes of a stream.
    ///
    /// # Errors
    /// When the stream cannot be read any further.
    pub(super) fn stream(&mut self, framing: &mut Framing, bytes: &[u8]) -> Result<(), NoFrame> {
        let pushed = framing.push(bytes, &mut |frame| self.frame(frame));
        if pushed.is_err() {
            self.what
                .push(What::Unreadable(Reason::NoFrame, self.bytes.len()));
        }
        pushed
    }

    /// The end of a stream.
    pub(super) fn end(&mut self, framing: &mut Framing) {
        framing.finish(&mut |frame| self.frame(frame));
    }

    fn frame(&mut self, frame: Frame<'_>) {
        match frame {
            Frame::Message(message) => self.message(message, false),
            Frame::TooLong => self
                .what
                .push(What::Unreadable(Reason::TooLong, self.bytes.len())),
            Frame::Unfinished(message) => {
                self.bytes.extend_from_slice(message);
                self.what
                    .push(What::Unreadable(Reason::Unfinished, self.bytes.len()));
            }
        }
    }

    /// Counts all of it.
    pub(super) fn count(self, listener: &str, reader: &mut LineReader<'_>, taking: &mut Taking<'_>) {
        for gap in self.gaps {
            taking.gap(gap);
        }
        let place = || LogSource::Syslog {
            listener: listener.into(),
            from: self.from,
        };
        let mut from = 0;
        for what in self.what {
            let (What::Message(end) | What::Unreadable(_, end)) = what;
            let bytes = self.bytes.get(from..end).unwrap_or_default();
            from = end;
            match what {
                What::Message(_) => message(bytes, reader, taking, place),
                What::Unreadable(reason, _) => taking.line(&Line::Unreadable(reason), bytes, place),
            }
        }
    }
}

/// One message. A line end in it may have come from the sender, who put two messages into one, or from a stranger whose name the sender
/// wrote down: what looks like a logged packet behind it is counted, and believed nothing.
fn message(
    bytes: &[u8],
    reader: &mut LineReader<'_>,
    taking: &mut Taking<'_>,
    place: impl Fn() -> LogSource + Copy,
) {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let first = lines.next().unwrap_or_default();
    taking.line(&reader.read(first, true), first, place);
    for line in lines {
        if !matches!(reader.read(line, true), Line::Unrelated) {
            taking.line(&Line::Unreadable(Reason::WithinMessage), line, place);
        }
    }
}

#[cfg(test)]
mod tests {
    use portcullis_logs::{Clock, Prefixes, Settings, Summary, TimeContext, Years};

    use super::*;
    use crate::logs::follow::tally::Tally;

    const LINE: &str = "<4>Nov 22 23:56:51 gw kernel: [UFW ALLOW] IN=eth0 OUT= SRC=192.0.2.7 DST=10.7.10.4 LEN=60 PROTO=TCP SPT=4 DPT=502 SYN";

    /// Packets, those that are proven to have got through, what cannot be read, and what is something else.
    fn counted(message: &str) -> (u64, u64, u64, u64) {
        let settings = Settings {
            time: TimeContext {
                now: "2026-11-23T12:00:00Z".parse().unwrap(),
                timezone: jiff::tz::TimeZone::UTC,
                file_modified: None,
                years: Years::default(),
            },
            prefixes: Prefixes::default(),
            format: None,
        };
        let (mut tally, mut gaps) = (Tally::default(), Vec::new());
        let mut summary = Summary::of_all_ports();
        let mut taking = Taking {
            settings: &settings,
            clock: Clock::new(&settings.time),
            tally: &mut tally,
            gaps: &mut gaps,
            summary: &mut summary,
            told: &mut |_| {},
            events: false,
        };
        let mut heard = Heard::from([192, 0, 2, 1].into());
        heard.message(message.as_bytes(), false);
        heard.count(
            "udp://192.0.2.1:514",
            &mut LineReader::new(&settings.prefixes, None),
            &mut taking,
        );
        let report = summary.report(1);
        (
            report.attempts,
            report.verdicts.allowed,
            report.unreadable,
            report.unrelated,
        )
    }

    #[test]
    fn a_line_behind_the_first_of_a_message_is_counted_and_believed_nothing() {
        assert_eq!(counted(LINE), (1, 1, 0, 0));
        assert_eq!(counted(&format!("{LINE}\n{LINE}\r\n{LINE}\n")), (1, 1, 2, 0));
        let stranger = format!("<38>Nov 22 23:56:51 gw app: no user x\n{LINE}");
        assert_eq!(counted(&stranger), (0, 0, 1, 1));
        assert_eq!(
            counted("<38>Nov 22 23:56:51 gw app: failed\n  at line 1\n  at line 2"),
            (0, 0, 0, 1)
        );
    }
}

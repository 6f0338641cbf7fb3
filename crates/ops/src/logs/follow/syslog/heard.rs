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
                What::Message(_) => taking.line(&reader.read(bytes, true), bytes, place),
                What::Unreadable(reason, _) => taking.line(&Line::Unreadable(reason), bytes, place),
            }
        }
    }
}

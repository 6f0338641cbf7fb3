//! Where a message of syslog begins and ends in a stream of bytes.
//!
//! RFC 6587 knows two ways: the length in decimal and a blank before each message (3.4.1; with TLS, RFC 5425, 4.3), or a line end
//! behind each (3.4.2). Which of them a connection uses is told by what it begins with: a number and a blank are a length.
//! Nothing here depends on how the bytes were cut on their way.

use memchr::memchr2;

/// What stood in the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame<'a> {
    /// A whole message, without its end.
    Message(&'a [u8]),
    /// A message of more bytes than are taken; it is passed over to its end.
    TooLong,
    /// The stream ended within a message.
    Unfinished(&'a [u8]),
}

/// Where a length should stand is none: where the next message begins can no longer be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoFrame;

/// Digits of a length: no message has more than some gigabytes.
const MOST_DIGITS: usize = 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Not yet known which of the two ways it is.
    Undecided,
    /// Behind each message is a line end. `over`: the message is too long, and its end is looked for.
    Lines { over: bool },
    /// Before each message is its length, which is being read.
    Length,
    /// So many bytes of the message are missing.
    Body { left: u64 },
    /// So many bytes of a message that is too long are missing.
    Over { left: u64 },
    /// The stream can no longer be read.
    Broken,
}

/// Cuts a stream into messages. It holds at most one message that has not come whole.
#[derive(Debug)]
pub struct Framing {
    state: State,
    partial: Vec<u8>,
    longest: usize,
}

impl Framing {
    /// A stream in either of the two ways, with messages of at most `longest` bytes.
    pub fn new(longest: usize) -> Self {
        Self {
            state: State::Undecided,
            partial: Vec::new(),
            longest,
        }
    }

    /// A stream of lines.
    pub fn lines(longest: usize) -> Self {
        Self {
            state: State::Lines { over: false },
            ..Self::new(longest)
        }
    }

    /// Takes the next bytes, and hands over what became whole with them. Empty lines are none.
    ///
    /// # Errors
    /// When no length stands where one must; all that follows is then in vain.
    pub fn push(&mut self, bytes: &[u8], each: &mut dyn FnMut(Frame<'_>)) -> Result<(), NoFrame> {
        let mut rest = bytes;
        while !rest.is_empty() {
            rest = match self.state {
                State::Undecided => self.decide(rest),
                State::Lines { over } => self.line(rest, over, each),
                State::Length => self.length(rest, each),
                State::Body { left } => self.body(rest, left, each),
                State::Over { left } => self.pass_over(rest, left),
                State::Broken => return Err(NoFrame),
            };
        }
        if self.state == State::Broken {
            return Err(NoFrame);
        }
        Ok(())
    }

    /// The stream is over.
    pub fn finish(&mut self, each: &mut dyn FnMut(Frame<'_>)) {
        let within = match self.state {
            State::Undecided | State::Length | State::Lines { over: false } => !self.partial.is_empty(),
            State::Body { .. } => true,
            State::Lines { over: true } | State::Over { .. } | State::Broken => false,
        };
        if within {
            each(Frame::Unfinished(&self.partial));
        }
        self.partial.clear();
        self.state = State::Undecided;
    }

    fn decide<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let Some((byte, rest)) = bytes.split_first() else {
            return bytes;
        };
        let digits = self.partial.len();
        if byte.is_ascii_digit() && digits < MOST_DIGITS && (digits > 0 || *byte != b'0') {
            self.partial.push(*byte);
            return rest;
        }
        self.state = if *byte == b' ' && digits > 0 {
            State::Length
        } else {
            State::Lines { over: false }
        };
        bytes
    }

    fn line<'b>(&mut self, bytes: &'b [u8], over: bool, each: &mut dyn FnMut(Frame<'_>)) -> &'b [u8] {
        // Some senders end a message with a zero.
        let end = memchr2(b'\n', 0, bytes);
        let (line, rest) = match end {
            Some(end) => (
                bytes.get(..end).unwrap_or_default(),
                bytes.get(end + 1..).unwrap_or_default(),
            ),
            None => (bytes, b"".as_slice()),
        };
        if over {
            self.state = State::Lines { over: end.is_none() };
        } else if self.partial.len() + line.len() > self.longest {
            each(Frame::TooLong);
            self.partial = Vec::new();
            self.state = State::Lines { over: end.is_none() };
        } else if end.is_none() {
            self.partial.extend_from_slice(line);
        } else {
            self.whole(line, each);
        }
        rest
    }

    fn length<'b>(&mut self, bytes: &'b [u8], each: &mut dyn FnMut(Frame<'_>)) -> &'b [u8] {
        let Some((byte, rest)) = bytes.split_first() else {
            return bytes;
        };
        let digits = self.partial.len();
        if byte.is_ascii_digit() && digits < MOST_DIGITS && (digits > 0 || *byte != b'0') {
            self.partial.push(*byte);
        } else if *byte == b' ' && digits > 0 {
            let number = self
                .partial
                .iter()
                .fold(0_u64, |sum, digit| sum * 10 + u64::from(digit.wrapping_sub(b'0')));
            self.partial.clear();
            self.state = if number > self.longest as u64 {
                each(Frame::TooLong);
                State::Over { left: number }
            } else {
                State::Body { left: number }
            };
        } else if *byte == b'\n' && digits == 0 {
            // Some senders end even a counted message with a line end that they did not count.
        } else {
            self.partial.clear();
            self.state = State::Broken;
        }
        rest
    }

    fn body<'b>(&mut self, bytes: &'b [u8], left: u64, each: &mut dyn FnMut(Frame<'_>)) -> &'b [u8] {
        let whole = usize::try_from(left)
            .ok()
            .and_then(|left| bytes.split_at_checked(left));
        let Some((body, rest)) = whole else {
            self.partial.extend_from_slice(bytes);
            self.state = State::Body {
                left: left - bytes.len() as u64,
            };
            return b"";
        };
        self.state = State::Length;
        self.whole(body, each);
        rest
    }

    fn pass_over<'b>(&mut self, bytes: &'b [u8], left: u64) -> &'b [u8] {
        let now = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        let left = left - now as u64;
        self.state = if left == 0 {
            State::Length
        } else {
            State::Over { left }
        };
        bytes.get(now..).unwrap_or_default()
    }

    /// A message is whole with these bytes.
    fn whole(&mut self, end: &[u8], each: &mut dyn FnMut(Frame<'_>)) {
        if self.partial.is_empty() {
            hand_over(end, each);
        } else {
            self.partial.extend_from_slice(end);
            hand_over(&self.partial, each);
            self.partial.clear();
        }
    }
}

/// A line end that was counted belongs to no message.
fn hand_over(message: &[u8], each: &mut dyn FnMut(Frame<'_>)) {
    let mut message = message;
    while let [before @ .., b'\n' | b'\r' | 0] = message {
        message = before;
    }
    if !message.is_empty() {
        each(Frame::Message(message));
    }
}

#[cfg(test)]
mod tests;

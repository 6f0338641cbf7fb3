//! The lines of a text, in bounded memory.

use std::io::{BufRead, Read};

use super::record::{Unread, Why, short};

/// The longest line that is read, in bytes.
pub(super) const LONGEST_LINE: u64 = 64 * 1024;

/// A whole line, without its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// From 1.
    pub(super) number: u64,
    pub(super) text: String,
}

/// An iterator over whole lines. A last line without an end may be cut off, and is not believed.
#[derive(Debug)]
pub(super) struct Lines<R> {
    reader: R,
    number: u64,
    ended: bool,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(reader: R) -> Self {
        Self {
            reader,
            number: 0,
            ended: false,
        }
    }

    fn line(&mut self) -> Result<Option<String>, Why> {
        let failed = |error: std::io::Error| Why::Reading(short(&error.to_string()));
        let mut bytes = Vec::new();
        let limit = LONGEST_LINE + 1;
        let taken = self.reader.by_ref().take(limit).read_until(b'\n', &mut bytes);
        let taken = taken.map_err(failed)? as u64;
        if taken == 0 {
            return Ok(None);
        }
        if bytes.pop_if(|last| *last == b'\n').is_none() {
            if taken < limit {
                self.ended = true;
                return Err(Why::CutOff);
            }
            self.reader.skip_until(b'\n').map_err(failed)?;
            return Err(Why::TooLong);
        }
        bytes.pop_if(|last| *last == b'\r');
        let text = String::from_utf8(bytes);
        let text = text.unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
        Ok(Some(text))
    }
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = Result<Line, Unread>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        self.number += 1;
        let number = self.number;
        match self.line() {
            Ok(Some(text)) => Some(Ok(Line { number, text })),
            Ok(None) => {
                self.ended = true;
                None
            }
            Err(why) => {
                self.ended |= matches!(why, Why::Reading(_));
                Some(Err(Unread { line: number, why }))
            }
        }
    }
}

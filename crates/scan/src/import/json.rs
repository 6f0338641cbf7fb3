//! JSON objects one after the other, with or without an array around them and commas between them.
//!
//! masscan has written a comma behind its last object, and objects like `{finished: 1}`, which no reader of JSON takes.
//! Objects are found by their braces, so that one that is wrong costs itself only.

use std::io::BufRead;

use super::record::{Unread, Why, short};

/// The longest object that is read, in bytes.
pub(super) const LONGEST_OBJECT: usize = 64 * 1024;

/// An iterator over the texts of objects, each with the line on which it begins.
pub(super) struct Objects<R> {
    reader: R,
    line: u64,
    array: bool,
    ended: bool,
}

impl<R: BufRead> Objects<R> {
    pub(super) fn new(reader: R) -> Self {
        Self {
            reader,
            line: 1,
            array: false,
            ended: false,
        }
    }

    fn byte(&mut self) -> Result<Option<u8>, Why> {
        loop {
            match self.reader.fill_buf() {
                Ok(bytes) => {
                    let Some(byte) = bytes.first().copied() else {
                        return Ok(None);
                    };
                    self.reader.consume(1);
                    self.line += u64::from(byte == b'\n');
                    return Ok(Some(byte));
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Why::Reading(short(&error.to_string()))),
            }
        }
    }

    /// Goes to the next opening brace.
    fn seek(&mut self) -> Result<bool, Why> {
        while let Some(byte) = self.byte()? {
            match byte {
                b'{' => return Ok(true),
                b'[' => self.array = true,
                b']' => self.array = false,
                b',' | b' ' | b'\t' | b'\r' | b'\n' => {}
                other => {
                    self.skip_line()?;
                    return Err(Why::Json(short(&format!(
                        "`{}` between two records",
                        char::from(other).escape_default()
                    ))));
                }
            }
        }
        if self.array { Err(Why::CutOff) } else { Ok(false) }
    }

    fn skip_line(&mut self) -> Result<(), Why> {
        while let Some(byte) = self.byte()? {
            if byte == b'\n' {
                break;
            }
        }
        Ok(())
    }

    /// The rest of an object whose opening brace was read.
    fn object(&mut self) -> Result<Vec<u8>, Why> {
        let (mut text, mut depth, mut quoted, mut escaped) = (vec![b'{'], 1_usize, false, false);
        let mut length = 1;
        while let Some(byte) = self.byte()? {
            length += 1;
            if length <= LONGEST_OBJECT {
                text.push(byte);
            }
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = quoted,
                b'"' => quoted = !quoted,
                b'{' if !quoted => depth += 1,
                b'}' if !quoted => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return if length > LONGEST_OBJECT {
                    Err(Why::TooLong)
                } else {
                    Ok(text)
                };
            }
        }
        self.ended = true;
        Err(Why::CutOff)
    }
}

impl<R: BufRead> Iterator for Objects<R> {
    type Item = Result<(u64, Vec<u8>), Unread>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let found = self.seek();
        let line = self.line;
        let why = match found {
            Ok(true) => match self.object() {
                Ok(text) => return Some(Ok((line, text))),
                Err(why) => why,
            },
            Ok(false) => {
                self.ended = true;
                return None;
            }
            Err(why) => why,
        };
        self.ended |= matches!(why, Why::Reading(_) | Why::CutOff);
        Some(Err(Unread { line, why }))
    }
}

//! From the bytes of a file to UTF-8, piece by piece.

use std::io::{self, Read};

/// How much is read at once.
const PIECE: usize = 32 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Utf8,
    Utf16LittleEndian,
    Utf16BigEndian,
}

/// A reader that gives UTF-8, whatever it is given: UTF-16 with a byte order mark is converted, a mark of UTF-8 is left
/// out, and what is neither becomes U+FFFD.
#[derive(Debug)]
pub(super) struct Decoded<R> {
    inner: R,
    encoding: Option<Encoding>,
    raw: Vec<u8>,
    ready: Vec<u8>,
    given: usize,
    ended: bool,
}

impl<R: Read> Decoded<R> {
    pub(super) fn new(inner: R) -> Self {
        Self {
            inner,
            encoding: None,
            raw: Vec::new(),
            ready: Vec::new(),
            given: 0,
            ended: false,
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        let length = self
            .inner
            .by_ref()
            .take(PIECE as u64)
            .read_to_end(&mut self.raw)?;
        self.ended = length == 0;
        self.ready.clear();
        self.given = 0;
        let encoding = *self.encoding.get_or_insert_with(|| begin(&mut self.raw));
        let kept = match encoding {
            Encoding::Utf8 => utf8(&self.raw, self.ended, &mut self.ready),
            Encoding::Utf16LittleEndian => utf16(&self.raw, self.ended, u16::from_le_bytes, &mut self.ready),
            Encoding::Utf16BigEndian => utf16(&self.raw, self.ended, u16::from_be_bytes, &mut self.ready),
        };
        let done = self.raw.len().saturating_sub(kept);
        self.raw.drain(..done);
        Ok(())
    }
}

impl<R: Read> Read for Decoded<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.given >= self.ready.len() {
            if self.ended {
                return Ok(0);
            }
            self.fill()?;
        }
        let mut rest = self.ready.get(self.given..).unwrap_or_default();
        let length = rest.read(out)?;
        self.given += length;
        Ok(length)
    }
}

/// Finds out the encoding, and takes the byte order mark away.
fn begin(raw: &mut Vec<u8>) -> Encoding {
    let (encoding, mark) = match raw.as_slice() {
        [0xff, 0xfe, ..] => (Encoding::Utf16LittleEndian, 2),
        [0xfe, 0xff, ..] => (Encoding::Utf16BigEndian, 2),
        [0xef, 0xbb, 0xbf, ..] => (Encoding::Utf8, 3),
        _ => (Encoding::Utf8, 0),
    };
    raw.drain(..mark);
    encoding
}

/// Converts and tells how many bytes at the end belong to a letter that is not complete yet.
fn utf8(mut raw: &[u8], ended: bool, ready: &mut Vec<u8>) -> usize {
    loop {
        let error = match std::str::from_utf8(raw) {
            Ok(text) => {
                ready.extend_from_slice(text.as_bytes());
                return 0;
            }
            Err(error) => error,
        };
        let (valid, rest) = raw.split_at_checked(error.valid_up_to()).unwrap_or((raw, &[]));
        ready.extend_from_slice(valid);
        let wrong = match error.error_len() {
            Some(length) => length,
            None if ended => rest.len(),
            None => return rest.len(),
        };
        ready.extend_from_slice("\u{fffd}".as_bytes());
        raw = rest.get(wrong..).unwrap_or_default();
    }
}

fn utf16(raw: &[u8], ended: bool, unit: fn([u8; 2]) -> u16, ready: &mut Vec<u8>) -> usize {
    let mut units: Vec<u16> = raw
        .chunks_exact(2)
        .filter_map(|pair| <[u8; 2]>::try_from(pair).ok())
        .map(unit)
        .collect();
    let mut kept = raw.len() % 2;
    // The second half of a letter may be in the next piece.
    if !ended && units.last().is_some_and(|last| (0xd800..0xdc00).contains(last)) {
        units.pop();
        kept += 2;
    }
    for letter in char::decode_utf16(units) {
        let letter = letter.unwrap_or(char::REPLACEMENT_CHARACTER);
        ready.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
    }
    if ended { 0 } else { kept }
}

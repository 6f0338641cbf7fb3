//! A log in big pieces that end where lines end, in bounded memory.

use std::{
    io::{self, Read},
    sync::Arc,
};

use memchr::{memchr, memchr_iter, memmem, memrchr};
use portcullis_model::LogFormat;

use crate::{
    Columns, LONGEST_LINE,
    entries::{EntryEnd, last_end},
};

/// Bytes of a block. So few that two of them and what is made of them stay in a processor's cache.
const SIZE: usize = 1 << 20;

/// Whole lines of a log, or entries.
#[derive(Debug)]
pub(crate) struct Block {
    buffer: Vec<u8>,
    length: usize,
    /// Offset of the first byte.
    pub(crate) offset: u64,
    /// Number of the first line, from 1.
    pub(crate) line: u64,
    /// The columns that were named before it.
    pub(crate) columns: Option<Arc<Columns>>,
    /// A line that is longer than a block was passed over: its length. The block is empty then.
    pub(crate) overlong: Option<u64>,
    /// Entries of several lines, with an empty line behind each.
    pub(crate) entries: bool,
}

impl Default for Block {
    fn default() -> Self {
        Self {
            buffer: vec![0; SIZE],
            length: 0,
            offset: 0,
            line: 1,
            columns: None,
            overlong: None,
            entries: false,
        }
    }
}

impl Block {
    pub(crate) fn bytes(&self) -> &[u8] {
        self.buffer.get(..self.length).unwrap_or_default()
    }
}

/// Cuts a log into blocks.
#[derive(Debug)]
pub(crate) struct Blocks<R> {
    reader: R,
    carry: Vec<u8>,
    offset: u64,
    line: u64,
    columns: Option<Arc<Columns>>,
    entries: bool,
    begun: bool,
    at_end: bool,
    stopped: Option<String>,
}

impl<R: Read> Blocks<R> {
    pub(crate) fn new(reader: R, format: Option<LogFormat>) -> Self {
        Self {
            reader,
            carry: Vec::new(),
            offset: 0,
            line: 1,
            columns: None,
            entries: format == Some(LogFormat::JournalExport),
            begun: format.is_some(),
            at_end: false,
            stopped: None,
        }
    }

    /// Bytes and lines so far, and why the log was not read to its end, if it was not.
    pub(crate) fn end(self) -> (u64, u64, Option<String>) {
        (self.offset, self.line - 1, self.stopped)
    }

    /// Fills the block. Tells whether there was anything left.
    pub(crate) fn next(&mut self, block: &mut Block) -> bool {
        block.overlong = None;
        block.length = 0;
        (block.offset, block.line) = (self.offset, self.line);
        block.columns.clone_from(&self.columns);
        let carried = self.carry.len();
        if let Some(head) = block.buffer.get_mut(..carried) {
            head.copy_from_slice(&self.carry);
        }
        self.carry.clear();
        let filled = self.fill(&mut block.buffer, carried);
        let Some(bytes) = block.buffer.get(..filled).filter(|bytes| !bytes.is_empty()) else {
            return false;
        };
        if !self.begun {
            self.entries = bytes.starts_with(b"__CURSOR=");
            self.begun = true;
        }
        block.entries = self.entries;
        let end = if self.at_end {
            Some(filled)
        } else {
            self.last_end(bytes)
        };
        let Some(end) = end else {
            block.overlong = Some(self.pass_over(&mut block.buffer, filled));
            return true;
        };
        let (whole, rest) = bytes.split_at_checked(end).unwrap_or((bytes, b""));
        self.carry.extend_from_slice(rest);
        self.offset += whole.len() as u64;
        let unended = u64::from(whole.last() != Some(&b'\n'));
        self.line += memchr_iter(b'\n', whole).count() as u64 + unended;
        self.notice_columns(whole);
        block.length = end;
        true
    }

    /// Reads until the buffer is full or the log is at its end; returns how much of the buffer is filled.
    fn fill(&mut self, buffer: &mut [u8], from: usize) -> usize {
        let mut filled = from;
        while let Some(room) = buffer
            .get_mut(filled..)
            .filter(|room| !room.is_empty() && !self.at_end)
        {
            match self.reader.read(room) {
                Ok(0) => self.at_end = true,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let reached = self.offset + filled as u64;
                    self.stopped = Some(format!("reading stopped at byte {reached}: {error}"));
                    self.at_end = true;
                }
            }
        }
        filled
    }

    fn last_end(&self, bytes: &[u8]) -> Option<usize> {
        if self.entries {
            return last_end(bytes);
        }
        memrchr(b'\n', bytes).map(|end| end + 1)
    }

    /// Passes over the line or the entry that the buffer begins; returns its length.
    fn pass_over(&mut self, buffer: &mut [u8], filled: usize) -> u64 {
        let mut length = filled as u64;
        let mut lines = 0;
        let mut entry = EntryEnd::default();
        if self.entries {
            let begun = buffer.get(..filled).unwrap_or_default();
            lines += memchr_iter(b'\n', begun).count() as u64;
            entry.find(begun);
        }
        loop {
            let filled = self.fill(buffer, 0);
            let read = buffer.get(..filled).unwrap_or_default();
            let end = if self.entries {
                entry.find(read)
            } else {
                memchr(b'\n', read).map(|end| end + 1)
            };
            let (over, rest) = read
                .split_at_checked(end.unwrap_or(filled))
                .unwrap_or((read, b""));
            length += over.len() as u64;
            lines += memchr_iter(b'\n', over).count() as u64;
            if end.is_some() || self.at_end {
                self.carry.extend_from_slice(rest);
                break;
            }
        }
        self.offset += length;
        self.line += lines.max(1);
        length
    }

    /// Only files that begin with such lines have more of them: where the file was begun anew.
    fn notice_columns(&mut self, whole: &[u8]) {
        let is_first = self.offset == whole.len() as u64;
        if self.columns.is_none() && !(is_first && starts_with_a_mark(whole)) {
            return;
        }
        let starts = memmem::find_iter(whole, b"\n#").map(|end| end + 1);
        for start in starts.chain(is_first.then_some(0)) {
            let line = whole.get(start..).unwrap_or_default();
            let line = line
                .get(..memchr(b'\n', line).unwrap_or(line.len()).min(LONGEST_LINE))
                .unwrap_or_default();
            if let Some(columns) = Columns::named_by(line, self.columns.as_deref()) {
                self.columns = Some(Arc::new(columns));
            }
        }
    }
}

fn starts_with_a_mark(bytes: &[u8]) -> bool {
    bytes
        .strip_prefix(b"\xef\xbb\xbf")
        .unwrap_or(bytes)
        .starts_with(b"#")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(bytes: &[u8]) -> Vec<(u64, u64, usize, Option<u64>)> {
        let mut blocks = Blocks::new(bytes, None);
        let mut block = Block::default();
        let mut all = Vec::new();
        while blocks.next(&mut block) {
            all.push((block.offset, block.line, block.bytes().len(), block.overlong));
        }
        all
    }

    #[test]
    fn blocks_end_where_lines_end_and_know_their_place() {
        let line = [&[b'x'; 999][..], b"\n"].concat();
        let bytes = line.repeat(2500);
        let blocks = cut(&bytes);
        assert_eq!(blocks.len(), 3);
        assert_eq!(blocks[0], (0, 1, 1_048_000, None));
        assert_eq!(blocks[1], (1_048_000, 1049, 1_048_000, None));
        assert_eq!(blocks.iter().map(|block| block.2).sum::<usize>(), bytes.len());
        assert_eq!(cut(b""), []);
        assert_eq!(cut(b"a\nb"), [(0, 1, 3, None)]);
    }

    #[test]
    fn a_line_longer_than_a_block_is_passed_over_and_its_length_told() {
        let bytes = [&vec![b'x'; 10_000_000][..], b"\nshort\n"].concat();
        assert_eq!(
            cut(&bytes),
            [(0, 1, 0, Some(10_000_001)), (10_000_001, 2, 6, None)]
        );
        let unended = vec![b'x'; 3_000_000];
        assert_eq!(cut(&unended), [(0, 1, 0, Some(3_000_000))]);
    }

    #[test]
    fn columns_named_in_an_earlier_block_are_known_in_the_next() {
        let mut bytes = b"#Version: 1.5\n#Fields: date time\n".to_vec();
        bytes.extend(b"2026-11-22 23:56:51\n".repeat(100_000));
        let mut blocks = Blocks::new(bytes.as_slice(), None);
        let mut block = Block::default();
        assert!(blocks.next(&mut block) && block.columns.is_none());
        assert!(blocks.next(&mut block));
        assert_eq!(block.columns.as_ref().unwrap().format, LogFormat::Windows);
    }
}

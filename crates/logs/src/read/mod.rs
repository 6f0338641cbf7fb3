//! A whole log, by as many threads as there are sinks.

use std::{
    io::Read,
    sync::{Mutex, PoisonError},
    thread,
};

use memchr::memchr;
use portcullis_model::{LogFormat, LogSource};

use crate::{
    Clock, Line, LineReader, Reason, Settings,
    blocks::{Block, Blocks},
    entries::EntryEnd,
};

/// Where a line stands in its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    /// Path as given.
    pub path: &'a str,
    /// Line number, from 1.
    pub line: u64,
    /// Offset of its first byte.
    pub offset: u64,
}

impl Place<'_> {
    /// The same with a text of its own.
    pub fn to_source(self) -> LogSource {
        LogSource::File {
            path: self.path.into(),
            line: self.line,
            offset: self.offset,
        }
    }
}

/// What takes the lines of a log. Each thread has one of its own.
pub trait Sink: Send {
    /// Takes a line: what it turned out to be, where it stands, and its bytes. The clock is that of the file.
    fn line(&mut self, line: &Line<'_>, place: Place<'_>, bytes: &[u8], clock: &mut Clock<'_>);

    /// A block of lines is over.
    fn pause(&mut self) {}
}

/// How far a log was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRead {
    /// Bytes, after unpacking.
    pub bytes: u64,
    /// Lines.
    pub lines: u64,
    /// Why it was not read to its end, if it was not.
    pub stopped: Option<String>,
}

/// Reads a log to its end. `path` is only the name that the places carry. With one sink the lines come in their order; with
/// more, each sink has blocks of them in order, and which of the blocks is left to chance.
pub fn read_log<S: Sink>(
    reader: impl Read + Send,
    path: &str,
    settings: &Settings,
    sinks: &mut [S],
) -> LogRead {
    let blocks = Mutex::new(Blocks::new(reader, settings.format));
    match sinks {
        [alone] => work(&blocks, path, settings, alone),
        many => thread::scope(|scope| {
            for sink in many {
                scope.spawn(|| work(&blocks, path, settings, sink));
            }
        }),
    }
    let (bytes, lines, stopped) = blocks.into_inner().unwrap_or_else(PoisonError::into_inner).end();
    LogRead {
        bytes,
        lines,
        stopped,
    }
}

fn work<S: Sink>(blocks: &Mutex<Blocks<impl Read>>, path: &str, settings: &Settings, sink: &mut S) {
    let mut block = Block::default();
    let mut clock = Clock::new(&settings.time);
    let mut reader = LineReader::new(&settings.prefixes, settings.format);
    let next = |block: &mut Block| blocks.lock().unwrap_or_else(PoisonError::into_inner).next(block);
    while next(&mut block) {
        if block.overlong.is_some() {
            let place = Place {
                path,
                line: block.line,
                offset: block.offset,
            };
            sink.line(&Line::Unreadable(Reason::TooLong), place, b"", &mut clock);
            continue;
        }
        reader.set_columns(block.columns.clone());
        lines(&block, path, &mut reader, |line, place, bytes| {
            clock.move_to(place.offset);
            sink.line(line, place, bytes, &mut clock);
        });
        sink.pause();
    }
}

fn lines(
    block: &Block,
    path: &str,
    reader: &mut LineReader<'_>,
    mut each: impl FnMut(&Line<'_>, Place<'_>, &[u8]),
) {
    let bytes = block.bytes();
    let (mut start, mut number) = (0, block.line);
    if block.entries {
        reader.set_format(LogFormat::JournalExport);
    }
    while let Some(rest) = bytes.get(start..).filter(|rest| !rest.is_empty()) {
        // An entry ends before an empty line that is in none of its values.
        let found = if block.entries {
            EntryEnd::default().find(rest).map(|end| end.saturating_sub(2))
        } else {
            memchr(b'\n', rest)
        };
        let (line, ended) = match found.and_then(|end| rest.get(..end)) {
            Some(line) => (line, true),
            None => (rest, false),
        };
        let place = Place {
            path,
            line: number,
            offset: block.offset + start as u64,
        };
        each(&reader.read(line, ended), place, line);
        start += line.len() + 1;
        number += 1;
        if block.entries {
            number += memchr::memchr_iter(b'\n', line).count() as u64 + 1;
            start += usize::from(ended);
        }
    }
}

#[cfg(test)]
mod tests;

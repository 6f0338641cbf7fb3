//! A whole log, line by line, in bounded memory.

use std::io::{self, BufRead, Read};

use crate::{
    LineOutcome, Settings,
    kernel::{self, LONGEST_LINE, Place},
};

/// One line of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// Line number, from 1.
    pub line: u64,
    /// Offset of its first byte.
    pub offset: u64,
    /// What it turned out to be.
    pub outcome: LineOutcome,
}

/// The lines of a log. Made by [`read_log`].
#[derive(Debug)]
pub struct LogLines<'s, R> {
    reader: R,
    path: String,
    settings: &'s Settings,
    buffer: Vec<u8>,
    line: u64,
    offset: u64,
    at_end: bool,
    stopped: Option<String>,
}

/// Reads a log to its end. `path` is only the name that the events carry. When reading fails on the way, the last line
/// is unreadable with that reason, and [`LogLines::stopped`] tells.
pub fn read_log<'s, R: BufRead>(reader: R, path: &str, settings: &'s Settings) -> LogLines<'s, R> {
    LogLines {
        reader,
        path: path.into(),
        settings,
        buffer: Vec::new(),
        line: 0,
        offset: 0,
        at_end: false,
        stopped: None,
    }
}

impl<R> LogLines<'_, R> {
    /// Why the log was not read to its end, if it was not.
    pub fn stopped(&self) -> Option<&str> {
        self.stopped.as_deref()
    }

    fn stop(&mut self, reason: String) -> LineOutcome {
        self.at_end = true;
        self.stopped = Some(reason.clone());
        LineOutcome::Unreadable(reason)
    }
}

impl<R: BufRead> LogLines<'_, R> {
    /// Fills the buffer with one line, or with its beginning; returns the length of the whole line.
    fn fill(&mut self) -> io::Result<u64> {
        let limit = LONGEST_LINE as u64 + 1;
        let taken = self
            .reader
            .by_ref()
            .take(limit)
            .read_until(b'\n', &mut self.buffer)? as u64;
        if taken < limit || self.buffer.ends_with(b"\n") {
            return Ok(taken);
        }
        Ok(taken + self.reader.skip_until(b'\n')? as u64)
    }

    fn outcome(&mut self, length: u64) -> LineOutcome {
        if self.line == 1 && is_compressed(&self.buffer) {
            return self.stop("the file is compressed: unpack it first".into());
        }
        if length > LONGEST_LINE as u64 {
            return kernel::too_long(length);
        }
        let place = Place {
            path: &self.path,
            line: self.line,
            offset: self.offset,
        };
        kernel::parse(&self.buffer, self.buffer.ends_with(b"\n"), self.settings, place)
    }
}

impl<R: BufRead> Iterator for LogLines<'_, R> {
    type Item = LogLine;

    fn next(&mut self) -> Option<LogLine> {
        if self.at_end {
            return None;
        }
        self.buffer.clear();
        self.line += 1;
        let (length, outcome) = match self.fill() {
            Ok(0) => {
                self.at_end = true;
                return None;
            }
            Ok(length) => (length, self.outcome(length)),
            Err(error) => {
                let reached = self.offset + self.buffer.len() as u64;
                (
                    0,
                    self.stop(format!("reading stopped at byte {reached}: {error}")),
                )
            }
        };
        let (line, offset) = (self.line, self.offset);
        self.offset += length;
        Some(LogLine {
            line,
            offset,
            outcome,
        })
    }
}

/// gzip (RFC 1952), xz, zstd (RFC 8878), bzip2: what rotates logs compresses them so.
fn is_compressed(beginning: &[u8]) -> bool {
    [
        &[0x1f, 0x8b][..],
        &[0xfd, b'7', b'z', b'X', b'Z'],
        &[0x28, 0xb5, 0x2f, 0xfd],
        b"BZh",
    ]
    .iter()
    .any(|magic| beginning.starts_with(magic))
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use portcullis_model::LogSource;

    use super::*;
    use crate::kernel::test_settings;

    const EVENT: &str =
        "Nov 22 23:56:51 gw kernel: x IN=eth0 OUT= SRC=192.0.2.7 DST=10.7.10.4 PROTO=TCP SPT=4 DPT=502";

    fn outcomes(bytes: &[u8]) -> Vec<LogLine> {
        read_log(bytes, "kern.log", &test_settings()).collect()
    }

    fn reason(line: &LogLine) -> &str {
        match &line.outcome {
            LineOutcome::Unreadable(reason) => reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_line_has_its_number_and_offset() {
        let log = format!("cron: done\r\n{EVENT} \n\n{EVENT} \n");
        let lines = outcomes(log.as_bytes());
        assert_eq!(lines.len(), 4);
        assert_eq!(
            (&lines[0].outcome, &lines[2].outcome),
            (&LineOutcome::Unrelated, &LineOutcome::Unrelated)
        );
        let LineOutcome::Event(event) = &lines[3].outcome else {
            panic!("{lines:?}")
        };
        let expected = LogSource::File {
            path: "kern.log".into(),
            line: 4,
            offset: 12 + EVENT.len() as u64 + 2 + 1,
        };
        assert_eq!(event.read_from, expected);
    }

    #[test]
    fn a_number_that_may_be_cut_off_is_not_believed() {
        assert!(reason(&outcomes(EVENT.as_bytes())[0]).contains("cut off"));
        let complete = format!("{EVENT} LEN=40");
        assert!(matches!(
            outcomes(complete.as_bytes())[0].outcome,
            LineOutcome::Event(_)
        ));
        let ended = format!("{EVENT}\n");
        assert!(matches!(
            outcomes(ended.as_bytes())[0].outcome,
            LineOutcome::Event(_)
        ));
    }

    #[test]
    fn a_line_of_ten_megabytes_costs_one_line() {
        let mut log = vec![0; 10_000_000];
        log.extend_from_slice(format!("\n{EVENT}\n").as_bytes());
        let lines = outcomes(&log);
        assert!(reason(&lines[0]).contains("10000001 bytes"));
        assert_eq!((lines[1].offset, lines[1].line), (10_000_001, 2));
        assert!(matches!(lines[1].outcome, LineOutcome::Event(_)));
    }

    #[test]
    fn a_disk_that_fails_on_the_way_is_told() {
        struct Failing;
        impl Read for Failing {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("bad sector"))
            }
        }
        let settings = test_settings();
        let start = format!("{EVENT}\nNov 2");
        let mut lines = read_log(BufReader::new(start.as_bytes().chain(Failing)), "x", &settings);
        assert!(matches!(lines.next().unwrap().outcome, LineOutcome::Event(_)));
        let told = format!("reading stopped at byte {}: bad sector", start.len());
        assert_eq!(reason(&lines.next().unwrap()), told);
        assert_eq!(lines.next(), None);
        assert_eq!(lines.stopped(), Some(told.as_str()));
    }

    #[test]
    fn a_compressed_file_is_named_as_such() {
        let lines = outcomes(b"\x1f\x8b\x08\x00\nabc\n");
        assert_eq!(
            (lines.len(), reason(&lines[0])),
            (1, "the file is compressed: unpack it first")
        );
    }
}

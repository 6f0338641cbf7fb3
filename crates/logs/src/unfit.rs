//! Why a file in which nothing was found may be a log all the same, by how it begins.

use std::fmt;

use memchr::{memchr, memchr_iter};
use portcullis_model::LogFormat;

use crate::{Line, LineReader, Prefixes, sign};

/// Lines of the beginning that are held against all formats.
const MOST_LINES: usize = 200;

/// Why no line of a file can be read, and what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfit {
    /// Each character has two bytes, as Windows' own programs write text.
    Utf16,
    /// What came out of the unpacking is packed itself, or the file is packed in another way.
    Packed(&'static str),
    /// A journal of systemd, as it lies on the disk.
    Journal,
    /// Lines end with CR and nothing else, so that all of them are one.
    Returns,
    /// The format that was asked for is not that of the lines.
    OtherFormat {
        /// What was asked for.
        asked: LogFormat,
        /// What the first line that can be read is of.
        found: LogFormat,
    },
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Utf16 => f.write_str(
                "it is text in UTF-16, of which no line can be read: turn it into UTF-8 first, such as with `iconv -f UTF-16 -t UTF-8`",
            ),
            Self::Packed(name) => write!(
                f,
                "what is in it is packed with {name}, maybe a second time: unpack it first"
            ),
            Self::Journal => f.write_str("it is a file of systemd's journal: read it with --journal=FILE"),
            Self::Returns => f.write_str(
                "its lines end with CR alone, so that all of it is one line: turn each into LF first, such as with `tr '\\r' '\\n'`",
            ),
            Self::OtherFormat { asked, found } => write!(
                f,
                "no line is of format {asked}, and some are of {found} ({}): leave --input-format out, or name that one",
                sign(*found)
            ),
        }
    }
}

/// What packed files begin with.
const PACKED: [(&[u8], &str); 7] = [
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\xfd7zXZ\0", "xz"),
    (b"BZh", "bzip2"),
    (b"PK\x03\x04", "zip"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"\x04\x22\x4d\x18", "lz4"),
];

/// Looks at the first bytes of what was unpacked, of a log in which no event was found.
pub fn unfit(head: &[u8], format: Option<LogFormat>, prefixes: &Prefixes) -> Option<Unfit> {
    if let Some((_, name)) = PACKED.iter().find(|(begin, _)| head.starts_with(begin)) {
        return Some(Unfit::Packed(name));
    }
    if head.starts_with(b"LPKSHHRH") {
        return Some(Unfit::Journal);
    }
    if is_utf_16(head) {
        return Some(Unfit::Utf16);
    }
    if ends_with_returns(head) {
        return Some(Unfit::Returns);
    }
    let asked = format?;
    let found = other_format(head, prefixes)?;
    (found != asked).then_some(Unfit::OtherFormat { asked, found })
}

/// Whether lines end with CR alone: then what was found is of all lines together.
pub fn ends_with_returns(head: &[u8]) -> bool {
    memchr(b'\n', head).is_none() && memchr_iter(b'\r', head).nth(1).is_some()
}

/// A mark at the beginning, or a NUL in every second place.
fn is_utf_16(head: &[u8]) -> bool {
    if head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff") {
        return true;
    }
    let nuls = |parity: usize| {
        let every_second = head.iter().skip(parity).step_by(2);
        every_second.filter(|byte| **byte == 0).count()
    };
    let half = head.len() / 2;
    // Names in other scripts have no NUL, and lines of a log are mostly of ASCII.
    half >= 8
        && [(0, 1), (1, 0)]
            .map(|(many, none)| nuls(many) * 10 > half * 7 && nuls(none) * 10 < half)
            .contains(&true)
}

fn other_format(head: &[u8], prefixes: &Prefixes) -> Option<LogFormat> {
    let mut reader = LineReader::new(prefixes, None);
    if head.starts_with(b"__CURSOR=") {
        return Some(LogFormat::JournalExport);
    }
    let mut lines = head.split(|byte| *byte == b'\n').take(MOST_LINES);
    lines.find_map(|line| match reader.read(line, true) {
        Line::Event(event) => Some(event.format),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str =
        "Nov 22 23:56:51 gw kernel: x IN=eth0 OUT= SRC=192.0.2.7 DST=10.7.10.4 PROTO=TCP SPT=4 DPT=502 ";

    fn told(head: &[u8], format: Option<LogFormat>) -> Option<Unfit> {
        unfit(head, format, &Prefixes::default())
    }

    #[test]
    fn what_is_wrong_with_a_file_is_told_by_how_it_begins() {
        let wide = |mark: &[u8], units: fn(u16) -> [u8; 2]| {
            let text: Vec<u8> = LINE.encode_utf16().flat_map(units).collect();
            [mark, &text].concat()
        };
        for head in [
            wide(b"\xff\xfe", u16::to_le_bytes),
            wide(b"\xfe\xff", u16::to_be_bytes),
            wide(b"", u16::to_le_bytes),
            wide(b"", u16::to_be_bytes),
        ] {
            assert_eq!(told(&head, None), Some(Unfit::Utf16));
        }
        assert_eq!(told(b"\x1f\x8b\x08", None), Some(Unfit::Packed("gzip")));
        assert_eq!(told(b"PK\x03\x04", None), Some(Unfit::Packed("zip")));
        assert_eq!(told(b"LPKSHHRH\0\0", None), Some(Unfit::Journal));
        let returns = format!("{LINE}\r{LINE}\r");
        assert_eq!(told(returns.as_bytes(), None), Some(Unfit::Returns));
        let found = told(LINE.as_bytes(), Some(LogFormat::Asa));
        let (asked, found_one) = (LogFormat::Asa, LogFormat::Kernel);
        assert_eq!(
            found,
            Some(Unfit::OtherFormat {
                asked,
                found: found_one
            })
        );
    }

    #[test]
    fn of_what_is_only_something_else_nothing_is_told() {
        let lines = format!("{LINE}\r\n{LINE}\r\n");
        for (head, format) in [
            (&b""[..], None),
            (b"cron: done\nusb 1-1: new device\n", None),
            (b"cron: done\n", Some(LogFormat::Asa)),
            (LINE.as_bytes(), Some(LogFormat::Kernel)),
            (lines.as_bytes(), None),
            (b"one line\r", None),
            // The hole that a crash leaves in a log.
            (&[0; 64], None),
            (b"\0\0\0\0\0\0\0\0\0\0\0\0cron: done\n", None),
        ] {
            assert_eq!(told(head, format), None, "{head:?}");
        }
    }
}

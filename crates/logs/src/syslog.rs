//! What stands before the message of a line: priority, time, host, tag.

mod parts;

use crate::{
    RawTime,
    words::{split, word},
};
pub(crate) use parts::{behind_head, is_host, tells_time_since_start};

/// The head of a line, up to the host name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head<'a> {
    pub(crate) time: RawTime<'a>,
    /// What follows the time, from the host name on where there is one.
    pub(crate) rest: &'a [u8],
    /// Whether a host name may follow: not behind the brackets of dmesg.
    pub(crate) host: bool,
}

/// Takes priority and time off. RFC 3164, RFC 5424, ISO 8601 before a host name, `dmesg` with and without `-T`, OpenWrt's
/// `logread`, and the marks that Cisco IOS puts before a time that is not synchronised.
pub(crate) fn head(line: &[u8]) -> Head<'_> {
    if let Some(rest) = after_rfc_3164(line) {
        return Head {
            time: RawTime::text(line),
            rest,
            host: true,
        };
    }
    let line = match marked(line) {
        Marked::Time(line) => line,
        Marked::NilTime(rest) => {
            return Head {
                time: RawTime::None,
                rest,
                host: true,
            };
        }
    };
    if let Some(head) = bracketed(line) {
        return head;
    }
    match time_length(line).and_then(|length| line.split_at_checked(length)) {
        Some((_, rest)) => Head {
            time: RawTime::text(line),
            rest,
            host: true,
        },
        None => Head {
            time: RawTime::None,
            rest: line,
            host: false,
        },
    }
}

/// Most lines begin so: `Nov 22 23:56:51 gw`, where no year follows.
fn after_rfc_3164(line: &[u8]) -> Option<&[u8]> {
    let (stamp, rest) = line.split_first_chunk::<15>()?;
    let [m, o, n, b' ', _, _, b' ', _, _, b':', _, _, b':', a, b] = stamp else {
        return None;
    };
    let is_time = MONTHS.contains(&&[*m, *o, *n]) && a.is_ascii_digit() && b.is_ascii_digit();
    let is_host = matches!(rest, [b' ', first, ..] if !first.is_ascii_digit());
    (is_time && is_host).then_some(rest)
}

/// What stands behind the marks before a time.
enum Marked<'a> {
    Time(&'a [u8]),
    /// `-` stands in its place (RFC 5424, 6.2.3); this is behind it.
    NilTime(&'a [u8]),
}

/// Behind `<4>` of RFC 3164, `<4>1 ` of RFC 5424, `<166>:` of Cisco's EMBLEM, and what a crash leaves before a line.
fn marked(line: &[u8]) -> Marked<'_> {
    let line = after_marks(line);
    match after_priority(line) {
        Some([b'1', b' ', b'-', rest @ ..]) if rest.starts_with(b" ") => Marked::NilTime(rest),
        Some([b'1', b' ', rest @ ..]) => Marked::Time(rest),
        Some([b':', rest @ ..]) => Marked::Time(after_marks(rest)),
        Some(rest) => Marked::Time(rest),
        None => Marked::Time(line),
    }
}

fn after_marks(line: &[u8]) -> &[u8] {
    let mut line = line;
    while let [b'\0' | b' ' | b'\t' | b'*' | b'.', rest @ ..] | [0xef, 0xbb, 0xbf, rest @ ..] = line {
        line = rest;
    }
    line
}

fn after_priority(line: &[u8]) -> Option<&[u8]> {
    let (priority, rest) = split(line.strip_prefix(b"<")?, b'>')?;
    let is_one = (1..=3).contains(&priority.len()) && priority.iter().all(u8::is_ascii_digit);
    is_one.then_some(rest)
}

/// `[12345.678] ` and `[Sun Nov 22 23:56:51 2026] `.
fn bracketed(line: &[u8]) -> Option<Head<'_>> {
    let (inside, rest) = split(line.strip_prefix(b"[")?, b']')?;
    if is_uptime(inside) {
        return Some(Head {
            time: RawTime::Uptime,
            rest,
            host: false,
        });
    }
    let length = time_length(inside)?;
    let alone = inside.get(length..)?.trim_ascii().is_empty();
    alone.then_some(Head {
        time: RawTime::text(inside),
        rest,
        host: false,
    })
}

pub(crate) fn is_uptime(inside: &[u8]) -> bool {
    let digits = |bytes: &[u8]| !bytes.is_empty() && bytes.iter().all(u8::is_ascii_digit);
    split(inside.trim_ascii(), b'.').is_some_and(|(seconds, fraction)| digits(seconds) && digits(fraction))
}

/// Length of the time that the text begins with, by its form.
fn time_length(text: &[u8]) -> Option<usize> {
    let rest = match text.first()? {
        b'0'..=b'9' => iso(text)?,
        b'A'..=b'Z' => month_first(text)?,
        _ => return None,
    };
    Some(text.len() - rest.len())
}

fn iso(text: &[u8]) -> Option<&[u8]> {
    let (stamp, rest) = word(text)?;
    let is_date = stamp.len() >= 10 && matches!(stamp.get(4), Some(b'-' | b'/'));
    if !is_date {
        return None;
    }
    if stamp.len() > 10 {
        return Some(rest);
    }
    let (clock, rest) = word(rest)?;
    is_clock(clock).then_some(rest)
}

fn month_first(text: &[u8]) -> Option<&[u8]> {
    let (name, rest) = word(text)?;
    let name = name.first_chunk::<3>().filter(|_| name.len() == 3)?;
    if DAYS.contains(&name) {
        let rest = rest.trim_ascii_start();
        return rest
            .first_chunk::<3>()
            .filter(|next| MONTHS.contains(next))
            .and_then(|_| month_first(rest));
    }
    if !MONTHS.contains(&name) {
        return None;
    }
    let (day, rest) = word(rest)?;
    if day.len() > 2 || !day.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let (next, after) = word(rest)?;
    if is_year(next) {
        let (clock, rest) = word(after)?;
        return is_clock(clock).then_some(rest);
    }
    if !is_clock(next) {
        return None;
    }
    match word(after) {
        Some((year, rest)) if is_year(year) => Some(rest),
        _ => Some(after),
    }
}

const MONTHS: [&[u8; 3]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];
const DAYS: [&[u8; 3]; 7] = [b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun"];

fn is_year(word: &[u8]) -> bool {
    word.len() == 4 && word.iter().all(u8::is_ascii_digit)
}

fn is_clock(word: &[u8]) -> bool {
    word.len() >= 5 && word.contains(&b':') && word.first().is_some_and(u8::is_ascii_digit)
}

/// The message of a line of RFC 5424, which has its priority and version: behind time, host, program, process, name and
/// structured data.
pub(crate) fn message_of_rfc_5424(line: &[u8]) -> Option<&[u8]> {
    let mut rest = after_priority(line)?.strip_prefix(b"1 ")?;
    for _ in 0..5 {
        (_, rest) = word(rest)?;
    }
    Some(after_structured_data(rest))
}

/// Whether a line begins with more than the one blank that some relays put there: then it goes on with what another line began.
#[inline]
pub(crate) fn is_indented(line: &[u8]) -> bool {
    match line.first() {
        Some(b'\t') => true,
        Some(b' ' | b'\0' | b'*' | b'.' | 0xef) => {
            let marks = line.len() - after_marks(line).len();
            let marks = line.get(..marks).unwrap_or_default();
            let blanks = marks.iter().filter(|byte| matches!(byte, b' ' | b'\t')).count();
            blanks > 1 || marks.contains(&b'\t') || blanks == 1 && marks.first() != Some(&b' ')
        }
        _ => false,
    }
}

/// `<4>1 ` of RFC 5424: the name of the program.
pub(crate) fn program_of_rfc_5424(line: &[u8]) -> Option<&[u8]> {
    let mut rest = after_priority(line)?.strip_prefix(b"1 ")?;
    for _ in 0..2 {
        (_, rest) = word(rest)?;
    }
    word(rest).map(|(program, _)| program)
}

/// Behind `-` or `[id name="value"]…` (RFC 5424, 6.3).
pub(crate) fn after_structured_data(text: &[u8]) -> &[u8] {
    let text = text.trim_ascii_start();
    if let Some(message) = text.strip_prefix(b"-") {
        return message.trim_ascii_start();
    }
    let is_stamp =
        split(text, b']').is_some_and(|(inside, _)| is_uptime(inside.get(1..).unwrap_or_default()));
    if !text.starts_with(b"[") || is_stamp {
        return text;
    }
    let (mut quoted, mut escaped) = (false, false);
    for (position, byte) in text.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = quoted,
            b'"' => quoted = !quoted,
            b']' if !quoted && text.get(position + 1) != Some(&b'[') => {
                return text.get(position + 1..).unwrap_or_default().trim_ascii_start();
            }
            _ => {}
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_before_the_host_name_is_taken_off() {
        for line in [
            "<4>Nov 22 23:56:51 gw x",
            "Nov  2 23:56:51 gw x",
            "Nov 22 2026 23:56:51 gw x",
            "Nov 22 23:56:51 2026 gw x",
            "<134>1 2026-11-22T22:56:51Z gw x",
            "2026-11-22 23:56:51 gw x",
            "Sun Nov 22 23:56:51 2026 gw x",
            "[Sun Nov 22 23:56:51 2026] gw x",
            "[ 12.5] gw x",
            "\0\0*Nov 22 23:56:51.123: gw x",
            "2026/11/22 23:56:51 gw x",
            "<166>:Nov 22 23:56:51 gw x",
            "<166>: 2026-11-22T22:56:51Z gw x",
        ] {
            let head = head(line.as_bytes());
            assert_eq!(head.rest.trim_ascii_start(), b"gw x", "{line}");
            assert_ne!(head.time, RawTime::None, "{line}");
        }
        let nil = head(b"<134>1 - gw x");
        assert_eq!(
            (nil.time, nil.rest, nil.host),
            (RawTime::None, &b" gw x"[..], true)
        );
        for line in [
            "gw x",
            "Sun x",
            "Nov 22",
            "[x] y",
            "<1234>Nov",
            "2026",
            "Nov 22 at 12:00:00",
        ] {
            assert_eq!(head(line.as_bytes()).time, RawTime::None, "{line}");
        }
    }
}

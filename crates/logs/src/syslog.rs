//! What stands before the message of a line: priority, time, host, tag.

use crate::{
    RawTime,
    words::{address, split, word},
};

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
    let line = without_marks(line);
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

/// `<4>` of RFC 3164 and `<4>1 ` of RFC 5424, and what a crash leaves before a line.
fn without_marks(line: &[u8]) -> &[u8] {
    let line = after_marks(line);
    match after_priority(line) {
        Some(rest) => rest.strip_prefix(b"1 ").unwrap_or(rest),
        None => line,
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

/// Behind all that heads are made of: priority, time, host, number, mark, zone, the colon of an ASA, and the empty fields of
/// RFC 5424. The name of a program is left, and so is all that only looks like a head further behind.
pub(crate) fn behind_head(text: &[u8]) -> &[u8] {
    if is_indented(text) {
        return text;
    }
    let plain = after_marks(text);
    let mut head = Parts::default();
    let rest = match after_priority(plain) {
        Some(rest) => match rest.strip_prefix(b"1 ") {
            Some(fields) => match head.of_rfc_5424(fields) {
                Some(rest) => rest,
                None => return fields,
            },
            None => rest,
        },
        None => plain,
    };
    head.of_device(rest)
}

/// What was met of a head.
#[derive(Debug, Default)]
struct Parts<'a> {
    times: u8,
    host: Option<&'a [u8]>,
    /// A host name may follow.
    open: bool,
}

impl<'a> Parts<'a> {
    /// Time and host, and fields that name no program: IOS has its sequence number where others have their tag.
    fn of_rfc_5424(&mut self, fields: &'a [u8]) -> Option<&'a [u8]> {
        let (_time, rest) = word(fields)?;
        let (host, mut rest) = word(rest)?;
        (self.times, self.host) = (1, Some(host));
        let is_nobody = |field: &[u8]| field == b"-" || field.iter().all(u8::is_ascii_digit);
        for _ in 0..3 {
            match word(rest) {
                Some((field, behind)) if is_nobody(field) => rest = behind,
                Some(_) => return Some(rest),
                None => return Some(b""),
            }
        }
        Some(after_structured_data(rest))
    }

    fn of_device(&mut self, text: &'a [u8]) -> &'a [u8] {
        let mut rest = text;
        let mut numbered = false;
        while let Some((part, behind)) = word(rest) {
            // EMBLEM has its colon right before the time.
            let unmarked = after_marks(rest.strip_prefix(b":").unwrap_or(rest));
            if self.times < 2
                && let Some(length) = time_length(unmarked)
            {
                rest = unmarked.get(length..).unwrap_or_default();
                (self.times, self.open, numbered) = (self.times + 1, true, false);
                if let Some((_zone, behind)) = word(rest).filter(|(zone, _)| is_zone(zone)) {
                    rest = behind;
                }
                continue;
            }
            let name = part.strip_suffix(b":").unwrap_or(part);
            let has_colon = name.len() < part.len();
            let is_part = if has_colon && (name.is_empty() || is_sequence(name) || is_since_start(name)) {
                numbered = !name.is_empty();
                true
            } else if has_colon {
                // `logging origin-id`: the name of the router, between the number of its line and its time.
                let is_origin = numbered && is_host(name) && time_length(after_marks(behind)).is_some()
                    || address(name).is_some() && self.is_its_host(name, behind);
                numbered = false;
                is_origin
            } else if is_severity(part) {
                self.times > 0
            } else {
                self.is_its_host(part, behind)
            };
            if !is_part {
                return rest.trim_ascii_start();
            }
            rest = behind;
        }
        b""
    }

    /// The first name behind a time; behind a second time the same again, or what an ASA puts a colon behind.
    fn is_its_host(&mut self, name: &'a [u8], behind: &[u8]) -> bool {
        if !self.open || !is_host(name) {
            return false;
        }
        self.open = false;
        let is_one =
            self.times < 2 || self.host == Some(name) || word(behind).is_some_and(|(colon, _)| colon == b":");
        self.host = Some(name);
        is_one
    }
}

/// What a host may be called: neither a program's tag nor a level.
pub(crate) fn is_host(name: &[u8]) -> bool {
    // Where programs log to files of their own, the level stands in this place.
    const LEVELS: [&[u8]; 12] = [
        b"ALERT",
        b"CRIT",
        b"TRACE",
        b"DEBUG",
        b"INFO",
        b"NOTICE",
        b"WARN",
        b"WARNING",
        b"ERR",
        b"ERROR",
        b"CRITICAL",
        b"FATAL",
    ];
    let is_letter = |byte: &u8| byte.is_ascii_alphanumeric() || b".-_:/@%".contains(byte);
    name.iter().all(is_letter)
        && name.last() != Some(&b':')
        && name.iter().any(u8::is_ascii_alphanumeric)
        && !LEVELS.iter().any(|level| name.eq_ignore_ascii_case(level))
}

fn is_sequence(name: &[u8]) -> bool {
    name.iter().all(u8::is_ascii_digit)
}

/// `00:12:34`, `1w2d`, `3d04h`: how long a router has been up.
fn is_since_start(name: &[u8]) -> bool {
    name.first().is_some_and(u8::is_ascii_digit)
        && name
            .iter()
            .all(|byte| byte.is_ascii_digit() || b":ywdh".contains(byte))
}

/// `UTC:`, `CEST:`, and not `INFO:` or the name of a program.
fn is_zone(word: &[u8]) -> bool {
    let Some(name) = word.strip_suffix(b":") else {
        return false;
    };
    match name {
        b"UTC" | b"MSK" | b"MEZ" | b"MESZ" => true,
        [first @ .., b'T'] => {
            (2..=3).contains(&first.len()) && first.iter().all(u8::is_ascii_uppercase) && is_host(name)
        }
        _ => false,
    }
}

/// `Local4.Info`, as some collectors write facility and severity out.
fn is_severity(word: &[u8]) -> bool {
    const FACILITIES: [&[u8]; 12] = [
        b"kern",
        b"user",
        b"mail",
        b"daemon",
        b"auth",
        b"authpriv",
        b"syslog",
        b"lpr",
        b"news",
        b"uucp",
        b"cron",
        b"ftp",
    ];
    const SEVERITIES: [&[u8]; 11] = [
        b"emerg",
        b"alert",
        b"crit",
        b"critical",
        b"err",
        b"error",
        b"warn",
        b"warning",
        b"notice",
        b"info",
        b"debug",
    ];
    let is_among = |names: &[&[u8]], word: &[u8]| names.iter().any(|name| word.eq_ignore_ascii_case(name));
    split(word, b'.').is_some_and(|(facility, severity)| {
        let is_local = matches!(facility, [b'L' | b'l', b'o', b'c', b'a', b'l', b'0'..=b'7']);
        (is_local || is_among(&FACILITIES, facility)) && is_among(&SEVERITIES, severity)
    })
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
        ] {
            let head = head(line.as_bytes());
            assert_eq!(head.rest.trim_ascii_start(), b"gw x", "{line}");
            assert_ne!(head.time, RawTime::None, "{line}");
        }
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

//! What heads are made of, piece by piece: whether anything else stands before a message.

use super::{after_marks, after_priority, after_structured_data, is_indented, time_length};
use crate::words::{address, split, word};

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
            let unmarked = after_marks(rest);
            let unmarked = unmarked.strip_prefix(b":").map_or(unmarked, after_marks);
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
                let is_before_time = || {
                    time_length(after_marks(behind)).is_some()
                        || word(after_marks(behind)).is_some_and(|(next, _)| tells_time_since_start(next))
                };
                let is_origin = numbered && is_host(name) && is_before_time()
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

/// `6w3d:`, `00:12:34:`, and no sequence number.
pub(crate) fn tells_time_since_start(word: &[u8]) -> bool {
    word.strip_suffix(b":")
        .is_some_and(|name| is_since_start(name) && !is_sequence(name))
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

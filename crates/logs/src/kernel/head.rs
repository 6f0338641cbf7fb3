//! What stands before `IN=`: time, host, tag and the rule's prefix.

use crate::time::{ReadTime, TimeContext, word};

/// The head of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head<'a> {
    pub(super) time: ReadTime,
    pub(super) prefix: &'a str,
}

/// Takes a head apart: RFC 3164, RFC 5424, ISO 8601 before a host name, `dmesg` with and without `-T`, ulogd LOGEMU.
pub(super) fn read<'a>(head: &'a str, context: &TimeContext) -> Head<'a> {
    let text = head.trim_start_matches(['\0', '\u{feff}', ' ', '\t']);
    let text = without_priority(text);
    if let Some((time, prefix)) = bracketed(text, context) {
        return Head { time, prefix };
    }
    let (time, rest) = context.read(text);
    let message = match after_kernel_tag(rest) {
        Some(message) => message,
        // LOGEMU has the host name and no tag; a line without any time has neither.
        None if time.at.is_some() => word(rest).map_or("", |(_host, message)| message),
        None => rest,
    };
    Head {
        time,
        prefix: without_uptime(message).trim(),
    }
}

/// `<4>` of RFC 3164 and `<4>1 ` of RFC 5424.
fn without_priority(text: &str) -> &str {
    let Some((priority, rest)) = text.strip_prefix('<').and_then(|text| text.split_once('>')) else {
        return text;
    };
    if priority.is_empty() || priority.len() > 3 || !priority.bytes().all(|b| b.is_ascii_digit()) {
        return text;
    }
    rest.strip_prefix("1 ").unwrap_or(rest)
}

/// `[12345.678] PREFIX` and `[Sun Nov 22 23:56:51 2026] PREFIX`.
fn bracketed<'a>(text: &'a str, context: &TimeContext) -> Option<(ReadTime, &'a str)> {
    let (inside, rest) = text.strip_prefix('[')?.split_once(']')?;
    let time = if is_uptime(inside) {
        ReadTime::unknown("the line tells only the seconds since the machine was started")
    } else {
        let (time, behind) = context.read(inside);
        let is_time = time.at.is_some() && behind.trim().is_empty();
        is_time.then_some(time)?
    };
    Some((time, rest.trim()))
}

/// The message behind the tag `kernel:`, or behind the fields of RFC 5424 that follow `kernel`.
fn after_kernel_tag(text: &str) -> Option<&str> {
    if let Some((_, message)) = text.split_once(" kernel:") {
        return Some(message);
    }
    let (_host, rest) = word(text)?;
    let (application, rest) = word(rest)?;
    let (process, rest) = word(rest)?;
    let (message_id, rest) = word(rest)?;
    let is_kernel = application == "kernel" && process == "-";
    (is_kernel && !message_id.is_empty()).then(|| after_structured_data(rest.trim_start()))
}

/// Behind `-` or `[id name="value"]…` (RFC 5424, 6.3).
fn after_structured_data(text: &str) -> &str {
    if let Some(message) = text.strip_prefix('-') {
        return message.trim_start_matches([' ', '\u{feff}']);
    }
    if !text.starts_with('[') || is_uptime_first(text) {
        return text;
    }
    let mut quoted = false;
    let mut escaped = false;
    let mut characters = text.char_indices().peekable();
    while let Some((position, character)) = characters.next() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = quoted,
            '"' => quoted = !quoted,
            ']' if !quoted && characters.peek().is_none_or(|(_, next)| *next != '[') => {
                return text.get(position + 1..).unwrap_or("").trim_start();
            }
            _ => {}
        }
    }
    text
}

/// `[ 1234.567890] ` before the prefix, when the kernel stamps its own lines.
fn without_uptime(text: &str) -> &str {
    let text = text.trim_start();
    match text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        Some((inside, rest)) if is_uptime(inside) => rest,
        _ => text,
    }
}

fn is_uptime_first(text: &str) -> bool {
    text.strip_prefix('[')
        .and_then(|text| text.split_once(']'))
        .is_some_and(|(inside, _)| is_uptime(inside))
}

fn is_uptime(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.trim()
        .split_once('.')
        .is_some_and(|(seconds, fraction)| digits(seconds) && digits(fraction))
}

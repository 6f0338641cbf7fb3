//! systemd's journal as `journalctl -o json` and `-o export` print it.
//!
//! Forms as in "Journal Export Formats" (systemd.io): an entry of the export form is a block of `KEY=value` lines; a value
//! with line ends has its length before it. A message that is no UTF-8 is a list of numbers in JSON.

use std::{borrow::Cow, sync::LazyLock};

use memchr::{memchr, memmem};
use portcullis_model::LogFormat;
use serde::Deserialize;

use super::kernel;
use crate::{
    Line, Lost, Prefixes, RawTime, Reason,
    entries::binary,
    lost::{by_journald, by_kernel},
    words::{number, split},
};

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow, rename = "MESSAGE")]
    message: Option<Message<'a>>,
    #[serde(borrow, rename = "__REALTIME_TIMESTAMP")]
    time: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "_TRANSPORT")]
    transport: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "SYSLOG_IDENTIFIER")]
    program: Option<Cow<'a, str>>,
}

/// Whether an entry is of the kernel. `_TRANSPORT` is what the journal itself vouches for; who may log anything may call himself
/// anything, and so what calls itself otherwise is not the kernel where the journal says nothing.
fn is_of_kernel(transport: Option<&[u8]>, program: Option<&[u8]>) -> bool {
    match transport {
        Some(transport) => transport == b"kernel",
        None => program.is_none_or(|program| program == b"kernel"),
    }
}

/// Whether an entry is what the journal says of itself: nobody else may use that transport.
fn is_of_journal(transport: Option<&[u8]>, program: Option<&[u8]>) -> bool {
    transport == Some(b"driver") && program == Some(b"systemd-journald")
}

fn of_kernel<'a>(text: &'a [u8], prefixes: &Prefixes) -> Line<'a> {
    match kernel::read(text, true, prefixes) {
        Line::Unrelated => lost(by_kernel(text)),
        read => read,
    }
}

fn lost(lost: Option<Lost>) -> Line<'static> {
    lost.map_or(Line::Unrelated, Line::Lost)
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Message<'a> {
    #[serde(borrow)]
    Text(Cow<'a, str>),
    Bytes(Vec<u8>),
    Other(serde::de::IgnoredAny),
}

/// Reads one line of the JSON form.
pub(crate) fn read_json<'a>(line: &'a [u8], prefixes: &Prefixes) -> Line<'a> {
    let Some(object) = super::object(line) else {
        return Line::Unrelated;
    };
    static KEY: super::Key = LazyLock::new(|| memmem::Finder::new("\"MESSAGE\""));
    if KEY.find(object).is_none() {
        return Line::Unrelated;
    }
    let Some(entry) = super::json::<Entry<'a>>(object) else {
        return Line::Unreadable(Reason::NotJson);
    };
    let transport = entry.transport.as_deref().map(str::as_bytes);
    let program = entry.program.as_deref().map(str::as_bytes);
    if !is_of_kernel(transport, program) {
        return match entry.message {
            Some(Message::Text(text)) if is_of_journal(transport, program) => {
                lost(by_journald(text.as_bytes()))
            }
            _ => Line::Unrelated,
        };
    }
    let time = entry.time.as_deref().map(str::as_bytes).and_then(number);
    let line = match entry.message {
        Some(Message::Text(Cow::Borrowed(text))) => of_kernel(text.as_bytes(), prefixes),
        Some(Message::Text(Cow::Owned(text))) => owned(of_kernel(text.as_bytes(), prefixes)),
        Some(Message::Bytes(bytes)) => owned(of_kernel(&bytes, prefixes)),
        Some(Message::Other(_)) | None => Line::Unrelated,
    };
    dated(line, LogFormat::JournalJson, time)
}

/// Reads one entry of the export form, which is many lines.
pub(crate) fn read_export<'a>(entry: &'a [u8], prefixes: &Prefixes) -> Line<'a> {
    let (mut message, mut time) = (None, None);
    let (mut transport, mut program) = (None, None);
    let mut rest = entry;
    while !rest.is_empty() {
        let end = memchr(b'\n', rest).unwrap_or(rest.len());
        let (line, behind) = rest.split_at_checked(end).unwrap_or((rest, b""));
        rest = behind.get(1..).unwrap_or_default();
        if line.is_empty() {
            continue;
        }
        let (key, value) = match split(line, b'=') {
            Some(pair) => pair,
            None => {
                let Some((value, behind)) = binary(rest) else {
                    return Line::Unreadable(Reason::CutOffBefore("the end of a value"));
                };
                rest = behind;
                (line, value)
            }
        };
        match key {
            b"MESSAGE" => message = Some(value),
            b"__REALTIME_TIMESTAMP" => time = number(value),
            b"_TRANSPORT" => transport = Some(value),
            b"SYSLOG_IDENTIFIER" => program = Some(value),
            _ => {}
        }
    }
    if !is_of_kernel(transport, program) {
        let said = message.filter(|_| is_of_journal(transport, program));
        return lost(said.and_then(by_journald));
    }
    let line = message.map_or(Line::Unrelated, |text| of_kernel(text, prefixes));
    dated(line, LogFormat::JournalExport, time)
}

fn owned(line: Line<'_>) -> Line<'static> {
    match line {
        Line::Event(event) => Line::Event(event.into_owned()),
        Line::Unrelated => Line::Unrelated,
        Line::Lost(lost) => Line::Lost(lost),
        Line::Unreadable(reason) => Line::Unreadable(reason),
    }
}

/// The journal's own time is that of the message's arrival, with its zone and year.
fn dated(line: Line<'_>, format: LogFormat, time: Option<u64>) -> Line<'_> {
    let Line::Event(mut event) = line else { return line };
    event.format = format;
    // The journal vouches for the kernel, whatever the rule's prefix looks like.
    event.hearsay = false;
    event.time = time
        .and_then(|time| i64::try_from(time).ok())
        .map_or(RawTime::None, RawTime::Unix);
    Line::Event(event)
}

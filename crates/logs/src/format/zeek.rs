//! `conn.log` of Zeek, tab separated and JSON.
//!
//! Held against Zeek's own `scripts/base/protocols/conn/main.zeek`, from which its documentation is made: fields, states, and
//! how a state is chosen. Zeek watches and blocks nothing: a connection that stood was let through, of all others nobody
//! knows who refused them. Of UDP, `SF` is that both ends sent. Of ICMP the ports are type and code, and so are none.

use std::{borrow::Cow, sync::LazyLock};

use memchr::memmem;
use portcullis_model::{LogFormat, LogMoment, Verdict};
use serde::Deserialize;

use crate::{
    Columns, Event, Line, RawTime, Reason,
    event::{TCP, UDP, of_version},
    words::{address, milliseconds, number, port, protocol, split},
};

/// The columns that are read.
pub(crate) const COLUMNS: [&str; 10] = [
    "ts",
    "id.orig_h",
    "id.orig_p",
    "id.resp_h",
    "id.resp_p",
    "proto",
    "duration",
    "orig_bytes",
    "resp_bytes",
    "conn_state",
];

/// Reads one line of the tab separated form.
pub(crate) fn read_tsv<'a>(line: &'a [u8], columns: Option<&Columns>) -> Line<'a> {
    if line.starts_with(b"#") || line.is_empty() {
        return Line::Unrelated;
    }
    let Some(columns) = columns.filter(|columns| columns.format == LogFormat::ZeekTsv) else {
        return if memchr::memchr(b'\t', line).is_some() {
            Line::Unreadable(Reason::NoColumns)
        } else {
            Line::Unrelated
        };
    };
    if columns.of_another_log() {
        return Line::Unrelated;
    }
    let [
        time,
        source,
        source_port,
        destination,
        destination_port,
        name,
        duration,
        sent,
        received,
        state,
    ] = columns.values(line, b'\t');
    let connection = Connection {
        time: time.and_then(microseconds),
        source,
        source_port: source_port.map(|value| port(value).ok_or(Reason::NotAPort("id.orig_p"))),
        destination,
        destination_port: destination_port.map(|value| port(value).ok_or(Reason::NotAPort("id.resp_p"))),
        protocol: name.and_then(protocol),
        state: state.unwrap_or_default(),
        bytes: (sent.and_then(number), received.and_then(number)),
        duration_ms: duration.and_then(milliseconds),
    };
    connection
        .event(LogFormat::ZeekTsv)
        .map_or_else(Line::Unreadable, Line::Event)
}

/// `1763852211.123456` as microseconds.
fn microseconds(text: &[u8]) -> Option<i64> {
    let (whole, fraction) = split(text, b'.').unwrap_or((text, b""));
    let fraction = fraction.get(..fraction.len().min(6))?;
    let places = u32::try_from(fraction.len()).ok()?;
    let micros = if fraction.is_empty() {
        0
    } else {
        number(fraction)? * 10_u64.pow(6 - places)
    };
    i64::try_from(number(whole)?.checked_mul(1_000_000)?.checked_add(micros)?).ok()
}

struct Connection<'a> {
    time: Option<i64>,
    source: Option<&'a [u8]>,
    source_port: Option<Result<u16, Reason>>,
    destination: Option<&'a [u8]>,
    destination_port: Option<Result<u16, Reason>>,
    protocol: Option<u8>,
    state: &'a [u8],
    bytes: (Option<u64>, Option<u64>),
    duration_ms: Option<u64>,
}

impl Connection<'_> {
    fn event<'e>(self, format: LogFormat) -> Result<Event<'e>, Reason> {
        let end = |value: Option<&[u8]>, name| {
            address(value.ok_or(Reason::CutOffBefore(name))?).ok_or(Reason::NotAnAddress(name))
        };
        let mut event = Event::between(
            format,
            end(self.source, "id.orig_h")?,
            end(self.destination, "id.resp_h")?,
        );
        event.protocol = of_version(self.protocol, event.source);
        if matches!(event.protocol, Some(TCP | UDP)) {
            event.source_port = Some(self.source_port.ok_or(Reason::CutOffBefore("id.orig_p"))??);
            event.destination_port = Some(self.destination_port.ok_or(Reason::CutOffBefore("id.resp_p"))??);
        }
        event.moment = LogMoment::End;
        event.verdict = match self.state {
            b"S1" | b"S2" | b"S3" | b"SF" | b"RSTO" | b"RSTR" => Verdict::Allowed,
            _ => Verdict::Unknown,
        };
        event.time = self.time.map_or(RawTime::None, RawTime::Unix);
        event.bytes = match self.bytes {
            (None, None) => None,
            (sent, received) => Some(sent.unwrap_or(0).saturating_add(received.unwrap_or(0))),
        };
        event.duration_ms = self.duration_ms;
        event.interface = Cow::Borrowed(b"");
        Ok(event)
    }
}

#[derive(Deserialize)]
struct Json<'a> {
    ts: Stamp<'a>,
    #[serde(borrow, rename = "id.orig_h")]
    source: Cow<'a, str>,
    #[serde(rename = "id.orig_p")]
    source_port: u16,
    #[serde(borrow, rename = "id.resp_h")]
    destination: Cow<'a, str>,
    #[serde(rename = "id.resp_p")]
    destination_port: u16,
    #[serde(borrow)]
    proto: Cow<'a, str>,
    duration: Option<f64>,
    orig_bytes: Option<u64>,
    resp_bytes: Option<u64>,
    #[serde(borrow)]
    conn_state: Option<Cow<'a, str>>,
}

/// Seconds, or ISO 8601 when `LogAscii::json_timestamps` says so.
#[derive(Deserialize)]
#[serde(untagged)]
enum Stamp<'a> {
    Seconds(f64),
    #[serde(borrow)]
    Text(Cow<'a, str>),
}

static ORIGIN: super::Key = LazyLock::new(|| memmem::Finder::new("\"id.orig_h\""));
static STATE: super::Key = LazyLock::new(|| memmem::Finder::new("\"conn_state\""));

/// Reads one line of the JSON form; logs other than `conn` have no `conn_state` and are something else.
pub(crate) fn read_json(line: &[u8]) -> Line<'_> {
    let Some(object) = super::object(line) else {
        return Line::Unrelated;
    };
    if ORIGIN.find(object).is_none() || STATE.find(object).is_none() {
        return Line::Unrelated;
    }
    let Some(json) = super::json::<Json<'_>>(object) else {
        return Line::Unreadable(Reason::NotJson);
    };
    let connection = Connection {
        time: match &json.ts {
            Stamp::Seconds(seconds) => whole(seconds * 1e6),
            Stamp::Text(_) => None,
        },
        source: Some(json.source.as_bytes()),
        source_port: Some(Ok(json.source_port)),
        destination: Some(json.destination.as_bytes()),
        destination_port: Some(Ok(json.destination_port)),
        protocol: protocol(json.proto.as_bytes()),
        state: json.conn_state.as_deref().unwrap_or_default().as_bytes(),
        bytes: (json.orig_bytes, json.resp_bytes),
        duration_ms: json
            .duration
            .and_then(|seconds| whole(seconds * 1e3))
            .and_then(|ms| u64::try_from(ms).ok()),
    };
    let mut event = match connection.event(LogFormat::ZeekJson) {
        Ok(event) => event,
        Err(reason) => return Line::Unreadable(reason),
    };
    if let Stamp::Text(text) = json.ts {
        event.time = RawTime::Text(super::bytes(text));
    }
    Line::Event(event)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "it was compared with numbers that fit"
)]
fn whole(number: f64) -> Option<i64> {
    (number.abs() < 1e18).then(|| number.round() as i64)
}

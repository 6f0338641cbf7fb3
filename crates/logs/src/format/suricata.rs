//! Suricata EVE: flows, alerts and drops.
//!
//! Held against the Suricata User Guide, "Eve JSON Format" (common fields, alert), against Suricata's own source of the flow
//! record (`src/output-json-flow.c`) and, for `verdict`, `direction` and the `action` of a flow, which are newer than these,
//! against its change 8318 and what others published.
//! `allowed` of an alert says only that this rule did not block; a flow that was established got through; what Suricata
//! dropped was blocked. A flow's source is who began it. An alert's is who sent the packet: it is turned when `direction`
//! says so, which Suricata before 7 does not write. One conversation may have a drop, alerts and a flow: each is a moment of its
//! own, so that they count once.

use std::{borrow::Cow, sync::LazyLock};

use memchr::memmem;
use portcullis_model::{LogFormat, LogMoment, TcpFlags, Verdict};
use serde::Deserialize;

use crate::{
    Event, Line, RawTime, Reason,
    event::{TCP, UDP},
    words::{address, protocol},
};

#[derive(Deserialize)]
struct Record<'a> {
    #[serde(borrow)]
    timestamp: Cow<'a, str>,
    #[serde(borrow)]
    event_type: Cow<'a, str>,
    #[serde(borrow)]
    src_ip: Option<Cow<'a, str>>,
    src_port: Option<u16>,
    #[serde(borrow)]
    dest_ip: Option<Cow<'a, str>>,
    dest_port: Option<u16>,
    #[serde(borrow)]
    proto: Option<Cow<'a, str>>,
    #[serde(borrow)]
    in_iface: Option<Cow<'a, str>>,
    #[serde(borrow)]
    flow: Option<Flow<'a>>,
    #[serde(borrow)]
    alert: Option<Alert<'a>>,
    #[serde(borrow)]
    tcp: Option<Tcp<'a>>,
    #[serde(borrow)]
    direction: Option<Cow<'a, str>>,
    /// What became of the packet after all rules.
    #[serde(borrow)]
    verdict: Option<Final<'a>>,
}

#[derive(Deserialize)]
struct Final<'a> {
    #[serde(borrow)]
    action: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Flow<'a> {
    bytes_toserver: Option<u64>,
    bytes_toclient: Option<u64>,
    age: Option<u64>,
    #[serde(borrow)]
    state: Option<Cow<'a, str>>,
    #[serde(borrow)]
    action: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Alert<'a> {
    #[serde(borrow)]
    action: Option<Cow<'a, str>>,
    #[serde(borrow)]
    signature: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Tcp<'a> {
    #[serde(borrow)]
    tcp_flags: Option<Cow<'a, str>>,
    #[serde(borrow)]
    tcp_flags_tc: Option<Cow<'a, str>>,
}

/// Reads one line; other types of events are something else.
pub(crate) fn read(line: &[u8]) -> Line<'_> {
    let Some(object) = super::object(line) else {
        return Line::Unrelated;
    };
    let Some(kind) = kind(object) else {
        return Line::Unrelated;
    };
    if !matches!(kind, b"flow" | b"alert" | b"drop") {
        return Line::Unrelated;
    }
    let Some(record) = super::json::<Record<'_>>(object) else {
        return Line::Unreadable(Reason::NotJson);
    };
    event(record).map_or_else(Line::Unreadable, Line::Event)
}

/// The value of `event_type`, without reading the rest.
fn kind(object: &[u8]) -> Option<&[u8]> {
    static KEY: super::Key = LazyLock::new(|| memmem::Finder::new("\"event_type\""));
    let behind = object.get(KEY.find(object)? + KEY.needle().len()..)?;
    let value = behind
        .trim_ascii_start()
        .strip_prefix(b":")?
        .trim_ascii_start()
        .strip_prefix(b"\"")?;
    Some(crate::words::until(value, b'"'))
}

fn event<'a>(record: Record<'a>) -> Result<Event<'a>, Reason> {
    let end = |value: &Option<Cow<'_, str>>, name| {
        address(value.as_deref().ok_or(Reason::Missing(name))?.as_bytes()).ok_or(Reason::NotAnAddress(name))
    };
    let mut event = Event::between(
        LogFormat::Suricata,
        end(&record.src_ip, "src_ip")?,
        end(&record.dest_ip, "dest_ip")?,
    );
    event.protocol = record.proto.as_deref().and_then(|name| protocol(name.as_bytes()));
    if matches!(event.protocol, Some(TCP | UDP)) {
        (event.source_port, event.destination_port) = (record.src_port, record.dest_port);
    }
    if record.direction.as_deref() == Some("to_client") {
        std::mem::swap(&mut event.source, &mut event.destination);
        std::mem::swap(&mut event.source_port, &mut event.destination_port);
    }
    event.interface = record.in_iface.map_or(Cow::Borrowed(&b""[..]), super::bytes);
    event.time = RawTime::Text(super::bytes(record.timestamp));
    let flags = |text: Option<Cow<'_, str>>| {
        text.and_then(|text| u8::from_str_radix(&text, 16).ok())
            .map(TcpFlags)
    };
    let (flags, answer) = match record.tcp {
        Some(tcp) => (flags(tcp.tcp_flags), flags(tcp.tcp_flags_tc)),
        None => (None, None),
    };
    event.flags = flags;
    let is_flow = record.event_type == "flow";
    if let Some(flow) = record.flow.as_ref().filter(|_| is_flow) {
        event.bytes = flow
            .bytes_toserver
            .zip(flow.bytes_toclient)
            .map(|(sent, received)| sent.saturating_add(received));
        event.duration_ms = flow.age.map(|seconds| seconds.saturating_mul(1000));
    }
    let stood = answer.is_some_and(|flags| flags.has(TcpFlags::SYN.with(TcpFlags::ACK)))
        || record
            .flow
            .as_ref()
            .is_some_and(|flow| flow.state.as_deref() == Some("established"));
    let dropped = record
        .flow
        .as_ref()
        .is_some_and(|flow| flow.action.as_deref() == Some("drop"));
    let stopped = record
        .verdict
        .is_some_and(|verdict| verdict.action.as_deref() == Some("drop"));
    (event.moment, event.verdict) = match &*record.event_type {
        "drop" => (LogMoment::Begin, Verdict::Blocked),
        "flow" if dropped => (LogMoment::End, Verdict::Blocked),
        "flow" if stood => (LogMoment::End, Verdict::Allowed),
        "flow" => (LogMoment::End, Verdict::Unknown),
        _ if stopped => (LogMoment::Within, Verdict::Blocked),
        _ => match record.alert.as_ref().and_then(|alert| alert.action.as_deref()) {
            Some("blocked") => (LogMoment::Within, Verdict::Blocked),
            _ => (LogMoment::Within, Verdict::Unknown),
        },
    };
    event.prefix = record
        .alert
        .and_then(|alert| alert.signature)
        .map_or(Cow::Borrowed(&b""[..]), super::bytes);
    Ok(event)
}

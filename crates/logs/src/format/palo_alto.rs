//! Traffic log of PAN-OS, comma separated.
//!
//! Order of the fields held against "PAN-OS Administrator's Guide", Syslog Field Descriptions, Traffic Log Fields (8.1 to 11.0 have
//! the same up to the elapsed time). Files that are exported may have all fields in quotes; that they have the same order was seen in
//! published lines only.

use std::borrow::Cow;

use portcullis_model::{LogFormat, LogMoment, Verdict};

use crate::{
    Event, Line, RawTime, Reason,
    event::{TCP, UDP},
    words::{address, number, port, protocol},
};

/// The fields that are read, by their distance from `TRAFFIC`.
const FIELDS: usize = 34;

/// Reads one line; logs of other types are something else. The record begins with the word before the first comma, and its fourth
/// field is the type: further behind, a whole record may stand in a field that others filled.
pub(crate) fn read(line: &[u8]) -> Line<'_> {
    let mut fields = memchr::memchr_iter(b',', line);
    match fields.nth(2) {
        Some(comma) => match line.get(comma + 1..) {
            Some(behind) if behind.starts_with(b"TRAFFIC,") || behind.starts_with(b"\"TRAFFIC\",") => {
                event(columns(behind)).map_or_else(Line::Unreadable, Line::Event)
            }
            _ => Line::Unrelated,
        },
        None => Line::Unrelated,
    }
}

/// Whether the first field of a record is what it must be.
pub(super) fn begins_record(field: &[u8]) -> bool {
    let field = field.strip_prefix(b"\"").map_or(field, |field| {
        // Without its second quote it is no number.
        field.strip_suffix(b"\"").unwrap_or(b"\"")
    });
    field.iter().all(u8::is_ascii_digit)
}

/// Fields between commas; a field in quotes may hold commas, and two quotes stand for one.
fn columns(text: &[u8]) -> [Option<&[u8]>; FIELDS] {
    let mut columns = [None; FIELDS];
    let mut rest = Some(text);
    for column in &mut columns {
        let Some(text) = rest else { break };
        let end = match text.strip_prefix(b"\"") {
            Some(quoted) => 1 + end_of_quote(quoted),
            None => memchr::memchr(b',', text).unwrap_or(text.len()),
        };
        let value = text.get(..end).unwrap_or_default();
        *column = Some(
            value
                .strip_prefix(b"\"")
                .and_then(|value| value.strip_suffix(b"\""))
                .unwrap_or(value),
        );
        rest = text.get(end + 1..);
    }
    columns
}

/// Length of the rest of a quoted field with its closing quote.
fn end_of_quote(quoted: &[u8]) -> usize {
    let mut from = 0;
    while let Some(found) = quoted.get(from..).and_then(|rest| memchr::memchr(b'"', rest)) {
        let at = from + found;
        if quoted.get(at + 1) != Some(&b'"') {
            return at + 1;
        }
        from = at + 2;
    }
    quoted.len()
}

fn event(columns: [Option<&[u8]>; FIELDS]) -> Result<Event<'_>, Reason> {
    let [
        _,
        subtype,
        _,
        time,
        source,
        destination,
        _,
        _,
        rule,
        _,
        _,
        _,
        _,
        zone,
        out_zone,
        _,
        _,
        _,
        _,
        _,
        repeat,
        source_port,
        destination_port,
        _,
        _,
        _,
        name,
        action,
        bytes,
        _,
        _,
        _,
        _,
        elapsed,
    ] = columns;
    let end = |value: Option<&[u8]>, name| {
        address(value.ok_or(Reason::CutOffBefore(name))?).ok_or(Reason::NotAnAddress(name))
    };
    let mut event = Event::between(
        LogFormat::PaloAlto,
        end(source, "the source address")?,
        end(destination, "the destination address")?,
    );
    let action = action.ok_or(Reason::CutOffBefore("the action"))?;
    event.protocol = protocol(name.unwrap_or_default());
    if matches!(event.protocol, Some(TCP | UDP)) {
        event.source_port = Some(
            source_port
                .and_then(port)
                .ok_or(Reason::NotAPort("the source port"))?,
        );
        event.destination_port = Some(
            destination_port
                .and_then(port)
                .ok_or(Reason::NotAPort("the destination port"))?,
        );
    }
    event.verdict = match action {
        b"allow" => Verdict::Allowed,
        b"deny" | b"drop" | b"drop ICMP" | b"drop-icmp" | b"reset both" | b"reset client"
        | b"reset server" | b"reset-both" | b"reset-client" | b"reset-server" => Verdict::Blocked,
        _ => return Err(Reason::NotKnown("the action")),
    };
    event.moment = match subtype.unwrap_or_default() {
        b"start" => LogMoment::Begin,
        b"end" => LogMoment::End,
        b"drop" | b"deny" => LogMoment::Packet,
        _ => return Err(Reason::NotKnown("the subtype")),
    };
    event.time = time.map_or(RawTime::None, RawTime::text);
    event.prefix = Cow::Borrowed(rule.unwrap_or_default());
    event.interface = Cow::Borrowed(zone.unwrap_or_default());
    event.out_interface = Cow::Borrowed(out_zone.unwrap_or_default());
    // Sessions with the same ends, application and subtype within five seconds.
    event.count = repeat.and_then(number).filter(|count| *count > 0).unwrap_or(1);
    event.bytes = bytes.and_then(number);
    event.duration_ms = elapsed
        .and_then(number)
        .map(|seconds| seconds.saturating_mul(1000));
    Ok(event)
}

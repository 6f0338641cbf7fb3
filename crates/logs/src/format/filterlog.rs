//! `filterlog` of pfSense and OPNsense.
//!
//! Held against "Raw Filter Log Format" of the pfSense documentation; OPNsense has the same up to the ports.

use std::borrow::Cow;

use memchr::memchr;
use portcullis_model::{LogFormat, TcpFlags, Verdict};

use crate::{
    Event, Line, Reason,
    event::{TCP, UDP},
    syslog,
    words::{address, find, number, port, split, until},
};

/// Reads one line; messages of other programs are something else.
pub(crate) fn read(line: &[u8]) -> Line<'_> {
    let Some(text) = message(line) else {
        return Line::Unrelated;
    };
    match event(text) {
        Ok(mut event) => {
            event.time = syslog::head(line).time;
            Line::Event(event)
        }
        Err(reason) => Line::Unreadable(reason),
    }
}

/// The fields begin behind the last blank before the first comma; the message's own ones before the port hold no blank.
fn message(line: &[u8]) -> Option<&[u8]> {
    let tag = find(line, b"filterlog")?;
    let behind = line.get(tag + b"filterlog".len()..)?;
    let comma = memchr(b',', behind)?;
    let start = memchr::memrchr(b' ', behind.get(..comma)?)? + 1;
    behind.get(start..)
}

/// Whether nothing but its own process, or the fields of RFC 5424, stand between the tag and the fields.
pub(super) fn is_its_tag(line: &[u8], message: &[u8]) -> bool {
    let behind = message.strip_prefix(b"filterlog").unwrap_or(message);
    let text = match split(behind, b':') {
        Some(([] | [b'[', .., b']'], text)) => text,
        _ => match syslog::message_of_rfc_5424(line) {
            Some(text) if behind.starts_with(b" ") => text,
            _ => return false,
        },
    };
    !until(text.trim_ascii_start(), b',').contains(&b' ')
}

fn event(text: &[u8]) -> Result<Event<'_>, Reason> {
    let mut fields = text.split(|byte| *byte == b',');
    let mut next = |name: &'static str| fields.next().ok_or(Reason::CutOffBefore(name));
    let rule = next("the rule")?;
    next("the sub rule")?;
    next("the anchor")?;
    let tracker = next("the tracker")?;
    let interface = next("the interface")?;
    next("the reason")?;
    let action = next("the action")?;
    let direction = next("the direction")?;
    let version = next("the IP version")?;
    let (protocol, fragment) = match version {
        b"4" => {
            for name in ["the TOS", "the ECN", "the TTL", "the ID"] {
                next(name)?;
            }
            let offset = next("the offset")?;
            next("the flags")?;
            let protocol = next("the protocol")?;
            next("the protocol's name")?;
            (protocol, offset != b"0")
        }
        b"6" => {
            for name in [
                "the class",
                "the flow label",
                "the hop limit",
                "the protocol's name",
            ] {
                next(name)?;
            }
            (next("the protocol")?, false)
        }
        _ => return Err(Reason::NotKnown("the IP version")),
    };
    let length = next("the length")?;
    let source = address(next("the source")?).ok_or(Reason::NotAnAddress("the source"))?;
    let destination = address(next("the destination")?).ok_or(Reason::NotAnAddress("the destination"))?;
    let mut event = Event::between(LogFormat::Filterlog, source, destination);
    event.protocol = number(protocol).and_then(|protocol| u8::try_from(protocol).ok());
    if matches!(event.protocol, Some(TCP | UDP)) && !fragment {
        event.source_port = Some(port(next("the source port")?).ok_or(Reason::NotAPort("the source port"))?);
        event.destination_port =
            Some(port(next("the destination port")?).ok_or(Reason::NotAPort("the destination port"))?);
    }
    if event.protocol == Some(TCP) && !fragment && next("the data length").is_ok() {
        event.flags = next("the flags").ok().map(flags);
    }
    event.verdict = match action {
        b"pass" => Verdict::Allowed,
        b"block" | b"reject" => Verdict::Blocked,
        _ => Verdict::Unknown,
    };
    // The number changes with each load of the rules, the tracker does not; OPNsense may leave it at 0.
    event.prefix = Cow::Borrowed(if matches!(tracker, b"" | b"0") {
        rule
    } else {
        tracker
    });
    match direction {
        b"out" => event.out_interface = Cow::Borrowed(interface),
        _ => event.interface = Cow::Borrowed(interface),
    }
    event.bytes = number(length);
    Ok(event)
}

/// `SA`: the first letter of each; `E` and `C` (or `W`) of congestion.
fn flags(text: &[u8]) -> TcpFlags {
    text.iter().fold(TcpFlags::default(), |flags, letter| {
        flags.with(match letter {
            b'S' => TcpFlags::SYN,
            b'A' => TcpFlags::ACK,
            b'F' => TcpFlags::FIN,
            b'R' => TcpFlags::RST,
            b'P' => TcpFlags::PSH,
            b'U' => TcpFlags::URG,
            b'E' => TcpFlags(0x40),
            b'C' | b'W' => TcpFlags(0x80),
            _ => TcpFlags(0),
        })
    })
}

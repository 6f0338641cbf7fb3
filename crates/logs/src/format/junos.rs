//! Sessions of Juniper SRX: `RT_FLOW_SESSION_CREATE`, `_CLOSE`, `_DENY`, as text and as structured data.
//!
//! Held against "RT System Log Messages" of the "JUNOS System Log Messages Reference" (10.1 to 10.3: order of the plain
//! form) and the test lines of the Juniper SRX integration of Elastic (names of the structured form, newer fields). Of the
//! plain form of newer releases no documentation was at hand: what they put between (tags, kinds of rules) is skipped.

use std::borrow::Cow;

use portcullis_model::{LogFormat, LogMoment, Verdict};

use crate::{
    Event, Line, Reason,
    event::{TCP, UDP},
    pairs::pairs,
    syslog,
    words::{address, find, number, port, split, until, word},
};

/// What each message begins with.
const SIGN: &[u8] = b"RT_FLOW_SESSION_";

/// Reads one line; other messages are something else.
pub(crate) fn read(line: &[u8]) -> Line<'_> {
    let Some((kind, text)) = message(line) else {
        return Line::Unrelated;
    };
    let (verdict, moment) = match kind {
        b"CREATE" => (Verdict::Allowed, LogMoment::Begin),
        b"CLOSE" => (Verdict::Allowed, LogMoment::End),
        b"DENY" => (Verdict::Blocked, LogMoment::Packet),
        _ => return Line::Unrelated,
    };
    let is_structured = find(text, b"source-address=\"").is_some();
    let read = if is_structured {
        structured(text)
    } else {
        plain(text, moment)
    };
    match read {
        Ok(mut event) => {
            (event.verdict, event.moment) = (verdict, moment);
            event.time = syslog::head(line).time;
            Line::Event(event)
        }
        Err(reason) => Line::Unreadable(reason),
    }
}

/// What happened, without `_LS` (logical systems), and the text behind it.
fn message(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let start = find(line, SIGN)? + SIGN.len();
    let behind = line.get(start..)?;
    let end = behind
        .iter()
        .position(|byte| !byte.is_ascii_uppercase() && *byte != b'_')
        .unwrap_or(behind.len());
    let (kind, text) = behind.split_at_checked(end)?;
    Some((kind.strip_suffix(b"_LS").unwrap_or(kind), text))
}

/// Whether the message stands right behind its tag: `RT_FLOW: `, or `RT_FLOW - ` of RFC 5424.
pub(super) fn is_its_tag(message: &[u8]) -> bool {
    if message.starts_with(SIGN) {
        return true;
    }
    let Some((tag, rest)) = word(message) else {
        return false;
    };
    let rest = rest.trim_ascii_start();
    match tag.strip_prefix(b"RT_FLOW") {
        Some([.., b':']) => rest.starts_with(SIGN),
        Some([]) => word(rest).is_some_and(|(_process, rest)| rest.trim_ascii_start().starts_with(SIGN)),
        _ => false,
    }
}

fn structured(text: &[u8]) -> Result<Event<'_>, Reason> {
    let (mut source, mut destination, mut protocol) = (None, None, None);
    let (mut source_port, mut destination_port) = (None, None);
    let (mut policy, mut zone, mut out_zone): (&[u8], &[u8], &[u8]) = (b"", b"", b"");
    let (mut sent, mut received, mut elapsed) = (None, None, None);
    for (key, value) in pairs(text) {
        match key {
            b"source-address" if source.is_some() => return Err(Reason::Glued),
            b"source-address" => source = Some(value),
            b"destination-address" => destination = Some(value),
            b"source-port" => source_port = Some(value),
            b"destination-port" => destination_port = Some(value),
            b"protocol-id" => protocol = number(value).and_then(|protocol| u8::try_from(protocol).ok()),
            b"policy-name" => policy = value,
            b"source-zone-name" => zone = value,
            b"destination-zone-name" => out_zone = value,
            b"bytes-from-client" => sent = number(value),
            b"bytes-from-server" => received = number(value),
            b"elapsed-time" => elapsed = number(value),
            _ => {}
        }
    }
    let end = |value: Option<&[u8]>, name| {
        address(value.ok_or(Reason::CutOffBefore(name))?).ok_or(Reason::NotAnAddress(name))
    };
    let mut event = Event::between(
        LogFormat::Junos,
        end(source, "source-address")?,
        end(destination, "destination-address")?,
    );
    event.protocol = protocol;
    if matches!(protocol, Some(TCP | UDP)) {
        event.source_port = Some(
            source_port
                .and_then(port)
                .ok_or(Reason::NotAPort("source-port"))?,
        );
        event.destination_port = Some(
            destination_port
                .and_then(port)
                .ok_or(Reason::NotAPort("destination-port"))?,
        );
    }
    event.prefix = Cow::Borrowed(policy);
    event.interface = Cow::Borrowed(zone);
    event.out_interface = Cow::Borrowed(out_zone);
    event.bytes = sent
        .zip(received)
        .map(|(sent, received)| sent.saturating_add(received));
    event.duration_ms = elapsed.map(|seconds| seconds.saturating_mul(1000));
    Ok(event)
}

/// `: session closed TCP FIN: A/p->B/p [0x0] service A/p->B/p [0x0] rules… 6 policy zone zone id 6(300) 5(200) 30 …`. The protocol is
/// the first plain number behind the two rules of translation; in a denial it is `6(0)` and there is no translation.
fn plain(text: &[u8], moment: LogMoment) -> Result<Event<'_>, Reason> {
    let arrow = find(text, b"->").ok_or(Reason::Missing("->"))?;
    let (before, behind) = text.split_at_checked(arrow).ok_or(Reason::Missing("->"))?;
    if find(before, SIGN).is_some() {
        return Err(Reason::Glued);
    }
    let start = memchr::memrchr(b' ', before).map_or(0, |blank| blank + 1);
    let (destination, rest) = behind
        .get(2..)
        .and_then(word)
        .ok_or(Reason::CutOffBefore("the destination"))?;
    let (source, source_port) = end(before.get(start..).unwrap_or_default(), "the source")?;
    let (destination, destination_port) = end(destination, "the destination")?;
    let mut event = Event::between(LogFormat::Junos, source, destination);
    let (rest, is_denial) = match find(rest, b"->") {
        Some(second) => (after_translation(rest.get(second..).unwrap_or_default()), false),
        None => (rest, true),
    };
    let (protocol, rest) = protocol(rest, is_denial).ok_or(Reason::CutOffBefore("the protocol"))?;
    event.protocol = Some(protocol);
    if matches!(protocol, TCP | UDP) {
        (event.source_port, event.destination_port) = (Some(source_port), Some(destination_port));
    }
    let (policy, rest) = word(rest).ok_or(Reason::CutOffBefore("the policy"))?;
    let (zone, rest) = word(rest).ok_or(Reason::CutOffBefore("the source zone"))?;
    let (out_zone, rest) = word(rest).ok_or(Reason::CutOffBefore("the destination zone"))?;
    if find(rest, SIGN).is_some() {
        return Err(Reason::Glued);
    }
    if let Some((bytes, seconds)) = carried(rest).filter(|_| moment == LogMoment::End) {
        (event.bytes, event.duration_ms) = (Some(bytes), Some(seconds.saturating_mul(1000)));
    }
    event.prefix = Cow::Borrowed(policy);
    event.interface = Cow::Borrowed(zone);
    event.out_interface = Cow::Borrowed(out_zone);
    Ok(event)
}

/// What a session carried, and how many seconds it was up: `id 6(300) 5(200) 30`, packets with their bytes from the client and from the
/// server. A line that was cut off within them tells none of it.
fn carried(text: &[u8]) -> Option<(u64, u64)> {
    let bytes = |word: &[u8]| {
        let (packets, bytes) = split(word.strip_suffix(b")")?, b'(')?;
        number(packets)?;
        number(bytes)
    };
    let (_id, rest) = word(text)?;
    let (sent, rest) = word(rest)?;
    let (received, rest) = word(rest)?;
    let (seconds, _) = word(rest)?;
    let sum = bytes(sent)?.saturating_add(bytes(received)?);
    Some((sum, number(seconds)?))
}

/// Behind the translated pair, its tag, and the rules of translation: two names, or each with its kind before it
/// (`source rule NAME`, `N/A N/A`).
fn after_translation(text: &[u8]) -> &[u8] {
    let skip = |text| word(text).map_or(&b""[..], |(_, rest)| rest);
    let mut rest = skip(text);
    if word(rest).is_some_and(|(tag, _)| tag.starts_with(b"0x")) {
        rest = skip(rest);
    }
    let mut skipped = 0;
    while let Some((next, behind)) = word(rest) {
        if word(behind).is_some_and(|(second, _)| second == b"rule") {
            rest = skip(skip(behind));
            skipped += 2;
        } else if skipped < 2 || matches!(next, b"N/A" | b"None") {
            rest = behind;
            skipped += 1;
        } else {
            break;
        }
    }
    rest
}

/// The first number. In a denial it has a type of ICMP in brackets, and the service before it may be called by a number.
fn protocol(text: &[u8], in_denial: bool) -> Option<(u8, &[u8])> {
    let mut rest = text;
    while let Some((next, behind)) = word(rest) {
        let plain = until(next, b'(');
        if (!in_denial || plain.len() < next.len())
            && let Some(protocol) = number(plain).and_then(|protocol| u8::try_from(protocol).ok())
        {
            return Some((protocol, behind));
        }
        rest = behind;
    }
    None
}

fn end(text: &[u8], name: &'static str) -> Result<(std::net::IpAddr, u16), Reason> {
    let (place, number) = split(text, b'/').ok_or(Reason::NotAPort(name))?;
    let place = address(place).ok_or(Reason::NotAnAddress(name))?;
    Ok((place, port(number).ok_or(Reason::NotAPort(name))?))
}

//! Cisco ASA, and its kin PIX, FWSM and FTD, which number their messages the same way.
//!
//! Layouts as in "Cisco Secure Firewall ASA Series Syslog Messages": 106001, 106006, 106007, 106014, 106015, 106023,
//! 106100, 302013 to 302016, 710003. A teardown (302014, 302016) does not tell who began the session.

use std::{borrow::Cow, net::IpAddr};

use portcullis_model::{LogFormat, LogMoment, TcpFlags, Verdict};

use crate::{
    Event, Line, Reason,
    event::{TCP, UDP},
    syslog,
    words::{address, find, number, port, protocol, split, until, word},
};

/// What each message begins with.
pub(crate) const SIGNS: [&[u8]; 4] = [b"%ASA-", b"%FTD-", b"%PIX-", b"%FWSM-"];

/// Reads one line; messages of other numbers are something else.
pub(crate) fn read(line: &[u8]) -> Line<'_> {
    let Some((id, text)) = message(line) else {
        return Line::Unrelated;
    };
    let read = match id {
        b"106001" | b"106015" => denied_tcp(text),
        b"106006" | b"106007" => denied_udp(text),
        b"106014" => denied_icmp(text),
        b"106023" => denied_by_group(text),
        b"106100" => by_list(text),
        b"302013" | b"302015" => built(text),
        b"302014" | b"302016" => torn_down(text),
        b"710003" => access_denied(text),
        _ => return Line::Unrelated,
    };
    match read {
        Ok(mut event) => {
            event.time = syslog::head(line).time;
            Line::Event(event)
        }
        Err(reason) => Line::Unreadable(reason),
    }
}

/// Number and text of the message: `%ASA-6-302013: text`, and `%ASA-session-6-302013: text`.
fn message(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut from = 0;
    loop {
        let sign = from + memchr::memchr(b'%', line.get(from..)?)?;
        let behind = line.get(sign..)?;
        if SIGNS.iter().any(|known| behind.starts_with(known)) {
            let (tag, text) = split(behind, b':')?;
            let id = tag.rsplit(|byte| *byte == b'-').next()?;
            return Some((id, text.trim_ascii_start()));
        }
        from = sign + 1;
    }
}

type Read<'a> = Result<Event<'a>, Reason>;

/// One end of a conversation: `[interface:]address[/port]`.
struct End<'a> {
    interface: &'a [u8],
    address: IpAddr,
    port: Option<u16>,
}

fn end<'a>(text: &'a [u8], name: &'static str) -> Result<End<'a>, Reason> {
    let (place, number) = match memchr::memrchr(b'/', text) {
        Some(slash) => (text.get(..slash).unwrap_or_default(), text.get(slash + 1..)),
        None => (text, None),
    };
    // An address of IPv6 has colons as well, an interface's name has none.
    let (interface, place) = match split(place, b':') {
        Some((interface, rest)) if !is_group(interface) || address(place).is_none() => (interface, rest),
        _ => (&b""[..], place),
    };
    Ok(End {
        interface,
        address: address(place).ok_or(Reason::NotAnAddress(name))?,
        port: number
            .map(|number| port(number).ok_or(Reason::NotAPort(name)))
            .transpose()?,
    })
}

/// Whether an address of IPv6 may begin so.
fn is_group(text: &[u8]) -> bool {
    text.len() <= 4 && text.iter().all(u8::is_ascii_hexdigit)
}

fn between<'a>(source: End<'a>, destination: End<'a>, protocol: Option<u8>) -> Event<'a> {
    let mut event = Event::between(LogFormat::Asa, source.address, destination.address);
    event.protocol = protocol;
    if matches!(protocol, Some(TCP | UDP)) {
        event.source_port = source.port;
        event.destination_port = destination.port;
    }
    event.interface = Cow::Borrowed(source.interface);
    event.out_interface = Cow::Borrowed(destination.interface);
    event
}

/// The word behind the first occurrence of these words.
fn after<'a>(text: &'a [u8], words: &'static str) -> Result<(&'a [u8], &'a [u8]), Reason> {
    let found = find(text, words.as_bytes()).ok_or(Reason::Missing(words.trim_ascii()))?;
    let behind = text.get(found + words.len()..).unwrap_or_default();
    word(behind).ok_or(Reason::CutOffBefore("the end"))
}

/// `Inbound TCP connection denied from A/p to B/p flags SYN on interface outside`,
/// `Deny TCP (no connection) from A/p to B/p flags RST on interface outside`.
fn denied_tcp(text: &[u8]) -> Read<'_> {
    let (source, rest) = after(text, " from ")?;
    let (destination, rest) = after(rest, " to ")?;
    let mut event = between(
        end(source, "the source")?,
        end(destination, "the destination")?,
        Some(TCP),
    );
    event.verdict = Verdict::Blocked;
    let (flags, interface) = rest
        .trim_ascii()
        .strip_prefix(b"flags ")
        .and_then(|rest| find(rest, b" on interface ").and_then(|at| rest.split_at_checked(at)))
        .ok_or(Reason::CutOffBefore("the interface"))?;
    event.flags = Some(flags_of(flags));
    event.interface = Cow::Borrowed(
        interface
            .trim_ascii_start()
            .strip_prefix(b"on interface ")
            .unwrap_or_default()
            .trim_ascii(),
    );
    Ok(event)
}

fn flags_of(text: &[u8]) -> TcpFlags {
    text.split(u8::is_ascii_whitespace)
        .filter_map(TcpFlags::named)
        .fold(TcpFlags::default(), TcpFlags::with)
}

/// `Deny inbound UDP from A/p to B/p on interface outside`, and `… due to DNS Query`.
fn denied_udp(text: &[u8]) -> Read<'_> {
    let (source, rest) = after(text, " from ")?;
    let (destination, rest) = after(rest, " to ")?;
    let mut event = between(
        end(source, "the source")?,
        end(destination, "the destination")?,
        Some(UDP),
    );
    event.verdict = Verdict::Blocked;
    let interface = rest.trim_ascii().strip_prefix(b"on interface ");
    event.interface = Cow::Borrowed(interface.unwrap_or_default());
    Ok(event)
}

/// `Deny inbound icmp src outside:A dst inside:B (type 8, code 0)`.
fn denied_icmp(text: &[u8]) -> Read<'_> {
    let (source, rest) = after(text, " src ")?;
    let (destination, _) = after(rest, " dst ")?;
    let protocol = if find(text, b"icmp6").is_some() { 58 } else { 1 };
    let mut event = between(
        end(source, "the source")?,
        end(destination, "the destination")?,
        Some(protocol),
    );
    event.verdict = Verdict::Blocked;
    Ok(event)
}

/// `Deny tcp src outside:A/p dst inside:B/p by access-group "acl" [0x0, 0x0]`; a user or a type may stand between.
fn denied_by_group(text: &[u8]) -> Read<'_> {
    let (name, _) = text
        .strip_prefix(b"Deny ")
        .and_then(word)
        .ok_or(Reason::Missing("the protocol"))?;
    let name = if name == b"protocol" {
        text.get("Deny protocol ".len()..)
            .map_or(name, |rest| until(rest, b' '))
    } else {
        name
    };
    let (source, rest) = after(text, " src ")?;
    let (destination, rest) = after(rest, " dst ")?;
    let (group, _) = after(rest, " by access-group ")?;
    let mut event = between(
        end(source, "the source")?,
        end(destination, "the destination")?,
        protocol(name),
    );
    event.verdict = Verdict::Blocked;
    let group = group
        .strip_prefix(b"\"")
        .map_or(group, |group| until(group, b'"'));
    event.prefix = Cow::Borrowed(group);
    Ok(event)
}

/// `access-list acl permitted tcp outside/A(p) -> inside/B(p) hit-cnt 21 300-second interval [0x0, 0x0]`. What is
/// `est-allowed` is let through as part of a session that stands.
fn by_list(text: &[u8]) -> Read<'_> {
    let (list, rest) = after(text, "access-list ")?;
    let (action, rest) = word(rest).ok_or(Reason::CutOffBefore("the action"))?;
    let (name, rest) = word(rest).ok_or(Reason::CutOffBefore("the protocol"))?;
    let arrow = find(rest, b"->").ok_or(Reason::Missing("->"))?;
    let (source, destination) = rest.split_at_checked(arrow).ok_or(Reason::Missing("->"))?;
    let (destination, rest) = destination
        .get(2..)
        .and_then(word)
        .ok_or(Reason::CutOffBefore("the destination"))?;
    let (hits, _) = after(rest, "hit-cnt ")?;
    let mut event = between(
        listed(source.trim_ascii(), "the source")?,
        listed(destination, "the destination")?,
        protocol(name),
    );
    event.verdict = match action {
        b"permitted" | b"est-allowed" => Verdict::Allowed,
        b"denied" => Verdict::Blocked,
        _ => return Err(Reason::NotKnown("the action")),
    };
    event.prefix = Cow::Borrowed(list);
    event.count = number(hits).ok_or(Reason::NotANumber("hit-cnt"))?;
    Ok(event)
}

/// `outside/192.0.2.7(40000)`; a user may follow in brackets of its own.
fn listed<'a>(text: &'a [u8], name: &'static str) -> Result<End<'a>, Reason> {
    let (interface, rest) = split(text, b'/').ok_or(Reason::NotAnAddress(name))?;
    let (place, rest) = split(rest, b'(').ok_or(Reason::NotAPort(name))?;
    Ok(End {
        interface,
        address: address(place).ok_or(Reason::NotAnAddress(name))?,
        port: Some(port(until(rest, b')')).ok_or(Reason::NotAPort(name))?),
    })
}

/// `Built inbound TCP connection 7 for outside:A/p (A/p) to inside:B/p (B/p)`. An outbound one was begun by the second.
fn built(text: &[u8]) -> Read<'_> {
    let mut event = session(text)?;
    let (direction, _) = after(text, "Built ")?;
    match direction {
        b"inbound" => {}
        b"outbound" => {
            std::mem::swap(&mut event.source, &mut event.destination);
            std::mem::swap(&mut event.source_port, &mut event.destination_port);
            std::mem::swap(&mut event.interface, &mut event.out_interface);
        }
        _ => return Err(Reason::NotKnown("the direction")),
    }
    event.moment = LogMoment::Begin;
    Ok(event)
}

fn session(text: &[u8]) -> Read<'_> {
    let is = |name: &[u8]| find(text.get(..48.min(text.len())).unwrap_or_default(), name).is_some();
    let protocol = if is(b" TCP ") {
        TCP
    } else if is(b" UDP ") {
        UDP
    } else {
        return Err(Reason::Missing("the protocol"));
    };
    let (source, rest) = after(text, " for ")?;
    let (destination, _) = after(rest, " to ")?;
    let mut event = between(
        end(source, "the first end")?,
        end(destination, "the second end")?,
        Some(protocol),
    );
    event.verdict = Verdict::Allowed;
    Ok(event)
}

/// `Teardown TCP connection 7 for outside:A/p to inside:B/p duration 0:00:30 bytes 123 TCP FINs`.
fn torn_down(text: &[u8]) -> Read<'_> {
    let mut event = session(text)?;
    event.moment = LogMoment::End;
    event.directed = false;
    let (duration, rest) = after(text, " duration ")?;
    let (bytes, _) = after(rest, "bytes ")?;
    event.bytes = Some(number(bytes).ok_or(Reason::NotANumber("bytes"))?);
    event.duration_ms = Some(clock(duration).ok_or(Reason::NotANumber("duration"))?);
    Ok(event)
}

/// `h:mm:ss` in milliseconds.
fn clock(text: &[u8]) -> Option<u64> {
    let mut parts = text.split(|byte| *byte == b':').map(number);
    let (hours, minutes, seconds) = (parts.next()??, parts.next()??, parts.next()??);
    hours
        .checked_mul(3600)?
        .checked_add(minutes.checked_mul(60)?)?
        .checked_add(seconds)?
        .checked_mul(1000)
}

/// `TCP access denied by ACL from A/p to outside:B/p`: to the firewall itself.
fn access_denied(text: &[u8]) -> Read<'_> {
    let (name, _) = word(text).ok_or(Reason::Missing("the protocol"))?;
    let (source, rest) = after(text, " from ")?;
    let (destination, _) = after(rest, " to ")?;
    let mut event = between(
        end(source, "the source")?,
        end(destination, "the destination")?,
        protocol(name),
    );
    event.interface = std::mem::take(&mut event.out_interface);
    event.verdict = Verdict::Blocked;
    Ok(event)
}

//! Access lists of Cisco IOS and IOS-XE.
//!
//! `IPACCESSLOGP` (with ports), `IPACCESSLOGDP` (ICMP), `IPACCESSLOGNP` (other protocols), `IPACCESSLOGRP` and `SP` (IGMP and
//! its like), `IPACCESSLOGS` (standard lists, without a destination); `IPACCESSLOGRL` says that lines were left out; those of IPv6; those of IOS-XE under `%FMANFP-6-`. The
//! list of a terminal line (`access-class`) has 0.0.0.0 or :: for the router itself.
//!
//! Not held against its documentation ("Cisco IOS System Message Guide"): none was at hand. Held against the test lines of
//! the Cisco IOS integration of Elastic, and lines of routers that others published.

use std::borrow::Cow;

use portcullis_model::{LogFormat, Verdict};

use crate::{
    Event, Line, Lost, LostBy, RawTime, Reason, syslog,
    words::{address, find, number, port, protocol, split, until, word},
};

/// Reads one line; messages of other facilities are something else.
pub(crate) fn read(line: &[u8]) -> Line<'_> {
    let Some((before, kind, text)) = message(line) else {
        return Line::Unrelated;
    };
    // `access-list logging rate-limited or missed 18 packets`.
    if kind == b"ACCESSLOGRL" {
        let behind = find(text, b" missed ").and_then(|at| word(text.get(at + 8..)?));
        return Line::Lost(Lost {
            by: LostBy::Ios,
            count: behind.and_then(|(count, _)| number(count)),
        });
    }
    match event(kind, text) {
        Ok(mut event) => {
            event.time = time(line, before);
            Line::Event(event)
        }
        Err(reason) => Line::Unreadable(reason),
    }
}

/// What is before the message, its name, and its text.
fn message(line: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let start = sign(line)?;
    let name = start + find(line.get(start..)?, b"ACCESSLOG")?;
    let (kind, text) = split(line.get(name..)?, b':')?;
    Some((line.get(..start)?, kind, text))
}

/// Where the message begins.
pub(super) fn sign(line: &[u8]) -> Option<usize> {
    let name = find(line, b"ACCESSLOG")?;
    let start = memchr::memrchr(b'%', line.get(..name)?)?;
    let facility = line.get(start..name)?;
    let known = facility.starts_with(b"%SEC-6-")
        || facility.starts_with(b"%FMANFP-6-")
        || facility.starts_with(b"%IPV6_ACL-6-")
        || facility.starts_with(b"%IPV6-6-");
    known.then_some(start)
}

/// A server's time stands first; without one the router's own does, behind a number and a mark.
fn time<'a>(line: &'a [u8], before: &'a [u8]) -> RawTime<'a> {
    let head = syslog::head(line);
    if head.time != RawTime::None {
        return head.time;
    }
    let own = before
        .iter()
        .position(u8::is_ascii_uppercase)
        .and_then(|start| before.get(start..))
        .map_or(RawTime::None, |text| syslog::head(text).time);
    // `service timestamps log uptime`: `6w3d: `.
    let last = before
        .trim_ascii_end()
        .rsplit(|byte| matches!(byte, b' ' | b'*' | b'.' | b'>'))
        .next();
    match own {
        RawTime::None if last.is_some_and(syslog::tells_time_since_start) => RawTime::Uptime,
        own => own,
    }
}

/// `list 101 denied tcp A(p) (Gi0/1 aabb.cc00.0100) -> B(p), 1 packet`.
fn event<'a>(kind: &[u8], text: &'a [u8]) -> Result<Event<'a>, Reason> {
    let rest = find(text, b"list ")
        .and_then(|at| text.get(at + 5..))
        .ok_or(Reason::Missing("list"))?;
    let (list, rest) = word(rest).ok_or(Reason::CutOffBefore("the list"))?;
    let (action, rest) = word(rest).ok_or(Reason::CutOffBefore("the action"))?;
    if kind == b"ACCESSLOGS" {
        return Err(Reason::Missing("destination: a standard list logs none"));
    }
    let (name, rest) = word(rest).ok_or(Reason::CutOffBefore("the protocol"))?;
    let arrow = find(rest, b"->").ok_or(Reason::Missing("->"))?;
    let (source, destination) = rest.split_at_checked(arrow).ok_or(Reason::Missing("->"))?;
    let (mut source, mut remark) = word(source).ok_or(Reason::Missing("source"))?;
    // With `log-input` IOS-XE has the hardware address before the source, and the interface behind it without brackets.
    if is_hardware(source) {
        (source, remark) = word(remark).ok_or(Reason::Missing("source"))?;
    }
    let (destination, rest) = destination
        .get(2..)
        .and_then(word)
        .ok_or(Reason::CutOffBefore("the destination"))?;
    let (source, source_port) = end(source, "the source")?;
    let (destination, destination_port) = end(
        destination.strip_suffix(b",").unwrap_or(destination),
        "the destination",
    )?;
    let mut event = Event::between(LogFormat::Ios, source, destination);
    // A standard list matches all protocols, and says 0 or ipv6.
    event.protocol = protocol(name).filter(|protocol| *protocol != 0);
    (event.source_port, event.destination_port) = (source_port, destination_port);
    event.verdict = match action {
        b"permitted" => Verdict::Allowed,
        b"denied" => Verdict::Blocked,
        _ => return Err(Reason::NotKnown("the action")),
    };
    event.prefix = Cow::Borrowed(list);
    event.count = packets(rest)?;
    // With `log-input` the interface and the hardware address follow the source.
    let remark = remark.trim_ascii();
    let remark = remark.strip_prefix(b"(").unwrap_or(remark);
    event.interface = Cow::Borrowed(word(until(remark, b')')).map_or(&b""[..], |(interface, _)| interface));
    Ok(event)
}

/// `52-54-00-12-34-56`
fn is_hardware(text: &[u8]) -> bool {
    text.len() == 17 && text.iter().filter(|byte| **byte == b'-').count() == 5
}

/// `192.0.2.7(40000)`, or without ports.
fn end(text: &[u8], name: &'static str) -> Result<(std::net::IpAddr, Option<u16>), Reason> {
    let (place, number) = match split(text, b'(') {
        Some((place, number)) => (place, Some(until(number, b')'))),
        None => (text, None),
    };
    let place = address(place).ok_or(Reason::NotAnAddress(name))?;
    let number = number
        .map(|number| port(number).ok_or(Reason::NotAPort(name)))
        .transpose()?;
    Ok((place, number))
}

/// `, 5 packets`, behind the type and code of ICMP if there are any.
fn packets(text: &[u8]) -> Result<u64, Reason> {
    let is_type = text.trim_ascii_start().first() == Some(&b'(');
    let start = match memchr::memchr(b',', text) {
        Some(comma) if is_type => comma + 1,
        _ => 0,
    };
    let (count, rest) =
        word(text.get(start..).unwrap_or_default()).ok_or(Reason::CutOffBefore("the number of packets"))?;
    // Behind it the message is over.
    if memchr::memchr(b'%', rest).is_some() {
        return Err(Reason::Glued);
    }
    if !rest.starts_with(b" packet") {
        return Err(Reason::CutOffBefore("the number of packets"));
    }
    number(count).ok_or(Reason::NotANumber("the number of packets"))
}

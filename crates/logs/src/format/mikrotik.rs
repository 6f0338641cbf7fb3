//! Firewall topic of MikroTik RouterOS.
//!
//! Held against "Common Firewall Matchers and Actions" of the RouterOS documentation, which names what a line holds
//! (`action=log`), and for the layout against lines of RouterOS that others published; of IPv6 none were at hand. The line
//! has no verdict: only the rule's prefix may prove one.

use std::borrow::Cow;

use portcullis_model::{LogFormat, TcpFlags};

use super::hearsay;
use crate::{
    Event, Line, Prefixes, Reason,
    event::{TCP, UDP},
    syslog,
    words::{address, find, number, port, protocol, split, until},
};

/// Reads one line; other topics are something else.
pub(crate) fn read<'a>(line: &'a [u8], prefixes: &Prefixes) -> Line<'a> {
    let Some((before, text)) = message(line) else {
        return Line::Unrelated;
    };
    match event(text) {
        Ok(mut event) => {
            let prefix = prefix(before);
            event.prefix = Cow::Borrowed(prefix);
            event.verdict = prefixes.verdict(prefix);
            event.hearsay = hearsay::has_process(before).unwrap_or(false);
            event.time = syslog::head(line).time;
            Line::Event(event)
        }
        Err(reason) => Line::Unreadable(reason),
    }
}

/// Splits before `in:`; `CHAIN: ` stands before it and ` out:` follows.
fn message(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let start = find(line, b": in:")?;
    let text = line.get(start + 2..)?;
    let interface = text.iter().take(80).position(|byte| *byte == b' ')?;
    text.get(interface..)?.starts_with(b" out:").then_some(())?;
    Some((line.get(..start)?, text))
}

/// What stands between the topics and the chain: `firewall,info PREFIX forward`. Without topics nobody knows where it begins.
fn prefix(before: &[u8]) -> &[u8] {
    let chain = memchr::memrchr(b' ', before).unwrap_or(0);
    let text = before.get(..chain).unwrap_or_default();
    find(text, b"firewall,")
        .and_then(|topics| text.get(topics..))
        .and_then(|topics| split(topics, b' '))
        .map_or(&b""[..], |(_, prefix)| prefix.trim_ascii())
}

/// `in:ether1 out:bridge, src-mac …, proto TCP (SYN), 192.0.2.7:40000->10.7.10.4:502, len 60`.
fn event(text: &[u8]) -> Result<Event<'_>, Reason> {
    let name = behind(text, b" proto ").ok_or(Reason::CutOffBefore("the protocol"))?;
    let arrow = find(name, b"->").ok_or(Reason::CutOffBefore("the addresses"))?;
    let (before, destination) = name
        .split_at_checked(arrow)
        .ok_or(Reason::CutOffBefore("the addresses"))?;
    let start = memchr::memrchr(b' ', before).map_or(0, |blank| blank + 1);
    let destination = until(destination.get(2..).unwrap_or_default(), b',');
    let protocol = protocol(until(until(name, b','), b' '));
    let has_ports = matches!(protocol, Some(TCP | UDP));
    let (source, source_port) = end(before.get(start..).unwrap_or_default(), has_ports, "the source")?;
    let (destination, destination_port) = end(destination, has_ports, "the destination")?;
    let mut event = Event::between(LogFormat::Mikrotik, source, destination);
    event.protocol = protocol;
    (event.source_port, event.destination_port) = (source_port, destination_port);
    if protocol == Some(TCP) {
        let flags = split(before, b'(').map(|(_, flags)| until(flags, b')'));
        event.flags = flags.map(flags_of);
    }
    let interface = |name: &[u8]| name != b"(unknown" && !name.starts_with(b"(");
    let way_in = until(text.get(3..).unwrap_or_default(), b' ');
    let way_out = behind(text, b" out:").map_or(&b""[..], |rest| until(until(rest, b','), b' '));
    event.interface = Cow::Borrowed(if interface(way_in) { way_in } else { b"" });
    event.out_interface = Cow::Borrowed(if interface(way_out) { way_out } else { b"" });
    event.bytes = behind(text, b", len ").and_then(|length| number(until(until(length, b','), b' ')));
    Ok(event)
}

fn behind<'a>(text: &'a [u8], words: &[u8]) -> Option<&'a [u8]> {
    text.get(find(text, words)? + words.len()..)
}

/// `192.0.2.7:40000`, `[2001:db8::7]:40000`, or an address alone.
fn end(text: &[u8], with_port: bool, name: &'static str) -> Result<(std::net::IpAddr, Option<u16>), Reason> {
    let text = text.trim_ascii();
    if !with_port {
        let place = text
            .strip_prefix(b"[")
            .and_then(|text| text.strip_suffix(b"]"))
            .unwrap_or(text);
        return Ok((address(place).ok_or(Reason::NotAnAddress(name))?, None));
    }
    let colon = memchr::memrchr(b':', text).ok_or(Reason::NotAPort(name))?;
    let place = text.get(..colon).unwrap_or_default();
    let place = place
        .strip_prefix(b"[")
        .and_then(|place| place.strip_suffix(b"]"))
        .unwrap_or(place);
    let place = address(place).ok_or(Reason::NotAnAddress(name))?;
    let number = text
        .get(colon + 1..)
        .and_then(port)
        .ok_or(Reason::NotAPort(name))?;
    Ok((place, Some(number)))
}

fn flags_of(text: &[u8]) -> TcpFlags {
    text.split(|byte| *byte == b',')
        .filter_map(TcpFlags::named)
        .fold(TcpFlags::default(), TcpFlags::with)
}

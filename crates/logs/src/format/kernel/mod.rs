//! Lines of the kernel's LOG target (iptables and nftables) and of ulogd LOGEMU.
//!
//! The format is that of `nf_log_syslog.c` in the Linux kernel; ulogd writes the same fields with other spellings. The
//! line has no verdict: only the rule's prefix may prove one ([`Prefixes`]).

mod glued;
mod heads;
mod quick;

use std::borrow::Cow;

use memchr::memchr;
use portcullis_model::{LogFormat, LogMoment, TcpFlags, Verdict};

pub(crate) use heads::Heads;

use super::hearsay;
use crate::{
    Event, Line, Prefixes, RawTime, Reason,
    event::{TCP, UDP},
    syslog::{self, after_structured_data, is_uptime},
    words::{address, find, number, port, protocol, split, word},
};

/// Reads one line with the heads of those before it in mind.
pub(crate) fn read_after<'a>(
    line: &'a [u8],
    ended: bool,
    prefixes: &Prefixes,
    heads: &mut Heads,
) -> Line<'a> {
    if let Some(event) = heads.event(line) {
        return Line::Event(event);
    }
    let read = read(line, ended, prefixes);
    if let Line::Event(event) = &read {
        heads.keep(line, event);
    }
    read
}

/// Reads one line. `ended` tells whether it had a line end: one without may have been cut off within a number.
pub(crate) fn read<'a>(line: &'a [u8], ended: bool, prefixes: &Prefixes) -> Line<'a> {
    let Some((head, body)) = divide(line) else {
        return without_shape(line);
    };
    let (time, message, told) = time_and_prefix(head);
    let (count, prefix) = repeated(message);
    let verdict = prefixes.verdict(prefix);
    // The verdict is of one record, and the packet of another one.
    if verdict != Verdict::Unknown && glued::holds_a_head(prefix) {
        return Line::Unreadable(Reason::Glued);
    }
    let moment = Prefixes::moment(prefix, verdict);
    // A prefix that is known is the rule's, whatever it looks like.
    let hearsay = told && verdict == Verdict::Unknown;
    if let Some((interfaces, packet)) = quick::read(body) {
        let event = event(time, (verdict, moment), prefix, interfaces, &packet);
        return Line::Event(Event {
            count,
            hearsay,
            ..event
        });
    }
    let mut event = match fields(body, ended) {
        Ok(Some(event)) => event,
        Ok(None) => return Line::Unrelated,
        Err(reason) => return Line::Unreadable(reason),
    };
    event.time = time;
    event.verdict = verdict;
    event.moment = moment;
    event.prefix = Cow::Borrowed(prefix);
    event.count = count;
    event.hearsay = hearsay;
    Line::Event(event)
}

#[inline]
fn event<'a>(
    time: RawTime<'a>,
    (verdict, moment): (Verdict, LogMoment),
    prefix: &'a [u8],
    [interface, out_interface]: [&'a [u8]; 2],
    packet: &quick::Packet,
) -> Event<'a> {
    Event {
        format: LogFormat::Kernel,
        time,
        verdict,
        moment,
        source: packet.source.into(),
        destination: packet.destination.into(),
        directed: true,
        hearsay: false,
        protocol: Some(packet.protocol),
        source_port: Some(packet.source_port),
        destination_port: Some(packet.destination_port),
        flags: packet.flags,
        interface: Cow::Borrowed(interface),
        out_interface: Cow::Borrowed(out_interface),
        prefix: Cow::Borrowed(prefix),
        count: 1,
        bytes: Some(packet.bytes),
        duration_ms: None,
    }
}

/// Splits a line before `IN=`, which may be glued to the rule's prefix. `OUT=` must follow: that is what tells the
/// field from a prefix or another program's text that happens to hold `IN=`. A quoted value may say anything.
fn divide(line: &[u8]) -> Option<(&[u8], &[u8])> {
    if line.first() == Some(&b'{') {
        return None;
    }
    let mut from = 0;
    loop {
        let equals = from + memchr(b'=', line.get(from..)?)?;
        let behind = line.get(equals + 1..)?;
        if let Some(quoted) = behind.strip_prefix(b"\"") {
            from = memchr(b'"', quoted).map_or(equals + 1, |length| equals + length + 3);
            continue;
        }
        if let Some(start) = equals.checked_sub(2)
            && line.get(start..equals) == Some(b"IN")
            && is_before_out(behind)
        {
            return line.split_at_checked(start);
        }
        from = equals + 1;
    }
}

fn is_before_out(behind: &[u8]) -> bool {
    // Interface names end before 16 bytes (`IFNAMSIZ`); the limit keeps the work small on a line made of `IN=IN=`.
    const LONGEST_NAME: usize = 64;
    let name = behind.get(..behind.len().min(LONGEST_NAME)).unwrap_or_default();
    name.iter()
        .position(|byte| *byte == b' ')
        .and_then(|end| behind.get(end..))
        .is_some_and(|behind| behind.starts_with(b" OUT="))
}

/// The fields of the packet itself; `None` for ARP and others without IP addresses. The first value of each field
/// counts: what comes twice (`LEN=`, `ID=`) is of an inner header the second time.
fn fields(body: &[u8], ended: bool) -> Result<Option<Event<'_>>, Reason> {
    let mut fields = Fields::default();
    let mut rest = body;
    let mut last: &[u8] = b"";
    while !rest.is_empty() {
        let end = memchr(b' ', rest).unwrap_or(rest.len());
        let Some((token, behind)) = rest.split_at_checked(end) else {
            break;
        };
        rest = behind.get(1..).unwrap_or_default();
        match token {
            [] => continue,
            // From here on an ICMP error quotes the packet that caused it, with addresses of its own.
            [b'[', ..] => {
                fields.more |= quick::begins_another(rest);
                break;
            }
            _ => fields.take(token),
        }
        last = token;
    }
    if fields.more {
        return Err(Reason::Glued);
    }
    if !ended && rest.is_empty() && body.ends_with(last) {
        let in_a_field = [&b"SRC="[..], b"DST=", b"SPT=", b"DPT="]
            .iter()
            .any(|key| last.starts_with(key));
        if in_a_field {
            return Err(Reason::NoEnd);
        }
    }
    fields.event()
}

#[derive(Debug, Default)]
struct Fields<'a> {
    interface: Option<&'a [u8]>,
    out_interface: Option<&'a [u8]>,
    source: Option<&'a [u8]>,
    destination: Option<&'a [u8]>,
    protocol: Option<&'a [u8]>,
    source_port: Option<&'a [u8]>,
    port: Option<&'a [u8]>,
    length: Option<&'a [u8]>,
    flags: TcpFlags,
    not_ip: bool,
    without_ports: bool,
    /// The interfaces came a second time: those of another packet.
    more: bool,
}

impl<'a> Fields<'a> {
    fn take(&mut self, token: &'a [u8]) {
        let (slot, value) = match token {
            [b'I', b'N', b'=', value @ ..] => {
                self.more |= self.interface.is_some();
                (&mut self.interface, value)
            }
            [b'O', b'U', b'T', b'=', value @ ..] => {
                self.more |= self.out_interface.is_some();
                (&mut self.out_interface, value)
            }
            [b'S', b'R', b'C', b'=', value @ ..] => (&mut self.source, value),
            [b'D', b'S', b'T', b'=', value @ ..] => (&mut self.destination, value),
            [b'L', b'E', b'N', b'=', value @ ..] => (&mut self.length, value),
            [b'S', b'P', b'T', b'=', value @ ..] => (&mut self.source_port, value),
            [b'D', b'P', b'T', b'=', value @ ..] => (&mut self.port, value),
            [b'P', b'R', b'O', b'T', b'O', b'=', value @ ..] => (&mut self.protocol, value),
            b"ARP" => return self.not_ip = true,
            [b'S' | b'A' | b'F' | b'R' | b'P' | b'U' | b'C' | b'E', _, _] => {
                return self.flags = self.flags.with(TcpFlags::named(token).unwrap_or_default());
            }
            [b'M', b'A', b'C', b'P', b'R', b'O', b'T', b'O', b'=', value @ ..] => {
                return self.not_ip |= !matches!(value, b"0800" | b"86dd" | b"8100");
            }
            b"INCOMPLETE" | [b'F', b'R', b'A', b'G', b':', ..] => return self.without_ports = true,
            _ => return,
        };
        slot.get_or_insert(value);
    }

    fn event(self) -> Result<Option<Event<'a>>, Reason> {
        if self.not_ip && self.source.is_none() {
            return Ok(None);
        }
        let protocol = protocol(self.protocol.ok_or(Reason::Missing("PROTO="))?);
        let has_ports = matches!(protocol, Some(TCP | UDP));
        if has_ports && self.port.is_none() && !self.without_ports {
            return Err(Reason::CutOffBefore("DPT="));
        }
        let end = |value: Option<&[u8]>, missing, wrong| {
            address(value.ok_or(Reason::Missing(missing))?).ok_or(Reason::NotAnAddress(wrong))
        };
        let number_of = |value: Option<&[u8]>, name| {
            let value = value.filter(|_| has_ports);
            value
                .map(|value| port(value).ok_or(Reason::NotAPort(name)))
                .transpose()
        };
        let source = end(self.source, "SRC=", "SRC=")?;
        let destination = end(self.destination, "DST=", "DST=")?;
        let mut event = Event::between(LogFormat::Kernel, source, destination);
        event.protocol = protocol;
        event.source_port = number_of(self.source_port, "SPT=")?;
        event.destination_port = number_of(self.port, "DPT=")?;
        event.flags = (protocol == Some(TCP) && !self.without_ports).then_some(self.flags);
        event.interface = Cow::Borrowed(self.interface.unwrap_or_default());
        event.out_interface = Cow::Borrowed(self.out_interface.unwrap_or_default());
        event.bytes = self.length.and_then(number);
        Ok(Some(event))
    }
}

/// A ring buffer that wrapped leaves the end of a line without its beginning; that is a packet that goes uncounted.
fn without_shape<'a>(line: &[u8]) -> Line<'a> {
    let is_tail = find(line, b"PROTO=").is_some() && {
        let has = |key: &[u8]| {
            line.split(u8::is_ascii_whitespace)
                .any(|token| token.starts_with(key))
        };
        has(b"PROTO=")
            && [&b"SRC="[..], b"DST=", b"SPT=", b"DPT=", b"ID="]
                .iter()
                .any(|key| has(key))
    };
    if is_tail {
        Line::Unreadable(Reason::BeginningMissing)
    } else {
        Line::Unrelated
    }
}

/// The time, the rule's prefix, and whether another program was told to write it.
fn time_and_prefix(before: &[u8]) -> (RawTime<'_>, &[u8], bool) {
    let head = syslog::head(before);
    let own = after_kernel_tag(head.rest).or_else(|| message_of(b"kernel", before));
    let (message, told) = match own {
        Some(message) => (message, false),
        None => {
            let told = hearsay::is_of_another(before, &head);
            // LOGEMU has the host name and no tag; a line without any time, or with that of dmesg, has neither.
            let message = match word(head.rest) {
                Some((host, message)) if head.host && syslog::is_host(host) => message,
                _ => head.rest,
            };
            let by_ulogd = after_ulogd_tag(message).or_else(|| message_of(b"ulogd", before));
            (by_ulogd.filter(|_| !told).unwrap_or(message), told)
        }
    };
    (head.time, without_uptime(message).trim_ascii(), told)
}

/// The message of a line of RFC 5424 that a program of this name wrote. Its fields are counted: those before the name may be left open.
fn message_of<'a>(program: &[u8], line: &'a [u8]) -> Option<&'a [u8]> {
    let is_its = syslog::program_of_rfc_5424(line) == Some(program);
    is_its.then(|| syslog::message_of_rfc_5424(line)).flatten()
}

/// Behind `ulogd[7]: ` or `ulogd: `, as its output SYSLOG has it before the rule's prefix.
fn after_ulogd_tag(text: &[u8]) -> Option<&[u8]> {
    let behind = text.trim_ascii_start().strip_prefix(b"ulogd")?;
    let behind = match behind.strip_prefix(b"[") {
        Some(process) => {
            let (process, behind) = split(process, b']')?;
            number(process)?;
            behind
        }
        None => behind,
    };
    behind.strip_prefix(b":")
}

/// The message behind the tag `kernel:`, or behind the fields of RFC 5424 that follow `kernel`. The tag is the first word behind the host
/// name, or the first of all: further behind it is what another program was told to write.
fn after_kernel_tag(text: &[u8]) -> Option<&[u8]> {
    let text = text.trim_ascii_start();
    let behind = match text.strip_prefix(b"kernel") {
        Some(behind) => behind,
        None => {
            let (host, rest) = word(text)?;
            // `sshd[5]: kernel: ` is what a program wrote of which the host is not told.
            if !syslog::is_host(host) {
                return None;
            }
            rest.trim_ascii_start().strip_prefix(b"kernel")?
        }
    };
    if let Some(message) = behind.strip_prefix(b":") {
        return Some(message);
    }
    if !behind.starts_with(b" ") {
        return None;
    }
    let (process, behind) = word(behind)?;
    let (message_id, behind) = word(behind)?;
    (process == b"-" && !message_id.is_empty()).then(|| after_structured_data(behind))
}

/// `message repeated 5 times: [ … ]`, as rsyslog writes it where it is told to write equal lines once: how many, and what is inside.
fn repeated(message: &[u8]) -> (u64, &[u8]) {
    let inside = message.strip_prefix(b"message repeated ").and_then(|rest| {
        let (count, rest) = split(rest, b' ')?;
        Some((number(count)?, rest.strip_prefix(b"times: [")?))
    });
    match inside {
        Some((count, inside)) if count > 0 => (count, without_uptime(inside).trim_ascii()),
        _ => (1, message),
    }
}

/// `[ 1234.567890] ` before the prefix, when the kernel stamps its own lines.
fn without_uptime(text: &[u8]) -> &[u8] {
    let text = text.trim_ascii_start();
    match text.strip_prefix(b"[").and_then(|text| split(text, b']')) {
        Some((inside, rest)) if is_uptime(inside) => rest,
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_that_do_not_fit_are_left_to_the_general_way() {
        let body = |length: &str, source: &str| {
            format!(
                "IN=a OUT= SRC={source} DST=10.7.10.4 LEN={length} TOS=0x00 PREC=0x00 TTL=63 ID=7 PROTO=UDP SPT=1 DPT=2 LEN=8 "
            )
        };
        assert!(quick::read(body("9999999", "192.0.2.7").as_bytes()).is_some());
        for (length, source) in [
            ("99999999", "192.0.2.7"),
            ("9999999999", "192.0.2.7"),
            ("60", "192.0.2.7000000000"),
            ("60", "192.0.2.256"),
            ("", "1.1.1.1"),
        ] {
            assert_eq!(
                quick::read(body(length, source).as_bytes()),
                None,
                "{length} {source}"
            );
        }
    }

    proptest! {
        /// The quick way finds what the general way finds, or nothing.
        #[test]
        fn both_ways_tell_the_same(
            (source, destination) in (any::<std::net::Ipv4Addr>(), any::<std::net::Ipv4Addr>()),
            (from, to, length) in (any::<u16>(), any::<u16>(), any::<u16>()),
            middle in "(CE )?(DF )?(MF )?(FRAG:[0-9]{1,3} )?",
            protocol in "TCP|UDP|ICMP|47",
            end in "(WINDOW=[0-9]{1,5} RES=0x00 )?(SYN |ACK |FIN |RST |PSH |URG |ECE )*(URGP=0 )?(LEN=20 )?(MARK=0x1 )?",
            damage in proptest::option::of((any::<proptest::sample::Index>(), any::<u8>())),
        ) {
            let mut body = format!(
                "IN=eth0 OUT= MAC=aa:bb SRC={source} DST={destination} LEN={length} TOS=0x00 PREC=0x00 TTL=63 ID=7 \
                 {middle}PROTO={protocol} SPT={from} DPT={to} {end}"
            ).into_bytes();
            if let Some((place, byte)) = damage {
                let place = place.index(body.len());
                body[place] = byte;
            }
            if let Some(([interface, out_interface], quick)) = quick::read(&body) {
                let general = fields(&body, true).unwrap().unwrap();
                prop_assert_eq!((quick.source.into(), quick.destination.into()), (general.source, general.destination));
                prop_assert_eq!(Some(quick.protocol), general.protocol);
                prop_assert_eq!(Some(quick.source_port), general.source_port);
                prop_assert_eq!(Some(quick.destination_port), general.destination_port);
                prop_assert_eq!((interface, out_interface), (&*general.interface, &*general.out_interface));
                prop_assert_eq!((quick.flags, Some(quick.bytes)), (general.flags, general.bytes));
            }
        }
    }
}

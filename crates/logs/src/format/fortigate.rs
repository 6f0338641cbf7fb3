//! Traffic log of FortiGate, `key=value` with or without quotes.
//!
//! Held against "FortiOS Log Message Reference" 6.0 and 6.2, traffic log (names of the fields, `action`), and "Technical Tip:
//! Understanding Action='Close', 'Reset', and 'Timeout' in FortiGate Forward Traffic Logs". `deny` is blocked; `accept`,
//! `start`, `close`, `timeout`, `client-rst` and `server-rst` are of sessions that a policy let through. The reference counts
//! all other words as let through as well; but `ip-conn` and `dns` are of connections that failed, and `pending` is of one
//! that was not judged: these stay unknown. So does a session that a policy let through and a security profile blocked
//! (`utmaction`), and all that was only watched (`subtype=sniffer`).
//!
//! With `set csv enable`, later `set format csv` ("Technical Tip: Configuring multiple Syslog servers"), commas stand between the
//! pairs in the place of blanks. That it is so and nothing else was seen in published lines only.

use std::borrow::Cow;

use portcullis_model::{LogFormat, LogMoment, Verdict};

use crate::{
    Event, Line, RawTime, Reason,
    pairs::{pairs, pairs_with_commas},
    words::{address, find, number, port},
};

#[derive(Debug, Default)]
struct Fields<'a> {
    traffic: bool,
    /// The firewall only looked on.
    watched: bool,
    /// A security profile intervened in what the policy let through.
    profiled: bool,
    date: &'a [u8],
    time: &'a [u8],
    zone: &'a [u8],
    event_time: &'a [u8],
    source: Option<&'a [u8]>,
    destination: Option<&'a [u8]>,
    source_port: Option<&'a [u8]>,
    destination_port: Option<&'a [u8]>,
    protocol: Option<&'a [u8]>,
    action: Option<&'a [u8]>,
    policy: &'a [u8],
    interface: &'a [u8],
    out_interface: &'a [u8],
    sent: Option<&'a [u8]>,
    received: Option<&'a [u8]>,
    duration: Option<&'a [u8]>,
}

/// Reads one line; logs of other types are something else.
pub(crate) fn read(line: &[u8]) -> Line<'_> {
    if find(line, b"type=").is_none() {
        return Line::Unrelated;
    }
    let mut fields = Fields::default();
    let pairs = if find(line, b",type=").is_some() {
        pairs_with_commas(line)
    } else {
        pairs(line)
    };
    for (key, value) in pairs {
        fields.take(key, value);
    }
    if !fields.traffic || fields.date.is_empty() && fields.event_time.is_empty() {
        return Line::Unrelated;
    }
    fields.event().map_or_else(Line::Unreadable, Line::Event)
}

impl<'a> Fields<'a> {
    fn take(&mut self, key: &[u8], value: &'a [u8]) {
        // The priority stands before the first key, without a blank.
        let key = key.rsplit(|byte| *byte == b'>').next().unwrap_or(key);
        match key {
            b"type" => self.traffic = value == b"traffic",
            b"subtype" => self.watched = value == b"sniffer",
            b"utmaction" => self.profiled = value.starts_with(b"block"),
            b"date" => self.date = value,
            b"time" => self.time = value,
            b"tz" => self.zone = value,
            b"eventtime" => self.event_time = value,
            b"srcip" => self.source = Some(value),
            b"dstip" => self.destination = Some(value),
            b"srcport" => self.source_port = Some(value),
            b"dstport" => self.destination_port = Some(value),
            b"proto" => self.protocol = Some(value),
            b"action" => self.action = Some(value),
            b"policyid" => self.policy = value,
            b"srcintf" => self.interface = value,
            b"dstintf" => self.out_interface = value,
            b"sentbyte" => self.sent = Some(value),
            b"rcvdbyte" => self.received = Some(value),
            b"duration" => self.duration = Some(value),
            _ => {}
        }
    }

    fn event(self) -> Result<Event<'a>, Reason> {
        let end = |value: Option<&[u8]>, name| {
            address(value.ok_or(Reason::Missing(name))?).ok_or(Reason::NotAnAddress(name))
        };
        let number_of = |value: Option<&[u8]>, name| {
            value
                .map(|value| port(value).ok_or(Reason::NotAPort(name)))
                .transpose()
        };
        let mut event = Event::between(
            LogFormat::Fortigate,
            end(self.source, "srcip")?,
            end(self.destination, "dstip")?,
        );
        event.protocol = self
            .protocol
            .and_then(number)
            .and_then(|protocol| u8::try_from(protocol).ok());
        if matches!(event.protocol, Some(crate::event::TCP | crate::event::UDP)) {
            event.source_port = number_of(self.source_port, "srcport")?;
            event.destination_port = number_of(self.destination_port, "dstport")?;
        }
        (event.verdict, event.moment) = match self.action.ok_or(Reason::Missing("action"))? {
            b"deny" => (Verdict::Blocked, LogMoment::Packet),
            b"start" => (Verdict::Allowed, LogMoment::Begin),
            b"accept" | b"close" | b"timeout" | b"client-rst" | b"server-rst" => {
                (Verdict::Allowed, LogMoment::End)
            }
            _ => (Verdict::Unknown, LogMoment::End),
        };
        if self.watched || self.profiled && event.verdict == Verdict::Allowed {
            event.verdict = Verdict::Unknown;
        }
        event.prefix = Cow::Borrowed(self.policy);
        event.interface = Cow::Borrowed(self.interface);
        event.out_interface = Cow::Borrowed(self.out_interface);
        event.bytes = match (self.sent.and_then(number), self.received.and_then(number)) {
            (None, None) => None,
            (sent, received) => Some(sent.unwrap_or(0).saturating_add(received.unwrap_or(0))),
        };
        event.duration_ms = self
            .duration
            .and_then(number)
            .map(|seconds| seconds.saturating_mul(1000));
        event.time = self.when();
        Ok(event)
    }

    /// `eventtime` needs no zone; it is in seconds up to FortiOS 6.0 and in nanoseconds later.
    fn when(&self) -> RawTime<'a> {
        let scale = match self.event_time.len() {
            10 => Some((1_000_000, 1)),
            19 => Some((1, 1000)),
            _ => None,
        };
        if let Some(((times, by), time)) = scale.zip(number(self.event_time))
            && let Ok(microseconds) = i64::try_from(time.saturating_mul(times) / by)
        {
            return RawTime::Unix(microseconds);
        }
        RawTime::parts(self.date, self.time, self.zone)
    }
}

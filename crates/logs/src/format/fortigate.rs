//! Traffic log of FortiGate, `key=value` with or without quotes.
//!
//! Held against "FortiOS Log Message Reference" 6.0 and 6.2, traffic log (names of the fields, `action`), and "Technical Tip:
//! Understanding Action='Close', 'Reset', and 'Timeout' in FortiGate Forward Traffic Logs". `deny` is blocked; `accept`,
//! `start`, `close`, `timeout`, `client-rst` and `server-rst` are of sessions that a policy let through. The reference counts
//! all other words as let through as well; but `ip-conn` and `dns` are of connections that failed, and `pending` is of one
//! that was not judged: these stay unknown. So does a session that a policy let through and a security profile blocked
//! (`utmaction`), and all that was only watched (`subtype=sniffer`).
//!
//! Every two minutes a session that goes on has a line with what it carried so far (message 20, "forward traffic statistics"; the last
//! six digits of `logid`). It is of a session that has an end of its own, or will have.
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

/// The first value of each key. A second one that says something else stands in a name that somebody chose, or is one: then nobody
/// knows what is true.
#[derive(Debug, Default)]
struct Fields<'a> {
    log_id: Option<&'a [u8]>,
    kind: Option<&'a [u8]>,
    subtype: Option<&'a [u8]>,
    profile: Option<&'a [u8]>,
    date: Option<&'a [u8]>,
    time: Option<&'a [u8]>,
    zone: Option<&'a [u8]>,
    event_time: Option<&'a [u8]>,
    source: Option<&'a [u8]>,
    destination: Option<&'a [u8]>,
    source_port: Option<&'a [u8]>,
    destination_port: Option<&'a [u8]>,
    protocol: Option<&'a [u8]>,
    action: Option<&'a [u8]>,
    policy: Option<&'a [u8]>,
    interface: Option<&'a [u8]>,
    out_interface: Option<&'a [u8]>,
    sent: Option<&'a [u8]>,
    received: Option<&'a [u8]>,
    duration: Option<&'a [u8]>,
    /// A key came again with another value.
    contradicted: bool,
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
    if fields.kind != Some(b"traffic") || fields.date.is_none() && fields.event_time.is_none() {
        return Line::Unrelated;
    }
    fields.event().map_or_else(Line::Unreadable, Line::Event)
}

impl<'a> Fields<'a> {
    fn take(&mut self, key: &[u8], value: &'a [u8]) {
        // The priority stands before the first key, without a blank.
        let key = match key.strip_prefix(b"<") {
            Some(key) => key.rsplit(|byte| *byte == b'>').next().unwrap_or(key),
            None => key,
        };
        let slot = match key {
            b"logid" => &mut self.log_id,
            b"type" => &mut self.kind,
            b"subtype" => &mut self.subtype,
            b"utmaction" => &mut self.profile,
            b"date" => &mut self.date,
            b"time" => &mut self.time,
            b"tz" => &mut self.zone,
            b"eventtime" => &mut self.event_time,
            b"srcip" => &mut self.source,
            b"dstip" => &mut self.destination,
            b"srcport" => &mut self.source_port,
            b"dstport" => &mut self.destination_port,
            b"proto" => &mut self.protocol,
            b"action" => &mut self.action,
            b"policyid" => &mut self.policy,
            b"srcintf" => &mut self.interface,
            b"dstintf" => &mut self.out_interface,
            b"sentbyte" => &mut self.sent,
            b"rcvdbyte" => &mut self.received,
            b"duration" => &mut self.duration,
            _ => return,
        };
        self.contradicted |= *slot.get_or_insert(value) != value;
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
        // The firewall only looked on, or a security profile intervened in what the policy let through.
        let watched = self.subtype == Some(b"sniffer");
        let profiled = self.profile.is_some_and(|action| action.starts_with(b"block"));
        if watched || self.contradicted || profiled && event.verdict == Verdict::Allowed {
            event.verdict = Verdict::Unknown;
        }
        if event.moment == LogMoment::End && self.log_id.is_some_and(|id| id.ends_with(b"000020")) {
            (event.moment, event.count) = (LogMoment::Within, 0);
        }
        event.prefix = Cow::Borrowed(self.policy.unwrap_or_default());
        event.interface = Cow::Borrowed(self.interface.unwrap_or_default());
        event.out_interface = Cow::Borrowed(self.out_interface.unwrap_or_default());
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
        let event_time = self.event_time.unwrap_or_default();
        let scale = match event_time.len() {
            10 => Some((1_000_000, 1)),
            19 => Some((1, 1000)),
            _ => None,
        };
        if let Some(((times, by), time)) = scale.zip(number(event_time))
            && let Ok(microseconds) = i64::try_from(time.saturating_mul(times) / by)
        {
            return RawTime::Unix(microseconds);
        }
        RawTime::parts(
            self.date.unwrap_or_default(),
            self.time.unwrap_or_default(),
            self.zone.unwrap_or_default(),
        )
    }
}

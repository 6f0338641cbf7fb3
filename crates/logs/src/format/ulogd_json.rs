//! The JSON output of ulogd 2.
//!
//! Keys as ulogd 2.0.8 writes them (`output/ulogd_output_JSON.c`). `raw.label` is a constant of the configuration and no
//! verdict; only the prefix may prove one.

use std::{borrow::Cow, sync::LazyLock};

use memchr::memmem;
use portcullis_model::{LogFormat, TcpFlags};
use serde::Deserialize;

use crate::{
    Event, Line, Prefixes, RawTime, Reason,
    event::{TCP, UDP},
    words::address,
};

#[derive(Deserialize)]
struct Record<'a> {
    #[serde(borrow)]
    timestamp: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "oob.prefix")]
    prefix: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "oob.in")]
    interface: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "oob.out")]
    out_interface: Option<Cow<'a, str>>,
    #[serde(borrow)]
    src_ip: Option<Cow<'a, str>>,
    #[serde(borrow)]
    dest_ip: Option<Cow<'a, str>>,
    src_port: Option<u16>,
    dest_port: Option<u16>,
    #[serde(rename = "ip.protocol")]
    protocol: Option<u8>,
    #[serde(rename = "ip6.nexthdr")]
    next_header: Option<u8>,
    #[serde(rename = "ip.totlen")]
    length: Option<u64>,
    #[serde(default, rename = "tcp.syn")]
    syn: u8,
    #[serde(default, rename = "tcp.ack")]
    ack: u8,
    #[serde(default, rename = "tcp.fin")]
    fin: u8,
    #[serde(default, rename = "tcp.rst")]
    rst: u8,
    #[serde(default, rename = "tcp.psh")]
    psh: u8,
    #[serde(default, rename = "tcp.urg")]
    urg: u8,
    #[serde(rename = "tcp.window")]
    window: Option<u32>,
}

/// Reads one line.
pub(crate) fn read<'a>(line: &'a [u8], prefixes: &Prefixes) -> Line<'a> {
    let Some(object) = super::object(line) else {
        return Line::Unrelated;
    };
    static KEY: super::Key = LazyLock::new(|| memmem::Finder::new("\"oob."));
    if KEY.find(object).is_none() {
        return Line::Unrelated;
    }
    let Some(record) = super::json::<Record<'_>>(object) else {
        return Line::Unreadable(Reason::NotJson);
    };
    // ARP and other frames without IP addresses are logged as well.
    if record.src_ip.is_none() && record.dest_ip.is_none() {
        return Line::Unrelated;
    }
    event(record, prefixes).map_or_else(Line::Unreadable, Line::Event)
}

fn event<'a>(record: Record<'a>, prefixes: &Prefixes) -> Result<Event<'a>, Reason> {
    let end = |value: &Option<Cow<'_, str>>, name| {
        address(value.as_deref().ok_or(Reason::Missing(name))?.as_bytes()).ok_or(Reason::NotAnAddress(name))
    };
    let mut event = Event::between(
        LogFormat::UlogdJson,
        end(&record.src_ip, "src_ip")?,
        end(&record.dest_ip, "dest_ip")?,
    );
    event.protocol = record.protocol.or(record.next_header);
    if matches!(event.protocol, Some(TCP | UDP)) {
        (event.source_port, event.destination_port) = (record.src_port, record.dest_port);
    }
    let flags = [
        (record.syn, TcpFlags::SYN),
        (record.ack, TcpFlags::ACK),
        (record.fin, TcpFlags::FIN),
        (record.rst, TcpFlags::RST),
        (record.psh, TcpFlags::PSH),
        (record.urg, TcpFlags::URG),
    ];
    let flags = flags
        .into_iter()
        .filter(|(set, _)| *set != 0)
        .fold(TcpFlags::default(), |all, (_, flag)| all.with(flag));
    event.flags = record.window.is_some().then_some(flags);
    event.bytes = record.length;
    let text = |text: Option<Cow<'a, str>>| text.map_or(Cow::Borrowed(&b""[..]), super::bytes);
    event.time = record
        .timestamp
        .map_or(RawTime::None, |time| RawTime::Text(super::bytes(time)));
    event.interface = text(record.interface);
    event.out_interface = text(record.out_interface);
    event.prefix = text(record.prefix.map(|prefix| match prefix {
        Cow::Borrowed(prefix) => Cow::Borrowed(prefix.trim()),
        Cow::Owned(prefix) => Cow::Owned(prefix.trim().to_owned()),
    }));
    event.verdict = prefixes.verdict(&event.prefix);
    event.moment = Prefixes::moment(&event.prefix, event.verdict);
    Ok(event)
}

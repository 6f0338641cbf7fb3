//! masscan: JSON (`-oJ`), JSON lines (`-oD`), list (`-oL`). Its XML is that of nmap.

use std::io::BufRead;

use portcullis_model::{Port, PortState, Transport};
use serde::Deserialize;
use serde_json::Value;

use super::{
    json::Objects,
    lines::{Line, Lines},
    record::{self, Item, PassedOver, PortSeen, Tool, Unread, Why, short},
    time,
};

#[derive(Deserialize)]
struct Record {
    ip: String,
    timestamp: Option<Value>,
    /// Of `-oJ`.
    #[serde(default)]
    ports: Vec<PortRecord>,
    /// Of `-oD`.
    #[serde(flatten)]
    own: Option<PortRecord>,
    data: Option<Data>,
}

#[derive(Deserialize)]
struct PortRecord {
    port: u64,
    proto: String,
    #[serde(flatten)]
    data: Data,
}

/// A record without a state is a banner, which only an open port gives.
#[derive(Deserialize)]
struct Data {
    status: Option<String>,
    reason: Option<String>,
}

pub(super) fn json(reader: impl BufRead) -> impl Iterator<Item = Item> {
    Objects::new(reader).flat_map(|object| match object {
        Ok((line, text)) => objects(line, &text),
        Err(unread) => vec![Item::Unread(unread)],
    })
}

fn objects(line: u64, text: &[u8]) -> Vec<Item> {
    let unread = |why| Item::Unread(Unread { line, why });
    let record: Record = match serde_json::from_slice(text) {
        Ok(record) => record,
        // Its old way to end a document.
        Err(_) if text.trim_ascii_start().starts_with(b"{finished") => return Vec::new(),
        Err(error) => return vec![unread(Why::Json(short(&error.to_string())))],
    };
    let at = match &record.timestamp {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    let item = |port: &PortRecord, data: &Data| {
        let row = Row {
            line,
            state: data.status.as_deref().unwrap_or("banner"),
            reason: data.reason.as_deref(),
            protocol: &port.proto,
            port: &port.port.to_string(),
            address: &record.ip,
            at: at.as_deref(),
        };
        row.item().unwrap_or_else(unread)
    };
    let own = record
        .own
        .as_ref()
        .map(|port| item(port, record.data.as_ref().unwrap_or(&port.data)));
    let mut items: Vec<Item> = own.into_iter().collect();
    items.extend(record.ports.iter().map(|port| item(port, &port.data)));
    if items.is_empty() {
        items.push(unread(Why::Missing("port")));
    }
    items
}

pub(super) fn list(reader: impl BufRead) -> impl Iterator<Item = Item> {
    Lines::new(reader).filter_map(|line| match line {
        Ok(line) => row(&line),
        Err(unread) => Some(Item::Unread(unread)),
    })
}

/// `open tcp 54321 10.7.10.10 1795455696`
fn row(line: &Line) -> Option<Item> {
    if line.text.trim().is_empty() || line.text.starts_with('#') {
        return None;
    }
    let mut words = line.text.split_whitespace();
    let mut word = |what| words.next().ok_or(Why::Missing(what));
    let mut item = || {
        let row = Row {
            line: line.number,
            state: word("state")?,
            reason: None,
            protocol: word("protocol")?,
            port: word("port")?,
            address: word("address")?,
            at: word("time").ok(),
        };
        row.item()
    };
    let number = line.number;
    Some(item().unwrap_or_else(|why| Item::Unread(Unread { line: number, why })))
}

struct Row<'t> {
    line: u64,
    state: &'t str,
    reason: Option<&'t str>,
    protocol: &'t str,
    port: &'t str,
    address: &'t str,
    at: Option<&'t str>,
}

impl Row<'_> {
    fn item(&self) -> Result<Item, Why> {
        let transport = match self.protocol {
            "tcp" => Transport::Tcp,
            "udp" => Transport::Udp,
            "icmp" | "sctp" | "arp" | "oproto" => return Ok(Item::PassedOver(PassedOver::Transport, 1)),
            other => return Err(Why::value("a protocol", other)),
        };
        let (state, said) = match self.state {
            "open" => (PortState::Open, "says open"),
            "banner" => (PortState::Open, "recorded what it said"),
            "closed" => (PortState::Closed, "says closed"),
            other => return Err(Why::value("a state of masscan", other)),
        };
        let reason = self
            .reason
            .map_or_else(String::new, |reason| format!(" ({})", short(reason)));
        let at = self
            .at
            .map(|at| time::seconds(at).ok_or_else(|| Why::value("a time", at)));
        Ok(Item::Port(Box::new(PortSeen {
            tool: Tool::Masscan,
            line: self.line,
            // masscan writes 0 when it has none.
            at: at.transpose()?.filter(|at| at.as_second() != 0),
            client: None,
            address: record::address(self.address)?,
            port: Port {
                transport,
                number: record::port_number(self.port)?,
            },
            state,
            because: format!("masscan {said}{reason}"),
            named: Vec::new(),
            mac: None,
        })))
    }
}

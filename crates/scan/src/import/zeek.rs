//! `conn.log` of Zeek, as tab-separated values and as JSON: who speaks what with whom.
//!
//! Which connections show an open port is told by `conn_state` and `history` (Zeek, `base/protocols/conn/main.zeek`): for
//! TCP the server must have sent its SYN-ACK (`h`) in a connection that was established; for UDP the one that was asked
//! must have answered. Zeek sees what passes its sensor and asks nobody, so nothing is ever closed by its word.

use std::{collections::BTreeMap, io::BufRead};

use portcullis_model::{Port, PortState, Transport};
use serde_json::{Map, Value};

use super::{
    lines::{Line, Lines},
    record::{self, Item, PassedOver, PortSeen, Tool, Unread, Why, short},
    time,
};

/// Columns that a header may have. Zeek with all its packages writes some forty.
const MOST_COLUMNS: usize = 512;

pub(super) fn json(reader: impl BufRead) -> impl Iterator<Item = Item> {
    Lines::new(reader).filter_map(|line| match line {
        Ok(line) if line.text.trim().is_empty() => None,
        Ok(line) => Some(object(&line).unwrap_or_else(|why| unread(line.number, why))),
        Err(unread) => Some(Item::Unread(unread)),
    })
}

fn object(line: &Line) -> Result<Item, Why> {
    let fields: Map<String, Value> =
        serde_json::from_str(&line.text).map_err(|error| Why::Json(short(&error.to_string())))?;
    item(line.number, |name| match fields.get(name)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    })
}

/// Reads tab-separated values. Each file begins with a header; files that were put behind each other have several.
pub(super) struct Tsv<R> {
    lines: Lines<R>,
    header: Header,
    ended: bool,
}

struct Header {
    separator: char,
    unset: String,
    empty: String,
    columns: Option<BTreeMap<String, usize>>,
}

impl<R: BufRead> Tsv<R> {
    pub(super) fn new(reader: R) -> Self {
        Self {
            lines: Lines::new(reader),
            header: Header {
                separator: '\t',
                unset: "-".into(),
                empty: "(empty)".into(),
                columns: None,
            },
            ended: false,
        }
    }
}

impl<R: BufRead> Iterator for Tsv<R> {
    type Item = Item;

    fn next(&mut self) -> Option<Item> {
        while !self.ended {
            let line = match self.lines.next()? {
                Ok(line) => line,
                Err(unread) => return Some(Item::Unread(unread)),
            };
            let done = match line.text.strip_prefix('#') {
                Some(words) => self.header.read(words).map(|()| None),
                None if line.text.is_empty() => Ok(None),
                None => self.header.row(&line).map(Some),
            };
            match done {
                Ok(None) => {}
                Ok(Some(item)) => return Some(item),
                Err(why) => {
                    // Another log has nothing to read at all.
                    self.ended = matches!(&why, Why::Value("the log of connections", _));
                    return Some(unread(line.number, why));
                }
            }
        }
        None
    }
}

impl Header {
    /// A line of the header, without its `#`.
    fn read(&mut self, words: &str) -> Result<(), Why> {
        if let Some(separator) = words.strip_prefix("separator ") {
            self.separator = unescaped(separator).ok_or_else(|| Why::value("a separator", separator))?;
            return Ok(());
        }
        let mut words = words.split(self.separator);
        let name = words.next().unwrap_or_default();
        match name {
            "unset_field" => self.unset = words.next().unwrap_or("-").to_owned(),
            "empty_field" => self.empty = words.next().unwrap_or("(empty)").to_owned(),
            "path" => {
                let path = words.next().unwrap_or_default();
                if path != "conn" {
                    return Err(Why::value("the log of connections", path));
                }
            }
            "fields" => {
                let columns = words.take(MOST_COLUMNS).enumerate();
                self.columns = Some(columns.map(|(place, name)| (name.to_owned(), place)).collect());
            }
            _ => {}
        }
        Ok(())
    }

    fn row(&self, line: &Line) -> Result<Item, Why> {
        let columns = self.columns.as_ref().ok_or(Why::NoHeader)?;
        let values: Vec<&str> = line.text.split(self.separator).take(MOST_COLUMNS).collect();
        if values.len() != columns.len() {
            return Err(Why::value("a row with the columns of its header", &line.text));
        }
        item(line.number, |name| {
            let value = values.get(*columns.get(name)?)?;
            let is_set = *value != self.unset && *value != self.empty;
            is_set.then(|| (*value).to_owned())
        })
    }
}

/// `\x09` and the like, or the letter itself.
fn unescaped(text: &str) -> Option<char> {
    match text.strip_prefix("\\x") {
        Some(code) => u8::from_str_radix(code, 16)
            .ok()
            .filter(u8::is_ascii)
            .map(char::from),
        None => text.chars().next(),
    }
}

fn unread(line: u64, why: Why) -> Item {
    Item::Unread(Unread { line, why })
}

fn item(line: u64, field: impl Fn(&str) -> Option<String>) -> Result<Item, Why> {
    let require = |name: &'static str| field(name).ok_or(Why::Missing(name));
    let client = record::address(&require("id.orig_h")?)?;
    let server = record::address(&require("id.resp_h")?)?;
    let transport = match require("proto")?.as_str() {
        "tcp" => Transport::Tcp,
        "udp" => Transport::Udp,
        _ => return Ok(Item::PassedOver(PassedOver::Transport, 1)),
    };
    let state = field("conn_state").unwrap_or_default();
    let history = field("history");
    match shown(transport, &state, history.as_deref()) {
        Shown::Open => {}
        Shown::Nothing(reason) => return Ok(Item::PassedOver(reason, 1)),
    }
    if server.is_multicast() || server.is_unspecified() {
        return Ok(Item::PassedOver(PassedOver::Group, 1));
    }
    let number = record::port_number(&require("id.resp_p")?)?;
    let at = require("ts")?;
    let at = time::seconds_or_iso(&at).ok_or_else(|| Why::value("a time", &at))?;
    let service = field("service").map_or_else(String::new, |service| format!(", {}", short(&service)));
    let history = history.map_or_else(String::new, |history| format!(" {}", short(&history)));
    Ok(Item::Port(Box::new(PortSeen {
        tool: Tool::Zeek,
        line,
        at: Some(at),
        client: Some(client),
        address: server,
        port: Port { transport, number },
        state: PortState::Open,
        because: format!(
            "zeek saw it answer {client} ({}{history}{service})",
            short(&state)
        ),
        named: Vec::new(),
        mac: None,
    })))
}

enum Shown {
    Open,
    Nothing(PassedOver),
}

/// What a connection shows of its server's port. Capitals of the history are the client's, small letters the server's.
fn shown(transport: Transport, state: &str, history: Option<&str>) -> Shown {
    if history.is_some_and(|history| history.contains('^')) {
        return Shown::Nothing(PassedOver::Direction);
    }
    let open = match (transport, history) {
        (Transport::Tcp, Some(history)) => {
            matches!(state, "S1" | "S2" | "S3" | "SF" | "RSTO" | "RSTR") && history.contains('h')
        }
        // Without a history, a reset by the server can be a refusal.
        (Transport::Tcp, None) => matches!(state, "S1" | "S2" | "S3" | "SF" | "RSTO"),
        (Transport::Udp, Some(history)) => state == "SF" && history.starts_with('D') && history.contains('d'),
        (Transport::Udp, None) => state == "SF",
    };
    if open {
        Shown::Open
    } else {
        Shown::Nothing(PassedOver::NotCompleted)
    }
}

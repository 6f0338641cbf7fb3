//! XML of nmap (`nmap.dtd`), and of the programs that write the same: masscan `-oX` and `portcullis scan --format
//! nmap-xml`.
//!
//! A port is told when its element ends, so that of a scan that was aborted everything is kept that was written whole.
//! The words of nmap are taken for what they say: `filtered` without any answer is `no-answer`, `open|filtered` too, and
//! `unfiltered` says nothing about what listens.

use std::{collections::VecDeque, io::BufRead, net::IpAddr};

use jiff::Timestamp;
use portcullis_model::{MacAddress, Port, PortState, Transport, sanitize};

use super::{
    record::{self, Item, Named, NeighbourSeen, PassedOver, PortSeen, Tool, Unread, Why, short},
    time,
    xml::{Node, Tag, Xml},
};

pub(super) struct Nmap<R> {
    xml: Xml<R>,
    tool: Tool,
    began: Option<Timestamp>,
    depth: usize,
    host: Option<Host>,
    port: Option<PortTag>,
    ready: VecDeque<Item>,
}

#[derive(Default)]
struct Host {
    at: Option<Timestamp>,
    address: Option<IpAddr>,
    mac: Option<MacAddress>,
}

#[derive(Default)]
struct PortTag {
    line: u64,
    protocol: String,
    number: String,
    state: Option<(String, String)>,
    named: Option<Named>,
}

/// How deep the elements lie: `nmaprun`, `host`, `ports`, `port`, `state`.
const HOST: usize = 2;
const PORT: usize = 4;

impl<R: BufRead> Nmap<R> {
    pub(super) fn new(reader: R) -> Self {
        Self {
            xml: Xml::new(reader, "nmaprun"),
            tool: Tool::Nmap,
            began: None,
            depth: 0,
            host: None,
            port: None,
            ready: VecDeque::new(),
        }
    }

    fn open(&mut self, tag: &Tag) -> Result<(), Why> {
        let attribute = |name: &str| tag.get(name).unwrap_or_default();
        match (tag.depth, tag.name.as_str()) {
            (1, _) => {
                self.tool = match attribute("scanner") {
                    "masscan" => Tool::Masscan,
                    "portcullis" => Tool::Portcullis,
                    _ => Tool::Nmap,
                };
                self.began = self.time(tag, "start");
            }
            (HOST, "host") => {
                let at = self.time(tag, "endtime").or_else(|| self.time(tag, "starttime"));
                self.host = Some(Host {
                    at: at.or(self.began),
                    ..Host::default()
                });
            }
            (3, "address") => self.address(tag)?,
            (4, "extraports") => {
                let count = attribute("count").parse().unwrap_or(1);
                self.ready
                    .push_back(Item::PassedOver(PassedOver::SummedUp, count));
            }
            (PORT, "port") if self.host.is_some() => {
                self.port = Some(PortTag {
                    line: tag.line,
                    protocol: attribute("protocol").to_owned(),
                    number: attribute("portid").to_owned(),
                    ..PortTag::default()
                });
            }
            (5, "state") => {
                if let Some(port) = &mut self.port {
                    port.state = Some((tag.require("state")?.to_owned(), attribute("reason").to_owned()));
                }
            }
            (5, "service") => {
                if let Some(port) = &mut self.port {
                    port.named = service(tag);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// A time that is there and cannot be read is told, for another one then takes its place.
    fn time(&mut self, tag: &Tag, name: &str) -> Option<Timestamp> {
        let text = tag.get(name)?;
        let read = time::seconds(text);
        if read.is_none() {
            let why = Why::value("a time", text);
            self.ready.push_back(Item::Unread(Unread { line: tag.line, why }));
        }
        read
    }

    /// nmap writes the address of the network layer before that of the hardware.
    fn address(&mut self, tag: &Tag) -> Result<(), Why> {
        let Some(host) = &mut self.host else {
            return Ok(());
        };
        let text = tag.require("addr")?;
        if tag.get("addrtype") != Some("mac") {
            host.address = Some(record::address(text)?);
            return Ok(());
        }
        let mac = text.parse().map_err(|_| Why::value("a hardware address", text))?;
        host.mac = Some(mac);
        self.ready.push_back(Item::Neighbour(NeighbourSeen {
            tool: self.tool,
            line: tag.line,
            at: host.at,
            address: host.address,
            mac,
            interface: None,
            vlan: None,
        }));
        Ok(())
    }

    fn close(&mut self) {
        if self.depth == PORT
            && let Some(port) = self.port.take()
        {
            let line = port.line;
            let item = self.item(port);
            self.ready
                .push_back(item.unwrap_or_else(|why| Item::Unread(Unread { line, why })));
        } else if self.depth == HOST {
            self.host = None;
        }
    }

    fn item(&self, tag: PortTag) -> Result<Item, Why> {
        let host = self.host.as_ref().ok_or(Why::Missing("host"))?;
        let transport = match tag.protocol.as_str() {
            "tcp" => Transport::Tcp,
            "udp" => Transport::Udp,
            "" => return Err(Why::Missing("protocol")),
            _ => return Ok(Item::PassedOver(PassedOver::Transport, 1)),
        };
        let number = record::port_number(&tag.number)?;
        let (word, reason) = tag.state.ok_or(Why::Missing("state"))?;
        let Some(state) = state(&word, &reason)? else {
            return Ok(Item::PassedOver(PassedOver::Undecided, 1));
        };
        let reason = if reason.is_empty() {
            "no reason given".to_owned()
        } else {
            short(&reason).to_string()
        };
        Ok(Item::Port(Box::new(PortSeen {
            tool: self.tool,
            line: tag.line,
            at: host.at,
            client: None,
            address: host.address.ok_or(Why::Missing("address"))?,
            port: Port { transport, number },
            state,
            because: format!("{} says {} ({reason})", self.tool, sanitize(&word)),
            named: tag.named.into_iter().collect(),
            mac: host.mac,
        })))
    }
}

impl<R: BufRead> Iterator for Nmap<R> {
    type Item = Item;

    fn next(&mut self) -> Option<Item> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Some(item);
            }
            match self.xml.next()? {
                Ok(Node::Open(tag)) => {
                    self.depth = tag.depth;
                    if let Err(why) = self.open(&tag) {
                        return Some(Item::Unread(Unread { line: tag.line, why }));
                    }
                }
                Ok(Node::Text(_)) => {}
                Ok(Node::Close) => {
                    self.close();
                    self.depth = self.depth.saturating_sub(1);
                }
                Err(unread) => return Some(Item::Unread(unread)),
            }
        }
    }
}

/// What a state of nmap says; `None` when it says neither open nor closed. A silence is called `filtered`, too: only a
/// reason that names an answer shows that somebody refused.
fn state(word: &str, reason: &str) -> Result<Option<PortState>, Why> {
    Ok(Some(match word {
        "open" => PortState::Open,
        "closed" => PortState::Closed,
        "filtered" if matches!(reason, "no-response" | "") => PortState::NoAnswer,
        "filtered" => PortState::Filtered,
        "open|filtered" => PortState::NoAnswer,
        "unfiltered" | "closed|filtered" => return Ok(None),
        _ => return Err(Why::value("a state of nmap", word)),
    }))
}

fn service(tag: &Tag) -> Option<Named> {
    let name = tag.get("name").filter(|name| !matches!(*name, "" | "unknown"))?;
    // What speaks through TLS is, to whoever connects, TLS.
    let name = if tag.get("tunnel") == Some("ssl") {
        "tls"
    } else {
        name
    };
    Some(Named::Service {
        name: short(name),
        asked: tag.get("method") == Some("probed"),
    })
}

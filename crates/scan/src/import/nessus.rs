//! `.nessus`, version 2 (Tenable: "Nessus v2 File Format").
//!
//! A host is told when its element ends, because what one item says of a port may stand far behind another. Only the ports
//! are taken, and what plugin 50303 says: the rest of Nessus' findings is not ours to repeat.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    io::BufRead,
    net::IpAddr,
};

use jiff::Timestamp;
use portcullis_model::{MacAddress, Port, PortState, Transport};

use super::{
    record::{self, Item, Named, NeighbourSeen, PassedOver, PortSeen, Tool, Unread, Why, short},
    time,
    xml::{Node, Tag, Xml},
};

/// "Moxa Device Manager Gateway Detection", and the id that a hardening guide gives for it.
const GATEWAY: [u32; 2] = [50303, 16483];
/// Port scanners that log in, or ask by SNMP, and list what the host itself says is listening.
const LISTED_BY_HOST: [u32; 3] = [14272, 14274, 34220];
/// The UDP port scanner, which takes silence for an open port as well.
const UDP_SCAN: u32 = 34277;
/// Letters of a host property that are kept. Nessus puts whole lists of packages there.
const LONGEST_PROPERTY: usize = 4096;

pub(super) struct Nessus<R> {
    xml: Xml<R>,
    depth: usize,
    host: Option<Host>,
    property: Option<(String, String)>,
    ready: VecDeque<Item>,
}

#[derive(Default)]
struct Host {
    line: u64,
    name: String,
    address: Option<String>,
    at: Option<Timestamp>,
    macs: Vec<MacAddress>,
    ports: BTreeMap<Port, Finding>,
    passed_over: BTreeMap<PassedOver, u64>,
}

struct Finding {
    line: u64,
    plugin: u32,
    title: String,
    named: BTreeSet<Named>,
}

/// How deep the elements lie: `NessusClientData_v2`, `Report`, `ReportHost`, `ReportItem` or `HostProperties`, `tag`.
const HOST: usize = 3;
const ITEM: usize = 4;
const PROPERTY: usize = 5;

impl<R: BufRead> Nessus<R> {
    pub(super) fn new(reader: R) -> Self {
        Self {
            xml: Xml::new(reader, "NessusClientData_v2"),
            depth: 0,
            host: None,
            property: None,
            ready: VecDeque::new(),
        }
    }

    fn open(&mut self, tag: &Tag) -> Result<(), Why> {
        match (tag.depth, tag.name.as_str(), &mut self.host) {
            (HOST, "ReportHost", _) => {
                self.host = Some(Host {
                    line: tag.line,
                    name: tag.get("name").unwrap_or_default().to_owned(),
                    ..Host::default()
                });
            }
            (ITEM, "ReportItem", Some(host)) => item(host, tag)?,
            (PROPERTY, "tag", Some(_)) => {
                let name = tag.get("name").unwrap_or_default();
                let wanted = [
                    "host-ip",
                    "mac-address",
                    "HOST_END_TIMESTAMP",
                    "HOST_START_TIMESTAMP",
                ];
                self.property = wanted.contains(&name).then(|| (name.to_owned(), String::new()));
            }
            _ => {}
        }
        self.xml.texts = self.property.is_some();
        Ok(())
    }

    fn text(&mut self, text: &str) {
        if let Some((_, value)) = &mut self.property {
            let room = LONGEST_PROPERTY.saturating_sub(value.len());
            value.extend(text.chars().take(room));
        }
    }

    fn close(&mut self) {
        match self.depth {
            PROPERTY => {
                self.xml.texts = false;
                if let (Some((name, value)), Some(host)) = (self.property.take(), &mut self.host) {
                    property(host, &name, value.trim());
                }
            }
            HOST => {
                if let Some(host) = self.host.take() {
                    let line = host.line;
                    let told = told(host, &mut self.ready);
                    if let Err(why) = told {
                        self.ready.push_back(Item::Unread(Unread { line, why }));
                    }
                }
            }
            _ => {}
        }
    }
}

impl<R: BufRead> Iterator for Nessus<R> {
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
                Ok(Node::Text(text)) => self.text(&text),
                Ok(Node::Close) => {
                    self.close();
                    self.depth = self.depth.saturating_sub(1);
                }
                Err(unread) => return Some(Item::Unread(unread)),
            }
        }
    }
}

fn item(host: &mut Host, tag: &Tag) -> Result<(), Why> {
    let plugin = tag.require("pluginID")?;
    let plugin: u32 = plugin
        .parse()
        .map_err(|_| Why::value("the number of a plugin", plugin))?;
    let number = tag.require("port")?;
    let transport = match tag.require("protocol")? {
        "tcp" => Some(Transport::Tcp),
        "udp" => Some(Transport::Udp),
        _ => None,
    };
    let mut pass = |reason| *host.passed_over.entry(reason).or_default() += 1;
    let Some(transport) = transport else {
        pass(PassedOver::Transport);
        return Ok(());
    };
    if number == "0" {
        pass(PassedOver::NoPort);
        return Ok(());
    }
    if LISTED_BY_HOST.contains(&plugin) {
        pass(PassedOver::ListedByHost);
        return Ok(());
    }
    if plugin == UDP_SCAN {
        pass(PassedOver::UdpScan);
        return Ok(());
    }
    let number = record::port_number(number)?;
    let finding = host.ports.entry(Port { transport, number });
    let finding = finding.or_insert_with(|| Finding {
        line: tag.line,
        plugin,
        title: short(tag.get("pluginName").unwrap_or("no name")).to_string(),
        named: BTreeSet::new(),
    });
    if GATEWAY.contains(&plugin) {
        finding.named.insert(Named::Plugin(plugin));
    }
    Ok(())
}

fn property(host: &mut Host, name: &str, value: &str) {
    match name {
        "host-ip" => host.address = Some(value.to_owned()),
        // One on each line when the host has several.
        "mac-address" => {
            host.macs = value
                .split_whitespace()
                .filter_map(|mac| mac.parse().ok())
                .collect()
        }
        // The times beside these are in the zone of the scanner, which the file does not name.
        "HOST_END_TIMESTAMP" => host.at = time::seconds(value).or(host.at),
        _ => host.at = host.at.or_else(|| time::seconds(value)),
    }
}

fn told(host: Host, ready: &mut VecDeque<Item>) -> Result<(), Why> {
    let address: IpAddr = match &host.address {
        Some(address) => record::address(address)?,
        None => record::address(&host.name)?,
    };
    for mac in host.macs.iter().filter(|mac| !mac.is_group() && !mac.is_zero()) {
        ready.push_back(Item::Neighbour(NeighbourSeen {
            tool: Tool::Nessus,
            line: host.line,
            at: host.at,
            address: Some(address),
            mac: *mac,
            interface: None,
            vlan: None,
        }));
    }
    // With several, which one the address belongs to is not told.
    let mac = match host.macs.as_slice() {
        [mac] => Some(*mac),
        _ => None,
    };
    for (port, finding) in host.ports {
        ready.push_back(Item::Port(Box::new(PortSeen {
            tool: Tool::Nessus,
            line: finding.line,
            at: host.at,
            client: None,
            address,
            port,
            state: PortState::Open,
            because: format!(
                "nessus reports on it, first by plugin {} ({})",
                finding.plugin, finding.title
            ),
            named: finding.named.into_iter().collect(),
            mac,
        })));
    }
    let passed_over = host.passed_over.into_iter();
    ready.extend(passed_over.map(|(reason, count)| Item::PassedOver(reason, count)));
    Ok(())
}

//! The fields from `IN=` on.

use std::net::IpAddr;

use portcullis_model::{Port, Transport};

/// What a line tells of its packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Packet<'a> {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    pub(super) port: Option<Port>,
    pub(super) source_port: Option<u16>,
    pub(super) interface: Option<&'a str>,
}

/// Why a line tells of no packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Missing {
    /// ARP or another protocol without IP addresses.
    NotIp,
    /// It should, and cannot be read.
    Reason(String),
}

/// Splits a line before `IN=`, which may be glued to the rule's prefix. `OUT=` must follow: that is what tells the
/// field from a prefix or another program's text that happens to hold `IN=`.
pub(super) fn split(line: &str) -> Option<(&str, &str)> {
    let mut from = 0;
    loop {
        let rest = line.get(from..)?;
        let found = rest.find("IN=")?;
        let (before, body) = rest.split_at_checked(found)?;
        if let Some(end) = end_of_quote(before, rest) {
            from += end;
        } else if is_field(body) {
            return line.split_at_checked(from + found);
        } else {
            from += found + "IN=".len();
        }
    }
}

/// The end of a quoted value that begins before the field: a description may say anything, also `IN=eth0 OUT=`.
fn end_of_quote(before: &str, rest: &str) -> Option<usize> {
    let inside = before.find("=\"")? + "=\"".len();
    Some(inside + rest.get(inside..)?.find('"')? + 1)
}

fn is_field(body: &str) -> bool {
    // Interface names end before 16 bytes (`IFNAMSIZ`); the limit keeps the work small on a line made of `IN=IN=`.
    const LONGEST_NAME: usize = 64;
    body.bytes()
        .take(LONGEST_NAME)
        .position(|byte| byte == b' ')
        .and_then(|end| body.get(end..))
        .is_some_and(|behind| behind.starts_with(" OUT="))
}

/// Reads the fields of the packet itself. `ended` tells whether the line has a line end.
pub(super) fn read(body: &str, ended: bool) -> Result<Packet<'_>, Missing> {
    let mut fields = Fields::default();
    let mut last = "";
    for token in body.split_ascii_whitespace() {
        // From here on an ICMP error quotes the packet that caused it, with addresses of its own.
        if token.starts_with('[') {
            break;
        }
        fields.take(token);
        last = token;
    }
    let in_a_field = ["SRC=", "DST=", "SPT=", "DPT="]
        .iter()
        .any(|key| last.starts_with(key));
    let cut_off = !ended && in_a_field && body.ends_with(last);
    if cut_off {
        return Err(Missing::Reason(
            "the last line has no end and is cut off in a field".into(),
        ));
    }
    fields.packet()
}

/// The first value of each field: what comes twice (`LEN=`, `ID=`) is of an inner header the second time.
#[derive(Debug, Default)]
struct Fields<'a> {
    interface: Option<&'a str>,
    source: Option<&'a str>,
    destination: Option<&'a str>,
    protocol: Option<&'a str>,
    source_port: Option<&'a str>,
    port: Option<&'a str>,
    not_ip: bool,
    without_ports: bool,
}

impl<'a> Fields<'a> {
    fn take(&mut self, token: &'a str) {
        let Some((key, value)) = token.split_once('=') else {
            self.not_ip |= token == "ARP";
            self.without_ports |= token == "INCOMPLETE" || token.starts_with("FRAG:");
            return;
        };
        let slot = match key {
            "IN" => &mut self.interface,
            "SRC" => &mut self.source,
            "DST" => &mut self.destination,
            "PROTO" => &mut self.protocol,
            "SPT" => &mut self.source_port,
            "DPT" => &mut self.port,
            "MACPROTO" => {
                self.not_ip |= !matches!(value, "0800" | "86dd" | "8100");
                return;
            }
            _ => return,
        };
        slot.get_or_insert(value);
    }

    fn packet(self) -> Result<Packet<'a>, Missing> {
        if self.not_ip && self.source.is_none() {
            return Err(Missing::NotIp);
        }
        let transport = match self.protocol {
            Some("TCP" | "6") => Some(Transport::Tcp),
            Some("UDP" | "17") => Some(Transport::Udp),
            Some(_) => None,
            None => return Err(Missing::Reason("the line has no PROTO=".into())),
        };
        let number = transport.map_or(Ok(None), |_| port_number("DPT", self.port))?;
        if transport.is_some() && number.is_none() && !self.without_ports {
            return Err(Missing::Reason("the line is cut off before DPT=".into()));
        }
        Ok(Packet {
            source: address("SRC", self.source)?,
            destination: address("DST", self.destination)?,
            port: transport
                .zip(number)
                .map(|(transport, number)| Port { transport, number }),
            source_port: transport.map_or(Ok(None), |_| port_number("SPT", self.source_port))?,
            interface: self.interface.filter(|name| !name.is_empty()),
        })
    }
}

fn address(key: &str, value: Option<&str>) -> Result<IpAddr, Missing> {
    let value = value.ok_or_else(|| Missing::Reason(format!("the line has no {key}=")))?;
    value.parse().map_err(|_| unreadable(key, value, "an address"))
}

/// A later fragment has no ports, so that none may be right; one that is no number is wrong.
fn port_number(key: &str, value: Option<&str>) -> Result<Option<u16>, Missing> {
    value
        .map(|value| value.parse().map_err(|_| unreadable(key, value, "a port")))
        .transpose()
}

fn unreadable(key: &str, value: &str, expected: &str) -> Missing {
    let shown: String = value.chars().take(40).collect();
    let shown = portcullis_model::sanitize(&shown);
    Missing::Reason(format!("{key}={shown} is not {expected}"))
}

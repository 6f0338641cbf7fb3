//! What a document holds: ports, neighbours, what is passed over, what cannot be read.

use std::{fmt, net::IpAddr};

use jiff::Timestamp;
use portcullis_model::{MacAddress, Port, PortState, Untrusted};

/// One thing that a document says, in the order in which it says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A port and its state.
    Port(Box<PortSeen>),
    /// A station with its hardware address.
    Neighbour(NeighbourSeen),
    /// Something that was read and claims nothing here, and how many of it.
    PassedOver(PassedOver, u64),
    /// Something that could not be read.
    Unread(Unread),
}

/// The program that saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tool {
    /// nmap.
    Nmap,
    /// masscan.
    Masscan,
    /// Portcullis itself, by its nmap-xml.
    Portcullis,
    /// Nessus.
    Nessus,
    /// Zeek.
    Zeek,
    /// The neighbour table of a host.
    Neighbours,
    /// The table of a switch.
    MacTable,
}

impl fmt::Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nmap => "nmap",
            Self::Masscan => "masscan",
            Self::Portcullis => "portcullis",
            Self::Nessus => "nessus",
            Self::Zeek => "zeek",
            Self::Neighbours => "neighbours",
            Self::MacTable => "mac-table",
        })
    }
}

/// What another program saw of one port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortSeen {
    /// Who saw it.
    pub tool: Tool,
    /// The line on which the record begins, from 1.
    pub line: u64,
    /// When, by its own account; `None` when it does not say.
    pub at: Option<Timestamp>,
    /// Who was answered, when somebody else's connection was overheard.
    pub client: Option<IpAddr>,
    /// Whose port it is.
    pub address: IpAddr,
    /// The port.
    pub port: Port,
    /// What it answered.
    pub state: PortState,
    /// Why that is its state, in words that are safe to show.
    pub because: String,
    /// What it was called.
    pub named: Vec<Named>,
    /// The hardware address that was seen with it.
    pub mac: Option<MacAddress>,
}

/// What a program called the service on a port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Named {
    /// By nmap's word for a service, or our own.
    Service {
        /// The word.
        name: Untrusted,
        /// Whether it was asked; else the word is only what the port number stands for.
        asked: bool,
    },
    /// By a plugin of Nessus.
    Plugin(u32),
}

/// A station with its hardware address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NeighbourSeen {
    /// Who says so.
    pub tool: Tool,
    /// The line, from 1.
    pub line: u64,
    /// When, by its own account.
    pub at: Option<Timestamp>,
    /// Its address; `None` in the table of a switch.
    pub address: Option<IpAddr>,
    /// Its hardware address.
    pub mac: MacAddress,
    /// The interface that it is behind.
    pub interface: Option<Untrusted>,
    /// The virtual network that it is in.
    pub vlan: Option<u16>,
}

/// Why something that was read claims nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PassedOver {
    /// Neither TCP nor UDP.
    Transport,
    /// nmap says that the port is reachable and not whether it is open, or that it cannot tell closed from filtered.
    Undecided,
    /// Ports that nmap sums up without a record of each.
    SummedUp,
    /// A port that the host itself listed, over a login or SNMP: nobody reached it.
    ListedByHost,
    /// A UDP port that Nessus' port scanner found not closed: that can be silence.
    UdpScan,
    /// A finding about the host as a whole.
    NoPort,
    /// A connection that was not completed, or of which the beginning was not seen.
    NotCompleted,
    /// A connection whose client and server Zeek has exchanged by guesswork.
    Direction,
    /// Addresses of groups, which are nobody's.
    Group,
    /// A neighbour that did not answer.
    Incomplete,
    /// The switch itself.
    Own,
}

impl fmt::Display for PassedOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Transport => "neither TCP nor UDP",
            Self::Undecided => "nmap could not tell whether they are open",
            Self::SummedUp => "ports that nmap only sums up",
            Self::ListedByHost => "listed by the host itself, not reached over the network",
            Self::UdpScan => "UDP ports that a port scanner found not closed, which can be silence",
            Self::NoPort => "findings about a host and not about a port",
            Self::NotCompleted => "connections without a complete handshake or without an answer",
            Self::Direction => "connections whose direction Zeek had to guess",
            Self::Group => "addresses of groups",
            Self::Incomplete => "neighbours that did not answer",
            Self::Own => "addresses of the switch itself",
        })
    }
}

/// Something that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// The line, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub why: Why,
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.why)
    }
}

/// Why something could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// Longer than any record that is read.
    TooLong,
    /// The document ends before its last record does.
    CutOff,
    /// Elements inside elements beyond any sense; nothing behind it is read.
    TooDeep,
    /// A record without this.
    Missing(&'static str),
    /// This is not what it should be.
    Value(&'static str, Untrusted),
    /// Not XML from here on.
    Xml(Untrusted),
    /// Not a JSON record.
    Json(Untrusted),
    /// A row before the header that says what its columns are.
    NoHeader,
    /// The disk or the pipe failed; nothing behind it was read.
    Reading(Untrusted),
}

impl Why {
    /// A value from outside, shortened.
    pub(super) fn value(what: &'static str, text: &str) -> Self {
        Self::Value(what, short(text))
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => f.write_str("longer than any record that is read"),
            Self::CutOff => f.write_str("the document ends here, before it is complete: it was cut off"),
            Self::TooDeep => f.write_str("elements inside elements without end; nothing behind it is read"),
            Self::Missing(what) => write!(f, "the record has no {what}"),
            Self::Value(what, text) => write!(f, "`{text}` is not {what}"),
            Self::Xml(why) => write!(f, "not valid XML: {why}; nothing behind it is read"),
            Self::Json(why) => write!(f, "not a valid JSON record: {why}"),
            Self::NoHeader => f.write_str("a row before the `#fields` line that names its columns"),
            Self::Reading(why) => write!(f, "reading failed: {why}; nothing behind it was read"),
        }
    }
}

/// At most this many letters of a text from outside are kept.
const KEPT: usize = 80;

/// A text from outside, shortened.
pub(super) fn short(text: &str) -> Untrusted {
    let mut letters = text.chars();
    let mut kept: String = letters.by_ref().take(KEPT).collect();
    if letters.next().is_some() {
        kept.push('…');
    }
    Untrusted::new(kept)
}

/// An address from outside. An IPv4 address in the form of IPv6 is the IPv4 address, and a scope is left out.
pub(super) fn address(text: &str) -> Result<IpAddr, Why> {
    let plain = text.split_once('%').map_or(text, |(address, _)| address);
    let address: IpAddr = plain.parse().map_err(|_| Why::value("an address", text))?;
    Ok(address.to_canonical())
}

/// A port number from outside; 0 is none.
pub(super) fn port_number(text: &str) -> Result<u16, Why> {
    match text.parse() {
        Ok(number) if number != 0 => Ok(number),
        _ => Err(Why::value("a port number", text)),
    }
}

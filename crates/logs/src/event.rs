//! One line as it was read: borrowed, with nothing looked up and nothing guessed.

use std::{borrow::Cow, net::IpAddr};

use portcullis_model::{
    LogEvent, LogFormat, LogMoment, LogSource, Port, TcpFlags, Transport, Untrusted, Verdict,
};

use crate::{Clock, Lost, RawTime, Reason};

/// Protocol number of TCP (IANA).
pub const TCP: u8 = 6;
/// Protocol number of UDP (IANA).
pub const UDP: u8 = 17;

/// The protocol by the version of IP: several formats write `icmp` for ICMPv6 as well.
pub(crate) fn of_version(protocol: Option<u8>, address: IpAddr) -> Option<u8> {
    match protocol {
        Some(1) if address.is_ipv6() => Some(58),
        other => other,
    }
}

/// What a line turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line<'a> {
    /// A logged packet or session.
    Event(Event<'a>),
    /// Something else that is logged to the same place.
    Unrelated,
    /// The log says that something is missing from it.
    Lost(Lost),
    /// It should be a logged packet and cannot be read.
    Unreadable(Reason),
}

/// A logged packet or session. The texts are parts of the line wherever the format allows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event<'a> {
    /// The shape of the line.
    pub format: LogFormat,
    /// When, not yet resolved: see [`Clock::at`].
    pub time: RawTime<'a>,
    /// What the line proves of the verdict.
    pub verdict: Verdict,
    /// Which moment of a conversation the line tells of.
    pub moment: LogMoment,
    /// Source address.
    pub source: IpAddr,
    /// Destination address.
    pub destination: IpAddr,
    /// Whether the line tells which of the two began; if not, they may be the other way round.
    pub directed: bool,
    /// Whether it stands behind another program's tag: whoever reaches that program may have made it up, and it counts for nobody.
    pub hearsay: bool,
    /// Protocol number (IANA), when the line tells one.
    pub protocol: Option<u8>,
    /// Source port, for TCP and UDP.
    pub source_port: Option<u16>,
    /// Destination port, for TCP and UDP.
    pub destination_port: Option<u16>,
    /// Flags of the TCP segment, when the line tells them.
    pub flags: Option<TcpFlags>,
    /// Interface or zone the packet came in by; empty when the line tells none.
    pub interface: Cow<'a, [u8]>,
    /// Interface or zone it went out by; empty when the line tells none.
    pub out_interface: Cow<'a, [u8]>,
    /// The rule's log prefix, name or number, trimmed; empty when the line tells none.
    pub prefix: Cow<'a, [u8]>,
    /// How many packets or connections the line stands for; 0 for a line within a session that may have many such lines.
    pub count: u64,
    /// Bytes of the session in both directions, or of the packet.
    pub bytes: Option<u64>,
    /// Length of the session, in milliseconds.
    pub duration_ms: Option<u64>,
}

impl<'a> Event<'a> {
    /// An event of which only the ends are known.
    pub fn between(format: LogFormat, source: IpAddr, destination: IpAddr) -> Self {
        Self {
            format,
            time: RawTime::None,
            verdict: Verdict::Unknown,
            moment: LogMoment::Packet,
            source,
            destination,
            directed: true,
            hearsay: false,
            protocol: None,
            source_port: None,
            destination_port: None,
            flags: None,
            interface: Cow::Borrowed(b""),
            out_interface: Cow::Borrowed(b""),
            prefix: Cow::Borrowed(b""),
            count: 1,
            bytes: None,
            duration_ms: None,
        }
    }

    /// The destination port with its transport. Port 0 is reserved (RFC 6335, 6) and is told as none.
    pub fn port(&self) -> Option<Port> {
        self.with_transport(self.destination_port)
    }

    /// The source port in the same form: the destination, where the line does not tell which of the two began.
    pub(crate) fn source_port(&self) -> Option<Port> {
        self.with_transport(self.source_port)
    }

    fn with_transport(&self, number: Option<u16>) -> Option<Port> {
        let transport = match self.protocol? {
            TCP => Transport::Tcp,
            UDP => Transport::Udp,
            _ => return None,
        };
        let number = number.filter(|number| *number != 0)?;
        Some(Port { transport, number })
    }

    /// The same with texts of its own.
    pub fn into_owned(self) -> Event<'static> {
        let own = |text: Cow<'_, [u8]>| Cow::Owned(text.into_owned());
        Event {
            format: self.format,
            time: self.time.into_owned(),
            verdict: self.verdict,
            moment: self.moment,
            source: self.source,
            destination: self.destination,
            directed: self.directed,
            hearsay: self.hearsay,
            protocol: self.protocol,
            source_port: self.source_port,
            destination_port: self.destination_port,
            flags: self.flags,
            interface: own(self.interface),
            out_interface: own(self.out_interface),
            prefix: own(self.prefix),
            count: self.count,
            bytes: self.bytes,
            duration_ms: self.duration_ms,
        }
    }

    /// The form for output and for the store, with the time resolved.
    pub fn to_log_event(&self, clock: &mut Clock<'_>, read_from: LogSource) -> LogEvent {
        let time = clock.read(&self.time);
        let text = |bytes: &[u8]| (!bytes.is_empty()).then(|| Untrusted::from_bytes(bytes));
        LogEvent {
            at: time.at,
            time_assumed: time.assumed,
            verdict: self.verdict,
            source: self.source,
            destination: self.destination,
            port: self.port(),
            source_port: self.source_port,
            interface: text(&self.interface),
            prefix: Untrusted::from_bytes(&self.prefix),
            read_from,
            format: self.format,
            moment: self.moment,
            directed: self.directed,
            protocol: self.protocol,
            flags: self.flags,
            out_interface: text(&self.out_interface),
            count: self.count,
            bytes: self.bytes,
            duration_ms: self.duration_ms,
        }
    }
}

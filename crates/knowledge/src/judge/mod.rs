//! One file per protocol: what bytes prove it, and what speaks against it.

mod addp;
mod asked;
mod bacnet;
mod banner;
mod codesys;
mod console;
mod crimson;
mod cursor;
mod dnp3;
mod dsci;
mod enip;
mod fins;
mod fox;
mod ftp;
mod hartip;
mod http;
mod iec104;
mod lantronix;
mod mdm;
mod modbus;
mod mqtt;
mod opcua;
mod overheard;
mod page;
mod pcworx;
mod port;
mod proconos;
mod rdp;
mod realport;
mod s7;
mod snmp;
mod speech;
mod srtp;
mod ssh;
mod telnet;
mod tls;
mod vnc;

pub(crate) use snmp::get as snmp_get;

use std::{collections::BTreeMap, time::Duration};

use portcullis_model::{Grade, Port, Untrusted};
use serde::Deserialize;

use self::speech::{Speech, quoted_bytes};
use crate::{Overheard, Request, Seen, Service};

/// Which protocol's rules a service is judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Judge {
    Addp,
    Bacnet,
    Banner,
    Codesys,
    Crimson,
    #[serde(rename = "dnp3")]
    Dnp3,
    Dsci,
    #[serde(rename = "ethernet-ip")]
    Enip,
    #[serde(rename = "fins-tcp")]
    FinsTcp,
    #[serde(rename = "fins-udp")]
    FinsUdp,
    Fox,
    Ftp,
    #[serde(rename = "hart-ip")]
    HartIp,
    Http,
    #[serde(rename = "iec-104")]
    Iec104,
    Lantronix,
    Mdm,
    Modbus,
    MoxaConsole,
    Mqtt,
    #[serde(rename = "opc-ua")]
    OpcUa,
    Page,
    #[serde(rename = "pc-worx")]
    PcWorx,
    Port,
    #[serde(rename = "proconos")]
    ProConOs,
    Profinet,
    Rdp,
    #[serde(rename = "realport")]
    RealPort,
    #[serde(rename = "s7comm")]
    S7,
    Snmp,
    #[serde(rename = "ge-srtp")]
    Srtp,
    Ssh,
    Telnet,
    Tls,
    Vnc,
}

/// Why a service is considered for a port at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// It is one of the service's usual ports.
    Own,
    /// The site says that its owner moved the service there.
    Moved,
}

/// A service held against a port.
pub(crate) struct Subject<'k> {
    pub(crate) service: &'k Service,
    pub(crate) port: Port,
    /// `None`: nothing but the bytes can speak for the service.
    pub(crate) place: Option<Place>,
}

/// What a judge says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) grade: Grade,
    pub(crate) reasons: Vec<String>,
    pub(crate) fields: BTreeMap<String, Untrusted>,
}

impl Verdict {
    fn new(grade: Grade, reasons: impl IntoIterator<Item = String>) -> Self {
        Self {
            grade,
            reasons: reasons.into_iter().collect(),
            fields: BTreeMap::new(),
        }
    }

    fn field(mut self, name: &str, value: Untrusted) -> Self {
        if !value.raw().is_empty() {
            self.fields.insert(name.into(), value);
        }
        self
    }
}

impl Judge {
    /// The verdict on a subject; `None` when there is nothing to say about it.
    pub(crate) fn judge(self, subject: &Subject<'_>, seen: &Seen) -> Option<Verdict> {
        match self {
            Self::Addp => addp::judge(subject, seen),
            Self::Bacnet => bacnet::judge(subject, seen),
            Self::Banner => banner::judge(subject, seen),
            Self::Codesys => codesys::judge(subject, seen),
            Self::Crimson => crimson::judge(subject, seen),
            Self::Dnp3 => dnp3::judge(subject, seen),
            Self::Dsci => dsci::judge(subject, seen),
            Self::Enip => enip::judge(subject, seen),
            Self::FinsTcp => fins::judge_tcp(subject, seen),
            Self::FinsUdp => fins::judge_udp(subject, seen),
            Self::Fox => fox::judge(subject, seen),
            Self::Ftp => ftp::judge(subject, seen),
            Self::HartIp => hartip::judge(subject, seen),
            Self::Http => http::judge(subject, seen),
            Self::Iec104 => iec104::judge(subject, seen),
            Self::Lantronix => lantronix::judge(subject, seen),
            Self::Mdm => mdm::judge(subject, seen),
            Self::Modbus => modbus::judge(subject, seen),
            Self::MoxaConsole => console::judge(subject, seen),
            Self::Mqtt => mqtt::judge(subject, seen),
            Self::OpcUa => opcua::judge(subject, seen),
            Self::Page => page::judge(subject, seen),
            Self::PcWorx => pcworx::judge(subject, seen),
            Self::Port => port::judge(subject, seen),
            Self::ProConOs => proconos::judge(subject, seen),
            // It lives below IP: no port tells of it.
            Self::Profinet => None,
            Self::Rdp => rdp::judge(subject, seen),
            Self::RealPort => realport::judge(subject, seen),
            Self::S7 => s7::judge(subject, seen),
            Self::Snmp => snmp::judge(subject, seen),
            Self::Srtp => srtp::judge(subject, seen),
            Self::Ssh => ssh::judge(subject, seen),
            Self::Telnet => telnet::judge(subject, seen),
            Self::Tls => tls::judge(subject, seen),
            Self::Vnc => vnc::judge(subject, seen),
        }
    }

    /// Whether a service of this judge may send the request at all. What goes out is held in two places, the data file
    /// and the code: no file alone can make Portcullis send other bytes.
    pub(crate) fn permits(self, request: &Request) -> bool {
        match request {
            Request::Bytes { bytes } => self.requests().contains(&bytes.as_slice()),
            Request::HttpGet => matches!(self, Self::Http | Self::Page),
            Request::HttpGetPath { path } => self == Self::Page && page::PATHS.contains(&path.as_str()),
            Request::OpcUaHello => self == Self::OpcUa,
        }
    }

    /// Whether asking costs the device something, whatever a data file says of it.
    pub(crate) fn is_opt_in(self) -> bool {
        matches!(
            self,
            Self::Codesys | Self::HartIp | Self::Lantronix | Self::Profinet | Self::Snmp
        )
    }

    /// Whether the service lives below IP and has no port.
    pub(crate) fn is_below_ip(self) -> bool {
        self == Self::Profinet
    }

    /// Whether asking takes a community, which only a person can give.
    pub(crate) fn needs_community(self) -> bool {
        self == Self::Snmp
    }

    /// Whether a service of this judge may send the request after its first one was answered.
    pub(crate) fn permits_further(self, request: &Request) -> bool {
        let Request::Bytes { bytes } = request else {
            return false;
        };
        let permitted: &[&[u8]] = match self {
            Self::Bacnet => bacnet::FURTHER,
            Self::Crimson => crimson::FURTHER,
            Self::Dsci => dsci::FURTHER,
            Self::Mqtt => mqtt::FURTHER,
            Self::S7 => s7::FURTHER,
            _ => &[],
        };
        permitted.contains(&bytes.as_slice())
    }

    /// Whether other services show themselves inside this protocol.
    pub(crate) fn carries_others(self) -> bool {
        matches!(self, Self::Http | Self::Ssh | Self::Telnet | Self::Tls)
    }

    /// A further request as it goes on the wire: some carry a part of the first reply. `None` when that is missing.
    pub(crate) fn complete(self, request: &Request, seen: &Seen) -> Option<Request> {
        match (self, request) {
            (Self::Dsci, Request::Bytes { bytes }) => {
                dsci::complete(bytes, seen).map(|bytes| Request::Bytes { bytes })
            }
            _ => Some(request.clone()),
        }
    }

    fn requests(self) -> &'static [&'static [u8]] {
        match self {
            Self::Addp => addp::REQUESTS,
            Self::Bacnet => bacnet::REQUESTS,
            Self::Codesys => codesys::REQUESTS,
            Self::Crimson => crimson::REQUESTS,
            Self::Dnp3 => dnp3::REQUESTS,
            Self::Dsci => dsci::REQUESTS,
            Self::Enip => enip::REQUESTS,
            Self::FinsTcp => fins::TCP_REQUESTS,
            Self::FinsUdp => fins::UDP_REQUESTS,
            Self::Fox => fox::REQUESTS,
            Self::HartIp => hartip::REQUESTS,
            Self::Iec104 => iec104::REQUESTS,
            Self::Lantronix => lantronix::REQUESTS,
            Self::Modbus => modbus::REQUESTS,
            Self::Mqtt => mqtt::REQUESTS,
            Self::PcWorx => pcworx::REQUESTS,
            Self::ProConOs => proconos::REQUESTS,
            Self::Rdp => rdp::REQUESTS,
            Self::RealPort => realport::REQUESTS,
            Self::S7 => s7::REQUESTS,
            Self::Srtp => srtp::REQUESTS,
            Self::Banner
            | Self::Ftp
            | Self::Http
            | Self::Mdm
            | Self::MoxaConsole
            | Self::OpcUa
            | Self::Page
            | Self::Port
            | Self::Profinet
            | Self::Snmp
            | Self::Ssh
            | Self::Telnet
            | Self::Tls
            | Self::Vnc => &[],
        }
    }
}

impl Subject<'_> {
    /// Why the service is considered on this port; empty when it is not.
    fn place_reason(&self, name: &str) -> Option<String> {
        match self.place? {
            Place::Own => Some(format!("{} is the port of {name}", self.port)),
            Place::Moved => Some(format!(
                "site.toml or the command line says that it is on {}",
                self.port
            )),
        }
    }
}

/// What there is to say of a service that shows itself and did not. Its own ports belong to others as well: silence and
/// strangers there name nobody. Where the site says that it was moved, they do.
fn not_shown(subject: &Subject<'_>, seen: &Seen) -> Option<Verdict> {
    if subject.place != Some(Place::Moved) {
        return None;
    }
    let title = &subject.service.title;
    let place = subject.place_reason(title)?;
    let bytes = seen.bytes();
    if bytes.is_empty() {
        let reasons = std::iter::once(place).chain(silence_reasons(seen));
        return Some(Verdict::new(Grade::Possible, reasons));
    }
    let said = Speech::of(bytes)
        .described()
        .unwrap_or_else(|| quoted_bytes(bytes));
    let reason = format!("nothing of {title} in what the server said: {said}");
    Some(Verdict::new(Grade::RuledOut, [reason]))
}

/// What the server's silence looked like, in the order in which it happened.
fn silence_reasons(seen: &Seen) -> Vec<String> {
    if seen.overheard == Some(Overheard::MidStream) {
        return vec!["what was said there was not captured from its beginning".into()];
    }
    if seen.closed_by_peer && seen.request.is_none() {
        return vec![format!(
            "closed the connection after {} without sending anything",
            milliseconds(seen.silent_for)
        )];
    }
    let mut reasons = vec![format!(
        "silent for {} after connect",
        milliseconds(seen.silent_for)
    )];
    if seen.request.is_some() {
        reasons.push(if seen.closed_by_peer {
            "closed the connection without answering the request".into()
        } else {
            format!("no answer to the request for {}", milliseconds(seen.waited))
        });
    }
    reasons
}

fn milliseconds(duration: Duration) -> String {
    format!("{} ms", duration.as_millis())
}

//! Transport and port number, written `tcp/54321` everywhere.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The transport protocol that a port belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// Transmission Control Protocol (RFC 9293).
    Tcp,
    /// User Datagram Protocol (RFC 768).
    Udp,
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

/// A transport and a port number, `1..=65535`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port {
    /// Transport protocol.
    pub transport: Transport,
    /// Port number; never 0 when parsed.
    pub number: u16,
}

impl Port {
    /// A TCP port.
    pub const fn tcp(number: u16) -> Self {
        Self {
            transport: Transport::Tcp,
            number,
        }
    }

    /// A UDP port.
    pub const fn udp(number: u16) -> Self {
        Self {
            transport: Transport::Udp,
            number,
        }
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.transport, self.number)
    }
}

/// A text that is not a port.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PortError {
    /// Not a number from 1 to 65535.
    #[error("`{0}` is not a port number from 1 to 65535")]
    Number(String),
    /// Neither tcp nor udp.
    #[error("`{0}` is not a transport: use tcp or udp")]
    Transport(String),
    /// A range whose end lies before its beginning.
    #[error("the range `{0}` ends before it begins")]
    Backwards(String),
}

impl FromStr for Port {
    type Err = PortError;

    /// Reads `tcp/54321`, `udp/4800`, or a bare number, which means TCP.
    fn from_str(text: &str) -> Result<Self, PortError> {
        let (transport, number) = match text.split_once('/') {
            None => (Transport::Tcp, text),
            Some((transport, number)) if transport.eq_ignore_ascii_case("tcp") => (Transport::Tcp, number),
            Some((transport, number)) if transport.eq_ignore_ascii_case("udp") => (Transport::Udp, number),
            Some((transport, _)) => return Err(PortError::Transport(transport.into())),
        };
        match number.parse() {
            Ok(number) if number != 0 => Ok(Self { transport, number }),
            _ => Err(PortError::Number(number.into())),
        }
    }
}

/// One port, or several of one transport that follow each other: `54321`, `udp/4800`, `tcp/7001-7005`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortRange {
    first: Port,
    last: u16,
}

impl PortRange {
    /// Each of its ports, the lowest first.
    pub fn ports(self) -> impl Iterator<Item = Port> {
        let Port { transport, number } = self.first;
        (number..=self.last).map(move |number| Port { transport, number })
    }
}

impl FromStr for PortRange {
    type Err = PortError;

    fn from_str(text: &str) -> Result<Self, PortError> {
        let Some((first, last)) = text.split_once('-') else {
            let first: Port = text.parse()?;
            let last = first.number;
            return Ok(Self { first, last });
        };
        let first: Port = first.parse()?;
        let last = last.parse().map_err(|_| PortError::Number(last.into()))?;
        if last < first.number {
            return Err(PortError::Backwards(text.into()));
        }
        Ok(Self { first, last })
    }
}

impl Serialize for Port {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Port {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_type_and_refuses_the_rest() {
        assert_eq!("54321".parse(), Ok(Port::tcp(54321)));
        assert_eq!("UDP/4800".parse(), Ok(Port::udp(4800)));
        for wrong in ["", "0", "65536", "tcp/", "sctp/80", "tcp/80/81", "-1", "٥"] {
            assert!(wrong.parse::<Port>().is_err(), "{wrong:?} was taken for a port");
        }
    }

    #[test]
    fn a_range_is_all_its_ports() {
        let ports = |text: &str| {
            let range: Result<PortRange, _> = text.parse();
            range.map(|range| {
                range
                    .ports()
                    .map(|port| port.to_string())
                    .collect::<Vec<_>>()
                    .join(" ")
            })
        };
        assert_eq!(ports("54321").unwrap(), "tcp/54321");
        assert_eq!(ports("udp/950-952").unwrap(), "udp/950 udp/951 udp/952");
        assert_eq!(ports("65535-65535").unwrap(), "tcp/65535");
        assert_eq!(ports("1-65535").unwrap().split(' ').count(), 65535);
        assert!(matches!(ports("7005-7001"), Err(PortError::Backwards(_))));
        for wrong in ["", "-", "1-", "-5", "0-5", "1-2-3", "1-65536", "tcp/1-udp/5"] {
            assert!(ports(wrong).is_err(), "{wrong:?}");
        }
    }
}

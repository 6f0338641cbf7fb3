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
}

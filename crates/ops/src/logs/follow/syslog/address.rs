//! Where syslog is listened for.

use std::{fmt, net::SocketAddr, str::FromStr};

use crate::logs::FollowError;

/// By what messages come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    /// A message in each datagram (RFC 5426).
    Udp,
    /// Messages in a stream (RFC 6587).
    Tcp,
    /// The same by TLS (RFC 5425).
    Tls,
}

/// A place to listen at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listener {
    /// By what.
    pub carrier: Carrier,
    /// An address of this host, and a port that is not 0.
    pub address: SocketAddr,
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let carrier = match self.carrier {
            Carrier::Udp => "udp",
            Carrier::Tcp => "tcp",
            Carrier::Tls => "tls",
        };
        write!(f, "{carrier}://{}", self.address)
    }
}

impl FromStr for Listener {
    type Err = FollowError;

    /// `udp://ADDRESS:PORT`, `tcp://…` or `tls://…`, with an address and not a name: a name may come to mean another.
    fn from_str(text: &str) -> Result<Self, FollowError> {
        let wrong = |why| FollowError::Listener {
            given: text.into(),
            why,
        };
        let (carrier, rest) = text
            .split_once("://")
            .ok_or_else(|| wrong("it does not say by what: udp://, tcp:// or tls://"))?;
        let carrier = match carrier {
            "udp" => Carrier::Udp,
            "tcp" => Carrier::Tcp,
            "tls" => Carrier::Tls,
            _ => return Err(wrong("only udp, tcp and tls are known")),
        };
        let address: SocketAddr = rest
            .parse()
            .map_err(|_| wrong("behind it must stand an IP address and a port"))?;
        if address.port() == 0 {
            return Err(wrong("port 0 is whichever is free, and no sender would find it"));
        }
        Ok(Self { carrier, address })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_carrier_an_address_and_a_port() {
        for text in [
            "udp://0.0.0.0:514",
            "tcp://192.0.2.1:601",
            "tls://[2001:db8::1]:6514",
        ] {
            assert_eq!(text.parse::<Listener>().unwrap().to_string(), text);
        }
        for (text, why) in [
            ("192.0.2.1:514", "by what"),
            ("relp://192.0.2.1:514", "only udp"),
            ("UDP://192.0.2.1:514", "only udp"),
            ("udp://localhost:514", "IP address"),
            ("udp://192.0.2.1", "IP address"),
            ("udp://192.0.2.1:0", "port 0"),
            ("udp://192.0.2.1:70000", "IP address"),
            ("udp://192.0.2.1:514/x", "IP address"),
            ("", "by what"),
        ] {
            let error = text.parse::<Listener>().unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}

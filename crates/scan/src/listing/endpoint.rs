//! An address with a port, as the tools write it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use portcullis_model::Untrusted;

use super::{Unreadable, text::is_number};

/// One end of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Endpoint {
    /// `None` for `*`. An IPv4 address mapped into IPv6 is given as IPv4.
    pub(super) address: Option<IpAddr>,
    /// `None` for `*` and 0.
    pub(super) port: Option<u16>,
}

impl Endpoint {
    /// Reads an endpoint whose port stands after the last `separator`: `[fe80::1%5]:135`, `[fe80::1]%eth0:546`,
    /// `:::22`, `*:*`, or with a dot `fe80::1%lo0.123`. The zone of a link-local address is dropped.
    pub(super) fn read(word: &str, separator: char) -> Result<Self, Unreadable> {
        let (host, port) = word
            .rsplit_once(separator)
            .ok_or_else(|| Unreadable::Address(Untrusted::new(word)))?;
        Ok(Self {
            address: address(host)?,
            port: number(port)?,
        })
    }

    /// The other end of a connection; `None` for the placeholder in the row of a listener, whatever its host part.
    pub(super) fn read_peer(word: &str, separator: char) -> Result<Option<SocketAddr>, Unreadable> {
        match word.rsplit_once(separator) {
            Some((_, "*" | "0")) => Ok(None),
            _ => Self::read(word, separator)?.peer(word),
        }
    }

    fn peer(self, word: &str) -> Result<Option<SocketAddr>, Unreadable> {
        match self {
            Self { port: None, .. } => Ok(None),
            Self {
                address: Some(address),
                port: Some(port),
            } => Ok(Some(SocketAddr::new(address, port))),
            Self {
                address: None,
                port: Some(_),
            } => Err(Unreadable::Address(Untrusted::new(word))),
        }
    }

    /// The address, with `*` taken for every IPv4 address.
    pub(super) fn or_ipv4_wildcard(self) -> IpAddr {
        self.address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
    }

    /// The address, with `*` taken for every IPv6 address.
    pub(super) fn or_ipv6_wildcard(self) -> IpAddr {
        self.address.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED))
    }
}

/// Reads an address with or without brackets and zone; `None` for `*`.
pub(super) fn address(text: &str) -> Result<Option<IpAddr>, Unreadable> {
    let host = text.split_once('%').map_or(text, |(host, _)| host);
    let host = host.strip_prefix('[').unwrap_or(host);
    let host = host.strip_suffix(']').unwrap_or(host);
    if host == "*" {
        return Ok(None);
    }
    match host.parse::<IpAddr>() {
        Ok(address) => Ok(Some(address.to_canonical())),
        Err(_) if is_name(host) => Err(Unreadable::Name(Untrusted::new(text))),
        Err(_) => Err(Unreadable::Address(Untrusted::new(text))),
    }
}

/// Reads a port number; `None` for `*` and 0.
pub(super) fn number(text: &str) -> Result<Option<u16>, Unreadable> {
    match text.parse() {
        _ if text == "*" => Ok(None),
        Ok(0) => Ok(None),
        Ok(number) if is_number(text) => Ok(Some(number)),
        _ if is_name(text) => Err(Unreadable::Name(Untrusted::new(text))),
        _ => Err(Unreadable::Address(Untrusted::new(text))),
    }
}

fn is_name(text: &str) -> bool {
    !text.contains(':') && text.chars().any(char::is_alphabetic)
}

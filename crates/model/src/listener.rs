//! Sockets of a host: what listens, and who is connected.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

use serde::{Deserialize, Serialize};

use crate::{Port, Transport, Untrusted};

/// On which of the host's addresses a socket listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Binding {
    /// All addresses of the host (`0.0.0.0` or `::`).
    Wildcard,
    /// One address only.
    Address,
    /// Loopback: reachable from this host only.
    LoopbackOnly,
}

impl Binding {
    /// Derives the binding from the local address of a listening socket.
    pub fn of(address: IpAddr) -> Self {
        let address = address.to_canonical();
        if address.is_unspecified() {
            Self::Wildcard
        } else if address.is_loopback() {
            Self::LoopbackOnly
        } else {
            Self::Address
        }
    }
}

impl fmt::Display for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Wildcard => "wildcard",
            Self::Address => "this address",
            Self::LoopbackOnly => "loopback only",
        })
    }
}

/// The process behind a socket, as far as it could be read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessIdentity {
    /// Process id on its host.
    pub pid: u32,
    /// Short name (`comm`, or the image name on Windows).
    pub name: Option<Untrusted>,
    /// Path of the executable.
    pub executable: Option<Untrusted>,
    /// Package that owns the executable, with version, e.g. `openssh-server 1:9.2p1-2`.
    pub package: Option<Untrusted>,
    /// Owner of the socket, name or number.
    pub user: Option<Untrusted>,
}

/// A socket that waits for peers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    /// Transport of the socket.
    pub transport: Transport,
    /// The address it is bound to; unspecified means every address.
    pub address: IpAddr,
    /// The port number.
    pub number: u16,
    /// For `::`: whether the socket takes IPv4 peers as well. `None` when the source does not tell.
    pub takes_ipv4: Option<bool>,
    /// The process, or `None` when it could not be read or the source does not tell.
    pub process: Option<ProcessIdentity>,
}

impl Listener {
    /// Transport and port number.
    pub fn port(&self) -> Port {
        Port {
            transport: self.transport,
            number: self.number,
        }
    }

    /// On which addresses it listens.
    pub fn binding(&self) -> Binding {
        Binding::of(self.address)
    }
}

/// A connected TCP socket of the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    /// The host's own end.
    pub local: SocketAddr,
    /// The other end.
    pub peer: SocketAddr,
    /// The process that holds it, when it could be read.
    pub process: Option<ProcessIdentity>,
    /// Seconds since something came from the peer, or since it came up; `None` when the system does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silent_seconds: Option<u64>,
}

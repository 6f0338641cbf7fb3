//! What listens on this host, or on a host whose listing was brought here.

use std::path::{Path, PathBuf};

use portcullis_model::{Connection, Listener, Port, Transport};
use portcullis_scan::listing::{self, ListingFormat, UnreadableLine};
use portcullis_sys::{Owners, Socket, SocketState};
use serde::Serialize;

use crate::OpsError;

/// What was found.
#[derive(Debug, Clone, Serialize)]
pub struct Checked {
    /// `this host`, or the file and its format.
    pub source: String,
    /// What listens.
    pub listeners: Vec<Listener>,
    /// Connections that are up.
    pub connections: Vec<Connection>,
    /// The transports that were looked at: a listing may hold only one, or none at all.
    pub covers: Vec<Transport>,
    /// Processes that could not be looked into for want of rights.
    pub unreadable_processes: usize,
    /// Lines of an imported file that could not be read.
    #[serde(skip)]
    pub unreadable_lines: Vec<UnreadableLine>,
}

impl Checked {
    /// Keeps only what concerns one port number, on either transport.
    #[must_use]
    pub fn only(mut self, number: u16) -> Self {
        self.listeners.retain(|listener| listener.number == number);
        self.connections
            .retain(|connection| connection.local.port() == number);
        self
    }
}

/// Reads the socket table of this host.
///
/// # Errors
/// When the kernel does not hand it out.
pub fn this_host() -> Result<Checked, OpsError> {
    let sockets = portcullis_sys::sockets().map_err(OpsError::System)?;
    let owners = portcullis_sys::owners();
    let mut listeners: Vec<Listener> = sockets
        .iter()
        .filter(|socket| socket.is_listening())
        .map(|socket| listener(socket, &owners))
        .collect();
    listeners.sort_by_key(|listener| (listener.transport, listener.number, listener.address));
    Ok(Checked {
        source: "this host".into(),
        listeners,
        connections: sockets
            .iter()
            .filter_map(|socket| connection(socket, &owners))
            .collect(),
        covers: vec![Transport::Tcp, Transport::Udp],
        unreadable_processes: owners.unreadable,
        unreadable_lines: Vec::new(),
    })
}

/// Reads a listing from another host. `-` stands for standard input.
///
/// # Errors
/// When the file cannot be read, or is no listing.
pub fn import(path: &Path) -> Result<Checked, OpsError> {
    let failed = |source| OpsError::Read {
        path: PathBuf::from(path),
        source,
    };
    let text = if path == Path::new("-") {
        let mut text = Vec::new();
        let limit = listing::MAX_BYTES as u64 + 1;
        std::io::Read::read_to_end(&mut std::io::Read::take(std::io::stdin(), limit), &mut text)
            .map_err(failed)?;
        text
    } else {
        std::fs::read(path).map_err(failed)?
    };
    let listing = listing::parse(&text).map_err(|source| OpsError::Listing {
        path: PathBuf::from(path),
        source,
    })?;
    let format: ListingFormat = listing.format;
    Ok(Checked {
        source: format!(
            "{} ({format})",
            portcullis_model::sanitize(&path.to_string_lossy())
        ),
        covers: [Transport::Tcp, Transport::Udp]
            .into_iter()
            .filter(|transport| {
                let connected = *transport == Transport::Tcp && !listing.connections.is_empty();
                connected
                    || listing
                        .listeners
                        .iter()
                        .any(|listener| listener.transport == *transport)
            })
            .collect(),
        listeners: listing.listeners,
        connections: listing.connections,
        unreadable_processes: 0,
        unreadable_lines: listing.unreadable,
    })
}

fn listener(socket: &Socket, owners: &Owners) -> Listener {
    Listener {
        transport: socket.transport,
        address: socket.local.ip(),
        number: socket.local.port(),
        takes_ipv4: socket
            .local
            .is_ipv6()
            .then(|| socket.ipv6_only.map(|only| !only))
            .flatten(),
        process: owners.identity(socket.inode, socket.uid),
    }
}

/// A TCP connection, or a UDP socket with a fixed peer.
fn connection(socket: &Socket, owners: &Owners) -> Option<Connection> {
    (socket.state == SocketState::Connected).then(|| Connection {
        local: socket.local,
        peer: socket.peer,
        process: owners.identity(socket.inode, socket.uid),
    })
}

/// Whether something listens on the port.
pub(crate) fn listens(checked: &Checked, port: Port) -> bool {
    checked.listeners.iter().any(|listener| listener.port() == port)
}

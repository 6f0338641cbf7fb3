//! What listens on this host. Of another host, whose texts were brought here, see [`crate::host`].

use std::net::IpAddr;

use portcullis_model::{Connection, HostListener, Listener, Transport};
use portcullis_scan::listing::UnreadableLine;
use portcullis_sys::{Holders, Socket, SocketState};
use serde::Serialize;

use crate::{OpsError, host::AdvisedProgram};

/// What was found.
#[derive(Debug, Clone, Serialize)]
pub struct Checked {
    /// `this host`, or the files and their formats.
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
    /// The same listeners with what they may be; of another host only.
    pub host_listeners: Vec<HostListener>,
    /// What is installed, as far as the texts of another host tell it.
    pub programs: Vec<AdvisedProgram>,
    /// The texts of another host.
    pub documents: Vec<String>,
    /// Whether none of them lists sockets, so that nothing is known of listeners.
    pub without_listing: bool,
    /// The host whose texts they are, when they were kept.
    pub kept_for: Option<IpAddr>,
}

impl Checked {
    /// Keeps only what concerns one port number, on either transport.
    #[must_use]
    pub fn only(mut self, number: u16) -> Self {
        self.listeners.retain(|listener| listener.number == number);
        self.host_listeners
            .retain(|found| found.listener.number == number);
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
    let holders = Holders::Here(portcullis_sys::owners());
    Ok(of_sockets("this host".into(), &sockets, &holders))
}

/// What listens on a host of which this was read.
pub(crate) fn of_sockets(source: String, sockets: &[Socket], holders: &Holders) -> Checked {
    let mut listeners: Vec<Listener> = sockets
        .iter()
        .filter(|socket| socket.is_listening())
        .map(|socket| listener(socket, holders))
        .collect();
    listeners.sort_by_key(|listener| (listener.transport, listener.number, listener.address));
    Checked {
        source,
        listeners,
        connections: sockets
            .iter()
            .filter_map(|socket| connection(socket, holders))
            .collect(),
        covers: vec![Transport::Tcp, Transport::Udp],
        unreadable_processes: holders.unreadable(),
        unreadable_lines: Vec::new(),
        host_listeners: Vec::new(),
        programs: Vec::new(),
        documents: Vec::new(),
        without_listing: false,
        kept_for: None,
    }
}

fn listener(socket: &Socket, holders: &Holders) -> Listener {
    Listener {
        transport: socket.transport,
        address: socket.local.ip(),
        number: socket.local.port(),
        takes_ipv4: socket
            .local
            .is_ipv6()
            .then(|| socket.ipv6_only.map(|only| !only))
            .flatten(),
        process: holders.identity(socket),
    }
}

/// A TCP connection, or a UDP socket with a fixed peer.
fn connection(socket: &Socket, holders: &Holders) -> Option<Connection> {
    (socket.state == SocketState::Connected).then(|| Connection {
        local: socket.local,
        peer: socket.peer,
        process: holders.identity(socket),
        silent_seconds: socket.silent.map(|silent| silent.as_secs()),
    })
}

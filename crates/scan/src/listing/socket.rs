//! One row of a listing, before it is sorted into listeners and connections.

use std::net::{IpAddr, SocketAddr};

use portcullis_model::{Connection, Listener, ProcessIdentity, Transport, Untrusted};

use super::{Listing, Unreadable, UnreadableLine};

/// A socket as its row describes it.
#[derive(Debug, Clone)]
pub(super) struct Socket {
    pub(super) transport: Transport,
    pub(super) state: State,
    pub(super) address: IpAddr,
    /// `None` for a socket that is not bound to a port yet: nobody can reach it.
    pub(super) port: Option<u16>,
    pub(super) peer: Option<SocketAddr>,
    pub(super) takes_ipv4: Option<bool>,
    pub(super) process: Option<ProcessIdentity>,
}

/// What a TCP socket is doing. UDP sockets have no state: they listen when they have no peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Listening,
    Connected,
    /// Being opened, over, or bound without listening.
    Neither,
}

impl State {
    /// Reads the word of the state column. Windows and some Linux builds translate it; a word that is not known is
    /// judged by the other end: a socket without a peer listens.
    pub(super) fn of(word: &str, peer: Option<SocketAddr>) -> Self {
        let plain: String = word
            .chars()
            .filter(|letter| !matches!(letter, '-' | '_'))
            .collect();
        match plain.to_ascii_uppercase().as_str() {
            "LISTEN" | "LISTENING" => Self::Listening,
            "SYNSENT" | "SYNRECV" | "SYNRECEIVED" | "SYNGESENDET" | "SYNEMPFANGEN" | "NEWSYNRECV"
            | "TIMEWAIT" | "WARTEND" | "CLOSE" | "CLOSED" | "BOUND" | "UNCONN" | "DELETETCB" => Self::Neither,
            _ if peer.is_some() => Self::Connected,
            _ => Self::Listening,
        }
    }
}

/// A process of which the name may be missing, and the id as well (0).
pub(super) fn process(pid: u32, name: Option<&str>) -> Option<ProcessIdentity> {
    let name = name
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(Untrusted::new);
    (pid != 0 || name.is_some()).then(|| ProcessIdentity {
        pid,
        name,
        ..ProcessIdentity::default()
    })
}

impl Listing {
    pub(super) fn add(&mut self, socket: Socket) {
        let Some(number) = socket.port else { return };
        match (socket.transport, socket.state, socket.peer) {
            (Transport::Tcp, State::Listening, _) | (Transport::Udp, _, None) => {
                self.listeners.push(Listener {
                    transport: socket.transport,
                    address: socket.address,
                    number,
                    takes_ipv4: socket.takes_ipv4,
                    process: socket.process,
                })
            }
            (Transport::Tcp, State::Connected, Some(peer)) => self.connections.push(Connection {
                silent_seconds: None,
                local: SocketAddr::new(socket.address, number),
                peer,
                process: socket.process,
            }),
            _ => {}
        }
    }

    pub(super) fn add_read(&mut self, line: usize, read: Result<Socket, Unreadable>) {
        match read {
            Ok(socket) => self.add(socket),
            Err(why) => self.unreadable.push(UnreadableLine { line, why }),
        }
    }
}

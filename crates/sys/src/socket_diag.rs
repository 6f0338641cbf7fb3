//! The socket table of this network namespace, read by netlink `sock_diag(7)`.

use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use netlink_packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_sock_diag::{
    SockDiagMessage,
    constants::{AF_INET, AF_INET6, IPPROTO_TCP, IPPROTO_UDP},
    inet::{ExtensionFlags, InetRequest, InetResponse, SocketId, StateFlags, nlas::Nla},
};
use netlink_sys::{Socket as NetlinkSocket, protocols::NETLINK_SOCK_DIAG};
use portcullis_model::Transport;

use crate::{SysError, link};

/// State of a socket, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SocketState {
    /// Waits for peers: TCP in LISTEN, or UDP without a fixed peer.
    Listening,
    /// TCP connection that is up, or half closed.
    Connected,
    /// UDP with a fixed peer.
    UdpConnected,
}

/// One socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Socket {
    /// Transport.
    pub transport: Transport,
    /// State.
    pub state: SocketState,
    /// Own end; IPv4-mapped IPv6 addresses are shown as IPv4.
    pub local: SocketAddr,
    /// Other end; unspecified when listening.
    pub peer: SocketAddr,
    /// Inode, which `/proc/PID/fd` refers to; 0 when no process holds it any more.
    pub inode: u32,
    /// Owner's user id.
    pub uid: u32,
    /// For TCP connections: how long nothing has come from the peer, counted from when it came up; `None` when it is not told.
    pub silent: Option<Duration>,
    /// For IPv6 sockets: whether IPv4 peers are refused. `None` when the kernel does not tell.
    pub ipv6_only: Option<bool>,
}

impl Socket {
    /// Whether it waits for peers.
    pub fn is_listening(&self) -> bool {
        self.state == SocketState::Listening
    }
}

/// All TCP and UDP sockets, IPv4 and IPv6, of the network namespace that the calling thread is in.
///
/// # Errors
/// When the kernel has no `sock_diag` or does not answer.
pub fn sockets() -> Result<Vec<Socket>, SysError> {
    let mut sockets = Vec::new();
    for transport in [Transport::Tcp, Transport::Udp] {
        dump(transport, &ExtensionFlags::INFO, |response| {
            sockets.extend(socket_of(transport, response));
        })?;
    }
    Ok(sockets)
}

/// How many segments have arrived on each TCP connection of a local port, by its local end and its peer (`tcpi_segs_in`,
/// RFC 4898 `tcpEStatsPerfSegsIn`; since Linux 4.2). What a firewall drops has not arrived.
///
/// # Errors
/// When the kernel has no `sock_diag` or does not answer.
pub(crate) fn segments_in(port: u16) -> Result<BTreeMap<(SocketAddr, SocketAddr), u32>, SysError> {
    let mut arrived = BTreeMap::new();
    dump(Transport::Tcp, &ExtensionFlags::INFO, |response| {
        let segments = response.nlas.iter().find_map(|nla| match nla {
            Nla::TcpInfo(info) => crate::tcp_info::segments_in(info),
            _ => None,
        });
        let socket = socket_of(Transport::Tcp, response);
        if let (Some(segments), Some(socket)) = (segments, socket)
            && socket.state == SocketState::Connected
            && socket.local.port() == port
        {
            arrived.insert((socket.local, socket.peer), segments);
        }
    })?;
    Ok(arrived)
}

const SHUT_DOWN_STATES: StateFlags = StateFlags::FIN_WAIT1
    .union(StateFlags::FIN_WAIT2)
    .union(StateFlags::CLOSE_WAIT);
/// UDP sockets without a peer are in the state that TCP calls CLOSE, those with one in ESTABLISHED.
const STATES: StateFlags = StateFlags::LISTEN
    .union(StateFlags::ESTABLISHED)
    .union(StateFlags::CLOSE)
    .union(SHUT_DOWN_STATES);

/// All sockets of a transport, in both families.
fn dump(
    transport: Transport,
    extensions: &ExtensionFlags,
    mut take: impl FnMut(&InetResponse),
) -> Result<(), SysError> {
    [AF_INET, AF_INET6]
        .into_iter()
        .try_for_each(|family| dump_family(transport, family, extensions, &mut take))
        .map_err(SysError::SocketTable)
}

fn dump_family(
    transport: Transport,
    family: u8,
    extensions: &ExtensionFlags,
    take: &mut impl FnMut(&InetResponse),
) -> io::Result<()> {
    let mut socket = NetlinkSocket::new(NETLINK_SOCK_DIAG)?;
    socket.bind_auto()?;
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_DUMP;
    let (protocol, id) = (
        match transport {
            Transport::Tcp => IPPROTO_TCP,
            Transport::Udp => IPPROTO_UDP,
        },
        if family == AF_INET {
            SocketId::new_v4()
        } else {
            SocketId::new_v6()
        },
    );
    let request = InetRequest {
        family,
        protocol,
        extensions: extensions.clone(),
        states: STATES,
        socket_id: id,
    };
    link::send(
        &socket,
        NetlinkMessage::new(header, SockDiagMessage::InetRequest(request).into()),
    )?;
    let mut buffer = Vec::new();
    let mut complete = false;
    while !complete {
        link::receive(&socket, &mut buffer, |payload| {
            match payload {
                NetlinkPayload::Done(_) => complete = true,
                NetlinkPayload::Error(error) => link::acknowledged(&error)?,
                NetlinkPayload::InnerMessage(SockDiagMessage::InetResponse(response)) => {
                    take(&response);
                }
                _ => {}
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// TCP states of linux/tcp_states.h.
const ESTABLISHED: u8 = 1;
const LISTEN: u8 = 10;
const CLOSE: u8 = 7;

fn socket_of(transport: Transport, response: &InetResponse) -> Option<Socket> {
    let header = &response.header;
    let state = match (transport, header.state) {
        (Transport::Tcp, LISTEN) | (Transport::Udp, CLOSE) => SocketState::Listening,
        // A TCP socket in CLOSE is bound and neither listens nor is connected: nobody can reach it.
        (Transport::Tcp, CLOSE) => return None,
        (Transport::Tcp, _) => SocketState::Connected,
        (Transport::Udp, ESTABLISHED) => SocketState::UdpConnected,
        (Transport::Udp, _) => return None,
    };
    let id = &header.socket_id;
    let end = |address: IpAddr, port: u16| SocketAddr::new(address.to_canonical(), port);
    let ipv6_only = response.nlas.iter().find_map(|nla| match nla {
        Nla::SkV6Only(only) => Some(*only),
        _ => None,
    });
    let told = response.nlas.iter().find_map(|nla| match nla {
        Nla::TcpInfo(info) => crate::tcp_info::silent(info),
        _ => None,
    });
    Some(Socket {
        transport,
        state,
        silent: told.filter(|_| state == SocketState::Connected),
        local: end(id.source_address, id.source_port),
        peer: end(id.destination_address, id.destination_port),
        inode: header.inode,
        uid: header.uid,
        ipv6_only,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream, UdpSocket};

    #[test]
    fn our_own_sockets_are_found_in_all_their_states() {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let udp = UdpSocket::bind("[::1]:0").unwrap();
        let connected = TcpStream::connect(tcp.local_addr().unwrap()).unwrap();
        let sockets = sockets().unwrap();
        let find = |local: SocketAddr, state| {
            sockets
                .iter()
                .find(|socket| socket.local == local && socket.state == state)
                .cloned()
        };
        let listener = find(tcp.local_addr().unwrap(), SocketState::Listening).unwrap();
        assert_eq!(
            (listener.transport, listener.uid),
            (Transport::Tcp, nix::unistd::getuid().as_raw())
        );
        assert!(find(udp.local_addr().unwrap(), SocketState::Listening).is_some());
        let client = find(connected.local_addr().unwrap(), SocketState::Connected).unwrap();
        assert_eq!(client.peer, tcp.local_addr().unwrap());
    }

    #[test]
    fn what_arrives_on_a_connection_is_counted() {
        use std::io::{Read as _, Write as _};
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, peer) = listener.accept().unwrap();
        let ends = (server.local_addr().unwrap(), peer);
        let count = || segments_in(ends.0.port()).unwrap()[&ends];
        let silent = || {
            let sockets = sockets().unwrap();
            let socket = sockets.iter().find(|socket| (socket.local, socket.peer) == ends);
            socket.unwrap().silent.unwrap()
        };
        std::thread::sleep(Duration::from_millis(60));
        assert!(silent() >= Duration::from_millis(50));
        let before = count();
        assert_eq!(count(), before);
        client.write_all(b"x").unwrap();
        server.read_exact(&mut [0]).unwrap();
        assert_eq!(count(), before + 1);
        assert!(silent() < Duration::from_millis(50));
    }

    #[test]
    fn an_ipv6_wildcard_says_whether_it_takes_ipv4() {
        let both = TcpListener::bind("[::]:0").unwrap();
        let port = both.local_addr().unwrap().port();
        let listener = sockets()
            .unwrap()
            .into_iter()
            .find(|s| s.is_listening() && s.local.port() == port)
            .unwrap();
        assert_eq!(listener.ipv6_only, Some(false));
    }
}

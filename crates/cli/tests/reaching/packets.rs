//! Sends packets, and sees which of them arrive.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr, UdpSocket},
    thread,
    time::{Duration, Instant},
};

use portcullis_model::Transport;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::place::Place;

/// One packet to try.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Try {
    pub(crate) transport: Transport,
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
}

/// Sockets on some ports of the box and of the inner host.
pub(crate) struct Listening {
    tcp: Vec<Socket>,
    udp: Vec<UdpSocket>,
}

impl Listening {
    pub(crate) fn on(place: &Place, ports: &[u16]) -> Self {
        let open = || {
            let mut sockets = (Vec::new(), Vec::new());
            for port in ports {
                let address: SockAddr = SocketAddr::from(([0_u16; 8], *port)).into();
                let tcp = Socket::new(Domain::IPV6, Type::STREAM, Some(Protocol::TCP)).unwrap();
                tcp.set_reuse_address(true).unwrap();
                tcp.bind(&address).unwrap();
                tcp.listen(1024).unwrap();
                tcp.set_nonblocking(true).unwrap();
                let udp = Socket::new(Domain::IPV6, Type::DGRAM, Some(Protocol::UDP)).unwrap();
                udp.bind(&address).unwrap();
                udp.set_nonblocking(true).unwrap();
                sockets.0.push(tcp);
                sockets.1.push(UdpSocket::from(udp));
            }
            sockets
        };
        let (mut tcp, mut udp) = place.box_(open);
        let (more_tcp, more_udp) = place.inner(open);
        tcp.extend(more_tcp);
        udp.extend(more_udp);
        Self { tcp, udp }
    }

    /// Adds the peers of connections that stand by now: both ends have heard of each other.
    fn connected(&self, peers: &mut BTreeSet<SocketAddr>) {
        for socket in &self.tcp {
            while let Ok((connection, peer)) = socket.accept() {
                let _ = connection.set_linger(Some(Duration::ZERO));
                let peer = peer.as_socket().unwrap();
                peers.insert(SocketAddr::new(peer.ip().to_canonical(), peer.port()));
            }
        }
    }

    /// Adds the datagrams that have arrived by now.
    fn arrived(&self, numbers: &mut BTreeSet<u32>) {
        for socket in &self.udp {
            let mut bytes = [0; 8];
            while let Ok((4, _)) = socket.recv_from(&mut bytes) {
                numbers.insert(u32::from_be_bytes(bytes[..4].try_into().unwrap()));
            }
        }
    }

    /// Sends all of them at once, and says of each whether it got through.
    pub(crate) fn send(&self, tries: &[Try], patience: Duration) -> Vec<bool> {
        let mut sockets: Vec<Socket> = Vec::new();
        for (number, one) in tries.iter().enumerate() {
            let socket = bound(one);
            match one.transport {
                Transport::Tcp => {
                    // It ends with a reset, so that nothing of it is left anywhere.
                    socket.set_linger(Some(Duration::ZERO)).unwrap();
                    let _ = socket.connect(&one.to.into());
                }
                Transport::Udp => {
                    // It may be told at once that it is refused.
                    let _ = socket.send_to(&(number as u32).to_be_bytes(), &one.to.into());
                }
            }
            sockets.push(socket);
        }
        let end = Instant::now() + patience;
        let (mut numbers, mut peers) = (BTreeSet::new(), BTreeSet::new());
        loop {
            let is_last = Instant::now() >= end;
            self.arrived(&mut numbers);
            self.connected(&mut peers);
            if is_last {
                break;
            }
            thread::sleep(Duration::from_millis(2));
        }
        let through = |(number, one): (usize, &Try)| match one.transport {
            Transport::Tcp => peers.contains(&one.from) || peers.contains(&masked(one, tries)),
            Transport::Udp => numbers.contains(&(number as u32)),
        };
        tries.iter().enumerate().map(through).collect()
    }
}

/// What the inner host sees of somebody whose source was translated, where the port says who it is.
fn masked(one: &Try, tries: &[Try]) -> SocketAddr {
    let address: IpAddr = match one.from.is_ipv4() {
        true => [203, 0, 119, 1].into(),
        false => [0xfd09, 0, 0, 0, 0, 0, 0, 1].into(),
    };
    let same = |other: &&Try| {
        (other.transport, other.from.is_ipv4(), other.from.port())
            == (one.transport, one.from.is_ipv4(), one.from.port())
    };
    match tries.iter().filter(same).count() {
        1 => SocketAddr::new(address, one.from.port()),
        _ => one.from,
    }
}

/// A socket of one of the many addresses of the far end.
fn bound(one: &Try) -> Socket {
    let (kind, protocol) = match one.transport {
        Transport::Tcp => (Type::STREAM, Protocol::TCP),
        Transport::Udp => (Type::DGRAM, Protocol::UDP),
    };
    let domain = if one.from.is_ipv4() {
        Domain::IPV4
    } else {
        Domain::IPV6
    };
    let socket = Socket::new(domain, kind, Some(protocol)).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket.set_reuse_address(true).unwrap();
    match one.from.is_ipv4() {
        true => socket.set_freebind_v4(true).unwrap(),
        false => socket.set_freebind_v6(true).unwrap(),
    }
    socket
        .bind(&one.from.into())
        .unwrap_or_else(|error| panic!("{one:?}: {error}"));
    socket
}

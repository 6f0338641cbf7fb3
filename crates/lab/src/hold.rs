//! Holds a TCP connection and tells whether what it sends still arrives: the way to see a live connection being cut.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use portcullis_sys::unacknowledged;
use socket2::{Domain, Socket, Type};

/// What to hold.
#[derive(Debug, Clone, Copy)]
pub struct Hold {
    /// The peer. Only hosts of the lab are sent anything.
    pub peer: SocketAddr,
    /// Our own port, when it matters.
    pub source_port: Option<u16>,
    /// When to end.
    pub until: Duration,
}

/// What happened to the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HoldEvent {
    /// It was accepted.
    Connected {
        /// Our own end.
        local: SocketAddr,
    },
    /// What was sent has not been acknowledged for longer than a second and a half.
    Cut {
        /// Time since it was connected.
        after: Duration,
        /// Bytes without acknowledgement.
        unacknowledged: u32,
    },
    /// It was held to the end and everything sent was acknowledged.
    Alive {
        /// Time since it was connected.
        after: Duration,
        /// Bytes sent and acknowledged.
        sent: u64,
    },
}

/// A byte that is not acknowledged for this long on a network of one machine is not late: it is dropped.
const CUT_AFTER: Duration = Duration::from_millis(1500);
const EVERY: Duration = Duration::from_millis(100);

/// Connects, sends one byte every 100 ms, and tells what becomes of it.
///
/// # Errors
/// When the connection cannot be made, or the peer ends it.
pub fn hold(hold: &Hold, mut tell: impl FnMut(HoldEvent)) -> io::Result<()> {
    let socket = Socket::new(Domain::for_address(hold.peer), Type::STREAM, None)?;
    if let Some(port) = hold.source_port {
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(true)?;
        let any: SocketAddr = if hold.peer.is_ipv4() {
            ([0, 0, 0, 0], port).into()
        } else {
            (std::net::Ipv6Addr::UNSPECIFIED, port).into()
        };
        socket.bind(&any.into())?;
    }
    socket.connect_timeout(&hold.peer.into(), Duration::from_secs(3))?;
    let mut connection: TcpStream = socket.into();
    connection.set_nodelay(true)?;
    connection.set_read_timeout(Some(EVERY))?;
    tell(HoldEvent::Connected {
        local: connection.local_addr()?,
    });
    let begin = Instant::now();
    let (mut sent, mut last_clear) = (0_u64, begin);
    let mut buffer = [0; 256];
    while begin.elapsed() < hold.until {
        connection.write_all(b".")?;
        sent += 1;
        // Reading with a time-out is the pause between two bytes, and takes away what the peer says.
        match connection.read(&mut buffer) {
            Ok(0) => return Err(io::ErrorKind::ConnectionReset.into()),
            Ok(_) => std::thread::sleep(EVERY),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        let waiting = unacknowledged(&connection)?;
        if waiting == 0 {
            last_clear = Instant::now();
        } else if last_clear.elapsed() > CUT_AFTER {
            tell(HoldEvent::Cut {
                after: begin.elapsed(),
                unacknowledged: waiting,
            });
            return Ok(());
        }
    }
    tell(HoldEvent::Alive {
        after: begin.elapsed(),
        sent,
    });
    Ok(())
}

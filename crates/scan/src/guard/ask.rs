//! One question to a guard, and how long its answer takes.

use std::{
    io::{self, Read},
    net::IpAddr,
    os::fd::{AsFd, AsRawFd},
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    sys::socket::{MsgFlags, SockaddrStorage, recvfrom, recvmsg, setsockopt, sockopt},
};
use socket2::{Domain, Protocol, Socket, Type};

use super::{
    Guard, Way,
    echo::{self, Echo},
    end::{End, Woken},
};

/// How long a guard may take: as long as it can without the kernel repeating its SYN, which it does after a second.
const PATIENCE: Duration = crate::DEFAULT_CONNECT_TIMEOUT;
/// How long to wait for the guard's own close.
const FAREWELL: Duration = Duration::from_millis(300);
/// How much is read and thrown away before closing: unread bytes would make the close a reset.
const LONGEST_FAREWELL: usize = 64 * 1024;

/// What came of a question.
#[derive(Debug)]
pub(super) enum Asked {
    /// The answer took so long.
    Answered(Duration),
    /// No answer came in time, or only somebody else's.
    Silent,
    /// This host could not ask.
    Failed(io::Error),
    /// It was not waited for the answer, because the watch has ended.
    Ended,
}

/// Asks a guard once.
pub(super) fn ask(guard: &Guard, end: &End) -> Asked {
    let asked = match guard.way {
        Way::Tcp => connect(guard, end),
        Way::Icmp => ping(guard, end),
    };
    asked.unwrap_or_else(Asked::Failed)
}

/// Opens a connection and closes it. A reset is an answer as well: it is the guard's network stack that is measured.
fn connect(guard: &Guard, end: &End) -> io::Result<Asked> {
    let socket = Socket::new(
        Domain::for_address(guard.address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_nonblocking(true)?;
    // With the messages behind the errors a reset can be told from what others say by ICMP (ip(7), `IP_RECVERR`).
    if guard.address.is_ipv4() {
        setsockopt(&socket, sockopt::Ipv4RecvErr, &true)?;
    } else {
        setsockopt(&socket, sockopt::Ipv6RecvErr, &true)?;
    }
    let begin = Instant::now();
    match socket.connect(&guard.address.into()) {
        Err(error) if error.raw_os_error() == Some(Errno::EINPROGRESS as i32) => {}
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            return Ok(refused(&socket, begin.elapsed()));
        }
        Err(error) => return Err(error),
        Ok(()) => {}
    }
    match end.connected(socket.as_fd(), begin + PATIENCE) {
        Woken::Ready => {}
        Woken::Late => return Ok(Asked::Silent),
        Woken::Ended => return Ok(Asked::Ended),
    }
    let after = begin.elapsed();
    match socket.take_error()? {
        Some(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            return Ok(refused(&socket, after));
        }
        Some(_) => return Ok(Asked::Silent),
        None => {}
    }
    // A socket can meet itself when the kernel picks the asked port of this host as its own (RFC 9293, 3.5).
    if socket.local_addr()?.as_socket() == Some(guard.address) {
        return Ok(Asked::Silent);
    }
    close(&socket, end);
    Ok(Asked::Answered(after))
}

/// A refusal with an ICMP message behind it may come from anybody on the way.
fn refused(socket: &Socket, after: Duration) -> Asked {
    let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
    let by_icmp = recvmsg::<()>(socket.as_raw_fd(), &mut [], None, flags).is_ok();
    if by_icmp {
        Asked::Silent
    } else {
        Asked::Answered(after)
    }
}

/// Says goodbye and reads what is still under way, so that the guard sees an orderly end.
fn close(socket: &Socket, end: &End) {
    if socket.shutdown(std::net::Shutdown::Write).is_err() {
        return;
    }
    let until = Instant::now() + FAREWELL;
    let mut reader = socket;
    let mut left = LONGEST_FAREWELL;
    let mut buffer = [0; 4096];
    while left > 0 && end.readable(socket.as_fd(), until) == Woken::Ready {
        match reader.read(&mut buffer) {
            Ok(length) if length > 0 => left = left.saturating_sub(length),
            _ => return,
        }
    }
}

/// Sends an echo request and waits for its reply.
fn ping(guard: &Guard, end: &End) -> io::Result<Asked> {
    let v6 = guard.address.is_ipv6();
    let (socket, raw) = ping_socket(v6)?;
    socket.set_nonblocking(true)?;
    // So that it hears the errors that concern the guard; a datagram socket hears replies from others all the same.
    socket.connect(&guard.address.into())?;
    let random = || getrandom::u64().map_err(io::Error::other);
    let [a, b, c, d, ..] = random()?.to_ne_bytes();
    let echo = Echo {
        v6,
        identifier: u16::from_ne_bytes([a, b]),
        sequence: u16::from_ne_bytes([c, d]),
        token: random()?,
    };
    let begin = Instant::now();
    socket.send(&echo.request())?;
    let mut buffer = [0; 1500];
    loop {
        match end.readable(socket.as_fd(), begin + PATIENCE) {
            Woken::Ready => {}
            Woken::Late => return Ok(Asked::Silent),
            Woken::Ended => return Ok(Asked::Ended),
        }
        let after = begin.elapsed();
        let (length, from) = match recvfrom::<SockaddrStorage>(socket.as_raw_fd(), &mut buffer) {
            Ok(heard) => heard,
            Err(Errno::EAGAIN | Errno::EINTR) => continue,
            // An ICMP message such as "host unreachable": whoever sent it, it is no reply.
            Err(_) => return Ok(Asked::Silent),
        };
        let packet = buffer.get(..length).unwrap_or_default();
        let message = if raw {
            echo::without_header(v6, packet)
        } else {
            Some(packet)
        };
        let by_guard = from.and_then(address) == Some(guard.address());
        if by_guard && message.is_some_and(|message| echo.is_answered_by(message, !raw)) {
            return Ok(Asked::Answered(after));
        }
        // On a busy raw socket the wait always finds something to read.
        if after >= PATIENCE {
            return Ok(Asked::Silent);
        }
    }
}

fn address(sender: SockaddrStorage) -> Option<IpAddr> {
    let v4 = sender.as_sockaddr_in().map(|v4| v4.ip().into());
    v4.or_else(|| sender.as_sockaddr_in6().map(|v6| v6.ip().into()))
}

/// A datagram socket, which needs no rights where the administrator allows it, or else a raw one; and whether it is raw.
fn ping_socket(v6: bool) -> io::Result<(Socket, bool)> {
    let (domain, protocol) = if v6 {
        (Domain::IPV6, Protocol::ICMPV6)
    } else {
        (Domain::IPV4, Protocol::ICMPV4)
    };
    match Socket::new(domain, Type::DGRAM, Some(protocol)) {
        Ok(socket) => Ok((socket, false)),
        Err(_) => Socket::new(domain, Type::RAW, Some(protocol)).map(|socket| (socket, true)),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

    use super::*;

    fn guard(address: SocketAddr) -> Guard {
        address.to_string().parse().unwrap()
    }

    /// A listener that answers no SYN any more, because nobody takes the connections that wait (listen(2)); they live as
    /// long as what is returned.
    pub(in crate::guard) fn silent_listener() -> (Socket, Vec<Socket>, SocketAddr) {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let any: SocketAddr = (Ipv4Addr::LOCALHOST, 0).into();
        listener.bind(&any.into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let waiting = (0..3).map(|_| {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            // As many as there is room for stand; the others go on trying.
            let _ = socket.connect_timeout(&address.into(), Duration::from_millis(20));
            socket
        });
        (listener, waiting.collect(), address)
    }

    #[test]
    fn accepted_and_refused_are_answers() {
        for local in [
            SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            "[::1]:0".parse().unwrap(),
        ] {
            let listener = TcpListener::bind(local).unwrap();
            let address = listener.local_addr().unwrap();
            let asked = ask(&guard(address), &End::never());
            assert!(
                matches!(asked, Asked::Answered(after) if after < PATIENCE),
                "{asked:?}"
            );
            drop(listener);
            let asked = ask(&guard(address), &End::never());
            assert!(
                matches!(asked, Asked::Answered(after) if after < PATIENCE),
                "{asked:?}"
            );
        }
    }

    #[test]
    fn the_guard_sees_an_orderly_end_although_it_has_spoken() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let guard = guard(listener.local_addr().unwrap());
        let asking = std::thread::spawn(move || ask(&guard, &End::never()));
        let (mut stream, _): (TcpStream, _) = listener.accept().unwrap();
        io::Write::write_all(&mut stream, b"banner").unwrap();
        let mut heard = Vec::new();
        assert_eq!(
            stream.read_to_end(&mut heard).unwrap(),
            0,
            "a reset would be an error"
        );
        drop(stream);
        assert!(matches!(asking.join().unwrap(), Asked::Answered(_)));
    }

    #[test]
    fn a_guard_with_a_full_backlog_is_silent() {
        let (_listener, _waiting, address) = silent_listener();
        let asked = ask(&guard(address), &End::never());
        assert!(matches!(asked, Asked::Silent), "{asked:?}");
    }

    #[test]
    fn the_end_does_not_wait_for_an_answer() {
        let (_listener, _waiting, address) = silent_listener();
        let (writer, end) = End::pair().unwrap();
        drop(writer);
        let asked = ask(&guard(address), &end);
        assert!(matches!(asked, Asked::Ended), "{asked:?}");
    }

    #[test]
    fn this_host_answers_echoes() {
        for text in ["icmp:127.0.0.1", "icmp:::1"] {
            let guard: Guard = text.parse().unwrap();
            let asked = ask(&guard, &End::never());
            // Whoever may not open the socket gets told so, and is not told that the guard is silent.
            let expected = match ping_socket(guard.address.is_ipv6()) {
                Ok(_) => matches!(asked, Asked::Answered(after) if after < PATIENCE),
                Err(_) => matches!(asked, Asked::Failed(_)),
            };
            assert!(expected, "{text}: {asked:?}");
        }
    }
}

//! One TCP port: making the connection, and what it means when it does not stand.

use std::{io, net::IpAddr, time::Duration};

use nix::errno::Errno;
use portcullis_knowledge::Seen;
use portcullis_model::{PortState, Transport};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    io::Interest,
    net::TcpStream,
    time::{Instant, sleep, timeout},
};

use super::{
    PAUSE, Target, Trace,
    gate::Gate,
    icmp,
    talk::{LONGEST_READ, talk},
    trace::milliseconds,
    verdict::{Ends, Failed, of_error},
};

/// Why a connection does not stand.
#[derive(Debug, Clone)]
pub(crate) struct Refused {
    pub(crate) state: PortState,
    pub(crate) because: String,
}

impl Refused {
    /// Who accepts and resets before anybody could listen has shown that as well.
    pub(crate) fn into_trace(self, target: &Target) -> Trace {
        let mut trace = Trace::new(self.state, self.because);
        if self.state == PortState::Open {
            trace.conduct.reset_unasked = true;
            trace.seen = target.exchange.as_ref().map(|_| Seen {
                closed_by_peer: true,
                ..Seen::default()
            });
        }
        trace
    }
}

pub(super) async fn look(target: &Target) -> Trace {
    let limit = target.connect_timeout;
    let mut packets = 0;
    let mut source = None;
    for attempt in 1..=2 {
        let started = Instant::now();
        let ended = match begin(target, None) {
            Ok(socket) => {
                source = source_of(&socket);
                wait(target, socket).await
            }
            Err(refused) => Some(Err(refused)),
        };
        let waited = started.elapsed();
        match ended {
            Some(Ok(stream)) => {
                let mut trace = talk(target, Gate::Free, stream, waited).await;
                trace.packets += packets;
                return trace;
            }
            Some(Err(refused)) => {
                if refused.state != PortState::NotTested {
                    packets += syns_within(waited);
                }
                return refused.into_trace(target).sent(source, packets);
            }
            None => packets += syns_within(limit),
        }
        if attempt == 1 {
            sleep(PAUSE).await;
        }
    }
    let because = format!(
        "two connection attempts, no answer within {}",
        milliseconds(limit)
    );
    Trace::new(PortState::NoAnswer, because).sent(source, packets)
}

/// How many SYNs the kernel sends in a time: at 0 s, 1 s, 3 s, 7 s … (RFC 6298, 5.5). Newer kernels go on for some
/// seconds at intervals of 1 s (`net.ipv4.tcp_syn_linear_timeouts`), so every second is counted.
fn syns_within(time: Duration) -> u32 {
    let whole = u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
    whole.saturating_add(1)
}

/// A socket to connect with.
pub(crate) fn socket(domain: Domain) -> io::Result<Socket> {
    let socket = icmp::socket(domain, Type::STREAM, Protocol::TCP)?;
    // The room is told to the peer with the handshake: it can send no more than this at a time, and our kernel has no more
    // to acknowledge. With the usual room an endless talker would get twenty acknowledgements before anybody could stop it.
    let _ = socket.set_recv_buffer_size(LONGEST_READ);
    Ok(socket)
}

/// Begins a connection, with a socket that was made before or with a new one. It becomes writable when the connection stands
/// and reports an error when it does not.
pub(crate) fn begin(target: &Target, made: Option<Socket>) -> Result<Socket, Refused> {
    let address = target.socket_address();
    let failed = |error: &io::Error, icmp| refused(target, None, Failed::Sending, error, icmp);
    let socket = match made {
        Some(socket) => socket,
        None => socket(Domain::for_address(address)).map_err(|error| failed(&error, None))?,
    };
    match socket.connect(&address.into()) {
        Err(error) if error.raw_os_error() != Some(Errno::EINPROGRESS as i32) => {
            Err(failed(&error, icmp::pending(&socket)))
        }
        _ => Ok(socket),
    }
}

/// Our own address on a connection.
pub(crate) fn source_of(socket: &Socket) -> Option<IpAddr> {
    let own = socket.local_addr().ok()?.as_socket()?;
    Some(own.ip())
}

/// What became of a connection that is ready: it stands, or it does not.
pub(crate) fn conclude(target: &Target, socket: &Socket) -> Result<(), Refused> {
    match socket.take_error() {
        Ok(None) => {}
        Ok(Some(error)) | Err(error) => {
            let icmp = icmp::pending(socket);
            return Err(refused(target, source_of(socket), Failed::Waiting, &error, icmp));
        }
    }
    // A socket can meet itself when the kernel picks the asked port of this host as its own (RFC 9293, 3.5).
    let own = socket.local_addr().ok().and_then(|own| own.as_socket());
    if own == Some(target.socket_address()) {
        return Err(Refused {
            state: PortState::Closed,
            because: "only our own connection attempt was there to answer".into(),
        });
    }
    Ok(())
}

fn refused(
    target: &Target,
    source: Option<IpAddr>,
    failed: Failed,
    error: &io::Error,
    icmp: Option<icmp::Icmp>,
) -> Refused {
    let ends = Ends {
        transport: Transport::Tcp,
        target: target.address,
        source,
    };
    let (state, because) = of_error(ends, failed, error, icmp);
    Refused { state, because }
}

/// Waits until the connection stands or has failed; `None` when it does neither in time.
async fn wait(target: &Target, socket: Socket) -> Option<Result<Socket, Refused>> {
    let failed = |error: &io::Error| Some(Err(refused(target, None, Failed::Sending, error, None)));
    let stream = match TcpStream::from_std(socket.into()) {
        Ok(stream) => stream,
        Err(error) => return failed(&error),
    };
    let ready = stream.ready(Interest::WRITABLE | Interest::ERROR);
    if let Err(error) = timeout(target.connect_timeout, ready).await.ok()? {
        return failed(&error);
    }
    match stream.into_std() {
        Ok(stream) => {
            let socket = Socket::from(stream);
            Some(conclude(target, &socket).map(|()| socket))
        }
        Err(error) => failed(&error),
    }
}

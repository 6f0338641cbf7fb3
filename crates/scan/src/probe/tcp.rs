//! One TCP port: connect, listen, ask at most once, close cleanly.

use std::{net::IpAddr, time::Duration};

use nix::errno::Errno;
use portcullis_knowledge::{Exchange, Seen};
use portcullis_model::{PortState, Transport};
use portcullis_sys::{segments_out, unacknowledged};
use socket2::{Protocol, Socket, Type};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, Interest},
    net::TcpStream,
    time::{Instant, sleep, timeout, timeout_at},
};

use super::{
    Conduct, PAUSE, Target, Trace,
    gate::{Gate, Step},
    icmp,
    trace::milliseconds,
    verdict::{Ends, Failed, of_error},
};

/// How much is read to recognise a service.
const LONGEST_READ: usize = 4096;
/// A server that has begun to speak is done when it has been quiet for so long.
const QUIET: Duration = Duration::from_millis(150);
/// How long a server may go on speaking before it is left alone.
const LONGEST_SPEECH: Duration = Duration::from_secs(1);
/// How much more is read and thrown away before closing: unread bytes would make the close a reset.
const LONGEST_FAREWELL: usize = 16 * 1024;
/// How long to wait for the server's own close.
const FAREWELL: Duration = Duration::from_millis(300);

/// Why a connection does not stand.
#[derive(Debug, Clone)]
pub(crate) struct Refused {
    pub(crate) state: PortState,
    pub(crate) because: String,
}

pub(super) async fn look(target: &Target) -> Trace {
    let limit = target.connect_timeout;
    let mut packets = 0;
    let mut source = None;
    for attempt in 1..=2 {
        let started = Instant::now();
        let ended = match begin(target) {
            Ok(socket) => {
                source = source_of(&socket);
                wait(target, socket).await
            }
            Err(refused) => Some(Err(refused)),
        };
        let waited = started.elapsed();
        match ended {
            Some(Ok(stream)) => {
                let mut trace = talk(target, &Gate::Free, stream, waited).await;
                trace.packets += packets;
                return trace;
            }
            Some(Err(Refused { state, because })) => {
                if state != PortState::NotTested {
                    packets += syns_within(waited);
                }
                return Trace::new(state, because).sent(source, packets);
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

/// Begins a connection. The socket becomes writable when it stands and reports an error when it does not.
pub(crate) fn begin(target: &Target) -> Result<Socket, Refused> {
    let address = target.socket_address();
    let failed = |error: &std::io::Error, icmp| refused(target, None, Failed::Sending, error, icmp);
    let socket = icmp::socket(address, Type::STREAM, Protocol::TCP).map_err(|error| failed(&error, None))?;
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
    error: &std::io::Error,
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
    let failed = |error: &std::io::Error| Some(Err(refused(target, None, Failed::Sending, error, None)));
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

/// Talks on a connection that stands, and ends it.
pub(crate) async fn talk(target: &Target, gate: &Gate, socket: Socket, after: Duration) -> Trace {
    let source = source_of(&socket);
    // Little room for what comes keeps an endless talker from making our kernel acknowledge for ever. Without it, it does
    // so a little longer.
    let _ = socket.set_recv_buffer_size(LONGEST_READ);
    let mut stream = match TcpStream::from_std(socket.into()) {
        Ok(stream) => stream,
        Err(error) => {
            let because = format!("the attempt failed on this host: {error}");
            return Trace::not_tested(because).sent(source, 2);
        }
    };
    let mut conduct = Conduct::default();
    let seen = match &target.exchange {
        Some(exchange) => Some(converse(target, exchange, gate, &mut stream, &mut conduct).await),
        None => None,
    };
    let asked = seen.as_ref().is_some_and(|seen| seen.request.is_some());
    // The answer is the same whatever it is: a connection that is open has to be closed.
    let _ = gate.pass(Step::Close).await;
    if seen.is_none() {
        // Nobody has listened, and nothing was sent.
        let error = stream.take_error().ok().flatten();
        conduct.reset_unasked =
            error.is_some_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset);
    }
    close(&mut stream).await;
    // Where the kernel does not count: the handshake, the end, and what was asked.
    let mut packets = segments_out(&stream).unwrap_or(4 + 2 * u32::from(asked));
    // What is not acknowledged by now the kernel would repeat for minutes, and nobody would count it. With nothing to
    // linger for it says one last word, a reset.
    let repeats = unacknowledged(&stream).is_ok_and(|bytes| bytes > 0);
    if repeats && stream.set_zero_linger().is_ok() {
        packets += 1;
    }
    let because = format!("connection accepted after {}", milliseconds(after));
    let mut trace = Trace::new(PortState::Open, because).sent(source, packets);
    trace.seen = seen;
    trace.answered_after = Some(after);
    trace.conduct = conduct;
    trace
}

async fn converse(
    target: &Target,
    exchange: &Exchange,
    gate: &Gate,
    stream: &mut TcpStream,
    conduct: &mut Conduct,
) -> Seen {
    let connected = Instant::now();
    let first = listen(stream, exchange.listen_first).await;
    conduct.reset_unasked = first.reset;
    let mut seen = Seen {
        silent_for: if first.bytes.is_empty() {
            connected.elapsed()
        } else {
            Duration::ZERO
        },
        spoke_first: first.bytes,
        closed_by_peer: first.ended,
        ..Seen::default()
    };
    let Some(request) = &exchange.request else {
        return seen;
    };
    if !seen.spoke_first.is_empty() || seen.closed_by_peer || !gate.pass(Step::Request).await {
        return seen;
    }
    let request = request.bytes_for(target.address, target.port);
    let asked = Instant::now();
    // A full send buffer on a fresh connection means that the peer takes nothing: that, too, is no reply.
    let sent = timeout(exchange.wait, stream.write_all(&request)).await;
    seen.request = Some(request);
    if matches!(sent, Ok(Ok(()))) {
        let reply = listen(stream, exchange.wait).await;
        seen.reply = reply.bytes;
        seen.closed_by_peer = reply.ended;
        conduct.reset_when_asked = reply.reset;
    } else {
        seen.closed_by_peer = true;
    }
    if seen.reply.is_empty() {
        seen.waited = asked.elapsed();
        conduct.unacknowledged = !seen.closed_by_peer && unacknowledged(stream).is_ok_and(|bytes| bytes > 0);
    }
    seen
}

struct Heard {
    bytes: Vec<u8>,
    /// The peer closed or reset the connection.
    ended: bool,
    reset: bool,
}

/// Listens until the server has been silent for `patience`, or has spoken and is done.
async fn listen(stream: &mut TcpStream, patience: Duration) -> Heard {
    let mut heard = Heard {
        bytes: Vec::new(),
        ended: false,
        reset: false,
    };
    let mut buffer = [0; 1024];
    let mut deadline = Instant::now() + patience;
    let last = deadline + LONGEST_SPEECH;
    while let Ok(read) = timeout_at(deadline.min(last), stream.read(&mut buffer)).await {
        match read {
            Ok(0) => heard.ended = true,
            Err(_) => (heard.ended, heard.reset) = (true, true),
            Ok(length) => heard.bytes.extend(buffer.iter().take(length)),
        }
        if heard.ended || heard.bytes.len() >= LONGEST_READ {
            break;
        }
        deadline = Instant::now() + QUIET;
    }
    heard.bytes.truncate(LONGEST_READ);
    heard
}

/// Says goodbye and reads what is still under way, so that the peer sees an orderly end.
async fn close(stream: &mut TcpStream) {
    if stream.shutdown().await.is_err() {
        return;
    }
    let mut buffer = [0; 1024];
    let mut left = LONGEST_FAREWELL;
    let deadline = Instant::now() + FAREWELL;
    while left > 0 {
        match timeout_at(deadline, stream.read(&mut buffer)).await {
            Ok(Ok(length)) if length > 0 => left = left.saturating_sub(length),
            _ => return,
        }
    }
}

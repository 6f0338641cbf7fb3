//! One TCP port: connect, listen, ask at most once, close cleanly.

use std::{net::IpAddr, time::Duration};

use nix::errno::Errno;
use portcullis_knowledge::{Exchange, Seen};
use portcullis_model::{PortState, Transport};
use socket2::{Protocol, Type};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, Interest},
    net::TcpStream,
    time::{Instant, sleep, timeout, timeout_at},
};

use super::{
    PAUSE, Target, Trace,
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
const LONGEST_FAREWELL: usize = 64 * 1024;
/// How long to wait for the server's own close.
const FAREWELL: Duration = Duration::from_millis(300);

enum Attempt {
    Connected(TcpStream, Duration),
    Failed(PortState, String),
    NoAnswer,
}

pub(super) async fn look(target: &Target, gate: &Gate) -> Trace {
    let limit = target.connect_timeout;
    let mut packets = 0;
    let mut source = None;
    for step in [Step::First, Step::Again] {
        if let Err(refusal) = gate.pass(step, syns_within(limit)).await {
            return refused(target, step, refusal.reason(), source, packets);
        }
        let started = Instant::now();
        let attempt = attempt(target, &mut source).await;
        match attempt {
            Attempt::Connected(stream, after) => {
                packets += syns_within(after);
                return open(target, gate, stream, after, source, packets).await;
            }
            Attempt::Failed(state, because) => {
                if state != PortState::NotTested {
                    packets += syns_within(started.elapsed());
                }
                return Trace::new(state, because).sent(source, packets);
            }
            Attempt::NoAnswer => packets += syns_within(limit),
        }
        if step == Step::First {
            sleep(PAUSE).await;
        }
    }
    let because = format!(
        "two connection attempts, no answer within {}",
        milliseconds(limit)
    );
    Trace::new(PortState::NoAnswer, because).sent(source, packets)
}

fn refused(target: &Target, step: Step, reason: &str, source: Option<IpAddr>, packets: u32) -> Trace {
    if step == Step::First {
        return Trace::not_tested(reason);
    }
    let limit = milliseconds(target.connect_timeout);
    let because = format!("one connection attempt, no answer within {limit}; no second one: {reason}");
    Trace::new(PortState::NoAnswer, because).sent(source, packets)
}

/// How many SYNs the kernel sends in a time: at 0 s, 1 s, 3 s, 7 s … (RFC 6298, 5.5). Newer kernels go on for some
/// seconds at intervals of 1 s (`net.ipv4.tcp_syn_linear_timeouts`), so every second is counted.
fn syns_within(time: Duration) -> u32 {
    let whole = u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
    whole.saturating_add(1)
}

async fn attempt(target: &Target, source: &mut Option<IpAddr>) -> Attempt {
    let address = target.socket_address();
    let ends = |source: Option<IpAddr>| Ends {
        transport: Transport::Tcp,
        target: target.address,
        source,
    };
    let failed = |failed: Failed, error: &std::io::Error, icmp, source| {
        let (state, because) = of_error(ends(source), failed, error, icmp);
        Attempt::Failed(state, because)
    };
    let socket = match icmp::socket(address, Type::STREAM, Protocol::TCP) {
        Ok(socket) => socket,
        Err(error) => return failed(Failed::Sending, &error, None, None),
    };
    let started = Instant::now();
    if let Err(error) = socket.connect(&address.into())
        && error.raw_os_error() != Some(Errno::EINPROGRESS as i32)
    {
        return failed(Failed::Sending, &error, icmp::pending(&socket), *source);
    }
    *source = socket
        .local_addr()
        .ok()
        .and_then(|own| own.as_socket())
        .map(|own| own.ip());
    let stream = match TcpStream::from_std(socket.into()) {
        Ok(stream) => stream,
        Err(error) => return failed(Failed::Sending, &error, None, *source),
    };
    // A connection that is still being made becomes writable when it stands and reports an error when it does not.
    match timeout(
        target.connect_timeout,
        stream.ready(Interest::WRITABLE | Interest::ERROR),
    )
    .await
    {
        Err(_) => return Attempt::NoAnswer,
        Ok(Err(error)) => return failed(Failed::Waiting, &error, None, *source),
        Ok(Ok(_)) => {}
    }
    let after = started.elapsed();
    match stream.take_error() {
        Ok(None) => {}
        Ok(Some(error)) | Err(error) => {
            return failed(Failed::Waiting, &error, icmp::pending(&stream), *source);
        }
    }
    // A socket can meet itself when the kernel picks the asked port of this host as its own (RFC 9293, 3.5).
    if stream.local_addr().is_ok_and(|own| own == address) {
        let because = "only our own connection attempt was there to answer";
        return Attempt::Failed(PortState::Closed, because.into());
    }
    Attempt::Connected(stream, after)
}

async fn open(
    target: &Target,
    gate: &Gate,
    mut stream: TcpStream,
    after: Duration,
    source: Option<IpAddr>,
    mut packets: u32,
) -> Trace {
    let seen = match &target.exchange {
        Some(exchange) => Some(converse(target, exchange, gate, &mut stream).await),
        None => None,
    };
    if seen.as_ref().is_some_and(|seen| seen.request.is_some()) {
        packets += 1;
    }
    // The answer is the same whatever it is: a connection that is open has to be closed.
    let _ = gate.pass(Step::Close, 1).await;
    close(stream).await;
    let because = format!("connection accepted after {}", milliseconds(after));
    let mut trace = Trace::new(PortState::Open, because).sent(source, packets + 1);
    trace.seen = seen;
    trace
}

async fn converse(target: &Target, exchange: &Exchange, gate: &Gate, stream: &mut TcpStream) -> Seen {
    let connected = Instant::now();
    let first = listen(stream, exchange.listen_first).await;
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
    if !seen.spoke_first.is_empty() || seen.closed_by_peer || gate.pass(Step::Request, 1).await.is_err() {
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
    } else {
        seen.closed_by_peer = true;
    }
    if seen.reply.is_empty() {
        seen.waited = asked.elapsed();
    }
    seen
}

struct Heard {
    bytes: Vec<u8>,
    /// The peer closed or reset the connection.
    ended: bool,
}

/// Listens until the server has been silent for `patience`, or has spoken and is done.
async fn listen(stream: &mut TcpStream, patience: Duration) -> Heard {
    let mut bytes = Vec::new();
    let mut buffer = [0; 2048];
    let mut deadline = Instant::now() + patience;
    let last = deadline + LONGEST_SPEECH;
    loop {
        match timeout_at(deadline.min(last), stream.read(&mut buffer)).await {
            Err(_) => return Heard { bytes, ended: false },
            Ok(Ok(0) | Err(_)) => return Heard { bytes, ended: true },
            Ok(Ok(length)) => bytes.extend(buffer.iter().take(length)),
        }
        if bytes.len() >= LONGEST_READ {
            bytes.truncate(LONGEST_READ);
            return Heard { bytes, ended: false };
        }
        deadline = Instant::now() + QUIET;
    }
}

/// Says goodbye and reads what is still under way, so that the peer sees an orderly end.
async fn close(mut stream: TcpStream) {
    if stream.shutdown().await.is_err() {
        return;
    }
    let mut buffer = [0; 4096];
    let mut left = LONGEST_FAREWELL;
    let deadline = Instant::now() + FAREWELL;
    while left > 0 {
        match timeout_at(deadline, stream.read(&mut buffer)).await {
            Ok(Ok(length)) if length > 0 => left = left.saturating_sub(length),
            _ => return,
        }
    }
}

//! On a connection that stands: listen, ask at most once, close.
//!
//! What the peer says our kernel acknowledges by itself. It can say no more than our receive window holds until somebody
//! reads, so each further read waits for its turn like a packet.

use std::{net::IpAddr, time::Duration};

use portcullis_knowledge::{Exchange, Further, Seen};
use portcullis_model::{AnswerToEnd, PortState};
use portcullis_sys::{segments_out, tcp_options, unacknowledged};
use socket2::Socket;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout, timeout_at},
};

use super::{
    Conduct, Target, Trace,
    gate::{Gate, Step},
    tcp::source_of,
    trace::milliseconds,
};

/// How much is read to recognise a service, and how much the peer may send before it is read.
pub(super) const LONGEST_READ: usize = 4096;
/// After so much was read, what is read next makes room for more, and waits for its turn.
const READ_FREELY: usize = 1024;
/// A server that has begun to speak, and has said what proves it, is done when it has been quiet for so long.
const QUIET: Duration = Duration::from_millis(150);
/// Any other one when it has been quiet for so long: a segment that is lost is repeated after 200 ms at the earliest (Linux)
/// or after 1 s (RFC 6298, 2.4), and a serial line behind a gateway has its own pauses.
const QUIET_IN_DOUBT: Duration = Duration::from_millis(1200);
/// How long a server may go on speaking before it is left alone.
const LONGEST_SPEECH: Duration = Duration::from_secs(2);
/// How much more is read and thrown away before closing: unread bytes would make the close a reset.
const LONGEST_FAREWELL: usize = 16 * 1024;
/// An end within this time, beyond what the connection took to stand, is an answer to ours.
const AT_ONCE: Duration = Duration::from_millis(100);
/// How long to wait for the server's own close.
const FAREWELL: Duration = Duration::from_millis(300);

/// Talks on a connection that stands, and ends it.
pub(crate) async fn talk(target: &Target, gate: Gate, socket: Socket, after: Duration) -> Trace {
    let source = source_of(&socket);
    let options = tcp_options(&socket);
    let stream = match TcpStream::from_std(socket.into()) {
        Ok(stream) => stream,
        Err(error) => {
            let because = format!("the attempt failed on this host: {error}");
            let mut trace = Trace::not_tested(because).sent(source, 2);
            (trace.counted, trace.paid) = gate.so_far();
            return trace;
        }
    };
    let mut talk = Talk {
        stream,
        gate,
        conduct: Conduct {
            options,
            ..Conduct::default()
        },
        goes_on: false,
    };
    let seen = match &target.exchange {
        Some(exchange) => Some(talk.converse(target, exchange).await),
        None => None,
    };
    let asked = seen.as_ref().is_some_and(|seen| seen.request.is_some());
    // The answer is the same whatever it is: a connection that is open has to be closed.
    let _ = talk.pass(Step::Close).await;
    if seen.is_none() {
        // Nobody has listened, and nothing was sent.
        let error = talk.stream.take_error().ok().flatten();
        talk.conduct.reset_unasked =
            error.is_some_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset);
    }
    talk.close(source, asked, after).await.with(seen)
}

struct Talk {
    stream: TcpStream,
    gate: Gate,
    conduct: Conduct,
    /// The peer goes on talking after all its time.
    goes_on: bool,
}

struct Heard {
    bytes: Vec<u8>,
    /// When the first of them came.
    began: Option<Instant>,
    /// The peer closed or reset the connection.
    ended: bool,
    reset: bool,
}

impl Talk {
    async fn pass(&mut self, step: Step) -> bool {
        let sent = segments_out(&self.stream);
        self.gate.pass(step, sent).await
    }

    async fn converse(&mut self, target: &Target, exchange: &Exchange) -> Seen {
        let connected = Instant::now();
        let proves = |said: &[u8]| {
            target.is_settled(&Seen {
                spoke_first: said.to_vec(),
                ..Seen::default()
            })
        };
        let first = self.listen(exchange.listen_first, proves).await;
        self.conduct.reset_unasked = first.reset;
        self.conduct.spoke_after = first.began.map(|began| began - connected);
        self.conduct.listened = connected.elapsed();
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
        if !seen.spoke_first.is_empty() || seen.closed_by_peer || !self.pass(Step::Request).await {
            return seen;
        }
        let request = request.bytes_for(target.address, target.port);
        let asked = Instant::now();
        // A full send buffer on a fresh connection means that the peer takes nothing: that, too, is no reply.
        let sent = timeout(exchange.wait, self.stream.write_all(&request)).await;
        seen.request = Some(request);
        if matches!(sent, Ok(Ok(()))) {
            let proves = |said: &[u8]| {
                target.is_settled(&Seen {
                    reply: said.to_vec(),
                    ..seen.clone()
                })
            };
            let reply = self.listen(exchange.wait, proves).await;
            seen.reply = reply.bytes;
            seen.closed_by_peer = reply.ended;
            self.conduct.reset_when_asked = reply.reset;
        } else {
            seen.closed_by_peer = true;
        }
        self.ask_again(target, exchange, &mut seen).await;
        if seen.reply.is_empty() {
            seen.waited = asked.elapsed();
            self.conduct.unacknowledged =
                !seen.closed_by_peer && unacknowledged(&self.stream).is_ok_and(|bytes| bytes > 0);
        }
        seen
    }

    /// Asks once more over the same connection, where that was wished and tells more.
    async fn ask_again(&mut self, target: &Target, exchange: &Exchange, seen: &mut Seen) {
        let Some(request) = target.second_request(seen) else {
            return;
        };
        if !self.pass(Step::Request).await {
            return;
        }
        let sent = timeout(exchange.wait, self.stream.write_all(&request)).await;
        let mut further = Further {
            request,
            reply: Vec::new(),
        };
        if matches!(sent, Ok(Ok(()))) {
            let heard = self.listen(exchange.wait, |_| false).await;
            further.reply = heard.bytes;
            seen.closed_by_peer = heard.ended;
            self.conduct.reset_when_asked = heard.reset;
        } else {
            seen.closed_by_peer = true;
        }
        seen.further.push(further);
    }

    /// Listens until the server has been silent for `patience`, or has spoken and is done. `proves` tells of what it has said
    /// whether more is needed.
    async fn listen(&mut self, patience: Duration, proves: impl Fn(&[u8]) -> bool) -> Heard {
        let mut heard = Heard {
            bytes: Vec::new(),
            began: None,
            ended: false,
            reset: false,
        };
        let mut buffer = [0; READ_FREELY];
        let mut deadline = Instant::now() + patience;
        let mut last = deadline + LONGEST_SPEECH;
        let mut freely = READ_FREELY;
        let mut doubted = true;
        loop {
            let read = timeout_at(deadline.min(last), self.stream.read(&mut buffer)).await;
            match read {
                Err(_) if !doubted && Instant::now() < last && !proves(&heard.bytes) => {
                    doubted = true;
                    deadline += QUIET_IN_DOUBT.saturating_sub(QUIET);
                    continue;
                }
                Err(_) => break,
                Ok(Ok(0)) => heard.ended = true,
                Ok(Err(_)) => (heard.ended, heard.reset) = (true, true),
                Ok(Ok(length)) => {
                    heard.began.get_or_insert_with(Instant::now);
                    heard.bytes.extend(buffer.iter().take(length));
                    freely = freely.saturating_sub(length);
                }
            }
            if heard.ended {
                return heard;
            }
            if heard.bytes.len() >= LONGEST_READ {
                heard.bytes.truncate(LONGEST_READ);
                return heard;
            }
            if freely == 0 {
                let asked = Instant::now();
                if !self.pass(Step::Read).await {
                    self.goes_on = true;
                    return heard;
                }
                // Waiting for a turn is no speech.
                last += asked.elapsed();
                freely = READ_FREELY;
            }
            deadline = Instant::now() + QUIET;
            doubted = false;
        }
        self.goes_on = Instant::now() >= last;
        heard
    }

    /// Ends the connection, in order where the peer lets it end so.
    async fn close(mut self, source: Option<IpAddr>, asked: bool, after: Duration) -> Trace {
        let in_order = !self.goes_on && self.say_goodbye(after).await;
        // Where the kernel does not count: the handshake, the end, and what was asked.
        let count = |stream: &TcpStream| segments_out(stream).unwrap_or(4 + 2 * u32::from(asked));
        let mut packets = count(&self.stream);
        // What is not acknowledged by now the kernel would repeat for minutes, and nobody would count it; and a peer that
        // goes on talking would be acknowledged as long. With nothing to linger for it says one last word, a reset.
        let repeats = unacknowledged(&self.stream).is_ok_and(|bytes| bytes > 0);
        if (repeats || !in_order) && self.stream.set_zero_linger().is_ok() {
            let _ = self.pass(Step::Reset).await;
            packets = count(&self.stream) + 1;
        }
        let because = format!("connection accepted after {}", milliseconds(after));
        let mut trace = Trace::new(PortState::Open, because).sent(source, packets);
        (trace.counted, trace.paid) = self.gate.so_far();
        trace.answered_after = Some(after);
        trace.conduct = self.conduct;
        trace
    }

    /// Says goodbye and reads what is still under way. Returns whether the peer let it end so. `way` is how long a packet
    /// and its answer take.
    async fn say_goodbye(&mut self, way: Duration) -> bool {
        if self.stream.shutdown().await.is_err() {
            return true;
        }
        let mut buffer = [0; READ_FREELY];
        let begun = Instant::now();
        let mut deadline = begun + FAREWELL;
        let (mut read, mut free) = (0, READ_FREELY);
        while read < LONGEST_FAREWELL {
            match timeout_at(deadline, self.stream.read(&mut buffer)).await {
                Ok(Ok(length)) if length > 0 => read += length,
                ended => {
                    let at_once = begun.elapsed().saturating_sub(way) < AT_ONCE;
                    self.conduct.answer_to_end = Some(match ended {
                        Err(_) => AnswerToEnd::KeptOpen,
                        Ok(Err(_)) => AnswerToEnd::Reset,
                        Ok(Ok(_)) if at_once => AnswerToEnd::AtOnce,
                        Ok(Ok(_)) => AnswerToEnd::Late,
                    });
                    return true;
                }
            }
            if read >= free {
                let asked = Instant::now();
                if !self.pass(Step::Read).await {
                    return false;
                }
                deadline += asked.elapsed();
                free = read + READ_FREELY;
            }
        }
        false
    }
}

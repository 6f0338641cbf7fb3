//! One UDP port: the one known request, repeated once when nothing comes back.

use std::{
    io::{ErrorKind, Read as _},
    net::IpAddr,
};

use portcullis_knowledge::{Exchange, Further, Seen};
use portcullis_model::{PortState, Transport};
use socket2::{Domain, Protocol, SockRef, Type};
use tokio::{
    io::Interest,
    net::UdpSocket,
    time::{Instant, timeout_at},
};

use super::{
    Target, Trace,
    gate::{Gate, Step},
    icmp,
    trace::milliseconds,
    verdict::{Ends, Failed, of_error},
};

/// The largest reply that is read; no known one is longer.
const LONGEST_REPLY: usize = 2048;

enum Heard {
    Reply(Vec<u8>),
    Failed(PortState, String),
    Nothing,
}

/// Asks twice, if need be.
pub(super) async fn look(target: &Target) -> Trace {
    let first = ask(target, Gate::Free).await;
    if first.state != PortState::NoAnswer {
        return first;
    }
    let mut second = ask(target, Gate::Free).await;
    second.packets += first.packets;
    if second.state == PortState::NoAnswer {
        second.because = format!("two requests, {}", second.because);
    }
    second
}

/// Asks once.
pub(crate) async fn ask(target: &Target, mut gate: Gate) -> Trace {
    let Some((exchange, request)) = target
        .exchange
        .as_ref()
        .and_then(|exchange| Some((exchange, exchange.request.as_ref()?)))
    else {
        return Trace::not_tested("no harmless request is known for this UDP port");
    };
    let request = request.bytes_for(target.address, target.port);
    let talk = match Talk::open(target) {
        Ok(talk) => talk,
        Err(trace) => return *trace,
    };
    let asked = Instant::now();
    let (heard, sent) = talk.ask(&request, exchange).await;
    let mut packets = u32::from(sent);
    let mut trace = match heard {
        Heard::Nothing => {
            let because = format!("no reply within {}", milliseconds(exchange.wait));
            return Trace::new(PortState::NoAnswer, because).sent(talk.source, packets);
        }
        Heard::Failed(state, because) => Trace::new(state, because),
        Heard::Reply(reply) => {
            let because = format!("{} bytes answered the request", reply.len());
            let mut trace = Trace::new(PortState::Open, because);
            // An empty datagram shows that the port is open, and there is nothing in it to judge.
            trace.seen = (!reply.is_empty()).then(|| Seen {
                request: Some(request),
                reply,
                ..Seen::default()
            });
            // The answer to the first question is known: how long the second one takes counts for nothing.
            trace.answered_after = Some(asked.elapsed());
            if let Some(seen) = &mut trace.seen
                && let Some(request) = target.second_request(seen)
                && gate.pass(Step::Request, None).await
            {
                packets += 1;
                let reply = match talk.ask(&request, exchange).await.0 {
                    Heard::Reply(reply) => reply,
                    Heard::Failed(..) | Heard::Nothing => Vec::new(),
                };
                seen.further.push(Further { request, reply });
            }
            trace
        }
    };
    trace.answered_after.get_or_insert_with(|| asked.elapsed());
    trace.sent(talk.source, packets)
}

/// A socket that hears one address and port only.
struct Talk<'t> {
    target: &'t Target,
    socket: UdpSocket,
    source: Option<IpAddr>,
}

impl<'t> Talk<'t> {
    fn open(target: &'t Target) -> Result<Self, Box<Trace>> {
        let address = target.socket_address();
        let ends = Ends {
            transport: Transport::Udp,
            target: target.address,
            source: None,
        };
        let opened =
            icmp::socket(Domain::for_address(address), Type::DGRAM, Protocol::UDP).and_then(|socket| {
                socket.connect(&address.into())?;
                UdpSocket::from_std(socket.into())
            });
        let socket = opened.map_err(|error| {
            let (state, because) = of_error(ends, Failed::Sending, &error, None);
            Box::new(Trace::new(state, because))
        })?;
        let source = socket.local_addr().ok().map(|own| own.ip());
        Ok(Self {
            target,
            socket,
            source,
        })
    }

    /// Sends the request and waits; also tells whether it was sent.
    async fn ask(&self, request: &[u8], exchange: &Exchange) -> (Heard, bool) {
        if let Err(error) = SockRef::from(&self.socket).send(request) {
            // The error that a send reports can be the answer to the request before.
            return (self.failed(Failed::Sending, &error), false);
        }
        let deadline = Instant::now() + exchange.wait;
        // An ICMP message raises an error and makes nothing readable.
        let awaited = Interest::READABLE | Interest::ERROR;
        let mut buffer = [0; LONGEST_REPLY];
        loop {
            let ready = match timeout_at(deadline, self.socket.ready(awaited)).await {
                Err(_) => return (Heard::Nothing, true),
                Ok(Err(error)) => return (self.failed(Failed::Waiting, &error), true),
                Ok(Ok(ready)) => ready,
            };
            // tokio takes one interest at a time here: with several it never calls the closure.
            let ready = if ready.is_readable() {
                Interest::READABLE
            } else {
                Interest::ERROR
            };
            let heard = self
                .socket
                .try_io(ready, || (&*SockRef::from(&self.socket)).read(&mut buffer));
            match heard {
                Ok(length) => {
                    return (Heard::Reply(buffer.iter().take(length).copied().collect()), true);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return (self.failed(Failed::Waiting, &error), true),
            }
        }
    }

    fn failed(&self, failed: Failed, error: &std::io::Error) -> Heard {
        let ends = Ends {
            transport: Transport::Udp,
            target: self.target.address,
            source: self.source,
        };
        let icmp = icmp::pending(&self.socket);
        let (state, because) = of_error(ends, failed, error, icmp);
        Heard::Failed(state, because)
    }
}

//! One UDP port: the one known request, repeated once when nothing comes back.

use std::{
    io::{ErrorKind, Read as _},
    net::IpAddr,
};

use portcullis_knowledge::{Exchange, Seen};
use portcullis_model::{PortState, Transport};
use socket2::{Protocol, SockRef, Type};
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

pub(super) async fn look(target: &Target, gate: &Gate) -> Trace {
    let Some((exchange, request)) = target
        .exchange
        .as_ref()
        .and_then(|exchange| Some((exchange, exchange.request.as_ref()?)))
    else {
        return Trace::not_tested("no harmless request is known for this UDP port");
    };
    let request = request.bytes_for(target.address, target.port);
    let mut talk: Option<Talk<'_>> = None;
    let mut packets = 0;
    for step in [Step::First, Step::Again] {
        if let Err(refusal) = gate.pass(step, 1).await {
            return refused(talk.as_ref(), exchange, refusal.reason(), packets);
        }
        let talk = match &mut talk {
            Some(talk) => talk,
            none => match Talk::open(target) {
                Ok(opened) => none.insert(opened),
                Err(trace) => return *trace,
            },
        };
        let (heard, sent) = talk.ask(&request, exchange).await;
        packets += u32::from(sent);
        match heard {
            Heard::Nothing => {}
            Heard::Failed(state, because) => return Trace::new(state, because).sent(talk.source, packets),
            Heard::Reply(reply) => {
                let because = format!("{} bytes answered the request", reply.len());
                let mut trace = Trace::new(PortState::Open, because).sent(talk.source, packets);
                // An empty datagram shows that the port is open, and there is nothing in it to judge.
                trace.seen = (!reply.is_empty()).then(|| Seen {
                    request: Some(request),
                    reply,
                    ..Seen::default()
                });
                return trace;
            }
        }
    }
    let because = format!(
        "two requests, no reply within {} each",
        milliseconds(exchange.wait)
    );
    let source = talk.and_then(|talk| talk.source);
    Trace::new(PortState::NoAnswer, because).sent(source, packets)
}

fn refused(talk: Option<&Talk<'_>>, exchange: &Exchange, reason: &str, packets: u32) -> Trace {
    let Some(talk) = talk else {
        return Trace::not_tested(reason);
    };
    let wait = milliseconds(exchange.wait);
    let because = format!("one request, no reply within {wait}; no second one: {reason}");
    Trace::new(PortState::NoAnswer, because).sent(talk.source, packets)
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
        let opened = icmp::socket(address, Type::DGRAM, Protocol::UDP).and_then(|socket| {
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

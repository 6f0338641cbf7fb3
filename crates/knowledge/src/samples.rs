//! Replies with their sources, for the tests of the whole crate: what a real server said on loopback, or bytes put
//! together as the named source describes them.

mod automation;
mod devices;
mod general;
mod moxa;

use portcullis_model::{Grade, Port, ServiceName};

use crate::{Further, Knowledge, Request, Seen};

/// One reply, and what it says of one service.
pub(crate) struct Sample {
    pub(crate) service: &'static str,
    pub(crate) port: Port,
    /// `real server: NAME VERSION` or `stand-in bytes from SOURCE`: the words of docs/knowledge.md.
    pub(crate) source: &'static str,
    pub(crate) bytes: Vec<u8>,
    pub(crate) further: Vec<Vec<u8>>,
    pub(crate) grade: Grade,
    pub(crate) fields: Vec<(&'static str, &'static str)>,
    /// From how many bytes on the reply is whole: a text that goes on, or more items that need not be there.
    pub(crate) whole_from: usize,
}

impl Sample {
    fn new(service: &'static str, port: Port, source: &'static str, bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self {
            service,
            port,
            source,
            whole_from: bytes.len(),
            bytes,
            further: Vec::new(),
            grade: Grade::Proven,
            fields: Vec::new(),
        }
    }

    fn grade(mut self, grade: Grade) -> Self {
        self.grade = grade;
        self
    }

    fn field(mut self, name: &'static str, value: &'static str) -> Self {
        self.fields.push((name, value));
        self
    }

    fn further(mut self, reply: impl Into<Vec<u8>>) -> Self {
        self.further.push(reply.into());
        self
    }

    fn whole_from(mut self, length: usize) -> Self {
        self.whole_from = length;
        self
    }

    /// The bytes as they are seen: unasked, or as the reply to the service's own request.
    pub(crate) fn seen(&self, knowledge: &Knowledge) -> Seen {
        self.seen_with(knowledge, self.bytes.clone())
    }

    pub(crate) fn seen_with(&self, knowledge: &Knowledge, bytes: Vec<u8>) -> Seen {
        let name = ServiceName::new(self.service).unwrap();
        let service = knowledge.service(&name).unwrap();
        let request = match self.service {
            "snmp" => Knowledge::snmp_request("plant7"),
            _ => service.request.clone(),
        };
        let sent = |request: &Request| request.bytes_for([127, 0, 0, 1].into(), self.port);
        let Some(request) = request else {
            return Seen {
                spoke_first: bytes,
                ..Seen::default()
            };
        };
        let mut seen = Seen {
            request: Some(sent(&request)),
            reply: bytes,
            ..Seen::default()
        };
        for (request, reply) in service.further.iter().zip(&self.further) {
            let request = service.judge.complete(request, &seen);
            seen.further.push(Further {
                request: request.as_ref().map(sent).unwrap_or_default(),
                reply: reply.clone(),
            });
        }
        seen
    }
}

/// Reads bytes as they are written in facts and dumps.
pub(crate) fn hex(text: &str) -> Vec<u8> {
    text.split_whitespace()
        .map(|byte| u8::from_str_radix(byte, 16).unwrap())
        .collect()
}

fn padded(text: &str, length: usize) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    bytes.resize(length, 0);
    bytes
}

/// How many bytes it is to the end of a text in them.
fn through(bytes: &[u8], text: &str) -> usize {
    let at = bytes
        .windows(text.len())
        .position(|window| window == text.as_bytes());
    at.unwrap() + text.len()
}

/// At least one reply of every service that can be recognised by its bytes.
pub(crate) fn samples() -> Vec<Sample> {
    [
        automation::samples(),
        devices::samples(),
        moxa::samples(),
        general::samples(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

//! Modbus/TCP: the reply to "read device identification" (function 43, MEI type 14), or the exception to it.
//!
//! Layout: transaction id (2, echoed), protocol id (2, zero), length of what follows (2), unit (1), then the function:
//! 2B 0E, category, conformity, more-follows, next object, number of objects, and each object as id, length, text.

use portcullis_model::{Grade, Untrusted};

use super::{Subject, Verdict, asked};
use crate::Seen;

/// Read device identification of unit 1. Further units would be traffic on the field bus behind a gateway.
const REQUEST: [u8; 11] = [
    0,
    0,
    0,
    0,
    0,
    5,
    UNIT,
    READ_IDENTIFICATION,
    IDENTIFICATION_MEI,
    1,
    0,
];
pub(super) const REQUESTS: &[&[u8]] = &[&REQUEST];
const READ_IDENTIFICATION: u8 = 0x2b;
const EXCEPTION: u8 = READ_IDENTIFICATION | 0x80;
const IDENTIFICATION_MEI: u8 = 0x0e;
const UNIT: u8 = 1;

enum Reply<'b> {
    /// The objects of the basic category, as id and text.
    Objects(Vec<(u8, &'b [u8])>),
    Exception(u8),
}

pub(super) fn judge(subject: &Subject<'_>, seen: &Seen) -> Option<Verdict> {
    let mut verdict = asked::judge(subject, seen, "Modbus/TCP", |_, reply| {
        Some(proven(&read(reply)?))
    })?;
    // What was sent can be the request of another service that shares the port, or was moved there.
    let was_asked = seen.request.as_deref() == Some(REQUEST.as_slice());
    if verdict.grade == Grade::Possible && was_asked {
        verdict
            .reasons
            .push("a gateway is silent for units that it does not have; only unit 1 was asked".into());
    }
    Some(verdict)
}

/// Reads a reply; every length must fit exactly, so that an echo or a chance likeness is not taken for one.
fn read(bytes: &[u8]) -> Option<Reply<'_>> {
    let [0, 0, 0, 0, high, low, rest @ ..] = bytes else {
        return None;
    };
    if usize::from(u16::from_be_bytes([*high, *low])) != rest.len() {
        return None;
    }
    match rest {
        [UNIT, EXCEPTION, code @ 1..=0x0b] => Some(Reply::Exception(*code)),
        [
            UNIT,
            READ_IDENTIFICATION,
            IDENTIFICATION_MEI,
            1,
            _conformity,
            0 | 0xff,
            _next,
            count,
            objects @ ..,
        ] => Some(Reply::Objects(read_objects(*count, objects)?)),
        _ => None,
    }
}

fn read_objects(count: u8, mut bytes: &[u8]) -> Option<Vec<(u8, &[u8])>> {
    let mut objects = Vec::new();
    for _ in 0..count {
        let [id, length, rest @ ..] = bytes else {
            return None;
        };
        let (text, rest) = rest.split_at_checked(usize::from(*length))?;
        objects.push((*id, text));
        bytes = rest;
    }
    bytes.is_empty().then_some(objects)
}

fn proven(reply: &Reply<'_>) -> Verdict {
    match reply {
        Reply::Exception(code) => Verdict::new(
            Grade::Proven,
            [format!(
                "answered the identification request with Modbus exception {code:02X}: it speaks Modbus and does not tell more"
            )],
        ),
        Reply::Objects(objects) => {
            let reason = "answered the identification request as Modbus function 43 prescribes".into();
            let mut verdict = Verdict::new(Grade::Proven, [reason]);
            for (id, text) in objects {
                let name = match id {
                    0 => "vendor",
                    1 => "product",
                    2 => "revision",
                    _ => continue,
                };
                verdict = verdict.field(name, Untrusted::from_bytes(text.trim_ascii()));
            }
            verdict
        }
    }
}

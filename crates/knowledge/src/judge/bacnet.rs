//! BACnet/IP (ASHRAE 135, annex J): the reply to ReadProperty of the device object, wildcard instance 4194303.
//!
//! Layout: 81 0A, length of all (2), network layer (version 1, control, addresses), then ComplexACK (30) or Error (50)
//! with our invoke id. Devices from before 135-2001 answer the wildcard with an error, which proves BACnet as well.

use portcullis_model::{Grade, Untrusted};

use super::{
    Subject, Verdict, asked,
    cursor::{Cursor, padded_text},
};
use crate::{Further, Seen};

const OBJECT_IDENTIFIER: u8 = 0x4b;
const READ_IDENTIFIER: [u8; 17] = read_property(OBJECT_IDENTIFIER);
const READ_VENDOR: [u8; 17] = read_property(0x79);
const READ_MODEL: [u8; 17] = read_property(0x46);
const READ_FIRMWARE: [u8; 17] = read_property(0x2c);
const READ_NAME: [u8; 17] = read_property(0x4d);
pub(super) const REQUESTS: &[&[u8]] = &[&READ_IDENTIFIER];
pub(super) const FURTHER: &[&[u8]] = &[&READ_VENDOR, &READ_MODEL, &READ_FIRMWARE, &READ_NAME];

const INVOKE_ID: u8 = 1;
const READ_PROPERTY: u8 = 0x0c;
const COMPLEX_ACK: u8 = 0x30;
const ERROR: u8 = 0x50;
const DEVICE: u32 = 8;

const fn read_property(property: u8) -> [u8; 17] {
    [
        0x81,
        0x0a,
        0,
        17,
        1,
        4,
        0,
        5,
        INVOKE_ID,
        READ_PROPERTY,
        0x0c,
        2,
        0x3f,
        0xff,
        0xff,
        0x19,
        property,
    ]
}

enum Reply<'b> {
    /// The device's instance number and the encoded value.
    Value(u32, &'b [u8]),
    Error(u8, u8),
}

pub(super) fn judge(subject: &Subject<'_>, seen: &Seen) -> Option<Verdict> {
    asked::judge(subject, seen, "BACnet/IP", |_, reply| {
        let verdict = match read(OBJECT_IDENTIFIER, reply)? {
            Reply::Error(class, code) => Verdict::new(
                Grade::Proven,
                [format!(
                    "answered the read with BACnet error class {class}, code {code}: it speaks BACnet and does not tell more"
                )],
            ),
            Reply::Value(instance, value) => {
                identifier(value)?;
                let reason = format!("answered the read of its identifier: device {instance}");
                Verdict::new(Grade::Proven, [reason])
            }
        };
        Some(seen.further.iter().fold(verdict, with_property))
    })
}

fn with_property(verdict: Verdict, turn: &Further) -> Verdict {
    let Some(property) = turn.request.last() else {
        return verdict;
    };
    let name = match property {
        0x79 => "vendor",
        0x46 => "model",
        0x2c => "firmware",
        0x4d => "name",
        _ => return verdict,
    };
    match read(*property, &turn.reply) {
        Some(Reply::Value(_, value)) => match character_string(value) {
            Some(text) => verdict.field(name, text),
            None => verdict,
        },
        _ => verdict,
    }
}

fn read(property: u8, reply: &[u8]) -> Option<Reply<'_>> {
    let mut cursor = Cursor::new(reply);
    cursor.exactly(&[0x81, 0x0a])?;
    if usize::from(cursor.be16()?) != reply.len() {
        return None;
    }
    network_layer(&mut cursor)?;
    let kind = cursor.byte()?;
    cursor.exactly(&[INVOKE_ID, READ_PROPERTY])?;
    match kind {
        ERROR => {
            cursor.exactly(&[0x91])?;
            let class = cursor.byte()?;
            cursor.exactly(&[0x91])?;
            let code = cursor.byte()?;
            cursor.end()?;
            Some(Reply::Error(class, code))
        }
        COMPLEX_ACK => {
            cursor.exactly(&[0x0c])?;
            let object = cursor.array().map(u32::from_be_bytes)?;
            cursor.exactly(&[0x19, property, 0x3e])?;
            let value = cursor.rest().strip_suffix(&[0x3f])?;
            (object >> 22 == DEVICE).then_some(Reply::Value(object & 0x3f_ffff, value))
        }
        _ => None,
    }
}

/// Version 1, no network message; source and destination addresses are passed over (clause 6.2).
fn network_layer(cursor: &mut Cursor<'_>) -> Option<()> {
    cursor.exactly(&[1])?;
    let control = cursor.byte()?;
    if control & 0x80 != 0 {
        return None;
    }
    let addresses = [0x20, 0x08].into_iter().filter(|flag| control & flag != 0);
    for _ in addresses {
        let _network = cursor.be16()?;
        let length = cursor.byte()?;
        cursor.take(length.into())?;
    }
    if control & 0x20 != 0 {
        let _hops = cursor.byte()?;
    }
    Some(())
}

/// An object identifier of type device (application tag 12, four bytes).
fn identifier(value: &[u8]) -> Option<u32> {
    let mut cursor = Cursor::new(value);
    cursor.exactly(&[0xc4])?;
    let object = cursor.array().map(u32::from_be_bytes)?;
    cursor.end()?;
    (object >> 22 == DEVICE).then_some(object)
}

/// A character string (application tag 7) in UTF-8, with its length in the tag or in the byte behind it.
fn character_string(value: &[u8]) -> Option<Untrusted> {
    let mut cursor = Cursor::new(value);
    let length = match cursor.byte()? {
        0x75 => cursor.byte()?,
        tag @ 0x71..=0x74 => tag & 7,
        _ => return None,
    };
    let text = cursor.take(length.into())?;
    cursor.end()?;
    match text.split_first()? {
        (0, text) => padded_text(text),
        _ => None,
    }
}

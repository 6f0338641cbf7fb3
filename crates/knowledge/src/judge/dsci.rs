//! Moxa device search (DSCI) on udp/4800: the reply to the search request.
//!
//! Layout (Moxa's own Linux driver): opcode, result, length (2 bytes), id (4), then AP id (4, little-endian), hardware
//! id (2, little-endian), MAC (6), IPv4 address (4). Numbers in the header are big-endian.

use std::net::Ipv4Addr;

use portcullis_model::{Grade, Untrusted};

use super::{
    Subject, Verdict, asked,
    cursor::{Cursor, padded_text},
};
use crate::{Further, Seen, service::Hardware};

/// Opcode 1, result 0, length 8, id 0. Other opcodes unlock the device or disclose its secrets.
const SEARCH: [u8; 8] = [1, 0, 0, 8, 0, 0, 0, 0];
pub(super) const REQUESTS: &[&[u8]] = &[&SEARCH];
/// Opcode 10 (server name), length 20; the last twelve bytes are those that the search reply has at the same place.
const ASK_NAME: [u8; 20] = [0x10, 0, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
pub(super) const FURTHER: &[&[u8]] = &[&ASK_NAME];
const NAME_REPLY: u8 = 0x90;
/// Header (8), what identifies the device (12), name (40).
const NAME_REPLY_LENGTH: u8 = 60;
const SEARCH_REPLY: u8 = 0x81;
/// "Not supported" or "denied".
const REFUSED: u8 = 4;
/// Lengths of a search reply that Moxa's driver accepts.
const LENGTHS: [usize; 2] = [24, 40];
/// The block of hardware addresses that Moxa's devices have.
const MOXA: [u8; 3] = [0x00, 0x90, 0xe8];

struct SearchReply {
    application: u32,
    hardware: u16,
    mac: [u8; 6],
    address: Ipv4Addr,
}

pub(super) fn judge(subject: &Subject<'_>, seen: &Seen) -> Option<Verdict> {
    asked::judge(subject, seen, "Moxa device search (DSCI)", |_, reply| {
        if is_refusal(reply) {
            let reason = "answered the search request with result 04, not supported or denied".into();
            return Some(Verdict::new(Grade::Possible, [reason]));
        }
        let verdict = verdict(subject, &read(reply, [0; 4])?, reply.len());
        Some(match seen.further.first().and_then(read_name) {
            Some(name) => verdict.field("name", name),
            None => verdict,
        })
    })
}

/// Fills what identifies the device into the request for its name.
pub(super) fn complete(request: &[u8], seen: &Seen) -> Option<Vec<u8>> {
    let header = request.get(..8)?;
    let device = seen.reply.get(8..20)?;
    Some([header, device].concat())
}

fn read_name(turn: &Further) -> Option<Untrusted> {
    let mut cursor = Cursor::new(&turn.reply);
    cursor.exactly(&[NAME_REPLY, 0, 0, NAME_REPLY_LENGTH])?;
    cursor.exactly(turn.request.get(4..8)?)?;
    cursor.take(12)?;
    let name = cursor.take(40)?;
    cursor.end()?;
    padded_text(name.split(|byte| *byte == 0).next()?)
}

/// What others ask is not always what we would: any search with any id, and the name. Replies to all else are not looked
/// into, because some carry secrets.
pub(super) fn overheard(subject: &Subject<'_>, seen: &Seen) -> Option<Verdict> {
    let reply = &seen.reply;
    let (id, question) = match &seen.request {
        Some(request) => (request.get(4..8)?, request.first().copied()?),
        None => (reply.get(4..8)?, reply.first()? & 0x7f),
    };
    let heard = if seen.request.is_some() {
        "answered the search of somebody else, with its id"
    } else {
        "sent a reply to a search that was not heard"
    };
    if question == SEARCH_REPLY & 0x7f {
        let found = read(reply, id.try_into().ok()?)?;
        let mut verdict = verdict(subject, &found, reply.len());
        verdict.grade = match (verdict.grade, seen.request.is_some()) {
            (Grade::Proven, _) | (_, true) => Grade::Likely,
            _ => Grade::Possible,
        };
        verdict.reasons.insert(0, heard.into());
        return Some(match seen.further.first().and_then(read_name) {
            Some(name) => verdict.field("name", name),
            None => verdict,
        });
    }
    let name = Further {
        request: seen.request.clone().unwrap_or_else(|| reply.clone()),
        reply: reply.clone(),
    };
    let name = read_name(&name).filter(|_| question == NAME_REPLY & 0x7f)?;
    let reason = "answered the question of somebody else for its name, as a reply of 60 bytes".into();
    Some(Verdict::new(Grade::Likely, [reason]).field("name", name))
}

/// Whether a device says that it does not let itself be searched for; what else such a reply holds is not known.
fn is_refusal(reply: &[u8]) -> bool {
    let length = |high: u8, low: u8| usize::from(u16::from_be_bytes([high, low]));
    matches!(reply, [SEARCH_REPLY, REFUSED, high, low, 0, 0, 0, 0, ..] if length(*high, *low) == reply.len())
}

fn read(reply: &[u8], asked: [u8; 4]) -> Option<SearchReply> {
    if !LENGTHS.contains(&reply.len()) {
        return None;
    }
    let (header, rest) = reply.split_first_chunk::<8>()?;
    let [opcode, result, high, low, id @ ..] = header;
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    if *opcode != SEARCH_REPLY || *result != 0 || length != reply.len() || *id != asked {
        return None;
    }
    let (application, rest) = rest.split_first_chunk::<4>()?;
    let (hardware, rest) = rest.split_first_chunk::<2>()?;
    let (mac, rest) = rest.split_first_chunk::<6>()?;
    let (address, _) = rest.split_first_chunk::<4>()?;
    Some(SearchReply {
        application: u32::from_le_bytes(*application),
        hardware: u16::from_le_bytes(*hardware),
        mac: *mac,
        address: Ipv4Addr::from(*address),
    })
}

fn verdict(subject: &Subject<'_>, reply: &SearchReply, length: usize) -> Verdict {
    let mac: Vec<String> = reply.mac.iter().map(|byte| format!("{byte:02X}")).collect();
    let mac = mac.join(":");
    let valid =
        format!("answered the search request with a valid reply: opcode 81, result 0, length {length}");
    let (grade, owner) = if reply.mac.starts_with(&MOXA) {
        (
            Grade::Proven,
            format!("its hardware address {mac} is in Moxa's block 00:90:E8"),
        )
    } else {
        // Re-branded and virtual units have other addresses; so could something that only imitates the reply.
        (
            Grade::Likely,
            format!("its hardware address {mac} is not in Moxa's block 00:90:E8"),
        )
    };
    let verdict = Verdict::new(grade, [valid, owner])
        .field("mac", Untrusted::new(mac))
        .field("address", Untrusted::new(reply.address.to_string()));
    match model(&subject.service.hardware, reply) {
        Some(model) => verdict
            .field("vendor", Untrusted::new("Moxa"))
            .field("model", Untrusted::new(model)),
        None => verdict,
    }
}

fn model<'k>(known: &'k [Hardware], reply: &SearchReply) -> Option<&'k str> {
    known
        .iter()
        .find(|hardware| {
            hardware.id == reply.hardware
                && hardware
                    .application
                    .is_none_or(|application| application == reply.application)
        })
        .map(|hardware| hardware.name.as_str())
}

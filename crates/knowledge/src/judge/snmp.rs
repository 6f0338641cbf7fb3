//! SNMP v2c (RFC 3416, RFC 3418): the response that carries sysDescr and sysObjectID. A community is a credential, so
//! the request is only made from one that a person gives; none is ever guessed.
//!
//! Layout (BER): a sequence of version, community and message; the message (A2) of request id, error, index and the
//! list of names and values.

use portcullis_model::{Grade, Untrusted};

use super::{
    Subject, Verdict,
    cursor::{Cursor, padded_text},
    silence_reasons,
};
use crate::Seen;

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const OCTETS: u8 = 0x04;
const NULL: u8 = 0x05;
const IDENTIFIER: u8 = 0x06;
const GET: u8 = 0xa0;
const RESPONSE: u8 = 0xa2;
const VERSION_2C: u8 = 1;
const REQUEST_ID: [u8; 2] = [0x50, 0x43];
/// 1.3.6.1.2.1.1.1.0
const SYS_DESCR: [u8; 8] = [0x2b, 6, 1, 2, 1, 1, 1, 0];
/// 1.3.6.1.2.1.1.2.0
const SYS_OBJECT_ID: [u8; 8] = [0x2b, 6, 1, 2, 1, 1, 2, 0];
/// 1.3.6.1.4.1.8691, the enterprise of Moxa.
const MOXA: [u8; 7] = [0x2b, 6, 1, 4, 1, 0xc3, 0x73];
/// Longer communities do not occur, and every length here fits one byte.
const LONGEST_COMMUNITY: usize = 64;

/// A get of sysDescr and sysObjectID; `None` for a community that is empty or longer than 64 bytes.
pub(crate) fn get(community: &str) -> Option<Vec<u8>> {
    if community.is_empty() || community.len() > LONGEST_COMMUNITY {
        return None;
    }
    let bound = |name: &[u8]| item(SEQUENCE, &[item(IDENTIFIER, &[name.to_vec()])?, vec![NULL, 0]]);
    let list = item(SEQUENCE, &[bound(&SYS_DESCR)?, bound(&SYS_OBJECT_ID)?])?;
    let zero = vec![INTEGER, 1, 0];
    let id = item(INTEGER, &[REQUEST_ID.to_vec()])?;
    let message = item(GET, &[id, zero.clone(), zero, list])?;
    item(
        SEQUENCE,
        &[
            vec![INTEGER, 1, VERSION_2C],
            item(OCTETS, &[community.as_bytes().to_vec()])?,
            message,
        ],
    )
}

fn item(tag: u8, parts: &[Vec<u8>]) -> Option<Vec<u8>> {
    let content = parts.concat();
    let length = u8::try_from(content.len()).ok().filter(|length| *length < 0x80);
    let mut bytes = vec![tag];
    match length {
        Some(length) => bytes.push(length),
        None => bytes.extend([0x81, u8::try_from(content.len()).ok()?]),
    }
    bytes.extend(content);
    Some(bytes)
}

pub(super) fn judge(subject: &Subject<'_>, seen: &Seen) -> Option<Verdict> {
    let place = subject.place_reason("SNMP")?;
    let request = seen.request.as_ref()?;
    if seen.reply.is_empty() {
        let reasons = std::iter::once(place).chain(silence_reasons(seen));
        return Some(Verdict::new(Grade::Possible, reasons));
    }
    if seen.overheard.is_some() {
        return Some(overheard(place, request, &seen.reply));
    }
    Some(read(request, &seen.reply).unwrap_or_else(|| {
        // It is not quoted: the community may be in it.
        let reason = "the answer is not that of SNMP to this read".to_owned();
        Verdict::new(Grade::RuledOut, [reason])
    }))
}

/// What others ask is not always a get, and version 3 is not read. The bytes are never quoted: the community is in them.
fn overheard(place: String, request: &[u8], reply: &[u8]) -> Verdict {
    if let Some(verdict) = read(request, reply) {
        return Verdict {
            grade: Grade::Likely,
            reasons: vec![
                place,
                "answered somebody else's read with the same community".into(),
            ],
            ..verdict
        };
    }
    let both = message(request).zip(message(reply));
    let fits = both.is_some_and(|(asked, answer)| {
        asked.version == answer.version && asked.community == answer.community && answer.tag == RESPONSE
    });
    if fits {
        let reason = "answered somebody else's request as SNMP prescribes, with the same community".into();
        return Verdict::new(Grade::Likely, [place, reason]);
    }
    let reason = "answered somebody else's request in a way that is not read here".into();
    Verdict::new(Grade::Possible, [place, reason])
}

/// What stands in one message.
struct Message<'b> {
    version: &'b [u8],
    community: &'b [u8],
    tag: u8,
    content: &'b [u8],
}

/// One variable of a response.
struct Variable<'b> {
    name: &'b [u8],
    tag: u8,
    value: &'b [u8],
}

fn read(request: &[u8], reply: &[u8]) -> Option<Verdict> {
    let values = response(request, reply)?;
    let mut verdict = Verdict::new(
        Grade::Proven,
        ["answered the read of sysDescr and sysObjectID with our request id".to_owned()],
    );
    for Variable { name, tag, value } in values {
        if tag == OCTETS && name == SYS_DESCR {
            if let Some(text) = padded_text(value) {
                verdict = verdict.field("product", text);
            }
        } else if tag == IDENTIFIER && name == SYS_OBJECT_ID {
            if value.starts_with(&MOXA) {
                verdict = verdict.field("vendor", Untrusted::new("Moxa"));
            }
            verdict = verdict.field("object-id", Untrusted::new(dotted(value)?));
        }
    }
    Some(verdict)
}

/// The variables of a response to this very request.
fn response<'b>(request: &[u8], reply: &'b [u8]) -> Option<Vec<Variable<'b>>> {
    let (asked, answer) = (message(request)?, message(reply)?);
    let same = asked.version == answer.version && asked.community == answer.community;
    if !same || asked.tag != GET || answer.tag != RESPONSE {
        return None;
    }
    let (mut asked, mut answer) = (Cursor::new(asked.content), Cursor::new(answer.content));
    if expect(&mut asked, INTEGER)? != expect(&mut answer, INTEGER)? {
        return None;
    }
    let _error = expect(&mut answer, INTEGER)?;
    let _index = expect(&mut answer, INTEGER)?;
    let mut list = Cursor::new(expect(&mut answer, SEQUENCE)?);
    answer.end()?;
    let mut values = Vec::new();
    while !list.rest().is_empty() {
        let mut bound = Cursor::new(expect(&mut list, SEQUENCE)?);
        let name = expect(&mut bound, IDENTIFIER)?;
        let (tag, value) = any(&mut bound)?;
        bound.end()?;
        values.push(Variable { name, tag, value });
    }
    Some(values)
}

fn message(bytes: &[u8]) -> Option<Message<'_>> {
    let mut outer = Cursor::new(bytes);
    let mut cursor = Cursor::new(expect(&mut outer, SEQUENCE)?);
    outer.end()?;
    let version = expect(&mut cursor, INTEGER)?;
    let community = expect(&mut cursor, OCTETS)?;
    let (tag, content) = any(&mut cursor)?;
    cursor.end()?;
    Some(Message {
        version,
        community,
        tag,
        content,
    })
}

fn expect<'b>(cursor: &mut Cursor<'b>, wanted: u8) -> Option<&'b [u8]> {
    let (tag, value) = any(cursor)?;
    (tag == wanted).then_some(value)
}

fn any<'b>(cursor: &mut Cursor<'b>) -> Option<(u8, &'b [u8])> {
    let tag = cursor.byte()?;
    let length = match cursor.byte()? {
        short @ 0..=0x7f => usize::from(short),
        0x81 => usize::from(cursor.byte()?),
        0x82 => usize::from(cursor.be16()?),
        _ => return None,
    };
    Some((tag, cursor.take(length)?))
}

/// An object identifier in dotted form (X.690, 8.19).
fn dotted(value: &[u8]) -> Option<String> {
    let (first, rest) = value.split_first()?;
    let mut text = format!("{}.{}", first / 40, first % 40);
    let mut arc = 0u32;
    for byte in rest.iter().take(64) {
        arc = arc.checked_mul(128)?.checked_add(u32::from(byte & 0x7f))?;
        if byte & 0x80 == 0 {
            text.push_str(&format!(".{arc}"));
            arc = 0;
        }
    }
    Some(text)
}

//! Digi ADDP on udp/2362: the reply to the configuration request (command 1). The commands that set something (3, 5, 7,
//! 9) are never sent.
//!
//! Layout: `DIGI`, command (2), length of what follows (2), then items of type (1), length (1), value.

use portcullis_model::{Grade, Untrusted};

use super::{
    Subject, Verdict, asked,
    cursor::{Cursor, mac, padded_text},
};
use crate::Seen;

const REQUEST_CONFIGURATION: [u8; 14] = [
    b'D', b'I', b'G', b'I', 0, 1, 0, 6, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
];
pub(super) const REQUESTS: &[&[u8]] = &[&REQUEST_CONFIGURATION];

pub(super) fn judge(subject: &Subject<'_>, seen: &Seen) -> Option<Verdict> {
    asked::judge(subject, seen, "Digi ADDP", |_, reply| read(reply))
}

fn read(reply: &[u8]) -> Option<Verdict> {
    let mut cursor = Cursor::new(reply);
    cursor.exactly(b"DIGI\0\x02")?;
    if usize::from(cursor.be16()?) != cursor.rest().len() {
        return None;
    }
    let reason = "answered the configuration request with a valid reply".into();
    let mut verdict = Verdict::new(Grade::Proven, [reason]).field("vendor", Untrusted::new("Digi"));
    let mut has_address = false;
    while !cursor.rest().is_empty() {
        let kind = cursor.byte()?;
        let length = cursor.byte()?;
        let value = cursor.take(length.into())?;
        let field = match kind {
            0x01 if length == 6 => {
                has_address = true;
                verdict = verdict.field("mac", mac(value));
                continue;
            }
            0x04 => "name",
            0x08 => "firmware",
            0x0d => "model",
            _ => continue,
        };
        if let Some(text) = padded_text(value) {
            verdict = verdict.field(field, text);
        }
    }
    has_address.then_some(verdict)
}

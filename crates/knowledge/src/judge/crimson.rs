//! Red Lion Crimson 3: the reply to the read of the register that holds the manufacturer, then the one with the model.
//!
//! Layout: length of what follows (2), register (2), type (2), text, NUL. All numbers are big-endian.

use portcullis_model::{Grade, Untrusted};

use super::{
    Subject, Verdict, asked,
    cursor::{Cursor, text_at},
};
use crate::Seen;

const READ_MANUFACTURER: [u8; 6] = [0, 4, 1, 0x2b, 0x1b, 0];
const READ_MODEL: [u8; 6] = [0, 4, 1, 0x2a, 0x1a, 0];
pub(super) const REQUESTS: &[&[u8]] = &[&READ_MANUFACTURER];
pub(super) const FURTHER: &[&[u8]] = &[&READ_MODEL];

pub(super) fn judge(subject: &Subject<'_>, seen: &Seen) -> Option<Verdict> {
    asked::judge(subject, seen, "Red Lion Crimson", |request, reply| {
        let vendor = read(request, reply)?;
        let reason = "answered the read of its manufacturer register with a text".into();
        let verdict = Verdict::new(Grade::Proven, [reason]).field("vendor", vendor);
        let model = seen
            .further
            .first()
            .filter(|turn| turn.request == READ_MODEL)
            .and_then(|turn| read(&turn.request, &turn.reply));
        Some(match model {
            Some(model) => verdict.field("model", model),
            None => verdict,
        })
    })
}

fn read(request: &[u8], reply: &[u8]) -> Option<Untrusted> {
    let mut cursor = Cursor::new(reply);
    if usize::from(cursor.be16()?) != cursor.rest().len() {
        return None;
    }
    cursor.exactly(request.get(2..4)?)?;
    // The text is the last thing in the reply: nothing but its NUL may follow.
    let text = text_at(reply, 6)?;
    (reply.iter().skip(6).position(|byte| *byte == 0) == reply.len().checked_sub(7)).then_some(text)
}

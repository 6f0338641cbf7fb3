//! CODESYS V2: the reply to command 01. That command is a login, so it is only sent when a person asks for it.
//!
//! Layout as far as known: BB BB, then texts that a NUL ends: system at 64, its kind at 96, product at 128 (RED).

use portcullis_model::Grade;

use super::{Subject, Verdict, asked, cursor::text_at};
use crate::Seen;

const LOGIN: [u8; 7] = [0xbb, 0xbb, 1, 0, 0, 0, 1];
pub(super) const REQUESTS: &[&[u8]] = &[&LOGIN];
const SYSTEM: usize = 64;
const KIND: usize = 96;
const PRODUCT: usize = 128;

pub(super) fn judge(subject: &Subject<'_>, seen: &Seen) -> Option<Verdict> {
    asked::judge(subject, seen, "CODESYS V2", |_, reply| read(reply))
}

fn read(reply: &[u8]) -> Option<Verdict> {
    if !reply.starts_with(&[0xbb, 0xbb]) {
        return None;
    }
    let system = text_at(reply, SYSTEM)?;
    let kind = text_at(reply, KIND)?;
    let product = text_at(reply, PRODUCT)?;
    let reason = "answered with BB BB and names its system and its product".into();
    let verdict = Verdict::new(Grade::Proven, [reason]);
    Some(
        verdict
            .field("os", system)
            .field("revision", kind)
            .field("product", product),
    )
}

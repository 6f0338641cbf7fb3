//! ProConOS: the reply to the information request: CC 01, and texts that a NUL ends at fixed offsets (RED).
//!
//! An echo service sends CC 01 back as well, so the text of the runtime is asked for.

use portcullis_model::Grade;

use super::{Subject, Verdict, asked, cursor::text_at};
use crate::Seen;

const ASK: [u8; 10] = [0xcc, 1, 0, 0x0b, 0x40, 2, 0, 0, 0x47, 0xee];
pub(super) const REQUESTS: &[&[u8]] = &[&ASK];
const RUNTIME: usize = 12;
const TYPE: usize = 44;
const PROJECT: usize = 77;

pub(super) fn judge(subject: &Subject<'_>, seen: &Seen) -> Option<Verdict> {
    asked::judge(subject, seen, "ProConOS", |_, reply| read(reply))
}

fn read(reply: &[u8]) -> Option<Verdict> {
    if !reply.starts_with(&[0xcc, 1]) {
        return None;
    }
    let runtime = text_at(reply, RUNTIME).filter(|text| text.raw().starts_with("ProConOS"))?;
    let model = text_at(reply, TYPE)?;
    let reason = "answered the information request and names its runtime".into();
    let verdict = Verdict::new(Grade::Proven, [reason])
        .field("product", runtime)
        .field("model", model);
    Some(match text_at(reply, PROJECT) {
        Some(project) => verdict.field("name", project),
        None => verdict,
    })
}

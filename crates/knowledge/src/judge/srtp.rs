//! GE-SRTP: the reply to the empty first message. No session is opened after it.
//!
//! Both messages have 56 bytes; byte 0 of the reply is 01 and byte 8 is 0F. Two bytes and a length can be chance, so no
//! more than likely follows from them.

use portcullis_model::Grade;

use super::{Subject, Verdict, asked};
use crate::Seen;

const LENGTH: usize = 56;
pub(super) const REQUESTS: &[&[u8]] = &[&[0; LENGTH]];

pub(super) fn judge(subject: &Subject<'_>, seen: &Seen) -> Option<Verdict> {
    asked::judge(subject, seen, "GE-SRTP", |_, reply| {
        let [1, _, _, _, _, _, _, _, 0x0f, ..] = reply else {
            return None;
        };
        // A counter or a ramp of bytes is no header: most of the header is empty.
        let empty = reply.iter().filter(|byte| **byte == 0).count();
        let reason =
            "answered the first message with one of 56 bytes that begins 01 and has 0F at byte 8".into();
        (reply.len() == LENGTH && empty >= LENGTH / 2).then(|| Verdict::new(Grade::Likely, [reason]))
    })
}

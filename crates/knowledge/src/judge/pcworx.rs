//! PC Worx: the reply to the first of three messages; the session that the other two would open is not opened.
//!
//! Layout as far as known: 81 where the request has 01, the same message type, length of all (2), …, session id at
//! byte 17. That is enough for likely, not for a proof.

use portcullis_model::Grade;

use super::{Subject, Verdict, asked, cursor::Cursor};
use crate::Seen;

const HELLO: &[u8; 26] = b"\x01\x01\x00\x1a\x00\x00\x00\x00\x78\x80\x00\x03\x00\x0cIBETH01N0_M\x00";
pub(super) const REQUESTS: &[&[u8]] = &[HELLO];
/// The session id is byte 17.
const SHORTEST: usize = 18;

pub(super) fn judge(subject: &Subject<'_>, seen: &Seen) -> Option<Verdict> {
    asked::judge(subject, seen, "PC Worx", read)
}

fn read(request: &[u8], reply: &[u8]) -> Option<Verdict> {
    let mut cursor = Cursor::new(reply);
    cursor.exactly(&[0x81, 1])?;
    if usize::from(cursor.be16()?) != reply.len() || reply.len() < SHORTEST {
        return None;
    }
    // Our own message with one bit changed is no reply.
    if reply.get(1..) == request.get(1..) {
        return None;
    }
    let reason = "answered the first message of PC Worx with its reply type and a right length".into();
    Some(Verdict::new(Grade::Likely, [reason]))
}

//! HART-IP: the reply to "session initiate", asked only when a person wants it: a device has few sessions.
//!
//! Layout: version 1, message type (1 response, 0F refusal), message id 0, status, our transaction id (2), length of
//! all (2), then master type (1) and timeout in milliseconds (4).

use portcullis_model::Grade;

use super::{Subject, Verdict, asked, cursor::Cursor};
use crate::Seen;

/// A session that ends by itself after 5 s without traffic.
const INITIATE: [u8; 13] = [1, 0, 0, 0, 0x50, 0x43, 0, 13, 1, 0, 0, 0x13, 0x88];
pub(super) const REQUESTS: &[&[u8]] = &[&INITIATE];

pub(super) fn judge(subject: &Subject<'_>, seen: &Seen) -> Option<Verdict> {
    asked::judge(subject, seen, "HART-IP", read)
}

fn read(request: &[u8], reply: &[u8]) -> Option<Verdict> {
    let mut cursor = Cursor::new(reply);
    cursor.exactly(&[1])?;
    let kind = cursor.byte()?;
    cursor.exactly(&[0])?;
    let status = cursor.byte()?;
    cursor.exactly(request.get(4..6)?)?;
    if usize::from(cursor.be16()?) != reply.len() {
        return None;
    }
    let reason = match (kind, cursor.rest().len()) {
        (1, 5) => format!("opened a HART-IP session, status {status}"),
        (0x0f, _) => format!("refused a HART-IP session, status {status}: it speaks HART-IP"),
        _ => return None,
    };
    Some(Verdict::new(Grade::Proven, [reason]))
}

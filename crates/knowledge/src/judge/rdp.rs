//! Remote Desktop (MS-RDPBCGR, 2.2.1.1 and 2.2.1.2): the connection confirm with its negotiation part.
//!
//! Layout: TPKT (3, 0, length in 2 bytes), length, D0, our reference (2, zero), its reference (2), class; then the
//! negotiation: 2 chosen or 3 refused, flags, length 8 (2, little-endian), protocol or reason (4, little-endian).

use portcullis_model::Grade;

use super::{Subject, Verdict, asked, cursor::Cursor};
use crate::Seen;

/// Offers TLS and CredSSP, as every present client does; no user is named.
const CONNECT: [u8; 19] = [3, 0, 0, 19, 14, 0xe0, 0, 0, 0, 0, 0, 1, 0, 8, 0, 3, 0, 0, 0];
pub(super) const REQUESTS: &[&[u8]] = &[&CONNECT];

pub(super) fn judge(subject: &Subject<'_>, seen: &Seen) -> Option<Verdict> {
    asked::judge(subject, seen, "Remote Desktop", |_, reply| read(reply))
}

fn read(reply: &[u8]) -> Option<Verdict> {
    let mut cursor = Cursor::new(reply);
    cursor.exactly(&[3, 0, 0, 19, 14, 0xd0, 0, 0])?;
    let _its_reference = cursor.be16()?;
    let _class = cursor.byte()?;
    let kind = cursor.byte()?;
    let _flags = cursor.byte()?;
    cursor.exactly(&[8, 0])?;
    let value = cursor.le32()?;
    cursor.end()?;
    let reason = match (kind, value) {
        (2, 0) => "chose Remote Desktop's own encryption".to_owned(),
        (2, 1..=16) => "chose TLS or CredSSP".into(),
        (3, 1..=6) => format!("refused what was offered, reason {value}"),
        _ => return None,
    };
    let reason = format!("answered the connection request of Remote Desktop: {reason}");
    Some(Verdict::new(Grade::Proven, [reason]))
}

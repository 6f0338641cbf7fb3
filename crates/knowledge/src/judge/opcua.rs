//! OPC UA over TCP (OPC 10000-6, 7.1): the answer to Hello, which opens no secure channel.
//!
//! Layout, all little-endian: `ACK` or `ERR`, `F`, length of all (4); then five numbers, or an error code and a text.

use portcullis_model::Grade;

use super::{Subject, Verdict, asked, cursor::Cursor};
use crate::Seen;

pub(super) fn judge(subject: &Subject<'_>, seen: &Seen) -> Option<Verdict> {
    asked::judge(subject, seen, "OPC UA", |_, reply| read(reply))
}

fn read(reply: &[u8]) -> Option<Verdict> {
    let mut cursor = Cursor::new(reply);
    let kind: [u8; 4] = cursor.array()?;
    if usize::try_from(cursor.le32()?) != Ok(reply.len()) {
        return None;
    }
    let reason = match &kind {
        b"ACKF" => {
            cursor.take(20)?;
            cursor.end()?;
            "answered Hello with Acknowledge".into()
        }
        b"ERRF" => {
            let code = cursor.le32()?;
            let length = cursor.le32()?;
            // -1 stands for no text.
            if length != u32::MAX {
                cursor.take(usize::try_from(length).ok()?)?;
            }
            cursor.end()?;
            // The two highest bits are the severity; 10 is bad (OPC 10000-4, 7.39).
            if code >> 30 != 0b10 {
                return None;
            }
            format!("answered Hello with OPC UA error {code:08X}: it speaks OPC UA and does not tell more")
        }
        _ => return None,
    };
    Some(Verdict::new(Grade::Proven, [reason]))
}

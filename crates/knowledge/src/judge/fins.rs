//! OMRON FINS: over UDP the reply to "controller data read" (05 01), over TCP the reply to the node address request.
//!
//! UDP: header (10: ICF, two bytes, destination (3), source (3), service id), command (2), end code (2), model (20),
//! version (20). TCP: `FINS`, length of what follows (4), command (4), error (4), client node (4), server node (4).

use portcullis_model::Grade;

use super::{
    Subject, Verdict, asked,
    cursor::{Cursor, padded_text},
};
use crate::Seen;

const READ_CONTROLLER_DATA: [u8; 13] = [0x80, 0, 2, 0, 0, 0, 0, 0x63, 0, 0xef, 5, 1, 0];
const REQUEST_NODE: [u8; 20] = [
    b'F', b'I', b'N', b'S', 0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
];
pub(super) const UDP_REQUESTS: &[&[u8]] = &[&READ_CONTROLLER_DATA];
pub(super) const TCP_REQUESTS: &[&[u8]] = &[&REQUEST_NODE];

pub(super) fn judge_udp(subject: &Subject<'_>, seen: &Seen) -> Option<Verdict> {
    asked::judge(subject, seen, "OMRON FINS", |request, reply| {
        read_udp(request, reply)
    })
}

pub(super) fn judge_tcp(subject: &Subject<'_>, seen: &Seen) -> Option<Verdict> {
    asked::judge(subject, seen, "OMRON FINS", |_, reply| read_tcp(reply))
}

fn read_udp(request: &[u8], reply: &[u8]) -> Option<Verdict> {
    let mut cursor = Cursor::new(reply);
    if !matches!(cursor.byte()?, 0xc0 | 0xc1) {
        return None;
    }
    cursor.take(2)?;
    // The reply goes to where the request came from, and carries its service id and command.
    cursor.exactly(request.get(6..9)?)?;
    cursor.take(3)?;
    cursor.exactly(request.get(9..12)?)?;
    match cursor.be16()? {
        0 => {
            let model = padded_text(cursor.take(20)?)?;
            let firmware = padded_text(cursor.take(20)?)?;
            let reason = "answered the read of the controller data without error".into();
            let verdict = Verdict::new(Grade::Proven, [reason]);
            Some(verdict.field("model", model).field("firmware", firmware))
        }
        code => {
            cursor.end()?;
            let reason = format!("answered the read of the controller data with FINS end code {code:04X}");
            Some(Verdict::new(Grade::Likely, [reason]))
        }
    }
}

fn read_tcp(reply: &[u8]) -> Option<Verdict> {
    let mut cursor = Cursor::new(reply);
    cursor.exactly(b"FINS\0\0\0\x10")?;
    // The request is command 0; its answer is another.
    if cursor.le32()? == 0 {
        return None;
    }
    cursor.take(12)?;
    cursor.end()?;
    let reason = "answered the node address request of FINS/TCP".into();
    Some(Verdict::new(Grade::Proven, [reason]))
}

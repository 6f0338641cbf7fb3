//! S7comm over ISO transport (RFC 1006, RFC 905): the confirmation of a connection, then the answer to the S7 setup.
//!
//! The confirmation alone proves ISO transport only: IEC 61850 (MMS) uses the same. Layout: TPKT (3, 0, length in 2
//! bytes), COTP (length, D0, our reference, its reference, class), parameters as code, length, value.

use portcullis_model::Grade;

use super::{Subject, Verdict, asked, cursor::Cursor};
use crate::Seen;

/// COTP connection request from reference 0x0014 to TSAP 01 02 (rack 0, slot 2).
const CONNECT: [u8; 22] = [
    3, 0, 0, 22, 0x11, 0xe0, 0, 0, 0, 0x14, 0, 0xc1, 2, 1, 0, 0xc2, 2, 1, 2, 0xc0, 1, 0x0a,
];
/// S7 setup communication: agrees on the length of messages and opens nothing else.
const SETUP: [u8; 25] = [
    3, 0, 0, 25, 2, 0xf0, 0x80, 0x32, 1, 0, 0, 0, 0, 0, 8, 0, 0, 0xf0, 0, 0, 1, 0, 1, 1, 0xe0,
];
pub(super) const REQUESTS: &[&[u8]] = &[&CONNECT];
pub(super) const FURTHER: &[&[u8]] = &[&SETUP];

pub(super) fn judge(subject: &Subject<'_>, seen: &Seen) -> Option<Verdict> {
    asked::judge(subject, seen, "S7comm", |_, reply| {
        read_confirmation(reply)?;
        let confirmed = "confirmed the ISO transport connection to TSAP 01 02".to_owned();
        let setup = seen.further.first();
        if setup.is_some_and(|turn| turn.request == SETUP && read_setup(&turn.reply).is_some()) {
            let agreed = "answered the S7 setup as S7comm prescribes".into();
            return Some(Verdict::new(Grade::Proven, [agreed, confirmed]));
        }
        let more = "ISO transport is also what IEC 61850 (MMS) uses: only an answer to the S7 setup would tell them apart";
        Some(Verdict::new(Grade::Possible, [confirmed, more.into()]))
    })
}

/// A connection confirm to our reference 0x0014, class 0.
fn read_confirmation(reply: &[u8]) -> Option<()> {
    let mut cursor = packet(reply)?;
    let length = usize::from(cursor.byte()?);
    if length != cursor.rest().len() {
        return None;
    }
    cursor.exactly(&[0xd0, 0x00, 0x14])?;
    let _its_reference = cursor.be16()?;
    cursor.exactly(&[0])?;
    while !cursor.rest().is_empty() {
        let code = cursor.byte()?;
        let length = cursor.byte()?;
        cursor.take(length.into())?;
        if !matches!(code, 0xc0..=0xc2) {
            return None;
        }
    }
    Some(())
}

/// Acknowledgement (3) of the job with our reference, without error, with the parameters of setup communication.
fn read_setup(reply: &[u8]) -> Option<()> {
    let mut cursor = packet(reply)?;
    cursor.exactly(&[2, 0xf0, 0x80, 0x32, 3, 0, 0, 0, 0, 0, 8, 0, 0])?;
    let _error = cursor.be16()?;
    cursor.exactly(&[0xf0])?;
    cursor.take(7)?;
    cursor.end()
}

fn packet(reply: &[u8]) -> Option<Cursor<'_>> {
    let mut cursor = Cursor::new(reply);
    cursor.exactly(&[3, 0])?;
    (usize::from(cursor.be16()?) == reply.len()).then_some(cursor)
}

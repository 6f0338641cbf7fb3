//! DNP3 (IEEE 1815, clause 9): the reply to one Request Link Status, which changes no state of the link.
//!
//! Layout: 05 64, length (5), control, destination (2, little-endian), source (2, little-endian), CRC (2).

use portcullis_model::Grade;

use super::{Subject, Verdict, asked, cursor::Cursor};
use crate::Seen;

/// From link address 0 to link address 1. One address only: a sweep over addresses is what stops outstations.
const REQUEST_LINK_STATUS: [u8; 10] = [0x05, 0x64, 5, 0xc9, 1, 0, 0, 0, 0xde, 0x8e];
pub(super) const REQUESTS: &[&[u8]] = &[&REQUEST_LINK_STATUS];

pub(super) fn judge(subject: &Subject<'_>, seen: &Seen) -> Option<Verdict> {
    let mut verdict = asked::judge(subject, seen, "DNP3", read)?;
    if verdict.grade == Grade::Possible && seen.request.is_some() {
        verdict.reasons.push(
            "an outstation is silent for link addresses that it does not have; only address 1 was asked"
                .into(),
        );
    }
    Some(verdict)
}

fn read(request: &[u8], reply: &[u8]) -> Option<Verdict> {
    let mut cursor = Cursor::new(reply);
    cursor.exactly(&[0x05, 0x64, 5])?;
    let control = cursor.byte()?;
    // The reply goes to our address and comes from the one that we asked.
    cursor.exactly(request.get(6..8)?)?;
    cursor.exactly(request.get(4..6)?)?;
    let checksum = cursor.le16()?;
    cursor.end()?;
    if checksum != crc(reply.get(..8)?) {
        return None;
    }
    // From the outstation (0x80 clear), from its secondary station (0x40 clear).
    let said = match control & 0xcf {
        0x0b => "link status",
        0x0f => "link service not supported",
        _ => return None,
    };
    let reason = format!("answered Request Link Status with {said} from link address 1, checksum right");
    Some(Verdict::new(Grade::Proven, [reason]))
}

/// CRC-16/DNP (IEEE 1815, 9.2.4.3).
fn crc(bytes: &[u8]) -> u16 {
    let mut crc = 0u16;
    for byte in bytes {
        crc ^= u16::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xa6bc } else { crc >> 1 };
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_known_frames() {
        let sent = |frame: &[u8]| u16::from_le_bytes([frame[8], frame[9]]);
        assert_eq!(crc(&REQUEST_LINK_STATUS[..8]), sent(&REQUEST_LINK_STATUS));
        let to_zero = [0x05, 0x64, 5, 0xc9, 0, 0, 0, 0, 0x36, 0x4c];
        assert_eq!(crc(&to_zero[..8]), sent(&to_zero));
    }
}

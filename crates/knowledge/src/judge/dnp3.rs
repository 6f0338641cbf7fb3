//! DNP3 (IEEE 1815, clause 9): the reply to one Request Link Status, which changes no state of the link.
//!
//! Layout: 05 64, length (5 and the user data), control, destination (2, little-endian), source (2, little-endian), CRC (2).

use portcullis_model::Grade;

use super::{Subject, Verdict, asked, cursor::Cursor};
use crate::Seen;

/// From link address 0 to link address 1. One address only: a sweep over addresses is what stops outstations.
const REQUEST_LINK_STATUS: [u8; 10] = [0x05, 0x64, 5, 0xc9, 1, 0, 0, 0, 0xde, 0x8e];
pub(super) const REQUESTS: &[&[u8]] = &[&REQUEST_LINK_STATUS];

/// Bits of the control byte: from the master; from a primary station.
const FROM_MASTER: u8 = 0x80;
const PRIMARY: u8 = 0x40;

/// One frame of the link layer, checksums right.
struct Frame {
    control: u8,
    destination: [u8; 2],
    source: [u8; 2],
}

pub(super) fn judge(subject: &Subject<'_>, seen: &Seen) -> Option<Verdict> {
    subject.place?;
    if let Some(verdict) = read(seen) {
        return Some(verdict);
    }
    let mut verdict = asked::judge(subject, seen, "DNP3", |_, _| None)?;
    if verdict.grade == Grade::Possible && seen.request.is_some() {
        verdict.reasons.push(
            "an outstation is silent for link addresses that it does not have; only address 1 was asked"
                .into(),
        );
    }
    Some(verdict)
}

/// The first frame that proves. An outstation may report unasked as soon as a connection stands, so such a frame can come
/// before the answer or instead of it.
fn read(seen: &Seen) -> Option<Verdict> {
    let mut cursor = Cursor::new(seen.bytes());
    while let Some(frame) = frame(&mut cursor) {
        let address = u16::from_le_bytes(frame.source);
        let said = match frame.control & !0x30 {
            0x0b if answers(&frame) => "answered Request Link Status with link status",
            0x0f if answers(&frame) => "answered Request Link Status with link service not supported",
            // Confirmed or unconfirmed user data.
            0x43 | 0x44 if seen.overheard.is_some() => "sent user data to its master",
            0x43 | 0x44 => "reported of its own accord",
            _ => continue,
        };
        let reason = format!("{said} from link address {address}, checksums right");
        return Some(Verdict::new(Grade::Proven, [reason]));
    }
    None
}

/// Whether the frame goes to our address and comes from the one that we asked.
fn answers(frame: &Frame) -> bool {
    let [_, _, _, _, asked @ .., _, _] = REQUEST_LINK_STATUS;
    asked.as_slice() == [frame.source, frame.destination].concat()
}

/// The next frame from an outstation. User data follows the header in blocks of 16 bytes, each with its checksum.
fn frame(cursor: &mut Cursor<'_>) -> Option<Frame> {
    let mut rest = *cursor;
    let header = rest.take(8)?;
    let header_sum = rest.le16()?;
    let [0x05, 0x64, length @ 5..=255, control, d0, d1, s0, s1] = *header else {
        return None;
    };
    let mut left = usize::from(length) - 5;
    let mut right = header_sum == crc(header);
    while left > 0 {
        let block = rest.take(left.min(16))?;
        right &= rest.le16()? == crc(block);
        left -= block.len();
    }
    *cursor = rest;
    let from_outstation = control & FROM_MASTER == 0;
    let fits = (control & PRIMARY != 0) == (length > 5);
    (right && from_outstation && fits).then_some(Frame {
        control,
        destination: [d0, d1],
        source: [s0, s1],
    })
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

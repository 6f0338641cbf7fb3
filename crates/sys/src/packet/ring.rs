//! The layout of a block of a TPACKET_V3 ring (`Documentation/networking/packet_mmap.rst` of Linux), pure.

/// Where the status of a block lies: after `version` and `offset_to_priv` of `struct tpacket_block_desc`.
pub(super) const STATUS: usize = 8;
const COUNT: usize = 12;
const FIRST: usize = 16;
/// Fields of `struct tpacket3_hdr`.
const KEPT_BYTES: usize = 12;
const FRAME: usize = 24;

/// The frames of a block. It believes no length and no offset: what does not fit ends it.
pub(super) fn frames(block: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut left = word(block, COUNT).unwrap_or_default();
    let mut at = word(block, FIRST).and_then(|first| usize::try_from(first).ok());
    std::iter::from_fn(move || {
        left = left.checked_sub(1)?;
        let header = block.get(at?..)?;
        let step = usize::try_from(word(header, 0)?).ok()?;
        at = at.and_then(|at| at.checked_add(step));
        let kept = usize::try_from(word(header, KEPT_BYTES)?).ok()?;
        let start = header.get(FRAME..FRAME + 2)?;
        let start = usize::from(u16::from_ne_bytes(start.try_into().ok()?));
        header.get(start..start.checked_add(kept)?)
    })
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_ne_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(frames: &[&[u8]]) -> Vec<u8> {
        let mut block = vec![0; 48];
        block[COUNT..COUNT + 4].copy_from_slice(&(frames.len() as u32).to_ne_bytes());
        block[FIRST..FIRST + 4].copy_from_slice(&48u32.to_ne_bytes());
        for frame in frames {
            let mut header = vec![0; 48];
            header[..4].copy_from_slice(&(48 + frame.len() as u32).to_ne_bytes());
            header[KEPT_BYTES..KEPT_BYTES + 4].copy_from_slice(&(frame.len() as u32).to_ne_bytes());
            header[FRAME..FRAME + 2].copy_from_slice(&48u16.to_ne_bytes());
            block.extend(header);
            block.extend_from_slice(frame);
        }
        block
    }

    #[test]
    fn every_frame_comes_once_and_in_order() {
        let whole = block(&[b"first", b"second", b""]);
        let found: Vec<&[u8]> = frames(&whole).collect();
        assert_eq!(found, [&b"first"[..], b"second", b""]);
    }

    #[test]
    fn a_block_that_lies_ends_early() {
        let mut whole = block(&[b"first", b"second"]);
        whole[48..52].copy_from_slice(&u32::MAX.to_ne_bytes());
        assert_eq!(frames(&whole).count(), 1);
        for length in 0..whole.len() {
            assert!(frames(&whole[..length]).count() <= 2);
        }
    }
}

//! The layout of a block of a TPACKET_V3 ring (`Documentation/networking/packet_mmap.rst` of Linux), pure.

/// Where the status of a block lies: after `version` and `offset_to_priv` of `struct tpacket_block_desc`.
pub(super) const STATUS: usize = 8;
const COUNT: usize = 12;
const FIRST: usize = 16;
/// Fields of `struct tpacket3_hdr`.
const KEPT_BYTES: usize = 12;
const FRAME: usize = 24;

/// Where `struct sockaddr_ll` lies in a record, and in it the kind of hardware and of packet.
const HARDWARE: usize = 48 + 8;
const PACKET: usize = 48 + 10;
/// `TP_STATUS_VLAN_VALID`, and `PACKET_OUTGOING` of `linux/if_packet.h`.
const TAGGED: u32 = 1 << 4;
const OUTGOING: u8 = 4;

/// A frame, with what the kernel says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard<'b> {
    /// When, in nanoseconds since 1970.
    pub at: u64,
    /// Its bytes, as far as they are kept.
    pub bytes: &'b [u8],
    /// The VLAN of a tag that the kernel took off.
    pub vlan: Option<u16>,
    /// The kind of hardware (`ARPHRD_…` of `linux/if_arp.h`): 1 is Ethernet.
    pub hardware: u16,
    /// Whether this host sent it.
    pub outgoing: bool,
}

/// The frames of a block.
pub(super) fn frames(block: &[u8]) -> impl Iterator<Item = &[u8]> {
    records(block).map(|(_, frame)| frame)
}

/// The frames of a block, with what the kernel says of each.
pub(super) fn heard(block: &[u8]) -> impl Iterator<Item = Heard<'_>> {
    records(block).map(|(header, bytes)| {
        let number = |at| word(header, at).unwrap_or_default();
        let tagged = number(20) & TAGGED != 0;
        Heard {
            at: u64::from(number(4)) * 1_000_000_000 + u64::from(number(8)),
            bytes,
            vlan: tagged.then(|| (number(32) & 0x0fff) as u16),
            hardware: (number(HARDWARE) & 0xffff) as u16,
            outgoing: header.get(PACKET) == Some(&OUTGOING),
        }
    })
}

/// The records of a block, each from its header on, and the frame in it. It believes no length and no offset: what does
/// not fit ends it.
fn records(block: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
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
        Some((header, header.get(start..start.checked_add(kept)?)?))
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
    fn what_the_kernel_says_of_a_frame_is_read_where_it_lies() {
        let mut whole = block(&[b"a frame that is long enough for the address behind the header"]);
        let mut put = |at: usize, bytes: &[u8]| whole[48 + at..48 + at + bytes.len()].copy_from_slice(bytes);
        put(4, &7u32.to_ne_bytes());
        put(8, &9u32.to_ne_bytes());
        put(20, &(TAGGED | 1).to_ne_bytes());
        put(32, &0xf064u32.to_ne_bytes());
        put(HARDWARE, &772u16.to_ne_bytes());
        put(PACKET, &[OUTGOING]);
        let found: Vec<Heard<'_>> = heard(&whole).collect();
        let one = found[0];
        assert_eq!(
            (one.at, one.vlan, one.hardware, one.outgoing),
            (7_000_000_009, Some(100), 772, true)
        );
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

//! pcap: a header, then each frame with its time and two lengths (draft-ietf-opsawg-pcap).

use std::io::Read;

use crate::{
    Damage, Frame, Link,
    buffer::Buffer,
    file::{Order, length, reading},
};

const HEADER: usize = 16;

/// What the header of the file says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pcap {
    order: Order,
    /// Nanoseconds in the unit that times are counted in.
    unit: u64,
    link: Link,
    /// Of each frame: 16 bytes, and 8 more in the format of some old Linux systems.
    header: usize,
}

impl Pcap {
    /// Reads the header of the file, 24 bytes.
    pub(crate) fn begin(head: &[u8]) -> Option<Self> {
        let magic = Order::Little.word(head, 0)?;
        let (order, unit, header) = match (magic, magic.swap_bytes()) {
            (0xa1b2_c3d4, _) => (Order::Little, 1000, HEADER),
            (_, 0xa1b2_c3d4) => (Order::Big, 1000, HEADER),
            (0xa1b2_3c4d, _) => (Order::Little, 1, HEADER),
            (_, 0xa1b2_3c4d) => (Order::Big, 1, HEADER),
            (0xa1b2_cd34, _) => (Order::Little, 1000, HEADER + 8),
            (_, 0xa1b2_cd34) => (Order::Big, 1000, HEADER + 8),
            _ => return None,
        };
        // The upper half tells of checksums behind the frames.
        let link = order.word(head, 20)? & 0xffff;
        Some(Self {
            order,
            unit,
            link: Link::numbered(u16::try_from(link).unwrap_or(u16::MAX)),
            header,
        })
    }

    pub(crate) fn next<'b, R: Read>(
        &mut self,
        buffer: &'b mut Buffer<R>,
    ) -> Result<Option<Frame<'b>>, Damage> {
        let at = buffer.taken();
        let ready = buffer.fill(self.header).map_err(reading(buffer))?;
        if ready == 0 {
            return Ok(None);
        }
        let truncated = || Damage::Truncated { at };
        let header = buffer.ready(self.header).ok_or_else(truncated)?;
        let number = |place| self.order.word(header, place).unwrap_or_default();
        let (seconds, fraction, kept) = (number(0), number(4), number(8));
        let kept = length(kept).ok_or(Damage::Record {
            at,
            why: "it claims more bytes than a frame can have",
        })?;
        let whole = self.header + kept;
        if buffer.fill(whole).map_err(reading(buffer))? < whole {
            return Err(truncated());
        }
        buffer.take(self.header);
        let time = u64::from(seconds) * 1_000_000_000 + u64::from(fraction) * self.unit;
        let link = self.link;
        let bytes = buffer.hand_out(kept);
        Ok(Some(Frame {
            at: time,
            link,
            bytes,
        }))
    }
}

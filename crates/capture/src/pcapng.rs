//! pcapng: blocks of a type and a length, several interfaces, each with its own unit of time
//! (draft-ietf-opsawg-pcapng).

use std::io::Read;

use crate::{
    Damage, Frame, Link,
    buffer::{Buffer, SIZE},
    file::{Order, length, reading},
};

/// The type of a section header block, the same in both byte orders.
pub(crate) const SECTION: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];
const INTERFACE: u32 = 1;
const OLD_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const STATISTICS: u32 = 5;
const PACKET: u32 = 6;
/// Most interfaces of one section that are remembered.
const MOST_INTERFACES: usize = 4096;
/// Type and length before a block's content; the length is repeated behind it.
const AROUND: usize = 12;

/// What the current section has said so far.
#[derive(Debug, Default)]
pub(crate) struct Pcapng {
    order: Order,
    interfaces: Vec<Interface>,
    /// Of earlier sections.
    dropped_before: u64,
    last: u64,
}

#[derive(Debug, Clone, Copy)]
struct Interface {
    link: Link,
    unit: Unit,
    /// What is to be added to each time, in seconds.
    offset: i64,
    /// Longest piece of a frame that is kept; 0 is no limit.
    snap: u32,
    dropped: u64,
}

/// What times are counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    /// So many to a second.
    Decimal(u64),
    /// Two to this power to a second.
    Binary(u32),
}

impl Unit {
    /// From `if_tsresol`: a power of ten, or of two when the highest bit is set.
    fn of(resolution: u8) -> Option<Self> {
        let power = u32::from(resolution & 0x7f);
        if resolution & 0x80 == 0 {
            10_u64.checked_pow(power).map(Self::Decimal)
        } else {
            (power < 64).then_some(Self::Binary(power))
        }
    }

    fn nanoseconds(self, count: u64, offset: i64) -> u64 {
        let (count, second) = (i128::from(count), 1_000_000_000_i128);
        let time = match self {
            Self::Decimal(per_second) => count * second / i128::from(per_second),
            Self::Binary(power) => (count * second) >> power,
        };
        let time = time + i128::from(offset) * second;
        u64::try_from(time.max(0)).unwrap_or(u64::MAX)
    }
}

impl Pcapng {
    /// Frames that the capturing system dropped, by the last word of each interface.
    pub(crate) fn dropped(&self) -> u64 {
        let now = self.interfaces.iter().map(|interface| interface.dropped);
        now.fold(self.dropped_before, u64::saturating_add)
    }

    pub(crate) fn next<'b, R: Read>(
        &mut self,
        buffer: &'b mut Buffer<R>,
    ) -> Result<Option<Frame<'b>>, Damage> {
        loop {
            let at = buffer.taken();
            let ready = buffer.fill(AROUND).map_err(reading(buffer))?;
            if ready == 0 {
                return Ok(None);
            }
            let head = buffer.ready(AROUND).ok_or(Damage::Truncated { at })?;
            let damaged = |why| Damage::Record { at, why };
            if head.starts_with(&SECTION) {
                self.begin_section(head)
                    .ok_or(damaged("the section is in no known byte order"))?;
            }
            let kind = self.order.word(head, 0).unwrap_or_default();
            let claimed = self.order.word(head, 4).unwrap_or_default();
            // The length of a block is a multiple of four; some writers forget that.
            let whole = usize::try_from(claimed).map(|whole| whole.next_multiple_of(4));
            let whole = whole.unwrap_or(usize::MAX);
            if whole < AROUND {
                return Err(damaged("the block is shorter than its own frame"));
            }
            if whole > SIZE {
                // Names, keys and blocks of other programs can be as long as they like; a frame cannot.
                if matches!(kind, INTERFACE | OLD_PACKET | SIMPLE_PACKET | STATISTICS | PACKET) {
                    return Err(damaged("the block is longer than one of its kind can be"));
                }
                if !buffer.skip(whole as u64).map_err(reading(buffer))? {
                    return Err(Damage::Truncated { at });
                }
                continue;
            }
            if buffer.fill(whole).map_err(reading(buffer))? < whole {
                return Err(Damage::Truncated { at });
            }
            let block = buffer.ready(whole).unwrap_or_default();
            if self.order.word(block, whole - 4) != Some(claimed) {
                return Err(damaged("the two lengths of the block differ"));
            }
            let content = block.get(8..whole - 4).unwrap_or_default();
            let frame = match kind {
                PACKET | OLD_PACKET => self.packet(content, kind == OLD_PACKET),
                SIMPLE_PACKET => self.simple(content),
                INTERFACE => self.interface(content).map(|()| None),
                STATISTICS => {
                    self.statistics(content);
                    Some(None)
                }
                _ => Some(None),
            };
            let frame = frame.ok_or(damaged("what it holds does not fit in it"))?;
            let Some((time, link, from, kept)) = frame else {
                buffer.take(whole);
                continue;
            };
            let bytes = buffer
                .hand_out(whole)
                .get(8 + from..8 + from + kept)
                .unwrap_or_default();
            return Ok(Some(Frame {
                at: time,
                link,
                bytes,
            }));
        }
    }

    fn begin_section(&mut self, head: &[u8]) -> Option<()> {
        self.order = match head.get(8..12)? {
            [0x4d, 0x3c, 0x2b, 0x1a] => Order::Little,
            [0x1a, 0x2b, 0x3c, 0x4d] => Order::Big,
            _ => return None,
        };
        self.dropped_before = self.dropped();
        self.interfaces.clear();
        Some(())
    }

    fn interface(&mut self, content: &[u8]) -> Option<()> {
        let link = self.order.half(content, 0)?;
        let mut interface = Interface {
            link: Link::numbered(link),
            unit: Unit::Decimal(1_000_000),
            offset: 0,
            snap: self.order.word(content, 4)?,
            dropped: 0,
        };
        let order = self.order;
        options(order, content.get(8..)?, |code, value| match (code, value) {
            (9, [resolution, ..]) => {
                if let Some(unit) = Unit::of(*resolution) {
                    interface.unit = unit;
                }
            }
            (14, value) => {
                if let Some(offset) = order.long(value, 0) {
                    interface.offset = offset.cast_signed();
                }
            }
            _ => {}
        });
        // Frames of interfaces beyond the bound have no link type that is read; they are counted so.
        if self.interfaces.len() < MOST_INTERFACES {
            self.interfaces.push(interface);
        }
        Some(())
    }

    /// Time, link type, and where in the content the frame lies.
    fn packet(&mut self, content: &[u8], old: bool) -> Option<Option<(u64, Link, usize, usize)>> {
        let number = match old {
            true => u32::from(self.order.half(content, 0)?),
            false => self.order.word(content, 0)?,
        };
        let high = self.order.word(content, 4)?;
        let low = self.order.word(content, 8)?;
        let kept = length(self.order.word(content, 12)?)?;
        content.get(20..20 + kept)?;
        let count = u64::from(high) << 32 | u64::from(low);
        let interface = usize::try_from(number)
            .ok()
            .and_then(|number| self.interfaces.get(number));
        let (time, link) = match interface {
            Some(interface) => (
                interface.unit.nanoseconds(count, interface.offset),
                interface.link,
            ),
            None => (self.last, Link::Unknown(u16::MAX)),
        };
        self.last = time;
        Some(Some((time, link, 20, kept)))
    }

    /// A packet without a time, of the first interface: the time is that of the packet before.
    fn simple(&mut self, content: &[u8]) -> Option<Option<(u64, Link, usize, usize)>> {
        let original = self.order.word(content, 0)?;
        let first = self.interfaces.first();
        let snap = first.map(|first| first.snap).filter(|snap| *snap > 0);
        let kept = length(snap.map_or(original, |snap| snap.min(original)))?;
        content.get(4..4 + kept)?;
        let link = first.map_or(Link::Unknown(u16::MAX), |first| first.link);
        Some(Some((self.last, link, 4, kept)))
    }

    fn statistics(&mut self, content: &[u8]) {
        let order = self.order;
        let number = order
            .word(content, 0)
            .and_then(|number| usize::try_from(number).ok());
        let Some(interface) = number.and_then(|number| self.interfaces.get_mut(number)) else {
            return;
        };
        // isb_ifdrop: by the interface; isb_osdrop: by the system. Both count from the beginning of the capture.
        let (mut by_interface, mut by_system) = (0, 0);
        options(
            order,
            content.get(12..).unwrap_or_default(),
            |code, value| match code {
                5 => by_interface = order.long(value, 0).unwrap_or_default(),
                7 => by_system = order.long(value, 0).unwrap_or_default(),
                _ => {}
            },
        );
        interface.dropped = interface.dropped.max(by_interface.saturating_add(by_system));
    }
}

/// Options: code, length, value, padded to four bytes; code 0 ends them.
fn options(order: Order, mut bytes: &[u8], mut each: impl FnMut(u16, &[u8])) {
    while let (Some(code @ 1..), Some(length)) = (order.half(bytes, 0), order.half(bytes, 2)) {
        let length = usize::from(length);
        let Some(value) = bytes.get(4..4 + length) else {
            return;
        };
        each(code, value);
        bytes = bytes.get(4 + length.next_multiple_of(4)..).unwrap_or_default();
    }
}

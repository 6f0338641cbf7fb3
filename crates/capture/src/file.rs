//! Captures as files: which kind it is, and one frame after the other.

use std::{fmt, io::Read};

use crate::{
    CaptureError, Damage, Link,
    buffer::Buffer,
    pcap::Pcap,
    pcapng::{self, Pcapng},
};

/// Most bytes that a frame may have: what tcpdump and dumpcap take when nothing else is said (`MAXIMUM_SNAPLEN` of
/// libpcap).
pub(crate) const LONGEST_FRAME: usize = 262_144;

/// How a capture is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Container {
    /// pcap (draft-ietf-opsawg-pcap), with times in microseconds or nanoseconds.
    Pcap,
    /// pcapng (draft-ietf-opsawg-pcapng).
    Pcapng,
}

impl fmt::Display for Container {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pcap => "pcap",
            Self::Pcapng => "pcapng",
        })
    }
}

/// One frame as it was captured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'b> {
    /// When, in nanoseconds since 1970 (UTC).
    pub at: u64,
    /// What it begins with.
    pub link: Link,
    /// The bytes that were kept.
    pub bytes: &'b [u8],
}

/// A capture that is being read. It holds 1 MiB of it, whatever its size.
pub struct File<R> {
    buffer: Buffer<R>,
    kind: Kind,
}

enum Kind {
    Pcap(Pcap),
    Pcapng(Pcapng),
}

impl<R> fmt::Debug for File<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("File").finish_non_exhaustive()
    }
}

impl<R: Read> File<R> {
    /// Begins to read a capture.
    ///
    /// # Errors
    /// When it is of no known format, compressed or empty, or cannot be read.
    pub fn open(reader: R) -> Result<Self, CaptureError> {
        let mut buffer = Buffer::new(reader);
        let ready = buffer.fill(24).map_err(CaptureError::Reading)?;
        let head = buffer.ready(ready).unwrap_or_default();
        let kind = match head {
            [] => return Err(CaptureError::Empty),
            [0x1f, 0x8b, ..]
            | [0x28, 0xb5, 0x2f, 0xfd, ..]
            | [0xfd, b'7', b'z', ..]
            | [b'B', b'Z', b'h', ..] => {
                return Err(CaptureError::Compressed);
            }
            _ if head.starts_with(&pcapng::SECTION) => Kind::Pcapng(Pcapng::default()),
            _ => {
                let pcap = Pcap::begin(head).ok_or(CaptureError::UnknownFormat)?;
                buffer.take(24);
                Kind::Pcap(pcap)
            }
        };
        Ok(Self { buffer, kind })
    }

    /// How it is written.
    pub fn container(&self) -> Container {
        match self.kind {
            Kind::Pcap(_) => Container::Pcap,
            Kind::Pcapng(_) => Container::Pcapng,
        }
    }

    /// The next frame; `None` at the end.
    ///
    /// # Errors
    /// When nothing behind this place can be read.
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_>>, Damage> {
        match &mut self.kind {
            Kind::Pcap(pcap) => pcap.next(&mut self.buffer),
            Kind::Pcapng(pcapng) => pcapng.next(&mut self.buffer),
        }
    }

    /// How many frames the capturing program says it lost; only pcapng can say.
    pub fn dropped(&self) -> u64 {
        match &self.kind {
            Kind::Pcap(_) => 0,
            Kind::Pcapng(pcapng) => pcapng.dropped(),
        }
    }
}

/// The error of a reader.
pub(crate) fn reading<R: Read>(buffer: &Buffer<R>) -> impl FnOnce(std::io::Error) -> Damage + use<R> {
    let at = buffer.taken();
    move |source| Damage::Reading { at, source }
}

/// How numbers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Order {
    #[default]
    Little,
    Big,
}

impl Order {
    pub(crate) fn half(self, bytes: &[u8], at: usize) -> Option<u16> {
        let bytes = bytes.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(match self {
            Self::Little => u16::from_le_bytes(bytes),
            Self::Big => u16::from_be_bytes(bytes),
        })
    }

    pub(crate) fn word(self, bytes: &[u8], at: usize) -> Option<u32> {
        let bytes = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(match self {
            Self::Little => u32::from_le_bytes(bytes),
            Self::Big => u32::from_be_bytes(bytes),
        })
    }

    pub(crate) fn long(self, bytes: &[u8], at: usize) -> Option<u64> {
        let bytes = bytes.get(at..at.checked_add(8)?)?.try_into().ok()?;
        Some(match self {
            Self::Little => u64::from_le_bytes(bytes),
            Self::Big => u64::from_be_bytes(bytes),
        })
    }
}

/// Of a length that comes from outside, how much of it is taken for real.
pub(crate) fn length(claimed: u32) -> Option<usize> {
    usize::try_from(claimed)
        .ok()
        .filter(|length| *length <= LONGEST_FRAME)
}

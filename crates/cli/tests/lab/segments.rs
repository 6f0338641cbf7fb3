//! What arrives at the far end of a cable, with the kernel's own times; and a stand-in that answers with segments of its
//! own making.

use std::{
    io::IoSliceMut,
    net::{IpAddr, Ipv4Addr},
    os::fd::{AsRawFd, OwnedFd},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use nix::sys::{
    socket::{
        AddressFamily, ControlMessageOwned, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, recvmsg,
        setsockopt, socket, sockopt,
    },
    time::TimeSpec,
};
use portcullis_sys::packet::{Sender, route::interfaces};

pub(crate) const FIN: u8 = 1;
pub(crate) const SYN: u8 = 2;
pub(crate) const RST: u8 = 4;
pub(crate) const ACK: u8 = 16;

/// A packet for an IP address; the fields of TCP are 0 when it is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) from: IpAddr,
    pub(crate) to: IpAddr,
    pub(crate) protocol: u8,
    pub(crate) from_port: u16,
    pub(crate) port: u16,
    pub(crate) flags: u8,
    pub(crate) sequence: u32,
    pub(crate) acknowledged: u32,
    /// Bytes of the user.
    pub(crate) data: u32,
}

impl Segment {
    /// An answer to this one, which acknowledges all of it.
    pub(crate) fn answer(&self, flags: u8, sequence: u32) -> Self {
        let taken = self.data + u32::from(self.flags & (SYN | FIN) != 0);
        Self {
            from: self.to,
            to: self.from,
            from_port: self.port,
            port: self.from_port,
            flags,
            sequence,
            acknowledged: self.sequence.wrapping_add(taken),
            data: 0,
            ..*self
        }
    }

    pub(crate) fn is_syn(&self) -> bool {
        self.protocol == 6 && self.flags & (SYN | ACK) == SYN
    }

    fn read(frame: &[u8]) -> Option<Self> {
        let word = |at: usize| Some(u16::from_be_bytes(frame.get(at..at + 2)?.try_into().ok()?));
        let long = |at: usize| Some(u32::from_be_bytes(frame.get(at..at + 4)?.try_into().ok()?));
        let (from, to, protocol, transport, end): (IpAddr, IpAddr, u8, usize, usize) = match word(12)? {
            0x0800 => {
                let header = usize::from(frame.get(14)? & 15) * 4;
                let address = |at: usize| Some(Ipv4Addr::from(long(at)?).into());
                let end = 14 + usize::from(word(16)?);
                (address(26)?, address(30)?, *frame.get(23)?, 14 + header, end)
            }
            0x86dd => {
                let address = |at: usize| Some(<[u8; 16]>::try_from(frame.get(at..at + 16)?).ok()?.into());
                let end = 54 + usize::from(word(18)?);
                (address(22)?, address(38)?, *frame.get(20)?, 54, end)
            }
            _ => return None,
        };
        let mut segment = Self {
            from,
            to,
            protocol,
            from_port: 0,
            port: 0,
            flags: 0,
            sequence: 0,
            acknowledged: 0,
            data: 0,
        };
        if matches!(protocol, 6 | 17) {
            segment.from_port = word(transport)?;
            segment.port = word(transport + 2)?;
        }
        if protocol == 6 {
            segment.sequence = long(transport + 4)?;
            segment.acknowledged = long(transport + 8)?;
            let header = usize::from(frame.get(transport + 12)? >> 4) * 4;
            segment.flags = *frame.get(transport + 13)?;
            segment.data = end.saturating_sub(transport + header) as u32;
        }
        Some(segment)
    }

    /// As a frame of IPv4.
    fn write(&self, frame: &mut [u8], ethernet: ([u8; 6], [u8; 6])) -> Option<()> {
        let (IpAddr::V4(from), IpAddr::V4(to)) = (self.from, self.to) else {
            return None;
        };
        let mut ip: Vec<u8> = vec![0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0];
        ip.extend(from.octets());
        ip.extend(to.octets());
        let sum = checksum(&[&ip]);
        ip.splice(10..12, sum);
        let mut tcp = Vec::new();
        tcp.extend(self.from_port.to_be_bytes());
        tcp.extend(self.port.to_be_bytes());
        tcp.extend(self.sequence.to_be_bytes());
        tcp.extend(self.acknowledged.to_be_bytes());
        tcp.extend([0x50, self.flags, 0xff, 0xff, 0, 0, 0, 0]);
        let sum = checksum(&[&from.octets(), &to.octets(), &[0, 6, 0, 20], &tcp]);
        tcp.splice(16..18, sum);
        let whole = [&ethernet.0[..], &ethernet.1, &[8, 0], &ip, &tcp].concat();
        frame.copy_from_slice(&whole);
        Some(())
    }
}

const FRAME: usize = 54;
/// Whose frames they are; nobody looks.
const OWN: [u8; 6] = [2, 0, 0, 0, 0, 2];

fn checksum(parts: &[&[u8]]) -> [u8; 2] {
    let words = parts.iter().flat_map(|part| part.chunks(2));
    let word = |pair: &[u8]| {
        let at = |place: usize| u32::from(pair.get(place).copied().unwrap_or_default());
        at(0) << 8 | at(1)
    };
    let mut sum: u32 = words.map(word).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!(sum as u16)).to_be_bytes()
}

/// A packet and when the kernel had it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrived {
    pub(crate) at: Duration,
    pub(crate) segment: Segment,
}

/// Hears all that arrives at the network of the thread that opens it.
struct Ear {
    socket: OwnedFd,
    buffer: Vec<u8>,
}

impl Ear {
    fn open() -> Self {
        let socket = socket(
            AddressFamily::Packet,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
            SockProtocol::EthAll,
        )
        .unwrap();
        setsockopt(&socket, sockopt::ReceiveTimestampns, &true).unwrap();
        setsockopt(&socket, sockopt::RcvBuf, &(4 << 20)).unwrap();
        Self {
            socket,
            buffer: vec![0; 2048],
        }
    }

    /// The next packet that is for the far end, and from whose interface it came.
    fn next(&mut self) -> Option<(Arrived, [u8; 6])> {
        loop {
            let mut control = nix::cmsg_space!(TimeSpec);
            let mut slices = [IoSliceMut::new(&mut self.buffer)];
            let message = recvmsg::<LinkAddr>(
                self.socket.as_raw_fd(),
                &mut slices,
                Some(&mut control),
                MsgFlags::MSG_DONTWAIT,
            )
            .ok()?;
            let (length, from) = (message.bytes, message.address?);
            let stamp = message.cmsgs().unwrap().find_map(|one| match one {
                ControlMessageOwned::ScmTimestampns(at) => Some(at),
                _ => None,
            });
            let at = Duration::from(stamp.unwrap());
            // Neither what goes out (4) nor what is for all (1, 2).
            if from.pkttype() != 0 || from.addr() == Some([0; 6]) {
                continue;
            }
            let frame = self.buffer.get(..length).unwrap_or_default();
            if let Some(segment) = Segment::read(frame) {
                return Some((Arrived { at, segment }, from.addr().unwrap_or_default()));
            }
        }
    }
}

/// Notes what arrives until it is ended.
pub(crate) struct Capture {
    over: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Arrived>>,
}

impl Capture {
    pub(crate) fn begin() -> Self {
        let mut ear = Ear::open();
        let over = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&over);
        let thread = thread::spawn(move || {
            let mut arrived = Vec::new();
            loop {
                let last = told.load(Ordering::Relaxed);
                while let Some((one, _)) = ear.next() {
                    arrived.push(one);
                }
                if last {
                    return arrived;
                }
                thread::sleep(Duration::from_millis(5));
            }
        });
        Self { over, thread }
    }

    /// What arrived but for ICMPv6, by which neighbours find each other.
    pub(crate) fn end(self) -> Vec<Arrived> {
        self.over.store(true, Ordering::Relaxed);
        let mut arrived = self.thread.join().unwrap();
        arrived.retain(|one| one.segment.protocol != 58);
        arrived
    }
}

/// The time so long in which most arrived.
pub(crate) fn fullest(arrived: &[Arrived], window: Duration) -> &[Arrived] {
    let begins = (0..arrived.len()).map(|first| {
        let rest = arrived.get(first..).unwrap_or_default();
        let end = rest.first().map_or(Duration::ZERO, |first| first.at + window);
        let within = rest.iter().take_while(|one| one.at < end).count();
        rest.get(..within).unwrap_or_default()
    });
    begins.max_by_key(|within| within.len()).unwrap_or_default()
}

/// Answers in place of the kernel until it is dropped.
pub(crate) struct Standin {
    over: Arc<AtomicBool>,
}

impl Standin {
    pub(crate) fn begin(
        address: IpAddr,
        mut answer: impl FnMut(&Segment) -> Vec<(Duration, Segment)> + Send + 'static,
    ) -> Self {
        let wire = interfaces()
            .unwrap()
            .into_iter()
            .find(|one| one.name == "wire")
            .unwrap();
        let mut ear = Ear::open();
        let mut sender = Sender::open(wire.index).unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&over);
        thread::spawn(move || {
            let mut waiting: Vec<(Instant, Segment, [u8; 6])> = Vec::new();
            while !told.load(Ordering::Relaxed) {
                while let Some((one, from)) = ear.next() {
                    if one.segment.to == address && one.segment.protocol == 6 {
                        let now = Instant::now();
                        let answers = answer(&one.segment).into_iter();
                        waiting.extend(answers.map(|(after, segment)| (now + after, segment, from)));
                    }
                }
                let now = Instant::now();
                for (_, segment, to) in waiting.extract_if(.., |(due, ..)| *due <= now) {
                    if let Some(frame) = sender.room(FRAME) {
                        segment.write(frame, (to, OWN));
                    }
                }
                sender.send().unwrap();
                thread::sleep(Duration::from_micros(300));
            }
        });
        Self { over }
    }
}

impl Drop for Standin {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

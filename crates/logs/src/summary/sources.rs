//! What is counted for each source, in little memory: 96 bytes for a source that tries one port.

use std::hash::BuildHasher;

use foldhash::quality::RandomState;
use hashbrown::HashTable;
use portcullis_model::{LogMoment, Port, Transport, Verdict};

use super::{PortCount, VerdictCounts, lines::Lines};

/// Destination ports that are kept for one source; a port sweep must not fill the memory.
pub(super) const MOST_PORTS: usize = 64;

/// Second and later ports that are kept for all sources together: a sweep from many sources must not either.
const MOST_FURTHER_PORTS: usize = 1_000_000;

/// Attempts whose sources are looked up together. A source is somewhere in megabytes, and one after the other each would wait for its
/// own: together they wait at the same time.
const TOGETHER: usize = 64;

/// Entries of a chunk. In chunks, growth moves nothing and never needs room for both old and new.
const CHUNK: usize = 4096;

/// Attempts by verdict, in the order of [`place`].
type Counts = [u64; 3];

fn place(verdict: Verdict) -> usize {
    match verdict {
        Verdict::Allowed => 0,
        Verdict::Blocked => 1,
        Verdict::Unknown => 2,
    }
}

/// Packets and sessions. Sessions that are logged at their beginning and at their end, or that have alerts, have several
/// lines; what has most of them is the least number of sessions that explains the lines (see [`Lines`]).
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    packets: Counts,
    /// Beginnings, ends, lines within, and lines of sessions that go on: these say no more than that there was one.
    sessions: Option<Box<[Counts; 4]>>,
}

impl Tally {
    /// Adds one event.
    pub(super) fn add_attempt(&mut self, attempt: &Attempt) {
        self.add(attempt.moment, attempt.verdict, attempt.count);
    }

    fn add(&mut self, moment: LogMoment, verdict: Verdict, count: u64) {
        let kind = match moment {
            LogMoment::Packet => return add(&mut self.packets, verdict, count),
            LogMoment::Begin => 0,
            LogMoment::End => 1,
            LogMoment::Within if count > 0 => 2,
            LogMoment::Within => 3,
        };
        if let Some(counts) = self.sessions.get_or_insert_default().get_mut(kind) {
            add(counts, verdict, count.max(1));
        }
    }

    pub(super) fn absorb(&mut self, other: &Self) {
        sum(&mut self.packets, &other.packets);
        if let Some(other) = &other.sessions {
            let own = self.sessions.get_or_insert_default();
            own.iter_mut()
                .zip(other.iter())
                .for_each(|(own, other)| sum(own, other));
        }
    }

    pub(super) fn verdicts(&self) -> VerdictCounts {
        match &self.sessions {
            Some(_) => self.lines().verdicts(),
            None => {
                let [allowed, blocked, unknown] = self.packets;
                VerdictCounts {
                    allowed,
                    blocked,
                    unknown,
                }
            }
        }
    }

    /// By how many more there may be: see [`Lines::may_be_more`].
    pub(super) fn may_be_more(&self) -> u64 {
        self.sessions.as_ref().map_or(0, |_| self.lines().may_be_more())
    }

    fn lines(&self) -> Lines {
        let [begins, ends, within, going_on] = self.sessions.as_deref().copied().unwrap_or_default();
        Lines([self.packets, begins, ends, within, going_on])
    }
}

fn add(counts: &mut Counts, verdict: Verdict, count: u64) {
    if let Some(own) = counts.get_mut(place(verdict)) {
        *own = own.saturating_add(count);
    }
}

fn sum(own: &mut Counts, other: &Counts) {
    own.iter_mut()
        .zip(other)
        .for_each(|(own, other)| *own = own.saturating_add(*other));
}

/// Earliest and latest moment, in microseconds since 1970 (UTC).
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) first: i64,
    pub(super) last: i64,
}

impl Default for Span {
    fn default() -> Self {
        Self {
            first: i64::MAX,
            last: i64::MIN,
        }
    }
}

impl Span {
    /// Lines of several files need not come in the order of time.
    pub(super) fn add(&mut self, at: i64) {
        self.first = self.first.min(at);
        self.last = self.last.max(at);
    }

    pub(super) fn absorb(&mut self, other: &Self) {
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
    }
}

/// A port as one number; 0 is none.
type PortNumber = u32;

fn packed(port: Option<Port>) -> PortNumber {
    port.map_or(0, |port| match port.transport {
        Transport::Tcp => 1 << 16 | u32::from(port.number),
        Transport::Udp => 2 << 16 | u32::from(port.number),
    })
}

fn unpacked(packed: PortNumber) -> Port {
    let transport = if packed >> 16 == 1 {
        Transport::Tcp
    } else {
        Transport::Udp
    };
    let [high, low] = [(packed >> 8).to_le_bytes(), packed.to_le_bytes()].map(|[byte, ..]| byte);
    Port {
        transport,
        number: u16::from_be_bytes([high, low]),
    }
}

/// Lines on one port: packets, beginnings, ends, lines within, and those within that prove no verdict. So small that the table does
/// not become larger by them.
#[derive(Debug, Clone, Copy, Default)]
struct OnPort([u32; 5]);

impl OnPort {
    fn of(attempt: &Attempt) -> Self {
        let kind = match (attempt.moment, attempt.verdict) {
            (LogMoment::Packet, _) => 0,
            (LogMoment::Begin, _) => 1,
            (LogMoment::End, _) => 2,
            (LogMoment::Within, Verdict::Allowed | Verdict::Blocked) => 3,
            (LogMoment::Within, Verdict::Unknown) => 4,
        };
        let mut counts = Self::default();
        if let Some(own) = counts.0.get_mut(kind) {
            *own = u32::try_from(attempt.count).unwrap_or(u32::MAX);
        }
        counts
    }

    fn absorb(&mut self, other: Self) {
        for (own, other) in self.0.iter_mut().zip(other.0) {
            *own = own.saturating_add(other);
        }
    }

    /// The least number of attempts that explains the lines.
    fn attempts(self) -> u64 {
        let [packets, begins, ends, within, open] = self.0.map(u64::from);
        // Of a session that goes on there was one.
        (packets + begins.max(ends).max(within)).max(open).max(1)
    }
}

/// One event as the table needs it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attempt {
    pub(super) moment: LogMoment,
    pub(super) verdict: Verdict,
    pub(super) count: u64,
    pub(super) at: Option<i64>,
    pub(super) port: Option<Port>,
}

#[derive(Debug, Clone)]
pub(super) struct Source {
    /// The address in the form of IPv6; one of IPv4 is mapped (RFC 4291, 2.5.5.2).
    pub(super) address: u128,
    pub(super) tally: Tally,
    pub(super) span: Span,
    port: PortNumber,
    on_port: OnPort,
    further: Option<Box<Further>>,
}

#[derive(Debug, Clone, Default)]
struct Further {
    ports: Vec<(PortNumber, OnPort)>,
    beyond: Option<OnPort>,
}

impl Source {
    fn new(address: u128) -> Self {
        Self {
            address,
            tally: Tally::default(),
            span: Span::default(),
            port: 0,
            on_port: OnPort::default(),
            further: None,
        }
    }

    fn add_port(&mut self, port: PortNumber, lines: OnPort, room: &mut usize) {
        if port == 0 {
            return;
        }
        if self.port == 0 {
            self.port = port;
        }
        if self.port == port {
            return self.on_port.absorb(lines);
        }
        let further = self.further.get_or_insert_default();
        if let Some((_, known)) = further.ports.iter_mut().find(|(known, _)| *known == port) {
            known.absorb(lines);
        } else if further.ports.len() + 1 < MOST_PORTS && *room > 0 {
            *room -= 1;
            further.ports.push((port, lines));
        } else {
            further.beyond.get_or_insert_default().absorb(lines);
        }
    }

    fn absorb(&mut self, other: &Self, room: &mut usize) {
        self.tally.absorb(&other.tally);
        self.span.absorb(&other.span);
        self.add_port(other.port, other.on_port, room);
        if let Some(further) = &other.further {
            for (port, lines) in &further.ports {
                self.add_port(*port, *lines, room);
            }
            if let Some(lines) = further.beyond {
                let own = self.further.get_or_insert_default();
                own.beyond.get_or_insert_default().absorb(lines);
            }
        }
    }

    /// Ports with their attempts, and the attempts on ports that were not kept.
    pub(super) fn ports(&self) -> (Vec<PortCount>, u64) {
        let first = (self.port != 0).then_some((self.port, self.on_port));
        let further = self
            .further
            .iter()
            .flat_map(|further| further.ports.iter().copied());
        let ports = first.into_iter().chain(further);
        let ports = ports.map(|(port, lines)| PortCount {
            port: unpacked(port),
            services: Vec::new(),
            way: None,
            attempts: lines.attempts(),
        });
        (
            ports.collect(),
            self.further
                .as_ref()
                .and_then(|further| further.beyond)
                .map_or(0, OnPort::attempts),
        )
    }
}

/// The sources that were met. The hash has a random key, so that nobody can choose addresses that all fall together.
#[derive(Debug, Clone)]
pub(super) struct Sources {
    /// What is not counted yet: nothing, after [`Sources::settle`].
    pending: Vec<(u128, Attempt)>,
    index: HashTable<u32>,
    chunks: Vec<Vec<Source>>,
    hash: RandomState,
    room: usize,
}

impl Default for Sources {
    fn default() -> Self {
        Self {
            pending: Vec::new(),
            index: HashTable::new(),
            chunks: Vec::new(),
            hash: RandomState::default(),
            room: MOST_FURTHER_PORTS,
        }
    }
}

fn at(chunks: &[Vec<Source>], number: u32) -> Option<&Source> {
    let number = number as usize;
    chunks.get(number / CHUNK)?.get(number % CHUNK)
}

impl Sources {
    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Source> {
        self.chunks.iter().flatten()
    }

    /// Takes an attempt, to be counted later. Tells whether it is time for that.
    #[inline]
    pub(super) fn add(&mut self, address: u128, attempt: Attempt) -> bool {
        self.pending.push((address, attempt));
        self.pending.len() >= TOGETHER
    }

    /// Counts what is pending; attempts of sources that are new when there are `most` already are added to `others`.
    pub(super) fn settle(&mut self, most: usize, others: &mut Tally) {
        let mut pending = std::mem::take(&mut self.pending);
        for group in pending.chunks(TOGETHER) {
            let known = self.known(group.iter().map(|(address, _)| *address));
            for ((address, attempt), known) in group.iter().zip(known) {
                match self.entry(known, *address, most) {
                    Some((source, room)) => {
                        source.tally.add_attempt(attempt);
                        if let Some(at) = attempt.at {
                            source.span.add(at);
                        }
                        source.add_port(packed(attempt.port), OnPort::of(attempt), room);
                    }
                    None => others.add_attempt(attempt),
                }
            }
        }
        pending.clear();
        self.pending = pending;
    }

    /// The numbers of a group of sources, of those that are known.
    fn known(&self, addresses: impl Iterator<Item = u128>) -> [Option<u32>; TOGETHER] {
        let mut known = [None; TOGETHER];
        for (known, address) in known.iter_mut().zip(addresses) {
            let is_it =
                |number: &u32| at(&self.chunks, *number).is_some_and(|source| source.address == address);
            *known = self.index.find(self.hash.hash_one(address), is_it).copied();
        }
        known
    }

    /// The entry of a source and the room that is left for ports; it is made when there are fewer than `most`.
    fn entry(&mut self, known: Option<u32>, address: u128, most: usize) -> Option<(&mut Source, &mut usize)> {
        let number = match known {
            Some(number) => number as usize,
            None => self.number(address, most)?,
        };
        let source = self.chunks.get_mut(number / CHUNK)?.get_mut(number % CHUNK)?;
        Some((source, &mut self.room))
    }

    /// The number of a source that was not known a moment ago.
    fn number(&mut self, address: u128, most: usize) -> Option<usize> {
        let hash = self.hash.hash_one(address);
        let chunks = &self.chunks;
        let is_it = |number: &u32| at(chunks, *number).is_some_and(|source| source.address == address);
        if let Some(number) = self.index.find(hash, is_it) {
            return Some(*number as usize);
        }
        let next = self.index.len();
        if next >= most {
            return None;
        }
        let number = u32::try_from(next).ok()?;
        if next.is_multiple_of(CHUNK) && self.chunks.len() <= next / CHUNK {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        self.chunks.get_mut(next / CHUNK)?.push(Source::new(address));
        let (chunks, hasher) = (&self.chunks, &self.hash);
        self.index.insert_unique(hash, number, |number| {
            at(chunks, *number).map_or(0, |source| hasher.hash_one(source.address))
        });
        Some(next)
    }

    /// Takes over what the other has counted, and empties it; what has no room is added to `others`.
    pub(super) fn absorb(&mut self, other: &mut Self, most: usize, others: &mut Tally) {
        for group in other.chunks.iter().flat_map(|chunk| chunk.chunks(TOGETHER)) {
            let known = self.known(group.iter().map(|source| source.address));
            for (source, known) in group.iter().zip(known) {
                match self.entry(known, source.address, most) {
                    Some((own, room)) => own.absorb(source, room),
                    None => others.absorb(&source.tally),
                }
            }
        }
        other.clear();
    }

    fn clear(&mut self) {
        self.index.clear();
        self.chunks.iter_mut().for_each(Vec::clear);
        self.room = MOST_FURTHER_PORTS;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_that_tries_one_port_takes_no_more_room_than_is_said() {
        assert!(size_of::<Source>() <= 96, "{}", size_of::<Source>());
    }

    #[test]
    fn many_at_a_time_are_counted_as_one_after_the_other() {
        let attempt = |number: u16| Attempt {
            moment: LogMoment::Packet,
            verdict: Verdict::Blocked,
            count: u64::from(number),
            at: Some(i64::from(number)),
            port: Some(Port::tcp(number % 3 + 1)),
        };
        // New ones come twice in a group, and of five only three have room.
        let counted = |each: bool| {
            let (mut sources, mut others) = (Sources::default(), Tally::default());
            for number in 0..1000_u16 {
                let is_time = sources.add(u128::from(number / 7 % 5), attempt(number));
                if each || is_time {
                    sources.settle(3, &mut others);
                }
            }
            sources.settle(3, &mut others);
            let kept: Vec<_> = sources
                .iter()
                .map(|source| {
                    (
                        source.address,
                        source.tally.verdicts(),
                        source.span.last,
                        source.ports(),
                    )
                })
                .collect();
            (format!("{kept:?}"), others.verdicts())
        };
        assert_eq!(counted(true), counted(false));
        let (kept, others) = counted(false);
        assert!(
            kept.matches("PortCount").count() == 9 && others.blocked > 0,
            "{kept}"
        );
    }
}

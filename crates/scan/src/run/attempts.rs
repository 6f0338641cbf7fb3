//! Connections that are being made: many at a time, with little remembered of each.
//!
//! They stand in an `epoll(7)` set of their own, so that an attempt costs a descriptor and some bytes, not a task. The
//! set itself is one descriptor that the runtime watches.

use std::{cmp::Reverse, collections::BinaryHeap, io, time::Duration};

use nix::sys::{
    epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout},
    resource::{Resource, getrlimit, setrlimit},
};
use portcullis_sys::Readable;
use socket2::Socket;

use crate::places::Place;

/// Most attempts at a time, where the limit of descriptors lets as many: more would burden this host's own kernel.
const MOST: u64 = 32_768;
/// Descriptors that are left for everything else.
const SPARED: u64 = 1200;
/// How many sockets are told at once.
const EVENTS: usize = 1024;

/// Why a port is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// To see its state.
    Look,
    /// Its state is known: to see whether the answer comes.
    Canary,
}

/// One connection that is being made.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) socket: Socket,
    pub(super) place: Place,
    pub(super) why: Why,
    /// When it was begun, as time since the start of the scan.
    pub(super) begun: Duration,
    number: u32,
}

/// All of them.
pub(super) struct Attempts {
    epoll: Epoll,
    /// Tells the runtime when some socket is ready.
    pub(super) readable: Readable,
    slots: Vec<Option<Attempt>>,
    free: Vec<u32>,
    /// When each is to be looked at again: its time, slot and number.
    due: BinaryHeap<Reverse<(Duration, u32, u32)>>,
    events: Vec<EpollEvent>,
    count: u32,
    most: usize,
}

impl Attempts {
    pub(super) fn new() -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        Ok(Self {
            readable: Readable::new(epoll.0.try_clone()?)?,
            epoll,
            slots: Vec::new(),
            free: Vec::new(),
            due: BinaryHeap::new(),
            events: vec![EpollEvent::empty(); EVENTS],
            count: 0,
            most: most(),
        })
    }

    pub(super) fn under_way(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Whether there is room for one more, when so many descriptors beside are taken.
    pub(super) fn has_room(&self, taken: usize) -> bool {
        self.under_way() + taken < self.most
    }

    /// How many there may be at a time.
    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// Takes a connection that is being made. It is looked at again at `due`, should it not be ready before.
    ///
    /// # Errors
    /// When the kernel has no room to watch it.
    pub(super) fn add(
        &mut self,
        socket: Socket,
        place: Place,
        why: Why,
        begun: Duration,
        due: Duration,
    ) -> io::Result<()> {
        let slot = self.free.last().copied().unwrap_or(self.slots.len() as u32);
        let once = EpollFlags::EPOLLOUT | EpollFlags::EPOLLERR | EpollFlags::EPOLLONESHOT;
        self.epoll.add(&socket, EpollEvent::new(once, slot.into()))?;
        self.count = self.count.wrapping_add(1);
        let attempt = Attempt {
            socket,
            place,
            why,
            begun,
            number: self.count,
        };
        self.due.push(Reverse((due, slot, attempt.number)));
        self.free.pop();
        match self.slots.get_mut(slot as usize) {
            Some(free) => *free = Some(attempt),
            None => self.slots.push(Some(attempt)),
        }
        Ok(())
    }

    /// The set needs not be told: it speaks of a socket once, and forgets it when it is closed.
    fn remove(&mut self, slot: u32) -> Option<Attempt> {
        let attempt = self.slots.get_mut(slot as usize)?.take()?;
        self.free.push(slot);
        Some(attempt)
    }

    /// Those that are ready now: they stand or have failed.
    pub(super) fn ready(&mut self) -> io::Result<Vec<Attempt>> {
        let count = match self.epoll.wait(&mut self.events, EpollTimeout::ZERO) {
            Err(nix::errno::Errno::EINTR) => 0,
            count => count?,
        };
        let slots: Vec<u32> = self
            .events
            .iter()
            .take(count)
            .filter_map(|event| u32::try_from(event.data()).ok())
            .collect();
        Ok(slots.into_iter().filter_map(|slot| self.remove(slot)).collect())
    }

    /// Those whose time is over. `wait` says how long an attempt is given, as it is known by now.
    pub(super) fn expired(&mut self, now: Duration, wait: impl Fn(Place) -> Duration) -> Vec<Attempt> {
        let mut expired = Vec::new();
        while let Some(Reverse((due, slot, number))) = self.due.peek().copied()
            && due <= now
        {
            self.due.pop();
            let attempt = self.slots.get(slot as usize).and_then(Option::as_ref);
            let Some(attempt) = attempt.filter(|attempt| attempt.number == number) else {
                continue;
            };
            let until = attempt.begun + wait(attempt.place);
            if until > now {
                self.due.push(Reverse((until, slot, number)));
            } else {
                expired.extend(self.remove(slot));
            }
        }
        expired
    }

    /// When the next one is to be looked at.
    pub(super) fn due(&self) -> Option<Duration> {
        self.due.peek().map(|Reverse((due, ..))| *due)
    }
}

/// As many as the limit of descriptors lets; it is raised as far as this process may.
fn most() -> usize {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return 256;
    };
    let wanted = hard.min(MOST + SPARED);
    let limit = if soft < wanted && setrlimit(Resource::RLIMIT_NOFILE, wanted, hard).is_ok() {
        wanted
    } else {
        soft
    };
    let most = limit.saturating_sub(SPARED).max(limit / 2).clamp(1, MOST);
    usize::try_from(most).unwrap_or(256)
}

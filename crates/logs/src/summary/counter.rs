//! The summary that several threads count into.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::{Clock, Line, Place, Sink, Summary};

/// Sources that a thread keeps to itself before it hands them over: so many that handing over is rare, so few that they
/// stay in a processor's cache.
const OWN_SOURCES: usize = 1 << 14;

/// One summary for several threads.
#[derive(Debug)]
pub struct Shared(Mutex<Summary>);

impl Shared {
    /// Counts into this one.
    pub fn new(summary: Summary) -> Self {
        Self(Mutex::new(summary))
    }

    /// One for each thread.
    pub fn counters(&self, threads: usize) -> Vec<Counter<'_>> {
        (0..threads.max(1)).map(|_| self.one()).collect()
    }

    /// One for a thread that is alone.
    pub fn one(&self) -> Counter<'_> {
        let own = self.lock().empty();
        Counter { own, shared: self }
    }

    fn lock(&self) -> MutexGuard<'_, Summary> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Events, and lines that cannot be read, so far: of the counters that are gone.
    pub fn so_far(&self) -> (u64, u64) {
        let summary = self.lock();
        (summary.events(), summary.unreadable())
    }

    /// What was counted, once the counters are gone.
    pub fn into_summary(self) -> Summary {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts for one thread, and hands over from time to time.
#[derive(Debug)]
pub struct Counter<'s> {
    own: Summary,
    shared: &'s Shared,
}

impl Counter<'_> {
    /// Counts a line. Tells whether it is an event to one of the ports that were asked for.
    pub fn count(&mut self, line: &Line<'_>, place: Place<'_>, bytes: &[u8], clock: &mut Clock<'_>) -> bool {
        match line {
            Line::Event(event) => return self.own.add_soon(event, clock.at(&event.time)),
            Line::Unrelated => self.own.add_unrelated(),
            Line::Lost(lost) => self.own.add_lost(*lost, bytes, || place.to_source()),
            Line::Unreadable(reason) => self.own.add_unreadable(*reason, bytes, || place.to_source()),
        }
        false
    }
}

#[cfg(test)]
impl Counter<'_> {
    pub(super) fn own_mut(&mut self) -> &mut Summary {
        &mut self.own
    }
}

impl Sink for Counter<'_> {
    fn line(&mut self, line: &Line<'_>, place: Place<'_>, bytes: &[u8], clock: &mut Clock<'_>) {
        self.count(line, place, bytes, clock);
    }

    fn pause(&mut self) {
        if self.own.distinct_sources() > OWN_SOURCES {
            self.shared.lock().absorb(&mut self.own);
        }
    }
}

impl Drop for Counter<'_> {
    fn drop(&mut self) {
        self.shared.lock().absorb(&mut self.own);
    }
}

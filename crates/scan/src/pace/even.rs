//! An even schedule: the generic cell rate algorithm (ITU-T I.371). It remembers one time, whatever the rate. Reads no
//! clock; `now` is a parameter.

use std::time::Duration;

/// Picoseconds: at millions of packets per second a nanosecond is too coarse.
pub(crate) const SECOND: u128 = 1_000_000_000_000;
/// The window over which a rate holds.
const WINDOW: u128 = SECOND / 10;
/// From this rate on there is no rate to keep: no machine reaches it.
pub(crate) const UNLIMITED: u32 = 20_000_000;

/// An even schedule: one thing each interval, with so many that may come at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Even {
    interval: u128,
    tolerance: u128,
    next: u128,
}

impl Even {
    pub(crate) fn new(interval: u128, at_once: u128) -> Self {
        Self {
            interval,
            tolerance: at_once.saturating_sub(1) * interval,
            next: 0,
        }
    }

    /// How many may come now.
    pub(crate) fn ready(&self, now: u128) -> u64 {
        if self.interval == 0 {
            return u64::MAX;
        }
        let base = self.next.max(now);
        match (now + self.tolerance).checked_sub(base) {
            Some(room) => u64::try_from(room / self.interval + 1).unwrap_or(u64::MAX),
            None => 0,
        }
    }

    pub(crate) fn take(&mut self, now: u128, count: u64) {
        self.next = self.next.max(now) + u128::from(count) * self.interval;
    }

    /// Takes back what was counted and did not come.
    pub(crate) fn give_back(&mut self, count: u64) {
        self.next = self.next.saturating_sub(u128::from(count) * self.interval);
    }

    /// The same history at another rate.
    pub(crate) fn at(&self, rate: Self) -> Self {
        Self {
            next: self.next,
            ..rate
        }
    }

    /// Nothing comes for so long; without a rate nothing is held back.
    pub(crate) fn delay(&mut self, pause: u128) {
        if self.interval > 0 {
            self.next += pause;
        }
    }

    /// When something may come.
    pub(crate) fn when(&self) -> u128 {
        self.next.saturating_sub(self.tolerance)
    }

    /// So many in a second. What it may send at once is a fortieth of what fits into 100 ms, and the spacing makes up
    /// for that: in every 100 ms and every second no more goes than the rate allows.
    pub(crate) fn rate(per_second: u32) -> Self {
        let rate = u128::from(per_second.max(1));
        if per_second >= UNLIMITED {
            return Self::new(0, 1);
        }
        let window = rate / 10;
        let at_once = (window / 40).max(1);
        if window < 40 {
            return Self::new(SECOND.div_ceil(rate), 1);
        }
        Self::new(WINDOW.div_ceil(window - (at_once - 1)), at_once)
    }
}

pub(crate) fn picoseconds(time: Duration) -> u128 {
    time.as_nanos() * 1000
}

/// Rounded up: not before.
pub(crate) fn time(picoseconds: u128) -> Duration {
    Duration::from_nanos(u64::try_from(picoseconds.div_ceil(1000)).unwrap_or(u64::MAX))
}

//! The same thing again and again: how often lately.

use std::{collections::VecDeque, time::Duration};

use jiff::Timestamp;

use super::{marks::Mark, recent::since};

/// The last moments of something that repeats; at most as many as make a sign.
#[derive(Debug, Default)]
pub(super) struct Repeated(VecDeque<(Mark, bool)>);

impl Repeated {
    /// Adds one, and forgets what is too long ago.
    pub(super) fn add(&mut self, mark: Mark, got_through: bool, count: usize, within: Duration) {
        self.forget(mark.at, within);
        if self.0.len() >= count {
            self.0.pop_front();
        }
        self.0.push_back((mark, got_through));
    }

    pub(super) fn forget(&mut self, now: Timestamp, within: Duration) {
        while self
            .0
            .front()
            .is_some_and(|(mark, _)| since(mark.at, now) > within)
        {
            self.0.pop_front();
        }
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn got_through(&self) -> u64 {
        self.0.iter().filter(|(_, through)| *through).count() as u64
    }

    pub(super) fn marks(&self) -> impl Iterator<Item = Mark> {
        self.0.iter().map(|(mark, _)| *mark)
    }
}

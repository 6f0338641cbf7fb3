//! Many different things touched by one source: ports of a host, or hosts on a port.

use std::time::Duration;

use super::{marks::Mark, recent::since};

/// The different things touched last, each with its last mark. It holds at most as many as make a sign.
#[derive(Debug)]
pub(super) struct Touched<T>(Vec<(T, Mark, bool)>);

impl<T> Default for Touched<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: PartialEq> Touched<T> {
    /// Adds one. Tells the marks, oldest first, and how many of them got through, when `count` different ones were touched
    /// within the time.
    pub(super) fn add(
        &mut self,
        thing: T,
        mark: Mark,
        got_through: bool,
        count: usize,
        within: Duration,
    ) -> Option<(Vec<Mark>, u64)> {
        let now = mark.at;
        self.0
            .retain(|(other, last, _)| *other != thing && since(last.at, now) <= within);
        if self.0.len() >= count {
            self.0.remove(0);
        }
        self.0.push((thing, mark, got_through));
        (self.0.len() >= count).then(|| {
            let marks = self.0.iter().map(|(_, mark, _)| *mark).collect();
            let through = self.0.iter().filter(|(_, _, through)| *through).count();
            (marks, through as u64)
        })
    }
}

//! What has gone to one host within the last second.

use std::{collections::VecDeque, time::Duration};

use super::SECOND;

const TENTH: Duration = Duration::from_millis(100);
/// The windows are so much longer than they must be: packets that are delayed on their way come closer to the next.
const MARGIN: Duration = Duration::from_millis(1);
/// A handshake, a question and an end are two packets each.
const LEAST_SHARE: u32 = 2;

#[derive(Debug, Default)]
pub(super) struct Recent {
    /// When each packet went.
    sent: VecDeque<Duration>,
    /// The spacing after the last action ends here.
    ready: Duration,
}

impl Recent {
    pub(super) fn add(&mut self, now: Duration, packets: u32, ready: Duration) {
        while self
            .sent
            .front()
            .is_some_and(|first| *first + SECOND + MARGIN <= now)
        {
            self.sent.pop_front();
        }
        self.sent.extend((0..packets).map(|_| now));
        self.ready = self.ready.max(ready);
    }

    /// Fewer packets went in the last action than were counted.
    pub(super) fn take_back(&mut self, packets: u32, spacing: Duration) {
        let left = self.sent.len().saturating_sub(packets as usize);
        self.sent.truncate(left);
        self.ready = self.ready.saturating_sub(spacing.saturating_mul(packets));
    }

    /// When so many packets may go at once, at this rate.
    pub(super) fn ready(&self, now: Duration, packets: u32, per_second: u32) -> Duration {
        let windows = [(TENTH, per_second.div_ceil(10)), (SECOND, per_second)];
        let full = windows.into_iter().filter_map(|(window, share)| {
            // So many may stand in the window beside the new ones.
            let room = share.max(LEAST_SHARE).max(packets) - packets;
            let last_to_leave = self.sent.len().checked_sub(room as usize + 1)?;
            let leaves = *self.sent.get(last_to_leave)? + window + MARGIN;
            (leaves > now).then_some(leaves)
        });
        full.max().unwrap_or_default().max(self.ready)
    }

    /// The last action went so much later than it was counted.
    pub(super) fn late(&mut self, by: Duration) {
        let Some(last) = self.sent.back().copied() else {
            return;
        };
        for sent in self.sent.iter_mut().rev().take_while(|sent| **sent == last) {
            *sent += by;
        }
        self.ready += by;
    }

    pub(super) fn is_over(&self, now: Duration) -> bool {
        self.ready <= now && self.sent.back().is_none_or(|last| *last + SECOND + MARGIN <= now)
    }
}

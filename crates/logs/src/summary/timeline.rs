//! When: a bounded number of spans of equal length, which become longer as the log does.

use std::collections::VecDeque;

use jiff::Timestamp;
use portcullis_model::{LogMoment, Verdict};

use super::{
    lines::Lines,
    report::{TimeSpan, TimelineReport},
};

/// Most spans. A plot that is wider than a screen shows no more.
const MOST_SPANS: i64 = 240;

/// Lengths of a span in seconds that people know. Each is a multiple of the one before, so that spans can be joined exactly.
const LENGTHS: [i64; 13] = [
    1, 5, 10, 30, 60, 300, 600, 1800, 3600, 10_800, 21_600, 43_200, 86_400,
];

const MICROSECONDS: i64 = 1_000_000;

/// Counts by time. Spans begin at whole multiples of their length since 1970 (UTC), so that neither the order of the lines nor
/// the number of threads that read them changes anything.
#[derive(Debug, Clone, Default)]
pub(super) struct Timeline {
    /// Number of the length that is in use.
    level: u32,
    /// The first span, in lengths since 1970.
    first: i64,
    spans: VecDeque<Lines>,
    /// First microsecond of the span that was added to last, the one behind it, and its place: lines come many to a span.
    last: (i64, i64, usize),
}

fn length(level: u32) -> i64 {
    let known = LENGTHS.get(level as usize);
    known.copied().unwrap_or_else(|| {
        let days = level.saturating_sub(LENGTHS.len() as u32 - 1).min(40);
        86_400 << days
    })
}

impl Timeline {
    /// Counts lines at a moment, in microseconds since 1970 (UTC).
    pub(super) fn add(&mut self, microseconds: i64, moment: LogMoment, verdict: Verdict, count: u64) {
        let (begin, end, place) = self.last;
        let place = match begin <= microseconds && microseconds < end {
            true => place,
            false => self.place(microseconds.div_euclid(MICROSECONDS)),
        };
        if let Some(lines) = self.spans.get_mut(place) {
            lines.add(moment, verdict, count);
        }
    }

    fn place(&mut self, second: i64) -> usize {
        let number = loop {
            let number = second.div_euclid(length(self.level));
            if self.make_room(number) {
                break number;
            }
            self.coarsen();
        };
        let place = usize::try_from(number - self.first).unwrap_or_default();
        let edge = |number: i64| {
            number
                .saturating_mul(length(self.level))
                .saturating_mul(MICROSECONDS)
        };
        self.last = (edge(number), edge(number + 1), place);
        place
    }

    /// Makes the spans reach to this one. Tells `false` when they would be too many.
    fn make_room(&mut self, number: i64) -> bool {
        if self.spans.is_empty() {
            self.first = number;
            self.spans.push_back(Lines::default());
            return true;
        }
        let behind = self.first + self.spans.len() as i64;
        if behind.max(number + 1) - self.first.min(number) > MOST_SPANS {
            return false;
        }
        while number < self.first {
            self.spans.push_front(Lines::default());
            self.first -= 1;
        }
        let missing = usize::try_from(number + 1 - behind).unwrap_or(0);
        self.spans.extend(std::iter::repeat_n(Lines::default(), missing));
        true
    }

    /// Goes over to the next length.
    fn coarsen(&mut self) {
        let ratio = length(self.level + 1) / length(self.level);
        let first = self.first.div_euclid(ratio);
        let mut joined: VecDeque<Lines> = VecDeque::new();
        for (number, lines) in (self.first..).zip(&self.spans) {
            let place = usize::try_from(number.div_euclid(ratio) - first).unwrap_or_default();
            if place >= joined.len() {
                joined.push_back(Lines::default());
            }
            if let Some(own) = joined.get_mut(place) {
                own.absorb(lines);
            }
        }
        *self = Self {
            level: self.level + 1,
            first,
            spans: joined,
            last: (0, 0, 0),
        };
    }

    /// Takes over what another one has counted.
    pub(super) fn absorb(&mut self, other: &Self) {
        while self.level < other.level {
            self.coarsen();
        }
        for (number, lines) in (other.first..).zip(&other.spans) {
            // An empty one between others needs no place of its own.
            if *lines == Lines::default() {
                continue;
            }
            let place = self.place(number * length(other.level));
            if let Some(own) = self.spans.get_mut(place) {
                own.absorb(lines);
            }
        }
    }

    /// As plain data; `None` when no line had a time.
    pub(super) fn report(&self) -> Option<TimelineReport> {
        let mut all = Lines::default();
        self.spans.iter().for_each(|lines| all.absorb(lines));
        let kinds = all.kinds();
        let length = length(self.level);
        let spans = (self.first..).zip(&self.spans).map(|(number, lines)| TimeSpan {
            // The first one may begin before the calendar does.
            begins: Timestamp::from_second(number * length).unwrap_or(Timestamp::MIN),
            verdicts: lines.by(kinds),
        });
        let spans: Vec<_> = spans.collect();
        (!spans.is_empty()).then_some(TimelineReport {
            seconds: length.unsigned_abs(),
            spans,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(seconds: &[i64]) -> Timeline {
        let mut timeline = Timeline::default();
        for second in seconds {
            timeline.add(second * 1_000_000 + 7, LogMoment::Packet, Verdict::Blocked, 1);
        }
        timeline
    }

    #[test]
    fn spans_become_longer_with_the_log_and_lose_nothing() {
        let short = of(&[100, 101, 339]).report().unwrap();
        assert_eq!((short.seconds, short.spans.len()), (1, 240));
        let longer = of(&[100, 101, 340]).report().unwrap();
        assert_eq!((longer.seconds, longer.spans.len()), (5, 49));
        assert_eq!(longer.spans[0].verdicts.blocked, 2);
        let day = of(&[0, 86_400]).report().unwrap();
        assert_eq!((day.seconds, day.spans.len()), (600, 145));
        let ages = of(&[-377_705_023_201, 253_402_207_200]).report().unwrap();
        assert_eq!(
            ages.spans.iter().map(|span| span.verdicts.blocked).sum::<u64>(),
            2
        );
        assert!(ages.spans.len() <= 240);
        assert_eq!(Timeline::default().report(), None);
    }

    #[test]
    fn a_long_session_is_one_in_the_whole_line_of_time() {
        let mut timeline = Timeline::default();
        for (second, moment) in [
            (0, LogMoment::Begin),
            (3600, LogMoment::End),
            (10, LogMoment::Packet),
        ] {
            timeline.add(second * 1_000_000, moment, Verdict::Allowed, 1);
        }
        let report = timeline.report().unwrap();
        let sum: u64 = report.spans.iter().map(|span| span.verdicts.allowed).sum();
        assert_eq!((sum, report.spans[0].verdicts.allowed), (2, 2), "{report:?}");
    }

    proptest! {
        /// Neither the order nor the number of threads changes anything.
        #[test]
        fn what_several_threads_count_is_what_one_counts(
            seconds in proptest::collection::vec(prop_oneof![-50_i64..400, 1_700_000_000_i64..1_800_000_000], 0..80),
            cut in 0_usize..80,
        ) {
            let whole = of(&seconds);
            let (one, other) = seconds.split_at(cut.min(seconds.len()));
            let mut both = of(other);
            both.absorb(&of(one));
            prop_assert_eq!(both.report(), whole.report());
            let mut sorted = seconds.clone();
            sorted.sort_unstable();
            prop_assert_eq!(of(&sorted).report(), whole.report());
            let sum: u64 = whole.report().iter().flat_map(|report| &report.spans).map(|span| span.verdicts.blocked).sum();
            prop_assert_eq!(sum, seconds.len() as u64);
        }
    }
}

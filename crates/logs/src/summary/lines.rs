//! Lines by what they tell of and by verdict: a few numbers that cost nothing to add up.

use portcullis_model::{LogMoment, Verdict};

use super::VerdictCounts;

/// Of what a line tells, in the order of [`LogMoment`], and last those of sessions that go on, which say no more than that there was
/// one; then the verdict.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Lines([[u64; 3]; 5]);

const GOING_ON: usize = 4;

/// Which lines of sessions are counted, for each verdict: those of which there are most. Where beginnings and ends are told
/// apart by time, one and the same kind must be counted everywhere, or a session that is long would be counted twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kinds([LogMoment; 3]);

const VERDICTS: [Verdict; 3] = [Verdict::Allowed, Verdict::Blocked, Verdict::Unknown];

const OF_SESSIONS: [LogMoment; 3] = [LogMoment::Within, LogMoment::End, LogMoment::Begin];

impl Lines {
    pub(super) fn add(&mut self, moment: LogMoment, verdict: Verdict, count: u64) {
        let kind = if count == 0 { GOING_ON } else { moment as usize };
        let counts = self.0.get_mut(kind);
        if let Some(own) = counts.and_then(|counts| counts.get_mut(verdict as usize)) {
            *own = own.saturating_add(count.max(1));
        }
    }

    pub(super) fn absorb(&mut self, other: &Self) {
        for (own, other) in self.0.iter_mut().flatten().zip(other.0.iter().flatten()) {
            *own = own.saturating_add(*other);
        }
    }

    fn of(&self, moment: LogMoment, verdict: Verdict) -> u64 {
        self.of_kind(moment as usize, verdict)
    }

    fn of_kind(&self, kind: usize, verdict: Verdict) -> u64 {
        let counts = self.0.get(kind);
        let count = counts.and_then(|counts| counts.get(verdict as usize));
        count.copied().unwrap_or(0)
    }

    /// The kinds of which these lines have most.
    pub(super) fn kinds(&self) -> Kinds {
        Kinds(VERDICTS.map(|verdict| {
            let most = OF_SESSIONS.into_iter().max_by_key(|kind| self.of(*kind, verdict));
            most.unwrap_or(LogMoment::Begin)
        }))
    }

    /// Packets, and sessions by the lines of these kinds.
    pub(super) fn by(&self, kinds: Kinds) -> VerdictCounts {
        let [allowed, blocked, unknown] = kinds.0;
        let sum = |kind, verdict| {
            let goes_on = self.of_kind(GOING_ON, verdict).min(1);
            self.of(LogMoment::Packet, verdict)
                .saturating_add(self.of(kind, verdict).max(goes_on))
        };
        VerdictCounts {
            allowed: sum(allowed, Verdict::Allowed),
            blocked: sum(blocked, Verdict::Blocked),
            unknown: sum(unknown, Verdict::Unknown),
        }
    }

    pub(super) fn verdicts(&self) -> VerdictCounts {
        self.by(self.kinds())
    }
}

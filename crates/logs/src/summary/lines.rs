//! Lines by what they tell of and by verdict: a few numbers that cost nothing to add up.

use portcullis_model::{LogMoment, Verdict};

use super::VerdictCounts;

/// Of what a line tells, in the order of [`LogMoment`], and last those of sessions that go on, which say no more than that there was
/// one; then the verdict.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Lines(pub(super) [[u64; 3]; 5]);

const GOING_ON: usize = 4;

/// Which lines of sessions are counted, for each verdict: those of which there are most. Where beginnings and ends are told
/// apart by time, one and the same kind must be counted everywhere, or a session that is long would be counted twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kinds {
    of_sessions: [LogMoment; 3],
    /// Lines within that prove no verdict (alerts, audits) are more than all else: then not all of them are of what else is told.
    more_within: bool,
}

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
        let of_sessions = VERDICTS.map(|verdict| {
            let kinds = OF_SESSIONS
                .into_iter()
                .filter(|kind| (*kind, verdict) != (LogMoment::Within, Verdict::Unknown));
            let most = kinds.max_by_key(|kind| self.of(*kind, verdict));
            most.unwrap_or(LogMoment::Begin)
        });
        let kinds = Kinds {
            of_sessions,
            more_within: false,
        };
        Kinds {
            more_within: self.of(LogMoment::Within, Verdict::Unknown) > self.by(kinds).sum(),
            ..kinds
        }
    }

    /// Packets, and sessions by the lines of these kinds. What proves no verdict may be of any of those whose verdict another line
    /// proves.
    pub(super) fn by(&self, kinds: Kinds) -> VerdictCounts {
        let [allowed, blocked, unknown] = kinds.of_sessions;
        let sessions = |kind, verdict| {
            let goes_on = self.of_kind(GOING_ON, verdict).min(1);
            self.of(kind, verdict).max(goes_on)
        };
        let packets = |verdict| self.of(LogMoment::Packet, verdict);
        // What only lines within prove may be of a session whose own lines prove nothing.
        let by_others = |kind, verdict| {
            let own = self
                .of(LogMoment::Begin, verdict)
                .max(self.of(LogMoment::End, verdict));
            match kind {
                LogMoment::Within => self.of(kind, verdict).saturating_sub(own),
                _ => 0,
            }
        };
        let elsewhere =
            by_others(allowed, Verdict::Allowed).saturating_add(by_others(blocked, Verdict::Blocked));
        let open = sessions(unknown, Verdict::Unknown).saturating_sub(elsewhere);
        let allowed = packets(Verdict::Allowed).saturating_add(sessions(allowed, Verdict::Allowed));
        let blocked = packets(Verdict::Blocked).saturating_add(sessions(blocked, Verdict::Blocked));
        let within = match kinds.more_within {
            true => self.of(LogMoment::Within, Verdict::Unknown),
            false => 0,
        };
        VerdictCounts {
            allowed,
            blocked,
            unknown: packets(Verdict::Unknown)
                .saturating_add(open)
                .max(within.saturating_sub(allowed.saturating_add(blocked))),
        }
    }

    pub(super) fn verdicts(&self) -> VerdictCounts {
        self.by(self.kinds())
    }

    /// By how many more there may be than are counted: where one rule logs only the beginnings of its sessions and another one only
    /// the ends, these are not the same sessions.
    pub(super) fn may_be_more(&self) -> u64 {
        let uncounted = VERDICTS.map(|verdict| {
            let [begins, ends] = [LogMoment::Begin, LogMoment::End].map(|kind| self.of(kind, verdict));
            begins.min(ends)
        });
        uncounted.into_iter().fold(0, u64::saturating_add)
    }
}

//! Now, by the time of day and by the clock that nobody can step. What is left of a trial is told by the second one: the
//! kernel and the guards count by it, too.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use portcullis_model::{Change, UpTime};

use crate::Desk;

/// A moment by both clocks.
#[derive(Debug, Clone)]
pub(crate) struct Moment {
    at: Timestamp,
    /// By the clock of the machine that is worked on; `None` where it does not tell.
    up: Option<UpTime>,
}

impl Moment {
    pub(crate) fn now(desk: &Desk) -> Self {
        Self {
            at: (desk.now)(),
            up: desk.machine.up_time(),
        }
    }

    /// Begins the trial of a change.
    pub(super) fn begin_trial(&self, change: &mut Change, trial: Duration) {
        let trial_wide = SignedDuration::try_from(trial).unwrap_or(SignedDuration::MAX);
        change.trial_until = self.at.checked_add(trial_wide).ok();
        change.trial_ends = self.up.as_ref().map(|up| up.after(trial));
    }

    /// What is left of the trial of a change, less than nothing when it is over; `None` when it never began.
    pub(super) fn left(&self, change: &Change) -> Option<SignedDuration> {
        match (&self.up, &change.trial_ends) {
            // A restart of the machine ends every trial.
            (Some(up), Some(ends)) => Some(up.until(ends).unwrap_or(SignedDuration::ZERO)),
            _ => Some(change.trial_until?.duration_since(self.at)),
        }
    }

    /// Whether the machine was started anew since the trial began.
    pub(super) fn is_restarted(&self, change: &Change) -> bool {
        let (Some(up), Some(ends)) = (&self.up, &change.trial_ends) else {
            return false;
        };
        up.boot != ends.boot
    }

    /// When the trial was over, by the time of day as it is now.
    pub(super) fn let_go(&self, change: &Change) -> Option<Timestamp> {
        if self.is_restarted(change) {
            return Some(change.trial_until?.min(self.at));
        }
        self.at.checked_add(self.left(change)?).ok()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn at(seconds: i64) -> Moment {
        Moment {
            at: Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds),
            up: UpTime::parse(&format!("{}.00 1\nfirst\n", seconds + 1000)),
        }
    }

    #[test]
    fn the_time_of_day_may_be_stepped() {
        let mut change = super::super::sweep::tests::change(portcullis_model::ChangeState::OnTrial);
        at(0).begin_trial(&mut change, Duration::from_secs(60));
        let stepped = |seconds: i64| Moment {
            at: Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds),
            ..at(50)
        };
        for moment in [stepped(50), stepped(7250), stepped(-7150)] {
            assert_eq!(moment.left(&change), Some(SignedDuration::from_secs(10)));
        }
        let restarted = Moment {
            up: UpTime::parse("3.00 1\nsecond\n"),
            ..stepped(30)
        };
        assert!(restarted.is_restarted(&change));
        assert_eq!(restarted.left(&change), Some(SignedDuration::ZERO));
        assert_eq!(restarted.let_go(&change), Some(stepped(30).at));
        // What an earlier version wrote down has the time of day only.
        change.trial_ends = None;
        assert_eq!(stepped(50).left(&change), Some(SignedDuration::from_secs(10)));
    }
}

//! What is lost on the way, and what that makes of a silence. Pure.
//!
//! Loss is measured in two ways, and the worse one counts:
//! * ports that have answered are asked again at random times (canaries): how many of them stay silent;
//! * silent ports are asked twice at least: how many of those that answer at all do so only the second time.
//!
//! A silent port is asked again as long as more than a hundredth of an answer is to be expected to hide among all
//! silences: with `a` answers, `s` silences and a chance of loss `p`, after `k` looks that is `min(a, s) * p^k`. So the
//! number of looks follows from what was measured: two on a clean network, five at one packet in ten. What is still in
//! doubt after the last look is told as such.
//!
//! Little that was measured counts for little: the estimate begins at three in a hundred and gives way to what is seen.

use std::collections::HashMap;

use portcullis_model::{Confidence, Loss};

/// So many hidden answers among all silences are no doubt any more.
const HIDDEN: f64 = 0.01;
/// A silence counts only after so many looks.
pub(crate) const LEAST_LOOKS: u32 = 2;
/// A silence is asked about no more than so often.
pub(crate) const MOST_LOOKS: u32 = 8;
/// What is assumed before anything was measured: half a loss in so many questions.
const PRIOR_LOST: f64 = 0.5;
const PRIOR_ASKED: f64 = 50.0 / 3.0;
/// As how many questions the estimate of the whole scan counts for one network.
const SCAN_COUNTS: f64 = 20.0;

/// Keeps count of what answers and what does not.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    canaries: Loss,
    networks: HashMap<u32, Loss>,
    /// How many ports answered at each look, from the first.
    answers: Vec<u64>,
    /// Looks that are over for all ports.
    looks: u32,
    /// Ports that were asked and have not answered so far.
    silences: u64,
}

impl Ledger {
    /// A port that is known to answer was asked again.
    pub(crate) fn canary(&mut self, network: u32, answered: bool) {
        let lost = u64::from(!answered);
        for tally in [&mut self.canaries, self.networks.entry(network).or_default()] {
            tally.asked += 1;
            tally.lost += lost;
        }
    }

    /// The host behind so many canaries has stopped answering: that its questions stayed without an answer was no loss.
    pub(crate) fn forget(&mut self, network: u32, missed: u64) {
        for tally in [&mut self.canaries, self.networks.entry(network).or_default()] {
            tally.asked = tally.asked.saturating_sub(missed);
            tally.lost = tally.lost.saturating_sub(missed);
        }
    }

    /// A port answered at this look, counted from 1.
    pub(crate) fn answered(&mut self, look: u32) {
        let place = look.saturating_sub(1) as usize;
        if self.answers.len() <= place {
            self.answers.resize(place + 1, 0);
        }
        if let Some(count) = self.answers.get_mut(place) {
            *count += 1;
        }
    }

    /// What the canaries have shown so far.
    pub(crate) fn canaries(&self) -> Loss {
        self.canaries
    }

    /// Takes over what the canaries of an earlier part of the run have shown.
    pub(crate) fn restore(&mut self, canaries: Loss) {
        self.canaries = canaries;
    }

    /// So many ports were asked and have not answered so far.
    pub(crate) fn silent(&mut self, silences: u64) {
        self.silences = silences;
    }

    /// A look at all ports that were to be looked at is over.
    pub(crate) fn look_over(&mut self) {
        self.looks += 1;
    }

    /// How many answers could hide at most: as many as came, and as there are silences.
    fn may_hide(&self) -> u64 {
        self.answers.iter().sum::<u64>().min(self.silences)
    }

    /// What was measured; `None` when nothing answered by which it could be.
    pub(crate) fn measured(&self) -> Option<Loss> {
        let second = self.second_look();
        let (asked, lost) = (
            self.canaries.asked + second.asked,
            self.canaries.lost + second.lost,
        );
        (asked > 0).then_some(Loss { asked, lost })
    }

    /// Of the ports that answered, how many did so only when they were asked the second time.
    fn second_look(&self) -> Loss {
        if self.looks < 2 {
            return Loss::default();
        }
        let at = |look: usize| self.answers.get(look).copied().unwrap_or_default();
        Loss {
            asked: at(0) + at(1),
            lost: at(1),
        }
    }

    /// The chance of loss in the whole scan, when this is what canaries have shown.
    fn estimate(&self, canaries: Loss) -> f64 {
        let estimate = |loss: Loss| (loss.lost as f64 + PRIOR_LOST) / (loss.asked as f64 + PRIOR_ASKED);
        let scan = estimate(canaries);
        match self.second_look() {
            // It says nothing before it was made.
            loss if loss.asked == 0 => scan,
            loss => scan.max(estimate(loss)),
        }
    }

    /// The chance that a question or its answer is lost.
    fn chance(&self, network: u32) -> f64 {
        let scan = self.estimate(self.canaries);
        let own = self.networks.get(&network).copied().unwrap_or_default();
        let own = (own.lost as f64 + SCAN_COUNTS * scan) / (own.asked as f64 + SCAN_COUNTS);
        scan.max(own)
    }

    /// The chance of loss in the whole scan, from 0 to 1, as it would be without so many questions that stayed without an
    /// answer: those to a host that may have stopped answering say nothing of the others.
    pub(crate) fn chance_without(&self, missed: u64) -> f64 {
        let others = Loss {
            asked: self.canaries.asked.saturating_sub(missed),
            lost: self.canaries.lost.saturating_sub(missed),
        };
        self.estimate(others)
    }

    /// Whether a silence after so many looks is in doubt.
    pub(crate) fn doubtful(&self, network: u32, looks: u32) -> bool {
        let hidden = self.may_hide().max(1) as f64;
        looks < LEAST_LOOKS || hidden * self.chance(network).powi(looks as i32) > HIDDEN
    }

    /// Whether a silence after so many looks proves nothing: it is in doubt, or loss could not be measured.
    pub(crate) fn cannot_sign(&self, network: u32, looks: u32) -> bool {
        self.measured().is_none() || self.doubtful(network, looks)
    }

    /// How sure a silence is; `None` when loss could not be measured.
    pub(crate) fn confidence(&self, network: u32, looks: u32) -> Option<Confidence> {
        self.measured()?;
        Some(Confidence::unless(self.chance(network).powi(looks as i32)))
    }

    /// How many canaries a look should have, so that two looks are enough where nothing is lost.
    pub(crate) fn canaries_wanted(&self) -> u64 {
        let hidden = self.may_hide();
        if hidden == 0 {
            return 0;
        }
        let enough = PRIOR_LOST * (hidden as f64 / HIDDEN).sqrt() - PRIOR_ASKED;
        // A few more, so that a canary whose host is busy is not missed.
        (enough * 1.1).max(3.0) as u64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ledger(answers: &[u64], canaries: u64, lost: u64) -> Ledger {
        let mut ledger = Ledger::default();
        ledger.silent(1_000_000);
        for (look, count) in (1..).zip(answers) {
            (0..*count).for_each(|_| ledger.answered(look));
            ledger.look_over();
        }
        (0..canaries).for_each(|number| ledger.canary(0, number >= lost));
        ledger
    }

    fn looks(ledger: &Ledger) -> u32 {
        (1..).find(|looks| !ledger.doubtful(0, *looks)).unwrap()
    }

    #[test]
    fn the_looks_follow_from_the_loss() {
        for (answers, canaries, lost, expected) in [
            (&[1024, 0][..], 160, 0, 2),
            (&[1014, 10], 160, 2, 3),
            (&[973, 49], 160, 8, 4),
            (&[922, 92], 160, 16, 5),
            (&[10, 0], 5, 0, 2),
            (&[1], 0, 0, 2),
            (&[], 0, 0, 2),
        ] {
            let found = looks(&ledger(answers, canaries, lost));
            assert!(
                found.abs_diff(expected) <= u32::from(lost > 0),
                "{answers:?}: {found}"
            );
        }
    }

    #[test]
    fn as_many_canaries_as_are_wanted_make_two_looks_enough() {
        for answers in [1, 2, 5, 20, 60, 300, 1024, 20_000] {
            let wanted = ledger(&[answers], 0, 0).canaries_wanted();
            assert!(wanted <= 3 + answers, "{answers} answers, {wanted} canaries");
            assert_eq!(looks(&ledger(&[answers, 0], wanted, 0)), 2, "{answers}");
        }
    }

    #[test]
    fn no_more_can_hide_than_is_silent() {
        let mut ledger = ledger(&[20_000, 0], 20, 0);
        assert!(ledger.doubtful(0, 3));
        ledger.silent(1);
        assert!(!ledger.doubtful(0, 2));
        assert_eq!(ledger.canaries_wanted(), 3);
    }

    #[test]
    fn where_nothing_answers_nothing_is_claimed() {
        let empty = ledger(&[0, 0], 0, 0);
        assert_eq!(empty.measured(), None);
        assert_eq!(empty.confidence(0, 2), None);
        assert!(
            empty.cannot_sign(0, 2) && !empty.doubtful(0, 2),
            "another look would not help"
        );
    }

    #[test]
    fn a_network_that_loses_more_is_in_doubt_longer() {
        let mut ledger = ledger(&[1024, 0], 200, 0);
        (0..20).for_each(|number| ledger.canary(7, number % 2 == 0));
        assert!(ledger.doubtful(7, 3));
        assert!(!ledger.doubtful(0, 4));
        ledger.forget(7, 10);
        assert!(!ledger.doubtful(7, 2));
    }

    proptest! {
        #[test]
        fn more_loss_is_never_more_confidence(answers in 1u64..2000, canaries in 1u64..300, lost in 0u64..300, looks in 1u32..7) {
            let lost = lost.min(canaries - 1);
            let (less, more) = (ledger(&[answers], canaries, lost), ledger(&[answers], canaries, lost + 1));
            prop_assert!(less.confidence(0, looks) >= more.confidence(0, looks));
            prop_assert!(less.confidence(0, looks) <= less.confidence(0, looks + 1));
        }
    }
}

//! Who takes which turns: several senders share one order and one pace.

use std::{ops::Range, time::Duration};

use super::{order::Order, tempo::Tempo};
use crate::{Pace, canary::next_random};

/// Turns that may be taken now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Claim {
    /// These turns of one round; they are counted with a packet each.
    Turns { round: u64, turns: Range<u64> },
    /// None before this time since the start.
    At(Duration),
    /// None any more.
    Over,
}

/// One walk over all rounds.
#[derive(Debug)]
pub(super) struct Walk {
    tempo: Tempo,
    rounds: u64,
    turns: u64,
    round: u64,
    turn: u64,
    random: u64,
    longest_jitter: Duration,
}

/// The wait between two packets to a host is longer by up to this part of itself.
const JITTER: f64 = 0.125;
const JITTER_STEPS: u64 = 1000;

impl Walk {
    /// The seed decides the jitter.
    pub(super) fn new(order: &Order, pace: Pace, once: bool, seed: u64) -> Self {
        let tempo = Tempo::new(pace, order.turns(), order.network_turns(), once);
        Self {
            tempo,
            random: seed,
            longest_jitter: Duration::from_secs_f64(JITTER / f64::from(pace.per_host_per_second.max(1))),
            rounds: order.rounds(),
            turns: order.turns(),
            round: 0,
            turn: 0,
        }
    }

    /// Begins again, at the pace so far.
    pub(super) fn again(&mut self) {
        self.begin_at(0, 0);
    }

    /// Begins again at a turn.
    pub(super) fn begin_at(&mut self, round: u64, turn: u64) {
        (self.round, self.turn) = (round, turn);
    }

    /// The next turn: all before it have been claimed.
    pub(super) fn position(&self) -> (u64, u64) {
        (self.round, self.turn)
    }

    /// Goes on at another pace.
    pub(super) fn set(&mut self, pace: Pace) {
        self.tempo.set(pace);
    }

    /// Takes the next turns, at most so many. `resets` were sent by our kernel since the last claim and are paid for
    /// first.
    pub(super) fn claim(&mut self, now: Duration, most: u64, resets: u64) -> Claim {
        if resets > 0 {
            self.tempo.charge(now, resets);
        }
        if self.turn >= self.turns {
            (self.round, self.turn) = (self.round + 1, 0);
            // A host's turns would else come round in a fixed beat, into which a controller's cycle could fall.
            let random = next_random(&mut self.random) % JITTER_STEPS;
            self.tempo
                .pause(self.longest_jitter.mul_f64(random as f64 / JITTER_STEPS as f64));
        }
        if self.round >= self.rounds || self.turns == 0 {
            return Claim::Over;
        }
        let count = self.tempo.ready(now).min(most).min(self.turns - self.turn);
        if count == 0 {
            return Claim::At(self.tempo.when());
        }
        self.tempo.take(now, count);
        let turns = self.turn..self.turn + count;
        self.turn += count;
        Claim::Turns {
            round: self.round,
            turns,
        }
    }

    /// The turns claimed last were taken so much later.
    pub(super) fn late(&mut self, by: Duration) {
        self.tempo.late(by);
    }

    /// Gives back packets of claimed turns in which none was sent.
    pub(super) fn give_back(&mut self, packets: u64) {
        self.tempo.give_back(packets);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(hosts: usize, ports: usize) -> Walk {
        let order = Order::new(hosts, ports, 1);
        Walk::new(&order, Pace::default(), false, 1)
    }

    #[test]
    fn every_turn_of_every_round_is_claimed_once_and_it_ends() {
        let mut walk = walk(100, 3);
        for _ in 0..2 {
            let (mut now, mut claimed) = (Duration::from_secs(9), Vec::new());
            loop {
                match walk.claim(now, 7, 0) {
                    Claim::Turns { round, turns } => claimed.extend(turns.map(|turn| (round, turn))),
                    Claim::At(when) => now = when,
                    Claim::Over => break,
                }
            }
            let expected: Vec<_> = (0..3)
                .flat_map(|round| (0..100).map(move |turn| (round, turn)))
                .collect();
            assert_eq!(claimed, expected);
            walk.again();
        }
    }

    #[test]
    fn resets_of_our_kernel_are_paid_for() {
        let mut walk = walk(1000, 1);
        assert!(
            matches!(walk.claim(Duration::ZERO, 1, 500), Claim::At(when) if when > Duration::from_millis(490))
        );
    }

    #[test]
    fn without_hosts_or_ports_it_is_over_at_once() {
        assert_eq!(walk(0, 5).claim(Duration::ZERO, 1, 0), Claim::Over);
        assert_eq!(walk(5, 0).claim(Duration::ZERO, 1, 0), Claim::Over);
    }
}

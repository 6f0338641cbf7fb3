//! When a look is over: what was lost in it, who is in doubt, who is left alone, and who is asked again as a canary.

use std::sync::{PoisonError, atomic::Ordering};

use super::{Scan, lock};
use crate::{
    canary::{enough_missed, next_random},
    loss::Ledger,
    places::Place,
};

impl Scan<'_> {
    /// A look is over and no answer can come any more: what was lost in it is counted, and who is in doubt decided.
    pub(super) fn look_over(&self) {
        let mut ledger = lock(&self.ledger);
        for host in 0..self.ways.hosts.len() {
            let network = self.networks.of_host(host);
            let mut missed = lock(&self.missed).remove(&host).unwrap_or_default();
            for port in 0..self.ports.len() {
                let place = Place { host, port };
                if self.canaries.remove(place) {
                    let heard = self.canaries_heard.remove(place);
                    ledger.canary(network, heard);
                    missed = if heard { 0 } else { missed + 1 };
                }
            }
            if missed >= enough_missed(ledger.chance_without(missed.into())) {
                ledger.forget(network, missed.into());
                if lock(&self.behaviour).stopped(host, missed) {
                    self.left.add(Place { host, port: 0 });
                }
            } else if missed > 0 {
                lock(&self.missed).insert(host, missed);
            }
        }
        ledger.silent(self.silences());
        ledger.look_over();
        let most = self.most_looks();
        let mut looks = lock(&self.looks);
        let mut doubtful = self.doubtful.write().unwrap_or_else(PoisonError::into_inner);
        for (network, (looks, doubtful)) in (0..).zip(looks.iter_mut().zip(doubtful.iter_mut())) {
            *looks += u32::from(*doubtful);
            *doubtful = *looks < most && ledger.doubtful(network, *looks);
        }
        let in_doubt = doubtful.iter().filter(|doubtful| **doubtful).count();
        tracing::debug!(?ledger, networks_in_doubt = in_doubt, "a look is over");
    }

    /// Ports that were asked and have not answered so far.
    pub(super) fn silences(&self) -> u64 {
        let asked = self.counts.asked.load(Ordering::Relaxed);
        asked.saturating_sub(self.counts.answers.load(Ordering::Relaxed))
    }

    pub(super) fn is_doubtful(&self, host: usize) -> bool {
        let doubtful = self.doubtful.read().unwrap_or_else(PoisonError::into_inner);
        doubtful.get(self.networks.of_host(host) as usize) == Some(&true)
    }

    /// Whether some port stayed silent whose network is in doubt.
    pub(super) fn is_in_doubt(&self) -> bool {
        (0..self.ways.hosts.len()).any(|host| {
            self.is_doubtful(host)
                && !self.is_left(host)
                && (0..self.ports.len()).any(|port| {
                    let place = Place { host, port };
                    self.asked.has(place) && !self.answered.has(place)
                })
        })
    }

    /// Whether the host did not answer the last canary: all its known ports are asked, to see whether it lives.
    pub(super) fn is_missed(&self, host: usize) -> bool {
        lock(&self.missed).contains_key(&host)
    }

    pub(super) fn is_left(&self, host: usize) -> bool {
        self.left.has(Place { host, port: 0 })
    }

    pub(super) fn leave(&self, host: usize, reason: String) {
        self.left.add(Place { host, port: 0 });
        lock(&self.behaviour).leave(host, reason);
    }
}

/// Which of the ports that have answered are asked again in a look.
pub(super) struct CanaryShare {
    wanted: u64,
    answers: u64,
}

impl CanaryShare {
    pub(super) fn of(ledger: &Ledger, answers: u64) -> Self {
        let wanted = ledger.canaries_wanted();
        Self {
            // Each is chosen by itself: as many more as chance may leave out (three standard deviations).
            wanted: wanted + 3 * wanted.isqrt(),
            answers,
        }
    }

    /// A random choice, another one in each look.
    pub(super) fn chosen(&self, place: Place, look: u32, seed: u64) -> bool {
        let mut state = seed ^ (place.host as u64) << 20 ^ (place.port as u64) << 4 ^ u64::from(look);
        let random = next_random(&mut state);
        let chosen = (u128::from(random) * u128::from(self.answers.max(1))) >> 64;
        chosen < u128::from(self.wanted)
    }
}

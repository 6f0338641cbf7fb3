//! How long an answer is waited for. Pure.
//!
//! The first look is quick once it is known how fast this network answers: who is slower is asked again anyway. Every
//! later look waits long, unless the neighbours in the same network are known to answer many times faster.

use std::time::Duration;

/// Who has not answered after so many times the slowest answer is not merely slow.
const TIMES: u32 = 10;
/// No look waits less.
const LEAST_FIRST: Duration = Duration::from_millis(250);
const LEAST_LATER: Duration = Duration::from_millis(300);
/// So many answers are needed before it is known how fast they come.
const ENOUGH_IN_ALL: u32 = 20;
const ENOUGH_IN_NETWORK: u32 = 3;

#[derive(Debug, Clone, Copy, Default)]
struct Answers {
    count: u32,
    slowest: Duration,
}

impl Answers {
    fn add(&mut self, after: Duration) {
        self.count += 1;
        self.slowest = self.slowest.max(after);
    }

    fn wait(self, enough: u32, least: Duration, longest: Duration) -> Duration {
        if self.count < enough {
            return longest;
        }
        self.slowest.saturating_mul(TIMES).max(least).min(longest)
    }
}

/// What is known of how fast answers come.
#[derive(Debug)]
pub(super) struct Patience {
    longest: Duration,
    all: Answers,
    networks: Vec<Answers>,
}

impl Patience {
    pub(super) fn new(longest: Duration, networks: usize) -> Self {
        Self {
            longest,
            all: Answers::default(),
            networks: vec![Answers::default(); networks],
        }
    }

    /// An answer came.
    pub(super) fn answered(&mut self, network: u32, after: Duration) {
        self.all.add(after);
        if let Some(network) = self.networks.get_mut(network as usize) {
            network.add(after);
        }
    }

    /// How long to wait at this look, counted from 1.
    pub(super) fn wait(&self, network: u32, look: u32) -> Duration {
        if look <= 1 {
            return self.all.wait(ENOUGH_IN_ALL, LEAST_FIRST, self.longest);
        }
        let network = self.networks.get(network as usize).copied().unwrap_or_default();
        network.wait(ENOUGH_IN_NETWORK, LEAST_LATER, self.longest)
    }

    /// The shortest that any look may wait.
    pub(super) fn shortest(&self) -> Duration {
        LEAST_FIRST.min(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_millis(950);

    fn patience(count: usize, after: u64) -> Patience {
        let mut patience = Patience::new(LONGEST, 2);
        (0..count).for_each(|_| patience.answered(0, Duration::from_millis(after)));
        patience
    }

    #[test]
    fn before_anything_is_known_it_waits_long() {
        for look in 1..4 {
            assert_eq!(patience(0, 0).wait(0, look), LONGEST);
        }
    }

    #[test]
    fn among_fast_neighbours_it_waits_shorter() {
        assert_eq!(patience(20, 2).wait(0, 1), LEAST_FIRST);
        assert_eq!(patience(20, 2).wait(0, 2), LEAST_LATER);
        assert_eq!(patience(20, 60).wait(0, 2), Duration::from_millis(600));
    }

    #[test]
    fn in_a_network_where_nobody_answers_it_waits_long_in_the_end() {
        assert_eq!(patience(20, 2).wait(1, 1), LEAST_FIRST);
        assert_eq!(patience(20, 2).wait(1, 2), LONGEST);
        assert_eq!(patience(20, 400).wait(0, 1), LONGEST);
    }
}

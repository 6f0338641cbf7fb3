//! Times that others have written down.

use jiff::{SignedDuration, Timestamp};

/// Clocks differ by so much without being wrong.
const TOLERANCE: SignedDuration = SignedDuration::from_mins(5);

/// Holds times of others against the clock of this host. One that lies in the future would outrank every later look, for
/// ever: what it belongs to counts as of now, and is counted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    now: Timestamp,
    /// How many times were later than now.
    pub(crate) later: u64,
}

impl Clock {
    pub(crate) fn at(now: Timestamp) -> Self {
        Self { now, later: 0 }
    }

    /// Brings a time back to now, should it be later.
    pub(crate) fn hold(&mut self, at: &mut Timestamp) {
        if at.duration_since(self.now) > TOLERANCE {
            *at = self.now;
            self.later += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_in_the_future_counts_as_of_now() {
        let now: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
        let mut clock = Clock::at(now);
        for (written, held) in [
            ("2104-12-29T00:00:00Z", "2026-11-23T12:00:00Z"),
            ("2026-11-23T12:04:00Z", "2026-11-23T12:04:00Z"),
            ("2019-01-01T00:00:00Z", "2019-01-01T00:00:00Z"),
        ] {
            let mut at: Timestamp = written.parse().unwrap();
            clock.hold(&mut at);
            assert_eq!(at.to_string(), held);
        }
        assert_eq!(clock.later, 1);
    }
}

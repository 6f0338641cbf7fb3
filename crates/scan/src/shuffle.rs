//! A keyed permutation of the numbers below a limit, without a table: a Feistel network over the next even power of
//! two, walked until it comes back below the limit (Black and Rogaway, "Ciphers with arbitrary finite domains").

use std::hash::Hasher as _;

use siphasher::sip::SipHasher13;

/// Four rounds spread neighbours well; no secret depends on it.
const ROUNDS: u64 = 4;

/// A permutation of `0..limit`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shuffle {
    limit: u64,
    half: u32,
    keys: [u64; ROUNDS as usize],
}

impl Shuffle {
    pub(crate) fn new(limit: u64, seed: u64) -> Self {
        let bits = u64::BITS - limit.saturating_sub(1).leading_zeros();
        Self {
            limit,
            half: bits.div_ceil(2).max(1),
            keys: std::array::from_fn(|round| {
                let mut hasher = SipHasher13::new_with_keys(seed, round as u64);
                hasher.write_u64(limit);
                hasher.finish()
            }),
        }
    }

    /// Where a number below the limit goes. Others are not its business and come back below the limit or as 0.
    pub(crate) fn at(&self, number: u64) -> u64 {
        if number >= self.limit {
            return 0;
        }
        let mut number = self.once(number);
        // The domain is at most four times the limit, and the walk stays on the cycle of a number below it: it ends.
        while number >= self.limit {
            number = self.once(number);
        }
        number
    }

    fn once(&self, number: u64) -> u64 {
        let mask = (1u64 << self.half) - 1;
        let (mut left, mut right) = (number >> self.half, number & mask);
        for key in self.keys {
            let mixed = mix(right ^ key) >> (u64::BITS - self.half);
            (left, right) = (right, left ^ mixed);
        }
        (left << self.half) | right
    }
}

/// The finisher of MurmurHash3: cheap, and every bit of the input reaches the high bits.
fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let value = (value ^ (value >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    value ^ (value >> 33)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_number_comes_exactly_once(limit in 1u64..5000, seed: u64) {
            let shuffle = Shuffle::new(limit, seed);
            let mut seen = vec![false; limit as usize];
            for number in 0..limit {
                let place = shuffle.at(number) as usize;
                prop_assert!(!std::mem::replace(&mut seen[place], true), "{place} came twice");
            }
        }
    }

    #[test]
    fn neighbours_are_spread() {
        let shuffle = Shuffle::new(65536, 7);
        let near = (1..65536u64)
            .filter(|number| shuffle.at(*number).abs_diff(shuffle.at(number - 1)) < 256)
            .count();
        // By chance 1 in 128.
        assert!(near < 65536 / 64, "{near}");
        assert_ne!(Shuffle::new(65536, 8).at(1), shuffle.at(1));
    }

    #[test]
    fn small_and_empty_limits_end() {
        assert_eq!(Shuffle::new(0, 1).at(0), 0);
        assert_eq!(Shuffle::new(1, 1).at(0), 0);
        assert_eq!(Shuffle::new(1, 1).at(9), 0);
    }
}

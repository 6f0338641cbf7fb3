//! A scattered order that is the same whenever the same run is made again.

use portcullis_model::RunId;

use crate::canary::next_random;

/// The seed that a run's id gives.
pub(crate) fn seed(run: RunId) -> u64 {
    u64::from_str_radix(&run.to_string(), 16).unwrap_or_default()
}

/// The things, each once, in an order that depends on the seed only (Fisher and Yates).
pub(super) fn scattered<T: Ord + Clone>(things: &[T], seed: u64) -> Vec<T> {
    let mut things = things.to_vec();
    things.sort_unstable();
    things.dedup();
    let mut state = seed;
    for last in (1..things.len()).rev() {
        let chosen = (u128::from(next_random(&mut state)) * (last as u128 + 1)) >> 64;
        things.swap(last, usize::try_from(chosen).unwrap_or(last));
    }
    things
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_same_for_a_seed_and_keeps_everything() {
        let things: Vec<u32> = (0..100).chain(0..50).collect();
        let one = scattered(&things, 1);
        assert_eq!(one, scattered(&things, 1));
        assert_ne!(one, scattered(&things, 2));
        let mut sorted = one.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..100).collect::<Vec<_>>());
        assert_ne!(one, sorted);
    }
}

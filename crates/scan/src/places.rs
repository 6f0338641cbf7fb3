//! Ports of hosts as places in the two lists of a scan, and sets of them: one bit for each.

use std::sync::atomic::{AtomicU64, Ordering};

/// One port of one host, as places in their sorted lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub(crate) host: usize,
    pub(crate) port: usize,
}

/// A set of places that several threads may add to.
#[derive(Debug)]
pub(crate) struct Places {
    ports: usize,
    words: Vec<AtomicU64>,
}

impl Places {
    pub(crate) fn new(hosts: usize, ports: usize) -> Self {
        let words = (hosts * ports).div_ceil(64);
        Self {
            ports,
            words: std::iter::repeat_with(AtomicU64::default).take(words).collect(),
        }
    }

    /// Adds a place. Returns whether it was new.
    pub(crate) fn add(&self, place: Place) -> bool {
        let (word, bit) = self.find(place);
        word.is_some_and(|word| word.fetch_or(bit, Ordering::Relaxed) & bit == 0)
    }

    /// Removes a place. Returns whether it was there.
    pub(crate) fn remove(&self, place: Place) -> bool {
        let (word, bit) = self.find(place);
        word.is_some_and(|word| word.fetch_and(!bit, Ordering::Relaxed) & bit != 0)
    }

    pub(crate) fn has(&self, place: Place) -> bool {
        let (word, bit) = self.find(place);
        word.is_some_and(|word| word.load(Ordering::Relaxed) & bit != 0)
    }

    fn find(&self, place: Place) -> (Option<&AtomicU64>, u64) {
        let number = place.host * self.ports + place.port;
        (self.words.get(number / 64), 1 << (number % 64))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_set(places in prop::collection::vec((0usize..30, 0usize..7), 0..200)) {
            let set = Places::new(30, 7);
            let mut model = HashSet::new();
            for (host, port) in places {
                let place = Place { host, port };
                prop_assert_eq!(set.add(place), model.insert(place));
            }
            for host in 0..30 {
                for port in 0..7 {
                    let place = Place { host, port };
                    prop_assert_eq!(set.has(place), model.contains(&place));
                }
            }
        }
    }

    #[test]
    fn what_lies_outside_is_never_new() {
        let set = Places::new(1, 1);
        assert!(!set.add(Place { host: 99, port: 0 }));
    }
}

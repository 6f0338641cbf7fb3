//! What is remembered of many: a map with a bound, which forgets the oldest half at once when it is full.

use std::{collections::HashMap, hash::Hash, time::Duration};

use jiff::Timestamp;

/// A value for each key, with the last time it was touched.
#[derive(Debug)]
pub(super) struct Recent<K, V> {
    most: usize,
    within: Duration,
    kept: HashMap<K, (Timestamp, V)>,
    forgotten: u64,
}

impl<K: Eq + Hash, V: Default> Recent<K, V> {
    pub(super) fn new(most: usize, within: Duration) -> Self {
        Self {
            most: most.max(1),
            within,
            kept: HashMap::new(),
            forgotten: 0,
        }
    }

    /// What is remembered of a key.
    pub(super) fn of(&mut self, key: K, at: Timestamp) -> &mut V {
        if self.kept.len() >= self.most && !self.kept.contains_key(&key) {
            self.forget(at);
        }
        let entry = self.kept.entry(key).or_insert_with(|| (at, V::default()));
        entry.0 = entry.0.max(at);
        &mut entry.1
    }

    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.kept.get(key).map(|(_, value)| value)
    }

    /// Those that no longer count go, and then the older half if that was not enough: so that making room costs little for
    /// each that comes.
    fn forget(&mut self, now: Timestamp) {
        let within = self.within;
        self.kept.retain(|_, (last, _)| since(*last, now) <= within);
        if self.kept.len() <= self.most / 2 {
            return;
        }
        let mut times: Vec<Timestamp> = self.kept.values().map(|(last, _)| *last).collect();
        let middle = times.len() / 2;
        let (_, &mut middle, _) = times.select_nth_unstable(middle);
        let before = self.kept.len();
        self.kept.retain(|_, (last, _)| *last > middle);
        self.forgotten += (before - self.kept.len()) as u64;
    }

    /// How many were forgotten that still counted.
    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }
}

/// How long ago it was; nothing for what lies ahead, since lines are not always in order.
pub(super) fn since(then: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(then)).unwrap_or_default()
}

//! Which rules have applied to anybody.

use super::place::CauseId;

const BITS: u32 = u64::BITS;

/// A set of rules, by their numbers.
#[derive(Debug, Clone, Default)]
pub(super) struct Applied {
    words: Vec<u64>,
    is_lost: bool,
}

impl Applied {
    pub(super) fn add(&mut self, rule: CauseId) {
        let at = usize::try_from(rule / BITS).unwrap_or(usize::MAX);
        if at >= self.words.len() {
            self.words.resize(at.saturating_add(1), 0);
        }
        if let Some(word) = self.words.get_mut(at) {
            *word |= 1 << (rule % BITS);
        }
    }

    /// Of a rule that is not in the set nothing can be said any more.
    pub(super) fn lose_count(&mut self) {
        self.is_lost = true;
    }

    pub(super) fn join(&mut self, other: &Self) {
        self.is_lost |= other.is_lost;
        if self.words.len() < other.words.len() {
            self.words.resize(other.words.len(), 0);
        }
        for (word, more) in self.words.iter_mut().zip(&other.words) {
            *word |= more;
        }
    }

    /// Whether it is certain that a rule applied to nobody.
    pub(super) fn never(&self, rule: CauseId) -> bool {
        let at = usize::try_from(rule / BITS).unwrap_or(usize::MAX);
        let word = self.words.get(at).copied().unwrap_or_default();
        !self.is_lost && word & (1 << (rule % BITS)) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_has_applied_where_it_did_in_any_walk() {
        let (mut one, mut other) = (Applied::default(), Applied::default());
        one.add(3);
        other.add(200);
        one.join(&other);
        assert!(!one.never(3) && !one.never(200) && one.never(4) && one.never(199) && one.never(9000));
        other.lose_count();
        one.join(&other);
        assert!(!one.never(4));
    }
}

//! A look into JSON.

use serde_json_borrow::Value;

pub(super) trait Part {
    /// What an object has for a key; nothing where it is none.
    fn part(&self, key: &str) -> Option<&Self>;

    /// Whether it is this word.
    fn is(&self, word: &str) -> bool;
}

impl Part for Value<'_> {
    fn part(&self, key: &str) -> Option<&Self> {
        self.as_object()?.get(key)
    }

    fn is(&self, word: &str) -> bool {
        self.as_str() == Some(word)
    }
}

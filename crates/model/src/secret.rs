//! Something that nobody else may read.

use std::fmt;

/// A secret that a person gave: never shown, logged or kept.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes it.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// What it is; for the one place that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Makes the secret unreadable in bytes that came back from whom it was told.
    pub fn conceal_in(&self, bytes: &mut [u8]) {
        let secret = self.0.as_bytes();
        if secret.is_empty() {
            return;
        }
        let mut at = 0;
        while let Some(window) = bytes.get_mut(at..at + secret.len()) {
            if window == secret {
                window.fill(b'*');
                at += secret.len();
            } else {
                at += 1;
            }
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_neither_shown_nor_left_in_an_answer() {
        let secret = Secret::new("plant7");
        assert_eq!(format!("{secret:?}"), "Secret(…)");
        let mut bytes = b"\x04\x06plant7 plantplant7".to_vec();
        secret.conceal_in(&mut bytes);
        assert_eq!(bytes, b"\x04\x06****** plant******");
        let mut short = b"pl".to_vec();
        secret.conceal_in(&mut short);
        Secret::new("").conceal_in(&mut short);
        assert_eq!(short, b"pl");
    }
}

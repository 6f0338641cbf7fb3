//! Text from outside: banners, process names, log lines, page titles.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Text that somebody else wrote. It can be stored and sent as it is, but it is only shown through [`sanitize`],
/// because a terminal obeys escape sequences (CWE-150).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Untrusted(String);

impl Untrusted {
    /// Takes text from outside.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Takes bytes from outside; what is not UTF-8 becomes U+FFFD.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(String::from_utf8_lossy(bytes).into_owned())
    }

    /// The text as it came, for comparison and parsing, not for showing.
    pub fn raw(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Untrusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&sanitize(&self.0))
    }
}

/// Makes text harmless for a terminal and for a log: control characters and the marks that reorder or hide text
/// (bidirectional controls, zero-width characters, byte order mark) are written as `\u{…}`.
pub fn sanitize(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() || is_invisible(character) {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    shown
}

fn is_invisible(character: char) -> bool {
    matches!(character, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_escape_sequence_never_reaches_the_terminal() {
        let shown = Untrusted::new("ok\x1b[2J\r\u{202e}gpj.exe\u{9b}31m").to_string();
        assert_eq!(shown, "ok\\u{1b}[2J\\u{d}\\u{202e}gpj.exe\\u{9b}31m");
    }

    #[test]
    fn ordinary_text_of_any_script_is_left_alone() {
        assert_eq!(sanitize("Pumpehus Øst 泵房"), "Pumpehus Øst 泵房");
    }
}

//! Why rules cannot be read.

use portcullis_model::{Exit, Fault, sanitize};
use serde_json::error::Category;

/// Why a text is no ruleset.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReachError {
    /// It breaks off or is damaged.
    #[error("not a ruleset that can be read: line {line}, column {column}: {why}")]
    Text {
        /// From 1.
        line: usize,
        /// From 1, in bytes.
        column: usize,
        /// What is wrong there.
        why: String,
    },
    /// Nothing that any reader knows.
    #[error(
        "neither the JSON of `nft -j list ruleset`, nor the text of `iptables-save`, nor JSON of the Windows firewall"
    )]
    Format,
    /// Rules of Linux and of Windows.
    #[error("rules of Linux and rules of Windows are not of one host")]
    Mixed,
}

impl ReachError {
    /// Why JSON could not be read; `otherwise` is what is wrong where it is JSON, but of something else.
    pub(super) fn json(error: &serde_json::Error, otherwise: &str) -> Self {
        let why = match error.classify() {
            Category::Eof => "the text ends too early",
            Category::Data => otherwise,
            // It has a category of its own in no release.
            Category::Syntax if error.to_string().starts_with("recursion limit exceeded") => {
                "JSON that is nested too deeply"
            }
            Category::Syntax | Category::Io => "not JSON",
        };
        Self::Text {
            line: error.line().max(1),
            column: error.column().max(1),
            why: why.into(),
        }
    }
}

impl Fault for ReachError {
    fn code(&self) -> &'static str {
        match self {
            Self::Text { .. } => "RE001",
            Self::Format => "RE002",
            Self::Mixed => "RE004",
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Text { .. } => "write it out again: it may have been cut".into(),
            Self::Format => {
                "give the output of `nft -j list ruleset`, `iptables-save` or `ip6tables-save`, or of Windows what \
                 docs/reach.md says"
                    .into()
            }
            Self::Mixed => "ask for one host at a time".into(),
        })
    }

    fn exit(&self) -> Exit {
        Exit::Usage
    }
}

/// So many characters of a text from outside are shown.
const SHOWN: usize = 80;

/// The beginning of a text from outside, harmless for a terminal.
pub(super) fn shown(text: &str) -> String {
    let end = text.char_indices().nth(SHOWN).map(|(at, _)| at);
    match end.and_then(|end| text.get(..end)) {
        Some(begin) => format!("{}…", sanitize(begin)),
        None => sanitize(text),
    }
}

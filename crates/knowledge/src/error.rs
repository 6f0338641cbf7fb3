//! Errors of the data files.

use portcullis_model::{Exit, Fault, sanitize};

/// Why the data files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KnowledgeError {
    /// Files are not TOML of the right shape.
    #[error("{} data file(s) cannot be read:{}", problems.len(), lines(problems))]
    Read {
        /// What is wrong with each, after its name, line and column; at least one.
        problems: Vec<String>,
        /// Whether it is a file that somebody gave, and none that is compiled in.
        own: bool,
    },
    /// The files can be read and contradict their rules.
    #[error("the data files break {} of their rules:{}", problems.len(), lines(problems))]
    Invalid {
        /// Each broken rule, naming its service or file; at least one.
        problems: Vec<String>,
        /// As above.
        own: bool,
    },
}

fn lines(problems: &[String]) -> String {
    problems.iter().map(|problem| format!("\n  {problem}")).collect()
}

/// What is wrong with a file, after its name, line and column.
pub(crate) fn unreadable(file: &str, text: &str, error: &toml::de::Error) -> String {
    let at = error.span().map_or(0, |span| span.start);
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|letter| *letter != '\n').count() + 1;
    format!(
        "{}:{line}:{column}: {}",
        sanitize(file),
        sanitize(error.message())
    )
}

impl Fault for KnowledgeError {
    fn code(&self) -> &'static str {
        match self {
            Self::Read { .. } => "KN001",
            Self::Invalid { .. } => "KN002",
        }
    }
    fn hint(&self) -> Option<String> {
        let (Self::Read { own, .. } | Self::Invalid { own, .. }) = self;
        let hint = match own {
            true => "docs/knowledge.md tells what such a file holds",
            false => "none of these files is yours: the program is damaged, install it again",
        };
        Some(hint.into())
    }
    fn exit(&self) -> Exit {
        Exit::Usage
    }
}

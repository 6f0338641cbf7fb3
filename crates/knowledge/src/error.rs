//! Errors of the data files.

use portcullis_model::{Exit, Fault};

/// Why the data files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KnowledgeError {
    /// A file is not TOML of the right shape.
    #[error("cannot read data file {file}")]
    Read {
        /// The file as it was named.
        file: String,
        /// What is wrong with it, with line and column.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// The files can be read and contradict their rules.
    #[error("the data files break {} of their rules: {}", problems.len(), problems.join("; "))]
    Invalid {
        /// Each broken rule, naming its service or file; at least one.
        problems: Vec<String>,
    },
}

impl Fault for KnowledgeError {
    fn code(&self) -> &'static str {
        match self {
            Self::Read { .. } => "KN001",
            Self::Invalid { .. } => "KN002",
        }
    }
    fn hint(&self) -> Option<String> {
        let hint = "docs/knowledge.md tells what such a file holds; if the file is none of yours, the program is damaged: install it again";
        Some(hint.into())
    }
    fn exit(&self) -> Exit {
        Exit::Usage
    }
}

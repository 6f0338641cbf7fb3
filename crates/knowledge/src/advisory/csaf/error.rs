//! Why a document is not taken for an advisory.

use portcullis_model::{Exit, Fault, sanitize};

/// A document that is not read as an advisory.
#[derive(Debug, thiserror::Error)]
pub enum CsafError {
    /// It is not JSON, or nested deeper than any advisory.
    #[error("it is not JSON")]
    Json(#[source] serde_json::Error),
    /// Another version of CSAF, or another kind of document.
    #[error("its `/document/csaf_version` is `{}`, and only 2.0 is read", sanitize(.0))]
    OtherVersion(String),
    /// What every advisory must have is missing or of the wrong type.
    #[error("it has no usable `{0}`")]
    Missing(&'static str),
    /// It tells of no product whether it is affected.
    #[error("it tells of no product whether it is affected")]
    NoStatus,
    /// It holds more than is read.
    #[error("it has more than {most} {what}")]
    TooMuch {
        /// The limit.
        most: usize,
        /// Of what.
        what: &'static str,
    },
}

impl Fault for CsafError {
    fn code(&self) -> &'static str {
        match self {
            Self::Json(_) => "AD001",
            Self::OtherVersion(_) => "AD002",
            Self::Missing(_) => "AD003",
            Self::NoStatus => "AD004",
            Self::TooMuch { .. } => "AD005",
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Json(_) => "fetch the file again: it may have been cut, or be a web page that leads to it",
            Self::OtherVersion(_) => "ask the publisher for the document as CSAF 2.0",
            Self::Missing(_) => {
                "the publisher must correct it: the standard demands this part (CSAF 2.0, section 3)"
            }
            Self::NoStatus => "read it yourself: a document of this kind cannot be held against a host",
            Self::TooMuch { .. } => "import the documents of single products instead of one for all",
        };
        Some(hint.into())
    }

    fn exit(&self) -> Exit {
        Exit::Usage
    }
}

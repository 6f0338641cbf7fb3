//! Why a document is not read at all.

use std::io;

use portcullis_model::{Exit, Fault};

use super::Format;

/// A document that is not read at all.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// No known program writes so.
    #[error("no known program writes files that begin like this one")]
    UnknownFormat,
    /// It must be unpacked first.
    #[error("the file is compressed")]
    Compressed,
    /// Its beginning could not be read.
    #[error("the file could not be read")]
    Reading(#[source] io::Error),
}

impl Fault for ImportError {
    fn code(&self) -> &'static str {
        match self {
            Self::UnknownFormat => "IM001",
            Self::Compressed => "IM002",
            Self::Reading(_) => "IM003",
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownFormat => Some(format!(
                "if you know what wrote it, say so with --format-of ({}); docs/importing.md lists what is read. Listings of \
                 sockets are for `check --import`, packets for `capture`",
                Format::ALL.map(|format| format.to_string()).join(", ")
            )),
            Self::Compressed => Some("unpack it on the way: `zcat conn.log.gz | portcullis import -`".into()),
            Self::Reading(_) => None,
        }
    }

    fn exit(&self) -> Exit {
        Exit::Usage
    }
}

/// A text that names no format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no format that can be imported: use nmap, masscan, nessus, zeek, neighbours or mac-table")]
pub struct UnknownFormat(pub(super) String);

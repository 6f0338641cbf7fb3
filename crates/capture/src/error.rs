//! Why a capture is not read, or not to its end.

use std::io;

use portcullis_model::{Exit, Fault};

/// A capture that is not read at all.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// Neither pcap nor pcapng.
    #[error("it begins neither as pcap nor as pcapng")]
    UnknownFormat,
    /// It must be unpacked first.
    #[error("the file is compressed")]
    Compressed,
    /// There is nothing in it.
    #[error("the file is empty")]
    Empty,
    /// Its beginning could not be read.
    #[error("the file could not be read")]
    Reading(#[source] io::Error),
}

impl Fault for CaptureError {
    fn code(&self) -> &'static str {
        match self {
            Self::UnknownFormat => "CP001",
            Self::Compressed => "CP002",
            Self::Empty => "CP003",
            Self::Reading(_) => "CP004",
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::UnknownFormat => {
                "give a capture of tcpdump, dumpcap or Wireshark; `editcap -F pcapng OLD NEW` converts other formats"
                    .into()
            }
            Self::Compressed => "unpack it on the way: `zcat plant.pcap.gz | portcullis capture -`".into(),
            Self::Empty => "see whether the program that captured had the right to".into(),
            Self::Reading(source) if source.kind() == io::ErrorKind::IsADirectory => "name a file in it".into(),
            Self::Reading(_) => return None,
        })
    }

    fn exit(&self) -> Exit {
        Exit::Usage
    }
}

/// Where and why a capture could not be read any further. What came before it was read.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    /// The file ends in the middle of a record, as one does whose writer was killed.
    #[error("the capture ends in the middle of a record, at byte {at}")]
    Truncated {
        /// Where the record begins, in bytes from the beginning.
        at: u64,
    },
    /// A record that cannot be one.
    #[error("the record at byte {at} is damaged: {why}")]
    Record {
        /// Where it begins.
        at: u64,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The system did not give any more.
    #[error("the capture could not be read beyond byte {at}: {source}")]
    Reading {
        /// How far it was read.
        at: u64,
        /// What the system said.
        source: io::Error,
    },
}

//! Why nothing was learned.

use std::net::SocketAddr;

use portcullis_model::{Exit, Fault, PortState};

/// An error of learning.
#[derive(Debug, thiserror::Error)]
pub enum LearnError {
    /// The service is not known.
    #[error("`{0}` is no service that is known")]
    NoSuchService(String),
    /// The same port is an example and a counter-example.
    #[error("{0} cannot be the service and a counter-example at once")]
    Both(SocketAddr),
    /// A service of which behaviour on a TCP connection says nothing.
    #[error("`{service}` is not learned by how a port behaves: {why}")]
    NotByBehaviour {
        /// The service.
        service: String,
        /// Why not.
        why: &'static str,
    },
    /// A port at which a connection already does something.
    #[error("{place} is not connected to: {why}")]
    NotTestable {
        /// The port.
        place: SocketAddr,
        /// Why not.
        why: String,
    },
    /// Nothing to learn from.
    #[error("nothing can be learned of {place}: it is {state} ({because})")]
    NotOpen {
        /// The port.
        place: SocketAddr,
        /// What it is instead.
        state: PortState,
        /// Why.
        because: String,
    },
    /// What the server says shows that it is another service.
    #[error("{place} is not {service}: {why}")]
    RuledOut {
        /// The port.
        place: SocketAddr,
        /// What the operator took it for.
        service: String,
        /// What speaks against it.
        why: String,
    },
    /// Nothing of the port is in the capture.
    #[error("the capture holds no first bytes of {0}")]
    NotOverheard(SocketAddr),
    /// There is no signature of this port.
    #[error("nothing was learned of {0}")]
    NotLearned(SocketAddr),
    /// A signature in the store cannot be read by this version.
    #[error("a signature in the store cannot be read")]
    Kept(#[source] serde_json::Error),
}

impl Fault for LearnError {
    fn code(&self) -> &'static str {
        match self {
            Self::NoSuchService(_) => "LN001",
            Self::Both(_) => "LN002",
            Self::NotTestable { .. } => "LN003",
            Self::NotOpen { .. } => "LN004",
            Self::RuledOut { .. } => "LN005",
            Self::NotOverheard(_) => "LN006",
            Self::NotLearned(_) => "LN007",
            Self::Kept(_) => "LN008",
            Self::NotByBehaviour { .. } => "LN009",
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NoSuchService(_) => "`portcullis knowledge list` lists them; --knowledge DIR adds your own",
            Self::Both(_) => "leave out one of the two",
            Self::NotByBehaviour { .. } => {
                "nothing was sent; `portcullis knowledge list` names the hazard of each service: learn those that are silent"
            }
            Self::NotTestable { .. } => "nothing was sent; learn from a port that may be connected to",
            Self::NotOpen { .. } => "nothing was kept; try again when it answers",
            Self::RuledOut { .. } => {
                "nothing was kept; give it as --not to learn from it as a counter-example"
            }
            Self::NotOverheard(_) => {
                "capture the beginning of a session with it (docs/capturing.md), or leave --from-capture out"
            }
            Self::NotLearned(_) => "`portcullis learn --list` lists what was",
            Self::Kept(_) => {
                "learn it again with this version of portcullis: `portcullis learn --forget HOST:PORT`"
            }
        };
        Some(hint.into())
    }

    fn exit(&self) -> Exit {
        match self {
            Self::NoSuchService(_)
            | Self::Both(_)
            | Self::NotOverheard(_)
            | Self::NotLearned(_)
            | Self::NotByBehaviour { .. } => Exit::Usage,
            Self::NotTestable { .. } | Self::RuledOut { .. } => Exit::Refused,
            Self::NotOpen { .. } | Self::Kept(_) => Exit::Failed,
        }
    }
}

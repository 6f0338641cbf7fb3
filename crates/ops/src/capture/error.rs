//! Why an interface cannot be listened to.

use portcullis_model::{Exit, Fault};
use portcullis_sys::{SysError, host::setcap_line};

/// Why an interface cannot be listened to.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// Without the right to hear frames.
    #[error("listening to an interface needs the right to receive raw packets (CAP_NET_RAW)")]
    Privilege {
        /// What the system said.
        #[source]
        source: SysError,
    },
    /// There is none of that name.
    #[error("this host has no interface `{name}`; it has {known}")]
    NoInterface {
        /// The name, harmless to show.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// The system did not do what is needed.
    #[error("cannot listen to the interface")]
    System(#[source] SysError),
}

impl LiveError {
    /// An error of opening a packet socket.
    pub(super) fn opening(source: SysError) -> Self {
        if source.is_denied() {
            Self::Privilege { source }
        } else {
            Self::System(source)
        }
    }
}

impl Fault for LiveError {
    fn code(&self) -> &'static str {
        match self {
            Self::Privilege { .. } => "CP005",
            Self::NoInterface { .. } => "CP006",
            Self::System(_) => "CP007",
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Privilege { .. } => Some(format!(
                "`{}`, run it as root, or give it a file of tcpdump's",
                setcap_line("cap_net_raw+ep")
            )),
            Self::NoInterface { .. } => Some("`ip link` lists them".into()),
            Self::System(source) => source.hint(),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::NoInterface { .. } => Exit::Usage,
            Self::Privilege { .. } | Self::System(_) => Exit::Failed,
        }
    }
}

//! Why a SYN scan cannot begin.

use portcullis_model::{Exit, Fault};
use portcullis_sys::{SysError, host::setcap_line};

use crate::MOST_PROBES;

/// Why a SYN scan cannot begin. Nothing has been sent.
#[derive(Debug, thiserror::Error)]
pub enum SynError {
    /// Without the right to send frames.
    #[error("a SYN scan needs the right to send and receive raw packets (CAP_NET_RAW)")]
    Privilege {
        /// What the system said.
        #[source]
        source: SysError,
    },
    /// Every port outside the kernel's range for its own connections is in use.
    #[error("this host has no 16 consecutive free source ports outside its range for outgoing connections")]
    NoSourcePorts,
    /// More ports of hosts than one scan may have.
    #[error("{count} ports of hosts are more than the {MOST_PROBES} that one SYN scan may have")]
    TooMany {
        /// How many.
        count: u128,
    },
    /// The system did not do what is needed.
    #[error("cannot prepare the SYN scan")]
    System(#[source] SysError),
}

impl SynError {
    /// An error of opening a packet socket.
    pub(super) fn opening(source: SysError) -> Self {
        if source.is_denied() {
            Self::Privilege { source }
        } else {
            Self::System(source)
        }
    }
}

impl Fault for SynError {
    fn code(&self) -> &'static str {
        match self {
            Self::Privilege { .. } => "SC040",
            Self::NoSourcePorts => "SC041",
            Self::TooMany { .. } => "SC042",
            Self::System(_) => "SC043",
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Privilege { .. } => Some(format!(
                "`{}`, run it as root, or use `--mode connect`, which needs no rights",
                setcap_line("cap_net_raw,cap_net_admin+ep")
            )),
            Self::NoSourcePorts => {
                Some("make room with `sysctl net.ipv4.ip_local_port_range`, or use `--mode connect`".into())
            }
            Self::TooMany { .. } => Some("split the scan into several".into()),
            Self::System(source) => source.hint(),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::TooMany { .. } => Exit::Usage,
            Self::Privilege { .. } | Self::NoSourcePorts | Self::System(_) => Exit::Failed,
        }
    }
}

//! Why the miniature plant cannot be built or entered.

use std::{io, path::PathBuf};

use portcullis_model::{Exit, Fault};
use portcullis_sys::SysError;

/// An error of the lab.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// The system refused something.
    #[error("cannot {act} the lab")]
    System {
        /// What was being done.
        act: &'static str,
        /// What the system said.
        #[source]
        source: SysError,
    },
    /// The folder of the lab cannot be used.
    #[error("cannot {act} {path}")]
    Folder {
        /// What was being done.
        act: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// There is one already.
    #[error("a lab is up already")]
    AlreadyUp,
    /// There is none.
    #[error("no lab is up")]
    NotUp,
    /// The command runs inside a lab.
    #[error("this command runs inside the lab")]
    Inside,
    /// There is no such host.
    #[error("the lab has no host `{0}`")]
    NoSuchHost(String),
    /// A process of the lab did not come up.
    #[error("the lab did not come up: {0}")]
    Start(String),
    /// `ip` or `nft` refused a step of the construction.
    #[error("cannot build the lab's network on {host}: {said}")]
    Network {
        /// The host.
        host: String,
        /// The complaint.
        said: String,
    },
}

impl Fault for LabError {
    fn code(&self) -> &'static str {
        match self {
            Self::System { source, .. } => source.code(),
            Self::Folder { .. } => "LB001",
            Self::AlreadyUp => "LB002",
            Self::NotUp => "LB003",
            Self::NoSuchHost(_) => "LB004",
            Self::Start(_) => "LB005",
            Self::Network { .. } => "LB006",
            Self::Inside => "LB007",
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::System { source, .. } => source.hint(),
            Self::Folder { .. } => None,
            Self::AlreadyUp => Some("`portcullis lab down` takes it away".into()),
            Self::NotUp => Some("`portcullis lab up` builds one".into()),
            Self::Inside => Some("leave the lab's shell first".into()),
            Self::NoSuchHost(_) => {
                let names: Vec<&str> = crate::plant::HOSTS.iter().map(|host| host.name).collect();
                Some(format!("its hosts are {}", names.join(", ")))
            }
            Self::Start(_) | Self::Network { .. } => {
                Some("`portcullis doctor` shows what this machine lacks".into())
            }
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::System { source, .. } => source.exit(),
            Self::Inside | Self::NoSuchHost(_) | Self::AlreadyUp | Self::NotUp => Exit::Usage,
            Self::Folder { .. } | Self::Start(_) | Self::Network { .. } => Exit::Failed,
        }
    }
}

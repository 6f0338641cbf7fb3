//! Why a firewall change cannot be planned, made or read.

use std::net::{IpAddr, SocketAddr};

use portcullis_model::{BackendName, Digest, Exit, Fault, Port};
use portcullis_sys::SysError;

use crate::dialect::Dialect;

/// An error of the firewall.
#[derive(Debug, thiserror::Error)]
pub enum FirewallError {
    /// The tool that reads or changes the firewall could not be run.
    #[error("cannot {act} the firewall rules")]
    Tool {
        /// What was to be done.
        act: &'static str,
        /// Why not.
        #[source]
        source: SysError,
    },
    /// The tool ran and refused.
    #[error("cannot {act} the firewall rules: {program} says: {said}")]
    Refused {
        /// What was to be done.
        act: &'static str,
        /// The tool.
        program: String,
        /// Its complaint, first lines.
        said: String,
    },
    /// What the tool printed cannot be understood.
    #[error("cannot read the firewall rules: {0}")]
    Unreadable(String),
    /// The ruleset is another one than the plan was made for.
    #[error("the ruleset changed after the plan was made: expected digest {}, found {}", expected.short(), found.short())]
    Stale {
        /// Digest in the plan.
        expected: Digest,
        /// Digest now.
        found: Digest,
    },
    /// The change would cut the connection over which it is made.
    #[error("this would cut the connection that you are working over: {peer} -> {local}")]
    WouldLockOut {
        /// The operator's end.
        peer: SocketAddr,
        /// This host's end.
        local: SocketAddr,
    },
    /// The change would cut a connection that `site.toml` says must always get through.
    #[error("this would cut a connection that must be kept: {0}")]
    WouldCutKept(String),
    /// Nothing listens there.
    #[error("nothing listens on {0} on this host")]
    NothingListens(Port),
    /// Another change governs the port already.
    #[error("{port} is already governed by change {tag}")]
    AlreadyGoverned {
        /// The port.
        port: Port,
        /// The change.
        tag: String,
    },
    /// After loading, the kernel does not hold what was loaded.
    #[error("the kernel does not hold what was loaded: {0}")]
    ReadBack(String),
    /// Somebody else keeps something among our rules.
    #[error("among the rules of Portcullis stands what it did not make: {0}")]
    Strangers(String),
    /// There is nothing to confirm any more.
    #[error("the trial is over: {0} is open as before")]
    TrialOver(Port),
    /// The firewall system that was asked for does not govern the host.
    #[error("the change cannot be made in {0}: {1}")]
    NotInUse(BackendName, &'static str),
    /// A host that is to be behind this one is this one.
    #[error("{0} is an address of this host, not of one behind it")]
    NotBehind(IpAddr),
    /// A device that stands before the hosts must be told which.
    #[error("a text for {0} needs the addresses of the hosts whose port is closed")]
    NoAssets(Dialect),
    /// Everybody is allowed.
    #[error("closing {0} would shut out nobody: everybody is let through")]
    NobodyShutOut(Port),
}

impl Fault for FirewallError {
    fn code(&self) -> &'static str {
        match self {
            Self::Tool { source, .. } => source.code(),
            Self::Refused { .. } => "FW001",
            Self::Unreadable(_) => "FW002",
            Self::Stale { .. } => "FW003",
            Self::WouldLockOut { .. } => "FW004",
            Self::WouldCutKept(_) => "FW005",
            Self::NothingListens(_) => "FW006",
            Self::AlreadyGoverned { .. } => "FW007",
            Self::ReadBack(_) => "FW008",
            Self::TrialOver(_) => "FW009",
            Self::Strangers(_) => "FW010",
            Self::NotInUse(..) => "FW013",
            Self::NotBehind(_) => "FW014",
            Self::NoAssets(_) => "FW011",
            Self::NobodyShutOut(_) => "FW012",
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Tool { source, .. } => source.hint(),
            Self::Refused { said, .. } if said.contains("Operation not permitted") => {
                Some("changing and reading the firewall needs CAP_NET_ADMIN: run it as root (sudo)".into())
            }
            Self::Refused { .. } | Self::Unreadable(_) => {
                Some("`portcullis doctor` shows what this machine's nftables can do".into())
            }
            Self::Stale { .. } => Some("run `portcullis plan` again and compare the two plans".into()),
            Self::WouldLockOut { peer, .. } => Some(format!(
                "connect in another way, or keep your own way open with `--allow {}`",
                ipnet::IpNet::from(peer.ip())
            )),
            Self::WouldCutKept(_) => {
                Some("let its source through with `--allow`, or change [keep] in site.toml".into())
            }
            Self::NothingListens(_) => Some(
                "`portcullis check` lists what listens; to close the port all the same add --preventive"
                    .into(),
            ),
            Self::AlreadyGoverned { tag, .. } => Some(format!(
                "`portcullis changes` shows it; `portcullis rollback {tag}` takes it back first"
            )),
            Self::ReadBack(_) => Some("`portcullis changes` shows where each change stands now".into()),
            Self::Strangers(_) => {
                Some("move it to a table of its own and remove it here; Portcullis leaves it alone".into())
            }
            Self::NotInUse(..) => {
                Some("leave out `--backend`: the plan says which one is effective here, and why".into())
            }
            Self::TrialOver(_) => Some("the port is open as before; apply the plan again".into()),
            Self::NotBehind(_) => Some("leave out --behind: its own port is what a plan closes".into()),
            Self::NoAssets(_) => Some("name the hosts behind the device: --host ADDRESS".into()),
            Self::NobodyShutOut(_) => Some("let through fewer networks".into()),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Tool { source, .. } => source.exit(),
            Self::Refused { .. } | Self::Unreadable(_) | Self::ReadBack(_) => Exit::Failed,
            Self::NothingListens(_)
            | Self::NotInUse(..)
            | Self::NotBehind(_)
            | Self::NoAssets(_)
            | Self::NobodyShutOut(_) => Exit::Usage,
            Self::Stale { .. }
            | Self::WouldLockOut { .. }
            | Self::WouldCutKept(_)
            | Self::AlreadyGoverned { .. }
            | Self::Strangers(_)
            | Self::TrialOver(_) => Exit::Refused,
        }
    }
}

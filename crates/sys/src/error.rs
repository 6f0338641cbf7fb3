//! What the system refused, and what to do about it.

use std::{io, path::PathBuf};

use portcullis_model::{Exit, Fault};

/// An error of the operating system, with what was being done.
#[derive(Debug, thiserror::Error)]
pub enum SysError {
    /// A program that is needed is not installed.
    #[error("cannot find the program `{program}`")]
    MissingProgram {
        /// Its name.
        program: String,
    },
    /// A program could not be started.
    #[error("cannot start `{program}`")]
    Start {
        /// Its name.
        program: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A program did not end in time and was ended.
    #[error("`{program}` did not end within {seconds} s and was ended")]
    Slow {
        /// Its name.
        program: String,
        /// How long it was given.
        seconds: u64,
    },
    /// The kernel's socket table could not be read.
    #[error("cannot read the kernel's socket table")]
    SocketTable(#[source] io::Error),
    /// A netlink answer that does not parse.
    #[error("the kernel's {what} answer cannot be understood: {why}")]
    Netlink {
        /// What was asked.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// A netfilter log group could not be opened.
    #[error("cannot listen to netfilter log group {group}")]
    LogGroup {
        /// The group.
        group: u16,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The kernel does not tell of changes of its ruleset.
    #[error("cannot follow the changes of the nftables ruleset")]
    RulesetEvents(#[source] io::Error),
    /// A namespace could not be opened, made or entered.
    #[error("cannot {act} the namespace {what}")]
    Namespace {
        /// `open`, `make` or `enter`.
        act: &'static str,
        /// Which.
        what: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Somebody else holds the lock.
    #[error("another portcullis is at work on the firewall of this host")]
    Locked,
    /// A file could not be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Another host could not be reached over ssh.
    #[error("cannot connect to {host}: {said}")]
    Connect {
        /// The host.
        host: String,
        /// What ssh said.
        said: String,
    },
    /// The connection to another host broke.
    #[error("the connection to {host} was lost")]
    Lost {
        /// The host.
        host: String,
    },
    /// The one who signed in may not change the firewall there.
    #[error("the one who signed in to {host} is not root there, and may not become root without a password")]
    NotRoot {
        /// The host.
        host: String,
    },
    /// ssh gets in, and no shell does what it is told.
    #[error("{host} gives no shell that does what it is told; it says: {said}")]
    NoShell {
        /// The host.
        host: String,
        /// What came instead.
        said: String,
    },
    /// Another host does not answer any more.
    #[error("{host} has not answered for {seconds} s")]
    Silent {
        /// The host.
        host: String,
        /// How long was waited.
        seconds: u64,
    },
    /// An answer of another host that has no end.
    #[error("what {host} tells of itself has no end")]
    CutOff {
        /// The host.
        host: String,
    },
    /// Some other system call failed.
    #[error("cannot {what}")]
    Call {
        /// What was being done.
        what: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// The Debian package that a program comes in, for hints.
pub(crate) fn package_of(program: &str) -> &str {
    match program {
        "nft" => "nftables",
        "ip" | "ss" => "iproute2",
        "firewall-cmd" => "firewalld",
        "ssh" | "ssh-keygen" => "openssh-client",
        "journalctl" => "systemd",
        "iptables"
        | "iptables-save"
        | "ip6tables-save"
        | "iptables-legacy-save"
        | "ip6tables-legacy-save" => "iptables",
        other => other,
    }
}

impl SysError {
    /// Whether the system forbids it to this user.
    pub fn is_denied(&self) -> bool {
        let source = match self {
            Self::Start { source, .. }
            | Self::LogGroup { source, .. }
            | Self::Namespace { source, .. }
            | Self::Call { source, .. }
            | Self::SocketTable(source)
            | Self::RulesetEvents(source)
            | Self::Read { source, .. } => source,
            _ => return false,
        };
        source.kind() == io::ErrorKind::PermissionDenied
    }
}

/// Whether a log group is denied because somebody else has it. The kernel says of it that it is not permitted (`nfulnl_recv_config` in
/// `nfnetlink_log.c`), as to those who have no right to it; it is busy where two ask at once.
fn is_listened_to(source: &io::Error, is_root: bool) -> bool {
    match source.raw_os_error() {
        Some(nix::libc::EBUSY | nix::libc::EEXIST) => true,
        Some(nix::libc::EPERM) => is_root,
        _ => false,
    }
}

impl Fault for SysError {
    fn code(&self) -> &'static str {
        match self {
            Self::MissingProgram { .. } => "SY001",
            Self::Start { .. } => "SY002",
            Self::Slow { .. } => "SY003",
            Self::SocketTable(_) => "SY004",
            Self::Netlink { .. } => "SY005",
            Self::LogGroup { .. } => "SY006",
            Self::Namespace { .. } => "SY007",
            Self::Locked => "SY008",
            Self::Read { .. } => "SY009",
            Self::Call { .. } => "SY010",
            Self::RulesetEvents(_) => "SY011",
            Self::Connect { .. } => "SY012",
            Self::Lost { .. } => "SY013",
            Self::NotRoot { .. } => "SY014",
            Self::CutOff { .. } => "SY015",
            Self::NoShell { .. } => "SY016",
            Self::Silent { .. } => "SY017",
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::MissingProgram { program } => {
                let package = package_of(program);
                Some(format!("install it: `apt install {package}`; `portcullis doctor` lists all that is missing"))
            }
            Self::Namespace { .. } if self.is_denied() => Some(
                "run it as root, or allow unprivileged user namespaces (sysctl kernel.unprivileged_userns_clone=1, \
                 kernel.apparmor_restrict_unprivileged_userns=0)"
                    .into(),
            ),
            Self::RulesetEvents(_) if self.is_denied() => {
                Some("following the ruleset needs CAP_NET_ADMIN: run it as root (sudo)".into())
            }
            Self::LogGroup { source, .. } if is_listened_to(source, nix::unistd::geteuid().is_root()) => Some(
                "another program listens to this group, and each has one listener: `cat /proc/net/netfilter/nfnetlink_log` \
                 shows its process in the second column; stop it, or log to another group"
                    .into(),
            ),
            _ if self.is_denied() => Some("run it as root (sudo)".into()),
            Self::Connect { .. } => Some("try `ssh` with the same host: what it needs there, Portcullis needs as well".into()),
            Self::Lost { .. } | Self::Silent { .. } => Some(
                "what was being done there may have been done or not: `portcullis changes --host` tells; a trial that nobody \
                 confirms ends by itself"
                    .into(),
            ),
            Self::NoShell { .. } => {
                Some("let the user start `/bin/sh` there over ssh: `ssh HOST /bin/sh -s </dev/null` must be silent".into())
            }
            Self::NotRoot { .. } => Some("sign in as root, or let the user run `sudo -n sh` there".into()),
            Self::CutOff { .. } => Some("it needs a POSIX shell with cat, grep, ls and dd, as busybox has them".into()),
            Self::Locked => Some("wait until it has ended, then look at `portcullis changes`".into()),
            _ => None,
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Locked => Exit::Refused,
            _ => Exit::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_group_that_another_has_is_told_from_a_right_that_is_missing() {
        let listened_to = |errno, is_root| is_listened_to(&io::Error::from_raw_os_error(errno), is_root);
        assert!(listened_to(nix::libc::EBUSY, false) && listened_to(nix::libc::EEXIST, true));
        assert!(listened_to(nix::libc::EPERM, true) && !listened_to(nix::libc::EPERM, false));
        assert!(!listened_to(nix::libc::ENOBUFS, true));
    }
}

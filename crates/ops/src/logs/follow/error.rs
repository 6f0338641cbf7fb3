//! Why something cannot be followed.

use std::{io, net::SocketAddr, path::PathBuf};

use portcullis_model::{Exit, Fault, sanitize};

/// A source that cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// A place to listen at that is none.
    #[error("cannot listen for syslog at `{}`: {why}", sanitize(given))]
    Listener {
        /// As it was given.
        given: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The system does not let it be listened to.
    #[error("cannot listen for syslog at {address}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A certificate or a key that TLS cannot use.
    #[error("cannot use {} for TLS: {why}", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// TLS without a certificate of its own, or a certificate without TLS.
    #[error("{0}")]
    Tls(&'static str),
    /// `journalctl` failed.
    #[error("journalctl does not show the journal: {}", sanitize(.0))]
    Journal(String),
    /// A part of a log that was rotated away already: nothing more is written to it.
    #[error("{} is no log that is written to: {why}", path.display())]
    RotatedAway {
        /// The file.
        path: PathBuf,
        /// How that is known.
        why: String,
    },
    /// `journalctl` cannot follow a single file.
    #[error("the journal file {} can be read once, and not followed", .0.display())]
    JournalFile(PathBuf),
}

impl Fault for FollowError {
    fn code(&self) -> &'static str {
        match self {
            Self::Listener { .. } => "FO001",
            Self::Bind { .. } => "FO002",
            Self::Certificate { .. } => "FO003",
            Self::Tls(_) => "FO004",
            Self::Journal(_) => "FO005",
            Self::JournalFile(_) => "FO006",
            Self::RotatedAway { .. } => "FO007",
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Listener { .. } => {
                "write it as udp://192.0.2.1:514, tcp://[2001:db8::1]:601 or tls://192.0.2.1:6514; 0.0.0.0 and [::] are all \
                 addresses of this host"
            }
            Self::Bind { source, .. } => match source.kind() {
                io::ErrorKind::PermissionDenied => "ports below 1024 need root, or CAP_NET_BIND_SERVICE",
                io::ErrorKind::AddrInUse => "another program listens there: `ss -lntup` names it",
                io::ErrorKind::AddrNotAvailable => "name an address of this host: `ip address` lists them",
                _ => return None,
            },
            Self::Certificate { .. } => {
                "PEM is read: the certificate and those that lead to its authority in one file, the key in another"
            }
            Self::Tls(_) => {
                "`--syslog tls://…` goes with --tls-cert FILE and --tls-key FILE, and they with it"
            }
            Self::Journal(_) => {
                "run `journalctl -k` by hand; the system's journal is shown to root and to members of the group \
                 systemd-journal"
            }
            Self::RotatedAway { .. } => {
                "name only the log that is written to: what it was rotated to is found beside it, and read first; without \
                 --follow all are read once"
            }
            Self::JournalFile(_) => "leave --follow out, or name the folder that it lies in",
        };
        Some(hint.into())
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Bind { .. } | Self::Journal(_) => Exit::Failed,
            _ => Exit::Usage,
        }
    }
}

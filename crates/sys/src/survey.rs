//! Everything that is read of a host, beside its rules, before its firewall is changed.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
};

use portcullis_model::ProcessIdentity;

use crate::{Owners, Socket, SysError, conntrack, conntrack::Flow, host};

/// The sockets and addresses of a host, and over which connection it is worked on.
#[derive(Debug, Default)]
pub struct Survey {
    /// All TCP and UDP sockets.
    pub sockets: Vec<Socket>,
    /// Who holds them.
    pub holders: Holders,
    /// The addresses of its interfaces, without loopback.
    pub addresses: Vec<IpAddr>,
    /// The connections that its tracker knows; none when it cannot be read.
    pub tracked: Vec<Flow>,
    /// The source ports that it gives to its outgoing connections, first and last.
    pub ephemeral: (u16, u16),
    /// The connections over which the operator works, its end and the peer's.
    pub above: Vec<(SocketAddr, SocketAddr)>,
    /// The remote session that the operator works in, as `client -> server`; `None` on a console.
    pub session: Option<String>,
}

/// Who holds which socket.
#[derive(Debug)]
pub enum Holders {
    /// Processes of this host, looked up when they are asked for.
    Here(Owners),
    /// Processes of another host, by the inode of the socket.
    There(HashMap<u32, ProcessIdentity>),
}

impl Default for Holders {
    fn default() -> Self {
        Self::There(HashMap::new())
    }
}

impl Holders {
    /// The process that holds a socket.
    pub fn identity(&self, socket: &Socket) -> Option<ProcessIdentity> {
        match self {
            Self::Here(owners) => owners.identity(socket.inode, socket.uid),
            Self::There(processes) => processes.get(&socket.inode).cloned(),
        }
    }

    /// How many processes could not be looked into for want of rights.
    pub fn unreadable(&self) -> usize {
        match self {
            Self::Here(owners) => owners.unreadable,
            Self::There(_) => 0,
        }
    }
}

impl Survey {
    /// Reads this host.
    ///
    /// # Errors
    /// When the kernel does not hand out its socket table.
    pub(crate) fn here() -> Result<Self, SysError> {
        let sockets = crate::sockets()?;
        let told = told_by_ssh(&std::env::var("SSH_CONNECTION").unwrap_or_default());
        let held = host::sockets_above(&sockets);
        let mut above: Vec<_> = held.iter().map(|socket| (socket.local, socket.peer)).collect();
        let is_up = |(peer, local): &(SocketAddr, SocketAddr)| {
            let same = |socket: &Socket| (socket.peer, socket.local) == (*peer, *local);
            sockets.iter().any(same)
        };
        let session = match told {
            Some(ends) => Some(shown(ends)),
            None if above.is_empty() => None,
            // `sudo` takes the word of ssh away.
            None => {
                let held = above.iter().map(|(local, peer)| shown((*peer, *local)));
                Some(held.collect::<Vec<_>>().join(", "))
            }
        };
        above.extend(told.filter(is_up).map(|(peer, local)| (local, peer)));
        above.sort_unstable();
        above.dedup();
        Ok(Self {
            holders: Holders::Here(crate::owners()),
            addresses: host::addresses(),
            tracked: conntrack::flows().unwrap_or_else(|error| {
                tracing::debug!(%error, "the connection tracker cannot be read");
                Vec::new()
            }),
            ephemeral: host::ephemeral_ports(),
            sockets,
            above,
            session,
        })
    }
}

/// A session as it is recorded.
pub(crate) fn shown((peer, local): (SocketAddr, SocketAddr)) -> String {
    format!("{peer} -> {local}")
}

/// Both ends of `SSH_CONNECTION`, client and server, which is `client port server port` (ssh(1)).
pub(crate) fn told_by_ssh(text: &str) -> Option<(SocketAddr, SocketAddr)> {
    let mut words = text.split_whitespace();
    let mut end = || {
        Some(SocketAddr::new(
            words.next()?.parse::<IpAddr>().ok()?.to_canonical(),
            words.next()?.parse().ok()?,
        ))
    };
    Some((end()?, end()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ssh_tells_is_read() {
        let ends = |text| told_by_ssh(text).map(shown);
        for (text, expected) in [
            (
                "10.7.20.5 40000 10.7.10.10 22",
                Some("10.7.20.5:40000 -> 10.7.10.10:22"),
            ),
            (
                "::ffff:10.7.20.5 40000 ::ffff:10.7.10.10 22",
                Some("10.7.20.5:40000 -> 10.7.10.10:22"),
            ),
            ("fd77::1 1 fd77::2 2", Some("[fd77::1]:1 -> [fd77::2]:2")),
            ("", None),
            ("10.7.20.5 40000 10.7.10.10", None),
            ("gw 1 gw 2", None),
        ] {
            assert_eq!(ends(text).as_deref(), expected, "{text}");
        }
    }
}

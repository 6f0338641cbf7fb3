//! One change at a time per firewall.

use std::{
    fs, io,
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixListener},
    },
    path::Path,
};

use crate::{SysError, ssh::RemoteLock};

/// Held while the firewall of a host is being changed; released when dropped, and by the kernel when the process dies.
#[derive(Debug)]
pub enum Lock {
    /// That of this host: a socket in the abstract namespace, which belongs to the network namespace like the firewall
    /// itself (`unix(7)`, `network_namespaces(7)`). No file is left behind, and two namespaces never wait for each other.
    Here(UnixListener),
    /// That of another host: a process there.
    There(RemoteLock),
}

impl Lock {
    /// Takes the lock of this host.
    ///
    /// # Errors
    /// [`SysError::Locked`] when somebody holds it, here or over ssh from another host.
    pub fn take() -> Result<Self, SysError> {
        let call = |source| SysError::Call {
            what: "take the lock of this firewall",
            source,
        };
        let address = SocketAddr::from_abstract_name("portcullis/firewall").map_err(call)?;
        let socket = match UnixListener::bind_addr(&address) {
            Ok(socket) => socket,
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Err(SysError::Locked),
            Err(error) => return Err(call(error)),
        };
        if held_from_elsewhere() {
            return Err(SysError::Locked);
        }
        Ok(Self::Here(socket))
    }
}

/// How the process of a [`RemoteLock`] was called, on the host whose lock it is.
const HELD: &[u8] = b"/bin/sh\0-s\0portcullis-lock\0";

/// Whether somebody holds the lock of this network over ssh.
fn held_from_elsewhere() -> bool {
    let network = |process: &Path| fs::read_link(process.join("ns/net")).ok();
    let own = network(Path::new("/proc/self"));
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes.map(|entry| entry.path()).any(|process| {
        let called = fs::read(process.join("cmdline")).unwrap_or_default();
        called == HELD && own.is_some() && network(&process) == own
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_cannot_hold_it_and_dropping_it_frees_it() {
        let held = Lock::take().unwrap();
        assert!(matches!(Lock::take(), Err(SysError::Locked)));
        drop(held);
        assert!(Lock::take().is_ok());
    }
}

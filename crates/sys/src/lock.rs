//! One change at a time per firewall.

use std::os::{
    linux::net::SocketAddrExt,
    unix::net::{SocketAddr, UnixListener},
};

use crate::SysError;

/// Held while the firewall of this host is being changed; released when dropped, and by the kernel when the process
/// dies. It is a socket in the abstract namespace, which belongs to the network namespace like the firewall itself
/// (`unix(7)`, `network_namespaces(7)`): no file is left behind, and two namespaces never wait for each other.
#[derive(Debug)]
pub struct Lock {
    _socket: UnixListener,
}

impl Lock {
    /// Takes the lock.
    ///
    /// # Errors
    /// [`SysError::Locked`] when somebody holds it.
    pub fn take() -> Result<Self, SysError> {
        let call = |source| SysError::Call {
            what: "take the lock of this firewall",
            source,
        };
        let address = SocketAddr::from_abstract_name("portcullis/firewall").map_err(call)?;
        match UnixListener::bind_addr(&address) {
            Ok(socket) => Ok(Self { _socket: socket }),
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => Err(SysError::Locked),
            Err(error) => Err(call(error)),
        }
    }
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

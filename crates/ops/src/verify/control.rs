//! The positive control: another port on the same host, which must answer where the closed one does not.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

use portcullis_sys::Machine;

/// On this host, a listener on a port that the kernel chose, on all addresses. It never accepts: the kernel completes
/// handshakes by itself, and that is all that is asked. On another host nothing is started: its ssh server is taken.
#[derive(Debug)]
pub(crate) struct Control {
    _listener: Option<TcpListener>,
    /// Its port number.
    pub(crate) number: u16,
}

impl Control {
    /// Opens it; `None` where there is none, which then shows as "cannot conclude".
    pub(crate) fn open(machine: &Machine) -> Option<Self> {
        if let Machine::There(ssh) = machine {
            return Some(Self {
                _listener: None,
                number: ssh.server()?.port(),
            });
        }
        let any: [SocketAddr; 2] = [
            (Ipv6Addr::UNSPECIFIED, 0).into(),
            (Ipv4Addr::UNSPECIFIED, 0).into(),
        ];
        let listener = TcpListener::bind(any.as_slice()).ok()?;
        let number = listener.local_addr().ok()?.port();
        Some(Self {
            _listener: Some(listener),
            number,
        })
    }
}

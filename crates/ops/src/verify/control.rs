//! The positive control: a port of our own on the same host, which must answer where the closed one does not.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

/// A listener on a port that the kernel chose, on all addresses. It never accepts: the kernel completes handshakes by
/// itself, and that is all that is asked.
#[derive(Debug)]
pub(crate) struct Control {
    _listener: TcpListener,
    /// Its port number.
    pub(crate) number: u16,
}

impl Control {
    /// Opens it; `None` when this host lets no port be opened, which then shows as "cannot conclude".
    pub(crate) fn open() -> Option<Self> {
        let any: [SocketAddr; 2] = [
            (Ipv6Addr::UNSPECIFIED, 0).into(),
            (Ipv4Addr::UNSPECIFIED, 0).into(),
        ];
        let listener = TcpListener::bind(any.as_slice()).ok()?;
        let number = listener.local_addr().ok()?.port();
        Some(Self {
            _listener: listener,
            number,
        })
    }
}

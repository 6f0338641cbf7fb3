//! How much of what was sent has arrived.

use std::{io, os::fd::AsRawFd};

use nix::libc;

/// Bytes that were sent on a TCP connection and not yet acknowledged by the peer's kernel (`SIOCOUTQ`, tcp(7)).
///
/// # Errors
/// When it is not a TCP socket.
pub fn unacknowledged(connection: &impl AsRawFd) -> io::Result<u32> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: SIOCOUTQ (the same number as TIOCOUTQ) writes one int to the address given, which is that of `bytes`;
    // the descriptor is open, because `connection` is borrowed.
    let result = unsafe { libc::ioctl(connection.as_raw_fd(), libc::TIOCOUTQ, &mut bytes) };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(bytes.unsigned_abs())
    }
}

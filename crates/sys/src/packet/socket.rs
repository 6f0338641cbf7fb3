//! Packet sockets and their options.

use std::{
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
};

use nix::libc;

use crate::SysError;

/// Opens a packet socket that receives nothing until it is bound to a protocol.
pub(super) fn open() -> Result<OwnedFd, SysError> {
    // SAFETY: socket(2) takes no pointers.
    let descriptor = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
    if descriptor < 0 {
        return Err(failed("open a packet socket"));
    }
    // SAFETY: the kernel has just given this descriptor to us, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Binds to an interface and an EtherType; 0 receives nothing.
pub(super) fn bind(socket: &OwnedFd, interface: u32, ethertype: u16) -> Result<(), SysError> {
    // SAFETY: sockaddr_ll is made of integers, for which zero is a value.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as libc::sa_family_t;
    address.sll_protocol = ethertype.to_be();
    address.sll_ifindex = libc::c_int::try_from(interface).unwrap_or(-1);
    // SAFETY: the pointer and the length describe `address`, which lives until the call has returned.
    let bound = unsafe {
        libc::bind(
            socket.as_raw_fd(),
            (&raw const address).cast(),
            size_of_val(&address) as libc::socklen_t,
        )
    };
    if bound < 0 {
        return Err(failed("bind a packet socket to its interface"));
    }
    Ok(())
}

/// Sets an option to a value. `T` must be the type that the option has in the kernel's headers.
pub(super) fn set<T: Copy>(
    socket: &OwnedFd,
    level: libc::c_int,
    name: libc::c_int,
    value: &T,
    what: &'static str,
) -> Result<(), SysError> {
    // SAFETY: the pointer and the length describe `value`, which the kernel only reads.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            (&raw const *value).cast(),
            size_of::<T>() as libc::socklen_t,
        )
    };
    if result < 0 {
        return Err(failed(what));
    }
    Ok(())
}

/// What the system said to the last call.
pub(super) fn failed(what: &'static str) -> SysError {
    SysError::Call {
        what,
        source: io::Error::last_os_error(),
    }
}

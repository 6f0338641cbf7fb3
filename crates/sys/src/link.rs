//! A netlink socket: ask once, read until the answer is complete.

use std::io;

use netlink_packet_core::{NetlinkDeserializable, NetlinkMessage, NetlinkPayload, NetlinkSerializable};
use netlink_sys::Socket;

/// A netlink datagram is at most this long: the kernel sends dumps in pieces of at most 32 KiB.
pub(crate) const DATAGRAM: usize = 64 * 1024;

/// Sends one message.
pub(crate) fn send<I: NetlinkSerializable>(
    socket: &Socket,
    mut message: NetlinkMessage<I>,
) -> io::Result<()> {
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    socket.send(&bytes, 0).map(|_| ())
}

/// Receives one datagram and hands over each message in it.
pub(crate) fn receive<I: NetlinkDeserializable>(
    socket: &Socket,
    buffer: &mut Vec<u8>,
    mut each: impl FnMut(NetlinkPayload<I>) -> io::Result<()>,
) -> io::Result<()> {
    buffer.clear();
    buffer.reserve(DATAGRAM);
    socket.recv(buffer, 0)?;
    let mut rest: &[u8] = buffer;
    while !rest.is_empty() {
        let message = NetlinkMessage::<I>::deserialize(rest)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
        // Messages are padded to four bytes; a length of 0 would never advance.
        let length = (message.header.length as usize).next_multiple_of(4).max(4);
        rest = rest.get(length..).unwrap_or_default();
        each(message.payload)?;
    }
    Ok(())
}

/// The error in an acknowledgement; `Ok` when it acknowledges success.
pub(crate) fn acknowledged(error: &netlink_packet_core::ErrorMessage) -> io::Result<()> {
    match error.code {
        None => Ok(()),
        Some(code) => Err(io::Error::from_raw_os_error(code.get().abs())),
    }
}

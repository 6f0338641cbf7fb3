//! What the kernel says of a TCP connection (`tcp(7)`, `TCP_INFO`).

use std::os::fd::{AsFd, AsRawFd};

use nix::libc;

/// As much of `struct tcp_info` (linux/tcp.h) as is read; newer kernels say more.
const LENGTH: usize = 256;
const SEGMENTS_OUT: usize = 136;

/// Segments that were sent since the first SYN, bare acknowledgements among them. `None` when it is no TCP socket, or the
/// kernel does not count them (before Linux 4.2).
pub fn segments_out(socket: &impl AsFd) -> Option<u32> {
    let mut bytes = [0_u8; LENGTH];
    let mut length = LENGTH as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes into the buffer, which is as long, and says how many.
    let result = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            bytes.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    let written = bytes.get(..length as usize).filter(|_| result == 0)?;
    let word = written.get(SEGMENTS_OUT..SEGMENTS_OUT + 4)?.try_into().ok()?;
    Some(u32::from_ne_bytes(word))
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::{TcpListener, TcpStream, UdpSocket},
    };

    use super::*;

    #[test]
    fn segments_are_counted() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut peer, _) = listener.accept().unwrap();
        // The SYN and the acknowledgement of the answer.
        assert_eq!(segments_out(&stream), Some(2));
        stream.write_all(b"x").unwrap();
        peer.read_exact(&mut [0]).unwrap();
        assert_eq!(segments_out(&stream), Some(3));
    }

    #[test]
    fn another_socket_has_none() {
        assert_eq!(segments_out(&UdpSocket::bind("127.0.0.1:0").unwrap()), None);
    }
}

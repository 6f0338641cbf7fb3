//! What the kernel says of a TCP connection (`tcp(7)`, `TCP_INFO`).

use std::{
    os::fd::{AsFd, AsRawFd},
    time::Duration,
};

use nix::libc;
use portcullis_model::TcpOptions;

/// As much of `struct tcp_info` (linux/tcp.h) as is read; newer kernels say more.
const LENGTH: usize = 256;
const OPTIONS: usize = 5;
const SCALES: usize = 6;
const SEND_SEGMENT: usize = 16;
const LAST_DATA_RECEIVED: usize = 52;
const SEGMENTS_OUT: usize = 136;
const SEGMENTS_IN: usize = 140;
/// Since Linux 5.4.
const SEND_WINDOW: usize = 228;

/// Segments that were sent since the first SYN, bare acknowledgements among them. `None` when it is no TCP socket, or the
/// kernel does not count them (before Linux 4.2).
pub fn segments_out(socket: &impl AsFd) -> Option<u32> {
    word(&read(socket)?, SEGMENTS_OUT)
}

/// Segments that have arrived, in what `sock_diag` tells of a connection.
pub(crate) fn segments_in(info: &[u8]) -> Option<u32> {
    word(info, SEGMENTS_IN)
}

/// How long nothing has come from the peer, in what `sock_diag` tells of a connection. It is counted from when the
/// connection came up (`tcpi_last_data_recv`, milliseconds).
pub(crate) fn silent(info: &[u8]) -> Option<Duration> {
    word(info, LAST_DATA_RECEIVED).map(|milliseconds| Duration::from_millis(milliseconds.into()))
}

/// What the handshake agreed to, as long as nothing has come from the peer since. `None` when it is no TCP socket.
pub fn tcp_options(socket: &impl AsFd) -> Option<TcpOptions> {
    let bytes = read(socket)?;
    let options = *bytes.get(OPTIONS)?;
    // Two numbers of four bits, the peer's scale first: a bit field, whose order is that of the machine (C11, 6.7.2.1).
    let scales = *bytes.get(SCALES)?;
    let scale = if cfg!(target_endian = "little") {
        scales & 0x0f
    } else {
        scales >> 4
    };
    let has = |bit: u8| options & bit != 0;
    Some(TcpOptions {
        timestamps: has(1),
        selective_acks: has(2),
        ecn: has(8),
        window_scale: has(4).then_some(scale),
        window: word(&bytes, SEND_WINDOW),
        segment: word(&bytes, SEND_SEGMENT)?,
    })
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// As much as the kernel says.
fn read(socket: &impl AsFd) -> Option<Vec<u8>> {
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
    Some(written.to_vec())
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
    fn the_handshake_of_this_kernel_is_told() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let options = tcp_options(&stream).unwrap();
        // Sysctls of this machine may switch each option off; a segment on loopback is never shorter than that of IPv4.
        assert!(options.segment >= 536, "{options}");
        assert!(options.window_scale.is_none_or(|scale| scale <= 14), "{options}");
        assert!(options.window.is_none_or(|window| window > 0), "{options}");
        assert_eq!(tcp_options(&UdpSocket::bind("127.0.0.1:0").unwrap()), None);
    }

    #[test]
    fn another_socket_has_none() {
        assert_eq!(segments_out(&UdpSocket::bind("127.0.0.1:0").unwrap()), None);
    }
}

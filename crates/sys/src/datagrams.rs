//! A UDP socket that is listened to, and what the kernel threw away because nobody fetched it.

use std::{
    io::{self, IoSliceMut},
    net::{IpAddr, SocketAddr, UdpSocket},
    os::fd::AsRawFd,
    time::Duration,
};

use nix::{
    errno::Errno,
    sys::socket::{
        ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt,
        sockopt::{RcvBuf, RcvBufForce, RxqOvfl},
    },
};

use crate::SysError;

/// Bytes that the kernel shall keep for us while we are busy.
const BUFFER: usize = 8 << 20;

/// A datagram that was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Datagram {
    /// How much of the buffer it fills.
    pub length: usize,
    /// Who sent it.
    pub from: IpAddr,
    /// Whether there was more of it than the buffer takes.
    pub cut: bool,
    /// How many the kernel has thrown away before it, since the one that was received last.
    pub lost: u32,
}

/// A socket that is listened to.
#[derive(Debug)]
pub struct Datagrams {
    socket: UdpSocket,
    lost: u32,
}

impl Datagrams {
    /// Begins to listen.
    ///
    /// # Errors
    /// When the address is not of this host, is taken, or this user may not have it.
    pub fn listen(at: SocketAddr) -> io::Result<Self> {
        let socket = UdpSocket::bind(at)?;
        // Without the right to more there is at most what the system allows everybody.
        if setsockopt(&socket, RcvBufForce, &BUFFER).is_err() {
            setsockopt(&socket, RcvBuf, &BUFFER)?;
        }
        setsockopt(&socket, RxqOvfl, &1)?;
        Ok(Self { socket, lost: 0 })
    }

    /// Waits up to `patience` for one; 0 waits not at all.
    ///
    /// # Errors
    /// When the socket failed.
    pub fn receive(
        &mut self,
        buffer: &mut [u8],
        patience: Option<Duration>,
    ) -> Result<Option<Datagram>, SysError> {
        let fail = |source| SysError::Call {
            what: "receive a datagram",
            source,
        };
        let flags = match patience {
            Some(patience) => {
                self.socket.set_read_timeout(Some(patience)).map_err(fail)?;
                MsgFlags::empty()
            }
            None => MsgFlags::MSG_DONTWAIT,
        };
        let mut space = nix::cmsg_space!(u32);
        let mut parts = [IoSliceMut::new(buffer)];
        let received =
            recvmsg::<SockaddrStorage>(self.socket.as_raw_fd(), &mut parts, Some(&mut space), flags);
        let received = match received {
            Ok(received) => received,
            Err(Errno::EAGAIN | Errno::EINTR) => return Ok(None),
            // An answer of ours that nobody gave: it belongs to no datagram.
            Err(Errno::ECONNREFUSED) => return Ok(None),
            Err(error) => return Err(fail(error.into())),
        };
        let mut lost = self.lost;
        for message in received.cmsgs().map_err(|error| fail(error.into()))? {
            if let ControlMessageOwned::RxqOvfl(all) = message {
                lost = all;
            }
        }
        let from = received.address.as_ref().and_then(|address| {
            let four = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
            four.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
        });
        let Some(from) = from else { return Ok(None) };
        let datagram = Datagram {
            length: received.bytes,
            from,
            cut: received.flags.contains(MsgFlags::MSG_TRUNC),
            lost: lost.wrapping_sub(self.lost),
        };
        self.lost = lost;
        Ok(Some(datagram))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_threw_away_is_told_with_the_next_datagram() {
        let at: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let mut socket = Datagrams::listen(at).unwrap();
        setsockopt(&socket.socket, RcvBuf, &4096).unwrap();
        let at = socket.socket.local_addr().unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..200 {
            sender.send_to(&[b'x'; 100], at).unwrap();
        }
        let mut buffer = [0; 50];
        let (mut received, mut lost) = (0, 0);
        while let Some(datagram) = socket.receive(&mut buffer, None).unwrap() {
            assert!(datagram.cut && datagram.length == 50 && datagram.from.is_loopback());
            received += 1;
            lost += datagram.lost;
        }
        assert!(received < 200, "all of them fitted");
        // The kernel tells of what it threw away only with a datagram that came afterwards.
        sender.send_to(b"y", at).unwrap();
        let last = socket
            .receive(&mut buffer, Some(Duration::from_secs(10)))
            .unwrap()
            .unwrap();
        assert_eq!(received + lost + last.lost, 200);
        assert_eq!(socket.receive(&mut buffer, None).unwrap(), None);
    }
}

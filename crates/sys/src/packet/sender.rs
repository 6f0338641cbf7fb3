//! Frames out: many with one call to the kernel.

use std::{
    io,
    os::fd::{AsRawFd, OwnedFd},
};

use nix::libc;

use super::{
    MOST_BYTES,
    socket::{bind, open, set},
};
use crate::SysError;

/// Most frames that wait in a [`Sender`]. Measured on a veth pair: above 64 nothing is gained; a PACKET_TX_RING was
/// slower than sendmmsg(2) by a tenth.
pub const MOST_FRAMES: usize = 64;

/// A packet socket that only sends.
#[derive(Debug)]
pub struct Sender {
    socket: OwnedFd,
    frames: Vec<[u8; MOST_BYTES]>,
    lengths: [usize; MOST_FRAMES],
    waiting: usize,
}

impl Sender {
    /// Opens it on one interface. Needs CAP_NET_RAW.
    ///
    /// # Errors
    /// Without that right, or without the interface.
    pub fn open(interface: u32) -> Result<Self, SysError> {
        let socket = open()?;
        let yes: libc::c_int = 1;
        // Straight to the driver: a queue in between would gather what was sent evenly and send it in bursts.
        set(
            &socket,
            libc::SOL_PACKET,
            libc::PACKET_QDISC_BYPASS,
            &yes,
            "send past the queue of an interface",
        )?;
        bind(&socket, interface, 0)?;
        Ok(Self {
            socket,
            frames: vec![[0; MOST_BYTES]; MOST_FRAMES],
            lengths: [0; MOST_FRAMES],
            waiting: 0,
        })
    }

    /// How many frames wait.
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// Room for one more frame of that many bytes, which then waits; `None` when [`MOST_FRAMES`] wait, or when it is
    /// longer than [`MOST_BYTES`]. The room holds what was there before.
    pub fn room(&mut self, length: usize) -> Option<&mut [u8]> {
        let room = self.frames.get_mut(self.waiting)?.get_mut(..length)?;
        *self.lengths.get_mut(self.waiting)? = length;
        self.waiting += 1;
        Some(room)
    }

    /// Sends what waits, in order. Returns how many frames the interface took: fewer than waited when its queue is
    /// full; the rest goes on waiting.
    ///
    /// # Errors
    /// When nothing could be sent for another reason, e.g. `ENETDOWN`.
    pub fn send(&mut self) -> Result<usize, SysError> {
        if self.waiting == 0 {
            return Ok(0);
        }
        // SAFETY: both are made of integers and pointers, for which zero is a value.
        let (mut parts, mut messages): ([libc::iovec; MOST_FRAMES], [libc::mmsghdr; MOST_FRAMES]) =
            unsafe { (std::mem::zeroed(), std::mem::zeroed()) };
        let waiting = self.frames.iter_mut().zip(&self.lengths).take(self.waiting);
        for ((frame, length), (part, message)) in waiting.zip(parts.iter_mut().zip(&mut messages)) {
            part.iov_base = frame.as_mut_ptr().cast();
            part.iov_len = *length;
            message.msg_hdr.msg_iov = part;
            message.msg_hdr.msg_iovlen = 1;
        }
        // SAFETY: the first `waiting` messages point to parts, and these to frames, that live until the call has
        // returned; the lengths are within the frames, as `room` has checked. The kernel only reads the frames.
        let sent = unsafe {
            libc::sendmmsg(
                self.socket.as_raw_fd(),
                messages.as_mut_ptr(),
                self.waiting as libc::c_uint,
                0,
            )
        };
        let Ok(sent) = usize::try_from(sent) else {
            let source = io::Error::last_os_error();
            return match source.raw_os_error() {
                Some(libc::ENOBUFS | libc::EAGAIN | libc::EINTR) => Ok(0),
                _ => Err(SysError::Call {
                    what: "send a frame",
                    source,
                }),
            };
        };
        if sent < self.waiting {
            self.frames.rotate_left(sent);
            self.lengths.rotate_left(sent);
        }
        self.waiting -= sent.min(self.waiting);
        Ok(sent)
    }

    /// Forgets what waits.
    pub fn clear(&mut self) {
        self.waiting = 0;
    }
}

//! Frames in: a ring that the kernel fills, of fixed size, with what it had to drop counted.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    time::Duration,
};

use nix::{
    libc,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::{getsockopt, sockopt::SocketError},
};

use super::{
    ETHERTYPE_ALL,
    filter::{Instruction, attach, everything},
    mapping::Mapping,
    ring::{self, Heard},
    socket::{bind, failed, open, set},
};
use crate::SysError;

const BLOCK: usize = 64 * 1024;
const BLOCKS: usize = 32;
/// Of a receiver that hears everything: 16 MiB.
const ALL_BLOCKS: usize = 256;
/// A block that is not full is handed over after this many milliseconds.
const HAND_OVER: u32 = 4;
/// `TP_STATUS_KERNEL` and `TP_STATUS_USER` of `linux/if_packet.h`.
const WITH_KERNEL: u32 = 0;
const WITH_US: u32 = 1;

/// A packet socket with a ring of 2 MiB, or of 16 MiB when it hears everything.
#[derive(Debug)]
pub struct Receiver {
    // The mapping goes before the socket that it belongs to.
    ring: Mapping,
    socket: OwnedFd,
    blocks: usize,
    next: usize,
    lost: u64,
}

impl Receiver {
    /// Begins to receive the frames of one EtherType on one interface that the filter lets through. Needs CAP_NET_RAW.
    ///
    /// # Errors
    /// Without that right, without the interface, or without memory for the ring.
    pub fn open(interface: u32, ethertype: u16, filter: &[Instruction]) -> Result<Self, SysError> {
        Self::with_ring(interface, ethertype, filter, BLOCKS)
    }

    /// Begins to receive every frame that passes an interface, in both directions, whomever it is for; of each the first
    /// kibibyte. Needs CAP_NET_RAW. The interface is promiscuous until the receiver is dropped. Nothing is sent.
    ///
    /// # Errors
    /// Without that right, without the interface, or without memory for the ring.
    pub fn listen(interface: u32) -> Result<Self, SysError> {
        let receiver = Self::with_ring(interface, ETHERTYPE_ALL, &everything(), ALL_BLOCKS)?;
        let membership = libc::packet_mreq {
            mr_ifindex: libc::c_int::try_from(interface).unwrap_or(-1),
            mr_type: libc::PACKET_MR_PROMISC as libc::c_ushort,
            mr_alen: 0,
            mr_address: [0; 8],
        };
        set(
            &receiver.socket,
            libc::SOL_PACKET,
            libc::PACKET_ADD_MEMBERSHIP,
            &membership,
            "hear what is for others on an interface",
        )?;
        Ok(receiver)
    }

    fn with_ring(
        interface: u32,
        ethertype: u16,
        filter: &[Instruction],
        blocks: usize,
    ) -> Result<Self, SysError> {
        let socket = open()?;
        let version = libc::tpacket_versions::TPACKET_V3 as libc::c_int;
        let packet = libc::SOL_PACKET;
        set(
            &socket,
            packet,
            libc::PACKET_VERSION,
            &version,
            "choose the kind of a packet ring",
        )?;
        let request = libc::tpacket_req3 {
            tp_block_size: BLOCK as u32,
            tp_block_nr: blocks as u32,
            tp_frame_size: 2048,
            tp_frame_nr: (BLOCK / 2048 * blocks) as u32,
            tp_retire_blk_tov: HAND_OVER,
            tp_sizeof_priv: 0,
            tp_feature_req_word: 0,
        };
        set(
            &socket,
            packet,
            libc::PACKET_RX_RING,
            &request,
            "set up the ring of a packet socket",
        )?;
        attach(&socket, filter)?;
        let ring = Mapping::new(&socket, BLOCK * blocks)?;
        bind(&socket, interface, ethertype)?;
        Ok(Self {
            ring,
            socket,
            blocks,
            next: 0,
            lost: 0,
        })
    }

    /// How many frames passed the filter and were dropped because the ring was full, since it was opened.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn lost(&mut self) -> Result<u64, SysError> {
        let mut counts = libc::tpacket_stats_v3 {
            tp_packets: 0,
            tp_drops: 0,
            tp_freeze_q_cnt: 0,
        };
        let mut length = size_of_val(&counts) as libc::socklen_t;
        // SAFETY: the pointers describe `counts` and `length`, which live until the call has returned.
        let result = unsafe {
            libc::getsockopt(
                self.socket.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_STATISTICS,
                (&raw mut counts).cast(),
                &raw mut length,
            )
        };
        if result < 0 {
            return Err(failed("read the counters of a packet socket"));
        }
        // Reading sets the kernel's counters back to zero.
        self.lost += u64::from(counts.tp_drops);
        Ok(self.lost)
    }

    /// Waits up to `patience` until there are frames, and hands over all that are there, with what the kernel says of
    /// them.
    ///
    /// # Errors
    /// When the interface went down.
    pub fn hear(&mut self, patience: Duration, each: &mut dyn FnMut(Heard<'_>)) -> Result<(), SysError> {
        let timeout = PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX);
        let mut waiting = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
        let polled = poll(&mut waiting, timeout);
        self.drain(&mut |block| ring::heard(block).for_each(&mut *each));
        let code = getsockopt(&self.socket, SocketError).unwrap_or_default();
        if code != 0 {
            return Err(SysError::Call {
                what: "receive from a packet socket",
                source: io::Error::from_raw_os_error(code),
            });
        }
        match polled {
            Ok(_) | Err(nix::Error::EINTR) => Ok(()),
            Err(error) => Err(SysError::Call {
                what: "wait for a packet socket",
                source: error.into(),
            }),
        }
    }

    /// Hands over all blocks that are there.
    fn drain(&mut self, each: &mut dyn FnMut(&[u8])) {
        // No more than one turn, so that a flood cannot hold the caller for ever.
        for _ in 0..self.blocks {
            let offset = self.next * BLOCK;
            let Some(status) = self.ring.word(offset + ring::STATUS) else {
                return;
            };
            if status.read() & WITH_US == 0 {
                return;
            }
            // SAFETY: the status, read with acquire, says that the block is ours; it is given back below, when the
            // slice is gone.
            if let Some(block) = unsafe { self.ring.bytes(offset, BLOCK) } {
                each(block);
            }
            status.write(WITH_KERNEL);
            self.next = (self.next + 1) % self.blocks;
        }
    }
}

/// Waits up to `patience` until one of the receivers has frames, and hands over all that are there, each with the place
/// of its receiver.
///
/// # Errors
/// When an interface went down.
pub fn receive(
    receivers: &mut [Receiver],
    patience: Duration,
    each: &mut dyn FnMut(usize, &[u8]),
) -> Result<(), SysError> {
    let timeout = PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX);
    let mut waiting: Vec<PollFd> = receivers
        .iter()
        .map(|receiver| PollFd::new(receiver.socket.as_fd(), PollFlags::POLLIN))
        .collect();
    let polled = poll(&mut waiting, timeout);
    let broken = waiting.iter().position(|one| {
        one.revents().is_some_and(|events| {
            events.intersects(PollFlags::POLLERR | PollFlags::POLLHUP | PollFlags::POLLNVAL)
        })
    });
    for (place, receiver) in receivers.iter_mut().enumerate() {
        receiver.drain(&mut |block| ring::frames(block).for_each(|frame| each(place, frame)));
    }
    if let Some(receiver) = broken.and_then(|place| receivers.get(place)) {
        let code = getsockopt(&receiver.socket, SocketError).unwrap_or_default();
        if code != 0 {
            return Err(SysError::Call {
                what: "receive from a packet socket",
                source: io::Error::from_raw_os_error(code),
            });
        }
    }
    match polled {
        Ok(_) | Err(nix::Error::EINTR) => Ok(()),
        Err(error) => Err(SysError::Call {
            what: "wait for a packet socket",
            source: error.into(),
        }),
    }
}

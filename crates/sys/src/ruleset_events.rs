//! What the kernel tells of changes of the nftables ruleset: the generation that began, by which process, and which tables
//! were touched. Message and attribute numbers are those of linux/netfilter/nf_tables.h and nfnetlink.h.
//!
//! The rules of `iptables-legacy` are no nftables rules: their changes are not told.

mod message;
#[cfg(test)]
mod tests;

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd},
    time::Duration,
};

use netlink_sys::{Socket, protocols::NETLINK_NETFILTER};
use nix::{
    libc,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};

pub use message::{Batch, RulesetEvent, Table};

use crate::{SysError, link::DATAGRAM};

/// Group of NETLINK_NETFILTER to which the kernel tells changes of nftables (NFNLGRP_NFTABLES).
const NFNLGRP_NFTABLES: u32 = 7;

/// What came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// A new generation of the ruleset.
    Generation(RulesetEvent),
    /// The kernel had to throw messages away (ENOBUFS), or one could not be understood: anything may have changed.
    Lost,
}

/// The changes of the ruleset of one network namespace, from now on.
pub struct Events {
    socket: Socket,
    buffer: Vec<u8>,
    batch: Batch,
}

impl Events {
    /// Begins to listen, in the network namespace of the calling thread. Needs CAP_NET_ADMIN there.
    ///
    /// # Errors
    /// Without that right, or when the kernel has no nftables.
    pub fn open() -> Result<Self, SysError> {
        let mut socket = Socket::new(NETLINK_NETFILTER).map_err(SysError::RulesetEvents)?;
        let joined = socket
            .bind_auto()
            .and_then(|_| socket.add_membership(NFNLGRP_NFTABLES));
        joined.map_err(SysError::RulesetEvents)?;
        Ok(Self {
            socket,
            buffer: Vec::with_capacity(DATAGRAM),
            batch: Batch::default(),
        })
    }

    /// Waits up to `patience` for one datagram and hands over what is in it; an empty list when none came.
    ///
    /// # Errors
    /// When the socket failed.
    pub fn receive(&mut self, patience: Duration) -> Result<Vec<Told>, SysError> {
        let timeout = PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX);
        // SAFETY: the descriptor belongs to `self.socket`, which outlives this borrow.
        let descriptor = unsafe { BorrowedFd::borrow_raw(self.socket.as_raw_fd()) };
        match poll(&mut [PollFd::new(descriptor.as_fd(), PollFlags::POLLIN)], timeout) {
            Ok(0) | Err(nix::Error::EINTR) => return Ok(Vec::new()),
            Ok(_) => {}
            Err(error) => return Err(SysError::RulesetEvents(error.into())),
        }
        self.buffer.clear();
        self.buffer.reserve(DATAGRAM);
        match self.socket.recv(&mut self.buffer, 0) {
            Ok(_) => {}
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                self.batch = Batch::default();
                return Ok(vec![Told::Lost]);
            }
            Err(error) => return Err(SysError::RulesetEvents(error)),
        }
        let mut told = Vec::new();
        if self
            .batch
            .take(&self.buffer, |event| told.push(Told::Generation(event)))
            .is_err()
        {
            told.push(Told::Lost);
        }
        Ok(told)
    }
}

/// Asks for the present generation of the ruleset, which costs one small message each way (NFT_MSG_GETGEN).
#[derive(Debug)]
pub struct Generations {
    socket: Socket,
    buffer: Vec<u8>,
}

impl Generations {
    /// Opens a way to ask, in the network namespace of the calling thread. Needs CAP_NET_ADMIN there.
    ///
    /// # Errors
    /// Without netlink.
    pub fn open() -> Result<Self, SysError> {
        let mut socket = Socket::new(NETLINK_NETFILTER).map_err(SysError::RulesetEvents)?;
        socket.bind_auto().map_err(SysError::RulesetEvents)?;
        Ok(Self {
            socket,
            buffer: Vec::with_capacity(DATAGRAM),
        })
    }

    /// The generation now.
    ///
    /// # Errors
    /// Without CAP_NET_ADMIN, or when the kernel's answer cannot be understood.
    pub fn now(&mut self) -> Result<u32, SysError> {
        self.ask().map_err(SysError::RulesetEvents)
    }

    fn ask(&mut self) -> io::Result<u32> {
        self.socket.send(&message::generation_request(), 0)?;
        self.buffer.clear();
        self.buffer.reserve(DATAGRAM);
        self.socket.recv(&mut self.buffer, 0)?;
        message::generation_answer(&self.buffer)
    }
}

//! Memory that is shared with the kernel.

use std::{
    os::fd::{AsRawFd, OwnedFd},
    ptr::NonNull,
    sync::atomic::{AtomicU32, Ordering},
};

use nix::libc;

use super::socket::failed;
use crate::SysError;

/// The ring of a packet socket, mapped for reading and writing, given back when dropped.
#[derive(Debug)]
pub(super) struct Mapping {
    start: NonNull<libc::c_void>,
    length: usize,
}

// SAFETY: the mapping belongs to this value alone and to no thread; all access goes through `&self` with atomics, or
// through slices that borrow it.
unsafe impl Send for Mapping {}

impl Mapping {
    /// Maps the ring that was set up on a socket.
    pub(super) fn new(socket: &OwnedFd, length: usize) -> Result<Self, SysError> {
        // SAFETY: the kernel chooses the address, so that no memory of ours is replaced.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                length,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                socket.as_raw_fd(),
                0,
            )
        };
        match NonNull::new(start) {
            Some(start) if start.as_ptr() != libc::MAP_FAILED => Ok(Self { start, length }),
            _ => Err(failed("map the ring of a packet socket")),
        }
    }

    /// A word that both sides write; `None` outside the mapping or when it is not aligned.
    pub(super) fn word(&self, offset: usize) -> Option<Word<'_>> {
        let fits = offset.is_multiple_of(4) && offset.checked_add(4)? <= self.length;
        if !fits {
            return None;
        }
        // SAFETY: offset + 4 lies within the mapping, which lives as long as the borrow of `self`; mmap gives page
        // alignment and the offset is a multiple of four; the kernel's own writes to the word are atomic.
        Some(Word(unsafe {
            AtomicU32::from_ptr(self.start.as_ptr().cast::<u8>().add(offset).cast())
        }))
    }

    /// Bytes that the kernel has handed over.
    ///
    /// # Safety
    /// The kernel must not write to them while the slice lives: the block's status was seen as handed over, with
    /// acquire, and is given back only after the slice is gone.
    pub(super) unsafe fn bytes(&self, offset: usize, length: usize) -> Option<&[u8]> {
        if offset.checked_add(length)? > self.length {
            return None;
        }
        // SAFETY: within the mapping, as checked above; nobody writes, as the caller has promised.
        Some(unsafe { std::slice::from_raw_parts(self.start.as_ptr().cast::<u8>().add(offset), length) })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: start and length are those of the mapping, and every borrow of it has ended.
        unsafe {
            libc::munmap(self.start.as_ptr(), self.length);
        }
    }
}

/// A word of the mapping.
pub(super) struct Word<'a>(&'a AtomicU32);

impl Word<'_> {
    pub(super) fn read(&self) -> u32 {
        self.0.load(Ordering::Acquire)
    }

    pub(super) fn write(&self, value: u32) {
        self.0.store(value, Ordering::Release);
    }
}

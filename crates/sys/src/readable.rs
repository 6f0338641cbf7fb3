//! Waiting for a descriptor that the runtime has no type for.

use std::{io, os::fd::OwnedFd};

use tokio::io::{Interest, unix::AsyncFd};

/// A descriptor that is waited for until it has something to read. It must not block when it is read.
#[derive(Debug)]
pub struct Readable(AsyncFd<OwnedFd>);

impl Readable {
    /// Hands the descriptor to the runtime that this is called in.
    ///
    /// # Errors
    /// When the runtime cannot watch it: regular files are always ready.
    pub fn new(descriptor: OwnedFd) -> io::Result<Self> {
        // SAFETY: the descriptor is open and owned by the value, which keeps it until it is dropped and never changes it.
        let watched = unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) };
        Ok(Self(watched?))
    }

    /// Waits until there is something to read, or the descriptor has failed. Whoever waits again must have read all of it.
    pub async fn wait(&self) {
        if let Ok(mut ready) = self.0.readable().await {
            ready.clear_ready();
        }
    }
}

//! Waiting that can be ended at once from another thread.

use std::{
    io::{self, PipeReader, PipeWriter},
    os::fd::{AsFd, BorrowedFd},
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};

/// Comes when its other half, the writer, is dropped.
#[derive(Debug)]
pub(super) struct End(Option<PipeReader>);

/// Why a wait is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Woken {
    /// The socket is ready, or has an error.
    Ready,
    /// The time has come.
    Late,
    /// The end has come, or the system does not let us wait.
    Ended,
}

impl End {
    /// An end that never comes.
    pub(super) fn never() -> Self {
        Self(None)
    }

    /// An end, and what brings it when it is dropped.
    pub(super) fn pair() -> io::Result<(PipeWriter, Self)> {
        let (reader, writer) = io::pipe()?;
        Ok((writer, Self(Some(reader))))
    }

    /// Waits for a time.
    pub(super) fn sleep(&self, until: Instant) -> Woken {
        self.wait(None, until)
    }

    /// Waits until a socket can be read from.
    pub(super) fn readable(&self, socket: BorrowedFd<'_>, until: Instant) -> Woken {
        self.wait(Some(PollFd::new(socket, PollFlags::POLLIN)), until)
    }

    /// Waits until a connection stands or has failed.
    pub(super) fn connected(&self, socket: BorrowedFd<'_>, until: Instant) -> Woken {
        self.wait(Some(PollFd::new(socket, PollFlags::POLLOUT)), until)
    }

    fn wait(&self, socket: Option<PollFd<'_>>, until: Instant) -> Woken {
        let end = self
            .0
            .as_ref()
            .map(|end| PollFd::new(end.as_fd(), PollFlags::POLLIN));
        loop {
            let left = until.saturating_duration_since(Instant::now());
            // Rounded up: a wait that ends too early would be begun again and again.
            let left = left.saturating_add(Duration::from_micros(999)).as_millis();
            let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
            let mut waiting: Vec<PollFd<'_>> = end.iter().chain(&socket).cloned().collect();
            let woken = poll(&mut waiting, timeout);
            let mut ready = waiting.iter().map(|one| one.any().unwrap_or(true));
            match woken {
                Err(Errno::EINTR) => {}
                Err(_) => return Woken::Ended,
                Ok(_) if end.is_some() && ready.next() == Some(true) => return Woken::Ended,
                Ok(0) if Instant::now() >= until => return Woken::Late,
                Ok(0) => {}
                Ok(_) => return Woken::Ready,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn a_wait_ends_at_its_time_or_at_the_end_whichever_comes_first() {
        let (writer, end) = End::pair().unwrap();
        let begin = Instant::now();
        assert_eq!(end.sleep(begin + Duration::from_millis(5)), Woken::Late);
        assert!(begin.elapsed() >= Duration::from_millis(5));
        assert_eq!(End::never().sleep(begin), Woken::Late);
        let waiting = thread::spawn(move || end.sleep(begin + Duration::from_secs(60)));
        drop(writer);
        assert_eq!(waiting.join().unwrap(), Woken::Ended);
        assert!(begin.elapsed() < Duration::from_secs(30));
    }
}

//! Reads ahead in a thread of its own and makes the digest there: while one piece is looked at, the next is fetched. A pipe
//! on which nothing comes can be left at any time.

use std::{
    io::{self, Read},
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    thread::{self, JoinHandle},
    time::Duration,
};

use portcullis_model::Digest;

use super::Made;
use crate::Stop;

/// How many pieces, of 64 KiB each, wait at most.
const PIECES: usize = 16;
/// How often a reader that waits looks whether it shall stop.
const LOOK: Duration = Duration::from_millis(100);

/// A reader whose bytes come from a thread.
pub(super) struct Ahead {
    pieces: Receiver<io::Result<Vec<u8>>>,
    piece: Vec<u8>,
    from: usize,
    thread: JoinHandle<io::Result<Digest>>,
    stop: Stop,
}

impl Ahead {
    pub(super) fn begin(reader: Box<dyn Read + Send>, stop: Stop) -> Self {
        let (sender, pieces) = sync_channel(PIECES);
        let sender = Some(sender);
        let thread = thread::spawn(move || Digest::of_reader(Tee { reader, sender }));
        Self {
            pieces,
            piece: Vec::new(),
            from: 0,
            thread,
            stop,
        }
    }

    /// The digest of everything, also of what was not read here. `None` when the reading failed: what failed was told
    /// by [`Read::read`].
    pub(super) fn digest(self) -> Made {
        drop(self.pieces);
        match self.thread.join() {
            Ok(digest) => Ok(digest.ok()),
            Err(_) => Err(io::Error::other(
                "the thread that reads the capture has ended early",
            )),
        }
    }
}

impl Read for Ahead {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        while self.from >= self.piece.len() {
            match self.pieces.recv_timeout(LOOK) {
                Ok(piece) => (self.piece, self.from) = (piece?, 0),
                Err(RecvTimeoutError::Timeout) if *self.stop.borrow() => return Ok(0),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(0),
            }
        }
        let read = self.piece.get(self.from..).unwrap_or_default().read(room)?;
        self.from += read;
        Ok(read)
    }
}

/// Hands on a copy of everything that is read through it, as long as somebody takes it.
struct Tee {
    reader: Box<dyn Read + Send>,
    sender: Option<SyncSender<io::Result<Vec<u8>>>>,
}

impl Read for Tee {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(room);
        let copy = match &read {
            Ok(0) => return Ok(0),
            Ok(read) => Ok(room.get(..*read).unwrap_or_default().to_vec()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return read,
            Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
        };
        if self
            .sender
            .as_ref()
            .is_some_and(|sender| sender.send(copy).is_err())
        {
            self.sender = None;
        }
        read
    }
}

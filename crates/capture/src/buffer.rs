//! Bytes of a file or a pipe, read in large pieces and handed out in small ones.

use std::io::{self, Read};

/// How much is asked for at once, and the most that can be looked at together.
pub(crate) const SIZE: usize = 1 << 20;

/// A reader with room for [`SIZE`] bytes, whatever it reads.
pub(crate) struct Buffer<R> {
    reader: R,
    bytes: Vec<u8>,
    begin: usize,
    end: usize,
    ended: bool,
    /// How many bytes were taken out.
    taken: u64,
}

impl<R: Read> Buffer<R> {
    pub(crate) fn new(reader: R) -> Self {
        Self {
            reader,
            bytes: vec![0; SIZE],
            begin: 0,
            end: 0,
            ended: false,
            taken: 0,
        }
    }

    /// How many bytes were taken out so far.
    pub(crate) fn taken(&self) -> u64 {
        self.taken
    }

    /// Makes that many bytes ready, or as many as there are before the end; never more than [`SIZE`].
    pub(crate) fn fill(&mut self, length: usize) -> io::Result<usize> {
        let length = length.min(SIZE);
        while self.end - self.begin < length && !self.ended {
            if self.begin + length > SIZE {
                self.bytes.copy_within(self.begin..self.end, 0);
                self.end -= self.begin;
                self.begin = 0;
            }
            let room = self.bytes.get_mut(self.end..).unwrap_or_default();
            match self.reader.read(room) {
                Ok(0) => self.ended = true,
                // A reader that claims more than there was room for is not believed.
                Ok(read) => self.end = (self.end + read).min(SIZE),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok((self.end - self.begin).min(length))
    }

    /// The next bytes, of those that [`Self::fill`] made ready.
    pub(crate) fn ready(&self, length: usize) -> Option<&[u8]> {
        self.bytes
            .get(self.begin..self.end)
            .and_then(|ready| ready.get(..length))
    }

    /// Takes out that many of the bytes that are ready.
    pub(crate) fn take(&mut self, length: usize) {
        let length = length.min(self.end - self.begin);
        self.begin += length;
        self.taken += length as u64;
    }

    /// Takes out that many of the bytes that are ready, and gives them.
    pub(crate) fn hand_out(&mut self, length: usize) -> &[u8] {
        let from = self.begin;
        self.take(length);
        self.bytes.get(from..self.begin).unwrap_or_default()
    }

    /// Takes out that many bytes, ready or not. Returns whether there were as many.
    pub(crate) fn skip(&mut self, mut length: u64) -> io::Result<bool> {
        while length > 0 {
            let piece = usize::try_from(length).unwrap_or(SIZE).min(SIZE);
            let ready = self.fill(piece)?;
            if ready == 0 {
                return Ok(false);
            }
            self.take(ready);
            length -= ready as u64;
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one byte at a time, as a slow pipe can.
    struct Slow<'a>(&'a [u8]);

    impl Read for Slow<'_> {
        fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
            let length = room.len().min(1);
            self.0.read(&mut room[..length])
        }
    }

    #[test]
    fn a_slow_reader_gives_the_same_as_a_fast_one() {
        let bytes: Vec<u8> = (0..=255).collect();
        let mut buffer = Buffer::new(Slow(&bytes));
        assert_eq!(buffer.fill(10).unwrap(), 10);
        assert_eq!(buffer.ready(3), Some(&bytes[..3]));
        buffer.take(3);
        assert!(buffer.skip(200).unwrap());
        assert_eq!(buffer.fill(100).unwrap(), 53);
        assert_eq!(buffer.ready(53), Some(&bytes[203..]));
        assert_eq!(buffer.ready(54), None);
        assert!(!buffer.skip(54).unwrap());
        assert_eq!(buffer.taken(), 256);
    }
}

//! Compressed logs, told by their first bytes and not by their name.

use std::io::{self, Cursor, Read};

use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

/// Begins to read a log that may be compressed with gzip (RFC 1952, several members too) or zstd (RFC 8878).
///
/// # Errors
/// When it cannot be read, or is compressed in another way.
pub fn decoded<'r>(mut reader: impl Read + Send + 'r) -> io::Result<Box<dyn Read + Send + 'r>> {
    let mut head = Vec::new();
    reader.by_ref().take(6).read_to_end(&mut head)?;
    let kind = head.clone();
    let whole = Cursor::new(head).chain(reader);
    match kind.as_slice() {
        [0x1f, 0x8b, ..] => Ok(Box::new(flate2::read::MultiGzDecoder::new(
            io::BufReader::with_capacity(1 << 16, whole),
        ))),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Ok(Box::new(Frames::new(Box::new(whole)))),
        [0xfd, b'7', b'z', b'X', b'Z', 0] => Err(unsupported("xz")),
        [b'B', b'Z', b'h', b'1'..=b'9', ..] => Err(unsupported("bzip2")),
        _ => Ok(Box::new(whole)),
    }
}

type Source<'r> = Box<dyn Read + Send + 'r>;

/// The frames of a zstd file, one after the other: a decoder stops behind each.
struct Frames<'r> {
    waiting: Option<Source<'r>>,
    decoder: Option<StreamingDecoder<Source<'r>, FrameDecoder>>,
}

impl<'r> Frames<'r> {
    fn new(source: Source<'r>) -> Self {
        Self {
            waiting: Some(source),
            decoder: None,
        }
    }

    /// Begins the next frame, if there is one.
    fn begin(&mut self) -> io::Result<bool> {
        let Some(mut source) = self.waiting.take() else {
            return Ok(false);
        };
        let mut first = Vec::new();
        if source.by_ref().take(1).read_to_end(&mut first)? == 0 {
            return Ok(false);
        }
        let whole: Source<'r> = Box::new(Cursor::new(first).chain(source));
        let decoder = StreamingDecoder::new(whole).map_err(|_| damaged())?;
        self.decoder = Some(decoder);
        Ok(true)
    }
}

impl Read for Frames<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(decoder) = &mut self.decoder {
                let count = decoder.read(buffer).map_err(|_| damaged())?;
                if count > 0 || buffer.is_empty() {
                    return Ok(count);
                }
                self.waiting = self.decoder.take().map(StreamingDecoder::into_inner);
            }
            if !self.begin()? {
                return Ok(0);
            }
        }
    }
}

/// What the decoder says instead is of its own insides.
fn damaged() -> io::Error {
    io::Error::other("what is packed with zstd is damaged, or ends too early")
}

fn unsupported(name: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::Unsupported,
        format!("the file is compressed with {name}: unpack it first"),
    )
}

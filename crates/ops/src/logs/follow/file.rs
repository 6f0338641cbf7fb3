//! A file as a source.

use std::{
    io::{self, Read},
    path::{Path, PathBuf},
    time::Duration,
};

use portcullis_logs::{LineReader, Place};

use super::{
    FollowError,
    rotating::{Piece, Position, Rotating},
    source::{Source, Taking},
};
use crate::OpsError;

/// What files that are compressed with gzip and zstd begin with (RFC 1952, 2.3.1; RFC 8878, 3.1.1).
const COMPRESSED: [&[u8]; 2] = [&[0x1f, 0x8b], &[0x28, 0xb5, 0x2f, 0xfd]];

/// That none of the files was rotated away already: followed by itself each would be a log of its own, and counted twice.
///
/// # Errors
/// The first that was.
pub(super) fn written_to(paths: &[&Path]) -> Result<(), FollowError> {
    for path in paths {
        let mut head = Vec::new();
        // What cannot be read yet is told when it is followed.
        let read = std::fs::metadata(path)
            .and_then(|data| {
                if data.is_file() {
                    std::fs::File::open(path)
                } else {
                    Err(io::ErrorKind::InvalidInput.into())
                }
            })
            .and_then(|file| file.take(4).read_to_end(&mut head));
        let away = |why: String| FollowError::RotatedAway {
            path: path.to_path_buf(),
            why,
        };
        if read.is_ok() && COMPRESSED.iter().any(|begin| head.starts_with(begin)) {
            return Err(away("it is compressed".into()));
        }
        let is_part = |whole: &&&Path| {
            let (whole, path) = (
                whole.as_os_str().as_encoded_bytes(),
                path.as_os_str().as_encoded_bytes(),
            );
            let behind = path.strip_prefix(whole);
            behind.is_some_and(|behind| matches!(behind, [b'.' | b'-', next, ..] if next.is_ascii_digit()))
        };
        if let Some(whole) = paths.iter().find(is_part) {
            return Err(away(format!("it is a part of {}", whole.display())));
        }
    }
    Ok(())
}

/// How long a file that was renamed must rest before the next one is begun: logrotate tells the writer within that time.
const LINGER: Duration = Duration::from_secs(2);

/// A followed file.
pub(super) struct LogFile {
    path: String,
    log: Rotating,
    line: u64,
    offset: u64,
    /// Whether it could be read once.
    begun: bool,
    /// Why it cannot be read now, as it was told.
    waiting: Option<String>,
}

impl LogFile {
    /// What it is called in the store.
    ///
    /// # Errors
    /// For standard input, and where the path cannot be made absolute.
    pub(super) fn name(path: &Path) -> Result<String, OpsError> {
        Ok(format!("file:{}", whole(path)?.display()))
    }

    /// Goes on from a position of before, or from the beginning.
    ///
    /// # Errors
    /// When the position is none.
    pub(super) fn open(path: &Path, kept: Option<&str>) -> Result<Self, OpsError> {
        let position: Option<Position> = match kept {
            Some(text) => serde_json::from_str(text)
                .map_err(|error| failed(path)(io::Error::new(io::ErrorKind::InvalidData, error)))?,
            None => None,
        };
        Ok(Self {
            path: path.to_string_lossy().into_owned(),
            log: Rotating::new(whole(path)?, position, LINGER),
            line: 0,
            offset: 0,
            begun: false,
            waiting: None,
        })
    }

    /// Hands over the lines of a piece.
    fn lines(&mut self, piece: &Piece, taking: &mut Taking<'_>) {
        let mut reader = LineReader::new(&taking.settings.prefixes, taking.settings.format);
        for line in piece.columns.split(|byte| *byte == b'\n') {
            reader.read(line, true);
        }
        if piece.offset != self.offset || piece.offset == 0 {
            // Where a file is entered in its middle, its lines are not counted anew; the offset is right.
            self.line = 0;
        }
        self.offset = piece.offset + piece.bytes.len() as u64;
        let mut offset = piece.offset;
        for whole in piece.bytes.split_inclusive(|byte| *byte == b'\n') {
            let (bytes, ended) = match whole.strip_suffix(b"\n") {
                Some(bytes) => (bytes, true),
                None => (whole, false),
            };
            self.line += 1;
            let place = Place {
                path: &self.path,
                line: self.line,
                offset,
            };
            offset += whole.len() as u64;
            taking.line(&reader.read(bytes, ended), bytes, || place.to_source());
        }
    }
}

impl Source for LogFile {
    fn read(&mut self, taking: &mut Taking<'_>) -> Result<bool, OpsError> {
        let piece = match self.log.read() {
            Ok(piece) => piece,
            // Between two steps of a rotation a file may be gone, or not yet given to its reader: what is written meanwhile waits
            // in it, and the other logs go on.
            Err(error) if self.begun && is_of_the_moment(error.kind()) => {
                let why = format!("{} cannot be read now, and is tried again: {error}", self.path);
                if self.waiting.as_ref() != Some(&why) {
                    taking.gap(why.clone());
                    self.waiting = Some(why);
                }
                return Ok(false);
            }
            Err(error) => return Err(failed(Path::new(&self.path))(error)),
        };
        (self.begun, self.waiting) = (true, None);
        for gap in self.log.gaps() {
            taking.gap(gap);
        }
        self.lines(&piece, taking);
        Ok(!piece.bytes.is_empty())
    }

    fn position(&mut self) -> Result<Option<String>, OpsError> {
        let text = self.log.position().map(serde_json::to_string).transpose();
        text.map_err(|error| failed(Path::new(&self.path))(io::Error::other(error)))
    }
}

fn is_of_the_moment(kind: io::ErrorKind) -> bool {
    matches!(
        kind,
        io::ErrorKind::PermissionDenied | io::ErrorKind::IsADirectory | io::ErrorKind::NotFound
    )
}

fn whole(path: &Path) -> Result<PathBuf, OpsError> {
    if path == Path::new("-") {
        return Err(failed(path)(io::Error::other(
            "standard input has no place to go on from",
        )));
    }
    std::path::absolute(path).map_err(failed(path))
}

fn failed(path: &Path) -> impl Fn(io::Error) -> OpsError {
    let path = path.to_path_buf();
    move |source| OpsError::Read {
        path: path.clone(),
        source,
    }
}

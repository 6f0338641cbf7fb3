//! A file as a source.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use portcullis_logs::{LineReader, Place};

use super::{
    rotating::{Piece, Position, Rotating},
    source::{Source, Taking},
};
use crate::OpsError;

/// How long a file that was renamed must rest before the next one is begun: logrotate tells the writer within that time.
const LINGER: Duration = Duration::from_secs(2);

/// A followed file.
pub(super) struct LogFile {
    path: String,
    log: Rotating,
    line: u64,
    offset: u64,
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
        let piece = self.log.read().map_err(failed(Path::new(&self.path)))?;
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

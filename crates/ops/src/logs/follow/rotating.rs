//! A file that others write, rotate and truncate, read in whole lines from a position on.
//!
//! A file is known by its first bytes: they stay the same when it is renamed (its inode stays too) and when it is copied and
//! truncated (its inode does not). Where the followed name holds another file than before, the rest of the former one is
//! looked for beside it, compressed or not, and read first; what cannot be found again is a gap, which is told.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use portcullis_logs::{decoded, in_order};
use portcullis_model::Digest;
use serde::{Deserialize, Serialize};

/// First bytes by which a file is known.
const HEAD: u64 = 1024;

/// Bytes that are read at once: the memory that a file takes.
const PIECE: usize = 1 << 20;

/// How far a file was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Position {
    /// How many of its first bytes the digest is of.
    head: u64,
    /// Digest of its first bytes.
    digest: Digest,
    /// The bytes that were read, which end where a line ends.
    pub(super) offset: u64,
}

/// Some whole lines.
#[derive(Debug, Default)]
pub(super) struct Piece {
    /// The lines, each with its end; the last one of a file that is done may have none.
    pub(super) bytes: Vec<u8>,
    /// Offset of the first byte in its file.
    pub(super) offset: u64,
    /// Lines that name columns at the head of a file that is entered behind them.
    pub(super) columns: Vec<u8>,
}

/// A file being followed.
pub(super) struct Rotating {
    path: PathBuf,
    /// How long a file that was renamed is still read without growing before the next one is begun: its writer may not have
    /// been told yet.
    linger: Duration,
    reading: Option<Reading>,
    /// Files that come before the one under the name, oldest first.
    before: Vec<PathBuf>,
    gaps: Vec<String>,
    /// The file was lost or truncated, so that the next one is read from its beginning.
    position: Option<Position>,
}

struct Reading {
    reader: Box<dyn Read + Send>,
    /// The file itself, where it is not compressed.
    file: Option<File>,
    path: PathBuf,
    offset: u64,
    partial: Vec<u8>,
    columns: Vec<u8>,
    grew: Instant,
}

impl Rotating {
    /// Goes on where it was left; with a new file from its beginning.
    pub(super) fn new(path: PathBuf, position: Option<Position>, linger: Duration) -> Self {
        Self {
            path,
            linger,
            reading: None,
            before: Vec::new(),
            gaps: Vec::new(),
            position,
        }
    }

    /// How far it was read; `None` before the first line.
    pub(super) fn position(&self) -> Option<&Position> {
        self.position.as_ref()
    }

    /// What may be missing, since this was asked last.
    pub(super) fn gaps(&mut self) -> Vec<String> {
        std::mem::take(&mut self.gaps)
    }

    /// The next lines; an empty piece when there are none now.
    ///
    /// # Errors
    /// When the file cannot be read. A file that is not there is waited for.
    pub(super) fn read(&mut self) -> io::Result<Piece> {
        if self.reading.is_none() && !self.open()? {
            return Ok(Piece::default());
        }
        let Some(mut reading) = self.reading.take() else {
            return Ok(Piece::default());
        };
        if let (Some(file), Some(position)) = (&reading.file, &self.position)
            && !is(file, position)
        {
            // Copied and truncated: the rest is in the copy, if there is one.
            return Ok(Piece::default());
        }
        let piece = reading.next()?;
        if !piece.bytes.is_empty() {
            self.position = Some(position(&reading, self.position.as_ref(), &piece)?);
            self.reading = Some(reading);
            return Ok(piece);
        }
        let done = if reading.path == self.path && reading.file.is_some() {
            // Another file under the name, and the former one has come to rest.
            self.replaced(&reading) && reading.grew.elapsed() >= self.linger
        } else {
            reading.file.is_none() || reading.grew.elapsed() >= self.linger
        };
        if !done {
            self.reading = Some(reading);
            return Ok(piece);
        }
        let rest = reading.last();
        if !rest.bytes.is_empty() {
            self.position = Some(position(&reading, self.position.as_ref(), &rest)?);
            self.reading = Some(reading);
            return Ok(rest);
        }
        self.advance(&reading)?;
        Ok(Piece::default())
    }

    /// Whether the name leads to another file than the one that is read; not when it leads nowhere.
    fn replaced(&self, reading: &Reading) -> bool {
        let (Some(file), Ok(named)) = (&reading.file, fs::metadata(&self.path)) else {
            return false;
        };
        file.metadata()
            .is_ok_and(|own| (own.dev(), own.ino()) != (named.dev(), named.ino()))
    }

    /// Goes to the file behind the one that is done.
    fn advance(&mut self, done: &Reading) -> io::Result<()> {
        if done.path == self.path {
            // More than one may have been rotated meanwhile: they are found by looking for the one that is done.
            let series = self.series()?;
            let found = self
                .position
                .as_ref()
                .and_then(|position| find(&series, position));
            self.before = found.map_or_else(Vec::new, |place| series.into_iter().skip(place + 1).collect());
        }
        self.before.retain(|path| *path != self.path);
        let next = if self.before.is_empty() {
            self.path.clone()
        } else {
            self.before.remove(0)
        };
        match Reading::open(&next, 0) {
            Ok(reading) => {
                self.position = None;
                self.reading = Some(reading);
                Ok(())
            }
            // It was rotated in this moment: looked for again next time.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.reading = None;
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Opens the file where it was left. Tells whether there is one.
    fn open(&mut self) -> io::Result<bool> {
        let Some(position) = self.position.clone() else {
            return match Reading::open(&self.path, 0) {
                Ok(reading) => {
                    self.reading = Some(reading);
                    Ok(true)
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
                Err(error) => Err(error),
            };
        };
        let series = self.series()?;
        if series.is_empty() {
            return Ok(false);
        }
        if let Some(place) = find(&series, &position)
            && let Some(path) = series.get(place)
        {
            self.reading = Some(Reading::open(path, position.offset)?);
            self.before = series.iter().skip(place + 1).cloned().collect();
            return Ok(true);
        }
        self.gaps.push(format!(
            "the file that was read up to byte {} is no longer there: what was written to it afterwards may be missing",
            position.offset
        ));
        self.position = None;
        Ok(false)
    }

    /// The followed file and those that it was rotated to, oldest first.
    fn series(&self) -> io::Result<Vec<PathBuf>> {
        let folder = match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let name = self
            .path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let mut paths = vec![self.path.clone()];
        for entry in fs::read_dir(folder)? {
            let entry = entry?.file_name();
            let entry = entry.to_string_lossy();
            let rotated = entry.strip_prefix(&name).is_some_and(|end| {
                end.starts_with(['.', '-']) && end.chars().any(|character| character.is_ascii_digit())
            });
            if rotated {
                paths.push(self.path.with_file_name(&*entry));
            }
        }
        paths.retain(|path| fs::metadata(path).is_ok_and(|data| data.is_file()));
        Ok(in_order(&paths))
    }
}

/// Where in a series the file of a position is: the newest that begins as it did and is long enough.
fn find(series: &[PathBuf], position: &Position) -> Option<usize> {
    series.iter().rposition(|path| {
        let Ok(mut reader) = File::open(path).and_then(decoded) else {
            return false;
        };
        let mut head = Vec::new();
        let read = reader.by_ref().take(position.head).read_to_end(&mut head);
        if read.is_err() || Digest::of(&head) != position.digest {
            return false;
        }
        let rest = position.offset.saturating_sub(position.head);
        io::copy(&mut reader.take(rest), &mut io::sink()).is_ok_and(|skipped| skipped == rest)
    })
}

/// Whether an open file is still the one of a position, and no shorter.
fn is(file: &File, position: &Position) -> bool {
    let mut head = vec![0; usize::try_from(position.head).unwrap_or_default()];
    file.metadata().is_ok_and(|data| data.len() >= position.offset)
        && file.read_exact_at(&mut head, 0).is_ok()
        && Digest::of(&head) == position.digest
}

/// Where the reading stands behind a piece. The head grows with what was read, up to its full length.
fn position(reading: &Reading, before: Option<&Position>, piece: &Piece) -> io::Result<Position> {
    let offset = piece.offset + piece.bytes.len() as u64;
    if let Some(before) = before
        && before.head == HEAD
    {
        return Ok(Position {
            offset,
            ..before.clone()
        });
    }
    let head = offset.min(HEAD);
    let mut bytes = Vec::new();
    File::open(&reading.path).and_then(|named| match &reading.file {
        // The name may lead elsewhere by now.
        Some(file) => {
            let mut head = vec![0; usize::try_from(head).unwrap_or_default()];
            file.read_exact_at(&mut head, 0)?;
            bytes = head;
            Ok(0)
        }
        None => decoded(named)?.take(head).read_to_end(&mut bytes),
    })?;
    Ok(Position {
        head,
        digest: Digest::of(&bytes),
        offset,
    })
}

impl Reading {
    fn open(path: &Path, offset: u64) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let mut magic = [0; 4];
        let compressed =
            file.read_at(&mut magic, 0)? == 4 && matches!(magic, [0x1f, 0x8b, ..] | [0x28, 0xb5, 0x2f, 0xfd]);
        let columns = if offset > 0 { columns(path)? } else { Vec::new() };
        let (reader, file): (Box<dyn Read + Send>, _) = if compressed {
            let mut reader = decoded(file)?;
            io::copy(&mut reader.by_ref().take(offset), &mut io::sink())?;
            (reader, None)
        } else {
            file.seek(SeekFrom::Start(offset))?;
            (Box::new(file.try_clone()?), Some(file))
        };
        Ok(Self {
            reader,
            file,
            path: path.into(),
            offset,
            partial: Vec::new(),
            columns,
            grew: Instant::now(),
        })
    }

    /// Whole lines, as many as there are now and fit.
    fn next(&mut self) -> io::Result<Piece> {
        let had = self.partial.len();
        let mut bytes = std::mem::take(&mut self.partial);
        self.reader
            .by_ref()
            .take((PIECE.saturating_sub(had)) as u64)
            .read_to_end(&mut bytes)?;
        if bytes.len() > had {
            self.grew = Instant::now();
        }
        let end = match bytes.iter().rposition(|byte| *byte == b'\n') {
            Some(end) => end + 1,
            // A line longer than a piece is handed over in parts, of which none can be read.
            None if bytes.len() >= PIECE => bytes.len(),
            None => 0,
        };
        self.partial = bytes.split_off(end);
        Ok(self.piece(bytes))
    }

    /// A last line without an end, once no more comes.
    fn last(&mut self) -> Piece {
        let bytes = std::mem::take(&mut self.partial);
        self.piece(bytes)
    }

    fn piece(&mut self, bytes: Vec<u8>) -> Piece {
        let offset = self.offset;
        self.offset += bytes.len() as u64;
        let columns = if bytes.is_empty() {
            Vec::new()
        } else {
            std::mem::take(&mut self.columns)
        };
        Piece {
            bytes,
            offset,
            columns,
        }
    }
}

/// The lines at the head of a file that name its columns.
fn columns(path: &Path) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    decoded(File::open(path)?)?
        .take(16 * HEAD)
        .read_to_end(&mut head)?;
    let lines = head.split_inclusive(|byte| *byte == b'\n');
    Ok(lines
        .take_while(|line| line.starts_with(b"#"))
        .collect::<Vec<_>>()
        .concat())
}

#[cfg(test)]
mod tests;

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

use portcullis_logs::{decoded, in_order, is_of_two_ways};
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
    gaps: Vec<String>,
    /// The file was lost or truncated, so that the next one is read from its beginning.
    position: Option<Position>,
    /// Until a line of the file that is read now was seen, by which it could be known: where the one before it ended, and what
    /// lay beside it then.
    former: Option<(Position, Beside)>,
}

/// The files of a series, with their inodes.
type Beside = Vec<(PathBuf, u64)>;

struct Reading {
    reader: Box<dyn Read + Send>,
    /// The file itself, where it is not compressed.
    file: Option<File>,
    path: PathBuf,
    /// Device and inode, which stay when it is renamed.
    identity: (u64, u64),
    offset: u64,
    /// The first bytes of what was read: the name may lead elsewhere by the time that they are wanted.
    head: Vec<u8>,
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
            gaps: Vec::new(),
            position,
            former: None,
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
        if let Some((_, beside)) = &self.former
            && *beside != self.beside()?
        {
            // Rotated or copied and truncated before a line of it was seen: it is looked for behind the one before it.
            self.position = self.former.take().map(|(position, _)| position);
            self.reading = None;
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
            self.position = Some(position(&reading, self.position.as_ref(), &piece));
            self.former = None;
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
            self.position = Some(position(&reading, self.position.as_ref(), &rest));
            self.reading = Some(reading);
            return Ok(rest);
        }
        self.advance(&reading)?;
        Ok(Piece::default())
    }

    /// Whether the name leads to another file than the one that is read; not when it leads nowhere.
    fn replaced(&self, reading: &Reading) -> bool {
        fs::metadata(&self.path)
            .is_ok_and(|named| reading.file.is_some() && reading.identity != (named.dev(), named.ino()))
    }

    /// Goes to the file behind the one that is done.
    fn advance(&mut self, done: &Reading) -> io::Result<()> {
        // More may have been rotated meanwhile, and what lay beside it has other names then: it is looked for anew.
        let known = self
            .position
            .take()
            .or_else(|| self.former.take().map(|(position, _)| position));
        let beside = self.beside()?;
        let series: Vec<PathBuf> = beside.iter().map(|(path, _)| path.clone()).collect();
        let found = known.as_ref().and_then(|position| find(&series, position));
        if found.is_none() && done.path != self.path {
            self.gaps.push(format!(
                "{} went while it was read: what was written behind it may be missing",
                done.path.display()
            ));
        }
        let mut behind = found
            .and_then(|place| series.get(place + 1..))
            .unwrap_or_default();
        // One of which no line was seen is not known by its bytes.
        if let Some(own) = behind.iter().position(|path| done.is_at(path)) {
            behind = behind.get(own + 1..).unwrap_or_default();
        }
        let next = behind.first().unwrap_or(&self.path).clone();
        match Reading::open(&next, 0) {
            Ok(reading) => {
                self.former = known.map(|position| (position, beside));
                self.reading = Some(reading);
                Ok(())
            }
            // It was rotated in this moment: looked for again next time.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.position = known;
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
            return Ok(true);
        }
        self.gaps.push(format!(
            "the file that was read up to byte {} is no longer there: what was written to it afterwards may be missing",
            position.offset
        ));
        self.position = None;
        Ok(false)
    }

    fn beside(&self) -> io::Result<Beside> {
        let series = self.series()?.into_iter();
        Ok(series
            .map(|path| {
                // One that went in this moment is another next time.
                let inode = fs::metadata(&path).map_or(0, |data| data.ino());
                (path, inode)
            })
            .collect())
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
        let mut paths = in_order(&paths);
        if is_of_two_ways(&paths) {
            // Compressors keep the time at which a file was last written.
            paths.sort_by_cached_key(|path| {
                let written = fs::metadata(path).and_then(|data| data.modified()).ok();
                (*path == self.path, written)
            });
        }
        Ok(paths)
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
fn position(reading: &Reading, before: Option<&Position>, piece: &Piece) -> Position {
    let offset = piece.offset + piece.bytes.len() as u64;
    if let Some(before) = before
        && before.head == HEAD
    {
        return Position {
            offset,
            ..before.clone()
        };
    }
    Position {
        head: reading.head.len() as u64,
        digest: Digest::of(&reading.head),
        offset,
    }
}

impl Reading {
    fn open(path: &Path, offset: u64) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let data = file.metadata()?;
        let identity = (data.dev(), data.ino());
        let mut magic = [0; 4];
        let compressed =
            file.read_at(&mut magic, 0)? == 4 && matches!(magic, [0x1f, 0x8b, ..] | [0x28, 0xb5, 0x2f, 0xfd]);
        let columns = if offset > 0 { columns(path)? } else { Vec::new() };
        let mut head = Vec::new();
        let (reader, file): (Box<dyn Read + Send>, _) = if compressed {
            let mut reader = decoded(file)?;
            reader.by_ref().take(offset.min(HEAD)).read_to_end(&mut head)?;
            let rest = offset.saturating_sub(HEAD);
            io::copy(&mut reader.by_ref().take(rest), &mut io::sink())?;
            (reader, None)
        } else {
            file.by_ref().take(offset.min(HEAD)).read_to_end(&mut head)?;
            file.seek(SeekFrom::Start(offset))?;
            (Box::new(file.try_clone()?), Some(file))
        };
        Ok(Self {
            reader,
            file,
            path: path.into(),
            identity,
            offset,
            head,
            partial: Vec::new(),
            columns,
            grew: Instant::now(),
        })
    }

    /// Whether this is the file that a path leads to.
    fn is_at(&self, path: &Path) -> bool {
        fs::metadata(path).is_ok_and(|there| self.identity == (there.dev(), there.ino()))
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
        let missing = usize::try_from(HEAD)
            .unwrap_or_default()
            .saturating_sub(self.head.len());
        self.head
            .extend_from_slice(bytes.get(..missing.min(bytes.len())).unwrap_or_default());
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
mod any_order;
#[cfg(test)]
mod tests;

//! Keeping what a scan sees while it runs, so that it can go on after it was stopped or killed.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use portcullis_model::{Observation, RunId};
use portcullis_scan::{
    Progress, Watcher,
    checkpoint::{self, Checkpoint, Entry, Header, Writer},
};

use crate::{Desk, OpsError, desk::read_regular};

/// How often what was written is forced to the disk.
const SYNC_EVERY: Duration = Duration::from_secs(1);

/// A watcher that writes down what is seen before it tells it on.
pub(super) struct Keeping<'a> {
    path: PathBuf,
    file: File,
    writer: Writer,
    synced: Instant,
    failed: Option<io::Error>,
    /// Nothing stands in the file but its header.
    empty: bool,
    told: &'a mut dyn Watcher,
}

impl<'a> Keeping<'a> {
    /// Begins the file of a new scan.
    pub(super) fn begin(path: PathBuf, header: &Header, told: &'a mut dyn Watcher) -> Result<Self, OpsError> {
        let failed = |source| OpsError::Checkpoint {
            path: path.clone(),
            source,
        };
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&path)
            .map_err(failed)?;
        alone(&file).map_err(failed)?;
        let (writer, line) = Writer::begin(header);
        file.write_all(line.as_bytes())
            .and_then(|()| file.sync_data())
            .map_err(failed)?;
        told.begun(&path);
        Ok(Self {
            path,
            file,
            writer,
            synced: Instant::now(),
            failed: None,
            empty: true,
            told,
        })
    }

    /// Goes on with a file, behind its last whole line.
    pub(super) fn go_on(
        path: PathBuf,
        read: &Checkpoint,
        told: &'a mut dyn Watcher,
    ) -> Result<Self, OpsError> {
        let failed = |source| OpsError::Checkpoint {
            path: path.clone(),
            source,
        };
        let file = OpenOptions::new().append(true).open(&path).map_err(failed)?;
        alone(&file).map_err(failed)?;
        file.set_len(read.length as u64).map_err(failed)?;
        told.begun(&path);
        Ok(Self {
            path,
            file,
            writer: read.writer.clone(),
            synced: Instant::now(),
            failed: None,
            empty: read.entries.is_empty(),
            told,
        })
    }

    /// The scan could not be made. With nothing in it the file is of no use.
    pub(super) fn discard(self) {
        if self.empty {
            let _ = fs::remove_file(&self.path);
        }
    }

    /// Ends it: what is complete and in the store needs no checkpoint any more. Returns with what the scan can go on, and
    /// what could not be written and would be needed.
    pub(super) fn end(mut self, complete: bool) -> (Option<PathBuf>, Option<OpsError>) {
        if complete {
            if let Some(error) = &self.failed {
                tracing::warn!(path = %self.path.display(), %error, "the checkpoint could not be kept while the scan ran");
            }
            // One that cannot be removed is refused later, because nothing is left to do in it.
            let _ = fs::remove_file(&self.path);
            return (None, None);
        }
        let kept = self.failed.take().map_or_else(|| self.file.sync_data(), Err);
        let path = self.path.clone();
        let failed = kept.err().map(|source| OpsError::Checkpoint { path, source });
        // What was written before is whole: it goes on from there.
        (Some(self.path), failed)
    }
}

impl Watcher for Keeping<'_> {
    fn seen(&mut self, observation: &Observation) {
        self.told.seen(observation);
    }

    fn keep(&mut self, entry: &Entry) {
        self.empty = false;
        if self.failed.is_none() {
            let line = self.writer.entry(entry);
            self.failed = self.file.write_all(line.as_bytes()).err();
        }
    }

    fn progress(&mut self, progress: &Progress) {
        if self.failed.is_none() && self.synced.elapsed() >= SYNC_EVERY {
            self.failed = self.file.sync_data().err();
            self.synced = Instant::now();
        }
        self.told.progress(progress);
    }
}

/// Takes the file for this process: two scans of one run would give the devices twice what they may get.
fn alone(file: &File) -> io::Result<()> {
    file.try_lock().map_err(|error| match error {
        fs::TryLockError::WouldBlock => io::Error::other("another scan is writing it at this moment"),
        fs::TryLockError::Error(error) => error,
    })
}

/// Where the checkpoint of a run lies: beside the store.
pub(super) fn path_of(desk: &Desk, run: RunId) -> PathBuf {
    let folder = desk.store.path().parent().unwrap_or(Path::new("."));
    let path = folder.join("scans").join(format!("{run}.jsonl"));
    // It is named to people who may stand in another folder by then.
    std::path::absolute(&path).unwrap_or(path)
}

/// Reads a checkpoint.
pub(super) fn read(path: &Path) -> Result<Checkpoint, OpsError> {
    if !path.exists() {
        return Err(OpsError::NoCheckpoint(path.into()));
    }
    checkpoint::read(&read_regular(path)?).map_err(|source| OpsError::Resume {
        path: path.into(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_has_one_scan_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scan.jsonl");
        let first = File::create(&path).unwrap();
        alone(&first).unwrap();
        let second = OpenOptions::new().append(true).open(&path).unwrap();
        assert!(alone(&second).unwrap_err().to_string().contains("another scan"));
        drop(first);
        alone(&second).unwrap();
    }
}

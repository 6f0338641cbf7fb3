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
    checkpoint::{self, Checkpoint, Entry, Header, entry_line},
};

use crate::{Desk, OpsError, desk::read_text};

/// How often what was written is forced to the disk.
const SYNC_EVERY: Duration = Duration::from_secs(1);

/// A watcher that writes down what is seen before it tells it on.
pub(super) struct Keeping<'a> {
    path: PathBuf,
    file: File,
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
        file.write_all(header.line().as_bytes())
            .and_then(|()| file.sync_data())
            .map_err(failed)?;
        Ok(Self {
            path,
            file,
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
        Ok(Self {
            path,
            file,
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

    /// Ends it: what is complete needs no checkpoint any more.
    ///
    /// # Errors
    /// When something could not be written while the scan ran.
    pub(super) fn end(self, complete: bool) -> Result<Option<PathBuf>, OpsError> {
        if let Some(source) = self.failed {
            return Err(OpsError::Checkpoint {
                path: self.path,
                source,
            });
        }
        if complete {
            // One that cannot be removed is refused later, because nothing is left to do in it.
            let _ = fs::remove_file(&self.path);
            return Ok(None);
        }
        let source = self.file.sync_data();
        source.map_err(|source| OpsError::Checkpoint {
            path: self.path.clone(),
            source,
        })?;
        Ok(Some(self.path))
    }
}

impl Watcher for Keeping<'_> {
    fn seen(&mut self, observation: &Observation) {
        self.told.seen(observation);
    }

    fn keep(&mut self, entry: &Entry) {
        self.empty = false;
        if self.failed.is_none() {
            self.failed = self.file.write_all(entry_line(entry).as_bytes()).err();
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
    folder.join("scans").join(format!("{run}.jsonl"))
}

/// Reads a checkpoint.
pub(super) fn read(path: &Path) -> Result<Checkpoint, OpsError> {
    checkpoint::read(&read_text(path)?).map_err(|source| OpsError::Resume {
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

//! The two files beside the database: the key, and the head of the audit record that is signed with it.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use ed25519_dalek::SigningKey;

use crate::{
    StoreError,
    audit::head::{Head, HeadState},
};

const KEY_BYTES: usize = 32;

/// Where the two files are.
#[derive(Debug, Clone)]
pub(crate) struct Sidecar {
    head: PathBuf,
    key: PathBuf,
}

/// The right to append: the key file is locked, so that records and heads follow each other in the same order.
#[derive(Debug)]
pub(super) struct Claim {
    sidecar: Sidecar,
    file: File,
    key: Option<SigningKey>,
    /// The head as it was when the claim was granted.
    pub(super) head: HeadState,
}

impl Sidecar {
    pub(crate) fn of(database: &Path) -> Self {
        let beside = |suffix: &str| {
            let mut name = OsString::from(database);
            name.push(suffix);
            PathBuf::from(name)
        };
        Self {
            head: beside(".audit-head"),
            key: beside(".audit-key"),
        }
    }

    /// Waits for the lock, then reads key and head.
    pub(super) fn claim(self, patience: Duration) -> Result<Claim, StoreError> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&self.key)
            .map_err(file_failed("open", &self.key))?;
        self.lock(&file, patience)?;
        let key = read_key(&mut file, &self.key)?;
        let head = self.read_head(key.as_ref())?;
        Ok(Claim {
            sidecar: self,
            file,
            key,
            head,
        })
    }

    /// The head, judged with the key, without a lock and without making any file.
    pub(super) fn inspect(&self) -> Result<HeadState, StoreError> {
        let key = match File::open(&self.key) {
            Ok(mut file) => read_key(&mut file, &self.key)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(file_failed("read", &self.key)(error)),
        };
        self.read_head(key.as_ref())
    }

    fn read_head(&self, key: Option<&SigningKey>) -> Result<HeadState, StoreError> {
        let text = match fs::read(&self.head) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(file_failed("read", &self.head)(error)),
        };
        Ok(match (text, key) {
            (None, None) => HeadState::NeverSigned,
            (None, Some(_)) => HeadState::KeyOnly,
            (Some(_), None) => HeadState::Unsound("the signing key is missing".into()),
            (Some(text), Some(key)) => Head::read(&text, &key.verifying_key()),
        })
    }

    /// Files have no lock with a time limit, and a stopped process must not stop us for ever: so it is asked again.
    fn lock(&self, file: &File, patience: Duration) -> Result<(), StoreError> {
        const PAUSE: Duration = Duration::from_millis(10);
        let began = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(()),
                Err(TryLockError::Error(error)) => return Err(file_failed("lock", &self.key)(error)),
                Err(TryLockError::WouldBlock) if began.elapsed() < patience => thread::sleep(PAUSE),
                Err(TryLockError::WouldBlock) => {
                    return Err(StoreError::Locked {
                        doing: "append to the audit record",
                        path: self.key.clone(),
                    });
                }
            }
        }
    }
}

impl Claim {
    /// Signs this head and puts it in the place of the old one, durably. Makes the key if there is none.
    pub(super) fn sign(&mut self, head: Head) -> Result<(), StoreError> {
        let text = head.sign(self.signing_key()?);
        let path = &self.sidecar.head;
        let failed = file_failed("write", path);
        let mut unfinished = path.clone().into_os_string();
        unfinished.push(".new");
        let unfinished = PathBuf::from(unfinished);
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&unfinished)
            .map_err(&failed)?;
        file.write_all(text.as_bytes()).map_err(&failed)?;
        file.sync_all().map_err(&failed)?;
        fs::rename(&unfinished, path).map_err(&failed)?;
        sync_folder(path)
    }

    fn signing_key(&mut self) -> Result<&SigningKey, StoreError> {
        let path = &self.sidecar.key;
        let failed = file_failed("write", path);
        let key = match self.key.take() {
            Some(key) => key,
            None => {
                let mut seed = [0; KEY_BYTES];
                getrandom::fill(&mut seed).map_err(|error| failed(error.into()))?;
                let key = SigningKey::from_bytes(&seed);
                self.file
                    .write_all(hex::encode(key.as_bytes()).as_bytes())
                    .map_err(&failed)?;
                self.file.sync_all().map_err(&failed)?;
                sync_folder(path)?;
                key
            }
        };
        Ok(self.key.insert(key))
    }
}

/// An empty file is one that was made to be locked and has no key yet.
fn read_key(file: &mut File, path: &Path) -> Result<Option<SigningKey>, StoreError> {
    let mut text = String::new();
    let wrong = || StoreError::AuditKey { path: path.into() };
    match file.take(4096).read_to_string(&mut text) {
        Ok(0) => return Ok(None),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(wrong()),
        Err(error) => return Err(file_failed("read", path)(error)),
    }
    let mut seed = [0; KEY_BYTES];
    hex::decode_to_slice(text.trim(), &mut seed).map_err(|_| wrong())?;
    Ok(Some(SigningKey::from_bytes(&seed)))
}

/// A rename or a new file is only durable when its folder is.
fn sync_folder(path: &Path) -> Result<(), StoreError> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(file_failed("write", path))
}

fn file_failed(doing: &'static str, path: &Path) -> impl Fn(io::Error) -> StoreError {
    let path = path.to_path_buf();
    move |source| {
        let path = path.clone();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::Full {
                doing: "sign the audit record",
                path,
            },
            io::ErrorKind::ReadOnlyFilesystem => StoreError::ReadOnly {
                doing: "sign the audit record",
                path,
            },
            _ => StoreError::AuditFile { doing, path, source },
        }
    }
}

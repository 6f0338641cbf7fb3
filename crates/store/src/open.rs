//! Opening a store: the file, its permissions, its connections.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use sqlx::{
    ConnectOptions, Connection, Sqlite, SqlitePool, Transaction,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tempfile::TempDir;
use tokio::sync::{Mutex, MutexGuard};

use crate::{StoreError, audit::Sidecar, location, schema, sqlite::failed};

/// One store of a process is opened after the other, see [`make_file`].
static OPENING: Mutex<()> = Mutex::const_new(());

/// Pages that a connection keeps, in KiB below 0. A commit of a followed log goes through the rows of an hour, which are more than
/// SQLite's own 2 MiB where sources are many; with these it took a tenth more rows a second.
const CACHE: &str = "-16384";

const PAUSE: Duration = Duration::from_millis(10);

/// How patient and how large a store may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// How long to wait for another process that holds the lock.
    pub busy_timeout: Duration,
    /// Largest size of the database in pages of 4096 bytes; `None` leaves it to the disk.
    pub max_pages: Option<u32>,
}

impl Default for Settings {
    /// Five seconds, no limit.
    fn default() -> Self {
        Self {
            busy_timeout: Duration::from_secs(5),
            max_pages: None,
        }
    }
}

/// An open store. Clones share its connections.
#[derive(Debug, Clone)]
pub struct Store {
    pub(crate) pool: SqlitePool,
    pub(crate) path: PathBuf,
    pub(crate) settings: Settings,
    pub(crate) access: Access,
}

/// What may be done with an open store.
#[derive(Debug, Clone)]
pub(crate) enum Access {
    Write,
    /// The copy that is read, when the database could not be read where it lies; it goes with the last clone.
    Read {
        _copy: Option<Arc<TempDir>>,
    },
}

impl Store {
    /// Opens the store at a path, `sqlite:PATH` or `sqlite://PATH`. Missing folders (0700) and the file (0600) are made.
    ///
    /// # Errors
    /// A location that names no file, PostgreSQL, no permission, a lock, a full disk, a file that is not ours, damaged
    /// or newer than this program.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        Self::open_with(url, Settings::default()).await
    }

    /// The same with other settings.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub async fn open_with(url: &str, settings: Settings) -> Result<Self, StoreError> {
        let path = location::database_path(url)?;
        let _alone = opening().await;
        make_file(&path)?;
        let began = Instant::now();
        loop {
            match connect(&path, settings).await {
                // While one process turns a new file to WAL, SQLite refuses the others without waiting.
                Err(StoreError::Locked { .. }) if began.elapsed() < settings.busy_timeout => {
                    tokio::time::sleep(PAUSE).await;
                }
                Err(error) => return Err(error),
                Ok(pool) => {
                    let access = Access::Write;
                    return Ok(Self {
                        pool,
                        path,
                        settings,
                        access,
                    });
                }
            }
        }
    }

    /// Closes the connections; the last one to close folds the log (`-wal`) into the database.
    pub async fn close(self) {
        self.pool.close().await;
    }

    /// The file that holds the database.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Begins a transaction that may write. It takes the lock at once: a transaction that reads first and writes later
    /// fails without waiting when another one was faster.
    pub(crate) async fn write(
        &self,
        doing: &'static str,
    ) -> Result<Transaction<'static, Sqlite>, StoreError> {
        self.pool
            .begin_with("BEGIN IMMEDIATE")
            .await
            .map_err(self.failed(doing))
    }

    pub(crate) fn failed(&self, doing: &'static str) -> impl Fn(sqlx::Error) -> StoreError {
        failed(&self.path, doing)
    }

    pub(crate) fn sidecar(&self) -> Sidecar {
        Sidecar::of(&self.path)
    }
}

/// Held while a store is opened.
pub(crate) async fn opening() -> MutexGuard<'static, ()> {
    OPENING.lock().await
}

async fn connect(path: &Path, settings: Settings) -> Result<SqlitePool, StoreError> {
    let failed = || failed(path, "open the database");
    let plain = SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(settings.busy_timeout);
    // The first connection sets nothing: to switch somebody else's database to WAL would be to write to it.
    let mut connection = plain.connect().await.map_err(failed())?;
    schema::check(&mut connection, path).await?;
    connection.close().await.map_err(failed())?;

    let mut ours = plain
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .pragma("cache_size", CACHE);
    if let Some(pages) = settings.max_pages {
        ours = ours.pragma("max_page_count", pages.to_string());
    }
    let pool = SqlitePoolOptions::new()
        .max_connections(4)
        // A disk that is full ends a transaction behind the back of its connection, which would begin no other then.
        .after_release(|connection, _| Box::pin(async { Ok(!connection.is_in_transaction()) }))
        .connect_with(ours)
        .await
        .map_err(failed())?;
    schema::migrate(&pool, path).await?;
    Ok(pool)
}

/// Whether a file is there that could hold a database.
///
/// It is not opened: to close it again would drop the locks that other connections of this process hold on it
/// (<https://www.sqlite.org/howtocorrupt.html>, 2.2).
pub(crate) fn is_there(path: &Path) -> Result<bool, StoreError> {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => Err(create_failed(path)(io::ErrorKind::IsADirectory.into())),
        Ok(found) if !found.is_file() => Err(StoreError::BadLocation {
            given: portcullis_model::sanitize(&path.to_string_lossy()),
            reason: "it is a device, a pipe or a socket, not a file",
        }),
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(create_failed(path)(error)),
    }
}

/// SQLite would make the file with the permissions of the umask, and gives the files beside it those of the database.
fn make_file(path: &Path) -> Result<(), StoreError> {
    if is_there(path)? {
        return Ok(());
    }
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(create_failed(folder))?;
    }
    match OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
    {
        // Another process was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made.map(|_| ()).map_err(create_failed(path)),
    }
}

pub(crate) fn create_failed(path: &Path) -> impl Fn(io::Error) -> StoreError {
    let doing = "create or open the database";
    move |source| {
        let path = path.to_path_buf();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::Full { doing, path },
            io::ErrorKind::ReadOnlyFilesystem => StoreError::ReadOnly { doing, path },
            _ => StoreError::Create { path, source },
        }
    }
}

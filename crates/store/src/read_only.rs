//! Opening a store without leaving a trace: for evidence, and for folders that take no writes.

use std::{
    ffi::OsString,
    fmt::Write as _,
    fs::{self, File, OpenOptions},
    io,
    os::unix::{ffi::OsStrExt, fs::OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use tempfile::TempDir;

use crate::{
    Settings, Store, StoreError, location,
    open::{Access, create_failed, is_there, opening},
    schema,
    sqlite::failed,
};

/// How a database can be read so that nothing is written where it lies.
#[derive(Debug)]
enum Reading {
    /// Nothing stands beside it that belongs to its content: it is read as if on a medium that cannot be written.
    Alone,
    /// Log and index of the log are there, so that somebody may be at work: SQLite reads beside him.
    BesideWriters,
    /// What was never folded into it needs an index or a rollback, which cannot be made without writing.
    Copy,
}

impl Store {
    /// Opens a store that is there, to read and to verify it. Nothing is made, migrated or written, neither the
    /// database nor a file beside it; the folder may be read-only. Every verb that writes answers
    /// [`StoreError::ReadOnly`].
    ///
    /// When a log was left without its index, as in a copy of `DATABASE` and `DATABASE-wal` alone, both are copied to a
    /// temporary folder (0700) that lives as long as the store, and are read there.
    ///
    /// While a store is open in this way, the same process should not open it for writing: SQLite shares the index of
    /// the log within a process, and it would be read-only for both.
    ///
    /// # Errors
    /// A location that names no file, PostgreSQL, no such file, no permission, a file that is not ours, damaged or newer
    /// than this program.
    pub async fn open_read_only(url: &str) -> Result<Self, StoreError> {
        let path = location::database_path(url)?;
        let _alone = opening().await;
        if !is_there(&path)? {
            return Err(StoreError::Missing { path });
        }
        let settings = Settings::default();
        let plain = SqliteConnectOptions::new()
            .busy_timeout(settings.busy_timeout)
            .pragma("query_only", "1");
        let (options, copy) = match Reading::of(&path) {
            Reading::Alone => (plain.filename(uri(&path, "immutable=1")), None),
            Reading::BesideWriters => (plain.filename(uri(&path, "mode=ro&readonly_shm=1")), None),
            Reading::Copy => {
                let (folder, file) = copied(&path)?;
                (plain.filename(uri(&file, "mode=rw")), Some(Arc::new(folder)))
            }
        };
        let doing = "read the database";
        let pool = SqlitePoolOptions::new()
            .max_connections(4)
            .connect_with(options)
            .await
            .map_err(failed(&path, doing))?;
        let mut connection = pool.acquire().await.map_err(failed(&path, doing))?;
        if schema::check(&mut connection, &path).await? == 0 {
            // An empty database is a beginning only where tables may be made.
            return Err(StoreError::Foreign { path });
        }
        drop(connection);
        let access = Access::Read { _copy: copy };
        Ok(Self {
            pool,
            path,
            settings,
            access,
        })
    }
}

impl Reading {
    fn of(database: &Path) -> Self {
        let size = |suffix| {
            fs::metadata(beside(database, suffix))
                .ok()
                .map(|found| found.len())
        };
        let unfinished = |suffix| size(suffix).is_some_and(|size| size > 0);
        if size("-wal").is_some() && size("-shm").is_some() {
            Self::BesideWriters
        } else if unfinished("-wal") || unfinished("-journal") {
            Self::Copy
        } else {
            Self::Alone
        }
    }
}

/// The database and what belongs to its content, in a folder that takes writes.
fn copied(database: &Path) -> Result<(TempDir, PathBuf), StoreError> {
    let folder = tempfile::tempdir().map_err(create_failed(&std::env::temp_dir()))?;
    let target = folder.path().join("copy.db");
    for suffix in ["", "-wal", "-journal"] {
        let (from, to) = (beside(database, suffix), beside(&target, suffix));
        let mut source = match File::open(&from) {
            Ok(source) => source,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(create_failed(&from)(error)),
        };
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&to)
            .and_then(|mut file| io::copy(&mut source, &mut file))
            .map_err(create_failed(&to))?;
    }
    Ok((folder, target))
}

fn beside(database: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(database);
    name.push(suffix);
    name.into()
}

/// A file name with parameters as SQLite takes them (<https://www.sqlite.org/uri.html>). All but letters and digits is
/// escaped, so that no character of the path can become a parameter.
fn uri(path: &Path, parameters: &str) -> String {
    let mut uri = String::from("file:");
    for &byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() {
            uri.push(byte.into());
        } else {
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri + "?" + parameters
}

#[cfg(test)]
mod tests;

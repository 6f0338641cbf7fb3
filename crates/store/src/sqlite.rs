//! What SQLite says, told apart by what a person can do about it.

use std::{error::Error, fmt, path::Path};

use crate::StoreError;

/// What SQLite, or the connection to it, said. It has no source of its own: everything is in the one sentence.
#[derive(Debug)]
pub struct SqliteCause(sqlx::Error);

impl SqliteCause {
    /// The extended result code (<https://www.sqlite.org/rescode.html>), when SQLite gave one.
    pub fn code(&self) -> Option<i32> {
        code(&self.0)
    }
}

impl From<sqlx::Error> for SqliteCause {
    fn from(error: sqlx::Error) -> Self {
        Self(error)
    }
}

impl fmt::Display for SqliteCause {
    /// The errors of `sqlx` repeat their source in their own text, so that a chain of them says everything twice.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.as_database_error(), self.code()) {
            (Some(error), Some(code)) => write!(f, "{} (SQLite code {code})", error.message()),
            _ => write!(f, "{}", self.0),
        }
    }
}

impl Error for SqliteCause {}

/// Tells the cases apart that a person can do something about.
pub(crate) fn failed(path: &Path, doing: &'static str) -> impl Fn(sqlx::Error) -> StoreError {
    // Primary result codes, <https://www.sqlite.org/rescode.html>.
    const BUSY: i32 = 5;
    const LOCKED: i32 = 6;
    const READONLY: i32 = 8;
    const IOERR: i32 = 10;
    const CORRUPT: i32 = 11;
    const FULL: i32 = 13;
    const CANTOPEN: i32 = 14;
    const NOTADB: i32 = 26;
    // The index of the log is made larger page by page, and SQLite does not ask why the system refuses that.
    const IOERR_SHMSIZE: i32 = IOERR | (19 << 8);
    move |error| {
        let (path, code) = (path.to_path_buf(), code(&error));
        let source = SqliteCause(error);
        if code == Some(IOERR_SHMSIZE) {
            return StoreError::Full { doing, path };
        }
        match code.map(|code| code & 0xff) {
            Some(BUSY | LOCKED) => StoreError::Locked { doing, path },
            Some(READONLY) => StoreError::ReadOnly { doing, path },
            Some(IOERR) => StoreError::Disk { doing, path, source },
            Some(CORRUPT) => StoreError::Damaged { doing, path, source },
            Some(FULL) => StoreError::Full { doing, path },
            Some(CANTOPEN) => StoreError::Open { path, source },
            Some(NOTADB) => StoreError::Foreign { path },
            _ => StoreError::Database { doing, path, source },
        }
    }
}

fn code(error: &sqlx::Error) -> Option<i32> {
    error.as_database_error()?.code()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use portcullis_model::Fault;
    use sqlx::error::{DatabaseError, ErrorKind};

    use super::*;

    /// An answer of SQLite that cannot be provoked without a broken disk.
    #[derive(Debug)]
    struct Answer(i32);

    impl fmt::Display for Answer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "(code: {}) disk I/O error", self.0)
        }
    }

    impl Error for Answer {}

    impl DatabaseError for Answer {
        fn message(&self) -> &str {
            "disk I/O error"
        }
        fn code(&self) -> Option<Cow<'_, str>> {
            Some(self.0.to_string().into())
        }
        fn as_error(&self) -> &(dyn Error + Send + Sync + 'static) {
            self
        }
        fn as_error_mut(&mut self) -> &mut (dyn Error + Send + Sync + 'static) {
            self
        }
        fn into_error(self: Box<Self>) -> Box<dyn Error + Send + Sync + 'static> {
            self
        }
        fn kind(&self) -> ErrorKind {
            ErrorKind::Other
        }
    }

    fn answer(code: i32) -> StoreError {
        failed(Path::new("plant.db"), "record a run")(sqlx::Error::Database(Box::new(Answer(code))))
    }

    #[test]
    fn a_full_disk_is_told_as_such_however_sqlite_puts_it() {
        for code in [13, 4874] {
            let error = answer(code);
            assert!(matches!(error, StoreError::Full { .. }), "{code}: {error:?}");
            assert_eq!(error.code(), "ST007");
        }
    }

    #[test]
    fn a_disk_that_refuses_is_told_with_a_hint() {
        // READ, WRITE, FSYNC, TRUNCATE, SHMOPEN and the bare code.
        for code in [266, 778, 1034, 1546, 4618, 10] {
            let error = answer(code);
            assert_eq!(
                error.to_string(),
                "cannot record a run: the disk did not do what plant.db needs"
            );
            assert_eq!(error.code(), "ST020");
            assert!(error.hint().is_some_and(|hint| hint.contains("check")), "{code}");
        }
    }

    #[test]
    fn every_cause_is_said_once() {
        let error = answer(778);
        let cause = error.source().unwrap();
        assert_eq!(cause.to_string(), "disk I/O error (SQLite code 778)");
        assert!(cause.source().is_none());

        let closed = failed(Path::new("plant.db"), "record a run")(sqlx::Error::PoolClosed);
        assert!(closed.source().unwrap().source().is_none());
    }
}

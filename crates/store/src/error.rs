//! What can go wrong with a store.

use std::{io, path::PathBuf};

use portcullis_model::{Exit, Fault};

use crate::SqliteCause;

/// Why a store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The URL is of a kind that no build understands.
    #[error("cannot open a store of the kind `{scheme}`")]
    UnknownScheme {
        /// What stands before the colon.
        scheme: String,
    },
    /// The URL names a PostgreSQL database.
    #[error("this build has no PostgreSQL: it keeps its data in an SQLite file only")]
    NoPostgres,
    /// The URL or path names no file that could hold a database.
    #[error("`{given}` cannot name a store: {reason}")]
    BadLocation {
        /// As typed, made harmless.
        given: String,
        /// Why not.
        reason: &'static str,
    },
    /// The folder or the file could not be made or opened.
    #[error("cannot create or open {}", path.display())]
    Create {
        /// Folder or file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file is there, but SQLite cannot open it.
    #[error("cannot open the database {}", path.display())]
    Open {
        /// The database.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: SqliteCause,
    },
    /// A store was to be read, and there is none.
    #[error("there is no store at {}", path.display())]
    Missing {
        /// Where it should be.
        path: PathBuf,
    },
    /// Somebody else held the lock for longer than we wait.
    #[error("cannot {doing}: {} is locked by another process", path.display())]
    Locked {
        /// What we were doing.
        doing: &'static str,
        /// The locked file.
        path: PathBuf,
    },
    /// No space is left, or the database has reached its limit.
    #[error("cannot {doing}: no space is left for {}", path.display())]
    Full {
        /// What we were doing.
        doing: &'static str,
        /// The file that could not grow.
        path: PathBuf,
    },
    /// The file or its file system cannot be written.
    #[error("cannot {doing}: {} is read-only", path.display())]
    ReadOnly {
        /// What we were doing.
        doing: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// The file holds something else.
    #[error("{} is not a Portcullis database", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The database contradicts itself.
    #[error("cannot {doing}: the database {} is damaged", path.display())]
    Damaged {
        /// What we were doing.
        doing: &'static str,
        /// The database.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: SqliteCause,
    },
    /// A newer program has changed the tables.
    #[error("{} has tables of version {found}, this program knows them up to {known}", path.display())]
    Newer {
        /// The database.
        path: PathBuf,
        /// Version of its tables.
        found: i64,
        /// Latest version that this program knows.
        known: i64,
    },
    /// Nothing has this id, or an id that begins so.
    #[error("no {thing} is called {id}")]
    NotFound {
        /// `run`, `plan` or `change`.
        thing: &'static str,
        /// The id or its beginning.
        id: String,
    },
    /// Several ids begin so.
    #[error("{prefix} could be more than one {thing}: {}", matches.join(", "))]
    Ambiguous {
        /// `plan` or `change`.
        thing: &'static str,
        /// The beginning that was given.
        prefix: String,
        /// The ids that begin so, at most twenty.
        matches: Vec<String>,
    },
    /// Too short, too long, or no hexadecimal digits.
    #[error("`{prefix}` cannot be the id of a {thing}: give 4 to 16 hexadecimal digits")]
    BadPrefix {
        /// `plan` or `change`.
        thing: &'static str,
        /// As typed, made harmless.
        prefix: String,
    },
    /// A value could not be turned into JSON.
    #[error("cannot write a {thing} as JSON")]
    Encode {
        /// Which kind of value.
        thing: &'static str,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// A stored value is not what this program stores.
    #[error("the stored {thing} {id} cannot be read")]
    Decode {
        /// Which kind of value.
        thing: &'static str,
        /// Its id.
        id: String,
        /// Where reading stopped.
        #[source]
        source: serde_json::Error,
    },
    /// A stored plan does not say what its id was derived from.
    #[error("the stored plan {id} does not match its id: it was altered, or another version made it")]
    AlteredPlan {
        /// The id under which it is stored, made harmless.
        id: String,
    },
    /// A stored audit record is not one; `verify_audit` tells more.
    #[error("the audit record {sequence} cannot be read: {reason}")]
    AuditRecord {
        /// Its sequence.
        sequence: i64,
        /// Which part is wrong.
        reason: String,
    },
    /// The key that signs the head of the audit record is not one.
    #[error("{} is not a key for the audit record", path.display())]
    AuditKey {
        /// The key file.
        path: PathBuf,
    },
    /// A file beside the database could not be read or written.
    #[error("cannot {doing} {}", path.display())]
    AuditFile {
        /// What we were doing.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The disk or the system under it refused to read or write.
    #[error("cannot {doing}: the disk did not do what {} needs", path.display())]
    Disk {
        /// What we were doing.
        doing: &'static str,
        /// The database.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: SqliteCause,
    },
    /// SQLite refused for a reason that has no case of its own.
    #[error("cannot {doing} in {}", path.display())]
    Database {
        /// What we were doing.
        doing: &'static str,
        /// The database.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: SqliteCause,
    },
}

impl Fault for StoreError {
    fn code(&self) -> &'static str {
        match self {
            Self::UnknownScheme { .. } => "ST001",
            Self::NoPostgres => "ST002",
            Self::BadLocation { .. } => "ST003",
            Self::Create { .. } => "ST004",
            Self::Open { .. } => "ST005",
            Self::Locked { .. } => "ST006",
            Self::Full { .. } => "ST007",
            Self::ReadOnly { .. } => "ST008",
            Self::Foreign { .. } => "ST009",
            Self::Damaged { .. } => "ST010",
            Self::Newer { .. } => "ST011",
            Self::NotFound { .. } => "ST012",
            Self::Ambiguous { .. } => "ST013",
            Self::BadPrefix { .. } => "ST014",
            Self::Encode { .. } => "ST015",
            Self::Decode { .. } => "ST016",
            Self::AuditRecord { .. } => "ST017",
            Self::AuditKey { .. } => "ST018",
            Self::AuditFile { .. } => "ST019",
            Self::Disk { .. } | Self::Database { .. } => "ST020",
            Self::AlteredPlan { .. } => "ST021",
            Self::Missing { .. } => "ST022",
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::UnknownScheme { .. } | Self::NoPostgres | Self::BadLocation { .. } => {
                "give a file name or `sqlite:FILE` with --store".into()
            }
            Self::Create { source, .. } => return create_hint(source),
            Self::Locked { path, .. } => format!(
                "another portcullis or a backup may be at work: `fuser {}` names the process; try again when it is done",
                path.display()
            ),
            Self::Full { .. } => {
                "free some space on that disk and do it again; nothing was half written".into()
            }
            Self::ReadOnly { .. } => {
                "give it back to the user who runs portcullis, or name another file with --store".into()
            }
            Self::Foreign { .. } => "name another file with --store; this one was left as it is".into(),
            Self::Damaged { .. } | Self::Decode { .. } => {
                "put back a backup of the database together with its .audit-key and .audit-head".into()
            }
            Self::Newer { .. } => "use the newer portcullis, or name another file with --store".into(),
            Self::Ambiguous { .. } => "give more digits".into(),
            Self::NotFound { thing: "plan", .. } => {
                "`portcullis plan` prints the id of the plan that it makes".into()
            }
            Self::NotFound { thing: "change", .. } => "`portcullis changes` shows what is there".into(),
            Self::AuditRecord { .. } => "`portcullis audit verify` says what else is wrong".into(),
            Self::AuditKey { .. } => {
                "put back the file from a backup; without it the past end of the record cannot be proven"
                    .into()
            }
            Self::AlteredPlan { .. } => "make the plan again with `portcullis plan`".into(),
            Self::Missing { .. } => "name the file that holds the store with --store; none was made".into(),
            Self::Disk { .. } => {
                "the disk or the folder does not take writes, or does not give back what it holds: check space and mount"
                    .into()
            }
            Self::Open { .. } => "this user must be allowed to read and write the file and its folder".into(),
            Self::NotFound { .. }
            | Self::BadPrefix { .. }
            | Self::Encode { .. }
            | Self::AuditFile { .. }
            | Self::Database { .. } => return None,
        };
        Some(hint)
    }

    fn exit(&self) -> Exit {
        match self {
            Self::UnknownScheme { .. }
            | Self::NoPostgres
            | Self::BadLocation { .. }
            | Self::Missing { .. }
            | Self::NotFound { .. }
            | Self::Ambiguous { .. }
            | Self::BadPrefix { .. } => Exit::Usage,
            _ => Exit::Failed,
        }
    }
}

fn create_hint(source: &io::Error) -> Option<String> {
    match source.kind() {
        io::ErrorKind::PermissionDenied => Some(
            "name a file in a folder of your own with --store, or run as the user who owns this one".into(),
        ),
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            Some("a file stands where the folder should be: name another with --store".into())
        }
        io::ErrorKind::IsADirectory => Some("name a file in that folder with --store".into()),
        _ => None,
    }
}

//! The tables, and how an older database comes up to date.

use std::{net::AddrParseError, path::Path};

use sqlx::{Connection, SqliteConnection, SqlitePool};

use crate::{StoreError, log_counts::bytes, sqlite::failed};

/// `PCLS`, at offset 68 of the file (<https://www.sqlite.org/fileformat2.html#application_id>).
const APPLICATION: i64 = 0x5043_4c53;

/// In the order in which they were made. Each sets `user_version` to its place in this list, counted from 1. Append
/// only: what was once released has run on somebody's data.
const MIGRATIONS: [&str; 5] = [
    include_str!("../migrations/2026-11-23T1200-first-tables.sql"),
    include_str!("../migrations/2026-11-23T2000-advisories.sql"),
    include_str!("../migrations/2026-11-23T2200-signatures.sql"),
    include_str!("../migrations/2026-11-29T1700-log-counts.sql"),
    include_str!("../migrations/2026-11-29T2330-log-counts-in-few-bytes.sql"),
];

/// What SQL alone cannot do, after which of them.
const ADDRESSES_OF_LOGS: usize = 4;
const AFTER_ADDRESSES: &str = include_str!("../migrations/2026-11-29T2330-log-counts-in-few-bytes-2.sql");

/// Addresses that are read at once.
const MOST_ADDRESSES: i64 = 10_000;

/// What a file holds, by its own account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    Nothing,
    Tables { version: i64 },
    SomethingElse,
}

/// Refuses a database that belongs to another program or to a newer one, before anything is written to it. Tells how
/// many migrations are done.
pub(crate) async fn check(connection: &mut SqliteConnection, path: &Path) -> Result<usize, StoreError> {
    let failed = failed(path, "read the database");
    // One snapshot: another process may be making the tables at this moment.
    let mut snapshot = connection.begin().await.map_err(&failed)?;
    let content = content(&mut snapshot).await.map_err(&failed)?;
    snapshot.rollback().await.map_err(&failed)?;
    judge(content, path)
}

/// Applies the migrations that are missing, all or none.
pub(crate) async fn migrate(pool: &SqlitePool, path: &Path) -> Result<(), StoreError> {
    let doing = "bring the tables up to date";
    let mut transaction = pool
        .begin_with("BEGIN IMMEDIATE")
        .await
        .map_err(failed(path, doing))?;
    // Looked at again inside the lock: another process may have made the tables since.
    let content = content(&mut transaction).await.map_err(failed(path, doing))?;
    let done = judge(content, path)?;
    for (number, migration) in MIGRATIONS.iter().enumerate().skip(done) {
        sqlx::raw_sql(*migration)
            .execute(&mut *transaction)
            .await
            .map_err(failed(path, doing))?;
        if number == ADDRESSES_OF_LOGS {
            addresses(&mut transaction).await.map_err(failed(path, doing))?;
        }
    }
    transaction.commit().await.map_err(failed(path, doing))
}

/// Fills in the bytes of the addresses of followed logs, and goes on with what needs them.
async fn addresses(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    loop {
        let some: Vec<String> =
            sqlx::query_scalar("SELECT text FROM log_address_5 WHERE bytes IS NULL LIMIT ?")
                .bind(MOST_ADDRESSES)
                .fetch_all(&mut *connection)
                .await?;
        if some.is_empty() {
            break;
        }
        for text in some {
            let address = text
                .parse()
                .map_err(|error: AddrParseError| sqlx::Error::Decode(error.into()))?;
            sqlx::query("UPDATE log_address_5 SET bytes = ? WHERE text = ?")
                .bind(bytes(address))
                .bind(&text)
                .execute(&mut *connection)
                .await?;
        }
    }
    sqlx::raw_sql(AFTER_ADDRESSES).execute(connection).await?;
    Ok(())
}

/// How many migrations are done.
fn judge(content: Content, path: &Path) -> Result<usize, StoreError> {
    match content {
        Content::Nothing => Ok(0),
        Content::SomethingElse => Err(StoreError::Foreign { path: path.into() }),
        Content::Tables { version } => match usize::try_from(version) {
            Ok(done) if done <= MIGRATIONS.len() => Ok(done),
            _ => Err(StoreError::Newer {
                path: path.into(),
                found: version,
                known: MIGRATIONS.len() as i64,
            }),
        },
    }
}

async fn content(connection: &mut SqliteConnection) -> Result<Content, sqlx::Error> {
    let application: i64 = sqlx::query_scalar("PRAGMA application_id")
        .fetch_one(&mut *connection)
        .await?;
    let version: i64 = sqlx::query_scalar("PRAGMA user_version")
        .fetch_one(&mut *connection)
        .await?;
    let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema")
        .fetch_one(connection)
        .await?;
    Ok(match (application, version, tables) {
        (APPLICATION, version, _) => Content::Tables { version },
        (0, 0, 0) => Content::Nothing,
        _ => Content::SomethingElse,
    })
}

#[cfg(test)]
mod tests {
    use portcullis_model::Digest;

    use super::*;

    #[test]
    fn a_migration_that_was_released_is_never_edited() {
        let digests = MIGRATIONS.map(|text| Digest::of(text).short());
        assert_eq!(digests, ["52e9", "b6d1", "2571", "c500", "3828"]);
        assert_eq!(Digest::of(AFTER_ADDRESSES).short(), "da18");
    }
}

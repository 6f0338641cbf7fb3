//! Audit records as rows.

use portcullis_model::{AuditEntry, AuditRecord, Digest};
use sqlx::SqliteConnection;

use crate::StoreError;

/// A text as it stands in the database, before it is believed. Somebody who rebuilt the table can have put anything
/// into any column, so every text is asked for as bytes and may be missing.
type Column = Option<Vec<u8>>;

/// A row of such texts.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub(super) struct AuditRow {
    pub(super) sequence: i64,
    at: Column,
    actor: Column,
    action: Column,
    subject: Column,
    details: Column,
    previous: Column,
    digest: Column,
}

impl AuditRow {
    /// The record that the row holds.
    ///
    /// # Errors
    /// Which column is not what was written there.
    pub(super) fn record(&self) -> Result<AuditRecord, String> {
        let unreadable = |column: &str| format!("its {column} cannot be read");
        let text = |column: &Column, name: &str| {
            let bytes = column.clone().ok_or_else(|| unreadable(name))?;
            String::from_utf8(bytes).map_err(|_| unreadable(name))
        };
        let (at, details) = (text(&self.at, "time")?, text(&self.details, "details")?);
        let digest = |column: &Column, name: &str| parsed(column).ok_or_else(|| unreadable(name));
        let record = AuditRecord {
            sequence: u64::try_from(self.sequence).map_err(|_| unreadable("sequence"))?,
            entry: AuditEntry {
                at: at.parse().map_err(|_| unreadable("time"))?,
                actor: text(&self.actor, "actor")?,
                action: text(&self.action, "action")?,
                subject: text(&self.subject, "subject")?,
                details: details.parse().map_err(|_| unreadable("details"))?,
            },
            previous: digest(&self.previous, "link")?,
            digest: digest(&self.digest, "digest")?,
        };
        // The digest covers the values; another spelling of the same value would pass it unseen.
        let written = (record.entry.at.to_string(), record.entry.details.to_string());
        if (at, details) != written {
            return Err("its time or its details are not spelled as they were written".into());
        }
        Ok(record)
    }

    /// The same, where one bad record ends the reading.
    pub(super) fn expect_record(&self) -> Result<AuditRecord, StoreError> {
        self.record().map_err(|reason| StoreError::AuditRecord {
            sequence: self.sequence,
            reason,
        })
    }
}

fn parsed(column: &Column) -> Option<Digest> {
    std::str::from_utf8(column.as_deref()?).ok()?.parse().ok()
}

pub(super) async fn insert(
    connection: &mut SqliteConnection,
    record: &AuditRecord,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO audit (sequence, at, actor, action, subject, details, previous, digest)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(i64::try_from(record.sequence).unwrap_or(i64::MAX))
    .bind(record.entry.at.to_string())
    .bind(&record.entry.actor)
    .bind(&record.entry.action)
    .bind(&record.entry.subject)
    .bind(record.entry.details.to_string())
    .bind(record.previous.to_string())
    .bind(record.digest.to_string())
    .execute(connection)
    .await?;
    Ok(())
}

/// The records with a sequence above this one, in order.
pub(super) async fn above(
    connection: &mut SqliteConnection,
    sequence: i64,
    limit: u32,
) -> Result<Vec<AuditRow>, sqlx::Error> {
    sqlx::query_as(
        "SELECT sequence, CAST(at AS BLOB) AS at, CAST(actor AS BLOB) AS actor, CAST(action AS BLOB) AS action,
             CAST(subject AS BLOB) AS subject, CAST(details AS BLOB) AS details,
             CAST(previous AS BLOB) AS previous, CAST(digest AS BLOB) AS digest
         FROM audit WHERE sequence > ? ORDER BY sequence LIMIT ?",
    )
    .bind(sequence)
    .bind(limit)
    .fetch_all(connection)
    .await
}

/// Sequence and digest of the last record; no digest when it cannot be read.
pub(super) async fn last(
    connection: &mut SqliteConnection,
) -> Result<Option<(i64, Option<Digest>)>, sqlx::Error> {
    let row: Option<(i64, Column)> =
        sqlx::query_as("SELECT sequence, CAST(digest AS BLOB) FROM audit ORDER BY sequence DESC LIMIT 1")
            .fetch_optional(connection)
            .await?;
    Ok(row.map(|(sequence, digest)| (sequence, parsed(&digest))))
}

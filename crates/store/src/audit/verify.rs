//! Verifying the whole record against its own chain and against the signed head.

use portcullis_model::Digest;
use sqlx::SqliteConnection;

use super::{
    AuditVerdict,
    chain::{Walk, missing},
    head::{Head, HeadState, NO_HEAD},
    row,
};
use crate::{Store, StoreError};

const DOING: &str = "verify the audit record";
const PAGE: u32 = 1000;
const TRIGGERS: i64 = 2;
const COLUMNS: i64 = 8;

impl Store {
    /// Looks for records that were changed, removed, moved or inserted. It writes nothing.
    ///
    /// # Errors
    /// Locked or damaged; a key file that holds no key. What is wrong with the record itself is no error: it is in
    /// the verdict.
    pub async fn verify_audit(&self) -> Result<AuditVerdict, StoreError> {
        // The head is read before the records: an append in between makes the database look ahead, never behind.
        let sidecar = self.sidecar();
        let signed = self.blocking(move || sidecar.inspect()).await?;
        let mut transaction = self.pool.begin().await.map_err(self.failed(DOING))?;

        let mut walk = Walk::behind(Head::START);
        if let Some(what) = self.unreadable(&mut transaction).await? {
            walk.fault(0, what);
            let notes = compare_head(&mut walk, &signed, None);
            return Ok(verdict(walk, notes));
        }
        let mut digest_at_head = None;
        let mut after = i64::MIN;
        loop {
            let rows = row::above(&mut transaction, after, PAGE)
                .await
                .map_err(self.failed(DOING))?;
            let Some(last) = rows.last() else { break };
            after = last.sequence;
            for row in rows {
                walk.take(row);
                if matches!(&signed, HeadState::Signed(head) if head.sequence == walk.sequence) {
                    digest_at_head = walk.digest;
                }
            }
        }
        self.compare_schema(&mut transaction, &mut walk).await?;
        let notes = compare_head(&mut walk, &signed, digest_at_head);
        Ok(verdict(walk, notes))
    }

    /// Why there are no records to read at all. The table may have been dropped, or another put in its place.
    async fn unreadable(
        &self,
        connection: &mut SqliteConnection,
    ) -> Result<Option<&'static str>, StoreError> {
        let (tables, columns): (i64, i64) = sqlx::query_as(
            "SELECT (SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'audit' COLLATE NOCASE),
                 (SELECT count(*) FROM pragma_table_info('audit') WHERE lower(name) IN
                     ('sequence', 'at', 'actor', 'action', 'subject', 'details', 'previous', 'digest'))",
        )
        .fetch_one(connection)
        .await
        .map_err(self.failed(DOING))?;
        Ok(match (tables, columns) {
            (0, _) => Some("the table of records is gone"),
            (_, COLUMNS) => None,
            _ => Some("the table of records was rebuilt without some of its columns"),
        })
    }

    /// What protects the table against mistakes may have been taken away to change it.
    async fn compare_schema(
        &self,
        connection: &mut SqliteConnection,
        walk: &mut Walk,
    ) -> Result<(), StoreError> {
        let triggers: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'audit'
             AND name IN ('audit_keeps_content', 'audit_keeps_records')",
        )
        .fetch_one(&mut *connection)
        .await
        .map_err(self.failed(DOING))?;
        if triggers != TRIGGERS {
            walk.fault(
                0,
                "the triggers that keep records from being changed were removed from the database",
            );
        }
        let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM audit")
            .fetch_one(connection)
            .await
            .map_err(self.failed(DOING))?;
        if u64::try_from(rows) != Ok(walk.records) {
            walk.fault(0, "several records have the same number: the table was rebuilt");
        }
        Ok(())
    }
}

/// Holds the end of the chain against the signed head; returns notes.
fn compare_head(walk: &mut Walk, signed: &HeadState, digest_at_head: Option<Digest>) -> Vec<String> {
    let mut notes = Vec::new();
    let unknown_end = |reason: &str| format!("cannot conclude that nothing was cut off at the end: {reason}");
    match signed {
        HeadState::NeverSigned | HeadState::KeyOnly if walk.records == 0 => {}
        HeadState::NeverSigned => {
            walk.fault(0, unknown_end("the signing key and the signed head are missing"))
        }
        HeadState::KeyOnly => walk.fault(0, unknown_end(NO_HEAD)),
        HeadState::Unsound(reason) => walk.fault(0, unknown_end(reason)),
        HeadState::Signed(head) => {
            if head.sequence > walk.sequence {
                let first = walk.sequence + 1;
                walk.fault(first, missing(first, head.sequence, " at the end"));
            } else if head.sequence > 0 && digest_at_head.is_some_and(|digest| digest != head.digest) {
                walk.fault(
                    head.sequence,
                    "it is not the record that was signed as the last one",
                );
            } else if head.sequence < walk.sequence && walk.faults.is_empty() {
                notes.push(format!(
                    "the signed head stands at record {}, the database ends at record {}: a crash between commit and \
                     signature does that, and the next record mends it",
                    head.sequence, walk.sequence
                ));
            }
        }
    }
    notes
}

fn verdict(walk: Walk, mut notes: Vec<String>) -> AuditVerdict {
    if walk.unlisted_faults > 0 {
        notes.push(format!("{} more faults are not listed", walk.unlisted_faults));
    }
    AuditVerdict {
        records: walk.records,
        head: walk.digest.unwrap_or(Digest::ZERO),
        faults: walk.faults,
        notes,
    }
}

//! Appending: commit first, then sign the new head.

use portcullis_model::{AuditEntry, AuditRecord, Digest};
use sqlx::SqliteConnection;

use super::{
    BROKEN,
    chain::{Walk, missing},
    head::{Head, HeadState, NO_HEAD},
    row,
    sidecar::Claim,
};
use crate::{Store, StoreError, open::Access};

const DOING: &str = "append to the audit record";

impl Store {
    /// Seals an entry behind the last record, commits it synced, then signs the new head. Call it before the thing
    /// itself happens. When the signed head contradicts the database, a record `audit.broken` comes first, so that
    /// nothing appended later can hide what happened.
    ///
    /// # Errors
    /// Locked, full, read-only or damaged; a key that is none. When only the signing of the head failed, the record is
    /// there and the next append mends the head.
    pub async fn append_audit(&self, entry: AuditEntry) -> Result<AuditRecord, StoreError> {
        if matches!(self.access, Access::Read { .. }) {
            let path = self.path.clone();
            return Err(StoreError::ReadOnly { doing: DOING, path });
        }
        let (sidecar, patience) = (self.sidecar(), self.settings.busy_timeout);
        let mut claim = self.blocking(move || sidecar.claim(patience)).await?;

        let mut transaction = self.write(DOING).await?;
        let (mut head, break_found) = self.compare(&mut transaction, &claim.head).await?;
        let first_ever =
            matches!(claim.head, HeadState::NeverSigned | HeadState::KeyOnly) && break_found.is_none();
        if let Some(found) = break_found {
            head = self
                .insert(&mut transaction, head, broken(&entry, &found))
                .await?
                .1;
        }
        let (record, head) = self.insert(&mut transaction, head, entry).await?;
        if first_ever {
            // Signed before there is a record, so that from the first one on a missing head is a sign of tampering.
            claim = self.signed(claim, Head::START).await?;
        }
        transaction.commit().await.map_err(self.failed(DOING))?;
        self.signed(claim, head).await?;
        Ok(record)
    }

    /// The end of the chain in the database, and in which way the signed head contradicts it.
    async fn compare(
        &self,
        connection: &mut SqliteConnection,
        signed: &HeadState,
    ) -> Result<(Head, Option<String>), StoreError> {
        let last = row::last(connection).await.map_err(self.failed(DOING))?;
        let (sequence, digest) = match last {
            None => (0, Some(Digest::ZERO)),
            Some((sequence, digest)) => (u64::try_from(sequence).unwrap_or(0), digest),
        };
        let end = Head {
            sequence,
            digest: digest.unwrap_or(Digest::ZERO),
        };
        let found = match signed {
            _ if digest.is_none() => Some("the digest of the last record cannot be read".into()),
            HeadState::NeverSigned | HeadState::KeyOnly if last.is_none() => None,
            HeadState::NeverSigned => Some("the signing key and the signed head were missing".into()),
            HeadState::KeyOnly => Some(NO_HEAD.into()),
            HeadState::Unsound(reason) => Some(reason.clone()),
            HeadState::Signed(head) if *head == end => None,
            HeadState::Signed(head) if head.sequence == sequence => {
                Some(format!("record {sequence} was not the one that was signed"))
            }
            HeadState::Signed(head) if head.sequence > sequence => {
                Some(missing(sequence + 1, head.sequence, " at the end"))
            }
            HeadState::Signed(head) => self.unsigned_fault(connection, *head).await?,
        };
        Ok((end, found))
    }

    /// What is wrong with the records behind the signed head; nothing after a crash between commit and signature.
    async fn unsigned_fault(
        &self,
        connection: &mut SqliteConnection,
        head: Head,
    ) -> Result<Option<String>, StoreError> {
        let signed = i64::try_from(head.sequence).unwrap_or(i64::MAX);
        let mut walk = Walk::behind(head);
        for row in row::above(connection, signed, u32::MAX)
            .await
            .map_err(self.failed(DOING))?
        {
            walk.take(row);
        }
        Ok(walk.faults.first().map(ToString::to_string))
    }

    async fn insert(
        &self,
        connection: &mut SqliteConnection,
        head: Head,
        mut entry: AuditEntry,
    ) -> Result<(AuditRecord, Head), StoreError> {
        // The seal covers the text: it must not depend on whether this build keeps the order of keys.
        entry.details.sort_all_objects();
        let record = AuditRecord::seal(head.sequence.saturating_add(1), entry, head.digest);
        row::insert(connection, &record)
            .await
            .map_err(self.failed(DOING))?;
        let head = Head {
            sequence: record.sequence,
            digest: record.digest,
        };
        Ok((record, head))
    }

    async fn signed(&self, mut claim: Claim, head: Head) -> Result<Claim, StoreError> {
        self.blocking(move || claim.sign(head).map(|()| claim)).await
    }

    /// File work that may wait for a disk or a lock, away from the threads that serve others.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        tokio::task::spawn_blocking(work).await.unwrap_or_else(|stopped| {
            Err(StoreError::AuditFile {
                doing: "finish the work on the files beside",
                path: self.path.clone(),
                source: stopped.into(),
            })
        })
    }
}

fn broken(before: &AuditEntry, found: &str) -> AuditEntry {
    AuditEntry {
        at: before.at,
        actor: "portcullis".into(),
        action: BROKEN.into(),
        subject: "audit record".into(),
        details: serde_json::json!({ "found": found }),
    }
}

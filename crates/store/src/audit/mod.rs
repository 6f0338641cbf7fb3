//! The audit record: a chain of records whose end is signed.

mod append;
mod chain;
mod head;
mod row;
mod sidecar;
#[cfg(test)]
mod tests;
mod verify;

use std::fmt;

use portcullis_model::{AuditRecord, Digest};
use serde::Serialize;

pub(crate) use sidecar::Sidecar;

use crate::{Store, StoreError};

/// Action of the record that an append writes when the signed head contradicts the database.
const BROKEN: &str = "audit.broken";

/// What a verification of the audit record found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditVerdict {
    /// Number of records.
    pub records: u64,
    /// Digest of the last record; [`Digest::ZERO`] when there is none. To be compared with a copy kept elsewhere.
    pub head: Digest,
    /// What is wrong, in the order of the records; at most [`AuditVerdict::MOST_FAULTS`].
    pub faults: Vec<AuditFault>,
    /// What is worth knowing and is no sign of tampering.
    pub notes: Vec<String>,
}

impl AuditVerdict {
    /// Faults listed at most; a note says so when there are more.
    pub const MOST_FAULTS: usize = 1000;

    /// Whether nothing is wrong.
    pub fn is_intact(&self) -> bool {
        self.faults.is_empty()
    }
}

/// One thing that is wrong with the audit record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditFault {
    /// Sequence of the record where it shows; 0 when it concerns the record as a whole.
    pub sequence: u64,
    /// What is wrong, in plain words.
    pub what: String,
}

impl fmt::Display for AuditFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.sequence {
            0 => write!(f, "audit record as a whole: {}", self.what),
            sequence => write!(f, "audit record {sequence}: {}", self.what),
        }
    }
}

impl Store {
    /// Audit records in their order, at most `limit` (all when `None`), after leaving out the first `offset`.
    /// They are not verified.
    ///
    /// # Errors
    /// A record that cannot be read; locked or damaged.
    pub async fn audit(&self, limit: Option<u32>, offset: u64) -> Result<Vec<AuditRecord>, StoreError> {
        let mut connection = self
            .pool
            .acquire()
            .await
            .map_err(self.failed("read the audit record"))?;
        // Sequences have no gaps, unless somebody made one: then an offset counts what is missing too.
        let above = i64::try_from(offset).unwrap_or(i64::MAX);
        row::above(&mut connection, above, limit.unwrap_or(u32::MAX))
            .await
            .map_err(self.failed("read the audit record"))?
            .iter()
            .map(row::AuditRow::expect_record)
            .collect()
    }
}

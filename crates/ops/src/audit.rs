//! The audit record: reading and verifying it.

use portcullis_model::AuditRecord;
use portcullis_store::AuditVerdict;

use crate::OpsError;

pub use portcullis_store::Store;

/// Opens a store to look into its record and nothing else: it may lie on a medium that takes no writes.
///
/// # Errors
/// When there is no store, or it cannot be read.
pub async fn open(store: &str) -> Result<Store, OpsError> {
    Store::open_read_only(store).await.map_err(OpsError::Store)
}

/// All audit records, oldest first.
///
/// # Errors
/// When the store cannot be read.
pub async fn list(store: &Store) -> Result<Vec<AuditRecord>, OpsError> {
    store.audit(None, 0).await.map_err(OpsError::Store)
}

/// Whether any record was changed, removed or moved.
///
/// # Errors
/// When the store cannot be read.
pub async fn verify(store: &Store) -> Result<AuditVerdict, OpsError> {
    store.verify_audit().await.map_err(OpsError::Store)
}

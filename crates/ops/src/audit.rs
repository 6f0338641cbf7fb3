//! The audit record: reading and verifying it.

use portcullis_model::AuditRecord;
use portcullis_store::AuditVerdict;

use crate::{Desk, OpsError};

/// All audit records, oldest first.
///
/// # Errors
/// When the store cannot be read.
pub async fn list(desk: &Desk) -> Result<Vec<AuditRecord>, OpsError> {
    desk.store.audit(None, 0).await.map_err(OpsError::Store)
}

/// Whether any record was changed, removed or moved.
///
/// # Errors
/// When the store cannot be read.
pub async fn verify(desk: &Desk) -> Result<AuditVerdict, OpsError> {
    desk.store.verify_audit().await.map_err(OpsError::Store)
}

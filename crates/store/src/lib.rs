//! Keeps what was found and done: runs, observations, plans, changes, imported advisories and the audit record, in
//! one SQLite file.
//!
//! It does not decide what an observation means and does not judge who may do what. Observations and plans are written
//! once and never edited; audit records are chained by digest, and the head of the chain is signed.
//!
//! Verbs: open ([`Store::open`], [`Store::open_read_only`]), add and look up ([`Store::add_observations`], [`Store::plan`]), append and verify
//! ([`Store::append_audit`], [`Store::verify_audit`]).
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! use portcullis_model::AuditEntry;
//! let folder = tempfile::tempdir()?;
//! let store = portcullis_store::Store::open(&folder.path().join("plant.db").to_string_lossy()).await?;
//! let record = store
//!     .append_audit(AuditEntry {
//!         at: jiff::Timestamp::UNIX_EPOCH,
//!         actor: "ola".into(),
//!         action: "scan.start".into(),
//!         subject: "10.7.10.0/24".into(),
//!         details: serde_json::json!({ "rate": 10 }),
//!     })
//!     .await?;
//! assert_eq!(record.sequence, 1);
//! assert!(store.verify_audit().await?.is_intact());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).map_err(|error| error.to_string())?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod advisories;
mod audit;
mod changes;
mod error;
mod location;
mod log_counts;
mod observations;
mod open;
mod plans;
mod read_only;
mod record;
mod runs;
mod schema;
mod signatures;
mod sqlite;
#[cfg(test)]
mod tests;

pub use advisories::KeptAdvisory;
pub use audit::{AuditFault, AuditVerdict};
pub use error::StoreError;
pub use log_counts::{LogBatch, LogCount, LogStream};
pub use observations::Look;
pub use open::{Settings, Store};
pub use sqlite::SqliteCause;

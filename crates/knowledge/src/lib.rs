//! What services are and how each is recognised safely: data plus a pure matcher.
//!
//! It says which ports a service has, what may be sent to a port (at most one harmless request, often nothing), and
//! what the bytes that came back prove. It opens no socket and reads no clock; it never proposes a request that
//! changes anything or asks for secrets. The one credential in a request is the SNMP community that a person gives.
//!
//! Verbs: [`Knowledge::builtin`], [`Knowledge::exchange`] (what to do after connect), [`Knowledge::exchange_for`] (the
//! same for a service that a person named), [`Knowledge::further`] (what may be asked next), [`Knowledge::identify`]
//! (what was seen, judged), [`Knowledge::check`].
//!
//! ```
//! use std::time::Duration;
//! use portcullis_knowledge::{Knowledge, Seen};
//! use portcullis_model::{Grade, Port};
//! let knowledge = Knowledge::builtin()?;
//! let port = Port::tcp(54321);
//! assert!(knowledge.exchange(port, &[]).request.is_none());
//! let seen = Seen { silent_for: Duration::from_millis(800), ..Seen::default() };
//! let found = knowledge.identify(port, &[], &seen);
//! assert_eq!(found.first().map(|first| first.grade), Some(Grade::Possible));
//! # Ok::<(), portcullis_knowledge::KnowledgeError>(())
//! ```

pub mod advisory;
mod builtin;
mod check;
pub mod combine;
mod error;
mod exchange;
mod judge;
mod knowledge;
pub mod profinet;
pub mod program;
#[cfg(test)]
mod samples;
mod seen;
mod service;
pub mod signature;
mod version;

pub use error::KnowledgeError;
pub use exchange::{Exchange, Request, Wishes};
pub use knowledge::Knowledge;
pub use seen::{Further, Overheard, Seen};
pub use service::{Hazard, Reference, Role, Service};
pub use version::{Version, VersionError};

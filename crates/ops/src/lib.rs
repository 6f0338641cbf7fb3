//! The use-cases: check, scan, import, capture, exposures, plan, apply, confirm, rollback, verify, sensor, logs, doctor.
//!
//! Here, and only here, it is decided whether something may be done, and here it is written to the audit record before
//! it is done. It prints nothing and parses no arguments.
//!
//! Verbs: [`Desk::open`], then one function or module per use-case.

pub mod advised;
pub mod assets;
pub mod audit;
pub mod capture;
pub mod change;
pub mod check;
mod clock;
mod desk;
pub mod doctor;
mod error;
mod evidence;
pub mod exposures;
pub mod host;
pub mod import;
mod interfaces;
pub mod learn;
pub mod logs;
pub mod reach;
mod routes;
pub mod scan;
pub mod sensor;
pub mod services;
mod signature;
pub mod verify;

pub use desk::{Desk, Stop};
pub use error::OpsError;
pub use portcullis_fabric::Broker;
pub use portcullis_sys::ssh::Target;

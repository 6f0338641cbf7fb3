//! A miniature plant in network namespaces on this machine: real kernel, real firewall, stand-in devices.
//!
//! It is made of namespaces and processes only. Its first process is the first of a process-id namespace: when that
//! ends, for whatever reason, the kernel ends all the others and takes their interfaces and rules away. It never
//! touches the machine's own network or ruleset. Works as root, and without root inside a user namespace.
//!
//! Verbs: [`Lab::up`], [`Lab::down`], [`Lab::command`], [`plant::HOSTS`]; [`supervisor`] and [`device`] are what runs
//! inside.

pub mod device;
mod error;
mod handshake;
mod hold;
mod network;
pub mod plant;
mod state;
pub mod supervisor;

pub use error::LabError;
pub use hold::{Hold, HoldEvent, hold};
pub use portcullis_sys::SysError;
pub use state::{Lab, Running};

//! The operating system: sockets by netlink, processes and packages, network namespaces, child processes, NFLOG, datagrams.
//!
//! It alone may hold unsafe code. It decides nothing: it reads what is there, starts what it is told to start, and
//! says in an error what the system said.
//!
//! Verbs: [`sockets`], [`owners`], [`run`], [`namespace::in_network_of`], [`nflog::Group::open`], [`lock::Lock::take`],
//! [`ruleset_events::Events::open`], [`doer::trace`], [`feed::Feed::start`], [`datagrams::Datagrams::listen`].
//!
//! ```
//! // Reading the socket table needs no privileges.
//! let sockets = portcullis_sys::sockets()?;
//! assert!(sockets.iter().all(|socket| socket.inode > 0 || !socket.is_listening()));
//! # Ok::<(), portcullis_sys::SysError>(())
//! ```

mod command;
pub mod conntrack;
pub mod datagrams;
pub mod doer;
mod error;
pub mod feed;
pub mod host;
pub mod isolation;
mod link;
pub mod lock;
mod machine;
pub mod namespace;
pub mod nflog;
mod package;
pub mod packet;
mod process;
mod queue;
mod readable;
pub mod ruleset_events;
pub mod shell;
mod socket_diag;
pub mod ssh;
mod survey;
mod tcp_info;

pub use command::{Finished, find_program, run};
pub use error::SysError;
pub use machine::Machine;
pub use process::{Owners, identity, owners};
pub use queue::unacknowledged;
pub use readable::Readable;
pub use socket_diag::{Socket, SocketState, sockets};
pub use survey::{Holders, Survey};
pub use tcp_info::{segments_out, tcp_options};

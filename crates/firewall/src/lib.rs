//! Closes a port with a firewall change that cannot lock anybody out, and takes it back.
//!
//! The planner ([`plan`]) and the rules ([`nftables::Transaction`]) are pure values; [`nftables`] loads and reads them
//! through the `nft` program, and [`state`] keeps what was there before. It owns the table `inet portcullis` and
//! touches no other; it never loads a dump back. What is promised and why: `docs/security.md`. For systems that it does not
//! drive, [`dialect`] writes down what a person is to do.
//!
//! ```
//! use portcullis_firewall::{closing::Closing, nftables::Transaction};
//! use std::time::Duration;
//! let closing = Closing::new("3f2a91", "tcp/54321".parse()?, ["10.7.20.0/24".parse()?].into_iter().collect());
//! let text = Transaction::load(&closing, Some(Duration::from_secs(120)), false).to_string();
//! assert!(text.contains("54321 timeout 120s"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod act;
pub mod backend;
pub mod boot;
pub mod closing;
mod complement;
pub mod dialect;
mod error;
mod family;
pub mod firewalld;
pub mod governing;
mod guard;
pub mod iptables;
mod lockout;
pub mod nftables;
pub mod own;
pub mod plan;
pub mod reach;
pub mod state;
pub mod ufw;

pub use error::FirewallError;
pub use plan::{PlanInput, plan};

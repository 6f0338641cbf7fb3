//! Finds open ports and names services, gently; reads listings of sockets that were taken
//! elsewhere, and what other programs have found.
//!
//! One connection to a host at a time, at most one harmless request to a port, never more packets than the pace allows,
//! and none that the permission does not. It opens ordinary connections; half-open ones ([`syn`]) only when asked to. It
//! tries no credential and never says "closed" of what it did not test.
//!
//! Verbs: [`targets::parse`] and [`targets::Targets::resolve`] (what is to be looked at), [`scan`] and [`syn::scan`] (look
//! at all of it), [`checkpoint`] (go on with it later), [`Brake`] and [`guard`] (hold a
//! running scan back), [`probe()`] (look at one port), [`listing`] and [`host`] (read what another host says of itself),
//! [`import::read`] (read what another program found).
//!
//! ```
//! use portcullis_scan::targets;
//! let targets = targets::parse(&["10.7.10.0/30", "10.7.10.1-4"])?;
//! assert_eq!(targets.addresses()?.len(), 4);
//! # Ok::<(), targets::TargetError>(())
//! ```

mod behaviour;
mod brake;
mod canary;
pub mod checkpoint;
mod felt;
pub mod guard;
pub mod host;
pub mod import;
pub mod listing;
mod lists;
mod loss;
mod networks;
pub mod pace;
mod places;
mod probe;
mod routers;
mod run;
pub mod segment;
mod shuffle;
pub mod syn;
pub mod targets;

pub use brake::{Brake, Share};
pub use pace::Pace;
pub use probe::{DEFAULT_CONNECT_TIMEOUT, ProbeSettings, Sighting, listen, probe};
pub use run::{Counters, MOST_PROBES, Progress, ScanOutcome, ScanRequest, Watcher, scan};

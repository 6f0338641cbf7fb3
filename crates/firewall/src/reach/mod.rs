//! Who can reach a port, by the rules that are loaded: exactly which source addresses, for each interface, and which rule
//! decides it. It reads what `nft -j list ruleset` and `iptables-save` print, and follows the way of a first packet and of
//! the answer to it through the hooks of the kernel, for all sources at once. Rules of Windows are read as
//! `ConvertTo-Json` prints them.
//!
//! What it does not do: it sends nothing, and knows nothing of filters in routers before the host, of routes that it is not told, or of who
//! listens. Where a rule was not understood, or does what no listing tells, the sources that depend on it come out as
//! [`Passage::Unknown`] with that rule; all others are exact.
//!
//! ```
//! use portcullis_firewall::reach::{Host, Passage, Question, Ruleset, reach};
//! let mut rules = Ruleset::default();
//! rules.add("*filter\n:INPUT DROP [0:0]\n-A INPUT -s 10.7.20.0/24 -p tcp --dport 4840 -j ACCEPT\nCOMMIT\n", None)?;
//! let answer = reach(&rules, &Question::new("tcp/4840".parse()?, Host::default()));
//! let view = answer.views.first().ok_or("no view")?;
//! let through = view.networks(Passage::Through);
//! assert_eq!(through.iter().map(ToString::to_string).collect::<Vec<_>>(), ["10.7.20.0/24"]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod answer;
mod applied;
mod arrivals;
mod compare;
mod error;
mod fates;
mod flow;
mod heads;
mod hit;
mod journey;
mod link;
mod named;
mod negated;
mod nft;
mod packet;
mod paired;
mod place;
mod places;
mod question;
mod ranges;
mod reason;
mod remark;
mod ruleset;
mod save;
mod space;
mod targets;
mod text;
mod walk;
mod windows;

pub use answer::{Answer, Because, Part, Passage, SourcePorts, View, all_but, reach};
pub use compare::{Changed, Difference, compare};
pub use error::ReachError;
pub use question::{Host, HostInterface, Question, Route};
pub use remark::Remark;
pub use ruleset::Ruleset;
pub use text::TextKind;

#[cfg(test)]
pub(crate) use ranges::Ranges;
#[cfg(test)]
mod tests;

//! The program in its miniature plant: real kernel, real firewall, real packets. Each test builds a plant of its own.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]
#![expect(clippy::print_stdout, reason = "figures are for whoever measures")]

#[path = "../inside/mod.rs"]
mod inside;

mod approving;
mod backends;
mod bad_input;
mod behind;
mod caps;
mod capture;
mod changes;
mod clock;
mod crash;
mod ends;
mod finding;
mod findings;
mod health;
mod kept;
mod learn;
mod logged;
mod loss;
mod managed;
mod neighbours;
mod picked_up;
mod plant;
mod profinet;
mod real_servers;
mod reboot;
mod recorder;
mod refusals;
mod rehearsing;
mod remote;
mod resume;
mod scanning;
mod segments;
mod sensors;
mod servers;
mod signs;
mod story;
mod told;
mod trial;
mod watching;
mod wire;

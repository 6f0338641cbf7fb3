//! The program in its miniature plant: real kernel, real firewall, real packets. Each test builds a plant of its own.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bad_input;
mod changes;
mod finding;
mod plant;
mod scanning;
mod story;
mod trial;

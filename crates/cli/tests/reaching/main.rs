//! The model of the packet filter against the kernel: random rules are loaded in namespaces that the test makes, packets are
//! really sent, and what the model says of each must be what has happened.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]
#![expect(clippy::print_stdout, reason = "figures are for whoever measures")]

#[path = "../inside/mod.rs"]
mod inside;

mod chance;
mod command;
mod compare;
mod grammar;
mod packets;
mod place;

use compare::Tally;

/// So many pairs of a ruleset and a packet are held against the kernel, unless the environment says otherwise.
const PAIRS: u64 = 2_000;

#[test]
fn the_model_says_what_the_kernel_does() {
    if !inside::inside("the_model_says_what_the_kernel_does") {
        return;
    }
    let number =
        |name: &str, otherwise: u64| std::env::var(name).map_or(otherwise, |text| text.parse().unwrap());
    let pairs = number("PORTCULLIS_TEST_REACH_PAIRS", PAIRS);
    let seed = number("PORTCULLIS_TEST_REACH_SEED", 1);
    println!("figure seed {seed}");
    let place = place::Place::new();
    let tally = compare::run(&place, seed, pairs);
    report(&tally);
    assert!(tally.pairs >= pairs, "{tally:?}");
    assert_eq!(tally.disagreements, 0);
}

#[test]
fn the_command_reads_what_is_loaded() {
    if inside::inside("the_command_reads_what_is_loaded") {
        command::run(&place::Place::new());
    }
}

fn report(tally: &Tally) {
    println!("figure pairs {}", tally.pairs);
    println!("figure disagreements {}", tally.disagreements);
    println!("figure not_concluded {}", tally.not_concluded);
    println!("figure rulesets {}", tally.rulesets);
    println!("figure refused_rulesets {}", tally.refused);
    println!("figure through {}", tally.through);
}

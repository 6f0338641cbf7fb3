//! How often signatures err, by their own examples.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use super::{Likeness, Look, Signature, compare};

/// Fewer hosts than this say nothing about siblings.
const FEWEST_HOSTS: usize = 2;
/// How long a scan listens to a port that it does not ask, and so every look that is to see what a scan sees.
pub const AS_A_SCAN: Duration = Duration::from_millis(800);
/// A busy machine notices the end of a time later.
const LATE: Duration = Duration::from_millis(250);

/// What came of leaving each example out in turn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorFigure {
    /// Hosts that the operator knows as the service.
    pub hosts: usize,
    /// Counter-examples.
    pub counter_examples: usize,
    /// Looks of a scan's length at known hosts that were held against the other known hosts.
    pub tried: usize,
    /// Those that none of the others recognised.
    pub missed: usize,
    /// Looks of a scan's length at counter-examples that were held against the known hosts.
    pub tried_against: usize,
    /// Those that were recognised all the same.
    pub false_matches: usize,
}

/// Leaves each look at a known host out in turn, with all others at the same host, since what is to be recognised is
/// another host; and holds each look at a counter-example against all known hosts. Only looks that saw what a scan sees are
/// held against others: a longer one sees ends of connections that no scan waits for. It cannot be cut to that length,
/// because what the server would have done at our earlier end is not known.
pub fn cross_validate(signatures: &[&Signature]) -> ErrorFigure {
    let (taught, counter): (Vec<&Signature>, Vec<&Signature>) = signatures.iter().partition(|one| one.is_it);
    let matches = |look: &Look, by: &Signature| matches!(compare(look, &by.looks), Likeness::Alike(_));
    let mut figure = ErrorFigure {
        hosts: taught.len(),
        counter_examples: counter.len(),
        ..ErrorFigure::default()
    };
    if taught.len() >= FEWEST_HOSTS {
        for (place, one) in taught.iter().enumerate() {
            let others: Vec<&Signature> = taught
                .iter()
                .enumerate()
                .filter(|(other, _)| *other != place)
                .map(|(_, other)| *other)
                .collect();
            for look in one.looks.iter().filter(|look| is_as_a_scan(look)) {
                figure.tried += 1;
                let recognised = others.iter().any(|other| matches(look, other));
                figure.missed += usize::from(!recognised);
            }
        }
    }
    let against = counter.iter().flat_map(|one| &one.looks);
    for look in against.filter(|look| is_as_a_scan(look)) {
        figure.tried_against += 1;
        let recognised = taught.iter().any(|one| matches(look, one));
        figure.false_matches += usize::from(recognised);
    }
    figure
}

/// Whether a scan would have seen the same: all that the look shows was over by the time at which a scan ends.
fn is_as_a_scan(look: &Look) -> bool {
    let within = |after_ms: u64, limit: Duration| u128::from(after_ms) <= limit.as_millis();
    let behaviour = &look.behaviour;
    match (behaviour.spoke_after_ms, behaviour.own_end) {
        (Some(spoke), _) => within(spoke, AS_A_SCAN),
        (None, Some(end)) => within(end.after_ms, AS_A_SCAN),
        (None, None) => within(behaviour.listened_ms, AS_A_SCAN + LATE),
    }
}

impl fmt::Display for ErrorFigure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = AS_A_SCAN.as_millis();
        match (self.hosts, self.tried) {
            (hosts, _) if hosts < FEWEST_HOSTS => write!(
                f,
                "missed matches: too few examples to say ({hosts} known host(s); {FEWEST_HOSTS} are needed)"
            )?,
            (_, 0) => write!(
                f,
                "missed matches: too few examples to say (no look at a known host was as short as one of a scan)"
            )?,
            (hosts, tried) => write!(
                f,
                "missed matches: {} of {tried} looks as a scan makes them ({length} ms) at {hosts} known hosts, each held \
                 against the others",
                self.missed
            )?,
        }
        match (self.counter_examples, self.tried_against) {
            (0, _) => write!(
                f,
                "; false matches: too few examples to say (no counter-example: a likeness counts nothing until there is one)"
            ),
            (_, 0) => write!(
                f,
                "; false matches: too few examples to say (no look at a counter-example was as short as one of a scan)"
            ),
            (examples, tried) => write!(
                f,
                "; false matches: {} of {tried} looks as a scan makes them ({length} ms) at {examples} counter-example(s)",
                self.false_matches
            ),
        }
    }
}

//! How often signatures err, by their own examples.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Likeness, Look, Signature, compare};

/// Fewer hosts than this say nothing about siblings.
const FEWEST_HOSTS: usize = 2;

/// What came of leaving each example out in turn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorFigure {
    /// Hosts that the operator knows as the service.
    pub hosts: usize,
    /// Counter-examples.
    pub counter_examples: usize,
    /// Looks at known hosts that were held against the other known hosts.
    pub tried: usize,
    /// Those that none of the others recognised.
    pub missed: usize,
    /// Looks at counter-examples that were held against the known hosts.
    pub tried_against: usize,
    /// Those that were recognised all the same.
    pub false_matches: usize,
}

/// Leaves each look at a known host out in turn, with all others at the same host, since what is to be recognised is
/// another host; and holds each look at a counter-example against all known hosts.
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
            for look in &one.looks {
                figure.tried += 1;
                let recognised = others.iter().any(|other| matches(look, other));
                figure.missed += usize::from(!recognised);
            }
        }
    }
    for look in counter.iter().flat_map(|one| &one.looks) {
        figure.tried_against += 1;
        let recognised = taught.iter().any(|one| matches(look, one));
        figure.false_matches += usize::from(recognised);
    }
    figure
}

impl fmt::Display for ErrorFigure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.hosts {
            hosts if hosts < FEWEST_HOSTS => write!(
                f,
                "missed matches: too few examples to say ({hosts} known host(s); {FEWEST_HOSTS} are needed)"
            )?,
            hosts => write!(
                f,
                "missed matches: {} of {} looks at {hosts} known hosts, each held against the others",
                self.missed, self.tried
            )?,
        }
        match self.counter_examples {
            0 => write!(
                f,
                "; false matches: too few examples to say (no counter-example: a likeness counts nothing until there is one)"
            ),
            examples => write!(
                f,
                "; false matches: {} of {} looks at {examples} counter-example(s)",
                self.false_matches, self.tried_against
            ),
        }
    }
}

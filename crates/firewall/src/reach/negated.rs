//! Negations of neighbouring fields of a header. Loaders of before 2024 put two of them into one comparison of both fields,
//! which is true where either differs; what they list afterwards are two negations, as if both had to.
//!
//! Seen of `nft` 1.0.6: `tcp sport != 40000 tcp dport != 12732` is loaded as
//! `payload load 4b @ transport header + 0`, `cmp neq`.

use super::ruleset::{Element, Key, Lookup, Match, Set, Step, Test};

/// The steps of neighbouring negations, of which it is not known whether they were loaded as one: where none of the fields
/// differs they do not match, where all do they match, and between these it is open.
pub(super) fn perhaps_as_one(negations: Vec<Step>) -> Vec<Step> {
    let mut fields = Vec::new();
    let mut values = Vec::new();
    let mut steps = Vec::new();
    for step in &negations {
        match step {
            Step::Match(Match {
                key: Key::One(field),
                test: Test::Value(value),
                negated: true,
                when_absent: false,
            }) => {
                fields.push(field.clone());
                values.push(value.clone());
                steps.push(Step::Match(Match {
                    key: Key::One(field.clone()),
                    test: Test::Perhaps(value.clone()),
                    negated: true,
                    when_absent: false,
                }));
            }
            other => steps.push(other.clone()),
        }
    }
    if fields.len() == negations.len() {
        let all_the_same = Element {
            key: values,
            verdict: None,
            data: Vec::new(),
        };
        steps.push(Step::Match(Match {
            key: Key::Several(fields),
            test: Test::In(Lookup::Inline(Set::new(vec![all_the_same]).into())),
            negated: true,
            when_absent: false,
        }));
    }
    steps
}

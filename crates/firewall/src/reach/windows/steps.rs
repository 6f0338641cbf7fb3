//! The steps of which the chains are made.

use std::sync::Arc;

use crate::{
    family::Family,
    reach::{
        ranges::Ranges,
        ruleset::{At, End, Field, Key, Lookup, Match, Rule, Set, Step, Test, Value, Verdict},
    },
};

pub(super) fn rule(name: &str, steps: Vec<Step>) -> Rule {
    Rule::new(At::Named(name.into()), steps)
}

pub(super) const ACCEPT: Step = Step::Verdict(Verdict::Accept);
pub(super) const DROP: Step = Step::Verdict(Verdict::Drop);

/// Everybody may get through or not.
pub(super) fn nothing_known(why: &str) -> Vec<Rule> {
    vec![perhaps(why, ACCEPT), rule(why, vec![DROP])]
}

/// Everybody, perhaps.
pub(super) fn perhaps(why: &str, verdict: Step) -> Rule {
    rule(why, vec![Step::Perhaps(why.into()), verdict])
}

fn matching(field: Field, test: Test, negated: bool) -> Step {
    Step::Match(Match {
        key: Key::One(field),
        test,
        negated,
        when_absent: false,
    })
}

fn in_ranges(field: Field, ranges: &Ranges) -> Step {
    let set = Set {
        numbers: Some(ranges.clone()),
        ..Set::default()
    };
    matching(field, Test::In(Lookup::Inline(Arc::new(set))), false)
}

/// The source or the destination is one of these.
pub(super) fn address(end: End, family: Family, ranges: &Ranges) -> Step {
    in_ranges(Field::Address(end, family), ranges)
}

pub(super) fn source_port(ranges: &Ranges) -> Step {
    in_ranges(Field::Port(End::Source, None), ranges)
}

/// The packet comes by this interface, or by another one.
pub(super) fn arrives_by(name: &str, is_it: bool) -> Step {
    let value = Value::Name(name.into(), false);
    matching(Field::ArrivesBy, Test::Value(value), !is_it)
}

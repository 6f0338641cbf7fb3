//! The addresses to which rules lead packets, so that a host can be asked for its routes to them.

use std::{collections::BTreeSet, net::IpAddr};

use super::ruleset::{Lookup, NewAddress, Ruleset, Scope, Set, Step, Table, Translation, Value};
use crate::family::Family;

impl Ruleset {
    /// Each address that a translation of destinations names.
    pub fn led_to(&self) -> BTreeSet<IpAddr> {
        let mut addresses = BTreeSet::new();
        for table in &self.tables {
            let rules = table.chains.values().flat_map(|chain| &chain.rules);
            for step in rules.flat_map(|rule| &rule.steps) {
                if let Step::Translate(translation) = step
                    && let Some(family) = translation.family.or(family_of(table.scope))
                {
                    let bits = named(translation, table).into_iter();
                    addresses.extend(bits.map(|bits| family.address(bits)));
                }
            }
        }
        addresses
    }
}

fn family_of(scope: Scope) -> Option<Family> {
    match scope {
        Scope::V4 => Some(Family::V4),
        Scope::V6 => Some(Family::V6),
        _ => None,
    }
}

fn named(translation: &Translation, table: &Table) -> Vec<u128> {
    let map: Option<&Set> = match &translation.address {
        NewAddress::To(bits) => return vec![*bits],
        NewAddress::Mapped { map, .. } => match map {
            Lookup::Inline(set) => Some(set),
            Lookup::Named(name) => table.sets.get(&**name).map(|set| &**set),
        },
        NewAddress::Keep | NewAddress::Here | NewAddress::Unknown => None,
    };
    let address = |value: Option<&Value>| match value {
        Some(Value::Numbers(first, last)) if first == last => Some(*first),
        _ => None,
    };
    let elements = map.into_iter().flat_map(Set::all);
    elements
        .filter_map(|element| address(element.data.first()))
        .collect()
}

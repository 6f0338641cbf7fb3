//! The rules with their names resolved and each rule numbered.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    packet::tells_flags_apart,
    place::CauseId,
    ruleset::{At, Chain, Field, Hook, Lookup, MarkSource, Ruleset, Scope, Set, Step, Table, Verdict},
};

use crate::family::Family;

/// A ruleset as it is walked through.
pub(super) struct Linked<'a> {
    pub(super) tables: Vec<LinkedTable<'a>>,
    /// Whether any rule can tell the first packet of a connection from a later one.
    pub(super) tells_later: bool,
    /// Whether any rule can tell a packet with congestion notification from one without.
    pub(super) tells_notification: bool,
    /// The first number of each chain, ascending.
    chains: Vec<(CauseId, &'a Table, &'a str, &'a Chain)>,
}

pub(super) struct LinkedTable<'a> {
    pub(super) table: &'a Table,
    /// The families of which a rule of it makes the kernel track connections.
    pub(super) tracks: Vec<Family>,
    pub(super) sets: &'a BTreeMap<String, Arc<Set>>,
    pub(super) chains: BTreeMap<&'a str, LinkedChain<'a>>,
}

pub(super) struct LinkedChain<'a> {
    /// The number of its policy; those of its rules follow.
    pub(super) id: CauseId,
    pub(super) chain: &'a Chain,
    /// What rules do in it or in a chain that they enter.
    pub(super) does: Doing,
}

/// What a chain may do besides letting through.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Doing {
    pub(super) stops: bool,
    /// Changes what other chains look at.
    pub(super) changes: bool,
}

impl Doing {
    fn and(self, other: Self) -> Self {
        Self {
            stops: self.stops || other.stops,
            changes: self.changes || other.changes,
        }
    }
}

/// Causes that are no rule and no policy.
pub(super) mod special {
    use super::CauseId;

    pub(in crate::reach) const ORDER: CauseId = CauseId::MAX;
    pub(in crate::reach) const OWN_ADDRESS: CauseId = CauseId::MAX - 1;
    pub(in crate::reach) const NOT_TRANSLATED_BACK: CauseId = CauseId::MAX - 2;
    pub(in crate::reach) const STRANGER: CauseId = CauseId::MAX - 3;
    pub(in crate::reach) const LOOPBACK: CauseId = CauseId::MAX - 4;
    pub(in crate::reach) const TRACKING: CauseId = CauseId::MAX - 5;
    pub(in crate::reach) const PICKED_UP: CauseId = CauseId::MAX - 6;
    pub(in crate::reach) const DORMANT: CauseId = CauseId::MAX - 7;
    pub(in crate::reach) const DEVICE: CauseId = CauseId::MAX - 8;
    pub(in crate::reach) const NOTIFICATION: CauseId = CauseId::MAX - 9;
    pub(in crate::reach) const NOBODY: CauseId = CauseId::MAX - 10;
    pub(in crate::reach) const NO_ROUTE: CauseId = CauseId::MAX - 11;
    pub(in crate::reach) const ROUTE: CauseId = CauseId::MAX - 12;
    pub(in crate::reach) const NO_CONNECTION: CauseId = CauseId::MAX - 13;
    pub(in crate::reach) const GROUP: CauseId = CauseId::MAX - 14;
    pub(in crate::reach) const ANYCAST: CauseId = CauseId::MAX - 15;
    pub(in crate::reach) const NO_ADDRESS: CauseId = CauseId::MAX - 16;
    pub(in crate::reach) const ADDRESS: CauseId = CauseId::MAX - 17;
    pub(in crate::reach) const UNFORWARDED: CauseId = CauseId::MAX - 18;
    pub(in crate::reach) const FORWARDED: CauseId = CauseId::MAX - 19;
}

impl<'a> Linked<'a> {
    pub(super) fn new(ruleset: &'a Ruleset) -> Self {
        let mut next: CauseId = 1;
        let mut tables = Vec::new();
        let mut numbered = Vec::new();
        for table in &ruleset.tables {
            let doing = Doings::of(table);
            let mut chains = BTreeMap::new();
            for (name, chain) in &table.chains {
                numbered.push((next, table, name.as_str(), chain));
                let linked = LinkedChain {
                    id: next,
                    chain,
                    does: doing.0.get(name.as_str()).copied().unwrap_or_default(),
                };
                chains.insert(name.as_str(), linked);
                let rules = CauseId::try_from(chain.rules.len()).unwrap_or(CauseId::MAX);
                next = next.saturating_add(rules).saturating_add(1);
            }
            let steps = table
                .chains
                .values()
                .flat_map(|chain| &chain.rules)
                .flat_map(|rule| &rule.steps);
            tables.push(LinkedTable {
                table,
                tracks: Family::BOTH
                    .into_iter()
                    .filter(|family| steps.clone().any(|step| tracks(step, *family)))
                    .collect(),
                sets: &table.sets,
                chains,
            });
        }
        let tells_later = tables.iter().any(|table| {
            let steps = table
                .table
                .chains
                .values()
                .flat_map(|chain| &chain.rules)
                .flat_map(|rule| &rule.steps);
            !table.tracks.is_empty() || steps.into_iter().any(looks_at_flags)
        });
        let tells_notification = tables.iter().any(|table| {
            let rules = table.table.chains.values().flat_map(|chain| &chain.rules);
            let mut steps = rules.flat_map(|rule| &rule.steps);
            steps.any(|step| match step {
                Step::Match(matching) => tells_flags_apart(matching, table.sets),
                Step::VerdictMap { key, .. } | Step::SetMarkByMap { key, .. } => {
                    key.contains(&Field::TcpFlags)
                }
                _ => false,
            })
        });
        Self {
            tables,
            tells_later,
            tells_notification,
            chains: numbered,
        }
    }

    /// Table, chain and place of a rule or policy.
    pub(super) fn place(&self, id: CauseId) -> Option<(&'a Table, &'a str, Option<At>)> {
        let after = self.chains.partition_point(|(first, ..)| *first <= id);
        let (first, table, name, chain) = self.chains.get(after.checked_sub(1)?)?;
        let at = match id.checked_sub(*first)?.checked_sub(1) {
            None => None,
            Some(rule) => Some(chain.rules.get(usize::try_from(rule).ok()?)?.at.clone()),
        };
        Some((table, name, at))
    }

    /// The rule of a number.
    pub(super) fn rule(&self, id: CauseId) -> Option<&'a super::ruleset::Rule> {
        let after = self.chains.partition_point(|(first, ..)| *first <= id);
        let (first, _, _, chain) = self.chains.get(after.checked_sub(1)?)?;
        let rule = id.checked_sub(*first)?.checked_sub(1)?;
        chain.rules.get(usize::try_from(rule).ok()?)
    }
}

/// What each chain of a table does.
struct Doings<'a>(BTreeMap<&'a str, Doing>);

impl<'a> Doings<'a> {
    fn of(table: &'a Table) -> Self {
        let mut does: BTreeMap<&str, Doing> = BTreeMap::new();
        let mut enters: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (name, chain) in &table.chains {
            let mut own = Doing {
                stops: chain.base.as_ref().is_some_and(|base| base.drops),
                changes: false,
            };
            for step in chain.rules.iter().flat_map(|rule| &rule.steps) {
                own = own.and(step_does(step));
                for target in targets(step, table) {
                    let (callers, target) = match table.chains.get_key_value(target) {
                        Some((target, _)) => (enters.entry(target.as_str()).or_default(), target),
                        None => continue,
                    };
                    let _ = target;
                    if callers.last() != Some(&name.as_str()) {
                        callers.push(name);
                    }
                }
            }
            does.insert(name, own);
        }
        // What a chain does, those do who enter it.
        let mut open: Vec<&str> = does.keys().copied().collect();
        while let Some(name) = open.pop() {
            let own = does.get(name).copied().unwrap_or_default();
            for caller in enters.get(name).map_or(&[][..], Vec::as_slice) {
                if let Some(known) = does.get_mut(caller) {
                    let both = known.and(own);
                    if both != *known {
                        *known = both;
                        open.push(caller);
                    }
                }
            }
        }
        Self(does)
    }
}

fn step_does(step: &Step) -> Doing {
    let (stops, changes) = match step {
        Step::Match(_) | Step::Perhaps(_) | Step::Copy(_) => (false, false),
        Step::Verdict(Verdict::Drop) | Step::VerdictMap { .. } => (true, false),
        Step::Verdict(Verdict::Opaque(_)) | Step::Opaque(_) => (true, true),
        Step::Verdict(_) => (false, false),
        Step::SetMark(_)
        | Step::SetMarkByMap { .. }
        | Step::SetConnectionMark(_)
        | Step::NoTrack
        | Step::Translate(_)
        | Step::TranslateSource(_) => (false, true),
    };
    Doing { stops, changes }
}

/// Whether the kernel tracks connections for the sake of this step. A chain of kind nat alone does not make it.
fn tracks(step: &Step, family: Family) -> bool {
    let of_fields = |fields: &[Field]| {
        fields.iter().any(|field| {
            matches!(
                field,
                Field::ConnectionState
                    | Field::ConnectionStateAndNat
                    | Field::ConnectionMark
                    | Field::ConnectionDirection
                    | Field::ConnectionStatus
                    | Field::OriginalAddress(..)
                    | Field::OriginalPort(_)
                    | Field::ReplyAddress(..)
                    | Field::ReplyPort(_)
            )
        })
    };
    match step {
        Step::Match(matching) => of_fields(matching.key.fields()),
        Step::VerdictMap { key, .. } => of_fields(key),
        Step::SetMark(value) => value.from == MarkSource::ConnectionMark,
        Step::SetConnectionMark(_) => true,
        Step::SetMarkByMap {
            key, of_connection, ..
        } => *of_connection || of_fields(key),
        // A translation is for the family that it names, also in a table of both.
        Step::Translate(translation) => translation.family.is_none_or(|of| of == family),
        Step::TranslateSource(of) => of.is_none_or(|of| of == family),
        Step::Verdict(_) | Step::NoTrack | Step::Copy(_) | Step::Perhaps(_) | Step::Opaque(_) => false,
    }
}

fn looks_at_flags(step: &Step) -> bool {
    match step {
        Step::Match(matching) => matching.key.fields().contains(&Field::TcpFlags),
        Step::VerdictMap { key, .. } => key.contains(&Field::TcpFlags),
        Step::NoTrack => true,
        _ => false,
    }
}

/// The chains that a step may enter.
fn targets<'a>(step: &'a Step, table: &'a Table) -> Vec<&'a str> {
    let of = |verdict: &'a Verdict| match verdict {
        Verdict::Jump(target) | Verdict::Goto(target) => Some(&**target),
        _ => None,
    };
    match step {
        Step::Verdict(verdict) => of(verdict).into_iter().collect(),
        Step::VerdictMap { map, .. } => {
            let set = match map {
                Lookup::Inline(set) => Some(set),
                Lookup::Named(name) => table.sets.get(&**name),
            };
            let elements = set.into_iter().flat_map(|set| set.all());
            elements
                .filter_map(|element| of(element.verdict.as_ref()?))
                .collect()
        }
        _ => Vec::new(),
    }
}

/// Whether packets can be followed through a base chain of a table. Others are asked only whether they stop or change anything.
pub(super) fn is_followed(scope: Scope, hook: Hook) -> bool {
    match scope {
        Scope::V4 | Scope::V6 | Scope::Both => hook != Hook::Unknown,
        Scope::Device => hook == Hook::Ingress,
        Scope::Frames | Scope::Unknown => false,
    }
}

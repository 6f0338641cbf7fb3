//! Reads `nft -j list ruleset` (libnftables-json(5)).

mod check;
mod expression;
mod neighbours;
mod part;
mod statement;

pub(super) use expression::{bits_of, number_of_word, other_protocol};

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use serde::de::{
    Deserialize as _, DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
    value::MapAccessDeserializer,
};
use serde_json_borrow::Value;

use part::Part as _;

use super::{
    error::{ReachError, shown},
    negated::perhaps_as_one,
    ranges::Ranges,
    ruleset::{At, Base, Chain, Hook, Kind, Rule, Ruleset, Scope, Set, Step, Table},
};

/// Reads a whole ruleset.
///
/// # Errors
/// When the text is not JSON, or is not of libnftables.
pub(super) fn read(text: &str) -> Result<Ruleset, ReachError> {
    let mut reader = Reader::default();
    let mut source = serde_json::Deserializer::from_str(text);
    let read = Document(&mut reader).deserialize(&mut source);
    let has_list = read.and_then(|has_list| source.end().map(|()| has_list));
    match has_list {
        Ok(true) => Ok(reader.finish()),
        Ok(false) => Err(ReachError::Text {
            line: 1,
            column: 1,
            why: "there is no `nftables` key".into(),
        }),
        Err(error) => Err(ReachError::json(
            &error,
            reader.damage.as_deref().unwrap_or(NO_LIST),
        )),
    }
}

const NO_LIST: &str = "there is no list `nftables`";

/// The whole text, of which one object at a time is in memory.
struct Document<'a>(&'a mut Reader);

impl<'de> DeserializeSeed<'de> for Document<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Document<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with a list `nftables`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        let mut has_list = false;
        while let Some(key) = map.next_key::<String>()? {
            if key == "nftables" && has_list {
                let damage = "a second key `nftables`";
                self.0.damage = Some(damage.into());
                return Err(A::Error::custom(damage));
            }
            if key == "nftables" {
                has_list = true;
                map.next_value_seed(Objects(self.0))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(has_list)
    }
}

struct Objects<'a>(&'a mut Reader);

impl<'de> DeserializeSeed<'de> for Objects<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Objects<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut objects: A) -> Result<(), A::Error> {
        self.0.damage = Some("there is something in the list that is no object".into());
        while objects.next_element_seed(Object(self.0))?.is_some() {}
        self.0.damage = None;
        Ok(())
    }
}

/// One object of the list. What is wrong in it is told with the place where it ends.
struct Object<'a>(&'a mut Reader);

impl<'de> DeserializeSeed<'de> for Object<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        let object = Value::deserialize(MapAccessDeserializer::new(map))?;
        self.0.object(&object).map_err(|damage| {
            let error = A::Error::custom(&damage);
            self.0.damage = Some(damage);
            error
        })
    }
}

#[derive(Default)]
struct Reader {
    ruleset: Ruleset,
    /// Table and name of sets that rules change, with what they may add; `None` is anything.
    changed: BTreeMap<(usize, String), Option<Ranges>>,
    /// Table and name of chains that have rules, and of which nothing else was said so far.
    undeclared: BTreeSet<(usize, String)>,
    /// What is wrong, where the text is JSON but no listing.
    damage: Option<String>,
}

impl Reader {
    fn object(&mut self, object: &Value) -> Result<(), String> {
        let Some((kind, body)) = object.as_object().and_then(|object| object.iter().next()) else {
            self.ruleset.strangers.push("an object without a name".into());
            return Ok(());
        };
        match kind {
            "table" => {
                let at = self.table(body, "name");
                let flags = body.part("flags");
                // nft 1.0.6 prints the name of the table in their place.
                let known = ["dormant", "owner", "persist"];
                let is_known = flags.is_none() || known.iter().any(|flag| mentions(flags, flag));
                let dormant = is_known.then(|| mentions(flags, "dormant"));
                if let Some(table) = self.ruleset.tables.get_mut(at) {
                    table.dormant = dormant;
                }
            }
            "chain" => self.chain(body)?,
            "rule" => self.rule(object, body)?,
            "set" | "map" => self.set(object, body)?,
            // They do nothing by themselves; a rule that uses one says so.
            "metainfo" | "counter" | "quota" | "limit" | "ct helper" | "ct timeout" | "ct expectation"
            | "secmark" | "synproxy" | "flowtable" => {}
            "element" => {
                let named = (self.table(body, "table"), text(body, "name").to_owned());
                self.changed.insert(named, None);
            }
            other => self.ruleset.strangers.push(shown(other)),
        }
        Ok(())
    }

    /// The place of the table that an object belongs to.
    fn table(&mut self, body: &Value, key: &str) -> usize {
        let name = format!("{} {}", text(body, "family"), text(body, key));
        // Objects of one table follow each other.
        if let Some(at) = self.ruleset.tables.iter().rposition(|table| table.name == name) {
            return at;
        }
        self.ruleset.tables.push(Table {
            scope: scope(text(body, "family")),
            name,
            dormant: Some(false),
            sets: Default::default(),
            chains: Default::default(),
        });
        self.ruleset.tables.len().saturating_sub(1)
    }

    /// Words that no kernel of today knows make the chain a stranger; the error is for what nft never prints.
    fn chain(&mut self, body: &Value) -> Result<(), String> {
        let at = self.table(body, "table");
        let name = text(body, "name");
        self.undeclared.remove(&(at, name.to_owned()));
        let base = match body.part("hook") {
            None => None,
            Some(hook) => Some(self.base(at, name, hook, body)?),
        };
        if let Some(chain) = self.chain_of(at, name)
            && base.is_some()
        {
            chain.base = base;
        }
        Ok(())
    }

    fn base(&mut self, table: usize, name: &str, at: &Value, body: &Value) -> Result<Base, String> {
        let damaged = |what: &str| format!("the {what} of the chain `{}` is damaged", shown(name));
        let word = |value: &Value, what| value.as_str().map(str::to_owned).ok_or_else(|| damaged(what));
        let (hook_name, kind) = (
            word(at, "hook")?,
            word(body.part("type").unwrap_or(&Value::Null), "type")?,
        );
        let policy = body
            .part("policy")
            .map(|policy| word(policy, "policy"))
            .transpose()?;
        let priority = body.part("prio").and_then(Value::as_i64);
        let hook = hook(&hook_name);
        let is_of_frames = self
            .ruleset
            .tables
            .get(table)
            .is_some_and(|table| matches!(table.scope, Scope::Frames | Scope::Device));
        // Frames that leave (netdev).
        let is_known_hook = hook != Hook::Unknown || is_of_frames && hook_name == "egress";
        let is_known_kind = matches!(kind.as_str(), "filter" | "nat" | "route");
        // Where nothing is said of it, everything that is left is accepted (nft(8)).
        let is_known_policy = matches!(policy.as_deref(), None | Some("accept" | "drop"));
        if !(is_known_hook && is_known_kind && is_known_policy) {
            self.ruleset.strangers.push(format!(
                "the hook, the type or the policy of the chain `{}`",
                shown(name)
            ));
        }
        Ok(Base {
            devices: words(body.part("dev")),
            kind: if kind == "nat" { Kind::Nat } else { Kind::Filter },
            hook,
            priority: priority.ok_or_else(|| damaged("priority"))?,
            drops: policy.as_deref() == Some("drop"),
        })
    }

    fn chain_of(&mut self, table: usize, name: &str) -> Option<&mut Chain> {
        let chains = &mut self.ruleset.tables.get_mut(table)?.chains;
        if !chains.contains_key(name) {
            chains.insert(name.to_owned(), Chain::default());
        }
        chains.get_mut(name)
    }

    fn rule(&mut self, object: &Value, body: &Value) -> Result<(), String> {
        let table = self.table(body, "table");
        let of = self
            .ruleset
            .tables
            .get(table)
            .map_or(Scope::Unknown, |table| table.scope);
        let mut steps = Vec::new();
        match body.part("expr").and_then(Value::as_array) {
            None => steps.push(Step::Opaque("a rule without a list of what it does".into())),
            Some(parts) => {
                let mut rest = parts;
                while let Some((run, after)) = rest.split_at_checked(neighbours::run(rest)) {
                    rest = after;
                    let [part] = run else {
                        let mut apart = Vec::new();
                        for negation in run {
                            statement::read(negation, of, &mut apart);
                        }
                        steps.extend(perhaps_as_one(apart));
                        continue;
                    };
                    if let Some(changed) = statement::changes_set(part) {
                        let added = statement::added(part, &steps);
                        self.changes(table, changed, added);
                    }
                    statement::read(part, of, &mut steps);
                }
            }
        }
        // Looking through all of them would cost as much as reading them.
        if steps.iter().any(check::is_suspicious)
            && let Some(damage) = check::damage(object)
        {
            return Err(damage);
        }
        steps.shrink_to_fit();
        let at = At::Handle(body.part("handle").and_then(Value::as_u64).unwrap_or(0));
        let name = text(body, "chain");
        let is_new = self
            .ruleset
            .tables
            .get(table)
            .is_some_and(|table| !table.chains.contains_key(name));
        if is_new {
            self.undeclared.insert((table, name.to_owned()));
        }
        let parts = body.part("expr").and_then(Value::as_array);
        let needs_save = parts.is_some_and(|parts| parts.iter().any(|part| part.part("xt").is_some()));
        if let Some(chain) = self.chain_of(table, name) {
            chain.rules.push(Rule {
                needs_save,
                ..Rule::new(at, steps)
            });
        }
        Ok(())
    }

    fn changes(&mut self, table: usize, set: &str, added: Option<Ranges>) {
        let known = self.changed.entry((table, set.to_owned()));
        known
            .and_modify(|all| {
                *all = match (all.take(), &added) {
                    (Some(all), Some(added)) => Some(all.union(added)),
                    _ => None,
                }
            })
            .or_insert(added);
    }

    fn set(&mut self, object: &Value, body: &Value) -> Result<(), String> {
        let at = self.table(body, "table");
        let mut set = match body.part("elem") {
            None => expression::set(&[]),
            Some(Value::Array(elements)) => expression::set(elements),
            Some(_) => Set::unknown(),
        };
        if (set.numbers.is_none() || text(body, "type") == "inet_service")
            && let Some(damage) = check::damage(object)
        {
            return Err(damage);
        }
        let counts_only = |statement: &Value| statement.part("counter").is_some() || statement.is("counter");
        let statements = body.part("stmt").and_then(Value::as_array);
        if statements.is_some_and(|statements| !statements.iter().all(counts_only)) {
            set = Set::unknown();
        }
        if let Some(table) = self.ruleset.tables.get_mut(at) {
            table.sets.insert(text(body, "name").to_owned(), Arc::new(set));
        }
        Ok(())
    }

    fn finish(mut self) -> Ruleset {
        for ((table, name), added) in self.changed {
            if let Some(table) = self.ruleset.tables.get_mut(table) {
                let known = table
                    .sets
                    .get(&name)
                    .filter(|set| !set.uncertain && set.numbers.is_some());
                let set = match (known, added) {
                    (Some(set), Some(added)) => Set {
                        uncertain: true,
                        perhaps: Some(added),
                        ..(**set).clone()
                    },
                    _ => Set::unknown(),
                };
                table.sets.insert(name, Arc::new(set));
            }
        }
        for (_, name) in self.undeclared {
            self.ruleset.strangers.push(format!(
                "rules of the chain `{}`, which is not declared",
                shown(&name)
            ));
        }
        self.ruleset
    }
}

/// A text of an object, or nothing.
fn text<'a>(body: &'a Value<'_>, key: &str) -> &'a str {
    body.part(key).and_then(Value::as_str).unwrap_or_default()
}

/// One word, or a list of them.
fn words(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::Str(one)) => vec![one.to_string()],
        Some(Value::Array(several)) => several
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect(),
        _ => Vec::new(),
    }
}

/// Whether a flag, or a list of flags, has this one.
fn mentions(flags: Option<&Value>, flag: &str) -> bool {
    match flags {
        Some(Value::Str(one)) => one == flag,
        Some(Value::Array(several)) => several.iter().any(|one| one.is(flag)),
        _ => false,
    }
}

fn scope(family: &str) -> Scope {
    match family {
        "ip" => Scope::V4,
        "ip6" => Scope::V6,
        "inet" => Scope::Both,
        "netdev" => Scope::Device,
        "bridge" | "arp" => Scope::Frames,
        _ => Scope::Unknown,
    }
}

fn hook(name: &str) -> Hook {
    match name {
        "ingress" => Hook::Ingress,
        "prerouting" => Hook::Prerouting,
        "input" => Hook::Input,
        "forward" => Hook::Forward,
        "output" => Hook::Output,
        "postrouting" => Hook::Postrouting,
        _ => Hook::Unknown,
    }
}

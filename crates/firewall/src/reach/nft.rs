//! Reads `nft -j list ruleset` (libnftables-json(5)).

mod expression;
mod statement;

pub(super) use expression::{bits_of, number_of_word, other_protocol};

use std::{collections::BTreeSet, fmt, sync::Arc};

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Value, error::Category};

use super::{
    error::ReachError,
    ruleset::{At, Base, Chain, Hook, Kind, Rule, Ruleset, Scope, Set, Table},
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
            why: NO_LIST.into(),
        }),
        Err(error) => Err(ReachError::Text {
            line: error.line().max(1),
            column: error.column().max(1),
            why: match error.classify() {
                Category::Eof => "the text ends too early",
                Category::Data => NO_LIST,
                Category::Syntax | Category::Io => "not JSON",
            }
            .into(),
        }),
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
        while let Some(object) = objects.next_element::<Value>()? {
            self.0.object(&object);
        }
        Ok(())
    }
}

#[derive(Default)]
struct Reader {
    ruleset: Ruleset,
    /// Table and name of sets that rules change.
    changed: BTreeSet<(usize, String)>,
}

impl Reader {
    fn object(&mut self, object: &Value) {
        let Some((kind, body)) = object.as_object().and_then(|object| object.iter().next()) else {
            self.ruleset.strangers.push("an object without a name".into());
            return;
        };
        match kind.as_str() {
            "table" => {
                let at = self.table(body, "name");
                let flags = body.get("flags");
                let dormant = mentions(flags, "dormant");
                // nft 1.0.6 prints the name of the table in their place.
                let known = ["dormant", "owner", "persist"];
                if flags.is_some() && !known.iter().any(|flag| mentions(flags, flag)) {
                    let name = text(body, "name");
                    self.ruleset.strangers.push(format!(
                        "the flags of the table `{name}`, which may make it dormant"
                    ));
                }
                if let Some(table) = self.ruleset.tables.get_mut(at) {
                    table.dormant = dormant;
                }
            }
            "chain" => self.chain(body),
            "rule" => self.rule(body),
            "set" | "map" => self.set(body),
            // They do nothing by themselves; a rule that uses one says so.
            "metainfo" | "counter" | "quota" | "limit" | "ct helper" | "ct timeout" | "ct expectation"
            | "secmark" | "synproxy" | "flowtable" => {}
            "element" => {
                let named = (self.table(body, "table"), text(body, "name").to_owned());
                self.changed.insert(named);
            }
            other => self.ruleset.strangers.push(other.to_owned()),
        }
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
            dormant: false,
            sets: Default::default(),
            chains: Default::default(),
        });
        self.ruleset.tables.len().saturating_sub(1)
    }

    fn chain(&mut self, body: &Value) {
        let at = self.table(body, "table");
        let chain = self.chain_of(at, text(body, "name"));
        if body.get("hook").is_none() {
            return;
        }
        if let Some(chain) = chain {
            chain.base = Some(Base {
                devices: words(body.get("dev")),
                kind: if text(body, "type") == "nat" {
                    Kind::Nat
                } else {
                    Kind::Filter
                },
                hook: hook(text(body, "hook")),
                priority: body.get("prio").and_then(Value::as_i64).unwrap_or(0),
                drops: text(body, "policy") == "drop",
            });
        }
    }

    fn chain_of(&mut self, table: usize, name: &str) -> Option<&mut Chain> {
        let chains = &mut self.ruleset.tables.get_mut(table)?.chains;
        if !chains.contains_key(name) {
            chains.insert(name.to_owned(), Chain::default());
        }
        chains.get_mut(name)
    }

    fn rule(&mut self, body: &Value) {
        let table = self.table(body, "table");
        let of = self
            .ruleset
            .tables
            .get(table)
            .map_or(Scope::Unknown, |table| table.scope);
        let mut steps = Vec::new();
        for part in body
            .get("expr")
            .and_then(Value::as_array)
            .map_or(&[][..], Vec::as_slice)
        {
            if let Some(changed) = statement::changes_set(part) {
                self.changed.insert((table, changed.to_owned()));
            }
            statement::read(part, of, &mut steps);
        }
        let at = At::Handle(body.get("handle").and_then(Value::as_u64).unwrap_or(0));
        if let Some(chain) = self.chain_of(table, text(body, "chain")) {
            chain.rules.push(Rule { at, steps });
        }
    }

    fn set(&mut self, body: &Value) {
        let at = self.table(body, "table");
        let elements = body
            .get("elem")
            .and_then(Value::as_array)
            .map_or(&[][..], Vec::as_slice);
        let mut set = expression::set(elements);
        let counts_only = |statement: &Value| statement.get("counter").is_some() || statement == "counter";
        let statements = body.get("stmt").and_then(Value::as_array);
        if statements.is_some_and(|statements| !statements.iter().all(counts_only)) {
            set = super::ruleset::Set::unknown();
        }
        set.uncertain |= mentions(body.get("flags"), "dynamic");
        if let Some(table) = self.ruleset.tables.get_mut(at) {
            table.sets.insert(text(body, "name").to_owned(), Arc::new(set));
        }
    }

    fn finish(mut self) -> Ruleset {
        for (table, name) in self.changed {
            if let Some(table) = self.ruleset.tables.get_mut(table) {
                table.sets.insert(name, Arc::new(Set::unknown()));
            }
        }
        self.ruleset
    }
}

/// A text of an object, or nothing.
fn text<'a>(body: &'a Value, key: &str) -> &'a str {
    body.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// One word, or a list of them.
fn words(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::String(one)) => vec![one.clone()],
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
        Some(Value::String(one)) => one == flag,
        Some(Value::Array(several)) => several.iter().any(|one| one == flag),
        _ => false,
    }
}

fn scope(family: &str) -> Scope {
    match family {
        "ip" => Scope::V4,
        "ip6" => Scope::V6,
        "inet" => Scope::Both,
        "bridge" | "netdev" | "arp" => Scope::Frames,
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

//! The text: a list of objects, one object, or one with lists of them whose names begin with `NetFirewall`.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::{Policy, Record};
use crate::reach::error::ReachError;

/// Reads rules, filters and profiles.
///
/// # Errors
/// When the text is not JSON, or has an object that is none of these.
pub(in crate::reach) fn read(text: &str) -> Result<Policy, ReachError> {
    let mut reader = Reader::default();
    let mut source = serde_json::Deserializer::from_str(text.trim_start_matches('\u{feff}'));
    let read = Objects {
        reader: &mut reader,
        may_hold_lists: true,
    }
    .deserialize(&mut source);
    match read.and_then(|()| source.end()) {
        Ok(()) => Ok(reader.policy),
        Err(error) => Err(ReachError::json(&error, reader.why.unwrap_or(NO_OBJECT))),
    }
}

const NO_OBJECT: &str = "neither an object nor a list of objects";
const NO_KIND: &str = "an object that is no rule, no filter and no profile of the Windows firewall";
const NO_ID: &str = "a rule or a filter without its InstanceID";

#[derive(Default)]
struct Reader {
    policy: Policy,
    why: Option<&'static str>,
}

impl Reader {
    fn value(&mut self, value: &Value) -> Result<(), &'static str> {
        match value {
            Value::Object(object) => self.object(object),
            _ => Err(NO_OBJECT),
        }
    }

    fn object(&mut self, object: &Map<String, Value>) -> Result<(), &'static str> {
        let record = Record::of(object);
        if record.is_profile() {
            self.policy.profiles.push(record);
            return Ok(());
        }
        let kinds: Vec<_> = record.kinds().collect();
        if kinds.is_empty() && !record.is_rule() {
            return Err(NO_KIND);
        }
        let id = record.word("instanceid").ok_or(NO_ID)?.to_owned();
        for kind in kinds {
            self.policy.add_filter(kind, id.clone(), record.side(kind));
        }
        if record.is_rule() {
            self.policy.add_rule(record);
        }
        Ok(())
    }
}

/// A list of objects or one object, of which one at a time is in memory.
struct Objects<'a> {
    reader: &'a mut Reader,
    /// Whether an object may be one with lists in it.
    may_hold_lists: bool,
}

impl Objects<'_> {
    /// With the reason, at the place to which the text was read.
    fn add<E: serde::de::Error>(&mut self, added: Result<(), &'static str>) -> Result<(), E> {
        added.map_err(|why| {
            self.reader.why = Some(why);
            E::custom(why)
        })
    }
}

impl<'de> DeserializeSeed<'de> for Objects<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Objects<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NO_OBJECT)
    }

    /// A command that printed nothing.
    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        match self.may_hold_lists {
            true => Err(E::custom(NO_OBJECT)),
            false => Ok(()),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut objects: A) -> Result<(), A::Error> {
        loop {
            let element = Objects {
                reader: &mut *self.reader,
                may_hold_lists: false,
            };
            if objects.next_element_seed(element)?.is_none() {
                return Ok(());
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let mut object = Map::new();
        let mut holds_lists = false;
        while let Some(name) = map.next_key::<String>()? {
            let begins = name
                .get(..11)
                .is_some_and(|begin| begin.eq_ignore_ascii_case("netfirewall"));
            if self.may_hold_lists && begins {
                holds_lists = true;
                map.next_value_seed(Objects {
                    reader: &mut *self.reader,
                    may_hold_lists: false,
                })?;
            } else if object.insert(name, map.next_value::<Value>()?).is_some() {
                let twice = Err("a property that stands there twice");
                self.add::<A::Error>(twice)?;
            }
        }
        if holds_lists {
            return Ok(());
        }
        // Windows PowerShell 5.1 prints some lists so.
        let added = match (object.get("value"), object.get("Count")) {
            (Some(Value::Array(list)), Some(_)) => list.iter().try_for_each(|value| self.reader.value(value)),
            _ => self.reader.object(&object),
        };
        self.add(added)
    }
}

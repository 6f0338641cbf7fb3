//! Interfaces and destinations that no rule tells apart have the same answer, and are asked for once.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    packet::Interface,
    places::{Here, Places, is_of_a_link},
    question::Question,
    ruleset::{End, Field, Hook, Lookup, NewAddress, Ruleset, Set, Step, Table, Test, Value},
};

/// With more names in its rules than this, a host of which no interface is known is asked for all at once.
const MANY: usize = 64;

/// What the rules tell apart.
#[derive(Debug, Default)]
pub(super) struct Told {
    names: BTreeSet<Arc<str>>,
    beginnings: BTreeSet<Arc<str>>,
    /// Interfaces whose packets are looked at before the network layer.
    devices: BTreeSet<Arc<str>>,
    /// Whether rules look at the destination, or at the source of answers.
    pub(super) destination: bool,
    /// Whether rules send packets to the interface by which they arrive.
    here: bool,
    /// Whether rules send packets to an address that is of one link only.
    links: bool,
}

/// Interfaces with one answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Class {
    pub(super) names: Vec<String>,
    pub(super) interface: Interface,
}

impl Class {
    /// By which of them a packet to an address comes: to an own address of a link by the one that has it, and else by none of them.
    pub(super) fn to(&self, address: Option<u128>, places: &Places) -> Option<Interface> {
        match (address, &self.interface) {
            (Some(bits), Interface::Named(_)) if places.is_of_own_link(bits) => {
                let having = self.names.iter().find(|name| places.has(name, bits));
                having.map(|name| Interface::Named(name.as_str().into()))
            }
            _ => Some(self.interface.clone()),
        }
    }

    /// The names of those by which packets to one of these addresses come.
    pub(super) fn names_to(&self, addresses: &[u128], places: &Places) -> Vec<String> {
        if !addresses.iter().all(|bits| places.is_of_own_link(*bits)) {
            return self.names.clone();
        }
        let has = |name: &&String| addresses.iter().any(|bits| places.has(name, *bits));
        let having: Vec<String> = self.names.iter().filter(has).cloned().collect();
        if having.is_empty() {
            self.names.clone()
        } else {
            having
        }
    }
}

impl Told {
    pub(super) fn by(ruleset: &Ruleset) -> Self {
        let mut told = Self {
            links: ruleset.led_to().iter().any(is_of_a_link),
            ..Self::default()
        };
        for table in &ruleset.tables {
            told.table(table);
        }
        told
    }

    fn table(&mut self, table: &Table) {
        let mut sends = false;
        let mut sources = false;
        for chain in table.chains.values() {
            if let Some(base) = &chain.base {
                let devices = base.devices.iter().map(|name| Arc::from(name.as_str()));
                self.devices.extend(devices.clone());
                self.names.extend(devices);
                sends |= matches!(
                    base.hook,
                    Hook::Output | Hook::Postrouting | Hook::Forward | Hook::Unknown
                );
            }
            for step in chain.rules.iter().flat_map(|rule| &rule.steps) {
                match step {
                    Step::Match(matching) => {
                        let fields = matching.key.fields();
                        sources |= self.fields(fields);
                        match &matching.test {
                            Test::Value(value) | Test::Perhaps(value) => {
                                self.value(fields, std::slice::from_ref(value))
                            }
                            Test::In(lookup) => self.lookup(fields, lookup, table),
                            Test::Masked { .. } | Test::AnyBit(_) => {}
                        }
                    }
                    Step::VerdictMap { key, map } | Step::SetMarkByMap { key, map, .. } => {
                        sources |= self.fields(key);
                        self.lookup(key, map, table);
                    }
                    Step::Translate(translation) => match &translation.address {
                        // A translation to where a packet goes anyway is none.
                        NewAddress::Here => {
                            self.here = true;
                            self.destination = true;
                        }
                        NewAddress::To(_) => self.destination = true,
                        NewAddress::Mapped { key, map } => {
                            self.destination = true;
                            sources |= self.fields(key);
                            self.lookup(key, map, table);
                        }
                        NewAddress::Keep | NewAddress::Unknown => {}
                    },
                    _ => {}
                }
            }
        }
        self.destination |= sends && sources;
    }

    /// Whether one of the fields is the source.
    fn fields(&mut self, fields: &[Field]) -> bool {
        let mut source = false;
        for field in fields {
            match field {
                Field::Address(End::Source, _) => source = true,
                Field::Address(End::Destination, _)
                | Field::OriginalAddress(..)
                | Field::ReplyAddress(..) => self.destination = true,
                _ => {}
            }
        }
        source
    }

    fn lookup(&mut self, fields: &[Field], lookup: &Lookup, table: &Table) {
        let set: Option<&Set> = match lookup {
            Lookup::Inline(set) => Some(set),
            Lookup::Named(name) => table.sets.get(&**name).map(|set| &**set),
        };
        for element in set.map_or(&[][..], |set| set.elements.as_slice()) {
            self.value(fields, &element.key);
        }
    }

    fn value(&mut self, fields: &[Field], values: &[Value]) {
        for (field, value) in fields.iter().zip(values) {
            if let (Field::ArrivesBy | Field::LeavesBy, Value::Name(name, is_beginning)) = (field, value) {
                let to = if *is_beginning {
                    &mut self.beginnings
                } else {
                    &mut self.names
                };
                to.insert(Arc::clone(name));
            }
        }
    }

    /// The interfaces to ask for, those with one answer together; at the end, any other one.
    pub(super) fn classes(&self, question: &Question, places: &Places) -> Vec<Class> {
        let of_host = question
            .host
            .interfaces
            .iter()
            .map(|interface| Arc::from(interface.name.as_str()));
        let mut names: Vec<Arc<str>> = of_host.collect();
        let is_known = !names.is_empty();
        if !is_known {
            if self.names.len() > MANY {
                return vec![Class {
                    names: vec!["any interface".into()],
                    interface: Interface::Unknown,
                }];
            }
            names = self.names.iter().cloned().collect();
        }
        names.retain(|name| **name != *"lo");
        // Of these it is not known whether they are there, or may come.
        let unlisted: Vec<Arc<str>> = match is_known {
            false => Vec::new(),
            true => {
                let is_listed = |name: &Arc<str>| names.contains(name) || **name == *"lo";
                self.names
                    .iter()
                    .filter(|name| !is_listed(name))
                    .cloned()
                    .collect()
            }
        };
        let mut classes: Vec<(Signature, Class)> = Vec::new();
        let mut add = |signature: Signature, name: String, interface: Interface| match classes
            .iter_mut()
            .find(|(known, _)| *known == signature)
        {
            Some((_, class)) => class.names.push(name),
            None => classes.push((
                signature,
                Class {
                    names: vec![name],
                    interface,
                },
            )),
        };
        for name in names {
            let here = if self.here { Some(places.here(&name)) } else { None };
            let link = self.links.then(|| Arc::clone(&name));
            let above = |device: &Arc<str>| is_above(&name, device).then(|| Arc::clone(&name));
            let told = self.names.get(&name).cloned();
            let told = told.or_else(|| self.devices.iter().find_map(above));
            let signature = (told.or(link), self.matched_by(&name), here, false);
            add(signature, name.to_string(), Interface::Named(name));
        }
        if unlisted.len() > MANY {
            // Each of them would be asked for on its own.
            let names = "any other that a rule names".to_owned();
            add((None, Vec::new(), None, true), names, Interface::Unknown);
        } else {
            for name in unlisted {
                let signature = (Some(Arc::clone(&name)), self.matched_by(&name), None, false);
                add(signature, format!("any other {name}"), Interface::Named(name));
            }
        }
        for beginning in &self.beginnings {
            let signature = (None, self.matched_by(beginning), None, false);
            add(
                signature,
                format!("any other {beginning}*"),
                Interface::Other(Arc::clone(beginning)),
            );
        }
        add(
            (None, Vec::new(), None, false),
            "any other".into(),
            Interface::Other("".into()),
        );
        classes.into_iter().map(|(_, class)| class).collect()
    }

    /// The beginnings in rules that match a name.
    fn matched_by(&self, name: &str) -> Vec<Arc<str>> {
        let matching = self
            .beginnings
            .iter()
            .filter(|beginning| name.starts_with(&***beginning));
        matching.cloned().collect()
    }
}

/// Whether an interface is a VLAN of another one, by its name.
pub(super) fn is_above(name: &str, device: &str) -> bool {
    name.strip_prefix(device)
        .is_some_and(|rest| rest.starts_with('.'))
}

/// Its name where a rule has it or links are told apart, the beginnings that match it, its address where rules send packets there, and whether it is
/// several that rules tell apart.
type Signature = (Option<Arc<str>>, Vec<Arc<str>>, Option<Here>, bool);

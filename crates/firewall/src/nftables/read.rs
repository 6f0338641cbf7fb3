//! Reading `nft -j list ruleset`: our own table in full, everybody else's as one digest.
//!
//! The reader is tolerant: objects that it does not know are part of the digest and no error.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use ipnet::{IpNet, Ipv4Subnets, Ipv6Subnets};
use portcullis_model::{Digest, NetworkSet, Port, Transport};
use serde_json::Value;

use super::Closing;
use crate::FirewallError;

/// A ruleset as the kernel holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct Ruleset {
    /// Our own table.
    pub own: OwnTable,
    /// Digest of all other tables, leaving out what changes by itself: handles, counters, and the elements of sets
    /// that expire or that rules fill.
    pub foreign: Digest,
    /// Names of the other tables, as `family name`.
    pub foreign_tables: Vec<String>,
}

/// The table `inet portcullis`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OwnTable {
    /// Whether it is there.
    pub present: bool,
    /// The changes in it, by tag.
    pub changes: BTreeMap<String, Loaded>,
    /// What is not as Portcullis makes it, in plain words.
    pub faults: Vec<String>,
    /// What stands in it that Portcullis did not make; it is never removed.
    pub strangers: Vec<String>,
}

/// One change as it stands in the kernel.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// Its tag.
    pub tag: String,
    /// The port that is closed; `None` when its trial is over and the kernel has let go.
    pub port: Option<Port>,
    /// How long until the kernel lets go; `None` when it is confirmed or over.
    pub expires: Option<Duration>,
    /// Who gets through.
    pub allow: NetworkSet,
    /// Peers of outgoing connections that get through.
    pub outgoing_peers: Vec<SocketAddr>,
    /// Packets that its drop rule has dropped.
    pub dropped_packets: u64,
    /// Names of its sets.
    pub sets: Vec<String>,
    /// Whether its chain is there.
    pub has_chain: bool,
    /// Handles of the rules that lead into its chain.
    pub entry_handles: Vec<u64>,
    /// The rules of its chain, in order.
    pub rules: Vec<ChainRule>,
    /// Digest of everything that decides what it does: the table's flags, the base chain with its first two rules, the
    /// rule that leads to it, its chain and its sets. The time left, counters and handles are left out.
    pub fingerprint: Digest,
}

impl Loaded {
    /// A change of which nothing has been read yet.
    pub fn named(tag: &str) -> Self {
        Self {
            tag: tag.into(),
            port: None,
            expires: None,
            allow: NetworkSet::default(),
            outgoing_peers: Vec::new(),
            dropped_packets: 0,
            sets: Vec::new(),
            has_chain: false,
            entry_handles: Vec::new(),
            rules: Vec::new(),
            fingerprint: Digest::ZERO,
        }
    }
}

/// What one rule of a change's chain does, as far as Portcullis makes such rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChainRule {
    /// Accepts what matches this set.
    AcceptFrom(String),
    /// Logs within a limit.
    Log,
    /// Counts and drops.
    Drop,
    /// Anything else.
    Unknown,
}

impl Loaded {
    /// What differs from the closing that should be loaded; empty when nothing does.
    pub fn differences(&self, expected: &Closing) -> Vec<String> {
        let mut differences = Vec::new();
        match self.port {
            Some(port) if port == expected.port => {}
            Some(port) => differences.push(format!("{port} is closed instead of {}", expected.port)),
            None => differences.push(format!("{} is not closed", expected.port)),
        }
        if self.allow != expected.allow {
            differences.push(format!(
                "let through are {} instead of {}",
                self.allow, expected.allow
            ));
        }
        let mut peers = (self.outgoing_peers.clone(), expected.outgoing_peers.clone());
        peers.0.sort();
        peers.1.sort();
        if peers.0 != peers.1 {
            differences.push("the host's own outgoing connections are not those of the plan".into());
        }
        differences.extend(self.damage());
        differences
    }

    /// What is not as Portcullis makes it, in plain words: somebody else changed it.
    pub fn damage(&self) -> Vec<String> {
        let mut differences = Vec::new();
        if self.entry_handles.len() != 1 {
            differences.push(format!(
                "{} rules lead to it instead of one",
                self.entry_handles.len()
            ));
        }
        if self.rules != self.rules_as_made() {
            differences.push("the rules of its chain are not those that Portcullis makes".into());
        }
        differences
    }

    fn rules_as_made(&self) -> Vec<ChainRule> {
        let own = self.sets.iter().any(|set| set.starts_with("own"));
        let sets: &[&str] = if own {
            &["sources4", "sources6", "own4", "own6"]
        } else {
            &["sources4", "sources6"]
        };
        let accepting = sets
            .iter()
            .map(|set| ChainRule::AcceptFrom(format!("@{set}_{}", self.tag)));
        accepting
            .chain([ChainRule::Log, ChainRule::Log, ChainRule::Drop])
            .collect()
    }
}

impl Ruleset {
    /// Reads what `nft -j list ruleset` printed.
    ///
    /// # Errors
    /// When it is not JSON of libnftables (libnftables-json(5)).
    pub fn parse(json: &str) -> Result<Self, FirewallError> {
        let unreadable = |why: String| FirewallError::Unreadable(why);
        let document: Value = serde_json::from_str(json).map_err(|error| {
            unreadable(format!(
                "not JSON at line {} column {}",
                error.line(),
                error.column()
            ))
        })?;
        let objects = document
            .get("nftables")
            .and_then(Value::as_array)
            .ok_or_else(|| unreadable("there is no `nftables` list in the answer".into()))?;
        let mut reader = OwnReader::default();
        let mut foreign = String::new();
        let mut foreign_tables = Vec::new();
        for object in objects {
            let Some((kind, body)) = object.as_object().and_then(|object| object.iter().next()) else {
                continue;
            };
            if kind == "metainfo" {
                continue;
            }
            let table = if kind == "table" {
                text(body, "name")
            } else {
                text(body, "table")
            };
            if (text(body, "family"), table) == ("inet", "portcullis") {
                reader.take(kind, body);
                continue;
            }
            if kind == "table" {
                foreign_tables.push(format!("{} {table}", text(body, "family")));
            }
            let mut lasting = body.clone();
            drop_passing(&mut lasting);
            foreign.push_str(&format!("{kind} {lasting}\n"));
        }
        Ok(Self {
            own: reader.finish(),
            foreign: Digest::of(foreign),
            foreign_tables,
        })
    }
}

fn text<'v>(body: &'v Value, key: &str) -> &'v str {
    body.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// Removes what the kernel changes by itself.
fn drop_passing(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            let flags = fields.get("flags").map(Value::to_string).unwrap_or_default();
            if flags.contains("timeout") || flags.contains("dynamic") {
                fields.remove("elem");
            }
            for passing in ["handle", "packets", "bytes", "expires", "used"] {
                fields.remove(passing);
            }
            fields.values_mut().for_each(drop_passing);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_passing),
        _ => {}
    }
}

#[derive(Default)]
struct OwnReader {
    table: OwnTable,
    base_chain: bool,
    /// Rules of the base chain in order: what each does and its handle.
    base_rules: Vec<(BaseRule, u64)>,
    /// What all changes share, and what belongs to each, as lasting text for the fingerprints.
    shared: String,
    belongings: BTreeMap<String, String>,
}

enum BaseRule {
    Loopback,
    Replies,
    Entry { tag: String, transport: Transport },
    Unknown,
}

impl OwnReader {
    fn take(&mut self, kind: &str, body: &Value) {
        self.remember(kind, body);
        let name = text(body, "name");
        match kind {
            "table" => self.table.present = true,
            "chain" if name == "prerouting" => {
                self.base_chain =
                    text(body, "hook") == "prerouting" && body.get("prio") == Some(&Value::from(-150));
            }
            "chain" => match name.strip_prefix("change_") {
                Some(tag) => self.change(tag).has_chain = true,
                None => self.table.strangers.push(format!("the chain `{name}`")),
            },
            "set" => self.set(name, body),
            "rule" if text(body, "chain") == "prerouting" => {
                let handle = body.get("handle").and_then(Value::as_u64).unwrap_or(0);
                let rule = base_rule(&body.get("expr").cloned().unwrap_or_default());
                if let BaseRule::Entry { tag, .. } = &rule {
                    self.change(tag).entry_handles.push(handle);
                }
                self.base_rules.push((rule, handle));
            }
            "rule" => {
                if let Some(tag) = text(body, "chain").strip_prefix("change_") {
                    let rule = body
                        .get("expr")
                        .and_then(Value::as_array)
                        .cloned()
                        .unwrap_or_default();
                    let change = self.change(tag);
                    change.rules.push(chain_rule(&rule));
                    if let Some(counter) = rule.iter().find_map(|part| part.get("counter")) {
                        change.dropped_packets = counter.get("packets").and_then(Value::as_u64).unwrap_or(0);
                    }
                }
            }
            _ => self.table.strangers.push(format!("the {kind} `{name}`")),
        }
    }

    fn change(&mut self, tag: &str) -> &mut Loaded {
        self.table
            .changes
            .entry(tag.to_owned())
            .or_insert_with(|| Loaded::named(tag))
    }

    /// Keeps what decides what the rules do, for the fingerprints.
    fn remember(&mut self, kind: &str, body: &Value) {
        let chain = text(body, "chain");
        let of_chain = if kind == "rule" { chain } else { text(body, "name") };
        let entry =
            (chain == "prerouting").then(|| base_rule(&body.get("expr").cloned().unwrap_or_default()));
        let tag = match (&entry, of_chain.split_once('_')) {
            (Some(BaseRule::Entry { tag, .. }), _) => Some(tag.clone()),
            (_, Some((_, tag))) => Some(tag.to_owned()),
            _ => None,
        };
        let line = format!("{kind} {}\n", lasting_of_own(body));
        match tag {
            Some(tag) => self.belongings.entry(tag).or_default().push_str(&line),
            // Rules of strangers in the base chain are reported as such; entries of other changes are theirs.
            None => self.shared.push_str(&line),
        }
    }

    fn set(&mut self, name: &str, body: &Value) {
        let Some((role, tag)) = name.split_once('_') else {
            self.table.strangers.push(format!("the set `{name}`"));
            return;
        };
        let elements = body
            .get("elem")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        let change = self.change(tag);
        change.sets.push(name.to_owned());
        match role {
            "ports" => {
                let Some(element) = elements.first() else { return };
                let inner = element.get("elem").unwrap_or(element);
                let number = inner
                    .get("val")
                    .unwrap_or(inner)
                    .as_u64()
                    .and_then(|n| u16::try_from(n).ok());
                // The transport stands in the entry rule and is put in at the end.
                change.port = number.map(Port::tcp);
                change.expires = inner
                    .get("expires")
                    .and_then(Value::as_u64)
                    .map(Duration::from_secs);
            }
            "sources4" | "sources6" => {
                let networks = change.allow.networks().to_vec();
                change.allow = networks
                    .into_iter()
                    .chain(elements.iter().flat_map(networks_of))
                    .collect();
            }
            "own4" | "own6" => change.outgoing_peers.extend(elements.iter().filter_map(peer_of)),
            _ => self.table.strangers.push(format!("the set `{name}`")),
        }
    }

    fn finish(mut self) -> OwnTable {
        if !self.table.present {
            return self.table;
        }
        if !self.base_chain {
            self.table
                .faults
                .push("its chain `prerouting` is not at hook prerouting, priority -150".into());
        }
        let begins_right = matches!(
            self.base_rules.as_slice(),
            [(BaseRule::Loopback, _), (BaseRule::Replies, _), ..]
        );
        if !begins_right {
            self.table
                .faults
                .push("its chain `prerouting` does not begin as Portcullis makes it".into());
        }
        for (_, handle) in self
            .base_rules
            .iter()
            .filter(|(rule, _)| matches!(rule, BaseRule::Unknown))
        {
            self.table
                .strangers
                .push(format!("a rule in the chain `prerouting`, handle {handle}"));
        }
        for (tag, change) in &mut self.table.changes {
            let own = self.belongings.get(tag).map_or("", String::as_str);
            change.fingerprint = Digest::of_parts([self.shared.as_bytes(), own.as_bytes()]);
        }
        for (rule, _) in &self.base_rules {
            if let BaseRule::Entry { tag, transport } = rule
                && let Some(change) = self.table.changes.get_mut(tag)
                && let Some(port) = &mut change.port
            {
                port.transport = *transport;
            }
        }
        self.table
    }
}

/// An object of ours without what changes by itself. The port's set keeps its port: that it is on trial, and for how
/// long, does not count.
fn lasting_of_own(body: &Value) -> Value {
    let mut lasting = body.clone();
    let ports = text(body, "name").starts_with("ports_");
    let elements = ports.then(|| body.get("elem").cloned()).flatten();
    drop_passing(&mut lasting);
    if let (Some(elements), Some(fields)) = (elements, lasting.as_object_mut()) {
        let value = |element: &Value| {
            let inner = element.get("elem").unwrap_or(element);
            inner.get("val").unwrap_or(inner).clone()
        };
        let values: Vec<Value> = elements.as_array().into_iter().flatten().map(value).collect();
        fields.insert("elem".into(), Value::from(values));
    }
    lasting
}

fn chain_rule(parts: &[Value]) -> ChainRule {
    let has = |part: &Value, key: &str| part.get(key).is_some();
    match parts {
        [matching, verdict] if has(matching, "match") && has(verdict, "accept") => {
            let Some(matching) = matching.get("match") else {
                return ChainRule::Unknown;
            };
            match (text(matching, "op"), text(matching, "right")) {
                ("==", set) if set.starts_with('@') => ChainRule::AcceptFrom(set.to_owned()),
                _ => ChainRule::Unknown,
            }
        }
        [limit, log] if has(limit, "limit") && has(log, "log") => ChainRule::Log,
        [counter, drop] if has(counter, "counter") && has(drop, "drop") => ChainRule::Drop,
        _ => ChainRule::Unknown,
    }
}

fn base_rule(expression: &Value) -> BaseRule {
    let parts = expression.as_array().map(Vec::as_slice).unwrap_or_default();
    let accepts = parts.last().is_some_and(|part| part.get("accept").is_some());
    let first = parts.first().and_then(|part| part.get("match"));
    let left = first.and_then(|matching| matching.get("left"));
    let right = first
        .and_then(|matching| matching.get("right"))
        .and_then(Value::as_str)
        .unwrap_or_default();
    let key = |outer: &str, inner: &str| {
        left.and_then(|left| left.get(outer))
            .map_or("", |part| text(part, inner))
    };
    if parts.len() == 2 && accepts && key("meta", "key") == "iif" && right == "lo" {
        return BaseRule::Loopback;
    }
    if parts.len() == 2 && accepts && key("ct", "key") == "direction" && right == "reply" {
        return BaseRule::Replies;
    }
    let target = parts
        .last()
        .and_then(|part| part.get("jump"))
        .map_or("", |jump| text(jump, "target"));
    let transport = match (key("payload", "protocol"), key("payload", "field")) {
        ("tcp", "dport") => Some(Transport::Tcp),
        ("udp", "dport") => Some(Transport::Udp),
        _ => None,
    };
    match (target.strip_prefix("change_"), transport) {
        (Some(tag), Some(transport)) => BaseRule::Entry {
            tag: tag.to_owned(),
            transport,
        },
        _ => BaseRule::Unknown,
    }
}

/// The networks of one element of an interval set: an address, a prefix, or a range.
fn networks_of(element: &Value) -> Vec<IpNet> {
    let address = |value: &Value| value.as_str().and_then(|text| text.parse::<IpAddr>().ok());
    if let Some(single) = address(element) {
        return vec![single.into()];
    }
    if let Some(prefix) = element.get("prefix") {
        let length = prefix
            .get("len")
            .and_then(Value::as_u64)
            .and_then(|length| u8::try_from(length).ok());
        let network = prefix
            .get("addr")
            .and_then(address)
            .zip(length)
            .and_then(|(a, l)| IpNet::new(a, l).ok());
        return network.into_iter().collect();
    }
    let ends = element
        .get("range")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    match ends {
        [first, last] => match (address(first), address(last)) {
            (Some(IpAddr::V4(first)), Some(IpAddr::V4(last))) => {
                Ipv4Subnets::new(first, last, 0).map(IpNet::V4).collect()
            }
            (Some(IpAddr::V6(first)), Some(IpAddr::V6(last))) => {
                Ipv6Subnets::new(first, last, 0).map(IpNet::V6).collect()
            }
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

fn peer_of(element: &Value) -> Option<SocketAddr> {
    match element.get("concat")?.as_array()?.as_slice() {
        [address, port] => Some(SocketAddr::new(
            address.as_str()?.parse().ok()?,
            u16::try_from(port.as_u64()?).ok()?,
        )),
        _ => None,
    }
}

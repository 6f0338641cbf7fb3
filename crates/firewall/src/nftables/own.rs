//! Reading our own table back, object by object.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use ipnet::{IpNet, Ipv4Subnets, Ipv6Subnets};
use portcullis_model::{BackendName, Digest, Port, Transport};
use serde_json::Value;

use super::{
    handle_of,
    rules::{BaseRule, ChainRule, base_rule, chain_rule},
    ruleset::drop_passing,
    text,
    transaction::{BASE_CHAINS, Pieces, Transaction, remove_table},
};
use crate::own::{Loaded, Own};

#[derive(Default)]
pub(super) struct OwnReader {
    own: Own,
    present: bool,
    /// The base chains that stand where they should.
    base_chains: Vec<String>,
    /// Rules of the base chains in order: the chain, what the rule does, and its handle.
    base_rules: Vec<(String, BaseRule, u64)>,
    changes: BTreeMap<String, Reading>,
    /// What all changes share, as lasting text for the fingerprints.
    shared: String,
}

/// A change that is being read.
#[derive(Default)]
struct Reading {
    pieces: Pieces,
    rules: Vec<ChainRule>,
    transport: Option<Transport>,
    number: Option<u16>,
    expires: Option<Duration>,
    allow: Vec<IpNet>,
    behind: Vec<IpAddr>,
    outgoing_peers: Vec<SocketAddr>,
    cut_peers: Vec<SocketAddr>,
    dropped_packets: u64,
    /// What belongs to it, as lasting text for the fingerprint.
    belongings: String,
}

impl OwnReader {
    pub(super) fn take(&mut self, kind: &str, body: &Value) {
        self.remember(kind, body);
        let name = text(body, "name");
        match kind {
            "table" => self.present = true,
            "chain" if BASE_CHAINS.contains(&name) => {
                if text(body, "hook") == name && body.get("prio") == Some(&Value::from(-150)) {
                    self.base_chains.push(name.to_owned());
                }
            }
            "chain" => match name.strip_prefix("change_") {
                Some(tag) => self.change(tag).pieces.has_chain = true,
                None => self.own.strangers.push(format!("the chain `{name}`")),
            },
            "set" => self.set(name, body),
            "rule" => self.rule(text(body, "chain"), body),
            _ => self.own.strangers.push(format!("the {kind} `{name}`")),
        }
    }

    fn change(&mut self, tag: &str) -> &mut Reading {
        let change = self.changes.entry(tag.to_owned()).or_default();
        change.pieces.tag = tag.to_owned();
        change
    }

    fn rule(&mut self, chain: &str, body: &Value) {
        let expression = body.get("expr").cloned().unwrap_or_default();
        if BASE_CHAINS.contains(&chain) {
            let handle = handle_of(body);
            let rule = base_rule(&expression);
            if let BaseRule::Entry { tag, transport } = &rule {
                let change = self.change(tag);
                change.pieces.entries.push((chain.to_owned(), handle));
                change.transport = Some(*transport);
            }
            self.base_rules.push((chain.to_owned(), rule, handle));
        } else if let Some(tag) = chain.strip_prefix("change_") {
            let parts = expression.as_array().cloned().unwrap_or_default();
            let change = self.change(tag);
            change.rules.push(chain_rule(&parts));
            if let Some(counter) = parts.iter().find_map(|part| part.get("counter")) {
                change.dropped_packets += counter.get("packets").and_then(Value::as_u64).unwrap_or(0);
            }
        }
    }

    /// Keeps what decides what the rules do, for the fingerprints.
    fn remember(&mut self, kind: &str, body: &Value) {
        let chain = text(body, "chain");
        let of_chain = if kind == "rule" { chain } else { text(body, "name") };
        let entry = BASE_CHAINS
            .contains(&chain)
            .then(|| base_rule(&body.get("expr").cloned().unwrap_or_default()));
        let tag = match (&entry, of_chain.split_once('_')) {
            (Some(BaseRule::Entry { tag, .. }), _) => Some(tag.clone()),
            (_, Some((_, tag))) => Some(tag.to_owned()),
            _ => None,
        };
        let line = format!("{kind} {}\n", lasting_of_own(body));
        match tag {
            Some(tag) => self.change(&tag).belongings.push_str(&line),
            // Rules of strangers in a base chain are reported as such; entries of other changes are theirs.
            None => self.shared.push_str(&line),
        }
    }

    fn set(&mut self, name: &str, body: &Value) {
        let Some((role, tag)) = name.split_once('_') else {
            self.own.strangers.push(format!("the set `{name}`"));
            return;
        };
        let elements = body
            .get("elem")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        let change = self.change(tag);
        change.pieces.sets.push(name.to_owned());
        match role {
            "ports" => {
                let Some(element) = elements.first() else { return };
                let inner = element.get("elem").unwrap_or(element);
                change.number = inner
                    .get("val")
                    .unwrap_or(inner)
                    .as_u64()
                    .and_then(|n| u16::try_from(n).ok());
                change.expires = inner
                    .get("expires")
                    .and_then(Value::as_u64)
                    .map(Duration::from_secs);
            }
            "sources4" | "sources6" => change.allow.extend(elements.iter().flat_map(networks_of)),
            "targets4" | "targets6" => {
                let single = |network: IpNet| network.addr();
                change
                    .behind
                    .extend(elements.iter().flat_map(networks_of).map(single));
            }
            "cut4" | "cut6" => change.cut_peers.extend(elements.iter().filter_map(peer_of)),
            "own4" | "own6" => change.outgoing_peers.extend(elements.iter().filter_map(peer_of)),
            _ => self.own.strangers.push(format!("the set `{name}`")),
        }
    }

    pub(super) fn finish(mut self) -> Own {
        if !self.present {
            return self.own;
        }
        for chain in BASE_CHAINS {
            if !self.base_chains.iter().any(|there| there == chain) {
                self.own.faults.push(format!(
                    "its chain `{chain}` is not at hook {chain}, priority -150"
                ));
            }
            let rules: Vec<&BaseRule> = self
                .base_rules
                .iter()
                .filter(|(of, ..)| of == chain)
                .map(|(_, rule, _)| rule)
                .collect();
            if !matches!(rules.as_slice(), [BaseRule::Loopback, ..]) {
                self.own.faults.push(format!(
                    "its chain `{chain}` does not begin as Portcullis makes it"
                ));
            }
        }
        let unknown = self
            .base_rules
            .iter()
            .filter(|(_, rule, _)| matches!(rule, BaseRule::Unknown));
        let strangers =
            unknown.map(|(chain, _, handle)| format!("a rule in the chain `{chain}`, handle {handle}"));
        self.own.strangers.extend(strangers);
        // With something of somebody else in it, the table stays and only what is ours goes.
        let is_last = self.changes.len() == 1 && self.own.strangers.is_empty();
        for (tag, change) in std::mem::take(&mut self.changes) {
            let loaded = change.finish(&self.shared, is_last);
            self.own.changes.insert(tag, loaded);
        }
        if self.own.changes.is_empty() && self.own.strangers.is_empty() {
            self.own.remnant = Some(remove_table());
        }
        self.own
    }
}

impl Reading {
    fn finish(self, shared: &str, is_last: bool) -> Loaded {
        let damage = self.damage();
        let removal = if is_last {
            remove_table()
        } else {
            Transaction::remove(&self.pieces).into()
        };
        Loaded {
            // The transport stands in the rule that leads to it.
            port: self.number.map(|number| Port {
                number,
                transport: self.transport.unwrap_or(Transport::Tcp),
            }),
            behind: self.behind,
            expires: self.expires,
            allow: self.allow.into_iter().collect(),
            no_replies: !self.rules.contains(&ChainRule::Replies),
            outgoing_peers: self.outgoing_peers,
            cut_peers: self.cut_peers,
            dropped_packets: self.dropped_packets,
            damage,
            fingerprint: Digest::of_parts([shared.as_bytes(), self.belongings.as_bytes()]),
            removal,
            ..Loaded::named(&self.pieces.tag, BackendName::Nftables)
        }
    }

    fn has_set(&self, role: &str) -> bool {
        let wanted = format!("{role}_{}", self.pieces.tag);
        self.pieces.sets.contains(&wanted)
    }

    fn damage(&self) -> Vec<String> {
        let mut damage = Vec::new();
        let expected: Vec<&str> = match (self.has_set("targets4"), self.has_set("targets6")) {
            (true, true) => vec!["prerouting", "prerouting", "forward", "forward"],
            (true, false) | (false, true) => vec!["prerouting", "forward"],
            (false, false) => vec!["prerouting", "input"],
        };
        let mut missing = expected.clone();
        for (chain, _) in &self.pieces.entries {
            if let Some(index) = missing.iter().position(|wanted| wanted == chain) {
                missing.remove(index);
            }
        }
        if self.pieces.entries.len() != expected.len() || !missing.is_empty() {
            damage.push(format!(
                "{} rules lead to it instead of {}",
                self.pieces.entries.len(),
                expected.len()
            ));
        }
        if self.rules != self.rules_as_made() {
            damage.push("the rules of its chain are not those that Portcullis makes".into());
        }
        damage
    }

    fn rules_as_made(&self) -> Vec<ChainRule> {
        let own = self.has_set("own4") || self.has_set("own6");
        let sets: &[&str] = if own {
            &["sources4", "sources6", "own4", "own6"]
        } else {
            &["sources4", "sources6"]
        };
        let named = |set: &str| format!("@{set}_{}", self.pieces.tag);
        let cut: &[&str] = if self.has_set("cut4") || self.has_set("cut6") {
            &["cut4", "cut6"]
        } else {
            &[]
        };
        let dropping = cut.iter().map(|set| ChainRule::DropFrom(named(set)));
        // Whether replies are let through at all is the change's own affair.
        let replies = self
            .rules
            .contains(&ChainRule::Replies)
            .then_some(ChainRule::Replies);
        let accepting = sets.iter().map(|set| ChainRule::AcceptFrom(named(set)));
        dropping
            .chain(replies)
            .chain(accepting)
            .chain([ChainRule::Log, ChainRule::Log, ChainRule::Drop])
            .collect()
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

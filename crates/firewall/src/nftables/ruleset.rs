//! Reading `nft -j list ruleset`: our own table in full, everybody else's as one digest.
//!
//! The reader is tolerant: objects that it does not know are part of the digest and no error.

use portcullis_model::Digest;
use serde_json::Value;

use super::{own::OwnReader, text};
use crate::{FirewallError, iptables::CHAIN, own::Own};

/// A ruleset as the kernel holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct Ruleset {
    /// What stands in our own table.
    pub own: Own,
    /// Digest of all other tables, leaving out what changes by itself: handles, counters, and the elements of sets
    /// that expire or that rules fill.
    pub foreign: Digest,
    /// Names of the other tables, as `family name`.
    pub foreign_tables: Vec<String>,
}

impl Ruleset {
    /// The ruleset of a machine on which nobody has loaded anything.
    pub(super) fn none() -> Self {
        Self {
            own: Own::default(),
            foreign: Digest::of(""),
            foreign_tables: Vec::new(),
        }
    }

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
        let mut of_firewalld = OfFirewalld::default();
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
            if of_iptables(kind, table, body) || of_firewalld.is_ours(kind, table, body) {
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

/// What is ours by way of iptables, and the frame that iptables makes for it and leaves behind without a rule.
fn of_iptables(kind: &str, table: &str, body: &Value) -> bool {
    let frame = ["ip", "ip6"].contains(&text(body, "family"))
        && table == "mangle"
        && (kind == "table" || kind == "chain" && text(body, "policy") == "accept");
    let chain = match kind {
        "chain" => text(body, "name"),
        _ => text(body, "chain"),
    };
    let leads_to_ours = || body.to_string().contains(&format!("\"target\":\"{CHAIN}"));
    frame || chain.starts_with(CHAIN) || kind == "rule" && leads_to_ours()
}

/// What is ours by way of firewalld: its policies, and of each rich rule one rule that logs and one that drops, which
/// says the same but for that.
#[derive(Default)]
struct OfFirewalld {
    /// The chain of the last rule that logs for us, and what it matches.
    logs: Option<(String, String)>,
}

impl OfFirewalld {
    fn is_ours(&mut self, kind: &str, table: &str, body: &Value) -> bool {
        if (text(body, "family"), table) != ("inet", "firewalld") {
            return false;
        }
        let of_policy = |name: &str| name.contains("_policy_portcullis-");
        let chain = match kind {
            "chain" => text(body, "name"),
            _ => text(body, "chain"),
        };
        if of_policy(chain) {
            return true;
        }
        let expressions = body.get("expr").and_then(Value::as_array);
        let expressions = expressions.map(Vec::as_slice).unwrap_or_default();
        let jumps = |expression: &Value| {
            expression
                .get("jump")
                .is_some_and(|to| of_policy(text(to, "target")))
        };
        if expressions.iter().any(jumps) {
            return true;
        }
        let matches: String = expressions
            .iter()
            .filter(|expression| expression.get("match").is_some())
            .map(Value::to_string)
            .collect();
        let here = (chain.to_owned(), matches);
        let logs = |expression: &Value| {
            let log = expression.get("log");
            log.is_some_and(|log| text(log, "prefix").starts_with(super::LOG_PREFIX))
        };
        if expressions.iter().any(logs) {
            self.logs = Some(here);
            return true;
        }
        let drops = expressions
            .last()
            .is_some_and(|expression| expression.get("drop").is_some());
        drops && self.logs.take_if(|logs| *logs == here).is_some()
    }
}

/// Removes what the kernel changes by itself.
pub(super) fn drop_passing(value: &mut Value) {
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

//! What a rule of our own table does, as far as Portcullis makes such rules (libnftables-json(5)).

use portcullis_model::Transport;
use serde_json::Value;

use super::text;

/// What one rule of a change's chain does, as far as Portcullis makes such rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ChainRule {
    /// Accepts what matches this set.
    AcceptFrom(String),
    /// Counts and drops what matches this set.
    DropFrom(String),
    /// Accepts replies.
    Replies,
    /// Logs within a limit.
    Log,
    /// Counts and drops.
    Drop,
    /// Anything else.
    Unknown,
}

/// What one rule of a base chain does.
pub(super) enum BaseRule {
    Loopback,
    Entry { tag: String, transport: Transport },
    Unknown,
}

pub(super) fn chain_rule(parts: &[Value]) -> ChainRule {
    let has = |part: &Value, key: &str| part.get(key).is_some();
    let matched = |part: &Value| {
        let matching = part.get("match")?;
        let left = matching.get("left")?;
        let is_direction = left.get("ct").is_some_and(|ct| text(ct, "key") == "direction");
        let plain = text(matching, "op") == "==";
        plain.then(|| (is_direction, text(matching, "right").to_owned()))
    };
    match parts {
        [matching, verdict] if has(verdict, "accept") => match matched(matching) {
            Some((true, right)) if right == "reply" => ChainRule::Replies,
            Some((false, set)) if set.starts_with('@') => ChainRule::AcceptFrom(set),
            _ => ChainRule::Unknown,
        },
        [matching, counter, verdict] if has(counter, "counter") && has(verdict, "drop") => {
            match matched(matching) {
                Some((false, set)) if set.starts_with('@') => ChainRule::DropFrom(set),
                _ => ChainRule::Unknown,
            }
        }
        [limit, log] if has(limit, "limit") && has(log, "log") => ChainRule::Log,
        [counter, drop] if has(counter, "counter") && has(drop, "drop") => ChainRule::Drop,
        _ => ChainRule::Unknown,
    }
}

pub(super) fn base_rule(expression: &Value) -> BaseRule {
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

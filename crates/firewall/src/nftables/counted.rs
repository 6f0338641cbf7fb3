//! Rules that log, and what their own counters say: a limit keeps packets out of the log, and not out of a counter before it.

use serde_json::Value;

/// Packets that each rule with this log prefix has counted before any limit, in the JSON of `nft -j list ruleset` (libnftables-json(5)).
/// Empty when no rule has the prefix, or none of those a counter that a limit does not stand before.
pub fn counted_before_limits(listing: &str, prefix: &str) -> Vec<u64> {
    let Ok(listing) = serde_json::from_str::<Value>(listing) else {
        return Vec::new();
    };
    let rules = listing.get("nftables").and_then(Value::as_array);
    let statements = rules
        .into_iter()
        .flatten()
        .filter_map(|object| object.get("rule")?.get("expr")?.as_array());
    statements
        .filter(|statements| {
            let logs = |statement: &Value| {
                let has = statement.get("log")?.get("prefix")?.as_str()?;
                Some(has.trim() == prefix.trim())
            };
            statements.iter().any(|statement| logs(statement) == Some(true))
        })
        .filter_map(|statements| {
            let unlimited = statements
                .iter()
                .take_while(|statement| statement.get("limit").is_none());
            unlimited
                .filter_map(|statement| statement.get("counter")?.get("packets")?.as_u64())
                .next()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_counter_that_no_limit_stands_before_tells_more_than_the_log() {
        let rule = |statements: &str| format!(r#"{{"rule": {{"expr": [{statements}]}}}}"#);
        let counter = r#"{"counter": {"packets": 812, "bytes": 1}}"#;
        let limit = r#"{"limit": {"rate": 10, "per": "minute"}}"#;
        let log = r#"{"log": {"prefix": "refused "}}"#;
        for (statements, expected) in [
            (format!("{counter}, {limit}, {log}"), vec![812]),
            (format!("{counter}, {log}"), vec![812]),
            (format!("{limit}, {counter}, {log}"), vec![]),
            (format!("{limit}, {log}, {counter}"), vec![]),
            (format!("{counter}, {limit}"), vec![]),
            (log.to_owned(), vec![]),
        ] {
            let listing = format!(r#"{{"nftables": [{{"metainfo": {{}}}}, {}]}}"#, rule(&statements));
            assert_eq!(
                counted_before_limits(&listing, "refused"),
                expected,
                "{statements}"
            );
            assert!(counted_before_limits(&listing, "ref").is_empty());
        }
        assert!(counted_before_limits("{", "refused").is_empty());
    }
}

//! Where a log was kept short by a limit: what the counters of the rules say, which no limit keeps short.

use std::{collections::BTreeMap, time::Duration};

use portcullis_firewall::nftables::{LOG_PREFIX, counted_before_limits};
use portcullis_logs::detection::Finding;
use portcullis_model::{DetectionKind, sanitize};

use crate::Desk;

const PATIENCE: Duration = Duration::from_secs(30);

/// For each rule of this host of which a sign says that its limit was reached, what its counter says, in plain words.
pub fn counters(desk: &Desk, findings: &[Finding]) -> Vec<String> {
    let mut limited: BTreeMap<String, u64> = BTreeMap::new();
    for finding in findings
        .iter()
        .filter(|finding| finding.kind == DetectionKind::RateLimit)
    {
        if let Some(prefix) = &finding.prefix {
            *limited.entry(prefix.to_string()).or_default() += finding.events;
        }
    }
    if limited.is_empty() {
        return Vec::new();
    }
    let own = desk.own().ok();
    let listing = desk
        .machine
        .run("nft", &["-j", "list", "ruleset"], "", PATIENCE)
        .ok();
    let listing = listing.map(|finished| finished.stdout).unwrap_or_default();
    let mut notes = Vec::new();
    for (prefix, lines) in limited {
        let of_change = prefix.strip_prefix(LOG_PREFIX).and_then(|tag| {
            let change = own.as_ref()?.changes.get(tag.trim())?;
            Some(change.dropped_packets)
        });
        let counts = of_change.map_or_else(|| counted_before_limits(&listing, &prefix), |count| vec![count]);
        let shown = sanitize(&prefix);
        notes.push(match counts.as_slice() {
            [] => format!(
                "rule `{shown}`: no counter here says how many packets its {lines} lines under a limit stand for"
            ),
            counts => format!(
                "rule `{shown}`: beside {lines} lines under a limit its counter is at {} packets since it was loaded, if this log is of \
                 this host",
                counts.iter().sum::<u64>()
            ),
        });
    }
    notes
}

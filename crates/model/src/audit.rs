//! The audit record: what was about to be done, by whom, in an order that cannot be changed unseen.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Digest;

/// What is to be recorded, before it gets its place in the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// When.
    pub at: Timestamp,
    /// Who: login name, and the name behind `sudo` when there is one.
    pub actor: String,
    /// What, e.g. `change.apply`, `change.confirm`, `scan.start`.
    pub action: String,
    /// What it is done to, e.g. `change 3f2a91 host gw-1 tcp/54321`.
    pub subject: String,
    /// Details that belong to the action, as JSON.
    pub details: serde_json::Value,
}

/// A record in its place in the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRecord {
    /// Position, from 1, without gaps.
    pub sequence: u64,
    /// What was recorded.
    pub entry: AuditEntry,
    /// Digest of the record before; [`Digest::ZERO`] for the first.
    pub previous: Digest,
    /// Digest over position, entry and `previous`.
    pub digest: Digest,
}

impl AuditRecord {
    /// Puts an entry at its place behind `previous`.
    pub fn seal(sequence: u64, entry: AuditEntry, previous: Digest) -> Self {
        let digest = Self::digest_of(sequence, &entry, previous);
        Self {
            sequence,
            entry,
            previous,
            digest,
        }
    }

    /// Whether the record still says what it said when it was sealed.
    pub fn is_intact(&self) -> bool {
        self.digest == Self::digest_of(self.sequence, &self.entry, self.previous)
    }

    fn digest_of(sequence: u64, entry: &AuditEntry, previous: Digest) -> Digest {
        Digest::of_parts([
            sequence.to_be_bytes().as_slice(),
            entry.at.to_string().as_bytes(),
            entry.actor.as_bytes(),
            entry.action.as_bytes(),
            entry.subject.as_bytes(),
            entry.details.to_string().as_bytes(),
            previous.as_bytes(),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_record_is_no_longer_intact() {
        let entry = AuditEntry {
            at: Timestamp::UNIX_EPOCH,
            actor: "ola".into(),
            action: "change.apply".into(),
            subject: "change 1".into(),
            details: serde_json::json!({"b": 1, "a": [2]}),
        };
        let record = AuditRecord::seal(1, entry, Digest::ZERO);
        assert!(record.is_intact());
        let mut renamed = record.clone();
        renamed.entry.actor = "kari".into();
        let mut moved = record.clone();
        moved.sequence = 2;
        let mut shifted = record;
        (shifted.entry.action, shifted.entry.subject) = ("change.applyc".into(), "hange 1".into());
        assert!(!renamed.is_intact() && !moved.is_intact() && !shifted.is_intact());
    }
}

//! A change: a plan that was applied, and what became of it.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{BackendName, ChangeId, Digest, PlanId, Port, UpTime};

/// Where a change stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeState {
    /// Announced in the audit record; the transaction was not yet seen to succeed.
    Applying,
    /// In force until its time runs out.
    OnTrial,
    /// In force until it is rolled back.
    Confirmed,
    /// Taken back by a person.
    RolledBack,
    /// Not confirmed in time: the kernel let go by itself.
    FellBack,
    /// Did not come into force; the ruleset is as before.
    Failed,
    /// Was in force and is no longer, though nobody took it back here.
    NotInForce,
}

impl ChangeState {
    /// Whether rules of this change may be loaded in the kernel.
    pub fn may_be_loaded(self) -> bool {
        matches!(
            self,
            Self::Applying | Self::OnTrial | Self::Confirmed | Self::NotInForce
        )
    }
}

impl fmt::Display for ChangeState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Applying => "applying",
            Self::OnTrial => "on trial",
            Self::Confirmed => "confirmed",
            Self::RolledBack => "rolled back",
            Self::FellBack => "fell back",
            Self::Failed => "failed",
            Self::NotInForce => "not in force",
        })
    }
}

/// A plan that was applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Derived from the plan and the moment of `apply`.
    pub id: ChangeId,
    /// Its plan.
    pub plan: PlanId,
    /// The host it was made on.
    pub host: String,
    /// The firewall system that it stands in.
    #[serde(default)]
    pub backend: BackendName,
    /// The port it closes.
    pub port: Port,
    /// Where it stands.
    pub state: ChangeState,
    /// When `apply` announced it.
    pub applied: Timestamp,
    /// Length of the trial in seconds; `None` when it was applied without one.
    pub trial_seconds: Option<u64>,
    /// When the kernel lets go, unless confirmed.
    pub trial_until: Option<Timestamp>,
    /// The same by the clock of the host that counts from its start; `None` where that did not tell.
    #[serde(default)]
    pub trial_ends: Option<UpTime>,
    /// When it came to its present state.
    pub since: Timestamp,
    /// Who applied it.
    pub actor: String,
    /// Why it was done outside the maintenance windows, if it was.
    pub emergency: Option<String>,
    /// Fingerprint of its rules as the kernel held them right after loading: whoever changes them changes it.
    #[serde(default)]
    pub fingerprint: Option<Digest>,
    /// The remote session that `apply` ran in, if any, as `client port server port`: `confirm` must come over another.
    pub session: Option<String>,
    /// The steps, in the order in which they were taken.
    pub steps: Vec<StepRecord>,
}

/// One step of a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepRecord {
    /// Name of the step, e.g. `load`.
    pub step: String,
    /// When it ended.
    pub at: Timestamp,
    /// Whether it did what it should.
    pub done: bool,
    /// What it found, in plain words.
    pub outcome: String,
}

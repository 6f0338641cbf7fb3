//! A change from plan to end: plan, apply, confirm, rollback, and what became of changes that nobody looked after.

mod apply;
mod approve;
mod confirm;
mod facts;
mod instruct;
mod kept;
mod lasting;
mod live;
pub(crate) mod moment;
mod plan;
pub mod rehearse;
mod rollback;
pub(crate) mod sweep;
pub mod watch;

pub use apply::{ApplyRequest, apply};
pub use approve::{NAMESPACE as APPROVAL_NAMESPACE, approve, to_sign};
pub use confirm::{Confirmed, confirm};
pub use instruct::{InstructRequest, instruct};
pub use plan::{PlanRequest, Planned, plan};
pub use rollback::{RolledBack, rollback, rollback_unrecorded};
pub use sweep::{Changes, Standing, changes};

use std::time::Duration;

use portcullis_firewall::{backend, own::Own};
use portcullis_model::{Change, ChangeState, StepRecord};
use portcullis_sys::{Machine, SysError, lock::Lock};

use crate::{Desk, OpsError};

/// The tag under which a change stands in the kernel.
fn tag_of(change: &Change) -> String {
    change.id.short()
}

/// What the audit record calls a change.
fn subject_of(change: &Change) -> String {
    format!("change {} host {} {}", change.id, change.host, change.port)
}

/// Takes the lock, and waits a moment for one who holds it only to look.
fn lock_soon(machine: &Machine) -> Result<Lock, OpsError> {
    for _ in 0..20 {
        match machine.lock() {
            Err(SysError::Locked) => std::thread::sleep(Duration::from_millis(50)),
            taken => return taken.map_err(OpsError::System),
        }
    }
    machine.lock().map_err(OpsError::System)
}

/// Takes one change out of the ruleset, and with the last one what it stood in.
fn remove(machine: &Machine, own: &Own, tag: &str) -> Result<(), OpsError> {
    match own.changes.get(tag) {
        Some(loaded) => loaded
            .removal
            .run_all("change", machine)
            .map_err(OpsError::Firewall),
        None => Ok(()),
    }
}

impl Desk {
    /// What stands in the firewall of this host that Portcullis has made.
    pub(crate) fn own(&self) -> Result<Own, OpsError> {
        backend::own(&self.machine).map_err(OpsError::Firewall)
    }

    /// Notes a step of a change, and where the change stands after it.
    async fn step(
        &self,
        change: &mut Change,
        state: ChangeState,
        step: &str,
        done: bool,
        outcome: String,
    ) -> Result<(), OpsError> {
        let at = (self.now)();
        if change.state != state {
            (change.state, change.since) = (state, at);
        }
        change.steps.push(StepRecord {
            step: step.into(),
            at,
            done,
            outcome,
        });
        self.store.save_change(change).await.map_err(OpsError::Store)
    }
}

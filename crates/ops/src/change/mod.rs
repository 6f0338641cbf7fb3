//! A change from plan to end: plan, apply, confirm, rollback, and what became of changes that nobody looked after.

mod apply;
mod confirm;
mod plan;
mod rollback;
pub(crate) mod sweep;

pub use apply::{ApplyRequest, apply};
pub use confirm::{Confirmed, confirm};
pub use plan::{PlanRequest, Planned, plan};
pub use rollback::{RolledBack, rollback, rollback_unrecorded};
pub use sweep::{Changes, Standing, changes};

use std::time::Duration;

use portcullis_firewall::nftables::{self, OwnTable};
use portcullis_model::{Change, ChangeState, StepRecord};
use portcullis_sys::{SysError, lock::Lock};

use crate::{Desk, OpsError};

/// The tag under which a change stands in the kernel.
fn tag_of(change: &Change) -> String {
    change.id.short()
}

/// What the audit record calls a change.
fn subject_of(change: &Change) -> String {
    format!("change {} host {} {}", change.id, change.host, change.port)
}

fn lock() -> Result<Lock, OpsError> {
    Lock::take().map_err(OpsError::System)
}

/// Takes the lock, and waits a moment for one who holds it only to look.
fn lock_soon() -> Result<Lock, OpsError> {
    for _ in 0..20 {
        match Lock::take() {
            Err(SysError::Locked) => std::thread::sleep(Duration::from_millis(50)),
            taken => return taken.map_err(OpsError::System),
        }
    }
    lock()
}

fn own_table() -> Result<OwnTable, OpsError> {
    Ok(nftables::read().map_err(OpsError::Firewall)?.own)
}

/// Takes one change out of the kernel, and the table with it when it was the last.
fn remove(own: &OwnTable, tag: &str) -> Result<(), OpsError> {
    let Some(loaded) = own.changes.get(tag) else {
        return Ok(());
    };
    // With something of somebody else in it, the table stays and only what is ours goes.
    let is_last = own.changes.len() == 1 && own.strangers.is_empty();
    nftables::load(&nftables::Transaction::remove(loaded, is_last)).map_err(OpsError::Firewall)
}

impl Desk {
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

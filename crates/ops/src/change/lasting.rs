//! Making a confirmed change outlast a restart of the host.

use portcullis_firewall::{
    backend::{self, Lasting},
    boot::{self, Keeper, Unit},
    own::Loaded,
};
use portcullis_model::{Change, ChangeState};

use crate::{Desk, OpsError};

/// The step as it is recorded.
const STEP: &str = "persist";

/// Whether it was tried for a change, with whatever outcome. A `confirm` that was killed before is made up for by the
/// next command.
pub(super) fn is_tried(change: &Change) -> bool {
    change.steps.iter().any(|step| step.step == STEP)
}

/// Puts what the kernel holds of a confirmed change where it is loaded again at boot, and notes what came of it.
pub(super) async fn install(desk: &Desk, change: &mut Change, held: &Loaded) -> Result<(), OpsError> {
    let closing = held.closing(change.port);
    let tag = &closing.tag;
    let (place, acts) = match backend::of(change.backend).lasting(&closing) {
        Lasting::OwnPlace { place, put } => (place, put),
        Lasting::Script(_) if Keeper::on(&desk.machine).map_err(OpsError::Firewall)? == Keeper::Nobody => {
            let outcome = "systemd does not run here: it holds until the host restarts".to_owned();
            return desk
                .step(change, ChangeState::Confirmed, STEP, false, outcome)
                .await;
        }
        Lasting::Script(script) => {
            let acts = boot::install(change.backend, tag, script);
            (Unit(change.backend).name(), acts)
        }
    };
    let (done, outcome) = match acts.run("keep", &desk.machine) {
        Ok(()) => (true, format!("{place} loads it again at every start")),
        Err(error) => (false, format!("it holds until the host restarts: {error}")),
    };
    desk.step(change, ChangeState::Confirmed, STEP, done, outcome)
        .await
}

/// Takes away what would load a change again, before its rules go: killed in between, it is closed until the host
/// restarts or the next rollback, and never comes back after that.
pub(super) fn remove(
    machine: &portcullis_sys::Machine,
    backend: portcullis_model::BackendName,
    tag: &str,
) -> Result<(), OpsError> {
    let failed = OpsError::Firewall;
    if let Some(forget) = backend::of(backend).forget(tag) {
        return forget.run("change", machine).map(|_| ()).map_err(failed);
    }
    if boot::is_installed(backend, tag, machine).map_err(failed)? {
        boot::remove(backend, tag)
            .run("change", machine)
            .map_err(failed)?;
    }
    Ok(())
}

//! Making a confirmed change outlast a restart of the host.

use portcullis_firewall::{
    boot::{self, Keeper, Unit},
    closing::Closing,
    own::Loaded,
};
use portcullis_model::{Change, ChangeState};

use super::tag_of;
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
    let closing = Closing {
        behind: held.behind.clone(),
        outgoing_peers: held.outgoing_peers.clone(),
        ..Closing::new(&tag_of(change), change.port, held.allow.clone())
    };
    let (done, outcome) = match (boot::install(change.backend, &closing), Keeper::on(&desk.machine)) {
        (None, _) => (true, format!("{} itself keeps it over a restart", change.backend)),
        (Some(_), Keeper::Nobody) => (
            false,
            "systemd does not run here: it holds until the host restarts".to_owned(),
        ),
        (Some(acts), Keeper::Systemd) => match acts.run("keep", &desk.machine) {
            Ok(()) => (
                true,
                format!("{} loads it again at every start", Unit(change.backend).name()),
            ),
            Err(error) => (false, format!("it holds until the host restarts: {error}")),
        },
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
    if boot::is_installed(backend, tag, machine).map_err(OpsError::Firewall)? {
        boot::remove(backend, tag)
            .run("change", machine)
            .map_err(OpsError::Firewall)?;
    }
    Ok(())
}

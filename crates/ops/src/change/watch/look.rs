//! How the changes stand now: the sweep's word, and the kernel's alone when the store takes no writes.

use portcullis_firewall::own::Own;
use portcullis_model::{Change, ChangeState};

use tokio::time::Instant;

use super::decide::Stand;
use crate::{
    Desk, OpsError,
    change::{moment::Moment, sweep, tag_of},
};

/// How the changes stand, and what kept that from being written down.
pub(super) struct Looked {
    pub(super) stands: Vec<Stand>,
    pub(super) trouble: Option<OpsError>,
    /// When the next trial is over.
    pub(super) next_end: Option<Instant>,
}

/// Brings the store to the kernel's word and tells how the changes stand. The lock must be held; `touches` is false when
/// it is not to be had, and then nothing is written or cleared away.
///
/// # Errors
/// When the ruleset or the store cannot be read.
pub(super) async fn look(desk: &Desk, touches: bool) -> Result<Looked, OpsError> {
    let (own, trouble) = if touches {
        match sweep::sweep_locked(desk).await {
            Ok(own) => (own, None),
            // A full disk must not hide that the rules are gone.
            Err(error) => (desk.own()?, Some(error)),
        }
    } else {
        (desk.own()?, None)
    };
    let swept = touches && trouble.is_none();
    let changes = desk
        .store
        .changes(Some(&desk.host))
        .await
        .map_err(OpsError::Store)?;
    let now = Moment::now(desk);
    let on_trial = changes
        .iter()
        .filter(|change| matches!(change.state, ChangeState::OnTrial | ChangeState::Applying));
    Ok(Looked {
        next_end: on_trial
            .filter_map(|change| now.left(change))
            .min()
            .map(|left| Instant::now() + left.try_into().unwrap_or_default()),
        // What came first is told first.
        stands: changes
            .iter()
            .rev()
            .map(|change| stand(&now, change, &own, swept))
            .collect(),
        trouble,
    })
}

fn stand(now: &Moment, change: &Change, own: &Own, swept: bool) -> Stand {
    let loaded = own.changes.get(&tag_of(change));
    let corrected = if swept {
        None
    } else {
        sweep::correction(change, loaded, &own.faults, now)
    };
    let last = change.steps.last().map(|step| step.outcome.as_str());
    let (state, mut why) = match corrected {
        Some((state, outcome)) => (state, outcome.to_owned()),
        None => (change.state, last.unwrap_or_default().to_owned()),
    };
    if let (ChangeState::NotInForce, Some(loaded)) = (state, loaded) {
        let alterations = sweep::alterations(change, loaded, &own.faults, now);
        if !alterations.is_empty() {
            why = format!("{why} ({})", alterations.join("; "));
        }
    }
    Stand {
        change: change.id,
        port: change.port,
        state,
        held: loaded.map(|loaded| loaded.fingerprint),
        why,
    }
}

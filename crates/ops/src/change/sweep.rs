//! Holding the store's word about changes against the kernel's, and clearing away what ended trials leave.
//!
//! The kernel lets go of a trial by itself; what remains is a rule that matches nothing. The next command that may
//! change the firewall removes it, so that the ruleset is again what it was.

use std::time::Duration;

use portcullis_firewall::nftables::{self, Loaded, OwnTable, Transaction};
use portcullis_model::{Change, ChangeState};
use portcullis_sys::{SysError, lock::Lock};
use serde::Serialize;
use serde_json::json;

use super::{lock, own_table, remove, tag_of};
use crate::{Desk, OpsError};

/// A change, and what the kernel says of it now.
#[derive(Debug, Clone, Serialize)]
pub struct Standing {
    /// The change as recorded.
    #[serde(flatten)]
    pub change: Change,
    /// Seconds until the kernel lets go, for one on trial.
    pub seconds_left: Option<u64>,
    /// Packets that its drop rule has dropped, as far as the kernel was asked.
    pub dropped_packets: Option<u64>,
}

/// All changes of this host, newest first, each held against the kernel when that may be read. The second value says
/// why the kernel could not be asked.
///
/// # Errors
/// When the store cannot be read.
pub async fn changes(desk: &Desk) -> Result<(Vec<Standing>, Option<OpsError>), OpsError> {
    let asked = match Lock::take() {
        Ok(_held) => sweep_locked(desk).await,
        // Somebody is changing something now: look, but do not touch.
        Err(SysError::Locked) => own_table(),
        Err(error) => Err(OpsError::System(error)),
    };
    let (own, silent) = match asked {
        Ok(own) => (own, None),
        Err(error) => (OwnTable::default(), Some(error)),
    };
    let changes = desk
        .store
        .changes(Some(&desk.host))
        .await
        .map_err(OpsError::Store)?;
    let standing = |change: Change| {
        let loaded = own.changes.get(&tag_of(&change));
        Standing {
            seconds_left: loaded
                .and_then(|loaded| loaded.expires)
                .as_ref()
                .map(Duration::as_secs),
            dropped_packets: loaded.map(|loaded| loaded.dropped_packets),
            change,
        }
    };
    Ok((changes.into_iter().map(standing).collect(), silent))
}

/// Takes the lock and sweeps.
pub(crate) async fn sweep(desk: &Desk) -> Result<(), OpsError> {
    let _lock = lock()?;
    sweep_locked(desk).await.map(|_| ())
}

/// Brings store and kernel to the same word, and returns our table as it is afterwards. The lock must be held.
pub(super) async fn sweep_locked(desk: &Desk) -> Result<OwnTable, OpsError> {
    let own = own_table()?;
    let changes = desk
        .store
        .changes(Some(&desk.host))
        .await
        .map_err(OpsError::Store)?;
    for mut change in changes {
        let loaded = own.changes.get(&tag_of(&change));
        // One that is over counts as well when the kernel holds it: an `nft` may outlive the `apply` that started it.
        if !change.state.may_be_loaded() && loaded.is_none() {
            continue;
        }
        if let Some((state, outcome)) = correction(&change, loaded) {
            if state == ChangeState::FellBack {
                let subject = format!("change {} host {} {}", change.id, change.host, change.port);
                desk.record("change.fell-back", subject, json!({ "found": (desk.now)() }))
                    .await?;
            }
            desk.step(
                &mut change,
                state,
                "compare with the kernel",
                true,
                outcome.into(),
            )
            .await?;
        }
    }
    clear_away(own)
}

/// Where a change really stands, when the store says something else.
fn correction(change: &Change, loaded: Option<&Loaded>) -> Option<(ChangeState, &'static str)> {
    let in_force = loaded.and_then(|loaded| loaded.port.map(|_| loaded.expires.is_some()));
    let (state, outcome) = match (change.state, in_force) {
        (ChangeState::Applying, None) if loaded.is_none() => {
            (ChangeState::Failed, "it was announced and never came into force")
        }
        (ChangeState::Applying | ChangeState::OnTrial, None) => (
            ChangeState::FellBack,
            "it was not confirmed in time: the kernel has let go",
        ),
        (ChangeState::Confirmed, None) => (
            ChangeState::NotInForce,
            "somebody or something removed its rules: the port is open",
        ),
        (_, Some(true)) => (ChangeState::OnTrial, "the kernel holds it for a limited time"),
        (_, Some(false)) => (ChangeState::Confirmed, "the kernel holds it without a time limit"),
        (state, None) => (state, ""),
    };
    (state != change.state).then_some((state, outcome))
}

/// Removes the rules of ended trials, and the table when nothing else is in it.
fn clear_away(mut own: OwnTable) -> Result<OwnTable, OpsError> {
    let ended: Vec<String> = own
        .changes
        .values()
        .filter(|loaded| loaded.port.is_none())
        .map(|loaded| loaded.tag.clone())
        .collect();
    for tag in ended {
        remove(&own, &tag)?;
        own.changes.remove(&tag);
    }
    if own.present && own.changes.is_empty() {
        own = own_table()?;
        // Without a change, whatever stands in our table is a remnant.
        if own.present && own.changes.is_empty() {
            nftables::load(&Transaction::remove(&Loaded::default(), true)).map_err(OpsError::Firewall)?;
            own = OwnTable::default();
        }
    }
    Ok(own)
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_model::{ChangeId, PlanId, Port};

    fn change(state: ChangeState) -> Change {
        Change {
            id: ChangeId::of(&[]),
            plan: PlanId::of(&[]),
            host: "h".into(),
            port: Port::tcp(54321),
            state,
            applied: jiff::Timestamp::UNIX_EPOCH,
            trial_seconds: Some(60),
            trial_until: None,
            since: jiff::Timestamp::UNIX_EPOCH,
            actor: "ola".into(),
            emergency: None,
            session: None,
            steps: Vec::new(),
        }
    }

    #[test]
    fn the_kernel_s_word_counts() {
        let held = |expires| Loaded {
            port: Some(Port::tcp(54321)),
            expires,
            ..Loaded::default()
        };
        let trial = held(Some(Duration::from_secs(9)));
        let kept = held(None);
        let let_go = Loaded::default();
        use ChangeState::{Applying, Confirmed, Failed, FellBack, NotInForce, OnTrial};
        for (state, loaded, expected) in [
            (Applying, None, Some(Failed)),
            (Applying, Some(&trial), Some(OnTrial)),
            (Applying, Some(&let_go), Some(FellBack)),
            (OnTrial, Some(&trial), None),
            (OnTrial, Some(&let_go), Some(FellBack)),
            (OnTrial, None, Some(FellBack)),
            (OnTrial, Some(&kept), Some(Confirmed)),
            (Confirmed, Some(&kept), None),
            (Confirmed, None, Some(NotInForce)),
            (NotInForce, None, None),
            (NotInForce, Some(&kept), Some(Confirmed)),
            (Failed, Some(&trial), Some(OnTrial)),
            (Failed, Some(&let_go), None),
        ] {
            let found = correction(&change(state), loaded).map(|(state, _)| state);
            assert_eq!(found, expected, "{state} with {loaded:?}");
        }
    }
}

//! Keeping a change that is on trial.

use portcullis_firewall::{
    FirewallError,
    nftables::{self, Transaction},
};
use portcullis_model::{Change, ChangeState};
use serde_json::json;

use super::{lock, own_table, plan, subject_of, sweep, tag_of};
use crate::{Desk, OpsError};

/// Confirms a change: from now on it holds until it is rolled back.
///
/// # Errors
/// When it is not on trial any more, or when the session is the one that applied it.
pub async fn confirm(desk: &Desk, prefix: &str) -> Result<Change, OpsError> {
    let _lock = lock()?;
    sweep::sweep_locked(desk).await?;
    let mut change = desk.store.change(prefix).await.map_err(OpsError::Store)?;
    let tag = tag_of(&change);
    if change.host != desk.host {
        return Err(OpsError::OtherHost {
            plan: tag,
            wanted: change.host,
            here: desk.host.clone(),
        });
    }
    if change.state == ChangeState::FellBack {
        return Err(OpsError::Firewall(FirewallError::TrialOver(change.port)));
    }
    if change.state != ChangeState::OnTrial {
        return Err(OpsError::WrongState {
            change: tag,
            state: change.state,
            verb: "confirmed",
        });
    }
    let session = plan::session()?;
    if change.session.is_some() && change.session == session {
        return Err(OpsError::SameSession);
    }
    desk.record(
        "change.confirm",
        subject_of(&change),
        json!({ "session": session }),
    )
    .await?;
    let loaded = nftables::load(&Transaction::confirm(&tag, change.port));
    let held = own_table()?.changes.get(&tag).cloned();
    match held {
        Some(held) if loaded.is_ok() && held.port == Some(change.port) && held.expires.is_none() => {
            let outcome = "the kernel holds it without a time limit".to_owned();
            desk.step(&mut change, ChangeState::Confirmed, "confirm", true, outcome)
                .await?;
            Ok(change)
        }
        // Between the look and the deed the kernel let go: the transaction as a whole was then refused.
        Some(held) if held.port.is_none() => {
            sweep::sweep_locked(desk).await?;
            Err(OpsError::Firewall(FirewallError::TrialOver(change.port)))
        }
        _ => {
            let error = loaded
                .err()
                .unwrap_or(FirewallError::ReadBack("the trial still runs".into()));
            desk.step(
                &mut change,
                ChangeState::OnTrial,
                "confirm",
                false,
                error.to_string(),
            )
            .await?;
            Err(OpsError::Firewall(error))
        }
    }
}

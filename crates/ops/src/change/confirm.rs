//! Keeping a change that is on trial.

use jiff::SignedDuration;
use portcullis_firewall::{FirewallError, backend, closing::Closing, own::Loaded, state};
use portcullis_model::{Change, ChangeState, NetworkSet};
use serde_json::json;

use super::{lasting, lock_soon, moment::Moment, subject_of, sweep, tag_of};
use crate::{Desk, OpsError, Stop};

/// A change that was confirmed.
#[derive(Debug)]
pub struct Confirmed {
    /// The change.
    pub change: Change,
    /// Whether the rest of the ruleset is still the one that the plan was made for; `None` when that plan is gone.
    pub rest_as_planned: Option<bool>,
}

/// Confirms a change: from now on it holds until it is rolled back, also over a restart where systemd runs.
///
/// # Errors
/// When it is not on trial any more, or when the session is the one that applied it.
pub async fn confirm(desk: &Desk, prefix: &str, stop: &Stop) -> Result<Confirmed, OpsError> {
    let _lock = lock_soon(&desk.machine)?;
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
    if *stop.borrow() {
        return Err(OpsError::Interrupted);
    }
    let session = desk.machine.survey().map_err(OpsError::System)?.session;
    if change.session.is_some() && change.session == session {
        return Err(OpsError::SameSession);
    }
    desk.record(
        "change.confirm",
        subject_of(&change),
        json!({ "session": session }),
    )
    .await?;
    desk.step(
        &mut change,
        ChangeState::OnTrial,
        sweep::CONFIRM,
        true,
        "the kernel is to hold it without a time limit".into(),
    )
    .await?;
    let closing = match desk.own()?.changes.get(&tag) {
        Some(held) => held.closing(change.port),
        None => Closing::new(&tag, change.port, NetworkSet::default()),
    };
    let loaded = backend::of(change.backend)
        .keep(&closing)
        .run("change", &desk.machine);
    let held = desk.own()?.changes.get(&tag).cloned();
    match held {
        Some(held) if loaded.is_ok() && is_kept(&change, &held) => {
            let outcome = "the kernel holds it without a time limit".to_owned();
            desk.step(&mut change, ChangeState::Confirmed, "confirm", true, outcome)
                .await?;
            lasting::install(desk, &mut change, &held).await?;
            let planned = desk.store.plan(&change.plan.to_string()).await.ok();
            let rest_as_planned = match planned {
                Some(plan) => state::read(&desk.machine, &[], &[])
                    .ok()
                    .map(|now| now.foreign == plan.ruleset),
                None => None,
            };
            Ok(Confirmed {
                change,
                rest_as_planned,
            })
        }
        // Between the look and the deed the kernel let go: the transaction as a whole was then refused.
        held if held.as_ref().is_none_or(|held| held.port.is_none()) && over(desk, &change) => {
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

/// Whether the kernel holds the change as it was loaded, and without a time limit.
fn is_kept(change: &Change, held: &Loaded) -> bool {
    let same = change
        .fingerprint
        .is_none_or(|fingerprint| fingerprint == held.fingerprint);
    same && held.port == Some(change.port) && held.expires.is_none()
}

/// Whether the time of a trial has come.
fn over(desk: &Desk, change: &Change) -> bool {
    let left = Moment::now(desk).left(change);
    left.is_none_or(|left| left <= SignedDuration::from_secs(2))
}

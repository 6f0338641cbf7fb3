//! Applying a plan: always on trial, with the kernel itself as the dead man's switch.

use std::time::Duration;

use portcullis_firewall::{
    FirewallError,
    backend::{self, DeadMan},
    closing::Closing,
    plan::closing,
};
use portcullis_model::{Change, ChangeId, ChangeState, MaintenanceWindow, Plan};
use serde_json::json;

use super::{
    approve,
    facts::{Facts, Wanted},
    kept::{self, Kept, Listening},
    live, lock_soon,
    moment::Moment,
    remove, subject_of, sweep, tag_of,
};
use crate::{Desk, OpsError, Stop, error::next_opening};

/// What is to be applied, and how.
#[derive(Debug, Clone)]
pub struct ApplyRequest {
    /// Beginning of the plan's id.
    pub plan: String,
    /// How long the kernel holds it without a confirmation.
    pub trial: Duration,
    /// Why it cannot wait for a maintenance window.
    pub emergency: Option<String>,
}

pub(super) const SHORTEST_TRIAL: Duration = Duration::from_secs(5);
pub(super) const LONGEST_TRIAL: Duration = Duration::from_secs(24 * 3600);

/// The plan as it would be made now, and the session that it was read in.
struct Compared {
    plan: Plan,
    session: Option<String>,
}

/// Applies a plan. When it returns an error, the ruleset is as it was.
///
/// The steps, each recorded: read, compare, announce (audit record), load, read back, look at the connections that were
/// up and at those of `[keep]`.
///
/// # Errors
/// Not approved where the site wants it, outside the windows, for another host, when the ruleset is not the one that the plan was made for, when it would
/// lock somebody out, when `nft` refuses, when another change is being made, when the operator stops it.
pub async fn apply(desk: &Desk, request: &ApplyRequest, stop: &Stop) -> Result<Change, OpsError> {
    if !(SHORTEST_TRIAL..=LONGEST_TRIAL).contains(&request.trial) {
        return Err(OpsError::TrialLength);
    }
    let plan = desk.store.plan(&request.plan).await.map_err(OpsError::Store)?;
    if plan.host != desk.host {
        return Err(OpsError::OtherHost {
            plan: plan.id.short(),
            wanted: plan.host,
            here: desk.host.clone(),
        });
    }
    if plan.site != desk.site.as_ref().map(|site| site.digest) {
        return Err(OpsError::OtherSite {
            plan: plan.id.short(),
        });
    }
    approve::asked_for(desk, &plan).await?;
    window(desk, request.emergency.as_deref())?;
    let _lock = lock_soon(&desk.machine)?;
    sweep::sweep_locked(desk).await?;
    // It takes seconds: between the comparison and the loading there must be none.
    let kept = kept::ask(desk).await?;
    let Compared {
        plan: current,
        session,
    } = compare(desk, &plan)?;

    let mut change = announce(desk, request, &plan, session).await?;
    let tag = tag_of(&change);
    if *stop.borrow() {
        let outcome = "stopped by the operator before loading".to_owned();
        desk.step(&mut change, ChangeState::Failed, "load", false, outcome)
            .await?;
        return Err(OpsError::Interrupted);
    }
    let closing = closing(&current, &tag);
    let acts = backend::of(plan.backend).load(&closing, Some(request.trial), &desk.own()?);
    Moment::now(desk).begin_trial(&mut change, request.trial);
    if let Err(error) = acts.run("change", &desk.machine) {
        // One that did not answer may have done it all the same.
        let taken_back = desk.own().and_then(|own| remove(&desk.machine, &own, &tag));
        let state = match taken_back {
            Ok(()) => ChangeState::Failed,
            Err(_) => ChangeState::Applying,
        };
        desk.step(&mut change, state, "load", false, error.to_string())
            .await?;
        return Err(match taken_back {
            Ok(()) => OpsError::Firewall(error),
            Err(_) => OpsError::MayBeLoaded {
                change: tag,
                until: change.trial_until,
                source: Box::new(error),
            },
        });
    }
    Moment::now(desk).begin_trial(&mut change, request.trial);
    let loaded = Loaded {
        plan: &current,
        closing: &closing,
        trial: request.trial,
        kept,
    };
    match in_force(desk, &mut change, loaded, stop).await {
        Ok(()) => Ok(change),
        Err(error) => {
            // Whatever went wrong, an `apply` that ends with an error leaves nothing in the kernel. Should even this
            // fail, the trial ends by itself.
            let taken_back = desk.own().and_then(|own| remove(&desk.machine, &own, &tag));
            if let (Err(OpsError::Firewall(source)), until) = (taken_back, change.trial_until) {
                return Err(OpsError::MayBeLoaded {
                    change: tag,
                    until,
                    source: Box::new(source),
                });
            }
            // A store that takes no writes is what may have failed in the first place.
            let _ = desk
                .step(
                    &mut change,
                    ChangeState::Failed,
                    "take back",
                    true,
                    error.to_string(),
                )
                .await;
            Err(error)
        }
    }
}

/// What was loaded, and who was heard before.
struct Loaded<'a> {
    plan: &'a Plan,
    closing: &'a Closing,
    trial: Duration,
    kept: Kept,
}

/// After loading: notes it, reads back, holds it against what was to be loaded, and listens to those who must get through.
async fn in_force(desk: &Desk, change: &mut Change, loaded: Loaded<'_>, stop: &Stop) -> Result<(), OpsError> {
    let Loaded {
        plan,
        closing,
        trial,
        kept,
    } = loaded;
    let who = match backend::of(change.backend).dead_man() {
        DeadMan::Kernel => "the kernel lets go",
        DeadMan::Guard => "its guard takes it back",
    };
    let outcome = format!("in force for {} s, then {who}", trial.as_secs());
    desk.step(change, ChangeState::OnTrial, "load", true, outcome)
        .await?;
    let own = desk.own()?;
    let mut differences = own.faults.clone();
    match own.changes.get(&closing.tag) {
        Some(loaded) => differences.extend(loaded.differences(closing)),
        None => differences.push("it is not there".into()),
    }
    if !differences.is_empty() {
        return Err(OpsError::Firewall(FirewallError::ReadBack(
            differences.join("; "),
        )));
    }
    change.fingerprint = own.changes.get(&closing.tag).map(|loaded| loaded.fingerprint);
    let outcome = "the kernel holds what was loaded".to_owned();
    desk.step(change, ChangeState::OnTrial, "read back", true, outcome)
        .await?;
    let listening = Listening::begin(desk, kept);
    live::look(desk, change, plan).await?;
    listening.end(desk, change).await?;
    if *stop.borrow() {
        Err(OpsError::TakenBack)
    } else {
        Ok(())
    }
}

/// Refuses outside the maintenance windows, unless it is an emergency. A site without windows sets no limit.
fn window(desk: &Desk, emergency: Option<&str>) -> Result<(), OpsError> {
    if let Some(reason) = emergency {
        return if reason.trim().is_empty() {
            Err(OpsError::EmptyReason)
        } else {
            Ok(())
        };
    }
    let windows: &[MaintenanceWindow] = desk.site.as_ref().map_or(&[], |site| &site.windows);
    let now = (desk.now)();
    if windows.is_empty() || windows.iter().any(|window| window.is_open(now)) {
        return Ok(());
    }
    let next = windows
        .iter()
        .filter_map(|window| Some((window.name.clone(), window.next_opening(now)?)));
    Err(OpsError::OutsideWindow {
        next: next_opening(next.min_by_key(|(_, at)| *at)),
    })
}

/// Reads everything again and plans the same closing anew: the ruleset must be the one of the plan, and nobody may be
/// locked out who has come since. What the new plan says of live connections is what counts for the rules.
fn compare(desk: &Desk, plan: &Plan) -> Result<Compared, OpsError> {
    let facts = Facts::read(desk)?;
    if facts.snapshot.foreign != plan.ruleset {
        let stale = FirewallError::Stale {
            expected: plan.ruleset,
            found: facts.snapshot.foreign,
        };
        return Err(OpsError::Firewall(stale));
    }
    Ok(Compared {
        session: facts.survey.session.clone(),
        plan: planned_anew(desk, plan, facts)?,
    })
}

/// What a plan would be if it were made now. It is refused where it would lock somebody out who has come since.
pub(super) fn planned_anew(desk: &Desk, plan: &Plan, facts: Facts) -> Result<Plan, OpsError> {
    let wanted = Wanted {
        port: plan.close,
        behind: plan.behind.clone(),
        allow: plan.allow.clone(),
        exposure: plan.exposure,
        // Whether something listens was judged when the plan was made.
        preventive: true,
        backend: (plan.backend, String::new()),
    };
    facts.plan(desk, wanted)
}

/// Writes down what is about to happen, before it happens.
async fn announce(
    desk: &Desk,
    request: &ApplyRequest,
    plan: &Plan,
    session: Option<String>,
) -> Result<Change, OpsError> {
    let now = (desk.now)();
    let mut change = Change {
        id: ChangeId::of(&[plan.id.to_string().as_bytes(), now.to_string().as_bytes()]),
        plan: plan.id,
        host: desk.host.clone(),
        backend: plan.backend,
        port: plan.close,
        state: ChangeState::Applying,
        applied: now,
        trial_seconds: Some(request.trial.as_secs()),
        trial_until: None,
        trial_ends: None,
        since: now,
        actor: desk.actor.clone(),
        emergency: request.emergency.clone(),
        fingerprint: None,
        session,
        steps: Vec::new(),
    };
    let details = json!({
        "plan": plan.id,
        "allow": plan.allowed_networks(),
        "trial_seconds": request.trial.as_secs(),
        "emergency": request.emergency,
        "ruleset": plan.ruleset,
    });
    desk.record("change.apply", subject_of(&change), details).await?;
    let outcome = format!("the ruleset is the one of plan {}", plan.id.short());
    desk.step(&mut change, ChangeState::Applying, "compare", true, outcome)
        .await?;
    Ok(change)
}

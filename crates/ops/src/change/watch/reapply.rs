//! Putting back what somebody altered or removed: the same closing, in one transaction and without a trial, for it was
//! proved and confirmed before. It is planned anew first, so that nobody is locked out who must get in.

use jiff::{SignedDuration, Timestamp};
use portcullis_firewall::{
    FirewallError,
    act::{Act, Acts},
    backend,
    closing::Closing,
    own::Own,
    plan::closing,
};
use portcullis_model::{BackendName, Change, ChangeId, ChangeState, Doer, StepRecord};
use serde_json::json;

use crate::{
    Desk, OpsError,
    change::{apply, facts::Facts, lock_soon, subject_of, sweep, tag_of},
};

/// How often one change is put back within [`SPAN`]; then somebody means it, and two programs would only take turns.
pub(super) const MOST: usize = 3;
const SPAN: SignedDuration = SignedDuration::from_mins(10);
const STEP: &str = "apply again";

/// How it went.
pub(super) enum Attempt {
    /// It is in force again, so.
    Done(Change),
    /// It has been put back so often that it is left alone.
    GaveUp(Change),
    /// There is nothing to put back: a person has decided otherwise meanwhile.
    Moot,
}

/// Puts a change back.
///
/// # Errors
/// When it would lock somebody out, when strangers stand in our table, when `nft` refuses, when another portcullis is at
/// work, when it cannot be recorded.
pub(super) async fn reapply(desk: &Desk, id: ChangeId, by: &[Doer]) -> Result<Attempt, OpsError> {
    let _lock = lock_soon(&desk.machine)?;
    let beside = sweep::sweep_locked(desk).await?;
    let mut change = desk
        .store
        .change(&id.to_string())
        .await
        .map_err(OpsError::Store)?;
    if change.state != ChangeState::NotInForce || !sweep::was_confirmed(&change.steps) {
        return Ok(Attempt::Moot);
    }
    if attempts(&change.steps, (desk.now)()) >= MOST {
        let details = json!({ "attempts": MOST, "by": by });
        desk.record("change.give-up", subject_of(&change), details)
            .await?;
        return Ok(Attempt::GaveUp(change));
    }
    match put_back(desk, &mut change, beside, by).await {
        Ok(()) => Ok(Attempt::Done(change)),
        Err(error) => {
            let outcome = error.to_string();
            desk.step(&mut change, ChangeState::NotInForce, STEP, false, outcome)
                .await?;
            Err(error)
        }
    }
}

async fn put_back(desk: &Desk, change: &mut Change, mut beside: Own, by: &[Doer]) -> Result<(), OpsError> {
    let tag = tag_of(change);
    let remains = beside.changes.remove(&tag);
    let backend = backend::of(change.backend);
    let joins = beside.any_of(change.backend);
    // What is wrong with the table itself can only be mended by making it anew, which is not ours to do beside others.
    if joins && !beside.faults.is_empty() {
        let faults = beside.faults.join("; ");
        return Err(OpsError::Firewall(FirewallError::ReadBack(faults)));
    }
    let closing = planned_anew(desk, change, &tag).await?;
    let load = backend.load(&closing, None, &beside);
    let acts = match remains {
        // In nftables the first change makes the frame anew, whatever stands there.
        Some(remains) if joins || change.backend != BackendName::Nftables => {
            one_transaction(remains.removal, load)
        }
        _ => load,
    };
    let details = json!({ "plan": change.plan, "allow": closing.allow, "after": by });
    desk.record("change.apply-again", subject_of(change), details)
        .await?;
    acts.run("change", &desk.machine).map_err(OpsError::Firewall)?;
    let held = desk.own()?;
    let mut differences = held.faults.clone();
    let fingerprint = match held.changes.get(&tag) {
        Some(loaded) => {
            differences.extend(loaded.differences(&closing));
            // In a table that was not made anew, something else in it may decide.
            let same = change
                .fingerprint
                .is_none_or(|before| before == loaded.fingerprint);
            if joins && !same && closing.outgoing_peers.is_empty() {
                differences.push("the table that it stands in is not as it was".into());
            }
            Some(loaded.fingerprint)
        }
        None => {
            differences.push("it is not there".into());
            None
        }
    };
    if !differences.is_empty() {
        let differences = differences.join("; ");
        return Err(OpsError::Firewall(FirewallError::ReadBack(differences)));
    }
    change.fingerprint = fingerprint;
    let outcome = "the kernel holds again what was confirmed".to_owned();
    desk.step(change, ChangeState::Confirmed, STEP, true, outcome)
        .await
}

/// The closing as it would be planned now. That the rest of the ruleset is another one than it was is no reason against
/// it: whoever flushed ours flushed that as well.
async fn planned_anew(desk: &Desk, change: &Change, tag: &str) -> Result<Closing, OpsError> {
    let plan = desk
        .store
        .plan(&change.plan.to_string())
        .await
        .map_err(OpsError::Store)?;
    let mut facts = Facts::read(desk)?;
    // What is left of it does not stand in its own way.
    facts.snapshot.own.changes.remove(tag);
    let anew = apply::planned_anew(desk, &plan, facts)?;
    Ok(closing(&anew, tag))
}

/// Removing what is left and loading anew, without a moment between where a backend reads scripts.
fn one_transaction(removal: Acts, load: Acts) -> Acts {
    match (removal.0.as_slice(), load.0.as_slice()) {
        ([out], [into])
            if out.program == into.program
                && out.arguments == into.arguments
                && !out.stdin.is_empty()
                && !into.stdin.is_empty() =>
        {
            Acts(vec![Act {
                stdin: format!("{}\n{}", out.stdin, into.stdin),
                ..into.clone()
            }])
        }
        _ => Acts(removal.0.into_iter().chain(load.0).collect()),
    }
}

/// How often it was put back of late, as its own record says: a watch that was started anew counts on.
fn attempts(steps: &[StepRecord], now: Timestamp) -> usize {
    let of_late = |step: &&StepRecord| step.step == STEP && step.at + SPAN > now;
    steps.iter().filter(of_late).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(name: &str, second: i64, done: bool) -> StepRecord {
        StepRecord {
            step: name.into(),
            at: Timestamp::UNIX_EPOCH + SignedDuration::from_secs(second),
            done,
            outcome: String::new(),
        }
    }

    #[test]
    fn only_what_a_person_confirmed_is_put_back_and_attempts_are_forgotten_in_time() {
        let mut steps = vec![step("load", 0, true), step("confirm", 5, false)];
        assert!(!sweep::was_confirmed(&steps));
        steps.push(step("confirm", 9, true));
        assert!(sweep::was_confirmed(&steps));
        steps.extend([step(STEP, 10, true), step(STEP, 20, false), step(STEP, 400, true)]);
        let after = |second| attempts(&steps, Timestamp::UNIX_EPOCH + SignedDuration::from_secs(second));
        assert_eq!((after(500), after(615), after(800), after(1100)), (3, 2, 1, 0));
    }

    #[test]
    fn scripts_of_one_program_become_one_transaction_and_others_stay_apart() {
        let script = |text: &str| Acts(vec![Act::reading("nft", &["-f", "-"], text.into())]);
        let both = one_transaction(script("delete chain a b"), script("add chain a b"));
        assert_eq!(both, script("delete chain a b\nadd chain a b"));
        let apart = one_transaction(Act::new("iptables", &["-D", "x"]).into(), script("add chain a b"));
        assert_eq!(apart.0.len(), 2);
    }
}

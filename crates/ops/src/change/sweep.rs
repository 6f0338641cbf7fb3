//! Holding the store's word about changes against the kernel's, and clearing away what ended trials leave.
//!
//! The kernel lets go of a trial by itself; what remains is a rule that matches nothing. The next command that may
//! change the firewall removes it, so that the ruleset is again what it was.

use std::time::Duration;

use jiff::SignedDuration;
use portcullis_firewall::{
    backend::{self, DeadMan},
    own::{Loaded, Own},
};
use portcullis_model::{Change, ChangeState, Port, StepRecord};
use portcullis_sys::SysError;
use serde::Serialize;
use serde_json::json;

use super::{lasting, lock_soon, moment::Moment, remove, subject_of, tag_of};
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

/// What is known of the changes of this host.
#[derive(Debug)]
pub struct Changes {
    /// Those that the store knows, newest first, each held against the kernel when that may be read.
    pub recorded: Vec<Standing>,
    /// Those that the kernel holds and the store does not know: tag and port.
    pub unrecorded: Vec<(String, Option<Port>)>,
    /// What is not as Portcullis makes it in its own table.
    pub faults: Vec<String>,
    /// Whether somebody else held the lock, so that store and kernel were not brought to the same word.
    pub busy: bool,
    /// Why the kernel could not be asked.
    pub silent: Option<OpsError>,
}

/// All changes of this host.
///
/// # Errors
/// When the store cannot be read.
pub async fn changes(desk: &Desk) -> Result<Changes, OpsError> {
    let (asked, busy) = match lock_soon(&desk.machine) {
        Ok(_held) => (sweep_locked(desk).await, false),
        // Somebody is changing something now: look, but do not touch.
        Err(OpsError::System(SysError::Locked)) => (desk.own(), true),
        Err(error) => (Err(error), false),
    };
    let (own, silent) = match asked {
        Ok(own) => (own, None),
        Err(error) => (Own::default(), Some(error)),
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
    let recorded: Vec<Standing> = changes.into_iter().map(standing).collect();
    let known: Vec<String> = recorded.iter().map(|standing| tag_of(&standing.change)).collect();
    let unknown = own.changes.values().filter(|loaded| !known.contains(&loaded.tag));
    let unrecorded = unknown.map(|loaded| (loaded.tag.clone(), loaded.port)).collect();
    let strangers = own
        .strangers
        .iter()
        .map(|stranger| format!("Portcullis did not make {stranger}"));
    let faults = own.faults.iter().cloned().chain(strangers).collect();
    Ok(Changes {
        recorded,
        unrecorded,
        faults,
        busy,
        silent,
    })
}

/// Takes the lock and sweeps.
pub(crate) async fn sweep(desk: &Desk) -> Result<(), OpsError> {
    let _lock = lock_soon(&desk.machine)?;
    sweep_locked(desk).await.map(|_| ())
}

/// Brings store and kernel to the same word, and returns our table as it is afterwards. The lock must be held.
pub(super) async fn sweep_locked(desk: &Desk) -> Result<Own, OpsError> {
    // What is left of a trial is told while it is read, which may take seconds.
    let now = Moment::now(desk);
    let mut own = desk.own()?;
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
        if let Some((state, outcome)) = loaded.and_then(|loaded| by_halves(&change, loaded)) {
            remove(&desk.machine, &own, &tag_of(&change))?;
            desk.step(
                &mut change,
                state,
                "compare with the kernel",
                true,
                outcome.into(),
            )
            .await?;
            own = desk.own()?;
            continue;
        }
        if let Some((state, outcome)) = correction(&change, loaded, &own.faults, &now) {
            if state == ChangeState::FellBack {
                let details = json!({ "let_go": now.let_go(&change), "noticed": (desk.now)() });
                desk.record("change.fell-back", subject_of(&change), details)
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
            // Where its rules still stand, it was closed until now.
            if let (ChangeState::FellBack, Some(let_go), None) = (state, now.let_go(&change), loaded) {
                change.since = let_go;
                desk.store.save_change(&change).await.map_err(OpsError::Store)?;
            }
        }
        // The `confirm` was killed between its two steps.
        if let (ChangeState::Confirmed, Some(held)) = (change.state, loaded)
            && !lasting::is_tried(&change)
        {
            lasting::install(desk, &mut change, held).await?;
        }
    }
    clear_away(desk, own)
}

/// Where a change stands once it is gone that a killed command has left by halves: most firewall systems take many rules one
/// after the other.
fn by_halves(change: &Change, loaded: &Loaded) -> Option<(ChangeState, &'static str)> {
    let is_whole = loaded.damage.is_empty()
        && change
            .fingerprint
            .is_none_or(|fingerprint| fingerprint == loaded.fingerprint);
    if is_whole {
        return None;
    }
    if change.state == ChangeState::Applying {
        // It was never told to be in force, and what was loaded is not known yet.
        return (!loaded.damage.is_empty())
            .then_some((ChangeState::Failed, "it was made by halves and is taken back"));
    }
    if is_announced(change, ROLLBACK) {
        return Some((
            ChangeState::RolledBack,
            "its rollback was stopped half way, and is finished now",
        ));
    }
    // While it has a time limit, its guard takes it back.
    (is_announced(change, CONFIRM) && loaded.expires.is_none()).then_some((
        ChangeState::FellBack,
        "its confirmation was stopped half way: it is open as before",
    ))
}

/// Where a change really stands, when the store says something else. `faults` are those of the whole table.
pub(super) fn correction(
    change: &Change,
    loaded: Option<&Loaded>,
    faults: &[String],
    now: &Moment,
) -> Option<(ChangeState, &'static str)> {
    let damaged = loaded.is_some_and(|loaded| !alterations(change, loaded, faults, now).is_empty());
    let in_force = loaded.and_then(|loaded| loaded.port.map(|_| loaded.expires.is_some()));
    let unlimited = in_force == Some(false) && !is_to_stay(change);
    let before_its_time = now.left(change).is_some_and(|left| left > CLOCK_GRACE);
    let removed = (
        ChangeState::NotInForce,
        "somebody or something removed its rules: the port is open",
    );
    let (state, outcome) = match (change.state, in_force) {
        // Its confirmation was killed half way, and its time limit still holds.
        (ChangeState::OnTrial, Some(true)) if is_announced(change, CONFIRM) => return None,
        (_, Some(_)) if damaged && !unlimited => (
            ChangeState::NotInForce,
            "somebody changed its rules: whether the port is closed cannot be concluded",
        ),
        (ChangeState::Applying, None) if loaded.is_none() => {
            (ChangeState::Failed, "it was announced and never came into force")
        }
        (ChangeState::OnTrial, None) if before_its_time && !is_announced(change, ROLLBACK) => removed,
        (_, None) if loaded.is_none() && is_announced(change, ROLLBACK) => (
            ChangeState::RolledBack,
            "its rollback was stopped after its rules were gone",
        ),
        (ChangeState::Applying | ChangeState::OnTrial, None) if loaded.is_some() && is_guarded(change) => (
            ChangeState::FellBack,
            "it was not confirmed in time, and its guard was gone: it was closed until now",
        ),
        (ChangeState::Applying | ChangeState::OnTrial, None) if now.is_restarted(change) => (
            ChangeState::FellBack,
            "the host was started anew during the trial: it is open as before",
        ),
        (ChangeState::Applying | ChangeState::OnTrial, None) => (
            ChangeState::FellBack,
            "it was not confirmed in time: it is open as before",
        ),
        (ChangeState::Confirmed, None) => removed,
        (_, Some(false)) if !is_to_stay(change) => (
            ChangeState::NotInForce,
            "somebody took its time limit away, and nobody has confirmed it: roll it back",
        ),
        (_, Some(true)) => (ChangeState::OnTrial, "the kernel holds it for a limited time"),
        (_, Some(false)) => (ChangeState::Confirmed, "the kernel holds it without a time limit"),
        (state, None) => (state, ""),
    };
    (state != change.state).then_some((state, outcome))
}

/// Steps that are noted before they are taken, so that a command that was killed in between is made up for.
pub(super) const CONFIRM: &str = "announce the confirmation";
pub(super) const ROLLBACK: &str = "announce the rollback";

/// Whether a step was announced and nothing was noted after it.
fn is_announced(change: &Change, step: &str) -> bool {
    change.steps.last().is_some_and(|last| last.step == step)
}

/// Whether it may stand without a time limit: a person has confirmed it, or was about to when the command was killed. A
/// confirmation that has failed counts for nothing.
fn is_to_stay(change: &Change) -> bool {
    let mut steps = change.steps.iter().rev();
    let last = steps.find(|step| step.step == CONFIRM || step.step == "confirm");
    change.state == ChangeState::Confirmed
        || was_confirmed(&change.steps)
        || last.is_some_and(|step| step.step == CONFIRM)
}

fn is_guarded(change: &Change) -> bool {
    backend::of(change.backend).dead_man() == DeadMan::Guard
}

/// The kernel counts the time in its own ticks.
const CLOCK_GRACE: SignedDuration = SignedDuration::from_secs(2);

/// Whether a person has confirmed it: a trial is never put back.
pub(super) fn was_confirmed(steps: &[StepRecord]) -> bool {
    steps.iter().any(|step| step.step == "confirm" && step.done)
}

/// What is not as it was loaded, in plain words.
pub(crate) fn alterations(change: &Change, loaded: &Loaded, faults: &[String], now: &Moment) -> Vec<String> {
    let mut alterations: Vec<String> = faults.to_vec();
    alterations.extend(loaded.damage.iter().cloned());
    let kept = change.state == ChangeState::Confirmed || was_confirmed(&change.steps);
    if loaded.port.is_some() && loaded.expires.is_none() && !is_to_stay(change) {
        alterations.push("somebody took its time limit away, and nobody has confirmed it".into());
    }
    if kept && loaded.expires.is_some() {
        alterations.push("it was confirmed, and somebody gave it a time limit".into());
    }
    if change
        .fingerprint
        .is_some_and(|fingerprint| loaded.port.is_some() && fingerprint != loaded.fingerprint)
    {
        alterations.push("its rules or sets are not those that were loaded".into());
    }
    let left = loaded
        .expires
        .and_then(|left| SignedDuration::try_from(left).ok());
    if let (Some(left), Some(meant)) = (left, now.left(change))
        && !left.is_zero()
        && left > meant + CLOCK_GRACE
    {
        alterations.push("its trial was made longer".into());
    }
    alterations
}

/// Removes the rules of ended trials, and the frame when nothing else stands in it.
fn clear_away(desk: &Desk, mut own: Own) -> Result<Own, OpsError> {
    let ended: Vec<String> = own
        .changes
        .values()
        .filter(|loaded| loaded.port.is_none())
        .map(|loaded| loaded.tag.clone())
        .collect();
    for tag in ended {
        remove(&desk.machine, &own, &tag)?;
        // What takes the next one away depends on what is left.
        own = desk.own()?;
    }
    if let Some(remnant) = &own.remnant {
        remnant.run("change", &desk.machine).map_err(OpsError::Firewall)?;
        own.remnant = None;
    }
    Ok(own)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::change::moment::tests::at;
    use portcullis_model::{BackendName, ChangeId, Digest, PlanId};

    pub(crate) fn change(state: ChangeState) -> Change {
        Change {
            id: ChangeId::of(&[]),
            plan: PlanId::of(&[]),
            host: "h".into(),
            backend: BackendName::Nftables,
            port: Port::tcp(54321),
            state,
            applied: jiff::Timestamp::UNIX_EPOCH,
            trial_seconds: Some(60),
            trial_until: Some(jiff::Timestamp::UNIX_EPOCH + SignedDuration::from_secs(60)),
            trial_ends: None,
            since: jiff::Timestamp::UNIX_EPOCH,
            actor: "ola".into(),
            emergency: None,
            fingerprint: None,
            session: None,
            steps: Vec::new(),
        }
    }

    #[test]
    fn the_kernel_s_word_counts() {
        let held = |expires| Loaded {
            port: Some(Port::tcp(54321)),
            expires,
            ..Loaded::named("", BackendName::Nftables)
        };
        let opened = Loaded {
            damage: vec!["no rules lead to it".into()],
            ..held(None)
        };
        let longer = held(Some(Duration::from_secs(9000)));
        let trial = held(Some(Duration::from_secs(9)));
        let kept = held(None);
        let let_go = Loaded::named("", BackendName::Nftables);
        let (now, after) = (at(51), at(61));
        use ChangeState::{Applying, Confirmed, Failed, FellBack, NotInForce, OnTrial};
        for (state, loaded, expected) in [
            (Applying, None, Some(Failed)),
            (Applying, Some(&trial), Some(OnTrial)),
            (OnTrial, Some(&trial), None),
            (OnTrial, Some(&longer), Some(NotInForce)),
            (OnTrial, Some(&let_go), Some(NotInForce)),
            (OnTrial, None, Some(NotInForce)),
            (OnTrial, Some(&kept), Some(NotInForce)),
            (Confirmed, Some(&trial), Some(NotInForce)),
            (Confirmed, Some(&kept), None),
            (Confirmed, None, Some(NotInForce)),
            (NotInForce, None, None),
            (NotInForce, Some(&kept), None),
            (Failed, Some(&trial), Some(OnTrial)),
            (Failed, Some(&let_go), None),
            (Confirmed, Some(&opened), Some(NotInForce)),
            (OnTrial, Some(&opened), Some(NotInForce)),
        ] {
            let found = correction(&change(state), loaded, &[], &now).map(|(state, _)| state);
            assert_eq!(found, expected, "{state} with {loaded:?}");
        }
        for loaded in [Some(&let_go), None] {
            let found = correction(&change(OnTrial), loaded, &[], &after).map(|(state, _)| state);
            assert_eq!(found, Some(FellBack), "after its time with {loaded:?}");
        }
        let announced = |state, step: &str| Change {
            steps: vec![StepRecord {
                step: step.into(),
                at: jiff::Timestamp::UNIX_EPOCH,
                done: true,
                outcome: String::new(),
            }],
            ..change(state)
        };
        for (change, loaded, expected) in [
            (announced(OnTrial, CONFIRM), Some(&kept), Confirmed),
            (announced(NotInForce, "confirm"), Some(&kept), Confirmed),
            (announced(OnTrial, ROLLBACK), None, ChangeState::RolledBack),
            (announced(Confirmed, ROLLBACK), None, ChangeState::RolledBack),
        ] {
            let found = correction(&change, loaded, &[], &now).map(|(state, _)| state);
            assert_eq!(found, Some(expected));
        }
        let mut half = held(None);
        half.damage = vec!["some of its rules are missing".into()];
        let half_on_trial = Loaded {
            damage: half.damage.clone(),
            ..held(Some(Duration::from_secs(5)))
        };
        let rolled_back = by_halves(&announced(Confirmed, ROLLBACK), &half).map(|(state, _)| state);
        assert_eq!(rolled_back, Some(ChangeState::RolledBack));
        let confirming = announced(OnTrial, CONFIRM);
        assert_eq!(
            by_halves(&confirming, &half).map(|(state, _)| state),
            Some(FellBack)
        );
        assert_eq!(by_halves(&confirming, &half_on_trial), None, "its guard is there");
        assert_eq!(correction(&confirming, Some(&half_on_trial), &[], &now), None);
        assert_eq!(by_halves(&confirming, &kept), None, "it is whole");
        let altered_by_others = [
            change(Confirmed),
            announced(Confirmed, "confirm"),
            change(OnTrial),
        ];
        for whole in altered_by_others {
            assert_eq!(
                by_halves(&whole, &half),
                None,
                "nobody was at it but somebody else"
            );
        }
        let mut failed = announced(OnTrial, CONFIRM);
        failed.steps.push(StepRecord {
            step: "confirm".into(),
            done: false,
            ..failed.steps[0].clone()
        });
        let found = correction(&failed, Some(&kept), &[], &now).map(|(state, _)| state);
        assert_eq!(found, Some(NotInForce), "its confirmation had failed");
        let mut recorded = change(Confirmed);
        recorded.fingerprint = Some(Digest::of("as loaded"));
        let found = correction(&recorded, Some(&kept), &[], &now).map(|(state, _)| state);
        assert_eq!(found, Some(NotInForce), "other rules than those that were loaded");
    }
}

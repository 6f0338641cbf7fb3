//! Taking a change back. What the kernel holds is what counts: neither a lost store, nor a full disk, nor a changed host
//! name may keep a change in force.

use portcullis_firewall::{
    FirewallError, backend,
    own::{Loaded, Own},
};
use portcullis_model::{Change, ChangeState};
use portcullis_sys::{Machine, ssh::Target};
use serde_json::json;

use super::{lasting, lock_soon, remove, subject_of, sweep, tag_of};
use crate::{Desk, OpsError, Stop};

/// A change that was taken back.
#[derive(Debug)]
pub struct RolledBack {
    /// Its tag.
    pub tag: String,
    /// What became of the table, in plain words.
    pub outcome: String,
    /// The change as recorded, if the store knows it and took the record.
    pub change: Option<Change>,
    /// Why it could not be recorded, if it could not.
    pub not_recorded: Option<OpsError>,
}

/// Takes a change out of the kernel. Only what belongs to it goes. It is announced in the audit record if that takes
/// writes, and taken back if not.
///
/// # Errors
/// When it is not in force, or `nft` refuses.
pub async fn rollback(desk: &Desk, prefix: &str, stop: &Stop) -> Result<RolledBack, OpsError> {
    let _lock = lock_soon(&desk.machine)?;
    let own = desk.own()?;
    let mut known = desk.store.change(prefix).await;
    // What the store knows by this id goes before what the kernel's shorter tags could stand for.
    let tag = match &known {
        Ok(change) => own.changes.get(&tag_of(change)).map(|loaded| loaded.tag.clone()),
        Err(_) => match tag_in(&own, prefix) {
            Some(tag) if prefix.len() > tag.len() && desk.store.change(&tag).await.is_ok() => None,
            tag => tag,
        },
    };
    if *stop.borrow() {
        return Err(OpsError::Interrupted);
    }
    let Some(tag) = tag else {
        // Not in the kernel: then the store says why.
        sweep::sweep_locked(desk).await?;
        let change = known.map_err(OpsError::Store)?;
        if change.host != desk.host {
            let (plan, wanted) = (format!("change {}", tag_of(&change)), change.host);
            return Err(OpsError::OtherHost {
                plan,
                wanted,
                here: desk.host.clone(),
            });
        }
        let change = desk.store.change(prefix).await.map_err(OpsError::Store)?;
        return match change.state {
            ChangeState::NotInForce => {
                lasting::remove(&desk.machine, change.backend, &tag_of(&change))?;
                finish(desk, change, "there was nothing left of it".into()).await
            }
            state => Err(OpsError::WrongState {
                change: tag_of(&change),
                state,
                verb: "rolled back",
            }),
        };
    };
    let announced = match &mut known {
        Ok(change) => announce(desk, change).await,
        Err(_) => {
            let subject = format!("change {tag} host {}, not known to this store", desk.host);
            desk.record("change.rollback", subject, json!({})).await
        }
    };
    let outcome = take_out(&desk.machine, &own, &tag)?;
    match (known, announced) {
        (Ok(change), Ok(())) => finish(desk, change, outcome).await,
        (_, announced) => Ok(RolledBack {
            tag,
            outcome,
            change: None,
            not_recorded: announced.err(),
        }),
    }
}

/// Writes down that a change is about to be taken out.
async fn announce(desk: &Desk, change: &mut Change) -> Result<(), OpsError> {
    let was = change.state;
    desk.record("change.rollback", subject_of(change), json!({ "was": was }))
        .await?;
    let outcome = "its rules are to go".to_owned();
    desk.step(change, was, sweep::ROLLBACK, true, outcome).await
}

/// Takes a change out of the kernel of this or another host when there is no store to work with.
///
/// # Errors
/// When the kernel holds no such change, `nft` refuses, or the other host cannot be reached.
pub fn rollback_unrecorded(
    prefix: &str,
    host: Option<Target>,
    why: OpsError,
) -> Result<RolledBack, OpsError> {
    let machine = Machine::at(host).map_err(OpsError::System)?;
    let _lock = lock_soon(&machine)?;
    let own = backend::own(&machine).map_err(OpsError::Firewall)?;
    let Some(tag) = tag_in(&own, prefix) else {
        return Err(why);
    };
    let outcome = take_out(&machine, &own, &tag)?;
    Ok(RolledBack {
        tag,
        outcome,
        change: None,
        not_recorded: Some(why),
    })
}

async fn finish(desk: &Desk, mut change: Change, outcome: String) -> Result<RolledBack, OpsError> {
    let recorded = desk
        .step(
            &mut change,
            ChangeState::RolledBack,
            "rollback",
            true,
            outcome.clone(),
        )
        .await;
    Ok(RolledBack {
        tag: tag_of(&change),
        outcome,
        change: Some(change),
        not_recorded: recorded.err(),
    })
}

/// The one change in the kernel whose tag this names: the tag itself, the beginning of it, or a whole id that begins
/// with it.
fn tag_in(own: &Own, prefix: &str) -> Option<String> {
    let is_id =
        (4..=16).contains(&prefix.len()) && prefix.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let names = |loaded: &&Loaded| loaded.tag.starts_with(prefix) || prefix.starts_with(&loaded.tag);
    let mut matching = own.changes.values().filter(|_| is_id).filter(names);
    match (matching.next(), matching.next()) {
        (Some(loaded), None) => Some(loaded.tag.clone()),
        _ => None,
    }
}

fn take_out(machine: &Machine, own: &Own, tag: &str) -> Result<String, OpsError> {
    if let Some(loaded) = own.changes.get(tag) {
        lasting::remove(machine, loaded.backend, tag)?;
    }
    remove(machine, own, tag)?;
    let after = backend::own(machine).map_err(OpsError::Firewall)?;
    if after.changes.contains_key(tag) {
        return Err(OpsError::Firewall(FirewallError::ReadBack(
            "it is still there".into(),
        )));
    }
    Ok(if !after.strangers.is_empty() {
        let strangers = after.strangers.join(", ");
        format!("its rules are gone; what others have put into the table of Portcullis stays: {strangers}")
    } else if after.changes.is_empty() {
        "its rules are gone, and nothing of Portcullis is left in the ruleset".to_owned()
    } else {
        "its rules are gone; those of other changes stay".to_owned()
    })
}

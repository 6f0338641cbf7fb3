//! Taking a change back.

use portcullis_firewall::{FirewallError, nftables};
use portcullis_model::{Change, ChangeState};
use serde_json::json;

use super::{lock, own_table, remove, sweep, tag_of};
use crate::{Desk, OpsError};

/// Takes a change out of the kernel. Only what belongs to it goes.
///
/// # Errors
/// When it is not in force, or `nft` refuses.
pub async fn rollback(desk: &Desk, prefix: &str) -> Result<Change, OpsError> {
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
    if !change.state.may_be_loaded() {
        return Err(OpsError::WrongState {
            change: tag,
            state: change.state,
            verb: "rolled back",
        });
    }
    let subject = format!("change {} host {} {}", change.id, change.host, change.port);
    desk.record("change.rollback", subject, json!({ "was": change.state }))
        .await?;
    remove(&own_table()?, &tag)?;
    let after = nftables::read().map_err(OpsError::Firewall)?;
    if after.own.changes.contains_key(&tag) {
        return Err(OpsError::Firewall(FirewallError::ReadBack(
            "it is still there".into(),
        )));
    }
    let outcome = if after.own.present {
        "its rules are gone; those of other changes stay".to_owned()
    } else {
        "its rules are gone, and the table with them".to_owned()
    };
    desk.step(&mut change, ChangeState::RolledBack, "rollback", true, outcome)
        .await?;
    Ok(change)
}

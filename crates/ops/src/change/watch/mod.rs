//! Watching that changes stay in force: whoever alters or removes their rules is named within a second, and what was
//! confirmed is put back where the policy says so.
//!
//! The kernel tells each transaction of nftables with the process that made it; only those that touch our table are a
//! reason to look. Beside that the generation of the ruleset is asked for every second, for the case that something was
//! not told. What is looked at is the whole word of the kernel, by the same sweep that every command begins with, so that
//! a change by Portcullis itself is known for what it is: the store knows of it when its lock is free again.

mod decide;
mod follow;
mod look;
mod reapply;
mod round;

use std::time::Duration;

pub use decide::{Alteration, What};

use crate::{Desk, OpsError, Stop};
use round::Round;

/// How to watch.
#[derive(Debug, Clone, Default)]
pub struct WatchRequest {
    /// How long; until it is stopped when not given.
    pub patience: Option<Duration>,
    /// Look once and end.
    pub once: bool,
    /// Whether confirmed changes that somebody altered or removed are put back. The site may ask for it as well.
    pub reapply: bool,
}

/// What is told while it is watched.
#[derive(Debug)]
pub enum Told {
    /// A change stands otherwise than before.
    Alteration(Box<Alteration>),
    /// The changes cannot be compared, or what was seen cannot be recorded. Told once for each cause.
    Trouble(OpsError),
    /// They can be compared again.
    Recovered,
}

/// What has been seen in the end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Watched {
    /// Whether a change was ever not in force.
    pub drift: bool,
    /// Whether there was a time in which nobody could tell.
    pub blind: bool,
}

/// Between two looks at the generation of the ruleset, and at the clock of a trial.
const TICK: Duration = Duration::from_secs(1);
/// The whole ruleset is read no more often than this, whatever happens in it.
const BETWEEN: Duration = Duration::from_millis(200);

/// Watches the changes of this host. It holds the firewall's lock only while it compares.
///
/// # Errors
/// Without CAP_NET_ADMIN, and when the changes cannot be compared at the beginning.
pub async fn watch(
    desk: &Desk,
    request: &WatchRequest,
    stop: &Stop,
    tell: &mut (dyn FnMut(Told) + Send),
) -> Result<Watched, OpsError> {
    let mut round = Round::begin(desk, request)?;
    while !round.compare(tell).await? && !*stop.borrow() {
        tokio::time::sleep(BETWEEN).await;
    }
    if request.once {
        return Ok(round.watched());
    }
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let end = async {
        match request.patience {
            Some(patience) => tokio::time::sleep(patience).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(end);
    let mut stopped = stop.clone();
    while !*stop.borrow() {
        let due = round.due();
        tokio::select! {
            // A sender that is gone will never say stop.
            Ok(()) = stopped.changed() => {}
            () = &mut end => break,
            () = round.hear() => {}
            () = until(due) => round.compare_and_put_back(tell).await,
            _ = tick.tick() => round.tick(),
        }
    }
    Ok(round.watched())
}

async fn until(due: Option<tokio::time::Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

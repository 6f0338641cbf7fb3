//! `portcullis apply`, `confirm`, `rollback`, `changes`

use std::fmt::Write as _;

use jiff::Timestamp;
use portcullis_model::{Change, Exit};
use portcullis_ops::change::{self, ApplyRequest, Standing};

use super::{Frame, Outcome, fault};
use crate::{
    arguments::{Apply, OfChange},
    output::{View, table},
    report,
};

pub(super) async fn apply(frame: &Frame<'_>, arguments: &Apply) -> Outcome {
    let request = ApplyRequest {
        plan: arguments.plan.clone(),
        trial: arguments.trial,
        emergency: arguments.emergency.clone(),
    };
    let change = change::apply(frame.desk, &request, &frame.stop)
        .await
        .map_err(fault)?;
    let mut text = steps(&change);
    let tag = change.id.short();
    let _ = write!(
        text,
        "{} is closed on trial until {} (UTC); unless it is confirmed the kernel lets go by itself.\n\
         Prove it:  portcullis verify {tag}\nKeep it:   portcullis confirm {tag}   (from a new connection)\n\
         Undo it:   portcullis rollback {tag}",
        change.port,
        change.trial_until.map_or_else(String::new, clock),
    );
    show(frame, text, &change);
    Ok(Exit::Clean)
}

pub(super) async fn confirm(frame: &Frame<'_>, arguments: &OfChange) -> Outcome {
    let change = change::confirm(frame.desk, &arguments.change)
        .await
        .map_err(fault)?;
    let text = format!(
        "Change {} is confirmed: {} stays closed until it is rolled back, the ruleset is flushed, or the host reboots.",
        change.id.short(),
        change.port
    );
    show(frame, text, &change);
    Ok(Exit::Clean)
}

pub(super) async fn rollback(frame: &Frame<'_>, arguments: &OfChange) -> Outcome {
    let change = change::rollback(frame.desk, &arguments.change)
        .await
        .map_err(fault)?;
    let outcome = change.steps.last().map_or("", |step| step.outcome.as_str());
    let text = format!(
        "Change {} is rolled back: {} is as before; {outcome}.",
        change.id.short(),
        change.port
    );
    show(frame, text, &change);
    Ok(Exit::Clean)
}

pub(super) async fn list(frame: &Frame<'_>) -> Outcome {
    let (changes, silent) = change::changes(frame.desk).await.map_err(fault)?;
    View::text(listing(&changes))
        .all("change", &changes)
        .print(frame.format());
    match silent {
        Some(error) => {
            frame.say("The kernel could not be asked; what is listed is what was last known.");
            report::remark(&error);
            Ok(Exit::Partial)
        }
        None => Ok(Exit::Clean),
    }
}

fn show(frame: &Frame<'_>, text: String, change: &Change) {
    View::text(text).all("change", [change]).print(frame.format());
}

fn steps(change: &Change) -> String {
    let mut text = format!(
        "Change {} of plan {} on {}\n",
        change.id.short(),
        change.plan.short(),
        change.host
    );
    for step in &change.steps {
        let mark = if step.done { "done" } else { "FAILED" };
        let _ = writeln!(text, "  {mark:6} {}: {}", step.step, step.outcome);
    }
    text
}

fn listing(changes: &[Standing]) -> String {
    if changes.is_empty() {
        return "No change was ever made on this host with this store.".into();
    }
    let rows = changes.iter().map(|standing| {
        let change = &standing.change;
        let state = match standing.seconds_left {
            Some(seconds) => format!("{}, {seconds} s left", change.state),
            None => change.state.to_string(),
        };
        [
            change.id.short(),
            change.port.to_string(),
            state,
            clock(change.since),
            change.actor.clone(),
            standing
                .dropped_packets
                .map_or_else(|| "-".into(), |packets| packets.to_string()),
        ]
    });
    table(["change", "port", "state", "since (utc)", "by", "dropped"], rows)
}

fn clock(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

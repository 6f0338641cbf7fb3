//! `portcullis apply`, `confirm`, `rollback`, `changes`

use std::fmt::Write as _;

use jiff::Timestamp;
use portcullis_model::{Change, ChangeState, Exit};
use portcullis_ops::{
    Desk, Stop,
    change::{self, ApplyRequest, Changes, Standing},
};

use super::{Frame, Outcome, fault};
use crate::{
    arguments::{Apply, Global, OfChange, Rollback},
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
        "{} is closed on trial until {} (UTC); unless it is confirmed it is open again by itself.\n\
         Prove it:  portcullis verify {tag}\nKeep it:   portcullis confirm {tag}   (from a new connection)\n\
         Undo it:   portcullis rollback {tag}",
        change.port,
        change.trial_until.map_or_else(String::new, clock),
    );
    show(frame, text, &change)?;
    // It is in force, and a connection that was to be cut lives on.
    let whole = change.steps.iter().all(|step| step.done);
    Ok(if whole { Exit::Clean } else { Exit::Found })
}

pub(super) async fn confirm(frame: &Frame<'_>, arguments: &OfChange) -> Outcome {
    let confirmed = change::confirm(frame.desk, &arguments.change, &frame.stop)
        .await
        .map_err(fault)?;
    let change = confirmed.change;
    if confirmed.rest_as_planned == Some(false) {
        frame.say("The rest of the ruleset is no longer the one of the plan: run `portcullis verify` again.");
    }
    let lasting = change.steps.last();
    let text = format!(
        "Change {} is confirmed: {} stays closed until it is rolled back or somebody flushes the ruleset.\n\
         After a restart of the host: {}.",
        change.id.short(),
        change.port,
        lasting.map_or("not known", |step| step.outcome.as_str()),
    );
    show(frame, text, &change)
}

/// Takes a change back, also when the store cannot be opened: what the kernel holds is what counts.
pub(super) async fn rollback(global: &Global, store: &str, arguments: &Rollback, stop: &Stop) -> Outcome {
    // The site is not needed, and a mistake in it must not keep a change in force.
    let (prefix, host) = (&arguments.of.change, arguments.host.clone());
    let done = match Desk::open_existing(store).await {
        Ok(mut desk) => {
            match host {
                Some(target) => desk.go_to(target),
                None => desk.go_to_that_of(prefix).await,
            }
            .map_err(fault)?;
            change::rollback(&desk, prefix, stop).await
        }
        Err(error) => change::rollback_unrecorded(prefix, host, error),
    };
    let done = done.map_err(fault)?;
    let text = format!("Change {} is rolled back: {}.", done.tag, done.outcome);
    View::text(text)
        .all("change", &done.change)
        .print(global.format)?;
    match &done.not_recorded {
        None => Ok(Exit::Clean),
        Some(error) => {
            report::eprintln_all("The change is taken back, but that could not be recorded:");
            report::remark(error);
            Ok(Exit::Partial)
        }
    }
}

pub(super) async fn list(frame: &Frame<'_>) -> Outcome {
    let changes = change::changes(frame.desk).await.map_err(fault)?;
    let via = frame.desk.machine.via();
    View::text(listing(&changes, via.as_deref()))
        .all("change", &changes.recorded)
        .print(frame.format())?;
    if changes.busy {
        frame.say(
            "Somebody is at work on this firewall just now: how a change stands is as it was last known.",
        );
        return Ok(Exit::Partial);
    }
    match &changes.silent {
        Some(error) => {
            frame.say("The kernel could not be asked; what is listed is what was last known.");
            report::remark(error);
            Ok(Exit::Partial)
        }
        None => Ok(Exit::Clean),
    }
}

fn show(frame: &Frame<'_>, text: String, change: &Change) -> Outcome {
    View::text(text).all("change", [change]).print(frame.format())?;
    Ok(Exit::Clean)
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

fn listing(changes: &Changes, via: Option<&str>) -> String {
    let host = via.map(|via| format!(" --host {via}")).unwrap_or_default();
    let mut text = recorded(&changes.recorded);
    for (tag, port) in &changes.unrecorded {
        let port = port.map_or_else(|| "a port that it has let go of".into(), |port| port.to_string());
        let _ = write!(
            text,
            "\n\nThe kernel holds change {tag} for {port}, which this store does not know. To take it back: \
             `portcullis rollback {tag}{host}`"
        );
    }
    for standing in changes
        .recorded
        .iter()
        .filter(|one| one.change.state == ChangeState::NotInForce)
    {
        if let Some(step) = standing.change.steps.last() {
            let _ = write!(
                text,
                "\n\nChange {}: {}.",
                standing.change.id.short(),
                step.outcome
            );
        }
    }
    for fault in &changes.faults {
        let _ = write!(
            text,
            "\n\nAmong the rules of Portcullis: {fault}. Somebody else has changed it."
        );
    }
    text
}

fn recorded(changes: &[Standing]) -> String {
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

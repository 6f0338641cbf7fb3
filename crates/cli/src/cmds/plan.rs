//! `portcullis plan`

use std::fmt::Write as _;

use portcullis_firewall::{nftables::Transaction, plan::closing};
use portcullis_model::{Exit, Plan, StatePart};
use portcullis_ops::change::{self, PlanRequest};
use serde_json::json;

use super::{Frame, Outcome, fault};
use crate::{
    arguments,
    output::{View, table},
};

pub(super) async fn run(frame: &Frame<'_>, arguments: &arguments::Plan) -> Outcome {
    let request = PlanRequest {
        exposure: arguments.exposure.clone(),
        port: arguments.port,
        allow: arguments.allow.clone(),
        preventive: arguments.preventive,
    };
    let plan = change::plan(frame.desk, &request).await.map_err(fault)?;
    let mut view = View::text(text(&plan));
    let mut record = serde_json::to_value(&plan).unwrap_or_default();
    if let Some(record) = record.as_object_mut() {
        record.insert("apply".into(), json!(rules(&plan)));
        record.insert("inverse".into(), json!(INVERSE));
    }
    view.record("plan", &record);
    view.print(frame.format());
    Ok(Exit::Clean)
}

/// The tag is derived from the moment of `apply`, so a plan shows a stand-in for it.
const TAG: &str = "TAG";
const INVERSE: &str = "delete table inet portcullis\n";

fn rules(plan: &Plan) -> String {
    Transaction::load(
        &closing(plan, TAG),
        Some(std::time::Duration::from_secs(120)),
        false,
    )
    .to_string()
}

fn text(plan: &Plan) -> String {
    let mut text = format!(
        "Plan {}: close {} on {}\n",
        plan.id.short(),
        plan.close,
        plan.host
    );
    section(&mut text, "Still gets through");
    text.push_str("  this host itself, over loopback\n");
    for source in &plan.allow {
        let _ = writeln!(text, "  {}: {}", source.network, source.because);
    }
    section(&mut text, "Predicted");
    for prediction in &plan.predictions {
        let fate = if prediction.passes {
            "gets through"
        } else {
            "cut off"
        };
        let _ = writeln!(text, "  {}: {fate}", prediction.from);
    }
    section(&mut text, "Live connections");
    if plan.connections.is_empty() {
        text.push_str("  none\n");
    } else {
        let rows = plan.connections.iter().map(|live| {
            [
                format!("  {}", live.connection.peer),
                live.zone.clone().unwrap_or_else(|| "no zone".into()),
                if live.cut { "CUT".into() } else { "lives on".into() },
                live.because.clone(),
            ]
        });
        let _ = writeln!(text, "{}", table(["  peer", "zone", "fate", "because"], rows));
    }
    if !plan.notes.is_empty() {
        section(&mut text, "Review");
        for note in &plan.notes {
            let _ = writeln!(text, "  {}: {}", note.level, note.text);
        }
    }
    section(&mut text, "State before (kept with the plan)");
    let _ = writeln!(
        text,
        "  {}",
        plan.before.iter().map(shown_part).collect::<Vec<_>>().join(", ")
    );
    section(
        &mut text,
        "What is loaded, as one transaction (its inverse removes only these)",
    );
    for line in rules(plan).lines() {
        let _ = writeln!(text, "  {}", line.replace("inet portcullis ", ""));
    }
    let _ = write!(
        text,
        "\nNothing has been changed. To make it on trial: `portcullis apply {} --trial 2m`",
        plan.id.short()
    );
    text
}

fn section(text: &mut String, title: &str) {
    let _ = writeln!(text, "{title}:");
}

fn shown_part(part: &StatePart) -> String {
    if part.read {
        format!("{} {}", part.name, part.digest.short())
    } else {
        format!("{} not readable", part.name)
    }
}

//! `portcullis plan`

use std::fmt::Write as _;

use portcullis_model::{Exit, StatePart};
use portcullis_ops::change::{self, PlanRequest, Planned};
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
        backend: arguments.backend,
    };
    let planned = change::plan(frame.desk, &request).await.map_err(fault)?;
    let mut view = View::text(text(&planned));
    let mut record = serde_json::to_value(&planned.plan).unwrap_or_default();
    if let Some(record) = record.as_object_mut() {
        record.insert("apply".into(), json!(planned.rules));
        record.insert("inverse".into(), json!(planned.inverse));
    }
    view.record("plan", &record);
    view.print(frame.format())?;
    Ok(Exit::Clean)
}

fn text(planned: &Planned) -> String {
    let plan = &planned.plan;
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
    section(&mut text, "What is loaded");
    rules(&mut text, &planned.rules);
    section(&mut text, "What takes it out again");
    rules(&mut text, &planned.inverse);
    let _ = write!(
        text,
        "\nNothing has been changed. To make it on trial: `portcullis apply {} --trial 2m`",
        plan.id.short()
    );
    text
}

fn rules(text: &mut String, rules: &str) {
    for line in rules.lines() {
        // What begins and ends a script that a tool reads is for a shell; people see the tool and its lines.
        let line = line.replace("inet portcullis ", "");
        match line.strip_suffix(" <<'END'") {
            Some(tool) => {
                let _ = writeln!(text, "  {tool}");
            }
            None if line.starts_with("# ") => {
                let _ = writeln!(text, "  {line}");
            }
            None if line != "END" => {
                let _ = writeln!(text, "    {line}");
            }
            None => {}
        }
    }
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

//! `portcullis plan`

use std::{fmt::Write as _, time::Duration};

use portcullis_firewall::dialect::Dialect;
use portcullis_model::{Effect, Exit, Fault, LiveConnection, Plan, StatePart};
use portcullis_ops::{
    Target,
    change::{
        self, InstructRequest, PlanRequest, Planned,
        rehearse::{self, Rehearsal},
    },
};
use serde_json::json;

use super::{
    Frame, Outcome, fault,
    reach::{heading, sources},
};
use crate::{
    arguments::{self, PlanHost},
    output::{View, table},
    progress::duration,
};

pub(super) async fn run(frame: &Frame<'_>, arguments: &arguments::Plan) -> Outcome {
    if let Some(dialect) = arguments.dialect {
        return instruct(frame, arguments, dialect).await;
    }
    let request = PlanRequest {
        exposure: arguments.exposure.clone(),
        port: arguments.port,
        behind: arguments.behind.clone(),
        allow: arguments.allow.clone(),
        except: arguments.except.clone(),
        preventive: arguments.preventive,
        backend: arguments.backend,
    };
    let planned = change::plan(frame.desk, &request).await.map_err(fault)?;
    let rehearsed = arguments
        .rehearse
        .then(|| rehearse::rehearse(frame.desk, &planned.plan));
    let rehearsal = rehearsed.as_ref().and_then(|rehearsed| rehearsed.as_ref().ok());
    let mut view = View::text(text(&planned, rehearsal));
    let mut record = serde_json::to_value(&planned.plan).unwrap_or_default();
    if let Some(record) = record.as_object_mut() {
        record.insert("apply".into(), json!(planned.rules));
        record.insert("inverse".into(), json!(planned.inverse));
        if let Some(rehearsal) = rehearsal {
            record.insert("rehearsal".into(), json!(rehearsal));
        }
    }
    view.record("plan", &record);
    view.print(frame.format())?;
    match rehearsed.transpose().map_err(fault)? {
        Some(rehearsal) if !rehearsal.against.is_empty() => Ok(Exit::Found),
        Some(rehearsal) if !rehearsal.not_concluded.is_empty() => Ok(Exit::Partial),
        _ => Ok(Exit::Clean),
    }
}

/// One of the processes of the copy.
pub(super) fn rehearsal(inside: bool) -> Outcome {
    let done = if inside {
        rehearse::perform()
    } else {
        rehearse::first_process()
    };
    Ok(if done.is_ok() { Exit::Clean } else { Exit::Failed })
}

fn rehearsal_text(rehearsal: &Rehearsal) -> String {
    let answer = |open: bool| if open { "answers" } else { "silent" };
    let rows = rehearsal.rows.iter().map(|row| {
        [
            format!("  {}", row.name),
            row.from.to_string(),
            row.to.to_string(),
            answer(row.before).to_owned(),
            answer(row.on_trial).to_owned(),
            answer(row.after).to_owned(),
        ]
    });
    let header = ["  for", "from", "to", "before", "on trial", "taken back"];
    let mut text = format!("{}\n", table(header, rows));
    for line in &rehearsal.not_concluded {
        let _ = writeln!(text, "  cannot conclude: {line}");
    }
    if rehearsal.against.is_empty() {
        text.push_str("  nothing against the plan; after the rollback the ruleset was the one before\n");
    } else {
        let against: Vec<String> = rehearsal
            .against
            .iter()
            .map(|line| format!("  NOT AS PLANNED: {line}\n"))
            .collect();
        text.push_str(&against.concat());
    }
    text
}

/// The other host that a plan is for, if it is for one.
pub(super) fn host(arguments: &arguments::Plan) -> Result<Option<Target>, Box<dyn Fault>> {
    let is_ssh = |host: &PlanHost| matches!(host, PlanHost::Ssh(_));
    let is_no_host = |host: &PlanHost| matches!(host, PlanHost::Address(address) if address.is_unspecified() || address.is_loopback() || address.is_multicast());
    match (arguments.dialect, arguments.host.as_slice()) {
        (Some(_), hosts) if hosts.iter().any(is_no_host) => Err(fault(WrongHost::NoHost)),
        (Some(_), hosts) if !hosts.iter().any(is_ssh) => Ok(None),
        (Some(_), _) => Err(fault(WrongHost::SshOfText)),
        (None, []) => Ok(None),
        (None, [PlanHost::Ssh(target)]) => Ok(Some(target.clone())),
        (None, [PlanHost::Address(_)]) => Err(fault(WrongHost::Address)),
        (None, _) => Err(fault(WrongHost::Several)),
    }
}

/// A host that a plan cannot be for.
#[derive(Debug, thiserror::Error)]
enum WrongHost {
    #[error("a text of --for is about addresses, and --host names a host by ssh")]
    SshOfText,
    #[error("--host is an address, which only a text of --for is about")]
    Address,
    #[error("--host is no address of a host behind the device")]
    NoHost,
    #[error("a plan is for one host")]
    Several,
}

impl Fault for WrongHost {
    fn code(&self) -> &'static str {
        "CL005"
    }
    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::SshOfText => {
                "give the address of each host whose port the text shall close: --host 10.7.10.10"
            }
            Self::Address => {
                "name the host to change as ssh://user@host, or the device to write a text for: --for DIALECT"
            }
            Self::NoHost => "give the address under which others reach the host: --host 10.7.10.10",
            Self::Several => "make a plan for each of them",
        };
        Some(hint.into())
    }
    fn exit(&self) -> Exit {
        Exit::Usage
    }
}

/// The text for a device that Portcullis does not drive.
async fn instruct(frame: &Frame<'_>, arguments: &arguments::Plan, dialect: Dialect) -> Outcome {
    let request = InstructRequest {
        dialect,
        exposure: arguments.exposure.clone(),
        port: arguments.port,
        allow: arguments.allow.clone(),
        except: arguments.except.clone(),
        assets: arguments
            .host
            .iter()
            .filter_map(|host| match host {
                PlanHost::Address(address) => Some(*address),
                PlanHost::Ssh(_) => None,
            })
            .collect(),
        trial: arguments.trial,
    };
    let document = change::instruct(frame.desk, &request).await.map_err(fault)?;
    let mut view = View::text(document.to_string().trim_end().to_owned());
    let sections = document.sections.iter().map(
        |section| json!({ "step": section.step.to_string(), "title": section.title, "text": section.text }),
    );
    let record = json!({
        "dialect": dialect.to_string(),
        "sections": sections.collect::<Vec<_>>(),
        "unverified": document.unverified,
    });
    view.record("instructions", &record);
    view.print(frame.format())?;
    Ok(Exit::Clean)
}

fn text(planned: &Planned, rehearsal: Option<&Rehearsal>) -> String {
    let plan = &planned.plan;
    let mut text = format!(
        "Plan {}: close {} {} {}{}\n",
        plan.id.short(),
        plan.close,
        where_closed(plan),
        plan.host,
        plan.via
            .as_ref()
            .map(|via| format!(" (over {via})"))
            .unwrap_or_default()
    );
    section(&mut text, "Still gets through");
    text.push_str(if plan.behind.is_empty() {
        "  this host itself, over loopback\n"
    } else {
        "  this host itself\n"
    });
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
    if !plan.effects.is_empty() {
        section(&mut text, "Of those who get through by the rules of today");
        for effect in &plan.effects {
            effect_lines(&mut text, effect);
        }
    }
    section(&mut text, "Live connections");
    if plan.connections.is_empty() {
        text.push_str("  none\n");
    } else {
        let rows = plan.connections.iter().map(|live| {
            [
                format!("  {}", live.connection.peer),
                live.zone.clone().unwrap_or_else(|| "no zone".into()),
                age(live),
                if live.cut { "CUT".into() } else { "lives on".into() },
                live.because.clone(),
            ]
        });
        let _ = writeln!(
            text,
            "{}",
            table(["  peer", "zone", "age", "fate", "because"], rows)
        );
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
    if let Some(rehearsal) = rehearsal {
        section(&mut text, "Rehearsed in a copy of this host");
        text.push_str(&rehearsal_text(rehearsal));
    }
    let _ = write!(
        text,
        "\nNothing has been changed. To make it on trial: `portcullis apply {} --trial 2m`",
        plan.id.short()
    );
    text
}

/// `on`, or which hosts behind the one whose name follows.
fn where_closed(plan: &Plan) -> String {
    let hosts: Vec<String> = plan.behind.iter().map(ToString::to_string).collect();
    match hosts.as_slice() {
        [] => "on".into(),
        hosts => format!("of {} behind", hosts.join(", ")),
    }
}

/// How old a connection is: as the connection tracker has it, or at least as long as its peer has been silent.
fn age(live: &LiveConnection) -> String {
    match (live.age_seconds, live.connection.silent_seconds) {
        (Some(seconds), _) => duration(Duration::from_secs(seconds)),
        (None, Some(seconds)) => format!("at least {}", duration(Duration::from_secs(seconds))),
        (None, None) => "not known".into(),
    }
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

fn effect_lines(text: &mut String, effect: &Effect) {
    let by = heading(effect.is_ipv4, &effect.interfaces, &[]);
    let parts = [
        ("stay", &effect.stay),
        ("shut out", &effect.shut_out),
        ("cannot conclude", &effect.unclear),
    ];
    let told = parts.iter().filter(|(_, networks)| !networks.is_empty());
    let told = told.map(|(word, networks)| {
        let networks = sources(networks.networks(), effect.is_ipv4, false);
        format!("{word}: {networks}")
    });
    let told: Vec<String> = told.collect();
    let told = match told.is_empty() {
        true => "nobody".to_owned(),
        false => told.join("; "),
    };
    let _ = writeln!(text, "  {by}: {told}");
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

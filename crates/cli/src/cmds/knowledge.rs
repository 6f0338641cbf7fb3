//! `portcullis knowledge`

use std::path::Path;

use portcullis_knowledge::{Hazard, Role, Service};
use portcullis_model::{Exit, Port, ServiceName};
use portcullis_ops::services::{self, Services};
use serde::Serialize;

use super::{Outcome, fault};
use crate::{
    arguments::{Global, Knowledge},
    output::{View, table},
};

pub(super) fn run(global: &Global, arguments: &Knowledge) -> Outcome {
    match arguments {
        Knowledge::Check { folder } => check(global, folder.as_deref().or(global.knowledge.as_deref())),
        Knowledge::List => list(global),
    }
}

/// What a check of service files says when there is nothing wrong with them.
#[derive(Serialize)]
struct Kept<'a> {
    folder: Option<&'a Path>,
    files: &'a [String],
    services: usize,
}

fn check(global: &Global, folder: Option<&Path>) -> Outcome {
    let Services { knowledge, own } = services::read(folder).map_err(fault)?;
    let all = knowledge.services().count();
    let text = match &own {
        Some(own) => format!(
            "{} service file(s) in {} keep the rules, among themselves and with the {} services built in.",
            own.files.len(),
            own.folder.display(),
            all - own.files.len()
        ),
        None => format!("The {all} services built in keep the rules. No folder was named."),
    };
    let kept = Kept {
        folder,
        files: own.as_ref().map_or(&[], |own| &own.files),
        services: all,
    };
    let mut view = View::text(text);
    view.record("knowledge-check", &kept);
    view.print(global.format)?;
    Ok(Exit::Clean)
}

/// A service as it is listed.
#[derive(Serialize)]
struct Listed<'a> {
    name: &'a ServiceName,
    title: &'a str,
    purpose: &'a str,
    maker: Option<&'a str>,
    role: Role,
    hazard: Hazard,
    ports: &'a [Port],
    /// What is sent to recognise it, in order.
    sends: Vec<String>,
    /// Whether its ports are looked at when nobody names any.
    by_default: bool,
}

fn list(global: &Global) -> Outcome {
    let known = services::read(global.knowledge.as_deref()).map_err(fault)?;
    let listed: Vec<Listed<'_>> = known.knowledge.services().map(listed).collect();
    let rows = listed.iter().map(|service| {
        [
            service.name.to_string(),
            ports(service.ports),
            hazard(service.hazard).to_owned(),
            sends(service),
        ]
    });
    View::text(table(["service", "ports", "hazard", "what is sent"], rows))
        .all("service", &listed)
        .print(global.format)?;
    Ok(Exit::Clean)
}

fn listed(service: &Service) -> Listed<'_> {
    Listed {
        name: &service.name,
        title: &service.title,
        purpose: &service.purpose,
        maker: service.maker.as_deref(),
        role: service.role,
        hazard: service.hazard,
        ports: &service.ports,
        sends: service.sends(),
        by_default: service.by_default,
    }
}

fn hazard(hazard: Hazard) -> &'static str {
    match hazard {
        Hazard::Silent => "silent",
        Hazard::Banner => "banner",
        Hazard::ReadOnlyRequest => "read-only-request",
        Hazard::OptIn => "opt-in",
    }
}

fn sends(service: &Listed<'_>) -> String {
    let what = match service.sends.is_empty() {
        true => return "nothing".into(),
        false => service.sends.join("; then "),
    };
    match service.hazard {
        Hazard::OptIn => format!("on demand: {what}"),
        _ => what,
    }
}

/// The first ports, and how many more there are.
fn ports(ports: &[Port]) -> String {
    const SHOWN: usize = 4;
    let shown: Vec<String> = ports.iter().take(SHOWN).map(Port::to_string).collect();
    let more = ports.len().saturating_sub(SHOWN);
    match more {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

//! Plans that would keep those out who show signs, as text.

use std::{collections::BTreeSet, net::IpAddr};

use portcullis_model::{Fault, sanitize};
use portcullis_ops::logs::{self, Finding, Proposal};
use serde_json::{Value, json};

use super::{Frame, fault};

/// Offenders that are named; JSON has all.
const NAMED: usize = 8;

/// Makes the plans; none when nobody asks for them.
pub(super) async fn proposed(
    frame: &Frame<'_>,
    wanted: bool,
    findings: &[Finding],
) -> Result<Option<Vec<Proposal>>, Box<dyn Fault>> {
    if !wanted {
        return Ok(None);
    }
    logs::proposals(frame.desk, findings)
        .await
        .map(Some)
        .map_err(fault)
}

pub(super) fn text(proposals: Option<&[Proposal]>) -> String {
    let lines = lines(proposals);
    if lines.is_empty() {
        return String::new();
    }
    format!(
        "\n\nProposals, of which nothing is done until you apply one:\n  {}",
        lines.join("\n  ")
    )
}

/// What is to be said, none when nobody asked.
pub(super) fn lines(proposals: Option<&[Proposal]>) -> Vec<String> {
    let Some(proposals) = proposals else {
        return Vec::new();
    };
    if proposals.is_empty() {
        return vec![
            "none: no sign names somebody who was at a port of this host that no change closes yet".into(),
        ];
    }
    let mut lines: Vec<String> = proposals.iter().map(line).collect();
    lines.push("Sources can be forged: somebody named here may never have sent anything.".into());
    lines
}

fn line(proposal: &Proposal) -> String {
    let (port, who) = (proposal.port, named(&proposal.offenders));
    let planned = match &proposal.planned {
        Ok(planned) => planned,
        Err(why) => return format!("no plan for {port} against {who}: {}", sanitize(&why.to_string())),
    };
    let id = planned.plan.id.short();
    let allowed = match planned.plan.allowed_networks() {
        allowed if allowed.is_empty() => "everybody but this host".into(),
        allowed => format!("all but {allowed}"),
    };
    let excepted = excepted(&proposal.offenders);
    format!(
        "plan {id}: closes {port} to {allowed}; that keeps out {who}; look at it with `portcullis plan --port {port}{excepted}`, try it \
         with `portcullis apply {id} --trial 5m`"
    )
}

fn named(offenders: &BTreeSet<IpAddr>) -> String {
    let names: Vec<String> = offenders.iter().take(NAMED).map(IpAddr::to_string).collect();
    match offenders.len().checked_sub(NAMED).filter(|more| *more > 0) {
        Some(more) => format!("{} and {more} more", names.join(", ")),
        None => names.join(", "),
    }
}

fn excepted(offenders: &BTreeSet<IpAddr>) -> String {
    if offenders.len() > NAMED {
        return " --except …".into();
    }
    offenders
        .iter()
        .map(|address| format!(" --except {address}"))
        .collect()
}

pub(super) fn records(proposals: &[Proposal]) -> Vec<Value> {
    let record = |proposal: &Proposal| {
        json!({
            "port": proposal.port,
            "offenders": proposal.offenders,
            "plan": proposal.planned.as_ref().ok().map(|planned| &planned.plan),
            "no_plan_because": proposal.planned.as_ref().err().map(ToString::to_string),
        })
    };
    proposals.iter().map(record).collect()
}

//! Plans that would keep those out who show signs, as text.

use std::{collections::BTreeSet, fmt::Write as _, net::IpAddr};

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
    let Some(proposals) = proposals else {
        return String::new();
    };
    if proposals.is_empty() {
        return "\n\nProposals: none. No sign names somebody who was at a port of this host that no change closes yet.".into();
    }
    let mut text = "\n\nProposals, of which nothing is done until you apply one:".to_owned();
    for proposal in proposals {
        let (port, who) = (proposal.port, named(&proposal.offenders));
        match &proposal.planned {
            Ok(planned) => {
                let id = planned.plan.id.short();
                let allowed = match planned.plan.allowed_networks() {
                    allowed if allowed.is_empty() => "everybody but this host".into(),
                    allowed => format!("all but {allowed}"),
                };
                let _ = write!(
                    text,
                    "\n  plan {id}: closes {port} to {allowed}; that keeps out {who}\n    \
                     look at it with `portcullis plan --port {port}{}`, try it with `portcullis apply {id} --trial 5m`",
                    excepted(&proposal.offenders)
                );
            }
            Err(why) => {
                let _ = write!(
                    text,
                    "\n  no plan for {port} against {who}: {}",
                    sanitize(&why.to_string())
                );
            }
        }
    }
    text.push_str("\n  Sources can be forged: somebody named here may never have sent anything.");
    text
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

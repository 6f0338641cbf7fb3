//! The approval of a plan by a second person, where the site asks for one: their signature of what the plan says.
//!
//! The approver needs no account here and no access to the store: a text goes out, a signature comes back, on a stick if it
//! must. Both stand in the audit record, and each `apply` checks them again against the list of signers as it is then.

use std::{fmt::Write as _, io::Write as _, path::Path};

use portcullis_model::{Plan, sanitize};
use serde_json::{Value, json};

use crate::{
    Desk, OpsError,
    desk::read_text,
    signature::{Signed, Unsigned},
};

/// What a signature must be meant for.
pub const NAMESPACE: &str = "portcullis-plan";

const ACTION: &str = "change.approve";

/// What an approver signs: the plan by its whole id, which is derived from all that it says, and its meaning in words.
fn statement(plan: &Plan) -> String {
    let mut text = format!(
        "portcullis plan {}\nclose {} on {}\n",
        plan.id, plan.close, plan.host
    );
    for source in &plan.allow {
        let _ = writeln!(text, "still gets through {}", source.network);
    }
    for live in plan.connections.iter().filter(|live| live.cut) {
        let _ = writeln!(text, "cut {}", live.connection.peer);
    }
    text
}

/// The text that an approver signs.
///
/// # Errors
/// When there is no such plan.
pub async fn to_sign(desk: &Desk, plan: &str) -> Result<String, OpsError> {
    let plan = desk.store.plan(plan).await.map_err(OpsError::Store)?;
    Ok(statement(&plan))
}

/// Takes an approver's signature of a plan, and tells who it is.
///
/// # Errors
/// When the site asks for no approval, when the signature is not one of an approver and of this plan, or is that of the
/// person who brings it.
pub async fn approve(desk: &Desk, plan: &str, signature: &Path) -> Result<String, OpsError> {
    let plan = desk.store.plan(plan).await.map_err(OpsError::Store)?;
    let Some(policy) = desk.site.as_ref().and_then(|site| site.approval.as_ref()) else {
        return Err(refused(
            &plan,
            "the site.toml that is named asks for no approval".into(),
        ));
    };
    let signer = signer(&plan, signature, &policy.signers, &desk.actor)?;
    let details = json!({ "signer": signer, "signature": read_text(signature)? });
    desk.record(ACTION, subject_of(&plan), details).await?;
    Ok(signer)
}

/// Refuses a plan that its site wants approved, and that nobody else has approved.
pub(super) async fn asked_for(desk: &Desk, plan: &Plan) -> Result<(), OpsError> {
    let Some(policy) = desk.site.as_ref().and_then(|site| site.approval.as_ref()) else {
        return Ok(());
    };
    let records = desk.store.audit(None, 0).await.map_err(OpsError::Store)?;
    let subject = subject_of(plan);
    let signatures = records
        .iter()
        .map(|record| &record.entry)
        .filter(|entry| entry.action == ACTION && entry.subject == subject)
        .filter_map(|entry| entry.details.get("signature").and_then(Value::as_str));
    let mut why = "nobody has approved it".to_owned();
    for signature in signatures {
        let mut file = tempfile::NamedTempFile::new().map_err(unwritten)?;
        file.write_all(signature.as_bytes()).map_err(unwritten)?;
        match signer(plan, file.path(), &policy.signers, &desk.actor) {
            Ok(_) => return Ok(()),
            Err(OpsError::NotApproved { why: reason, .. }) => why = reason,
            Err(error) => return Err(error),
        }
    }
    Err(refused(plan, why))
}

/// The one other than `actor` whose signature of the plan this is.
fn signer(plan: &Plan, signature: &Path, signers: &Path, actor: &str) -> Result<String, OpsError> {
    let text = statement(plan);
    let signed = Signed {
        text: &text,
        signature,
        signers,
        namespace: NAMESPACE,
    };
    let unsigned = |error: Unsigned| error.into_error(|why| refused(plan, why));
    let possible = signed.possible_signers().map_err(unsigned)?;
    let listed = sanitize(&possible.join(", "));
    // A key that is also his counts as his, in whichever line of the list: of several lines ssh-keygen names the first.
    let is_his = |signer: &String| is_same_person(signer, actor) && signed.is_by(signer).is_ok();
    let listed_for_him = principals(&read_text(signers)?).iter().any(is_his);
    if listed_for_him || possible.iter().any(|signer| is_same_person(signer, actor)) {
        return Err(refused(
            plan,
            format!("{listed} cannot both approve and apply it"),
        ));
    }
    let named = possible.iter().find(|signer| !signer.contains(['*', '?', '!']));
    let Some(named) = named else {
        return Err(refused(
            plan,
            format!("{listed} in the list of signers names no person"),
        ));
    };
    signed.is_by(named).map_err(unsigned)?;
    Ok(named.clone())
}

/// All names in a list of signers (ssh-keygen(1), ALLOWED SIGNERS): the first word of each line, with commas between them.
fn principals(list: &str) -> Vec<String> {
    let lines = list.lines().map(str::trim);
    let entries = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    entries
        .flat_map(|line| {
            let quoted = line.strip_prefix('"').and_then(|rest| rest.split('"').next());
            let names = quoted
                .or_else(|| line.split_whitespace().next())
                .unwrap_or_default();
            names.split(',').map(str::to_owned).collect::<Vec<_>>()
        })
        .collect()
}

/// Whether a signer of the list is the one who is at work: by login name, with or without a mail domain behind it.
fn is_same_person(signer: &str, actor: &str) -> bool {
    let login = actor.split(" (as ").next().unwrap_or(actor);
    let name = signer.split('@').next().unwrap_or(signer);
    signer.eq_ignore_ascii_case(login) || name.eq_ignore_ascii_case(login)
}

fn subject_of(plan: &Plan) -> String {
    format!("plan {} host {} {}", plan.id, plan.host, plan.close)
}

fn refused(plan: &Plan, why: String) -> OpsError {
    OpsError::NotApproved {
        plan: plan.id.short(),
        why,
    }
}

fn unwritten(source: std::io::Error) -> OpsError {
    OpsError::Read {
        path: std::env::temp_dir(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_names_of_a_list_are_known() {
        let list = "# keys\nalice@plant.example ssh-ed25519 AAAA\nbob,root namespaces=\"x\" ssh-ed25519 AAAA\n\"eve smith\" ssh-ed25519 B\n";
        assert_eq!(
            principals(list),
            ["alice@plant.example", "bob", "root", "eve smith"]
        );
    }

    #[test]
    fn nobody_approves_what_he_applies() {
        for (signer, actor, same) in [
            ("ola", "ola", true),
            ("ola@plant.example", "ola (as root)", true),
            ("Ola@plant.example", "ola", true),
            ("kari@plant.example", "ola (as root)", false),
            ("olav", "ola", false),
            ("root", "ola (as root)", false),
        ] {
            assert_eq!(is_same_person(signer, actor), same, "{signer} and {actor}");
        }
    }
}

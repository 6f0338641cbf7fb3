//! `portcullis audit`

use std::fmt::Write as _;

use portcullis_model::Exit;
use portcullis_ops::audit::{self, Store};

use super::{Outcome, fault};
use crate::{
    arguments::{Audit, Global},
    output::{View, table},
};

pub(super) async fn run(global: &Global, store: &str, arguments: &Audit) -> Outcome {
    let store = audit::open(store).await.map_err(fault)?;
    match arguments {
        Audit::List => list(global, &store).await,
        Audit::Verify => verify(global, &store).await,
    }
}

async fn list(global: &Global, store: &Store) -> Outcome {
    let records = audit::list(store).await.map_err(fault)?;
    let rows = records.iter().map(|record| {
        let entry = &record.entry;
        [
            record.sequence.to_string(),
            entry.at.strftime("%Y-%m-%d %H:%M:%S").to_string(),
            entry.actor.clone(),
            entry.action.clone(),
            entry.subject.clone(),
            record.digest.short(),
        ]
    });
    let text = table(["#", "at (utc)", "actor", "action", "subject", "digest"], rows);
    View::text(text)
        .all("audit-record", &records)
        .print(global.format)?;
    Ok(Exit::Clean)
}

async fn verify(global: &Global, store: &Store) -> Outcome {
    let verdict = audit::verify(store).await.map_err(fault)?;
    let mut text = format!("{} audit records; head {}\n", verdict.records, verdict.head);
    for fault in &verdict.faults {
        let _ = writeln!(text, "  {fault}");
    }
    for note in &verdict.notes {
        let _ = writeln!(text, "  note: {note}");
    }
    text.push_str(if verdict.is_intact() {
        "The record is intact: nothing was changed, removed or moved. To rule out that all of it was replaced, compare \
         the head with a copy kept elsewhere."
    } else {
        "The record is NOT intact."
    });
    View::text(text)
        .all("audit-verdict", [&verdict])
        .print(global.format)?;
    Ok(if verdict.is_intact() {
        Exit::Clean
    } else {
        Exit::Found
    })
}

//! `portcullis doctor`

use std::fmt::Write as _;

use portcullis_model::Exit;
use portcullis_ops::doctor;

use super::Outcome;
use crate::{
    arguments::Global,
    output::{View, table},
};

pub(super) fn run(global: &Global) -> Outcome {
    let findings = doctor::doctor();
    let rows = findings.iter().map(|finding| {
        let works = if finding.works { "yes" } else { "NO" };
        [finding.what.clone(), works.into(), finding.seen.clone()]
    });
    let mut text = table(["what", "works", "seen"], rows);
    let advice: Vec<&String> = findings
        .iter()
        .filter_map(|finding| finding.advice.as_ref())
        .collect();
    if !advice.is_empty() {
        text.push_str("\n\nTo do:");
        for (position, line) in advice.iter().enumerate() {
            if !advice.iter().take(position).any(|earlier| earlier == line) {
                let _ = write!(text, "\n  {line}");
            }
        }
    }
    View::text(text)
        .all("doctor-finding", &findings)
        .print(global.format);
    Ok(if findings.iter().all(|finding| finding.works) {
        Exit::Clean
    } else {
        Exit::Partial
    })
}

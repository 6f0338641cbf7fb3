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
    let advised = findings
        .iter()
        .filter_map(|finding| Some((&finding.what, finding.advice.as_ref()?)));
    for (position, (what, advice)) in advised.enumerate() {
        let _ = write!(
            text,
            "{}  {what}: {advice}",
            if position == 0 { "\n\nTo do:\n" } else { "\n" }
        );
    }
    View::text(text)
        .all("doctor-finding", &findings)
        .print(global.format)?;
    Ok(if findings.iter().all(|finding| finding.works) {
        Exit::Clean
    } else {
        Exit::Partial
    })
}

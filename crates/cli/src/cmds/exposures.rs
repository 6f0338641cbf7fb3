//! `portcullis exposures`

use std::fmt::Write as _;

use portcullis_model::{Exit, Exposure};
use portcullis_ops::exposures;

use super::{Frame, Outcome, assessed, fault};
use crate::output::{View, table};

pub(super) async fn run(frame: &Frame<'_>) -> Outcome {
    let exposures = exposures::exposures(frame.desk).await.map_err(fault)?;
    View::text(text(&exposures, frame.global.verbose > 0))
        .all("exposure", &exposures)
        .print(frame.format())?;
    Ok(if exposures.is_empty() {
        Exit::Clean
    } else {
        Exit::Found
    })
}

fn text(exposures: &[Exposure], with_reasons: bool) -> String {
    if exposures.is_empty() {
        return "No exposure is known. That says nothing about what was never looked at.".into();
    }
    let rows = exposures.iter().map(|exposure| {
        [
            exposure.id.short(),
            exposure.severity.to_string(),
            exposure.address.to_string(),
            exposure.port.to_string(),
            match (&exposure.service, exposure.grade) {
                (Some(service), Some(grade)) => format!("{service} ({grade})"),
                _ => "not identified".into(),
            },
            format!("{} ({})", exposure.from_zone, exposure.vantage),
            exposure.seen.strftime("%Y-%m-%d %H:%M").to_string(),
        ]
    });
    let header = [
        "id",
        "severity",
        "address",
        "port",
        "service",
        "reached from",
        "seen (utc)",
    ];
    let mut text = format!("{}\n", table(header, rows));
    if with_reasons {
        for exposure in exposures {
            if let (Some(service), Some(assessment)) = (&exposure.service, &exposure.assessment) {
                let _ = write!(
                    text,
                    "\n{} {} {}: {service} is {}{}\n",
                    exposure.id.short(),
                    exposure.address,
                    exposure.port,
                    assessment.grade,
                    assessed::lines(assessment)
                );
            }
        }
    }
    if let Some(first) = exposures.first() {
        let evidence: Vec<String> = first.evidence.iter().map(|id| id.short()).collect();
        let _ = write!(
            text,
            "\n{} exposure(s). The first: {}; observation {}.\nTo close one: `portcullis plan {}` on that host.{}",
            exposures.len(),
            first.because,
            evidence.join(", "),
            first.id.short(),
            match with_reasons {
                true => "",
                false => " How sure each is and why: -v.",
            }
        );
    }
    text
}

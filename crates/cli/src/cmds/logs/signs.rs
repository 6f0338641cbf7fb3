//! Signs in a log, as text.

use std::fmt::Write as _;

use portcullis_model::{Fault, LogEvent, LogSource, sanitize};
use portcullis_ops::logs::{self, Detector, Finding, Findings};

use super::{Frame, clock, fault};
use crate::output::{Format, View};

/// Looks for signs, if somebody wants to be told of them.
pub(super) struct Signs {
    detector: Option<Detector>,
    notes: Vec<String>,
}

impl Signs {
    pub(super) async fn wanted(frame: &Frame<'_>, wanted: bool) -> Result<Self, Box<dyn Fault>> {
        if !wanted {
            return Ok(Self {
                detector: None,
                notes: Vec::new(),
            });
        }
        let (detector, notes) = logs::detector(frame.desk).await.map_err(fault)?;
        Ok(Self {
            detector: Some(detector),
            notes,
        })
    }

    /// Looks at an event; with a format, what begins to show is printed at once.
    pub(super) fn add(&mut self, event: &LogEvent, at_once: Option<Format>) {
        let Some(detector) = &mut self.detector else {
            return;
        };
        for finding in detector.add(event) {
            if let Some(format) = at_once {
                let format = if format == Format::Json {
                    Format::Jsonl
                } else {
                    format
                };
                // A reader that does not take it does not take the summary either, which is told then.
                let _ = View::text(format!("{}: {}", finding.kind, sanitize(&finding.says)))
                    .all("log-sign", [&finding])
                    .print(format);
            }
        }
    }

    pub(super) fn found(self) -> Findings {
        let mut found = self
            .detector
            .map(|detector| detector.findings())
            .unwrap_or_default();
        found.notes.extend(self.notes);
        found
    }
}

pub(super) fn text(found: &Findings) -> String {
    let mut text = String::new();
    if !found.findings.is_empty() {
        let _ = write!(text, "\n\nSigns:");
    }
    for finding in &found.findings {
        let _ = write!(
            text,
            "\n  {}: {}\n    {} event(s), {} got through; first {}, last {}{}",
            finding.kind,
            sanitize(&finding.says),
            finding.events,
            finding.got_through,
            clock(Some(finding.first)),
            clock(Some(finding.last)),
            places(finding),
        );
        if let Some(assumed) = &finding.assumed {
            let _ = write!(text, "\n    time: {}", sanitize(assumed));
        }
    }
    for note in &found.notes {
        let _ = write!(text, "\nNote: {}", sanitize(note));
    }
    text
}

/// The first lines and the last one that a sign rests on.
fn places(finding: &Finding) -> String {
    let lines: Vec<String> = finding
        .evidence
        .iter()
        .filter_map(|place| match place {
            LogSource::File { path, line, .. } => Some(format!("{}:{line}", sanitize(path))),
            _ => None,
        })
        .collect();
    if lines.is_empty() {
        return String::new();
    }
    format!("\n    {}", lines.join(" "))
}

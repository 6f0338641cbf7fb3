//! How a grade came about, for people.

use std::fmt::Write as _;

use portcullis_model::Assessment;

/// What raised and lowered a grade, a line each, indented.
pub(super) fn lines(assessment: &Assessment) -> String {
    let mut text = String::new();
    let sorts = [
        ("+", &assessment.raised_by),
        ("-", &assessment.lowered_by),
        (" ", &assessment.not_counted),
    ];
    for (sign, reasons) in sorts {
        for reason in reasons {
            let _ = write!(text, "\n    {sign} {reason}");
        }
    }
    if let Some(for_more) = &assessment.for_more {
        let _ = write!(text, "\n      {for_more}");
    }
    text
}

//! `portcullis verify`

use std::fmt::Write as _;

use portcullis_ops::verify::{self, Request, Row, Verdict, Verification};

use super::{Frame, Outcome, fault};
use crate::{
    arguments::Verify,
    output::{View, table},
};

pub(super) async fn run(frame: &Frame<'_>, arguments: &Verify) -> Outcome {
    let request = Request {
        subject: arguments.subject.clone(),
        port: arguments.port,
        from: arguments.from.clone(),
        smoke: arguments.smoke.clone(),
    };
    let verification = verify::verify(frame.desk, &request).await.map_err(fault)?;
    View::text(text(&verification))
        .all("verification", [&verification])
        .print(frame.format());
    Ok(verification.verdict.exit())
}

fn text(verification: &Verification) -> String {
    let rows = verification.rows.iter().map(|row| {
        [
            row.vantage.to_string(),
            row.address.to_string(),
            row.before
                .map_or_else(|| "not tested".into(), |state| state.to_string()),
            row.now.to_string(),
            control(row).into(),
            expectation(row).into(),
            row.verdict.to_string(),
        ]
    });
    let header = ["from", "to", "before", "now", "control", "expected", "verdict"];
    let mut text = format!(
        "{} on {}\n{}\n\n",
        verification.port,
        verification.host,
        table(header, rows)
    );
    let listening = if verification.listening {
        "still listens"
    } else {
        "NO LONGER LISTENS"
    };
    let _ = write!(text, "The service {listening}.");
    if let Some(dropped) = verification.dropped_while_looking {
        let _ = write!(text, " The drop rule counted {dropped} packets meanwhile.");
    }
    if let Some(smoke) = verification.smoke {
        let _ = write!(
            text,
            " The smoke check {}.",
            if smoke { "succeeded" } else { "FAILED" }
        );
    }
    let _ = write!(text, "\nVerdict: {}", verdict(verification));
    text
}

fn control(row: &Row) -> &'static str {
    match row.control {
        Some(true) => "answered",
        Some(false) => "silent",
        None => "none",
    }
}

fn expectation(row: &Row) -> &'static str {
    match row.expected {
        Some(true) => "open",
        Some(false) => "not open",
        None => "-",
    }
}

fn verdict(verification: &Verification) -> &'static str {
    let somebody_is_kept_out = verification.rows.iter().any(|row| row.expected == Some(false));
    match verification.verdict {
        Verdict::AsExpected => "proved closed where it should be, open where it should be",
        Verdict::CannotConclude if !somebody_is_kept_out => {
            "cannot conclude: no vantage was there that should be kept out, so nothing is proved closed; look from \
             another host, or scan the port from there"
        }
        Verdict::NoExpectation | Verdict::CannotConclude => {
            "cannot conclude: where the positive control is silent, or nothing says what to expect, nothing is proved"
        }
        Verdict::Cut => "CUT: something that should get through does not",
        Verdict::NotClosed => "NOT CLOSED: it is reached from where it should not be",
    }
}

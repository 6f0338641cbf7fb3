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
    let verification = verify::verify(frame.desk, &request, &frame.stop)
        .await
        .map_err(fault)?;
    View::text(text(&verification))
        .all("verification", [&verification])
        .print(frame.format())?;
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
    let header = ["from", "to", "last seen", "now", "control", "expected", "verdict"];
    let mut text = format!(
        "{} on {}\n{}\n\n",
        verification.port,
        verification.host,
        table(header, rows)
    );
    let listening = match verification.listening {
        Some(true) => "The service still listens.",
        Some(false) => "The service NO LONGER LISTENS.",
        None => "Whether the service still listens is known by the packets alone.",
    };
    text.push_str(listening);
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

fn verdict(verification: &Verification) -> String {
    let kept_out = from(verification, false);
    match verification.verdict {
        Verdict::AsExpected => {
            let open = from(verification, true);
            let open = if open.is_empty() { String::new() } else { format!("; open from {open}, as it should be") };
            format!("proved closed where it should be: from {kept_out}{open}")
        }
        Verdict::CannotConclude if !verification.altered.is_empty() => {
            let altered = verification.altered.join("; ");
            format!("cannot conclude: the rules of Portcullis are not those that were loaded: {altered}")
        }
        Verdict::CannotConclude if kept_out.is_empty() => {
            "cannot conclude: no vantage was there that should be kept out, so nothing is proved closed; look from \
             another host, or scan the port from there"
                .into()
        }
        Verdict::NoExpectation | Verdict::CannotConclude => {
            "cannot conclude: where the positive control is silent, or nothing says what to expect, nothing is proved"
                .into()
        }
        Verdict::Cut if verification.smoke == Some(false) => "NOT PROVED: the smoke check failed".into(),
        Verdict::Cut => "CUT: something that should get through does not".into(),
        Verdict::NotClosed => "NOT CLOSED: it is reached from where it should not be".into(),
    }
}

/// The vantages for which this was expected, each once; with the family where its two families fare differently.
fn from(verification: &Verification, expected: bool) -> String {
    let mut names: Vec<String> = Vec::new();
    for row in verification
        .rows
        .iter()
        .filter(|row| row.expected == Some(expected))
    {
        let differs = |other: &Row| other.vantage == row.vantage && other.expected != row.expected;
        let family = match (verification.rows.iter().any(differs), row.address.is_ipv4()) {
            (false, _) => "",
            (true, true) => " over IPv4",
            (true, false) => " over IPv6",
        };
        let name = format!("{}{family}", row.vantage);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names.join(", ")
}

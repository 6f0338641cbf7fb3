//! `portcullis verify`

use std::fmt::Write as _;

use portcullis_firewall::reach::Passage;
use portcullis_model::sanitize;
use portcullis_ops::verify::{self, Proof, Request, Row, Verdict, Verification};

use super::{
    Frame, Outcome, fault,
    reach::{heading, sources, to_look_at},
};
use crate::{
    arguments::Verify,
    output::{View, table},
};

pub(super) async fn run(frame: &Frame<'_>, arguments: &Verify) -> Outcome {
    let request = Request {
        subject: arguments.subject.clone(),
        port: arguments.port,
        from: arguments.from.clone(),
        broker: arguments.nats.broker(),
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
            arrived(row).into(),
            prediction(row).into(),
            expectation(row).into(),
            shown(row),
        ]
    });
    let header = [
        "from",
        "to",
        "last seen",
        "now",
        "control",
        "arrived",
        "predicted",
        "expected",
        "verdict",
    ];
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
    for failure in &verification.failures {
        let _ = write!(text, "\nNobody looked: {}", sanitize(failure));
    }
    disagreements(&mut text, verification);
    not_tested(&mut text, verification);
    let looks: Vec<_> = verification
        .to_look_at
        .iter()
        .map(|remark| sanitize(remark))
        .collect();
    if !looks.is_empty() {
        let _ = write!(text, "\n{}", to_look_at(&looks));
    }
    let _ = write!(text, "\nVerdict: {}", verdict(verification));
    text
}

/// What the rules that are loaded say.
fn prediction(row: &Row) -> &'static str {
    row.predicted
        .as_ref()
        .map_or("-", |predicted| fate(predicted.passage))
}

fn fate(passage: Passage) -> &'static str {
    match passage {
        Passage::Through => "open",
        Passage::Blocked => "blocked",
        Passage::Unknown => "unclear",
        Passage::Led => "led elsewhere",
    }
}

fn shown(row: &Row) -> String {
    match row.verdict {
        Verdict::AsExpected if row.proof == Proof::Open => "open, as it should be".into(),
        Verdict::AsExpected | Verdict::NoExpectation => row.proof.to_string(),
        Verdict::NotPredicted | Verdict::CannotConclude | Verdict::Cut | Verdict::NotClosed => {
            row.verdict.to_string()
        }
    }
}

fn disagreements(text: &mut String, verification: &Verification) {
    for row in &verification.rows {
        let (Some(disagreement), Some(predicted)) = (row.disagreement(), &row.predicted) else {
            continue;
        };
        let because = sanitize(&predicted.because.join("; "));
        let _ = write!(
            text,
            "\nDISAGREEMENT from {} to {}: {disagreement} ({because})",
            row.vantage, row.address
        );
    }
}

/// The parts of the prediction that no packet has tested.
fn not_tested(text: &mut String, verification: &Verification) {
    if let Some(why) = &verification.not_predicted {
        let _ = write!(text, "\nNothing is predicted: {}", sanitize(why));
    }
    let parts = &verification.parts;
    let without = parts.iter().filter(|part| part.witnesses.is_empty());
    let without: Vec<_> = without.collect();
    if without.is_empty() {
        return;
    }
    let _ = write!(
        text,
        "\nNot tested: {} of {} parts of the prediction, for no vantage looked from there:",
        without.len(),
        parts.len()
    );
    for part in without.iter().take(NOT_TESTED) {
        let _ = write!(
            text,
            "\n  {} from {}: {} ({})",
            heading(part.is_ipv4, &part.interfaces, &[]),
            sources(&part.sources, part.is_ipv4, false),
            fate(part.passage),
            sanitize(&part.because.join("; "))
        );
    }
    if let Some(more) = without.len().checked_sub(NOT_TESTED).filter(|more| *more > 0) {
        let _ = write!(text, "\n  … and {more} more");
    }
}

/// So many of them are shown; JSON has all.
const NOT_TESTED: usize = 8;

fn control(row: &Row) -> &'static str {
    match row.control {
        Some(true) => "answered",
        Some(false) => "silent",
        None => "none",
    }
}

/// Whether its packets came as far as this host.
fn arrived(row: &Row) -> &'static str {
    match row.arrived {
        Some(true) => "yes",
        Some(false) => "NO",
        None => "-",
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
        Verdict::NotPredicted => format!(
            "closed as measured, not predicted: nothing answered from {kept_out}, and for the reasons above that is no proof \
             of the rules of this host"
        ),
        Verdict::CannotConclude if !verification.altered.is_empty() => {
            let altered = verification.altered.join("; ");
            format!("cannot conclude: the rules of Portcullis are not those that were loaded: {altered}")
        }
        Verdict::CannotConclude if verification.rows.iter().any(Row::is_contradicted) => {
            "cannot conclude: it is open where the rules say that it is blocked, so they are not all that decides, or \
             not understood"
                .into()
        }
        Verdict::CannotConclude if !verification.lets_in.is_empty() => {
            let who = verification.lets_in.iter().map(|part| {
                let heading = heading(part.is_ipv4, &part.interfaces, &[]);
                let asked = part.asked.map_or_else(String::new, |port| format!(", who ask for {port} and are led here"));
                let perhaps = if part.passage == Passage::Unknown { " (perhaps)" } else { "" };
                format!("{heading} from {}{asked}{perhaps}", sources(&part.sources, part.is_ipv4, false))
            });
            let who = who.collect::<Vec<_>>().join("; ");
            format!("cannot conclude: by the rules that are loaded these get through, who should not: {who}")
        }
        Verdict::CannotConclude if !verification.failures.is_empty() => {
            "cannot conclude: not every vantage could look".into()
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

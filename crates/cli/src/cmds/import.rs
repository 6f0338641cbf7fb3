//! `portcullis import`

use std::fmt::Write as _;

use portcullis_model::{Exit, Untrusted};
use portcullis_ops::import::{self, Imported, ImportedAdvisory, Request};

use super::{Frame, Outcome, fault};
use crate::{arguments::Import, output::View, report};

/// How many lines that could not be read are shown; the other formats have more of them.
const SHOWN: usize = 5;
/// How many devices of Moxa are listed.
const DEVICES: usize = 20;

pub(super) async fn run(frame: &Frame<'_>, arguments: &Import) -> Outcome {
    let request = Request {
        files: arguments.files.clone(),
        format: arguments.format_of,
        seen_from: arguments.seen_from.clone(),
    };
    let outcome = import::import(frame.desk, &request).await.map_err(fault)?;
    let mut failures = outcome.failures;
    // With nothing read there is nothing to report.
    if outcome.imported.is_empty() && outcome.advisories.is_empty() {
        let last = failures.pop();
        failures.iter().for_each(|failure| report::remark(failure));
        return last.map_or(Ok(Exit::Clean), |failure| Err(fault(failure)));
    }
    let texts = outcome.imported.iter().map(text);
    let texts: Vec<String> = texts.chain(outcome.advisories.iter().map(advisory)).collect();
    View::text(texts.join("\n"))
        .all("import", &outcome.imported)
        .all("advisory-import", &outcome.advisories)
        .print(frame.format())?;
    failures.iter().for_each(|failure| report::remark(failure));
    let unplaced = |imported: &Imported| {
        let mut vantages = imported.vantages.iter();
        vantages.any(|vantage| matches!(vantage.imported(), Some((_, None))))
    };
    if outcome.imported.iter().any(unplaced) {
        frame.say(
            "where the other program stood is not known; if you know it, import the file again with --seen-from ZONE",
        );
    }
    let everything = failures.is_empty() && outcome.imported.iter().all(|imported| imported.unread == 0);
    Ok(if everything { Exit::Clean } else { Exit::Partial })
}

fn advisory(imported: &ImportedAdvisory) -> String {
    let mut text = format!(
        "{} (csaf): {} version {} of {}, {} vulnerability(ies): {}.",
        imported.file,
        imported.id,
        imported.version,
        imported.publisher,
        imported.vulnerabilities,
        imported.title
    );
    match (&imported.before, imported.kept) {
        (Some(before), true) => {
            let _ = write!(text, "\n  It takes the place of version {before}.");
        }
        (Some(before), false) => {
            let _ = write!(text, "\n  Version {before} is there already and stays.");
        }
        (None, _) => {}
    }
    if imported.status != "final" {
        let _ = write!(text, "\n  Its publisher calls it {}, not final.", imported.status);
    }
    for unread in &imported.unread {
        let _ = write!(
            text,
            "\n  cannot be read as versions, and decides nothing: {unread}"
        );
    }
    text
}

fn text(imported: &Imported) -> String {
    let about = if imported.too_many { "at least " } else { "" };
    let mut text = format!(
        "{} ({}): {about}{} host(s), {about}{} open port(s), {} record(s), {} hardware address(es).",
        imported.file,
        imported.format,
        imported.hosts,
        imported.open_ports,
        imported.records,
        imported.neighbours,
    );
    if let Some(before) = imported.before {
        let before = before.strftime("%Y-%m-%d %H:%M:%S");
        let _ = write!(
            text,
            "\n  It was imported before, at {before} (UTC): nothing counts twice."
        );
    }
    if imported.without_time > 0 {
        let _ = write!(
            text,
            "\n  {} record(s) carry no time of their own; that of the file stands for it.",
            imported.without_time
        );
    }
    if imported.in_the_future > 0 {
        let _ = write!(
            text,
            "\n  {} time(s) lie in the future: the clock was wrong, and they count as of now.",
            imported.in_the_future
        );
    }
    if !imported.moxa.is_empty() {
        let _ = write!(text, "\n  {} registered to Moxa:", imported.moxa.len());
        for device in imported.moxa.iter().take(DEVICES) {
            let place = device
                .address
                .map_or_else(|| "no address".to_owned(), |address| address.to_string());
            let interface = device
                .interface
                .as_ref()
                .map_or_else(String::new, |name| format!(" on {name}"));
            let _ = write!(text, "\n    {} {place}{interface}", device.mac);
        }
        if imported.moxa.len() > DEVICES {
            let _ = write!(text, "\n    and {} more", imported.moxa.len() - DEVICES);
        }
    }
    for (reason, count) in &imported.passed_over {
        let _ = write!(text, "\n  {count} passed over: {reason}.");
    }
    if imported.unread > 0 {
        let _ = write!(text, "\n  {} could not be read:", imported.unread);
        for line in imported.unread_lines.iter().take(SHOWN) {
            let _ = write!(text, "\n    {}", Untrusted::new(line.as_str()));
        }
        if imported.unread > SHOWN as u64 {
            let _ = write!(text, "\n    and {} more", imported.unread - SHOWN as u64);
        }
    }
    text
}

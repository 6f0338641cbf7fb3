//! `portcullis logs`

mod block;
mod export;
mod follow;
mod html;
mod plot;
mod signs;
mod tables;
mod text;

use std::sync::Arc;

use jiff::{Timestamp, tz::TimeZone};
use portcullis_model::{Exit, LogEvent, Port};
use portcullis_ops::logs::{self, Request};

use super::{Frame, Outcome, fault};
use crate::{
    arguments::Logs,
    environment::Screen,
    output::{self, Format, View},
    report,
};

pub(super) async fn run(frame: &Frame<'_>, arguments: &Logs) -> Outcome {
    let ports: Vec<Port> = arguments.port.iter().flat_map(|range| range.ports()).collect();
    let countries = arguments
        .country_db
        .as_deref()
        .map(logs::countries)
        .transpose()
        .map_err(fault)?;
    let mut facts = logs::facts(
        frame.desk,
        &ports,
        arguments.change.as_deref(),
        arguments.nflog.is_some(),
    )
    .await
    .map_err(fault)?;
    facts.countries = countries;
    let request = Request {
        ports,
        timezone: frame
            .desk
            .site
            .as_ref()
            .map_or_else(TimeZone::system, |site| site.timezone.clone()),
        format: arguments.input_format,
        top: arguments.top,
        sessions: arguments.sessions,
        facts: Arc::new(facts),
    };
    if let Some(form) = arguments.export {
        return export::run(frame, arguments, &request, form).await;
    }
    let format = frame.format();
    let mut signs = signs::Signs::wanted(frame, arguments.signs || arguments.block).await?;
    let (report, failures) = match (&arguments.journal, arguments.nflog) {
        _ if arguments.follow && !arguments.files.iter().any(|file| file.as_os_str() == "-") => {
            let report = follow::run(frame, arguments, &request, &mut signs).await?;
            (report, Vec::new())
        }
        (_, Some(group)) => {
            let ready = || frame.say(&format!("listening to netfilter log group {group}; Ctrl-C ends"));
            let mut each = |event: &LogEvent| signs.add(event, None);
            let report = logs::live(&request, group, arguments.patience, &frame.stop, ready, &mut each);
            (report.map_err(fault)?, Vec::new())
        }
        (Some(place), None) => {
            let mut each = |event: &LogEvent| signs.add(event, None);
            let each: Option<logs::Each<'_>> = if arguments.signs || arguments.block {
                Some(&mut each)
            } else {
                None
            };
            let report = logs::journal(&request, place.as_deref(), each);
            (report.map_err(fault)?, Vec::new())
        }
        (None, None) => {
            let mut both = |event: &LogEvent| {
                signs.add(event, arguments.follow.then_some(format));
                if arguments.follow {
                    print(event, format);
                }
            };
            let in_order = arguments.follow || arguments.signs || arguments.block;
            let each: Option<logs::Each<'_>> = if in_order { Some(&mut both) } else { None };
            let read = logs::files(&request, &arguments.files, each);
            let mut failures = read.failures;
            // With nothing read there is nothing to report.
            if read.nothing {
                return failures
                    .pop()
                    .map_or(Ok(Exit::Clean), |failure| Err(fault(failure)));
            }
            (read.report, failures)
        }
    };
    let mut signs = signs.found();
    signs.notes.extend(logs::counters(frame.desk, &signs.findings));
    let proposals = block::proposed(frame, arguments.block, &signs.findings).await?;
    if format == Format::Html {
        let about = html::About {
            site: frame.desk.site.as_ref().map(|site| site.name.as_str()),
            read: read(arguments),
            made: (frame.desk.now)(),
        };
        let page = html::page(&report, &signs, &block::lines(proposals.as_deref()), &about);
        output::print(|out| out.write_all(page.as_bytes()))?;
    } else {
        let told =
            text::text(&report, Screen::here()) + &signs::text(&signs) + &block::text(proposals.as_deref());
        View::text(told)
            .all("log-report", [&report])
            .all("log-sign", &signs.findings)
            .all(
                "log-proposal",
                &block::records(proposals.as_deref().unwrap_or_default()),
            )
            .print(format)?;
    }
    for failure in &failures {
        report::remark(failure);
    }
    let everything = failures.is_empty() && report.unreadable == 0 && !is_lost(&report);
    Ok(match (everything, signs.findings.is_empty()) {
        (false, _) => Exit::Partial,
        (true, false) => Exit::Found,
        (true, true) => Exit::Clean,
    })
}

/// Whether the firewall says that it lost lines of its own. What a server of logs lost may have been something else.
fn is_lost(report: &logs::Report) -> bool {
    report.losses.iter().any(|loss| loss.of_the_firewall)
}

/// What was read, for the head of the page.
fn read(arguments: &Logs) -> Vec<String> {
    match arguments.nflog {
        Some(group) => vec![format!("log group {group}")],
        None => arguments
            .files
            .iter()
            .map(|file| file.to_string_lossy().into_owned())
            .collect(),
    }
}

/// One event a line whatever the format of the summary: a stream has no end to wait for.
fn print(event: &LogEvent, format: Format) {
    let format = if format == Format::Json {
        Format::Jsonl
    } else {
        format
    };
    // A reader that does not take an event does not take the summary either, which is told then.
    let _ = View::text(line(event)).all("log-event", [event]).print(format);
}

fn line(event: &LogEvent) -> String {
    let port = event.port.map_or_else(|| "-".to_owned(), |port| port.to_string());
    format!(
        "{} {:8} {} -> {} {port}",
        clock(event.at),
        event.verdict.to_string(),
        event.source,
        event.destination
    )
}

fn clock(at: Option<Timestamp>) -> String {
    at.map_or_else(
        || "no time".to_owned(),
        |at| at.strftime("%Y-%m-%d %H:%M:%S").to_string(),
    )
}

//! The answers as text: what matters most stands first.

use std::fmt::Write as _;

use jiff::Timestamp;
use portcullis_model::{LogSource, sanitize};
use portcullis_ops::logs::{ChangeReport, FormatCount, Report, VerdictCounts};

use super::{
    clock, plot,
    tables::{self, Table},
};
use crate::{environment::Screen, output::columns};

pub(super) fn text(report: &Report, screen: Screen) -> String {
    let mut text = String::new();
    for change in &report.changes {
        if let Some(alarm) = alarm(change) {
            let _ = writeln!(text, "{alarm}\n");
        }
    }
    let _ = writeln!(text, "{}", headline(report));
    for scan in &report.own_scans {
        let _ = writeln!(
            text,
            "Counted apart: {} of own scan {}: {}; first {}, last {}.",
            packets(scan.attempts),
            scan.run,
            verdicts(scan.verdicts),
            clock(scan.first),
            clock(scan.last),
        );
    }
    if let Some(timeline) = &report.timeline {
        part(&mut text, "", &plot::plot(timeline, screen));
    }
    for change in &report.changes {
        part(
            &mut text,
            &tables::around(change),
            &shown(&tables::phases(change)),
        );
    }
    for (_, table) in tables::all(report) {
        part(&mut text, "", &shown(&table));
    }
    if !text.ends_with("\n\n") {
        text.push('\n');
    }
    for format in &report.formats {
        let _ = writeln!(text, "{}.", of_format(format));
    }
    unreadable(&mut text, report);
    lost(&mut text, report);
    if report.unrelated > 0 {
        let _ = writeln!(text, "{}.", unrelated(report.unrelated));
    }
    for note in &report.notes {
        let _ = writeln!(text, "Note: {}", sanitize(note));
    }
    text.trim_end().to_owned()
}

/// A part of the text with an empty line before it, if there is anything to say.
fn part(text: &mut String, head: &str, body: &str) {
    if body.is_empty() {
        return;
    }
    text.push('\n');
    if !head.is_empty() {
        let _ = writeln!(text, "{head}");
    }
    let _ = writeln!(text, "{}", body.trim_end());
}

fn shown(table: &Table) -> String {
    columns(&table.header, table.rows.iter().cloned())
}

pub(super) fn headline(report: &Report) -> String {
    format!(
        "{} from {} source(s): {}; first {}, last {}.",
        packets(report.attempts),
        report.distinct_sources,
        verdicts(report.verdicts),
        clock(report.first),
        clock(report.last),
    )
}

pub(super) fn verdicts(verdicts: VerdictCounts) -> String {
    let VerdictCounts {
        allowed,
        blocked,
        unknown,
    } = verdicts;
    format!("{blocked} blocked, {allowed} got through, {unknown} unknown")
}

/// What must not be overlooked: somebody got through to a port that should be closed.
pub(super) fn alarm(change: &ChangeReport) -> Option<String> {
    if change.got_through == 0 {
        return None;
    }
    Some(format!(
        "{} got through to {} although change {} closes it; first {}.\nThe rule may not be in force, or there is a way around \
         it: `portcullis verify --port {}` looks.",
        change.got_through,
        change.port,
        change.change,
        clock(change.got_through_first),
        change.port,
    ))
}

pub(super) fn packets(count: u64) -> String {
    let many = if count == 1 { "" } else { "s" };
    format!("{count} logged packet{many}")
}

/// `1 line`, `2 lines`.
pub(super) fn lines(count: u64) -> String {
    let many = if count == 1 { "" } else { "s" };
    format!("{count} line{many}")
}

fn are(count: u64) -> &'static str {
    if count == 1 { "is" } else { "are" }
}

/// How many lines a format had, and what it was recognised by.
pub(super) fn of_format(format: &FormatCount) -> String {
    let count = format.lines;
    let (lines, are) = (lines(count), are(count));
    format!("{lines} {are} of format {}: {}", format.format, format.because)
}

pub(super) fn unrelated(count: u64) -> String {
    format!("{} {} no firewall log", lines(count), are(count))
}

/// Why lines could not be read, and the first of them with their place.
fn unreadable(text: &mut String, report: &Report) {
    if report.unreadable == 0 {
        return;
    }
    let _ = writeln!(text, "{} could not be read:", lines(report.unreadable));
    for reason in &report.unreadable_reasons {
        let _ = writeln!(text, "  {}: {}", reason.lines, reason.reason);
    }
    for line in &report.unreadable_lines {
        let place = sanitize(&place(&line.read_from));
        let _ = writeln!(text, "  {place}: {}: {}", line.reason, line.text);
    }
}

/// What the log itself says to be missing, and the first lines that say so with their place.
fn lost(text: &mut String, report: &Report) {
    for line in losses(report) {
        let _ = writeln!(text, "{line}.");
    }
    for line in &report.loss_lines {
        let place = sanitize(&place(&line.read_from));
        let _ = writeln!(text, "  {place}: {}", line.text);
    }
}

/// What the log itself says to be missing, by who says so.
pub(super) fn losses(report: &Report) -> impl Iterator<Item = String> {
    report.losses.iter().map(|loss| {
        format!(
            "{} of the log {} that something is missing, at least {}: {}",
            lines(loss.times),
            if loss.times == 1 { "says" } else { "say" },
            loss.at_least,
            loss.told
        )
    })
}

/// Where a line was read, as it stands there: who shows it makes it harmless.
pub(super) fn place(source: &LogSource) -> String {
    match source {
        LogSource::File { path, line, .. } => format!("{path}:{line}"),
        LogSource::Nflog { group } => format!("log group {group}"),
        LogSource::Journal { realtime } => format!("journal, {}", journal_time(*realtime)),
        LogSource::Syslog { listener, from } => format!("{listener} from {from}"),
    }
}

/// As `journalctl --since` takes it.
fn journal_time(realtime: u64) -> String {
    let at = i64::try_from(realtime)
        .ok()
        .and_then(|realtime| Timestamp::from_microsecond(realtime).ok());
    clock(at)
}

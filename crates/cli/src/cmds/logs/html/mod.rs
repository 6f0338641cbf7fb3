//! The answers as one page that stands for itself: no script, nothing from elsewhere, dark and light, and to be printed.
//!
//! What stands in a log is written by whoever sends packets. It reaches the page only through [`escaped`].

mod chart;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use jiff::Timestamp;
use portcullis_model::sanitize;
use portcullis_ops::logs::{Findings, Report};

use super::{
    clock,
    tables::{self, Table},
    text,
};

/// What the page says of itself.
#[derive(Debug)]
pub(super) struct About<'a> {
    /// Name of the site, if there is one.
    pub(super) site: Option<&'a str>,
    /// What was read, as named on the command line.
    pub(super) read: Vec<String>,
    /// When the page was made.
    pub(super) made: Timestamp,
}

/// Columns whose cells are numbers.
const NUMBERS: [&str; 6] = [
    "packets",
    "blocked",
    "got through",
    "unknown",
    "sources",
    "sessions",
];

const STYLE: &str = include_str!("style.css");

pub(super) fn page(report: &Report, signs: &Findings, proposals: &[String], about: &About<'_>) -> String {
    let title = match about.site {
        Some(site) => format!("Firewall logs of {site}"),
        None => "Firewall logs".to_owned(),
    };
    let title = escaped(&title);
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta http-equiv=\"Content-Security-Policy\" \
         content=\"default-src 'none'; style-src 'unsafe-inline'\">\n<meta name=\"viewport\" \
         content=\"width=device-width, initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<header>\n<h1>{title}</h1>\n"
    );
    let ports: Vec<String> = report.ports.iter().take(8).map(ToString::to_string).collect();
    let more = report.ports.len().saturating_sub(ports.len());
    let of = match (ports.is_empty(), more) {
        (true, _) => "all ports".to_owned(),
        (false, 0) => ports.join(", "),
        (false, more) => format!("{} and {more} more", ports.join(", ")),
    };
    let _ = writeln!(
        page,
        "<p>{}; {}; made {} UTC</p>\n</header>\n<main>",
        escaped(&about.read.join(", ")),
        escaped(&of),
        clock(Some(about.made))
    );
    for alarm in report.changes.iter().filter_map(text::alarm) {
        let lines: Vec<String> = alarm.lines().map(escaped).collect();
        let _ = writeln!(
            page,
            "<p class=\"alarm\" role=\"alert\">{}</p>",
            lines.join("<br>\n")
        );
    }
    figures(&mut page, report);
    for scan in &report.own_scans {
        let _ = writeln!(
            page,
            "<p>Counted apart: {} of own scan {}: {}; first {}, last {}.</p>",
            text::packets(scan.attempts),
            escaped(&scan.run),
            text::verdicts(scan.verdicts),
            clock(scan.first),
            clock(scan.last)
        );
    }
    if let Some(timeline) = &report.timeline {
        chart::chart(&mut page, timeline, &report.changes);
    }
    for change in &report.changes {
        section(
            &mut page,
            tables::around(change).trim_end_matches(':'),
            &tables::phases(change),
        );
    }
    for (name, table) in tables::all(report) {
        section(&mut page, name, &table);
    }
    found(&mut page, signs);
    list(
        &mut page,
        "Proposals, of which nothing is done until you apply one",
        proposals,
    );
    unreadable(&mut page, report);
    lost(&mut page, report);
    list(&mut page, "How it was read", &remarks(report, signs));
    page.push_str("</main>\n</body>\n</html>\n");
    page
}

/// Text from anywhere as text of a page: no mark of HTML, no control character, nothing that turns the direction of writing.
fn escaped(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in sanitize(text).chars() {
        match character {
            '&' => shown.push_str("&amp;"),
            '<' => shown.push_str("&lt;"),
            '>' => shown.push_str("&gt;"),
            '"' => shown.push_str("&quot;"),
            '\'' => shown.push_str("&#39;"),
            other => shown.push(other),
        }
    }
    shown
}

fn figures(page: &mut String, report: &Report) {
    page.push_str("<dl class=\"figures\">\n");
    for (name, value) in [
        ("logged packets", report.attempts.to_string()),
        ("got through", report.verdicts.allowed.to_string()),
        ("blocked", report.verdicts.blocked.to_string()),
        ("unknown", report.verdicts.unknown.to_string()),
        ("sources", report.distinct_sources.to_string()),
        ("first (UTC)", clock(report.first)),
        ("last (UTC)", clock(report.last)),
    ] {
        let _ = writeln!(page, "<div><dt>{name}</dt><dd>{value}</dd></div>");
    }
    page.push_str("</dl>\n");
}

fn section(page: &mut String, name: &str, table: &Table) {
    let _ = writeln!(
        page,
        "<section>\n<h2>{}</h2>\n<div class=\"wide\">\n<table>\n<thead><tr>",
        escaped(name)
    );
    let class = |column: &str| match NUMBERS.contains(&column) {
        true => " class=\"n\"",
        false => "",
    };
    for column in &table.header {
        let _ = write!(
            page,
            "<th scope=\"col\"{}>{}</th>",
            class(column),
            escaped(column)
        );
    }
    page.push_str("</tr></thead>\n<tbody>\n");
    for row in &table.rows {
        page.push_str("<tr>");
        for (column, cell) in table.header.iter().zip(row) {
            let _ = write!(page, "<td{}>{}</td>", class(column), escaped(cell));
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</tbody>\n</table>\n</div>\n</section>\n");
}

fn list(page: &mut String, name: &str, items: &[String]) {
    if items.is_empty() {
        return;
    }
    let _ = writeln!(page, "<section>\n<h2>{}</h2>\n<ul>", escaped(name));
    for item in items {
        let _ = writeln!(page, "<li>{}</li>", escaped(item));
    }
    page.push_str("</ul>\n</section>\n");
}

fn found(page: &mut String, signs: &Findings) {
    let rows = signs.findings.iter().map(|finding| {
        vec![
            finding.kind.to_string(),
            finding.says.clone(),
            finding.events.to_string(),
            finding.got_through.to_string(),
            clock(Some(finding.first)),
            clock(Some(finding.last)),
        ]
    });
    let table = Table {
        header: vec![
            "sign",
            "what",
            "packets",
            "got through",
            "first (UTC)",
            "last (UTC)",
        ],
        rows: rows.collect(),
    };
    if !table.rows.is_empty() {
        section(page, "Signs", &table);
    }
}

fn unreadable(page: &mut String, report: &Report) {
    if report.unreadable == 0 {
        return;
    }
    let rows = report.unreadable_lines.iter().map(|line| {
        vec![
            text::place(&line.read_from),
            line.reason.clone(),
            line.text.to_string(),
        ]
    });
    let table = Table {
        header: vec!["where", "why", "text"],
        rows: rows.collect(),
    };
    let name = format!(
        "{} could not be read; the first of them",
        text::lines(report.unreadable)
    );
    section(page, &name, &table);
}

fn lost(page: &mut String, report: &Report) {
    let rows = report.loss_lines.iter().map(|line| {
        vec![
            text::place(&line.read_from),
            line.told.clone(),
            line.text.to_string(),
        ]
    });
    let table = Table {
        header: vec!["where", "what", "text"],
        rows: rows.collect(),
    };
    if !table.rows.is_empty() {
        section(
            page,
            "Lines that say that something is missing; the first of them",
            &table,
        );
    }
}

fn remarks(report: &Report, signs: &Findings) -> Vec<String> {
    let formats = report.formats.iter().map(text::of_format);
    let unrelated = (report.unrelated > 0).then(|| text::unrelated(report.unrelated));
    let reasons = report.unreadable_reasons.iter().map(|reason| {
        format!(
            "{} could not be read: {}",
            text::lines(reason.lines),
            reason.reason
        )
    });
    formats
        .chain(unrelated)
        .chain(reasons)
        .chain(text::losses(report))
        .chain(report.notes.iter().cloned())
        .chain(signs.notes.iter().cloned())
        .collect()
}

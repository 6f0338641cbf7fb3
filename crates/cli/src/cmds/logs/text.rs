//! The answers as text: what matters most stands first.

use std::fmt::Write as _;

use portcullis_model::{LogSource, ServiceName, sanitize};
use portcullis_ops::logs::{
    ChangeReport, GroupCount, PhaseCounts, PortCount, Report, SourceReport, VerdictCounts, Way,
};

use super::{clock, plot};
use crate::{environment::Screen, output::columns};

/// Ports of one source that are named in its row.
const PORTS_IN_A_ROW: usize = 4;

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
            "Counted apart: {} logged packets of own scan {}: {}; first {}, last {}.",
            scan.attempts,
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
        part(&mut text, &around(change), &phases(change));
    }
    part(&mut text, "", &sources(report));
    part(&mut text, "", &services(report));
    part(&mut text, "", &groups("zone", "no zone", &report.zones));
    if report.distinct_networks < report.distinct_sources {
        part(&mut text, "", &groups("network", "", &report.networks));
    }
    if !text.ends_with("\n\n") {
        text.push('\n');
    }
    for format in &report.formats {
        let _ = writeln!(
            text,
            "{} lines are of format {}: {}.",
            format.lines, format.format, format.because
        );
    }
    unreadable(&mut text, report);
    if report.unrelated > 0 {
        let _ = writeln!(text, "{} lines are no firewall log.", report.unrelated);
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

fn headline(report: &Report) -> String {
    format!(
        "{} logged packets from {} source(s): {}; first {}, last {}.",
        report.attempts,
        report.distinct_sources,
        verdicts(report.verdicts),
        clock(report.first),
        clock(report.last),
    )
}

fn verdicts(verdicts: VerdictCounts) -> String {
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

/// Which change, and when.
pub(super) fn around(change: &ChangeReport) -> String {
    let mut text = format!(
        "Around change {} of {} ({}):",
        change.change, change.port, change.state
    );
    let assumed: u64 = [change.before, change.trial, change.after, change.taken_back]
        .iter()
        .map(|phase| phase.time_assumed)
        .sum();
    if assumed > 0 {
        let _ = write!(
            text,
            " the time of {assumed} lines was assumed in part, and they may belong to another row;"
        );
    }
    if change.without_time > 0 {
        let _ = write!(
            text,
            " {} attempts have no time and are in no row;",
            change.without_time
        );
    }
    let shown = text.trim_end_matches(';').len();
    text.truncate(shown);
    text
}

/// The phases of a change that it had, each with when it began and what was counted in it.
pub(super) fn phases_of(change: &ChangeReport) -> Vec<(&'static str, String, PhaseCounts)> {
    let mut phases = vec![("before", String::new(), change.before)];
    phases.push(("on trial", clock(Some(change.loaded)), change.trial));
    if let Some(confirmed) = change.confirmed {
        phases.push(("after", clock(Some(confirmed)), change.after));
    }
    if let Some(ended) = change.ended {
        phases.push(("taken back", clock(Some(ended)), change.taken_back));
    }
    phases
}

fn phases(change: &ChangeReport) -> String {
    let header = ["", "since (utc)", "packets", "blocked", "got through", "unknown"];
    let rows = phases_of(change).into_iter().map(|(name, since, phase)| {
        let mut row = vec![name.to_owned(), since];
        row.extend(counts(phase.attempts, phase.verdicts));
        row
    });
    columns(&header, rows)
}

fn counts(attempts: u64, verdicts: VerdictCounts) -> [String; 4] {
    [attempts, verdicts.blocked, verdicts.allowed, verdicts.unknown].map(|count| count.to_string())
}

fn sources(report: &Report) -> String {
    if report.sources.is_empty() {
        return String::new();
    }
    let has_site = !report.zones.is_empty();
    let has_sessions = report.sources.iter().any(|source| source.sessions.is_some());
    let mut header = vec!["source", "packets", "blocked", "got through", "unknown"];
    header.extend(["first (utc)", "last (utc)", "to"]);
    if has_sessions {
        header.extend(["sessions", "longest"]);
    }
    if has_site {
        header.extend(["zone", "conduit"]);
    }
    let rows = report.sources.iter().map(|source| {
        let mut row = vec![name(source)];
        row.extend(counts(source.attempts, source.verdicts));
        row.extend([clock(source.first), clock(source.last), to(source)]);
        if has_sessions {
            row.extend(sessions(source));
        }
        if has_site {
            row.extend([
                source.zone.clone().unwrap_or_else(|| "no zone".into()),
                conduits(source),
            ]);
        }
        row
    });
    columns(&header, rows)
}

/// How many sessions, and the length of the longest one.
pub(super) fn sessions(source: &SourceReport) -> [String; 2] {
    source.sessions.map_or_else(Default::default, |told| {
        [told.sessions.to_string(), plot::length(told.longest_seconds)]
    })
}

/// Its address, and that it is ours.
pub(super) fn name(source: &SourceReport) -> String {
    match &source.vantage {
        Some(vantage) => format!("{} (ours: {vantage})", source.address),
        None => source.address.to_string(),
    }
}

/// The ports that it tried most, with the services that are usual there.
pub(super) fn to(source: &SourceReport) -> String {
    let mut ports: Vec<String> = source
        .ports
        .iter()
        .take(PORTS_IN_A_ROW)
        .map(|port| with_services(&port.port.to_string(), &port.services))
        .collect();
    let more = source.ports.len().saturating_sub(PORTS_IN_A_ROW);
    if more > 0 || source.on_further_ports > 0 {
        let least = if source.on_further_ports > 0 {
            "at least "
        } else {
            ""
        };
        ports.push(format!(
            "and {least}{} more",
            more.max(usize::from(source.on_further_ports > 0))
        ));
    }
    ports.join(", ")
}

pub(super) fn with_services(port: &str, services: &[ServiceName]) -> String {
    match services {
        [] => port.to_owned(),
        [one] => format!("{port} {one}"),
        [one, other] => format!("{port} {one} or {other}"),
        [one, rest @ ..] => format!("{port} {one} or {} others", rest.len()),
    }
}

/// Whether the site lets it through: once when it is the same for all its ports, else port by port.
pub(super) fn conduits(source: &SourceReport) -> String {
    let told = |port: &PortCount| port.way.as_ref().map(way);
    let mut ports = source
        .ports
        .iter()
        .filter_map(|port| Some((port.port, told(port)?)));
    let Some((_, first)) = ports.next() else {
        return String::new();
    };
    if ports.all(|(_, other)| other == first) {
        return first;
    }
    let open = source
        .ports
        .iter()
        .filter(|port| port.way != Some(Way::NoConduit));
    let mut open: Vec<String> = open
        .filter_map(|port| Some(format!("{}: {}", port.port, told(port)?)))
        .collect();
    let more = open.len().saturating_sub(PORTS_IN_A_ROW);
    open.truncate(PORTS_IN_A_ROW);
    if more > 0 {
        open.push(format!("and {more} more"));
    }
    if source.ports.iter().any(|port| port.way == Some(Way::NoConduit)) {
        open.push("no conduit to the others".into());
    }
    open.join(", ")
}

fn way(way: &Way) -> String {
    match way {
        Way::InsideZone => "inside the zone".into(),
        Way::Conduit { conduits } => conduits.join(", "),
        Way::ConduitToSome { conduits } => format!("{}, elsewhere none", conduits.join(", ")),
        Way::NoConduit => "no conduit".into(),
    }
}

fn services(report: &Report) -> String {
    // One port that was asked for is in the headline already.
    if report.services.len() < 2 {
        return String::new();
    }
    let header = [
        "port",
        "service",
        "packets",
        "blocked",
        "got through",
        "unknown",
        "first (utc)",
        "last (utc)",
    ];
    let rows = report.services.iter().map(|service| {
        let mut row = vec![
            service.port.to_string(),
            with_services("", &service.services).trim().to_owned(),
        ];
        row.extend(counts(service.attempts, service.verdicts));
        row.extend([clock(service.first), clock(service.last)]);
        row
    });
    columns(&header, rows)
}

fn groups(what: &str, none: &str, groups: &[GroupCount]) -> String {
    if groups.is_empty() {
        return String::new();
    }
    let header = [
        what,
        "sources",
        "packets",
        "blocked",
        "got through",
        "unknown",
        "first (utc)",
        "last (utc)",
    ];
    let rows = groups.iter().map(|group| {
        let mut row = vec![
            group.name.clone().unwrap_or_else(|| none.into()),
            group.sources.to_string(),
        ];
        row.extend(counts(group.attempts, group.verdicts));
        row.extend([clock(group.first), clock(group.last)]);
        row
    });
    columns(&header, rows)
}

/// Why lines could not be read, and the first of them with their place.
fn unreadable(text: &mut String, report: &Report) {
    if report.unreadable == 0 {
        return;
    }
    let _ = writeln!(text, "{} lines could not be read:", report.unreadable);
    for reason in &report.unreadable_reasons {
        let _ = writeln!(text, "  {}: {}", reason.lines, reason.reason);
    }
    for line in &report.unreadable_lines {
        let place = match &line.read_from {
            LogSource::File { path, line, .. } => format!("{}:{line}", sanitize(path)),
            LogSource::Nflog { group } => format!("log group {group}"),
        };
        let _ = writeln!(text, "  {place}: {}: {}", line.reason, line.text);
    }
}

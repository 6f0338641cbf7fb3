//! The answers as tables, for the text and for the page.

use std::fmt::Write as _;

use portcullis_model::{ChangeState, ServiceName};
use portcullis_ops::logs::{
    ChangeReport, GroupCount, PhaseCounts, PortCount, Report, SourceReport, VerdictCounts, Way,
};

use super::clock;

/// Ports of one source that are named in its row.
const PORTS_IN_A_ROW: usize = 4;

/// A header, and rows of as many cells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) header: Vec<&'static str>,
    pub(super) rows: Vec<Vec<String>>,
}

/// Those that say something, each with its name, in the order in which they matter.
pub(super) fn all(report: &Report) -> Vec<(&'static str, Table)> {
    let mut all = vec![("Sources", sources(report))];
    // One port that was asked for is in the headline already.
    if report.services.len() > 1 {
        all.push(("Services", services(report)));
    }
    all.push(("Zones", groups("zone", "no zone", &report.zones)));
    all.push(("Countries", groups("country", "not told", &report.countries)));
    if report.distinct_networks < report.distinct_sources {
        all.push(("Networks", groups("network", "", &report.networks)));
    }
    all.retain(|(_, table)| !table.rows.is_empty());
    all
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
fn phases_of(change: &ChangeReport) -> Vec<(&'static str, String, PhaseCounts)> {
    let mut phases = vec![("before", String::new(), change.before)];
    phases.push(("on trial", clock(Some(change.loaded)), change.trial));
    if let Some(confirmed) = change.confirmed {
        phases.push(("after", clock(Some(confirmed)), change.after));
    }
    if let Some(ended) = change.ended {
        phases.push((end(change), clock(Some(ended)), change.taken_back));
    }
    phases
}

/// What ended a change, or will.
pub(super) fn end(change: &ChangeReport) -> &'static str {
    if change.state == ChangeState::RolledBack.to_string() {
        "taken back"
    } else {
        "trial over"
    }
}

/// Before it, under it and after it.
pub(super) fn phases(change: &ChangeReport) -> Table {
    let header = vec!["", "since (UTC)", "packets", "blocked", "got through", "unknown"];
    let rows = phases_of(change).into_iter().map(|(name, since, phase)| {
        let mut row = vec![name.to_owned(), since];
        row.extend(counts(phase.attempts, phase.verdicts));
        row
    });
    Table {
        header,
        rows: rows.collect(),
    }
}

fn counts(attempts: u64, verdicts: VerdictCounts) -> [String; 4] {
    [attempts, verdicts.blocked, verdicts.allowed, verdicts.unknown].map(|count| count.to_string())
}

fn sources(report: &Report) -> Table {
    let has_site = !report.zones.is_empty();
    let has_sessions = report.sources.iter().any(|source| source.sessions.is_some());
    let mut header = vec!["source", "packets", "blocked", "got through", "unknown"];
    header.extend(["first (UTC)", "last (UTC)", "to"]);
    if !report.countries.is_empty() {
        header.push("country");
    }
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
        if !report.countries.is_empty() {
            row.push(source.country.clone().unwrap_or_else(|| "not told".into()));
        }
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
    Table {
        header,
        rows: rows.collect(),
    }
}

/// How many sessions, and the length of the longest one.
fn sessions(source: &SourceReport) -> [String; 2] {
    source.sessions.map_or_else(Default::default, |told| {
        [told.sessions.to_string(), duration(told.longest_seconds)]
    })
}

/// A length of time as people say it, in two units at most.
fn duration(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        ..60 => format!("{seconds} s"),
        60..3600 => format!("{minutes} min {} s", seconds % 60),
        3600..86_400 => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

/// Its address, and that it is ours.
fn name(source: &SourceReport) -> String {
    match &source.vantage {
        Some(vantage) => format!("{} (ours: {vantage})", source.address),
        None => source.address.to_string(),
    }
}

/// The ports that it tried most, with the services that are usual there.
fn to(source: &SourceReport) -> String {
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

fn with_services(port: &str, services: &[ServiceName]) -> String {
    match services {
        [] => port.to_owned(),
        [one] => format!("{port} {one}"),
        [one, other] => format!("{port} {one} or {other}"),
        [one, rest @ ..] => format!("{port} {one} or {} others", rest.len()),
    }
}

/// Whether the site lets it through: once when it is the same for all its ports, else port by port.
fn conduits(source: &SourceReport) -> String {
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

fn services(report: &Report) -> Table {
    let header = vec![
        "port",
        "service",
        "packets",
        "blocked",
        "got through",
        "unknown",
        "first (UTC)",
        "last (UTC)",
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
    Table {
        header,
        rows: rows.collect(),
    }
}

fn groups(what: &'static str, none: &str, groups: &[GroupCount]) -> Table {
    let header = vec![
        what,
        "sources",
        "packets",
        "blocked",
        "got through",
        "unknown",
        "first (UTC)",
        "last (UTC)",
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
    Table {
        header,
        rows: rows.collect(),
    }
}

#[cfg(test)]
mod tests {
    use portcullis_model::Port;

    use super::*;

    #[test]
    fn what_is_not_known_of_the_times_around_a_change_is_said() {
        let none = PhaseCounts::default();
        let change = |time_assumed, without_time| ChangeReport {
            change: "7c1e".into(),
            state: "on trial".into(),
            port: Port::tcp(54321),
            loaded: "2026-11-22T12:00:00Z".parse().unwrap(),
            confirmed: None,
            ended: None,
            before: PhaseCounts { time_assumed, ..none },
            trial: PhaseCounts { time_assumed, ..none },
            after: none,
            taken_back: none,
            without_time,
            got_through: 0,
            got_through_first: None,
        };
        assert_eq!(
            around(&change(0, 0)),
            "Around change 7c1e of tcp/54321 (on trial):"
        );
        assert_eq!(
            around(&change(2, 3)),
            "Around change 7c1e of tcp/54321 (on trial): the time of 4 lines was assumed in part, and they may belong to another \
             row; 3 attempts have no time and are in no row"
        );
        let rows: Vec<String> = phases(&change(0, 0))
            .rows
            .iter()
            .map(|row| row.join(" ").trim().to_owned())
            .collect();
        assert_eq!(rows, ["before  0 0 0 0", "on trial 2026-11-22 12:00:00 0 0 0 0"]);
        let over = |state: ChangeState| {
            let change = ChangeReport {
                state: state.to_string(),
                ended: Some("2026-11-22T12:02:00Z".parse().unwrap()),
                ..change(0, 0)
            };
            phases(&change).rows[2].join(" ")
        };
        assert_eq!(
            over(ChangeState::FellBack),
            "trial over 2026-11-22 12:02:00 0 0 0 0"
        );
        assert_eq!(
            over(ChangeState::RolledBack),
            "taken back 2026-11-22 12:02:00 0 0 0 0"
        );
    }

    #[test]
    fn a_length_of_time_has_two_units_at_most() {
        let told = [0, 59, 60, 719, 3600, 86_399, 90_000].map(duration);
        assert_eq!(
            told,
            [
                "0 s",
                "59 s",
                "1 min 0 s",
                "11 min 59 s",
                "1 h 0 min",
                "23 h 59 min",
                "1 d 1 h"
            ]
        );
    }
}

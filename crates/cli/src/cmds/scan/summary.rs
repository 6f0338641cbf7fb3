//! What a scan has found, for people.

use std::{fmt::Write as _, net::IpAddr};

use portcullis_model::{
    Confidence, Felt, Grade, Identification, NotTested, Observation, Port, PortState, sanitize,
};
use portcullis_ops::scan::{Scanned, Signature, Tightening};
use serde_json::Value;

use crate::{output::table, progress::duration};

/// `again` is the command line that goes on with it.
pub(super) fn text(scanned: &Scanned, again: Option<&str>) -> String {
    let open: Vec<&Observation> = scanned
        .observations
        .iter()
        .filter(|observation| observation.state == PortState::Open)
        .collect();
    let mut text = String::new();
    if open.is_empty() {
        text.push_str("No open port was seen.\n");
    } else {
        let rows = open.iter().map(|observation| {
            [
                observation.address.to_string(),
                observation.port.to_string(),
                observation.state.to_string(),
                shown_identity(observation),
            ]
        });
        let _ = writeln!(text, "{}", table(["address", "port", "state", "service"], rows));
        text.push('\n');
        for observation in &open {
            text.push_str(&reasons(observation));
        }
    }
    if !text.ends_with("\n\n") {
        text.push('\n');
    }
    text.push_str(&summary(scanned, again));
    text
}

fn shown_identity(observation: &Observation) -> String {
    match observation.best() {
        Some(best) => format!("{} ({}){}", best.service, best.grade, fields(best)),
        None => "not identified".into(),
    }
}

fn fields(identification: &Identification) -> String {
    let shown: Vec<String> = identification
        .fields
        .iter()
        .map(|(name, value)| format!("{name} {value}"))
        .collect();
    if shown.is_empty() {
        String::new()
    } else {
        format!(": {}", shown.join(", "))
    }
}

/// Why a port is called what it is called, and why it is not called something else.
fn reasons(observation: &Observation) -> String {
    let mut text = String::new();
    for identification in &observation.identifications {
        let verdict = match identification.grade {
            Grade::RuledOut => format!("{} is ruled-out", identification.service),
            grade => format!("{} is {grade}", identification.service),
        };
        let _ = writeln!(text, "{} {}: {verdict}", observation.address, observation.port);
        for reason in &identification.reasons {
            let _ = writeln!(text, "    {reason}");
        }
    }
    text
}

fn summary(scanned: &Scanned, again: Option<&str>) -> String {
    let count = |state| {
        scanned
            .observations
            .iter()
            .filter(|observation| observation.state == state)
            .count()
    };
    let coverage = &scanned.run.coverage;
    let silent: usize = coverage
        .silent
        .iter()
        .map(|range| addresses(range.first, range.last) * range.ports.len())
        .sum();
    let gaps = scanned.run.not_tested.iter();
    let untested: usize = gaps
        .map(|gap| addresses(gap.first, gap.last) * gap.ports.len())
        .sum();
    let mut text = format!(
        "Seen from {}: {} x {}: {} open, {} closed, {} filtered, {} no-answer, {untested} not tested.",
        scanned.run.vantage,
        counted(scanned.addresses, "address", "addresses"),
        counted(scanned.ports, "port", "ports"),
        count(PortState::Open),
        count(PortState::Closed),
        count(PortState::Filtered),
        count(PortState::NoAnswer) + silent,
    );
    let _ = write!(
        text,
        " {} packets, at most {} connection(s) to a host at a time",
        coverage.packets, scanned.counters.most_connections_per_host
    );
    if let Some(ended) = scanned.run.ended {
        let elapsed = ended.duration_since(scanned.run.started).unsigned_abs();
        let _ = write!(text, ", {}", duration(elapsed));
    }
    text.push_str(".\n");
    text.push_str(&authority(scanned));
    text.push_str(&silence(scanned));
    text.push_str(&felt(&coverage.devices));
    text.push_str(&guards(&coverage.guards));
    for remark in &coverage.remarks {
        let _ = writeln!(text, "{} is {}: {}.", remark.address, remark.label, remark.reason);
    }
    if let Some(reason) = &coverage.stopped {
        let _ = writeln!(text, "It stopped itself: {}.", sanitize(reason));
    }
    if scanned.interrupted {
        text.push_str("Stopped before its end: what is listed below was not tested.\n");
    }
    if let Some(again) = again {
        let _ = writeln!(text, "To go on: {again}");
    }
    for not_tested in &scanned.run.not_tested {
        let _ = writeln!(text, "Not tested: {}", shown_gap(not_tested));
    }
    for doubt in &coverage.in_doubt {
        let (first, last, looks) = (doubt.first, doubt.last, doubt.looks);
        let _ = writeln!(
            text,
            "In doubt: {}: silent at {looks} look(s)",
            shown(first, last, &doubt.ports)
        );
    }
    text
}

/// How often the silent ones were asked, and how sure that makes their silence.
fn silence(scanned: &Scanned) -> String {
    let coverage = &scanned.run.coverage;
    let told = scanned
        .observations
        .iter()
        .filter(|one| one.state == PortState::NoAnswer);
    let told: Vec<Option<Confidence>> = told.map(|one| one.confidence).collect();
    if told.is_empty() && coverage.silent.is_empty() {
        return String::new();
    }
    let Some(loss) = coverage.loss else {
        return "Nothing answered, so that loss could not be measured, and the silence proves nothing: it is in doubt. Name a host \
                that is known to answer among the targets.\n"
            .into();
    };
    let ranges = coverage.silent.iter().map(|range| range.confidence);
    let least = told.into_iter().chain(ranges).flatten().min();
    let least = least
        .map(|least| format!("; each silence is {least} sure or more"))
        .unwrap_or_default();
    format!(
        "Loss: {} of {} questions to ports that answer stayed without an answer{least}.\n",
        loss.lost, loss.asked
    )
}

/// What the devices felt that felt most.
fn felt(devices: &[Felt]) -> String {
    let most = |value: fn(&Felt) -> u32| devices.iter().max_by_key(|felt| value(felt));
    let (Some(packets), Some(connections), Some(burst)) = (
        most(|felt| felt.packets),
        most(|felt| felt.connections),
        most(|felt| felt.largest_burst),
    ) else {
        return String::new();
    };
    let connections = match connections.connections {
        0 => "no connection".into(),
        count => format!("{count} connections ({})", connections.address),
    };
    format!(
        "A device felt at most {} packets ({}), {connections} and bursts of {} packets ({}).\n",
        packets.packets, packets.address, burst.largest_burst, burst.address
    )
}

fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// What the watched neighbours answered. The reports are ours, and were kept as JSON.
fn guards(reports: &[Value]) -> String {
    let mut text = String::new();
    for report in reports {
        let number = |key: &str| report.get(key).and_then(Value::as_f64);
        let slowest =
            number("slowest_ms").map_or_else(|| "none".into(), |slowest| format!("{slowest:.1} ms"));
        let _ = writeln!(
            text,
            "Guard {}: asked {} times, {} without an answer; usual answer before {:.1} ms, slowest since {slowest}.",
            report.get("guard").and_then(Value::as_str).unwrap_or_default(),
            number("samples").unwrap_or_default(),
            number("unanswered").unwrap_or_default(),
            number("baseline_median_ms").unwrap_or_default(),
        );
        for event in report
            .get("events")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            let part = |key: &str| event.get(key).and_then(Value::as_str).unwrap_or_default();
            let _ = writeln!(text, "    {} {}", part("at"), part("what"));
        }
    }
    text
}

/// Whose word it was done on, what that made slower, and what became of it.
fn authority(scanned: &Scanned) -> String {
    let Some(used) = &scanned.permission else {
        return String::new();
    };
    let owner = sanitize(&used.permission.owner);
    let signer = sanitize(used.permission.signed_by.as_deref().unwrap_or_default());
    let signature = match used.signature {
        Signature::None => "not signed".to_owned(),
        Signature::NotChecked => format!("said to be signed by {signer}, signature not checked"),
        Signature::Checked => format!("signed by {signer}, signature checked"),
    };
    let mut text = format!("By the permission of {owner}: {signature}.\n");
    for slowed in &scanned.slowed {
        let _ = writeln!(text, "Slower than asked for: {slowed}.");
    }
    for tightening in &scanned.tightenings {
        let _ = match tightening {
            Tightening::Narrowed(_) => writeln!(text, "The permission was tightened while the scan ran."),
            Tightening::Withdrawn { why, .. } => {
                writeln!(
                    text,
                    "The permission was withdrawn while the scan ran: {}.",
                    sanitize(why)
                )
            }
        };
    }
    text
}

fn shown_gap(gap: &NotTested) -> String {
    format!("{}: {}", shown(gap.first, gap.last, &gap.ports), gap.reason)
}

fn shown(first: IpAddr, last: IpAddr, ports: &[Port]) -> String {
    let range = if first == last {
        first.to_string()
    } else {
        format!("{first} - {last}")
    };
    let named: Vec<String> = ports.iter().take(4).map(Port::to_string).collect();
    let more = match ports.len().saturating_sub(4) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{range} {}{more}", named.join(", "))
}

/// Number of addresses in a range of one family.
fn addresses(first: IpAddr, last: IpAddr) -> usize {
    use IpAddr::{V4, V6};
    let span = match (first, last) {
        (V4(first), V4(last)) => u128::from(u32::from(last).saturating_sub(u32::from(first))),
        (V6(first), V6(last)) => u128::from(last).saturating_sub(u128::from(first)),
        _ => 0,
    };
    usize::try_from(span).unwrap_or(usize::MAX).saturating_add(1)
}

//! `portcullis reach --diff`

use std::fmt::Write as _;

use portcullis_firewall::reach::{Changed, Difference, Passage};
use portcullis_model::{Exit, sanitize};
use portcullis_ops::reach::Reached;
use serde::Serialize;

use super::{fate, heading, some, sources, word};
use crate::{
    arguments::Global,
    cmds::Outcome,
    output::{View as Output, table},
};

/// Sources whose fate changes.
#[derive(Debug, Serialize)]
struct Record<'a> {
    port: String,
    family: &'static str,
    interfaces: &'a [String],
    destinations: Vec<String>,
    sources: Vec<String>,
    source_ports: Option<String>,
    before: &'static str,
    led_before: Option<&'a str>,
    after: &'static str,
    led_after: Option<&'a str>,
    because: Vec<String>,
}

/// Exit codes: 0 nothing changes, 1 something does, 3 something does of which it cannot be concluded what.
pub(super) fn show(global: &Global, reached: &Reached, other: &str, differences: &[Difference]) -> Outcome {
    let records: Vec<Record<'_>> = differences
        .iter()
        .flat_map(|difference| {
            difference
                .changed
                .iter()
                .map(move |changed| record(reached, difference, changed))
        })
        .collect();
    Output::text(text(reached, other, differences, global.verbose > 0))
        .all("reach-diff", &records)
        .print(global.format)?;
    let fates = || {
        let changed = differences.iter().flat_map(|difference| &difference.changed);
        changed.flat_map(|changed| [changed.before, changed.after])
    };
    Ok(if fates().any(|fate| fate == Passage::Unknown) {
        Exit::Partial
    } else if differences.is_empty() {
        Exit::Clean
    } else {
        Exit::Found
    })
}

fn record<'a>(reached: &Reached, difference: &'a Difference, changed: &'a Changed) -> Record<'a> {
    Record {
        port: reached.port.to_string(),
        family: if difference.is_ipv4 { "ipv4" } else { "ipv6" },
        interfaces: &difference.interfaces,
        destinations: difference.destinations.iter().map(ToString::to_string).collect(),
        sources: changed.sources.iter().map(ToString::to_string).collect(),
        source_ports: changed.source_ports.as_ref().map(ToString::to_string),
        before: word(changed.before),
        led_before: changed.led_before.as_deref(),
        after: word(changed.after),
        led_after: changed.led_after.as_deref(),
        because: changed.because.iter().map(ToString::to_string).collect(),
    }
}

fn text(reached: &Reached, other: &str, differences: &[Difference], everything: bool) -> String {
    let mut text = format!(
        "{}: what changes from the rules of {} to those of {}\n",
        reached.port,
        sanitize(&reached.source),
        sanitize(other)
    );
    for difference in differences {
        let place = heading(
            difference.is_ipv4,
            &difference.interfaces,
            &difference.destinations,
        );
        let rows = difference.changed.iter().map(|changed| {
            let mut from = sources(&changed.sources, difference.is_ipv4, everything);
            if let Some(ports) = &changed.source_ports {
                let _ = write!(from, " (source port {ports})");
            }
            let because: Vec<String> = changed.because.iter().map(ToString::to_string).collect();
            [
                from,
                fate(changed.before, changed.led_before.as_deref()),
                fate(changed.after, changed.led_after.as_deref()),
                some(&because, everything),
            ]
        });
        let _ = writeln!(
            text,
            "\n{place}\n{}",
            table(["from", "was", "is", "because of"], rows)
        );
    }
    if differences.is_empty() {
        text.push_str("\nNothing: the same sources get through.");
    }
    text
}

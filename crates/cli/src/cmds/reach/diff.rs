//! `portcullis reach --diff`

use std::fmt::Write as _;

use portcullis_firewall::reach::{Changed, Difference, Passage, Remark};
use portcullis_model::{Exit, sanitize};
use portcullis_ops::reach::{Instead, Reached};
use serde::Serialize;

use super::{fate, heading, some, sources, to_look_at, word};
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
pub(super) fn show(global: &Global, reached: &Reached, instead: &Instead) -> Outcome {
    let differences = &instead.differences;
    let records: Vec<Record<'_>> = differences
        .iter()
        .flat_map(|difference| {
            difference
                .changed
                .iter()
                .map(move |changed| record(reached, difference, changed))
        })
        .collect();
    Output::text(text(reached, instead, global.verbose > 0))
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

fn text(reached: &Reached, instead: &Instead, everything: bool) -> String {
    let mut text = format!(
        "{}: what changes from the rules of {} to those of {}\n",
        reached.port,
        sanitize(&reached.source),
        sanitize(&instead.source)
    );
    for difference in &instead.differences {
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
    if instead.differences.is_empty() {
        text.push_str("\nNothing: the same sources get through.\n");
    }
    if instead.leaves_groups {
        let _ = write!(text, "\n{}", to_look_at(&[Remark::NoGroups]));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_asked_for_is_told_also_where_nothing_changes() {
        let reached = Reached {
            port: portcullis_model::Port::tcp(5353),
            source: "this host".into(),
            rules: 1,
            views: Vec::new(),
            has_site: false,
            without_conduit: None,
            remarks: Vec::new(),
            instead: None,
        };
        let told = |leaves_groups: bool| {
            let instead = Instead {
                source: "new.json".into(),
                differences: Vec::new(),
                leaves_groups,
            };
            text(&reached, &instead, false)
        };
        assert!(told(true).ends_with(
            "\nNothing: the same sources get through.\n\nTo look at:\n  packets to broadcast and multicast addresses are not among \
             these: reach --address asks for them, as in --address 255.255.255.255 224.0.0.251 ff02::fb"
        ));
        assert!(!told(false).contains("To look at"));
    }
}

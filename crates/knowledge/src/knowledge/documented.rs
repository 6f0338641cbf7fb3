//! docs/knowledge.md says what the data and the tests say.

use std::collections::BTreeMap;

use super::*;
use crate::samples::samples;

const DOCUMENT: &str = include_str!("../../../../docs/knowledge.md");

/// The cells of each row of the services' table, by service.
fn rows() -> BTreeMap<String, Vec<String>> {
    let section = DOCUMENT.split("## The services").nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    section
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.strip_suffix(" |"))
        .map(|line| {
            let cells: Vec<String> = line.split(" | ").map(str::to_owned).collect();
            (cells[0].trim_end_matches('`').to_owned(), cells)
        })
        .collect()
}

/// Ports as the table writes them, each on its own.
fn ports(cell: &str) -> BTreeSet<Port> {
    let mut ports = BTreeSet::new();
    for part in cell.split(", ").filter(|part| *part != "none") {
        let (first, last) = part.split_once(" to ").unwrap_or((part, ""));
        let first: Port = first.parse().unwrap();
        let last = last.parse().unwrap_or(first.number);
        ports.extend((first.number..=last).map(|number| Port { number, ..first }));
    }
    ports
}

#[test]
fn the_table_has_every_service_with_its_ports_and_its_hazard() {
    let knowledge = Knowledge::builtin().unwrap();
    let rows = rows();
    let documented: BTreeSet<String> = rows.keys().cloned().collect();
    let known: BTreeSet<String> = knowledge.names().iter().map(ToString::to_string).collect();
    assert_eq!(
        documented, known,
        "left: docs/knowledge.md, right: knowledge/services"
    );
    for service in knowledge.services.values() {
        let cells = &rows[service.name.as_str()];
        assert_eq!(cells.len(), 7, "{}", service.name);
        assert_eq!(
            ports(&cells[1]),
            service.ports.iter().copied().collect(),
            "{}",
            service.name
        );
        let hazard = match service.hazard {
            Hazard::Silent => "silent",
            Hazard::Banner => "banner",
            Hazard::ReadOnlyRequest => "read-only-request",
            Hazard::OptIn => "opt-in",
        };
        assert_eq!(cells[2], hazard, "{}", service.name);
        let sends = !cells[3].starts_with("nothing");
        // The request of SNMP is made from the community that a person gives.
        let asks = service.request.is_some() || ["snmp", "profinet-dcp"].contains(&service.name.as_str());
        assert_eq!(sends, asks, "{}", service.name);
    }
}

#[test]
fn the_table_names_what_each_service_is_tested_with() {
    let rows = rows();
    let mut tested = BTreeSet::new();
    for sample in samples() {
        let cell = &rows[sample.service][6];
        assert!(cell.contains(sample.source), "{}: {cell}", sample.service);
        let fields = &rows[sample.service][5];
        for (field, _) in &sample.fields {
            let listed = fields.split([' ', ',']).any(|word| word == *field);
            assert!(listed, "{}: {field} is not in {fields}", sample.service);
        }
        tested.insert(sample.service);
    }
    // Its stand-in bytes are those of its own module.
    tested.insert(crate::profinet::SERVICE);
    for (service, cells) in &rows {
        let untested = cells[6].starts_with("nothing to prove it by");
        assert_eq!(untested, !tested.contains(service.as_str()), "{service}");
    }
}

#[test]
fn the_example_is_a_service_file() {
    let block: String = DOCUMENT
        .lines()
        .skip_while(|line| !line.starts_with("    name = "))
        .take_while(|line| line.is_empty() || line.starts_with("    "))
        .map(|line| format!("{}\n", line.trim_start()))
        .collect();
    let knowledge = Knowledge::read(&[("acme-console.toml", &block)]).unwrap();
    assert_eq!(knowledge.default_ports(), [Port::tcp(8088)]);
    let with_all = Knowledge::builtin_with(&[("acme-console.toml", &block)]).unwrap();
    assert_eq!(with_all.names().len(), builtin::FILES.len() + 1);
    // Nobody can take the place of a service that is compiled in, or get at the port of a silent one.
    for broken in [
        block.replace("acme-console", "http"),
        block.replace("8088", "54321"),
    ] {
        assert!(Knowledge::builtin_with(&[("own.toml", &broken)]).is_err());
    }
}

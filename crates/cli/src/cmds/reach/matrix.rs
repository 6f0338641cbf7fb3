//! `portcullis reach --matrix`

use std::fmt::Write as _;

use portcullis_firewall::reach::Remark;
use portcullis_model::{Exit, sanitize};
use portcullis_ops::reach::{Cell, Matrix, Row, Stance};
use serde::Serialize;

use super::to_look_at;
use crate::{
    arguments::Global,
    cmds::Outcome,
    output::{View as Output, columns},
};

/// One zone and one port.
#[derive(Debug, Serialize)]
struct Record<'a> {
    port: String,
    services: &'a [String],
    zone: &'a str,
    stance: Stance,
    /// Whether somebody gets through without a conduit; null where the site does not declare the host.
    exposed: Option<bool>,
}

/// Exit codes: 0 nobody gets through without a conduit, 1 somebody does, 3 something cannot be concluded.
pub(super) fn show(global: &Global, matrix: &Matrix) -> Outcome {
    let records: Vec<Record<'_>> = matrix
        .rows
        .iter()
        .flat_map(|row| {
            matrix.zones.iter().zip(&row.cells).map(|(zone, cell)| Record {
                port: row.port.to_string(),
                services: &row.services,
                zone,
                stance: cell.stance,
                exposed: cell.exposed,
            })
        })
        .collect();
    Output::text(text(matrix))
        .all("reach-matrix", &records)
        .print(global.format)?;
    Ok(match (matrix.is_exposed(), matrix.is_in_part()) {
        (true, _) => Exit::Found,
        (false, true) => Exit::Partial,
        (false, false) => Exit::Clean,
    })
}

fn text(matrix: &Matrix) -> String {
    let header: Vec<&str> = ["port", "services"]
        .into_iter()
        .chain(matrix.zones.iter().map(String::as_str))
        .collect();
    let mut text = format!(
        "Who gets through by the {} rule(s) of {}, by zones\n\n{}\n\n`no`: nobody of the zone; `yes`: everybody; `partly`: \
         some, or on some interfaces; `?`: cannot be concluded; {}",
        matrix.rules,
        sanitize(&matrix.source),
        columns(&header, matrix.rows.iter().map(line)),
        match matrix.is_declared() {
            true => "`!`: without a conduit",
            false => {
                "the site.toml does not declare the addresses of that host: --interface or --address names them, and then it \
                 is compared with the conduits"
            }
        }
    );
    if matrix.leaves_groups {
        let _ = write!(text, "\n\n{}", to_look_at(&[Remark::NoGroups]));
    }
    text
}

fn line(row: &Row) -> Vec<String> {
    let first = [row.port.to_string(), row.services.join(", ")];
    first.into_iter().chain(row.cells.iter().map(word)).collect()
}

fn word(cell: &Cell) -> String {
    let stance = match cell.stance {
        Stance::Blocked => "no",
        Stance::Through => "yes",
        Stance::Partly => "partly",
        Stance::CannotConclude => "?",
    };
    match cell.exposed {
        Some(true) => format!("{stance} !"),
        _ => stance.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_asked_for_stands_beneath_the_table() {
        let told = |leaves_groups: bool| {
            text(&Matrix {
                source: "this host".into(),
                rules: 1,
                zones: vec!["office".into()],
                rows: Vec::new(),
                leaves_groups,
            })
        };
        assert!(told(true).contains("To look at:\n  packets to broadcast and multicast addresses"));
        assert!(!told(false).contains("To look at"));
    }
}

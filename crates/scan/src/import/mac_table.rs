//! Tables of switches: `show mac address-table` of Cisco IOS.
//!
//! ```text
//! Vlan    Mac Address       Type        Ports
//!   10    0090.e812.3456    DYNAMIC     Gi0/1
//! ```

use std::io::BufRead;

use portcullis_model::MacAddress;

use super::{
    lines::{Line, Lines},
    record::{Item, NeighbourSeen, PassedOver, Tool, Unread, Why, short},
};

pub(super) fn items(reader: impl BufRead) -> impl Iterator<Item = Item> {
    Lines::new(reader).filter_map(|line| match line {
        Ok(line) => item(&line),
        Err(unread) => Some(Item::Unread(unread)),
    })
}

/// Whether a line has a hardware address behind a VLAN, and a word behind it.
pub(super) fn is_entry(line: &str) -> bool {
    let is_vlan = |word: &str| word == "All" || word.parse::<u16>().is_ok();
    row(line).is_some_and(|row| row.before.is_some_and(is_vlan) && row.interface.is_some())
}

struct Row<'t> {
    before: Option<&'t str>,
    mac: MacAddress,
    interface: Option<&'t str>,
}

fn row(line: &str) -> Option<Row<'_>> {
    let mut before = None;
    let mut words = line.split_whitespace();
    let mac = loop {
        let word = words.next()?;
        match word.parse() {
            Ok(mac) => break mac,
            Err(_) => before = Some(word),
        }
    };
    Some(Row {
        before,
        mac,
        // Older systems put further columns between the type and the port.
        interface: words.next_back(),
    })
}

fn item(line: &Line) -> Option<Item> {
    let row = row(&line.text)?;
    let Some(interface) = row.interface else {
        return Some(Item::Unread(Unread {
            line: line.number,
            why: Why::Missing("port of the switch"),
        }));
    };
    Some(if row.mac.is_group() {
        Item::PassedOver(PassedOver::Group, 1)
    } else if matches!(interface, "CPU" | "Router" | "Switch") {
        Item::PassedOver(PassedOver::Own, 1)
    } else {
        Item::Neighbour(NeighbourSeen {
            tool: Tool::MacTable,
            line: line.number,
            at: None,
            address: None,
            mac: row.mac,
            interface: Some(short(interface)),
            vlan: row.before.and_then(|vlan| vlan.parse().ok()),
        })
    })
}

//! Neighbour tables of hosts: `arp -a` (Linux, Windows, BSD, macOS), `arp -n`, `ip neigh`, `/proc/net/arp`.
//!
//! ```text
//! ? (10.7.10.10) at 00:90:e8:12:34:56 [ether] on eth0          Linux, BSD
//!   10.7.10.10           00-90-e8-12-34-56     dynamic         Windows, in any language
//! 10.7.10.10 dev eth0 lladdr 00:90:e8:12:34:56 REACHABLE       ip neigh
//! ```
//!
//! All of them put the address before the hardware address, which is all that is needed to read them.

use std::{io::BufRead, net::IpAddr};

use portcullis_model::MacAddress;

use super::{
    lines::{Line, Lines},
    record::{self, Item, NeighbourSeen, PassedOver, Tool, Unread, Why, short},
};

pub(super) fn items(reader: impl BufRead) -> impl Iterator<Item = Item> {
    Lines::new(reader).filter_map(|line| match line {
        Ok(line) => item(&line),
        Err(unread) => Some(Item::Unread(unread)),
    })
}

/// Whether a line has an address and behind it a hardware address.
pub(super) fn is_entry(line: &str) -> bool {
    address(line).is_some_and(|(_, rest)| mac(rest).is_some())
}

fn item(line: &Line) -> Option<Item> {
    let unread = |why| {
        Item::Unread(Unread {
            line: line.number,
            why,
        })
    };
    let Some((address, rest)) = address(&line.text) else {
        let named = mac(&line.text).is_some();
        return named.then(|| unread(Why::Missing("address: run it again with -n")));
    };
    let Some(mac) = mac(rest) else {
        // A heading of Windows, in any language: `Interface: 10.7.20.5 --- 0x4`.
        if rest.trim_start().starts_with("---") {
            return None;
        }
        let unanswered = ["incomplete", "FAILED", "INCOMPLETE", "NOARP"];
        return Some(if unanswered.iter().any(|word| rest.contains(word)) {
            Item::PassedOver(PassedOver::Incomplete, 1)
        } else {
            unread(Why::Missing("hardware address"))
        });
    };
    Some(if mac.is_zero() {
        Item::PassedOver(PassedOver::Incomplete, 1)
    } else if mac.is_group() || address.is_multicast() {
        Item::PassedOver(PassedOver::Group, 1)
    } else {
        Item::Neighbour(NeighbourSeen {
            tool: Tool::Neighbours,
            line: line.number,
            at: None,
            address: Some(address),
            mac,
            interface: interface(rest).map(short),
            vlan: None,
        })
    })
}

/// The first address of a line and what stands behind it.
fn address(line: &str) -> Option<(IpAddr, &str)> {
    let mut rest = line;
    loop {
        rest = rest.trim_start();
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let (word, behind) = rest.split_at_checked(end).filter(|(word, _)| !word.is_empty())?;
        if let Ok(address) = record::address(word.trim_matches(['(', ')'])) {
            return Some((address, behind));
        }
        rest = behind;
    }
}

fn mac(text: &str) -> Option<MacAddress> {
    text.split_whitespace().find_map(|word| word.parse().ok())
}

/// The word behind `on` or `dev`, else the last of a table of Linux.
fn interface(rest: &str) -> Option<&str> {
    let mut words = rest.split_whitespace();
    if words.by_ref().any(|word| word == "on" || word == "dev") {
        return words.next();
    }
    let is_table = rest.contains("ether") || rest.contains("0x");
    is_table.then(|| rest.split_whitespace().next_back()).flatten()
}

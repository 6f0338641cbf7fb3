//! The tables and chains of the kernel (iptables(8); `linux/netfilter_ipv4.h`).

use super::{Damage, Program, shown, words::Word};
use crate::{
    family::Family,
    reach::ruleset::{Base, Hook, Kind, Scope, Table},
};

const ALL: [Hook; 5] = [
    Hook::Prerouting,
    Hook::Input,
    Hook::Forward,
    Hook::Output,
    Hook::Postrouting,
];

/// The hooks at which a table of the kernel has a chain; `None` where there is no such table.
fn hooks(table: &str) -> Option<&'static [Hook]> {
    Some(match table {
        "filter" | "security" => &[Hook::Input, Hook::Forward, Hook::Output],
        "nat" => &[Hook::Prerouting, Hook::Input, Hook::Output, Hook::Postrouting],
        "mangle" => &ALL,
        "raw" => &[Hook::Prerouting, Hook::Output],
        _ => return None,
    })
}

/// `*filter`
pub(super) fn begin(line: &str, by: Program) -> Result<Table, Damage> {
    let name = line.strip_prefix('*').unwrap_or(line).trim();
    if hooks(name).is_none() {
        let why = format!(
            "`{}` is no table: there are filter, nat, mangle, raw and security",
            shown(name)
        );
        return Err(Damage::at(2, why));
    }
    Ok(Table {
        scope: match by.family {
            Family::V4 => Scope::V4,
            Family::V6 => Scope::V6,
        },
        name: format!("{by} {name}"),
        dormant: Some(false),
        sets: Default::default(),
        chains: Default::default(),
    })
}

/// Where a chain of the kernel stands; others have no policy, which is written as `-`.
pub(super) fn base(table: &Table, chain: &str, policy: &Word<'_>) -> Result<Option<Base>, Damage> {
    let drops = match &*policy.text {
        "-" => return Ok(None),
        "ACCEPT" => false,
        "DROP" => true,
        other => return Err(Damage::of(policy, format!("`{}` is no policy", shown(other)))),
    };
    let table = table.name.split(' ').nth(1).unwrap_or_default();
    let hook = match chain {
        "PREROUTING" => Hook::Prerouting,
        "INPUT" => Hook::Input,
        "FORWARD" => Hook::Forward,
        "OUTPUT" => Hook::Output,
        "POSTROUTING" => Hook::Postrouting,
        _ => Hook::Unknown,
    };
    if !hooks(table).is_some_and(|hooks| hooks.contains(&hook)) {
        let why = format!(
            "a policy for `{}`, which is no chain of the kernel's in {table}",
            shown(chain)
        );
        return Err(Damage::of(policy, why));
    }
    let priority = match (table, hook) {
        ("raw", _) => -300,
        ("mangle", _) => -150,
        ("nat", Hook::Prerouting | Hook::Output) => -100,
        ("nat", _) => 100,
        ("security", _) => 50,
        _ => 0,
    };
    Ok(Some(Base {
        devices: Vec::new(),
        kind: if table == "nat" { Kind::Nat } else { Kind::Filter },
        hook,
        priority,
        drops,
    }))
}

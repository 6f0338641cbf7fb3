//! Reads what `iptables-save` and `ip6tables-save` print.

mod rule;
mod target;
mod words;

use super::{
    error::ReachError,
    ruleset::{At, Base, Chain, Hook, Kind, Rule, Ruleset, Scope, Table},
};
use crate::family::Family;

pub(super) use words::is_address;

/// Reads a whole save.
///
/// # Errors
/// When it breaks off within a table, or has a line that no such program prints.
pub(super) fn read(text: &str, family: Family) -> Result<Ruleset, ReachError> {
    let mut ruleset = Ruleset::default();
    let mut open: Option<Table> = None;
    let mut last = 1;
    for (number, line) in (1..).zip(text.lines()) {
        last = number;
        let damaged = |column: usize, why: &str| ReachError::Text {
            line: number,
            column,
            why: why.into(),
        };
        let line = line.strip_suffix('\r').unwrap_or(line);
        match (line.chars().next(), &mut open) {
            (None | Some('#'), _) => {}
            (Some('*'), None) => open = Some(table(line.trim_start_matches('*').trim(), family)),
            (Some('*'), Some(_)) => return Err(damaged(1, "a table begins before the last one has ended")),
            (Some(_), None) => return Err(damaged(1, "a line outside of any table")),
            (Some('C'), Some(_)) if line.trim_end() == "COMMIT" => ruleset.tables.extend(open.take()),
            (Some(':'), Some(table)) => {
                let mut words = line.trim_start_matches(':').split_whitespace();
                let name = words.next().ok_or_else(|| damaged(2, "a chain without a name"))?;
                let policy = words
                    .next()
                    .ok_or_else(|| damaged(line.len().saturating_add(1), "a chain without a policy"))?;
                let base = base(table, name, policy);
                table.chains.entry(name.to_owned()).or_default().base = base;
            }
            (Some('-' | '['), Some(table)) => {
                let words =
                    words::split(line).map_err(|column| damaged(column, "a quotation that does not end"))?;
                // A counter may stand before it.
                let skipped = usize::from(line.starts_with('['));
                let mut words = words.into_iter().skip(skipped);
                let (command, chain) = (words.next(), words.next());
                match (command.as_ref().map(|word| word.text.as_str()), chain) {
                    (Some("-A" | "--append"), Some(chain)) => {
                        let rest: Vec<_> = words.collect();
                        let steps = rule::steps(&rest, family);
                        let chain: &mut Chain = table.chains.entry(chain.text).or_default();
                        chain.rules.push(Rule {
                            at: At::Line(number),
                            steps,
                        });
                    }
                    (Some("-N" | "--new-chain"), Some(chain)) => {
                        table.chains.entry(chain.text).or_default();
                    }
                    (Some("-P" | "--policy"), Some(chain)) => {
                        let policy = words.next().map(|word| word.text).unwrap_or_default();
                        let base = base(table, &chain.text, &policy);
                        table.chains.entry(chain.text).or_default().base = base;
                    }
                    _ => return Err(damaged(1, "neither a rule nor a chain")),
                }
            }
            (Some(_), Some(_)) => {
                return Err(damaged(1, "neither a rule nor a chain nor the end of a table"));
            }
        }
    }
    match open {
        None => Ok(ruleset),
        Some(table) => Err(ReachError::Text {
            line: last,
            column: text.lines().last().map_or(0, str::len).saturating_add(1),
            why: format!("the text ends before {} does", table.name),
        }),
    }
}

fn table(name: &str, family: Family) -> Table {
    let (program, scope) = match family {
        Family::V4 => ("iptables", Scope::V4),
        Family::V6 => ("ip6tables", Scope::V6),
    };
    Table {
        scope,
        name: format!("{program} {name}"),
        dormant: false,
        sets: Default::default(),
        chains: Default::default(),
    }
}

/// Where a chain of the kernel stands (`linux/netfilter_ipv4.h`); others have no policy.
fn base(table: &Table, chain: &str, policy: &str) -> Option<Base> {
    if policy == "-" {
        return None;
    }
    let hook = match chain {
        "PREROUTING" => Hook::Prerouting,
        "INPUT" => Hook::Input,
        "FORWARD" => Hook::Forward,
        "OUTPUT" => Hook::Output,
        "POSTROUTING" => Hook::Postrouting,
        _ => Hook::Unknown,
    };
    let name = table.name.split(' ').nth(1).unwrap_or_default();
    let priority = match (name, hook) {
        ("raw", _) => -300,
        ("mangle", _) => -150,
        ("nat", Hook::Prerouting | Hook::Output) => -100,
        ("nat", _) => 100,
        ("security", _) => 50,
        _ => 0,
    };
    Some(Base {
        devices: Vec::new(),
        kind: if name == "nat" { Kind::Nat } else { Kind::Filter },
        hook,
        priority,
        drops: policy != "ACCEPT",
    })
}

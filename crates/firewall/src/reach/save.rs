//! Reads what `iptables-save` and `ip6tables-save` print.

mod addresses;
mod rule;
mod table;
mod target;
mod values;
mod words;

use std::{borrow::Cow, fmt};

use super::{
    error::{ReachError, shown},
    ruleset::{At, Rule, Ruleset, Step, Table, Verdict},
};
use crate::family::Family;
pub(super) use target::decides_nothing;
use words::Word;

/// The longest name of a chain, in bytes (`NFT_NAME_MAXLEN` in `linux/netfilter/nf_tables.h`, less the byte that ends it).
const LONGEST_NAME: usize = 255;

/// Reads a whole save.
///
/// # Errors
/// When it breaks off within a table, or has a line that no such program prints, or addresses of the other family.
pub(super) fn read(text: &str, family: Family) -> Result<Ruleset, ReachError> {
    let mut ruleset = Ruleset::default();
    let mut open: Option<Table> = None;
    let mut last = 1;
    let mut by = Program {
        family,
        variant: None,
    };
    for (number, line) in whole_lines(text) {
        last = number;
        let damaged = |Damage { column, why }| ReachError::Text {
            line: number,
            column,
            why,
        };
        let line = line.strip_suffix('\r').unwrap_or(&line);
        match (line.chars().next(), &mut open) {
            (Some('#'), _) => {
                if family_of_heading(line).is_some_and(|of| of != family) {
                    return Err(damaged(Damage::at(1, "a save of the other family begins here")));
                }
                by.variant = variant(line).or(by.variant);
                if line.starts_with("# Table `") && line.contains("incompatible") {
                    ruleset.strangers.push(format!("`{}`", shown(line)));
                }
            }
            (None, _) => {}
            (Some('*'), None) => {
                let table = table::begin(line, by).map_err(damaged)?;
                if ruleset.tables.iter().any(|known| known.name == table.name) {
                    return Err(damaged(Damage::at(
                        1,
                        format!(
                            "{} stands here a second time: bring each save in a file of its own",
                            table.name
                        ),
                    )));
                }
                open = Some(table);
            }
            (Some('*'), Some(_)) => {
                return Err(damaged(Damage::at(
                    1,
                    "a table begins before the last one has ended",
                )));
            }
            (Some(_), None) => return Err(damaged(Damage::at(1, "a line outside of any table"))),
            (Some('C'), Some(table)) if line.trim_end() == "COMMIT" => {
                all_there(table, text)?;
                ruleset.tables.extend(open.take());
            }
            (Some(':'), Some(table)) => declare(line, table).map_err(damaged)?,
            (Some('-' | '['), Some(table)) => command(line, number, table, by).map_err(damaged)?,
            (Some(_), Some(_)) => {
                return Err(damaged(Damage::at(
                    1,
                    "neither a rule nor a chain nor the end of a table",
                )));
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

/// The lines, each with its number from 1. A comment may hold the end of a line, and then the next one belongs to it.
fn whole_lines(text: &str) -> impl Iterator<Item = (usize, Cow<'_, str>)> {
    let mut lines = (1..).zip(text.lines());
    std::iter::from_fn(move || {
        let (number, first) = lines.next()?;
        let is_open = |text: &str| text.contains('"') && words::split(text).is_err();
        if !first.starts_with(['-', '[']) || !is_open(first) {
            return Some((number, Cow::Borrowed(first)));
        }
        let mut whole = first.to_owned();
        let mut further = lines.clone();
        // One that never ends is told where it begins.
        for (_, line) in further.by_ref().take(MOST_LINES_OF_A_COMMENT) {
            whole.push('\n');
            whole.push_str(line);
            if !is_open(&whole) {
                lines = further;
                return Some((number, Cow::Owned(whole)));
            }
        }
        Some((number, Cow::Borrowed(first)))
    })
}

/// A comment has 256 bytes at most (`XT_MAX_COMMENT_LEN`).
const MOST_LINES_OF_A_COMMENT: usize = 256;

/// The family of a save: what its first line says, or its first address; a save that has neither is taken for one of IPv4.
/// [`read`] refuses one that has both.
pub(super) fn family(text: &str) -> Family {
    text.lines()
        .find_map(|line| match line.chars().next()? {
            '#' => family_of_heading(line),
            '-' | '[' => addresses::family(&words::split(line).ok()?),
            _ => None,
        })
        .unwrap_or(Family::V4)
}

/// What is wrong with a line.
struct Damage {
    /// From 1, in bytes.
    column: usize,
    why: String,
}

impl Damage {
    fn at(column: usize, why: impl Into<String>) -> Self {
        Self {
            column,
            why: why.into(),
        }
    }

    fn of(word: &Word<'_>, why: impl Into<String>) -> Self {
        Self::at(word.at.saturating_add(1), why)
    }
}

/// `:INPUT DROP [0:0]`
fn declare(line: &str, table: &mut Table) -> Result<(), Damage> {
    let words = words::split(line).map_err(|column| Damage::at(column, NO_END))?;
    let name = words.first().and_then(|word| word.text.strip_prefix(':'));
    let name = name
        .filter(|name| !name.is_empty())
        .ok_or_else(|| Damage::at(2, "a chain without a name"))?;
    let policy = words
        .get(1)
        .ok_or_else(|| Damage::at(line.len().saturating_add(1), "a chain without a policy"))?;
    if name.len() > LONGEST_NAME {
        return Err(Damage::at(2, TOO_LONG));
    }
    let base = table::base(table, name, policy)?;
    table.chains.entry(name.to_owned()).or_default().base = base;
    Ok(())
}

const NO_END: &str = "a quotation that does not end";
const TOO_LONG: &str = "a name that is too long for a chain";

/// `-A INPUT …`, `-N CHAIN` or `-P INPUT DROP`; a counter may stand before it.
fn command(line: &str, number: usize, table: &mut Table, by: Program) -> Result<(), Damage> {
    let words = words::split(line).map_err(|column| Damage::at(column, NO_END))?;
    let words = words
        .get(usize::from(line.starts_with('['))..)
        .unwrap_or_default();
    let [command, chain, rest @ ..] = words else {
        return Err(Damage::at(1, "neither a rule nor a chain"));
    };
    if chain.text.len() > LONGEST_NAME {
        return Err(Damage::of(chain, TOO_LONG));
    }
    match &*command.text {
        "-A" | "--append" => {
            let Some(known) = table.chains.get_mut(&*chain.text) else {
                let why = format!(
                    "a rule for `{}`, a chain that is not declared",
                    shown(&chain.text)
                );
                return Err(Damage::of(chain, why));
            };
            if let Some(word) = addresses::stranger(rest, by.family) {
                return Err(Damage::of(word, "an address of the other family"));
            }
            if let Some((word, why)) = values::damaged(rest) {
                return Err(Damage::of(word, why));
            }
            known
                .rules
                .push(Rule::new(At::Line(number), rule::steps(rest, by)));
        }
        "-N" | "--new-chain" => {
            table.chains.entry(chain.text.clone().into_owned()).or_default();
        }
        "-P" | "--policy" => {
            let policy = rest
                .first()
                .ok_or_else(|| Damage::at(line.len().saturating_add(1), "a chain without a policy"))?;
            let base = table::base(table, &chain.text, policy)?;
            table
                .chains
                .entry(chain.text.clone().into_owned())
                .or_default()
                .base = base;
        }
        _ => return Err(Damage::of(command, "neither a rule nor a chain")),
    }
    Ok(())
}

/// Whether every chain that a rule enters is there. What is written in capitals may be a target that nobody here knows.
fn all_there(table: &Table, text: &str) -> Result<(), ReachError> {
    for rule in table.chains.values().flat_map(|chain| &chain.rules) {
        let (target, is_chain) = match rule.steps.last() {
            Some(Step::Verdict(Verdict::Goto(target))) => (target, true),
            Some(Step::Verdict(Verdict::Jump(target))) => {
                let is_capital =
                    |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
                (target, !target.bytes().all(is_capital))
            }
            _ => continue,
        };
        let At::Line(line) = rule.at else {
            continue;
        };
        if is_chain && !table.chains.contains_key(&**target) {
            let written = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
            let column = written.rfind(&**target).map_or(1, |at| at.saturating_add(1));
            let why = format!("`{}` is no chain of this table", shown(target));
            return Err(ReachError::Text { line, column, why });
        }
    }
    Ok(())
}

/// The family that the first line of a save names.
fn family_of_heading(line: &str) -> Option<Family> {
    let by = line.strip_prefix("# Generated by ")?;
    if by.starts_with("ip6tables") {
        return Some(Family::V6);
    }
    by.starts_with("iptables").then_some(Family::V4)
}

/// Of which kind the rules are, by the first line of a save; before 1.8 there was but one.
fn variant(line: &str) -> Option<&'static str> {
    let by = line.strip_prefix("# Generated by ip")?;
    match (by.contains("(nf_tables)"), by.contains("-save v1.8")) {
        (true, _) => Some("nft"),
        (false, true) => Some("legacy"),
        (false, false) => None,
    }
}

/// The program that has loaded the rules.
#[derive(Clone, Copy)]
struct Program {
    family: Family,
    /// As [`variant`] has it.
    variant: Option<&'static str>,
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.family {
            Family::V4 => "iptables",
            Family::V6 => "ip6tables",
        })?;
        match self.variant {
            Some(variant) => write!(f, "-{variant}"),
            None => Ok(()),
        }
    }
}

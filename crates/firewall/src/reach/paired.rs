//! Rules of iptables-nft stand in the kernel as rules of nftables. `nft` lists all of them, and of the parts that only
//! iptables understands no more than the name; `iptables-save` shows those parts, and leaves out without a word what it does
//! not understand of the rest. So the listing counts, and a save tells what the listing does not show.

use super::{
    ReachError, Ruleset, TextKind,
    error::shown,
    ruleset::{At, Chain, Field, Rule, Step, Table, Test, Value, Verdict},
    save,
};
use crate::family::Family;

impl Ruleset {
    /// Adds what `iptables-save` of iptables-nft says of rules that `nft` has listed, as far as the listing does not show them:
    /// rules of one chain are held against each other in their order, where both have as many. A table that the listing does
    /// not have is added as it is.
    ///
    /// # Errors
    /// As [`Self::add`].
    pub fn add_shown(&mut self, text: &str, kind: TextKind) -> Result<(), ReachError> {
        let (read, family) = match kind {
            TextKind::NftJson | TextKind::WindowsJson => return self.add(text, Some(kind)),
            TextKind::IptablesSave => (save::read(text, Family::V4)?, "ip"),
            TextKind::Ip6tablesSave => (save::read(text, Family::V6)?, "ip6"),
        };
        let lines: Vec<&str> = text.lines().collect();
        for saved in read.tables {
            let bare = saved.name.split_once(' ').map_or("", |(_, name)| name);
            let name = format!("{family} {bare}");
            match self.tables.iter_mut().find(|table| table.name == name) {
                Some(listed) => pair(listed, &saved, &lines),
                None => self.tables.push(saved),
            }
        }
        // What a save says that it leaves out, a listing has.
        let of_family = |table: &Table| table.name.split_once(' ').is_some_and(|(of, _)| of == family);
        if !self.tables.iter().any(of_family) {
            self.strangers.extend(read.strangers);
        }
        Ok(())
    }

    /// The tables with rules that only a save shows whole: family and name, as in `ip` and `filter`.
    pub fn tables_to_save(&self) -> Vec<(String, String)> {
        let needs = |table: &&Table| {
            let mut rules = table.chains.values().flat_map(|chain| &chain.rules);
            rules.any(|rule| rule.needs_save)
        };
        let tables = self.tables.iter().filter(needs);
        tables
            .filter_map(|table| table.name.split_once(' '))
            .map(|(family, name)| (family.to_owned(), name.to_owned()))
            .collect()
    }
}

fn pair(listed: &mut Table, saved: &Table, lines: &[&str]) {
    for (name, chain) in &mut listed.chains {
        let Some(same) = saved.chains.get(name) else {
            continue;
        };
        // Otherwise a rule has come or gone between the two, or one of them left some out.
        if same.rules.len() == chain.rules.len() {
            complete(chain, same, lines);
        }
    }
}

fn complete(chain: &mut Chain, saved: &Chain, lines: &[&str]) {
    for (rule, saved) in chain.rules.iter_mut().zip(&saved.rules) {
        if !rule.needs_save || verdict(rule) != verdict(saved) {
            continue;
        }
        // Whatever the listing shows holds, for the save may have left it out.
        let mut steps: Vec<Step> = rule.steps.iter().filter(|step| is_known(step)).cloned().collect();
        steps.extend(saved.steps.iter().cloned());
        steps.shrink_to_fit();
        rule.steps = steps;
        rule.text = match saved.at {
            At::Line(number) => lines.get(number.saturating_sub(1)).map(|line| text_of(line)),
            _ => None,
        };
        rule.needs_save = false;
    }
}

/// A rule as it is shown to people, which is not longer than a line.
fn text_of(line: &str) -> Box<str> {
    shown(line).into()
}

fn verdict(rule: &Rule) -> Option<&Verdict> {
    rule.steps.iter().find_map(|step| match step {
        Step::Verdict(verdict) => Some(verdict),
        _ => None,
    })
}

fn is_known(step: &Step) -> bool {
    match step {
        Step::Match(matching) => {
            let mut fields = matching.key.fields().iter();
            !fields.any(|field| matches!(field, Field::Unknown(_)))
                && !matches!(matching.test, Test::Value(Value::Unknown))
        }
        _ => false,
    }
}

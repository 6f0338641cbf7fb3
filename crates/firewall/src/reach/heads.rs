//! What the JSON of `nft` does not tell of tables and chains, and its text does: the JSON of 1.0.6 has neither the flags of a
//! table nor the interfaces of a chain.

use super::ruleset::{Hook, Ruleset, Table};

impl Ruleset {
    /// The tables of which a listing did not say everything: family and name, as in `netdev` and `filter`.
    pub fn tables_to_describe(&self) -> Vec<(String, String)> {
        let says_too_little = |table: &&Table| {
            let mut bases = table.chains.values().filter_map(|chain| chain.base.as_ref());
            table.dormant.is_none() || bases.any(|base| base.hook == Hook::Ingress && base.devices.is_empty())
        };
        let tables = self.tables.iter().filter(says_too_little);
        tables
            .filter_map(|table| table.name.split_once(' '))
            .map(|(family, name)| (family.to_owned(), name.to_owned()))
            .collect()
    }

    /// Adds what `nft list table FAMILY NAME` prints of flags and interfaces of that table.
    pub fn add_description(&mut self, family: &str, name: &str, text: &str) {
        let full = format!("{family} {name}");
        if !text.starts_with(&format!("table {full} {{")) {
            return;
        }
        let Some(table) = self.tables.iter_mut().find(|table| table.name == full) else {
            return;
        };
        table.dormant = Some(false);
        let mut chain = None;
        for line in text.lines() {
            // One tab is of the table, two are of what stands in it.
            match line
                .strip_prefix('\t')
                .map(|line| (line, line.strip_prefix('\t')))
            {
                Some((_, Some(inner))) => {
                    let known = chain.and_then(|name| table.chains.get_mut(name));
                    if let (Some(base), Some(devices)) =
                        (known.and_then(|chain| chain.base.as_mut()), devices(inner))
                        && base.devices.is_empty()
                    {
                        base.devices = devices;
                    }
                }
                Some((outer, None)) => {
                    chain = outer
                        .strip_prefix("chain ")
                        .and_then(|rest| rest.strip_suffix(" {"));
                    if let Some(flags) = outer.strip_prefix("flags ") {
                        let mut flags = flags.split([',', ' ']);
                        table.dormant = Some(flags.any(|flag| flag == "dormant"));
                    }
                }
                None => {}
            }
        }
    }
}

/// `type filter hook ingress device "eth0" priority filter; policy accept;`, or `devices = { "eth0", "eth1" }`
fn devices(line: &str) -> Option<Vec<String>> {
    let (_, rest) = line.strip_prefix("type ")?.split_once(" hook ingress device")?;
    let (list, _) = rest.split_once(" priority ")?;
    let list = list.strip_prefix("s = ").unwrap_or(list).trim();
    let inner = list.strip_prefix('{').and_then(|list| list.strip_suffix('}'));
    let names = inner
        .unwrap_or(list)
        .split(',')
        .map(|name| name.trim().trim_matches('"'));
    Some(names.filter(|name| !name.is_empty()).map(str::to_owned).collect())
}

//! The words of the rules that an answer names, as `nft -a list chain` prints them: the JSON has none.

use std::collections::BTreeMap;

use super::{
    answer::{Answer, Because},
    error::shown,
    remark::Remark,
};

impl Answer {
    /// Table and chain of the rules that are named by nothing but a handle, each once.
    pub fn chains_to_quote(&self) -> Vec<(String, String)> {
        let mut chains: Vec<(String, String)> = Vec::new();
        let parts = self.views.iter().flat_map(|view| &view.parts);
        let of_parts = parts.flat_map(|part| &part.because);
        let of_remarks = self.remarks.iter().flat_map(|remark| match remark {
            Remark::NeverApplies { rule, instead, .. } => std::iter::once(rule).chain(instead).collect(),
            _ => Vec::new(),
        });
        for because in of_parts.chain(of_remarks) {
            if let Because::Rule {
                table,
                chain,
                at,
                text: None,
                ..
            } = because
                && at.starts_with(HANDLE)
                && !chains.iter().any(|(of, name)| (of, name) == (table, chain))
            {
                chains.push((table.clone(), chain.clone()));
            }
        }
        chains
    }

    /// Adds the words of rules to their handles, from what `nft -a list chain` prints of their chain.
    pub fn quote(&mut self, table: &str, chain: &str, printed: &str) {
        let rules = rules_of(printed);
        let parts = self.views.iter_mut().flat_map(|view| &mut view.parts);
        let of_parts = parts.flat_map(|part| &mut part.because);
        let of_remarks = self.remarks.iter_mut().flat_map(|remark| match remark {
            Remark::NeverApplies { rule, instead, .. } => std::iter::once(rule).chain(instead).collect(),
            _ => Vec::new(),
        });
        for because in of_parts.chain(of_remarks) {
            if let Because::Rule {
                table: of,
                chain: name,
                at,
                text,
                ..
            } = because
                && (of.as_str(), name.as_str()) == (table, chain)
                && text.is_none()
            {
                let handle = at.strip_prefix(HANDLE).and_then(|handle| handle.parse().ok());
                *text = handle.and_then(|handle: u64| rules.get(&handle).cloned());
            }
        }
    }
}

const HANDLE: &str = "handle ";

/// Rules by their handles. A rule with a long set is printed over several lines, the last of which has the handle.
fn rules_of(printed: &str) -> BTreeMap<u64, String> {
    let mut rules = BTreeMap::new();
    let mut words = String::new();
    for line in printed.lines().filter_map(|line| line.strip_prefix("\t\t")) {
        // What a chain is stands before its rules.
        if words.is_empty() && (line.starts_with("type ") || line.starts_with("comment ")) {
            continue;
        }
        words.push_str(line.trim());
        let end = words
            .rsplit_once(" # handle ")
            .and_then(|(rule, handle)| Some((handle.parse().ok()?, without_counts(rule))));
        match end {
            Some((handle, rule)) => {
                rules.insert(handle, shown(&rule));
                words.clear();
            }
            None => words.push(' '),
        }
    }
    rules
}

/// A rule without what it has counted.
fn without_counts(rule: &str) -> String {
    let mut words = rule.split_whitespace().peekable();
    let mut kept = Vec::new();
    while let Some(word) = words.next() {
        kept.push(word);
        if word == "counter" && words.peek() == Some(&"packets") {
            words.by_ref().take(4).for_each(drop);
        }
    }
    kept.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_handle_has_its_rule() {
        let printed = "table inet t {\n\tchain c { # handle 1\n\t\tcomment \"ours\"\n\t\ttype filter hook input priority filter; \
                       policy accept;\n\t\ttcp dport 22 counter packets 7 bytes 420 accept # handle 4\n\t\tip saddr { 10.0.0.1,\n\t\t\t     \
                       10.0.0.2 } drop # handle 5\n\t\tlog prefix \" # handle 9\" accept # handle 6\n\t}\n}\n";
        let rules = rules_of(printed);
        let rule = |handle| rules.get(&handle).map(String::as_str);
        assert_eq!(rule(4), Some("tcp dport 22 counter accept"));
        assert_eq!(rule(5), Some("ip saddr { 10.0.0.1, 10.0.0.2 } drop"));
        assert_eq!(rule(6), Some("log prefix \" # handle 9\" accept"));
        assert_eq!(rules.len(), 3);
    }
}

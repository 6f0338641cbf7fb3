//! What the prefix of a log rule proves.

use portcullis_model::Verdict;

/// Prefixes whose rule is known. The longest one that the text begins with decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefixes(Vec<(String, Verdict)>);

impl Prefixes {
    /// The known ones and those that the owner of the log declares. A declared one goes before an equal known one.
    pub fn declared(declared: Vec<(String, Verdict)>) -> Self {
        let mut prefixes: Vec<_> = declared
            .into_iter()
            .map(|(prefix, verdict)| (prefix.trim().to_owned(), verdict))
            // An empty prefix would give every line a verdict that nobody declared.
            .filter(|(prefix, _)| !prefix.is_empty())
            .chain(known())
            .collect();
        prefixes.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        Self(prefixes)
    }

    /// What a prefix proves.
    pub fn verdict(&self, prefix: &str) -> Verdict {
        let prefix = prefix.trim_start();
        self.0
            .iter()
            .find(|(known, _)| prefix.starts_with(known.as_str()))
            .map_or(Verdict::Unknown, |(_, verdict)| *verdict)
    }
}

impl Default for Prefixes {
    /// Only those of Portcullis and ufw.
    fn default() -> Self {
        Self::declared(Vec::new())
    }
}

/// Our own rules log right before they drop; ufw names its own verdict (`ufw(8)`, LOGGING).
fn known() -> [(String, Verdict); 3] {
    [
        ("portcullis-drop".into(), Verdict::Blocked),
        ("[UFW BLOCK]".into(), Verdict::Blocked),
        ("[UFW ALLOW]".into(), Verdict::Allowed),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_known_prefix_proves_a_verdict() {
        let known = Prefixes::default();
        for (prefix, verdict) in [
            ("portcullis-drop tcp/54321:", Verdict::Blocked),
            ("[UFW BLOCK]", Verdict::Blocked),
            ("[UFW ALLOW]", Verdict::Allowed),
            ("[UFW AUDIT]", Verdict::Unknown),
            ("DROP", Verdict::Unknown),
            ("not portcullis-drop", Verdict::Unknown),
            ("", Verdict::Unknown),
        ] {
            assert_eq!(known.verdict(prefix), verdict, "{prefix}");
        }
    }

    #[test]
    fn the_longest_declared_prefix_decides_and_an_empty_one_never_does() {
        let declared = Prefixes::declared(vec![
            ("FW".into(), Verdict::Allowed),
            ("FW-D ".into(), Verdict::Blocked),
            (" ".into(), Verdict::Blocked),
        ]);
        assert_eq!(declared.verdict("FW-D"), Verdict::Blocked);
        assert_eq!(declared.verdict("FW-A"), Verdict::Allowed);
        assert_eq!(declared.verdict("other"), Verdict::Unknown);
    }
}

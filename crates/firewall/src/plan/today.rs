//! What the rules of today say of those whom a plan lets through: a closing opens nothing, so that one whom other rules keep
//! out does not get through with it either.

use portcullis_model::{AllowedSource, Note, NoteLevel};

use crate::reach::{Because, Host, Passage, Question, Ruleset, reach};

/// The rules that are loaded now, and what is known of the host.
#[derive(Debug)]
pub struct Today {
    /// The rules.
    pub ruleset: Ruleset,
    /// The host.
    pub host: Host,
}

impl Today {
    /// A note for each source that does not get through today, or of which that cannot be concluded.
    pub(super) fn notes(&self, question: &Question, allow: &[AllowedSource]) -> Vec<Note> {
        let views = reach(&self.ruleset, question).views;
        let note = |source: &AllowedSource| {
            let is_ipv4 = source.network.addr().is_ipv4();
            let seen: Vec<_> = views
                .iter()
                .filter(|view| view.is_ipv4 == is_ipv4)
                .map(|view| view.within(&[source.network], true))
                .collect();
            let parts = || seen.iter().flat_map(|view| &view.parts);
            let because = |passage: Passage| {
                let deciding = parts().find(|part| part.passage == passage)?;
                Some(
                    deciding
                        .because
                        .iter()
                        .map(Because::to_string)
                        .collect::<Vec<_>>()
                        .join(", "),
                )
            };
            if parts().next().is_none() || parts().any(|part| part.passage == Passage::Through) {
                return None;
            }
            let (network, why) = (source.network, &source.because);
            Some(match because(Passage::Unknown) {
                Some(unclear) => Note {
                    level: NoteLevel::Info,
                    text: format!(
                        "whether {network} ({why}) gets through today cannot be concluded: {unclear}"
                    ),
                },
                None => Note {
                    level: NoteLevel::Warning,
                    text: format!(
                        "{network} ({why}) does not get through today, and a closing opens nothing: {}",
                        because(Passage::Blocked).unwrap_or_default()
                    ),
                },
            })
        };
        allow.iter().filter_map(note).collect()
    }
}

#[cfg(test)]
mod tests {
    use portcullis_model::Port;

    use super::*;

    #[test]
    fn who_is_kept_out_by_other_rules_is_told_with_the_rule() {
        let mut ruleset = Ruleset::default();
        let saved = "*filter\n:INPUT DROP [0:0]\n-A INPUT -s 10.7.20.0/24 -p tcp --dport 54321 -j ACCEPT\n-A INPUT -s 10.7.22.0/24 -m \
                     geoip --source-country NO -j ACCEPT\nCOMMIT\n";
        ruleset.add(saved, None).unwrap();
        let today = Today {
            ruleset,
            host: Host::default(),
        };
        let source = |network: &str| AllowedSource {
            network: network.parse().unwrap(),
            because: "asked for".into(),
        };
        let allow = [
            source("10.7.20.0/24"),
            source("10.7.21.0/24"),
            source("10.7.22.0/24"),
            source("10.7.0.0/16"),
            source("2001:db8::/32"),
        ];
        let question = Question::new(Port::tcp(54321), Host::default());
        let notes = today.notes(&question, &allow);
        let told: Vec<&str> = notes.iter().map(|note| note.text.as_str()).collect();
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(
            told[0].starts_with("10.7.21.0/24 (asked for) does not get through today")
                && told[0].contains("policy"),
            "{told:?}"
        );
        assert!(
            told[1].starts_with("whether 10.7.22.0/24") && told[1].contains("geoip"),
            "{told:?}"
        );
    }
}

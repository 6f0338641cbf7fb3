//! What the rules of today say of those whom a plan lets through: a closing opens nothing, so that one whom other rules keep
//! out does not get through with it either.

use std::net::IpAddr;

use portcullis_model::{AllowedSource, Effect, NetworkSet, Note, NoteLevel, Port};

use crate::reach::{Answer, Because, Host, Passage, Question, Remark, Ruleset, View, reach};

/// The rules that are loaded now, and what is known of the host.
#[derive(Debug)]
pub struct Today {
    /// The rules.
    pub ruleset: Ruleset,
    /// The host.
    pub host: Host,
}

impl Today {
    /// Who reaches a port today.
    pub(super) fn answer(&self, port: Port, behind: &[IpAddr]) -> Answer {
        let mut question = Question::new(port, self.host.clone());
        if !behind.is_empty() {
            question.destinations = behind.to_vec();
            question.forwarded = true;
        }
        reach(&self.ruleset, &question)
    }
}

/// What a closing does to those who get through today: whoever is not allowed is dropped before the other rules are asked.
pub(super) fn effects(today: &Answer, allow: &NetworkSet) -> Vec<Effect> {
    let mut effects: Vec<Effect> = Vec::new();
    for view in &today.views {
        let (allowed, others) = (
            view.within(allow.networks(), true),
            view.within(allow.networks(), false),
        );
        let of = |view: &View, passage: Passage| -> NetworkSet {
            let parts = view.parts.iter().filter(|part| part.passage == passage);
            parts.flat_map(|part| part.sources.iter().copied()).collect()
        };
        // What is led elsewhere is so after a closing has been asked.
        let shut_out = [Passage::Through, Passage::Led, Passage::Unknown].map(|passage| of(&others, passage));
        let stay = [Passage::Through, Passage::Led].map(|passage| of(&allowed, passage));
        let effect = Effect {
            is_ipv4: view.is_ipv4,
            interfaces: view.interfaces.clone(),
            stay: stay.iter().flat_map(|set| set.networks()).copied().collect(),
            shut_out: shut_out.iter().flat_map(|set| set.networks()).copied().collect(),
            unclear: of(&allowed, Passage::Unknown),
        };
        // Addresses of this host that fare alike are one.
        if !effects.contains(&effect) {
            effects.push(effect);
        }
    }
    effects
}

/// Notes of a reviewer on the rules of today, and one for each source that does not get through by them, or of which that
/// cannot be concluded.
pub(super) fn notes(today: &Answer, allow: &[AllowedSource]) -> Vec<Note> {
    let views = &today.views;
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
                text: format!("whether {network} ({why}) gets through today cannot be concluded: {unclear}"),
            },
            None => Note {
                level: NoteLevel::Warning,
                text: format!(
                    "{network} ({why}) does not get through today, and a closing opens nothing: {}",
                    because(Passage::Blocked)
                        .or_else(|| because(Passage::Led))
                        .unwrap_or_default()
                ),
            },
        })
    };
    let of_rules = today
        .remarks
        .iter()
        .filter(|remark| !matches!(remark, Remark::Anyone { .. }));
    let of_rules = of_rules.map(|remark| Note {
        level: NoteLevel::Info,
        text: remark.to_string(),
    });
    of_rules.chain(allow.iter().filter_map(note)).collect()
}

#[cfg(test)]
mod tests {
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
        let answer = today.answer(Port::tcp(54321), &[]);
        let notes = notes(&answer, &allow);
        let notes: Vec<&Note> = notes
            .iter()
            .filter(|note| !note.text.starts_with("IPv6"))
            .collect();
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

    #[test]
    fn who_stays_and_who_is_shut_out_is_told_as_the_rules_of_today_have_it() {
        let mut ruleset = Ruleset::default();
        let saved = "*filter\n:INPUT DROP [0:0]\n-A INPUT -i eth0 -s 10.7.0.0/16 -p tcp --dport 54321 -j ACCEPT\n-A INPUT \
                     -i eth0 -s 10.8.0.0/16 -m geoip --source-country NO -j ACCEPT\nCOMMIT\n";
        ruleset.add(saved, None).unwrap();
        let today = Today {
            ruleset,
            host: Host::default(),
        };
        let set = |networks: &[&str]| -> NetworkSet {
            networks.iter().map(|network| network.parse().unwrap()).collect()
        };
        let allow = set(&["10.7.0.0/17", "10.8.0.0/24", "192.0.2.0/24"]);
        let effects = effects(&today.answer(Port::tcp(54321), &[]), &allow);
        let by_eth0 = effects
            .iter()
            .find(|effect| effect.interfaces == ["eth0"])
            .unwrap();
        assert_eq!(by_eth0.stay, set(&["10.7.0.0/17"]));
        assert_eq!(by_eth0.unclear, set(&["10.8.0.0/24"]));
        let unclear_today = set(&["10.8.0.0/16"]);
        let kept = set(&["10.8.0.0/24"]);
        assert!(by_eth0.shut_out.covers(&"10.7.128.0/17".parse().unwrap()));
        assert!(by_eth0.shut_out.networks().iter().all(|network| {
            *network == "10.7.128.0/17".parse().unwrap()
                || unclear_today.covers(network) && !kept.overlaps(network)
        }));
        let others: Vec<&Effect> = effects
            .iter()
            .filter(|effect| effect.is_ipv4 && effect.interfaces != ["eth0"])
            .collect();
        assert!(
            others
                .iter()
                .all(|effect| effect.stay.is_empty() && effect.shut_out.is_empty()),
            "{others:?}"
        );
    }
}

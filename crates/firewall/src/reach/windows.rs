//! Windows Defender Firewall, from what `Get-NetFirewallRule` and its filters print through `ConvertTo-Json`.
//!
//! The order is that of \[MS-FASP\] 2.2.34: a rule that overrides blocks, then the blocks, then the allows, then the default
//! of the profile; the order of the rules among themselves is nothing. So the rules become one chain for each profile, and
//! go the same way as those of Linux. Which profile an interface has does not stand in the rules: each has its own answer.
//!
//! Names and numbers are those of MSFT_NetFirewallRule, MSFT_NetFirewallProfile and MSFT_Net…Filter (Windows Filtering
//! Platform, WMI provider), and of the module NetSecurity. What is neither known nor there is not concluded.

mod profile;
mod read;
mod record;
mod rule;
mod sides;
mod stage;
mod steps;
mod values;

use std::collections::BTreeMap;

pub(super) use read::read;

use self::record::{Kind, Record};
use super::{
    answer::{Answer, View, joined, reach as reach_of_chains},
    question::Question,
    remark::remarks_of_views,
    ruleset::{Base, Chain, Hook, Kind as ChainKind, Rule, Ruleset, Scope, Table},
};

/// Rules, filters and profiles of one host.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Policy {
    rules: Vec<Record>,
    /// By kind and InstanceID, which is that of the rule.
    filters: BTreeMap<(Kind, String), Filter>,
    profiles: Vec<Record>,
}

/// What was said of one side of a rule.
#[derive(Debug, Clone, PartialEq)]
enum Filter {
    Said(Record),
    /// Two that differ.
    Twice,
}

/// What an interface may be connected to (NET_FW_PROFILE_TYPE2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Profile {
    Domain,
    Private,
    Public,
}

impl Profile {
    const ALL: [Self; 3] = [Self::Domain, Self::Private, Self::Public];

    fn name(self) -> &'static str {
        match self {
            Self::Domain => "Domain",
            Self::Private => "Private",
            Self::Public => "Public",
        }
    }

    fn bit(self) -> u32 {
        match self {
            Self::Domain => 1,
            Self::Private => 2,
            Self::Public => 4,
        }
    }
}

impl Policy {
    /// Adds what another text says of the same host.
    pub(super) fn extend(&mut self, other: Self) {
        for rule in other.rules {
            self.add_rule(rule);
        }
        self.profiles.extend(other.profiles);
        for ((kind, id), filter) in other.filters {
            match filter {
                Filter::Said(record) => self.add_filter(kind, id, record),
                Filter::Twice => {
                    self.filters.insert((kind, id), Filter::Twice);
                }
            }
        }
    }

    pub(super) fn rules(&self) -> usize {
        self.rules.len()
    }

    fn add_rule(&mut self, rule: Record) {
        self.rules.push(rule);
    }

    fn add_filter(&mut self, kind: Kind, id: String, record: Record) {
        self.filters
            .entry((kind, id))
            .and_modify(|known| {
                if !matches!(known, Filter::Said(said) if *said == record) {
                    *known = Filter::Twice;
                }
            })
            .or_insert(Filter::Said(record));
    }

    /// The rules that are in force on interfaces of a profile, for one question.
    fn chain(&self, profile: Profile, question: &Question) -> Ruleset {
        let settings = profile::Settings::of(&self.profiles, profile);
        let mut rules: Vec<Rule> = settings.before(&question.host);
        let [mut bypass, mut block, mut allow] = [const { stage::Stage::new() }; 3];
        for record in &self.rules {
            let told = rule::told(self, record, profile, settings.local_rules);
            for (action, perhaps) in &told.actions {
                let stage = match action {
                    rule::Action::Bypass => &mut bypass,
                    rule::Action::Block => &mut block,
                    rule::Action::Allow => &mut allow,
                };
                stage.add(&told, *action, *perhaps, question);
            }
        }
        if self.rules.is_empty() {
            rules.extend(steps::nothing_known(
                "no rules were brought (Get-NetFirewallRule)",
            ));
        }
        rules.extend(bypass.rules());
        rules.extend(settings.after_bypass());
        rules.extend(block.rules());
        rules.extend(allow.rules());
        rules.extend(settings.last());
        let chain = Chain {
            base: Some(Base {
                devices: Vec::new(),
                kind: ChainKind::Filter,
                hook: Hook::Input,
                priority: 0,
                drops: settings.drops(),
            }),
            rules,
        };
        let mut ruleset = Ruleset::default();
        ruleset.tables.push(Table {
            scope: Scope::Both,
            name: "windows".into(),
            dormant: Some(false),
            sets: BTreeMap::new(),
            chains: BTreeMap::from([("inbound".to_owned(), chain)]),
        });
        if question.forwarded {
            ruleset.strangers.push("what Windows passes on to others".into());
        }
        ruleset
    }
}

/// Says who can reach a port, for each profile; once where it makes no difference.
pub(super) fn reach(policy: &Policy, question: &Question) -> Answer {
    let answers = Profile::ALL.map(|profile| reach_of_chains(&policy.chain(profile, question), question));
    if let [first, others @ ..] = &answers
        && others.iter().all(|other| other == first)
    {
        return first.clone();
    }
    let of_profile = |(profile, answer): (Profile, Answer)| {
        let views = answer.views.into_iter();
        views.map(move |view| View {
            interfaces: view
                .interfaces
                .iter()
                .map(|name| format!("{name} (profile {})", profile.name()))
                .collect(),
            ..view
        })
    };
    let views = Profile::ALL
        .into_iter()
        .zip(answers)
        .flat_map(of_profile)
        .collect();
    let views = joined(views);
    Answer {
        // Of one profile a rule may never apply to anybody, and of another one it does.
        remarks: remarks_of_views(question, &views),
        views,
    }
}

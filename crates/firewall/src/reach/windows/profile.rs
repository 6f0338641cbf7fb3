//! The settings of a profile (MSFT_NetFirewallProfile; Set-NetFirewallProfile, module NetSecurity).

use super::{Profile, Record, steps};
use crate::reach::{question::Host, ruleset::Rule};

/// A setting that is on, off, or not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Switch {
    On,
    Off,
    Unknown,
}

/// What the default of a profile does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Default {
    Allow,
    Block,
    Unknown,
}

pub(super) struct Settings {
    /// Why nothing is known of the profile.
    unknown: Option<&'static str>,
    enabled: Switch,
    default: Default,
    inbound_rules: Switch,
    /// Whether rules of the host itself count beside those of group policies.
    pub(super) local_rules: Switch,
    /// The interfaces to which the profile does nothing; `None` where that is not known.
    exempt: Option<Vec<String>>,
}

impl Settings {
    pub(super) fn of(profiles: &[Record], profile: Profile) -> Self {
        let mut same = profiles.iter().filter(|record| {
            let name = record.word("name");
            name.is_some_and(|name| name.eq_ignore_ascii_case(profile.name()))
        });
        let (unknown, record) = match (same.next(), same.next()) {
            (None, _) => (Some("the profile was not brought (Get-NetFirewallProfile)"), None),
            (Some(record), None) => (None, Some(record)),
            (Some(record), Some(other)) if other == record && same.all(|one| one == record) => {
                (None, Some(record))
            }
            _ => (Some("the profile is there twice, with other settings"), None),
        };
        let word = |property: &str| {
            record
                .and_then(|record| record.word(property))
                .unwrap_or_default()
        };
        Self {
            unknown,
            enabled: switch(word("enabled"), Switch::Unknown),
            default: match word("defaultinboundaction").to_ascii_lowercase().as_str() {
                "2" | "allow" => Default::Allow,
                "4" | "block" | "0" | "notconfigured" => Default::Block,
                _ => Default::Unknown,
            },
            inbound_rules: switch(word("allowinboundrules"), Switch::On),
            local_rules: switch(word("allowlocalfirewallrules"), Switch::On),
            exempt: record
                .and_then(|record| record.words("disabledinterfacealiases"))
                .map(|names| {
                    let named = names
                        .iter()
                        .filter(|name| !name.eq_ignore_ascii_case("notconfigured"));
                    named.cloned().collect()
                }),
        }
    }

    /// What holds before any rule is looked at.
    pub(super) fn before(&self, host: &Host) -> Vec<Rule> {
        if let Some(why) = self.unknown {
            return steps::nothing_known(why);
        }
        let mut rules = match self.enabled {
            Switch::On => Vec::new(),
            Switch::Off => vec![steps::rule("the profile is off (Enabled)", vec![steps::ACCEPT])],
            Switch::Unknown => vec![steps::perhaps(
                "whether the profile is on (Enabled)",
                steps::ACCEPT,
            )],
        };
        match &self.exempt {
            None => rules.push(steps::perhaps(
                "interfaces without a firewall (DisabledInterfaceAliases)",
                steps::ACCEPT,
            )),
            Some(names) => rules.extend(names.iter().map(|name| exempt(name, host))),
        }
        rules
    }

    /// Whether rules that allow count at all. Where they do not, and the default lets in, one document says that all is
    /// blocked (\[MS-FASP\], FW_PROFILE_CONFIG_SHIELDED) and another that only the rules are ignored (MSFT_NetFirewallProfile).
    pub(super) fn after_bypass(&self) -> Vec<Rule> {
        const WHY: &str = "rules that allow do not count (AllowInboundRules)";
        match self.inbound_rules {
            Switch::On => Vec::new(),
            Switch::Off if self.default == Default::Block => vec![steps::rule(WHY, vec![steps::DROP])],
            Switch::Off => vec![steps::perhaps(WHY, steps::DROP)],
            Switch::Unknown => vec![steps::perhaps(
                "whether rules that allow count (AllowInboundRules)",
                steps::DROP,
            )],
        }
    }

    /// What holds when no rule did.
    pub(super) fn last(&self) -> Option<Rule> {
        let why = "the default of the profile (DefaultInboundAction)";
        (self.default == Default::Unknown).then(|| steps::perhaps(why, steps::ACCEPT))
    }

    pub(super) fn drops(&self) -> bool {
        self.default != Default::Allow
    }
}

fn exempt(name: &str, host: &Host) -> Rule {
    let why = "an interface without a firewall (DisabledInterfaceAliases)";
    match interface(name, host) {
        Some(name) => steps::rule(why, vec![steps::arrives_by(&name, true), steps::ACCEPT]),
        None => steps::perhaps(why, steps::ACCEPT),
    }
}

/// An interface as the question names it; `None` for a pattern. Windows does not tell cases apart.
pub(super) fn interface(name: &str, host: &Host) -> Option<String> {
    if name.contains(['*', '?', '[', ']', '`']) {
        return None;
    }
    let name = name.to_lowercase();
    let mut same = host.interfaces.iter().map(|interface| &interface.name);
    let known = same.find(|known| known.to_lowercase() == name);
    Some(known.cloned().unwrap_or(name))
}

/// GpoBoolean of the module NetSecurity: 0 is False, 1 True, 2 NotConfigured, which is the default of the setting.
fn switch(word: &str, default: Switch) -> Switch {
    match word.to_ascii_lowercase().as_str() {
        "0" | "false" => Switch::Off,
        "1" | "true" => Switch::On,
        "2" | "notconfigured" => default,
        _ => Switch::Unknown,
    }
}

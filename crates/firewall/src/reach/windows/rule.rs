//! What a rule says by itself, without its filters.

use super::{
    Filter, Policy, Profile,
    profile::Switch,
    record::{Kind, Record},
    steps,
};
use crate::reach::ruleset::Step;

/// What a rule does to what it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// Lets through in spite of blocks.
    Bypass,
    Block,
    Allow,
}

impl Action {
    pub(super) fn verdict(self) -> Step {
        match self {
            Self::Bypass | Self::Allow => steps::ACCEPT,
            Self::Block => steps::DROP,
        }
    }
}

/// A rule of one profile.
pub(super) struct Told<'a> {
    pub(super) policy: &'a Policy,
    pub(super) id: &'a str,
    pub(super) name: String,
    /// What it does, and whether only perhaps; nothing where it does not apply.
    pub(super) actions: Vec<(Action, bool)>,
    /// Why it is not known whether it applies.
    pub(super) unclear: Vec<String>,
}

/// Reads a rule for one profile.
pub(super) fn told<'a>(policy: &'a Policy, record: &'a Record, profile: Profile, local: Switch) -> Told<'a> {
    let id = record.word("instanceid").unwrap_or_default();
    let name = match record.word("displayname") {
        Some(shown) if shown != id => format!("{shown} ({id})"),
        _ => id.to_owned(),
    };
    let mut unclear = Vec::new();
    let lower = |property: &str| record.word(property).map(str::to_ascii_lowercase);
    let mut applies = true;
    match lower("enabled").as_deref() {
        Some("1" | "true" | "enabled") => {}
        Some("2" | "false" | "disabled") => applies = false,
        _ => unclear.push("whether it is enabled".to_owned()),
    }
    match lower("direction").as_deref() {
        Some("1" | "inbound") => {}
        Some("2" | "outbound") => applies = false,
        _ => unclear.push("its direction".to_owned()),
    }
    match profiles(record) {
        Some(bits) => applies &= bits & profile.bit() != 0,
        None => unclear.push("its profiles".to_owned()),
    }
    match (local, lower("policystoresourcetype").as_deref()) {
        (Switch::On, _) | (_, Some("2" | "grouppolicy")) => {}
        (Switch::Off, Some("1" | "local")) => applies = false,
        _ => unclear.push("whether local rules count (AllowLocalFirewallRules)".to_owned()),
    }
    unclear.extend(peculiar(record));
    unclear.extend(not_enforced(record));
    let overrides = match policy.filter(Kind::Security, id) {
        Ok(security) => security.word("overrideblockrules").map(str::to_ascii_lowercase),
        Err(_) => None,
    };
    let actions = match (lower("action").as_deref(), overrides.as_deref()) {
        _ if !applies => Vec::new(),
        (Some("3" | "allowbypass"), _) => vec![(Action::Bypass, true)],
        (Some("4" | "block"), _) => vec![(Action::Block, false)],
        (Some("2" | "allow"), Some("false" | "0")) => vec![(Action::Allow, false)],
        // What overrides blocks asks for authentication, which a filter of the rule says too.
        (Some("2" | "allow"), Some("true" | "1")) => vec![(Action::Bypass, true)],
        (Some("2" | "allow"), _) => {
            unclear.push("whether it overrides blocks".to_owned());
            vec![(Action::Bypass, true), (Action::Allow, false)]
        }
        _ => {
            unclear.push("its action".to_owned());
            vec![(Action::Bypass, true), (Action::Block, true)]
        }
    };
    Told {
        policy,
        id,
        name,
        actions,
        unclear,
    }
}

/// The bits of the profiles for which a rule is.
fn profiles(record: &Record) -> Option<u32> {
    let words = record.words_of(&["profile", "profiles"])?;
    let words = words.iter().flat_map(|word| word.split(',')).map(str::trim);
    let bits = words.map(|word| match word.to_ascii_lowercase().as_str() {
        "any" | "all" | "0" | "2147483647" => Some(7),
        "domain" => Some(1),
        "private" => Some(2),
        "public" => Some(4),
        number => number.parse().ok().filter(|bits| (1..=7).contains(bits)),
    });
    let bits: Vec<u32> = bits.collect::<Option<_>>()?;
    (!bits.is_empty()).then(|| bits.iter().fold(0, |all, bits| all | bits))
}

/// What few rules have, and what is more than this model knows. Older systems do not know the last three.
fn peculiar(record: &Record) -> Vec<String> {
    let of = |(names, is_new, what): (&[&str], bool, &str)| {
        let mut there = names.iter().filter(|name| record.has(name)).peekable();
        let missing = there.peek().is_none() && !is_new;
        let filled = there.any(|name| record.words(name) != Some(&[]));
        (missing || filled).then(|| what.to_owned())
    };
    [
        (
            ["platform", "platforms"].as_slice(),
            false,
            "for which releases of Windows it is (Platform)",
        ),
        (
            &["owner"],
            false,
            "whether it is for programs of one user (Owner)",
        ),
        (
            &["remotedynamickeywordaddresses"],
            true,
            "addresses by keyword (RemoteDynamicKeywordAddresses)",
        ),
        (&["policyappid"], true, "programs by policy (PolicyAppId)"),
        (
            &["packagefamilyname"],
            true,
            "programs of a package (PackageFamilyName)",
        ),
    ]
    .into_iter()
    .filter_map(of)
    .collect()
}

/// Where Windows itself says that a rule is not in force as it stands, it is not said which part of it is.
fn not_enforced(record: &Record) -> Option<String> {
    // Full or Enforced, InactiveProfile or ProfileInactive, OptimizedOut; NotApplicable outside of the ActiveStore.
    const IN_FORCE: [&str; 11] = [
        "1",
        "full",
        "enforced",
        "5",
        "inactiveprofile",
        "profileinactive",
        "19",
        "optimizedout",
        "0",
        "invalid",
        "notapplicable",
    ];
    let known = |known: &[&str], word: &str| known.iter().any(|known| word.eq_ignore_ascii_case(known));
    let says = record.has("enforcementstatus");
    let enforced = !says
        || record.words("enforcementstatus").is_some_and(|words| {
            let words = words.iter().flat_map(|word| word.split([',', ' ']));
            words
                .filter(|word| !word.is_empty())
                .all(|word| known(&IN_FORCE, word))
        });
    let well = !record.has("primarystatus")
        || record.word("primarystatus").is_some_and(|word| {
            known(&["1", "ok"], word) || says && known(&["2", "inactive", "degraded"], word)
        });
    (!enforced || !well).then(|| "whether Windows enforces it (PrimaryStatus, EnforcementStatus)".to_owned())
}

impl Policy {
    /// One side of a rule.
    pub(super) fn filter(&self, kind: Kind, id: &str) -> Result<&Record, String> {
        match self.filters.get(&(kind, id.to_owned())) {
            Some(Filter::Said(record)) if !record.has("isnegated") || is_plain(record) => Ok(record),
            Some(Filter::Said(_)) => Err("a negated filter".into()),
            Some(Filter::Twice) => Err(format!("{} says two things of it", kind.command())),
            None => Err(format!("{} was not brought for it", kind.command())),
        }
    }
}

fn is_plain(record: &Record) -> bool {
    let negated = record.words("isnegated");
    negated.is_some_and(|words| {
        words
            .iter()
            .all(|word| word.eq_ignore_ascii_case("false") || word == "0")
    })
}

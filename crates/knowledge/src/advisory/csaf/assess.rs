//! A document held against one device.

use std::collections::HashMap;

use super::{Document, Remedy, Says, Statement, Version, Vulnerability, name, name::Fit};
use crate::advisory::Status;

/// A device, or a program that is installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subject<'a> {
    /// Its maker, if known.
    pub vendor: Option<&'a str>,
    /// Its model or name.
    pub model: &'a str,
    /// The version of its firmware, or its own.
    pub version: Option<&'a str>,
}

/// What a document says of a device, for one vulnerability.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The vulnerability: its CVE where it has one.
    pub name: String,
    /// Its highest base score.
    pub cvss: Option<String>,
    /// Whether the device has it.
    pub status: Status,
    /// Whether it is not affected because its version has the repair.
    pub fixed: bool,
    /// Why, with both versions.
    pub reason: String,
    /// What to do about it.
    pub remedies: Vec<Remedy>,
}

impl Document {
    /// What it says of a device; a vulnerability of other products only is not among it.
    pub fn assess(&self, subject: Subject<'_>) -> Vec<Found> {
        let mut fits = Fits::new();
        let found = self.vulnerabilities.iter();
        found
            .filter_map(|vulnerability| vulnerability.assess(subject, &mut fits))
            .collect()
    }
}

/// Whether the device fits, by vendor and name of a product: a document repeats the same few names in thousands of
/// statements.
type Fits<'d> = HashMap<(&'d str, &'d str), Option<Fit>>;

impl Vulnerability {
    fn assess<'d>(&'d self, subject: Subject<'_>, fits: &mut Fits<'d>) -> Option<Found> {
        let fitting: Vec<(&Statement, Fit)> = self
            .statements
            .iter()
            .filter_map(|statement| {
                let product = &statement.product;
                let (vendor, name) = (product.vendor.as_str(), product.name.as_str());
                let fit = fits
                    .entry((vendor, name))
                    .or_insert_with(|| name::fit(subject.vendor, subject.model, vendor, name));
                Some((statement, (*fit)?))
            })
            .collect();
        let sure = fitting.iter().map(|(_, fit)| *fit).max()?;
        let statements: Vec<&Statement> = fitting.iter().map(|(statement, _)| *statement).collect();
        let (status, fixed, reason) = match sure {
            Fit::Both => judge(&statements, subject.version),
            Fit::ModelOnly => (
                Status::CannotTell,
                false,
                format!("the maker of this {} is not known", subject.model),
            ),
        };
        let mut places: Vec<usize> = statements.iter().flat_map(|one| one.remedies.clone()).collect();
        places.sort_unstable();
        places.dedup();
        Some(Found {
            name: self.name.clone(),
            cvss: self.cvss.clone(),
            status,
            fixed,
            reason,
            remedies: places
                .iter()
                .filter_map(|place| self.remedies.get(*place))
                .cloned()
                .collect(),
        })
    }
}

type Judgement = (Status, bool, String);

fn judge(statements: &[&Statement], version: Option<&str>) -> Judgement {
    let (together, alone): (Vec<&Statement>, Vec<&Statement>) =
        statements.iter().partition(|one| one.product.only_with.is_some());
    let of = |says: Says| alone.iter().filter(move |one| one.says == says).copied();
    let affected = ranges(of(Says::Affected));
    // Of two contradicting statements the graver one counts, and the other one is told.
    let contradiction = contradiction(&alone, version).unwrap_or_default();
    if of(Says::Affected).any(|one| one.product.versions.is_all()) {
        let reason = format!("every version is affected{contradiction}");
        return (Status::Affected, false, reason);
    }
    let Some(text) = version else {
        return without_version(statements, "its version is not known", &affected);
    };
    let Ok(version) = text.parse::<Version>() else {
        return without_version(statements, &format!("`{text}` cannot be compared"), &affected);
    };
    let holds = |statement: &Statement| statement.product.versions.holds(&version);
    if let Some(statement) = of(Says::Affected).find(|one| holds(one) == Some(true)) {
        let range = &statement.product.versions.written;
        let reason = format!("{version} is affected: {range}{contradiction}");
        return (Status::Affected, false, reason);
    }
    if let Some(statement) = of(Says::Affected).find(|one| holds(one).is_none()) {
        return cannot_tell(unsure(&version, statement));
    }
    let with_other = together
        .iter()
        .find(|one| one.says == Says::Affected && holds(one) != Some(false));
    if let Some(with) = with_other.and_then(|one| one.product.only_with.as_ref()) {
        return cannot_tell(format!("it concerns this product only together with {with}"));
    }
    let investigated = of(Says::UnderInvestigation).find(|one| holds(one) != Some(false));
    if let Some(statement) = investigated {
        let range = &statement.product.versions.written;
        return cannot_tell(format!("{version} is still under investigation: {range}"));
    }
    let inside = |one: &&Statement| holds(one) == Some(true);
    if let Some(statement) = of(Says::Fixed).find(inside) {
        let reason = format!("{version} has the repair: {}", statement.product.versions.written);
        return (Status::NotAffected, true, reason);
    }
    if let Some(statement) = of(Says::NotAffected).find(inside) {
        let reason = format!(
            "{version} is said not to be affected: {}",
            statement.product.versions.written
        );
        return (Status::NotAffected, false, reason);
    }
    // Outside of ranges is a statement, outside of a list of single versions is none.
    if of(Says::Affected).any(|one| !one.product.versions.is_list()) {
        return (
            Status::NotAffected,
            false,
            format!("{version} is not among the affected: {affected}"),
        );
    }
    cannot_tell(format!(
        "the advisory says nothing of {version}, only of {}",
        ranges(statements.iter().copied())
    ))
}

/// What is to be said when the advisory calls a version affected and not affected at once.
fn contradiction(alone: &[&Statement], version: Option<&str>) -> Option<String> {
    let version: Option<Version> = version.and_then(|version| version.parse().ok());
    let holds = |statement: &&&Statement| match &version {
        Some(version) => statement.product.versions.holds(version) == Some(true),
        None => statement.product.versions.is_all(),
    };
    alone
        .iter()
        .filter(|one| one.says == Says::Affected)
        .find(holds)?;
    let clear = |one: &&&Statement| matches!(one.says, Says::Fixed | Says::NotAffected);
    let clear = alone.iter().filter(clear).find(holds)?;
    Some(format!(
        "; the advisory contradicts itself, for {} is told to be {}",
        clear.product.versions.written,
        match clear.says {
            Says::Fixed => "repaired",
            _ => "not affected",
        },
    ))
}

fn without_version(statements: &[&Statement], why: &str, affected: &str) -> Judgement {
    let never = statements.iter().all(|one| {
        one.says == Says::NotAffected && one.product.only_with.is_none() && one.product.versions.is_all()
    });
    if never {
        return (Status::NotAffected, false, "no version is affected".into());
    }
    if affected.is_empty() {
        return cannot_tell(why.to_owned());
    }
    cannot_tell(format!("{why}; affected is {affected}"))
}

fn unsure(version: &Version, statement: &Statement) -> String {
    let versions = &statement.product.versions;
    if versions.is_readable() {
        format!("{version} tells no build; affected is {}", versions.written)
    } else {
        format!("`{}` cannot be read as a range of versions", versions.written)
    }
}

fn cannot_tell(reason: String) -> Judgement {
    (Status::CannotTell, false, reason)
}

/// At most five ranges, as the advisory writes them.
fn ranges<'s>(statements: impl Iterator<Item = &'s Statement>) -> String {
    let mut written: Vec<&str> = Vec::new();
    for statement in statements {
        let text = statement.product.versions.written.as_str();
        if !written.contains(&text) && written.len() < 5 {
            written.push(text);
        }
    }
    written.join(", ")
}

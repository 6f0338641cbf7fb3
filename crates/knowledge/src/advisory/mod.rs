//! Advisories: which versions of which product have a known weakness, and whether a given device has it. Pure.

mod builtin;
pub mod csaf;
mod range;

use std::{cmp::Ordering, fmt};

use serde::{Deserialize, Serialize};

use crate::{KnowledgeError, Version, error::unreadable};

/// One advisory, as its data file says it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Advisory {
    /// Its name, such as `ICSA-16-336-02`.
    pub id: String,
    /// What it is about, in one line.
    pub title: String,
    /// Who makes the products.
    pub vendor: String,
    /// The weaknesses.
    pub cves: Vec<String>,
    /// The highest base score, with its version where that is not CVSS v3.
    pub cvss: Option<String>,
    /// What to do about it.
    pub remedy: String,
    /// Where all this comes from.
    pub sources: Vec<String>,
    /// The products and their versions.
    #[serde(rename = "product")]
    pub products: Vec<Affected>,
}

/// Versions of some models that are affected.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Affected {
    /// Names of the models, as the vendor writes them. Variants of a model (`NPort 5110-T`) count as the model.
    pub models: Vec<String>,
    /// From this version on, inclusive.
    pub from: Option<String>,
    /// Up to this version, inclusive.
    pub up_to: Option<String>,
    /// Versions before this one, which is the first that is not affected.
    pub below: Option<String>,
    /// These versions and no other.
    #[serde(default)]
    pub exactly: Vec<String>,
}

/// Whether a device has a weakness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Its version is not among the affected ones.
    NotAffected,
    /// Its version is not known, or cannot be compared.
    CannotTell,
    /// Its version is among the affected ones.
    Affected,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAffected => "not affected",
            Self::CannotTell => "cannot tell",
            Self::Affected => "affected",
        })
    }
}

/// An advisory held against one device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assessment<'k> {
    /// The advisory.
    pub advisory: &'k Advisory,
    /// What comes of it.
    pub status: Status,
    /// Whether it is not affected because its version is the first that has the repair, or a later one.
    pub fixed: bool,
    /// Why, with both versions.
    pub reason: String,
}

/// The advisories that are compiled in.
///
/// # Errors
/// None unless the build was made from broken data files.
pub fn builtin() -> Result<Vec<Advisory>, KnowledgeError> {
    read(&builtin::FILES)
}

/// Reads advisory files, each given as its name for messages and its text.
///
/// # Errors
/// The first file that cannot be read, else all broken rules.
pub fn read(files: &[(&str, &str)]) -> Result<Vec<Advisory>, KnowledgeError> {
    let mut advisories = Vec::new();
    let mut problems = Vec::new();
    for (file, text) in files {
        let advisory: Advisory = toml::from_str(text).map_err(|error| KnowledgeError::Read {
            problems: vec![unreadable(file, text, &error)],
            own: false,
        })?;
        problems.extend(
            advisory
                .problems()
                .into_iter()
                .map(|problem| format!("{file}: {problem}")),
        );
        advisories.push(advisory);
    }
    if problems.is_empty() {
        Ok(advisories)
    } else {
        Err(KnowledgeError::Invalid { problems, own: false })
    }
}

/// What the advisories say of a model at a version, the gravest first. Advisories of other models are not among them.
pub fn assess<'k>(advisories: &'k [Advisory], model: &str, version: Option<&str>) -> Vec<Assessment<'k>> {
    let mut assessments: Vec<Assessment<'k>> = advisories
        .iter()
        .filter_map(|advisory| {
            // A model that has a row of its own is no variant of a shorter name's.
            let products = advisory.products.iter();
            let fitting = products.filter_map(|product| Some((product.fits(model)?, product)));
            let (_, product) = fitting.max_by_key(|(length, _)| *length)?;
            let (status, reason) = product.assess(model, version);
            Some(Assessment {
                advisory,
                status,
                fixed: status == Status::NotAffected && product.has_repair(version),
                reason,
            })
        })
        .collect();
    assessments.sort_by(|one, other| (other.status, &one.advisory.id).cmp(&(one.status, &other.advisory.id)));
    assessments
}

impl Advisory {
    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.products.is_empty() {
            problems.push("it names no product".into());
        }
        for product in &self.products {
            let named = [&product.from, &product.up_to, &product.below];
            let versions = named.into_iter().flatten().chain(&product.exactly);
            for version in versions.clone() {
                if version.parse::<Version>().is_err() {
                    problems.push(format!("`{version}` is no version that can be compared"));
                }
            }
            let open = product.up_to.is_none() && product.below.is_none() && product.exactly.is_empty();
            let two = product.up_to.is_some() && product.below.is_some();
            let both = !product.exactly.is_empty() && versions.count() > product.exactly.len();
            if open || two || both || product.models.is_empty() {
                let models = product.models.join(", ");
                problems.push(format!(
                    "the versions of [{models}] need one of `up_to`, `below`, `exactly`"
                ));
            }
        }
        problems
    }
}

impl Affected {
    /// The length of the longest name by which a model is meant, itself or as a variant; `None` when it is not meant.
    fn fits(&self, model: &str) -> Option<usize> {
        let model = plain(model);
        let names = self.models.iter().map(|own| plain(own));
        let fitting = names.filter(|own| {
            let variant = model.strip_prefix(own);
            variant.is_some_and(|variant| variant.is_empty() || variant.starts_with('-'))
        });
        fitting.map(|own| own.len()).max()
    }

    fn assess(&self, model: &str, version: Option<&str>) -> (Status, String) {
        let Some(text) = version else {
            return (
                Status::CannotTell,
                format!(
                    "the version of {model} is not known; affected is {}",
                    self.range()
                ),
            );
        };
        let Ok(version) = text.parse::<Version>() else {
            return (
                Status::CannotTell,
                format!("`{text}` cannot be compared; affected is {}", self.range()),
            );
        };
        match self.holds(&version) {
            Some(true) => (
                Status::Affected,
                format!("{version} is affected: {}", self.range()),
            ),
            Some(false) => (
                Status::NotAffected,
                format!("{version} is not among the affected: {}", self.range()),
            ),
            None if self.exactly.is_empty() => (
                Status::CannotTell,
                format!("{version} tells no build; affected is {}", self.range()),
            ),
            // Of other versions a list of single ones says nothing.
            None => (
                Status::CannotTell,
                format!("nothing is said of {version}; affected is {}", self.range()),
            ),
        }
    }

    /// Whether a version is affected; `None` when that hangs on a build that one of the two does not tell, and for a version
    /// that is not on a list of single ones.
    fn holds(&self, version: &Version) -> Option<bool> {
        let compare = |text: &String| range::against(version, text);
        if !self.exactly.is_empty() {
            let is_on_it = |text| compare(text) == Some(Ordering::Equal);
            return self.exactly.iter().any(is_on_it).then_some(true);
        }
        let above = match &self.from {
            Some(from) => compare(from).map(Ordering::is_ge),
            None => Some(true),
        };
        let below = match (&self.up_to, &self.below) {
            (Some(up_to), _) => compare(up_to).map(Ordering::is_le),
            (None, Some(below)) => compare(below).map(Ordering::is_lt),
            (None, None) => None,
        };
        match (above, below) {
            (Some(false), _) | (_, Some(false)) => Some(false),
            (Some(true), Some(true)) => Some(true),
            _ => None,
        }
    }

    /// Whether a version is the first one that is not affected, or a later one.
    fn has_repair(&self, version: Option<&str>) -> bool {
        let version = version.and_then(|text| text.parse::<Version>().ok());
        let order = version.zip(self.below.as_ref());
        let order = order.and_then(|(version, below)| range::against(&version, below));
        order.is_some_and(Ordering::is_ge)
    }

    fn range(&self) -> String {
        let from = self
            .from
            .as_ref()
            .map(|from| format!("from {from} "))
            .unwrap_or_default();
        match (&self.up_to, &self.below) {
            (Some(up_to), _) => format!("{from}up to {up_to}"),
            (None, Some(below)) => format!("{from}below {below}"),
            (None, None) => self.exactly.join(", "),
        }
    }
}

/// Models are written with and without their maker, with more and less space, or none.
fn plain(model: &str) -> String {
    let model = model.to_ascii_lowercase();
    let words: Vec<&str> = model.split_whitespace().filter(|word| *word != "moxa").collect();
    words.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(model: &str, version: Option<&str>, id: &str) -> Option<Status> {
        let advisories = builtin().unwrap();
        assess(&advisories, model, version)
            .into_iter()
            .find(|one| one.advisory.id == id)
            .map(|one| one.status)
    }

    #[test]
    fn the_list_is_the_folder() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../knowledge/advisories");
        let mut names: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, builtin::FILES.map(|(name, _)| name.to_owned()));
        for advisory in builtin().unwrap() {
            let file = format!("{}.toml", advisory.id.to_lowercase());
            assert!(names.contains(&file), "{file}");
        }
    }

    #[test]
    fn versions_decide() {
        use Status::{Affected, CannotTell, NotAffected};
        for (model, version, id, expected) in [
            ("NPort 5110", Some("2.5"), "ICSA-16-336-02", Affected),
            ("NPort 5110", Some("2.6"), "ICSA-16-336-02", NotAffected),
            ("NPort 5110", Some("2.10"), "ICSA-16-336-02", NotAffected),
            ("NPort 5110", Some("2.10"), "ICSA-22-207-04", Affected),
            ("NPort 6150", Some("1.13.11"), "ICSA-16-336-02", NotAffected),
            ("NPort 6150", Some("1.9"), "ICSA-16-336-02", Affected),
            (
                "NPort 5210",
                Some("2.9 Build 17030709"),
                "ICSA-18-200-04",
                Affected,
            ),
            (
                "NPort 5210",
                Some("2.9 Build 18000000"),
                "ICSA-18-200-04",
                NotAffected,
            ),
            ("NPort 5210", Some("2.9"), "ICSA-18-200-04", CannotTell),
            ("NPort 5210", Some("2.8 Build 99"), "ICSA-16-336-02", NotAffected),
            ("NPort 5110", None, "ICSA-16-336-02", CannotTell),
            ("NPort 5110", Some("unknown"), "ICSA-16-336-02", CannotTell),
            ("MDM Tool", Some("2.1"), "ICSA-10-301-01A", Affected),
            ("MDM Tool", Some("2.3.0"), "ICSA-10-301-01A", NotAffected),
            ("MXview", Some("2.9"), "ICSA-21-278-03", NotAffected),
            ("MXview", Some("3.2.2"), "ICSA-21-278-03", Affected),
            ("moxa  nport 5110-T", Some("2.5"), "ICSA-16-336-02", Affected),
            ("NPort5110", Some("2.5"), "ICSA-16-336-02", Affected),
            ("NPort 5650-8-DT", Some("2.5"), "ICSA-16-336-02", NotAffected),
            ("NPort 5650-8-DTL-T", Some("2.3"), "ICSA-16-336-02", Affected),
            ("NPort 5650-16", Some("2.5"), "ICSA-16-336-02", Affected),
            ("NPort 5110", Some("2.4"), "ICSA-22-207-04", CannotTell),
            ("NPort 5110", Some("2.2"), "ICSA-17-320-01", Affected),
            ("NPort 5110", Some("2.5"), "ICSA-17-320-01", CannotTell),
        ] {
            assert_eq!(
                status(model, version, id),
                Some(expected),
                "{model} {version:?} {id}"
            );
        }
    }

    #[test]
    fn another_model_is_not_meant() {
        for model in ["NPort 5110A", "NPort 511", "NPort", "MXview One", ""] {
            assert_eq!(status(model, Some("1.0"), "ICSA-22-207-04"), None, "{model}");
        }
        assert_eq!(status("MXview One", Some("1.0"), "ICSA-18-011-02"), None);
    }

    #[test]
    fn broken_files_are_refused() {
        let file = |product: &str| {
            format!(
                "id = \"X\"\ntitle = \"t\"\nvendor = \"v\"\ncves = []\nremedy = \"r\"\nsources = []\n[[product]]\nmodels = [\"m\"]\n{product}"
            )
        };
        for product in [
            "",
            "below = \"3.x\"",
            "below = \"1\"\nup_to = \"2\"",
            "exactly = [\"1\"]\nfrom = \"1\"",
            "below_ = \"1\"",
        ] {
            assert!(read(&[("x.toml", &file(product))]).is_err(), "{product}");
        }
        assert!(read(&[("x.toml", &file("below = \"1\""))]).is_ok());
    }
}

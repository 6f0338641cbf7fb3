//! All advisories that are known, those that are compiled in and those that were imported, held against one device.

use portcullis_knowledge::advisory::{
    Advisory, Status, assess, builtin,
    csaf::{Document, Found, Subject},
};
use serde::Serialize;

use crate::{Desk, OpsError};

/// The advisories that a device or a program is held against.
#[derive(Debug, Clone, Default)]
pub struct Advisories {
    /// Those that are compiled in.
    pub builtin: Vec<Advisory>,
    /// Those that were imported.
    pub imported: Vec<Document>,
}

/// An advisory held against a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AssetAdvisory {
    /// Its name.
    pub id: String,
    /// Who published it; `None` for one that is compiled in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publisher: Option<String>,
    /// What it is about.
    pub title: String,
    /// What it was held against.
    pub product: AdvisedProduct,
    /// Its weaknesses. One that has no CVE goes by another id.
    pub cves: Vec<String>,
    /// The highest base score, with its version where that is not CVSS v3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cvss: Option<String>,
    /// `affected`, `cannot-tell` or `not-affected`.
    pub status: Status,
    /// Whether it is not affected because its version has the repair.
    pub fixed: bool,
    /// Why.
    pub reason: String,
    /// What to do about it.
    pub remedy: String,
    /// What kind of remedy that is, in the words of CSAF.
    pub remedy_category: String,
    /// Where to read more.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<String>,
}

/// A device, or a program on a host, as far as advisories tell products apart. Made harmless to show.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct AdvisedProduct {
    /// Who makes it.
    pub vendor: Option<String>,
    /// Its model or name.
    pub model: String,
    /// The version of its firmware, or its own.
    pub version: Option<String>,
    /// Whether it is a program on the host, and not the host itself.
    pub installed: bool,
}

impl Advisories {
    /// Those that are compiled in and those of the store.
    ///
    /// # Errors
    /// When the store cannot be read, or holds what this version does not understand.
    pub async fn of(desk: &Desk) -> Result<Self, OpsError> {
        let mut all = Self::builtin()?;
        for record in desk.store.advisories().await.map_err(OpsError::Store)? {
            all.imported
                .push(serde_json::from_value(record).map_err(OpsError::KeptAdvisory)?);
        }
        Ok(all)
    }

    /// Those that are compiled in.
    ///
    /// # Errors
    /// None unless the build was made from broken data files.
    pub fn builtin() -> Result<Self, OpsError> {
        Ok(Self {
            builtin: builtin().map_err(OpsError::Knowledge)?,
            imported: Vec::new(),
        })
    }

    /// What they say of a product, the gravest first. What is compiled in is of vendors that name their models so that a
    /// device need not tell its maker; a program must.
    pub fn hold(&self, product: &AdvisedProduct) -> Vec<AssetAdvisory> {
        let version = product.version.as_deref();
        let compiled = assess(&self.builtin, &product.model, version)
            .into_iter()
            .filter(|found| !product.installed || is_of(product, &found.advisory.vendor))
            .map(|found| AssetAdvisory {
                id: found.advisory.id.clone(),
                publisher: None,
                title: found.advisory.title.clone(),
                product: product.clone(),
                cves: found.advisory.cves.clone(),
                cvss: found.advisory.cvss.clone(),
                status: found.status,
                fixed: found.fixed,
                reason: found.reason,
                remedy_category: category(&found.advisory.remedy).into(),
                remedy: found.advisory.remedy.clone(),
                references: Vec::new(),
            });
        let subject = Subject {
            vendor: product.vendor.as_deref(),
            model: &product.model,
            version,
        };
        let imported = self.imported.iter().flat_map(|document| {
            let found = document.assess(subject).into_iter();
            found.map(|found| of_document(document, product, found))
        });
        let mut all: Vec<AssetAdvisory> = compiled.chain(imported).collect();
        all.sort_by(|one, other| {
            (other.status, &one.id, &one.cves).cmp(&(one.status, &other.id, &other.cves))
        });
        all
    }
}

fn is_of(product: &AdvisedProduct, vendor: &str) -> bool {
    let vendor = vendor.to_lowercase();
    let words = product
        .vendor
        .iter()
        .flat_map(|own| own.split(|letter: char| !letter.is_alphanumeric()));
    words.map(str::to_lowercase).any(|word| word == vendor)
}

fn of_document(document: &Document, product: &AdvisedProduct, found: Found) -> AssetAdvisory {
    let shown = portcullis_model::sanitize;
    let repair = found
        .remedies
        .iter()
        .find(|remedy| remedy.category == "vendor_fix");
    let remedy = repair.or(found.remedies.first());
    AssetAdvisory {
        id: shown(&document.id),
        publisher: Some(shown(&document.publisher)),
        title: shown(&document.title),
        product: product.clone(),
        cves: vec![shown(&found.name)],
        cvss: found.cvss,
        status: found.status,
        fixed: found.fixed,
        reason: shown(&found.reason),
        remedy: remedy.map_or_else(
            || "the advisory names no remedy; ask the vendor".to_owned(),
            |remedy| shown(&remedy.details),
        ),
        remedy_category: remedy
            .map_or("none_available", |remedy| known(&remedy.category))
            .into(),
        references: document.references.iter().map(|url| shown(url)).collect(),
    }
}

/// The categories of CSAF 2.0 (3.2.3.12.1); another one is none.
fn known(category: &str) -> &'static str {
    let all = [
        "vendor_fix",
        "mitigation",
        "workaround",
        "no_fix_planned",
        "none_available",
    ];
    all.into_iter()
        .find(|known| *known == category)
        .unwrap_or("mitigation")
}

fn category(remedy: &str) -> &'static str {
    if remedy.starts_with("update") {
        "vendor_fix"
    } else if remedy.contains("no fixed version") {
        "none_available"
    } else {
        "mitigation"
    }
}

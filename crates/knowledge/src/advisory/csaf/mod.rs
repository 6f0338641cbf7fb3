//! Advisories that somebody publishes as CSAF 2.0, held against devices. Pure.
//!
//! Read is what decides: which products and versions each vulnerability affects, which it does not, which are fixed or
//! still looked into, and what to do. What cannot be read as a range of versions becomes "cannot tell" with the text of
//! the advisory, never "not affected". Everything in a document is text from outside.
//!
//! Source: OASIS Common Security Advisory Framework 2.0.

mod assess;
mod error;
mod name;
#[cfg(test)]
mod tests;
mod tree;

use std::collections::{HashMap, HashSet};

pub use assess::{Found, Subject};
pub use error::CsafError;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::range::Versions;
use crate::Version;
use tree::Product;

/// The largest document that is read, in bytes.
pub const MAX_BYTES: usize = 16 * 1024 * 1024;
/// How many vulnerabilities one document may have.
const MOST_VULNERABILITIES: usize = 5_000;
/// How many statements on products one document may make.
const MOST_STATEMENTS: usize = 200_000;
/// The longest title, remedy or reference that is kept, in bytes.
const LONGEST: usize = 600;

/// An advisory, as its document says it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// Its name, such as `ICSA-24-268-05`.
    pub id: String,
    /// The version of the document.
    pub version: String,
    /// Who published it.
    pub publisher: String,
    /// The publisher's name space: an id is unique within it.
    pub namespace: String,
    /// What it is about.
    pub title: String,
    /// When this version was released, as the document says it.
    pub released: String,
    /// `draft`, `interim` or `final`.
    pub status: String,
    /// Where to read more: at most ten.
    pub references: Vec<String>,
    /// The vulnerabilities that it makes statements on.
    vulnerabilities: Vec<Vulnerability>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Vulnerability {
    /// Its CVE, or another id, or its title.
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cvss: Option<String>,
    statements: Vec<Statement>,
    remedies: Vec<Remedy>,
}

/// What is said of one product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Statement {
    product: Product,
    says: Says,
    /// The remedies that are for it, by their places.
    remedies: Vec<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Says {
    Affected,
    Fixed,
    NotAffected,
    UnderInvestigation,
}

/// What to do about a vulnerability.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remedy {
    /// `vendor_fix`, `mitigation`, `workaround`, `no_fix_planned` or `none_available`.
    pub category: String,
    /// In words.
    pub details: String,
}

impl Document {
    /// Reads a document.
    ///
    /// # Errors
    /// When it is not JSON, not CSAF 2.0, lacks what every advisory must have, makes no statement on a product, or is
    /// larger than any advisory.
    pub fn read(bytes: &[u8]) -> Result<Self, CsafError> {
        if bytes.len() > MAX_BYTES {
            return Err(CsafError::TooMuch {
                most: MAX_BYTES,
                what: "bytes",
            });
        }
        let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        // serde_json refuses what is nested deeper than 128.
        let root: Value = serde_json::from_slice(text).map_err(CsafError::Json)?;
        let document = root.get("document").ok_or(CsafError::Missing("/document"))?;
        match string(document, "csaf_version") {
            Some("2.0") => {}
            Some(other) => return Err(CsafError::OtherVersion(shortened(other, 40))),
            None => return Err(CsafError::Missing("/document/csaf_version")),
        }
        let at = |pointer: &str| document.pointer(pointer).and_then(Value::as_str);
        let needed = |found: Option<&str>, name| match found.map(str::trim) {
            Some(text) if !text.is_empty() => Ok(shortened(text, LONGEST)),
            _ => Err(CsafError::Missing(name)),
        };
        let version = needed(at("/tracking/version"), "/document/tracking/version")?;
        if edition(&version).is_none() {
            return Err(CsafError::Missing("/document/tracking/version"));
        }
        let products = root
            .get("product_tree")
            .map(tree::read)
            .transpose()?
            .unwrap_or_default();
        let groups = groups(root.get("product_tree").unwrap_or(&Value::Null));
        let vulnerabilities = vulnerabilities(&root, &products, &groups)?;
        if vulnerabilities.is_empty() {
            return Err(CsafError::NoStatus);
        }
        let references = items(document, "references").filter_map(|reference| string(reference, "url"));
        Ok(Self {
            id: needed(at("/tracking/id"), "/document/tracking/id")?,
            version,
            publisher: needed(at("/publisher/name"), "/document/publisher/name")?,
            namespace: needed(at("/publisher/namespace"), "/document/publisher/namespace")?,
            title: needed(at("/title"), "/document/title")?,
            released: needed(
                at("/tracking/current_release_date"),
                "/document/tracking/current_release_date",
            )?,
            status: needed(at("/tracking/status"), "/document/tracking/status")?,
            references: references.take(10).map(|url| shortened(url, LONGEST)).collect(),
            vulnerabilities,
        })
    }

    /// Whether this is a later version of the same document.
    pub fn is_newer_than(&self, version: &str) -> bool {
        edition(&self.version) > edition(version)
    }

    /// How many vulnerabilities it makes statements on.
    pub fn vulnerabilities(&self) -> usize {
        self.vulnerabilities.len()
    }

    /// Products whose versions cannot be read, as the document writes them: each once, at most twenty.
    pub fn unread(&self) -> Vec<String> {
        let mut unread = Vec::new();
        for statement in self.vulnerabilities.iter().flat_map(|one| &one.statements) {
            let product = &statement.product;
            let named = format!("{}: `{}`", product.name, product.versions.written);
            if !product.versions.is_readable() && unread.len() < 20 && !unread.contains(&named) {
                unread.push(named);
            }
        }
        unread
    }
}

/// Whether the beginning of a file looks like an advisory: JSON whose first key is one of the three of CSAF.
pub fn is_csaf(head: &[u8]) -> bool {
    let head = String::from_utf8_lossy(head);
    let begin = head.trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n']);
    let Some(inside) = begin.strip_prefix('{') else {
        return false;
    };
    let key = inside.trim_start();
    [
        "\"document\"",
        "\"$schema\"",
        "\"product_tree\"",
        "\"vulnerabilities\"",
    ]
    .iter()
    .any(|name| key.starts_with(name))
}

/// The version of a document, as something that can be ordered: an integer, or a semantic version without its build. A
/// preview (`1.0.0-1.0`) comes before its version.
fn edition(version: &str) -> Option<(Vec<u64>, bool, String)> {
    let version = version.split_once('+').map_or(version, |(version, _)| version);
    let (numbers, preview) = version.split_once('-').unwrap_or((version, ""));
    let numbers: Result<Vec<u64>, _> = numbers.split('.').map(str::parse).collect();
    Some((numbers.ok()?, preview.is_empty(), preview.to_owned()))
}

fn vulnerabilities(
    root: &Value,
    products: &HashMap<String, Product>,
    groups: &HashMap<&str, Vec<&str>>,
) -> Result<Vec<Vulnerability>, CsafError> {
    let mut found = Vec::new();
    let mut count = 0;
    for vulnerability in items(root, "vulnerabilities") {
        if found.len() >= MOST_VULNERABILITIES {
            return Err(CsafError::TooMuch {
                most: MOST_VULNERABILITIES,
                what: "vulnerabilities",
            });
        }
        let read = read_vulnerability(vulnerability, products, groups, &mut count)?;
        found.extend((!read.statements.is_empty()).then_some(read));
    }
    Ok(found)
}

fn read_vulnerability(
    vulnerability: &Value,
    products: &HashMap<String, Product>,
    groups: &HashMap<&str, Vec<&str>>,
    count: &mut usize,
) -> Result<Vulnerability, CsafError> {
    let mut for_product: HashMap<&str, Vec<usize>> = HashMap::new();
    let mut remedies = Vec::new();
    for (place, remediation) in items(vulnerability, "remediations").take(200).enumerate() {
        let grouped = strings(remediation, "group_ids").filter_map(|id| groups.get(id));
        for id in strings(remediation, "product_ids").chain(grouped.flatten().copied()) {
            for_product.entry(id).or_default().push(place);
        }
        remedies.push(Remedy {
            category: shortened(string(remediation, "category").unwrap_or_default(), 40),
            details: shortened(string(remediation, "details").unwrap_or_default(), LONGEST),
        });
    }
    let (mut statements, mut ends) = (Vec::new(), Ends::new());
    let status = vulnerability.get("product_status").unwrap_or(&Value::Null);
    for (key, says) in [
        ("known_affected", Says::Affected),
        ("first_affected", Says::Affected),
        ("last_affected", Says::Affected),
        ("fixed", Says::Fixed),
        ("first_fixed", Says::Fixed),
        ("known_not_affected", Says::NotAffected),
        ("under_investigation", Says::UnderInvestigation),
    ] {
        for id in strings(status, key) {
            *count += 1;
            if *count > MOST_STATEMENTS {
                return Err(CsafError::TooMuch {
                    most: MOST_STATEMENTS,
                    what: "statements on products",
                });
            }
            let Some(mut product) = products.get(id).cloned() else {
                continue;
            };
            let end = ends.entry((product.vendor.clone(), product.name.clone()));
            match key {
                "first_affected" => end.or_default().0.push(statements.len()),
                "last_affected" => end.or_default().1.push(statements.len()),
                _ => {}
            }
            product.versions = match key {
                "first_affected" => product.versions.and_later(),
                "last_affected" => product.versions.and_earlier(),
                _ => product.versions,
            };
            statements.push(Statement {
                product,
                says,
                remedies: for_product.get(id).cloned().unwrap_or_default(),
            });
        }
    }
    let other = items(vulnerability, "ids").find_map(|id| string(id, "text"));
    let name = string(vulnerability, "cve")
        .or(other)
        .or_else(|| string(vulnerability, "title"));
    Ok(Vulnerability {
        name: shortened(name.unwrap_or("without a name"), 100),
        cvss: cvss(vulnerability),
        statements: between(statements, &ends),
        remedies,
    })
}

/// The places of statements on a first and on a last affected version, by vendor and name of the product.
type Ends = HashMap<(String, String), (Vec<usize>, Vec<usize>)>;

/// One first and one last affected version of the same product are the two ends of one range. Of several, nobody says which
/// belong together: then each stands for itself, which claims more and not less.
fn between(statements: Vec<Statement>, ends: &Ends) -> Vec<Statement> {
    let mut last_of: HashMap<usize, usize> = HashMap::new();
    for pair in ends.values() {
        if let ([first], [last]) = (pair.0.as_slice(), pair.1.as_slice()) {
            last_of.insert(*first, *last);
        }
    }
    let lasts: HashMap<usize, Versions> = last_of
        .iter()
        .filter_map(|(first, last)| Some((*first, statements.get(*last)?.product.versions.clone())))
        .collect();
    let merged: HashSet<usize> = last_of.into_values().collect();
    let statements = statements.into_iter().enumerate();
    statements
        .filter(|(place, _)| !merged.contains(place))
        .map(|(place, mut statement)| {
            if let Some(last) = lasts.get(&place) {
                statement.product.versions = statement.product.versions.up_to(last);
            }
            statement
        })
        .collect()
}

/// The highest base score of CVSS v3, else of v2.
fn cvss(vulnerability: &Value) -> Option<String> {
    let highest = |key: &str| {
        items(vulnerability, "scores")
            .filter_map(|score| score.get(key)?.get("baseScore")?.as_f64())
            .filter(|score| (0.0..=10.0).contains(score))
            .fold(None, |highest: Option<f64>, score| {
                Some(highest.map_or(score, |other| other.max(score)))
            })
    };
    highest("cvss_v3")
        .map(|score| format!("{score:.1}"))
        .or_else(|| highest("cvss_v2").map(|score| format!("{score:.1} (CVSS v2)")))
}

fn groups(tree: &Value) -> HashMap<&str, Vec<&str>> {
    items(tree, "product_groups")
        .filter_map(|group| {
            Some((
                string(group, "group_id")?,
                strings(group, "product_ids").collect(),
            ))
        })
        .collect()
}

fn string<'v>(value: &'v Value, key: &str) -> Option<&'v str> {
    value.get(key).and_then(Value::as_str)
}

fn items<'v>(value: &'v Value, key: &str) -> impl Iterator<Item = &'v Value> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn strings<'v>(value: &'v Value, key: &str) -> impl Iterator<Item = &'v str> {
    items(value, key).filter_map(Value::as_str)
}

/// A text of at most so many bytes; what was cut is marked.
pub(super) fn shortened(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let end = (0..=most)
        .rev()
        .find(|end| text.is_char_boundary(*end))
        .unwrap_or_default();
    format!("{}\u{2026}", text.get(..end).unwrap_or_default())
}

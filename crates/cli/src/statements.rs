//! What the advisories say of the assets, by vulnerability: the common ground of the documents that tell it to others.

use std::{collections::BTreeMap, net::IpAddr};

use jiff::Timestamp;
use portcullis_model::{Digest, Exit, Fault};
use portcullis_ops::assets::{AdvisedProduct, Asset, AssetAdvisory, Status};

/// Who states it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Publisher {
    /// Its name.
    pub(crate) name: String,
    /// A URI of its own.
    pub(crate) namespace: String,
}

impl Publisher {
    /// As named, or else after the site.
    pub(crate) fn new(
        name: Option<&str>,
        namespace: Option<&str>,
        site: Option<&str>,
    ) -> Result<Self, BadNamespace> {
        let site = site.unwrap_or("unnamed site");
        let slug: String = site
            .chars()
            .map(|letter| {
                if letter.is_ascii_alphanumeric() {
                    letter.to_ascii_lowercase()
                } else {
                    '-'
                }
            })
            .collect();
        let namespace = match namespace {
            Some(given) if is_uri(given) => given.to_owned(),
            Some(given) => return Err(BadNamespace(given.to_owned())),
            None => format!("urn:portcullis:site:{slug}"),
        };
        Ok(Self {
            name: name.unwrap_or(site).to_owned(),
            namespace,
        })
    }
}

/// A scheme and something behind it, of the letters that a URI may have (RFC 3986, 2 and 3.1).
fn is_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else {
        return false;
    };
    let scheme_is_one = scheme.starts_with(|letter: char| letter.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    let letters = rest
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&byte));
    scheme_is_one && !rest.is_empty() && letters
}

/// A name space that is no URI.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a URI")]
pub(crate) struct BadNamespace(String);

impl Fault for BadNamespace {
    fn code(&self) -> &'static str {
        "CL004"
    }
    fn hint(&self) -> Option<String> {
        Some("give one such as https://plant.example or urn:example:plant-7".into())
    }
    fn exit(&self) -> Exit {
        Exit::Usage
    }
}

/// A product on one host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Thing {
    /// The product.
    pub(crate) product: AdvisedProduct,
    /// Where it is.
    pub(crate) address: IpAddr,
}

impl Thing {
    /// The same for the same product at the same address, everywhere and always.
    pub(crate) fn id(&self) -> String {
        let (product, address) = (&self.product, self.address.to_string());
        let text = |part: &Option<String>| part.clone().unwrap_or_default();
        let parts = [
            text(&product.vendor),
            product.model.clone(),
            text(&product.version),
            address,
        ];
        digits(&Digest::of_parts(parts.iter().map(String::as_bytes)))
    }
}

/// What is said of one thing.
#[derive(Debug, Clone)]
pub(crate) struct Said<'a> {
    /// Of what.
    pub(crate) thing: Thing,
    /// The advisory that says it.
    pub(crate) advisory: &'a AssetAdvisory,
}

/// What is said, by vulnerability. Of several advisories that speak of the same vulnerability of the same thing, the
/// gravest counts: two of them must not contradict each other in one document.
pub(crate) fn by_vulnerability(assets: &[Asset]) -> BTreeMap<String, Vec<Said<'_>>> {
    let mut said: BTreeMap<String, BTreeMap<Thing, Said<'_>>> = BTreeMap::new();
    for asset in assets {
        for advisory in &asset.advisories {
            let thing = Thing {
                product: advisory.product.clone(),
                address: asset.address,
            };
            let own_id = [advisory.id.clone()];
            let names = if advisory.cves.is_empty() {
                &own_id
            } else {
                advisory.cves.as_slice()
            };
            for name in names {
                let of_one = said.entry(name.clone()).or_default();
                let before = of_one.get(&thing).map(|before| rank(before.advisory));
                if before.is_none_or(|before| before < rank(advisory)) {
                    let thing = thing.clone();
                    of_one.insert(thing.clone(), Said { thing, advisory });
                }
            }
        }
    }
    let said = said.into_iter();
    said.map(|(name, things)| (name, things.into_values().collect()))
        .collect()
}

fn rank(advisory: &AssetAdvisory) -> (Status, bool) {
    (advisory.status, advisory.fixed)
}

/// `CVE-2010-4741`, as both standards want it.
pub(crate) fn is_cve(name: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    name.strip_prefix("CVE-")
        .and_then(|rest| rest.split_once('-'))
        .is_some_and(|(year, number)| year.len() == 4 && number.len() >= 4 && digits(year) && digits(number))
}

/// When the newest of it was seen: the same facts make the same document, whenever it is written.
pub(crate) fn as_of(assets: &[Asset], now: Timestamp) -> Timestamp {
    assets.iter().map(|asset| asset.last_seen).max().unwrap_or(now)
}

/// Seconds are exact enough, and every reader knows them (RFC 3339).
pub(crate) fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The first sixteen digits.
pub(crate) fn digits(digest: &Digest) -> String {
    digest.to_string().chars().take(16).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publisher_is_named_after_its_site_and_its_name_space_is_a_uri() {
        let plant = Publisher::new(None, None, Some("Plant 7")).unwrap();
        assert_eq!(plant.namespace, "urn:portcullis:site:plant-7");
        assert!(Publisher::new(None, Some("https://plant.example/x"), None).is_ok());
        for wrong in ["plant", "://x", "https:", "https://plant example", "1a:b"] {
            assert!(Publisher::new(None, Some(wrong), None).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_cve_has_its_form() {
        assert!(is_cve("CVE-2010-4741") && is_cve("CVE-2026-123456"));
        for wrong in [
            "CVE-2010-474",
            "cve-2010-4741",
            "CVE-2010-4741x",
            "ICSA-10-301-01A",
            "CVE-20100-4741",
        ] {
            assert!(!is_cve(wrong), "{wrong}");
        }
    }
}

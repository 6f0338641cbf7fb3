//! What the advisories say of the assets, as a VEX document: CSAF 2.0, profile 5 (`csaf_vex`).
//!
//! - affected is `known_affected`, with the remedy as the action statement;
//! - not affected is `known_not_affected`, with the reason as the impact statement (`threats`): no flag of the standard says
//!   just that a version is not among the affected ones;
//! - a version that has the repair is `fixed`;
//! - what cannot be told is `under_investigation`.
//!
//! The document is the same for the same facts: its id and its dates come from them, and only the date of the generator is
//! that of the clock.

use std::collections::BTreeMap;

use jiff::Timestamp;
use portcullis_model::Digest;
use portcullis_ops::assets::{Asset, Status};
use serde_json::{Map, Value, json};

use crate::statements::{Publisher, Said, Thing, as_of, by_vulnerability, digits, is_cve, moment};

/// The document, or nothing when no advisory says anything of any asset: the standard knows no empty one.
pub(crate) fn document(assets: &[Asset], publisher: &Publisher, now: Timestamp) -> Option<Value> {
    let said = by_vulnerability(assets);
    if said.is_empty() {
        return None;
    }
    let tree = product_tree(said.values().flatten());
    let vulnerabilities: Vec<Value> = said
        .iter()
        .map(|(name, said)| vulnerability(name, said))
        .collect();
    let at = moment(as_of(assets, now));
    let content = json!([publisher.name, publisher.namespace, at, tree, vulnerabilities]).to_string();
    let id = digits(&Digest::of(content));
    Some(json!({
        "document": {
            "category": "csaf_vex",
            "csaf_version": "2.0",
            "lang": "en",
            "distribution": {"tlp": {"label": "AMBER", "url": "https://www.first.org/tlp/"}},
            "notes": [{
                "category": "general",
                "title": "How this was made",
                "text": "Versions as the devices and hosts tell them were held against advisories. Under investigation \
                         are products whose version is not known or cannot be compared."
            }],
            "publisher": {"category": "user", "name": publisher.name, "namespace": publisher.namespace},
            "title": format!("What known advisories mean for the assets of {}", publisher.name),
            "tracking": {
                "id": format!("PORTCULLIS-VEX-{}", id.to_uppercase()),
                "status": "final",
                "version": "1",
                "initial_release_date": at,
                "current_release_date": at,
                "revision_history": [{"date": at, "number": "1", "summary": "Written from what was known then"}],
                "generator": {
                    "date": moment(now),
                    "engine": {"name": "portcullis", "version": env!("CARGO_PKG_VERSION")}
                }
            }
        },
        "product_tree": tree,
        "vulnerabilities": vulnerabilities
    }))
}

fn id(thing: &Thing) -> String {
    format!("CSAFPID-{}", thing.id())
}

/// Vendor, product, version if it is known, and the host.
fn product_tree<'a>(said: impl Iterator<Item = &'a Said<'a>>) -> Value {
    type Hosts = BTreeMap<String, Value>;
    let mut vendors: BTreeMap<String, BTreeMap<String, BTreeMap<Option<String>, Hosts>>> = BTreeMap::new();
    for Said { thing, .. } in said {
        let product = &thing.product;
        let vendor = product.vendor.clone().unwrap_or_else(|| "unknown vendor".into());
        let version = product
            .version
            .as_ref()
            .map(|version| format!(" {version}"))
            .unwrap_or_default();
        let name = format!("{vendor} {}{version} on {}", product.model, thing.address);
        let host = thing.address.to_string();
        vendors
            .entry(vendor)
            .or_default()
            .entry(product.model.clone())
            .or_default()
            .entry(product.version.clone())
            .or_default()
            .insert(
                host.clone(),
                json!({"category": "host_name", "name": host, "product": {"name": name, "product_id": id(thing)}}),
            );
    }
    let branch = |category: &str, name: String, branches: Vec<Value>| json!({"category": category, "name": name, "branches": branches});
    let models = |models: BTreeMap<String, BTreeMap<Option<String>, Hosts>>| {
        let models = models.into_iter().map(|(model, versions)| {
            let versions = versions.into_iter().flat_map(|(version, hosts)| {
                let hosts: Vec<Value> = hosts.into_values().collect();
                match version {
                    Some(version) => vec![branch("product_version", version, hosts)],
                    None => hosts,
                }
            });
            branch("product_name", model, versions.collect())
        });
        models.collect()
    };
    let vendors = vendors
        .into_iter()
        .map(|(vendor, of_vendor)| branch("vendor", vendor, models(of_vendor)));
    json!({"branches": vendors.collect::<Vec<Value>>()})
}

fn vulnerability(name: &str, said: &[Said<'_>]) -> Value {
    let mut status: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let (mut remediations, mut threats) = (BTreeMap::new(), BTreeMap::new());
    let mut references = BTreeMap::new();
    let mut titles: Vec<&str> = Vec::new();
    for one in said {
        let (id, advisory) = (id(&one.thing), one.advisory);
        let key = match (advisory.status, advisory.fixed) {
            (Status::Affected, _) => {
                let remedy = (advisory.remedy_category.clone(), advisory.remedy.clone());
                remediations
                    .entry(remedy)
                    .or_insert_with(Vec::new)
                    .push(id.clone());
                "known_affected"
            }
            (Status::CannotTell, _) => "under_investigation",
            (Status::NotAffected, true) => "fixed",
            (Status::NotAffected, false) => {
                threats
                    .entry(advisory.reason.clone())
                    .or_insert_with(Vec::new)
                    .push(id.clone());
                "known_not_affected"
            }
        };
        status.entry(key).or_default().push(id);
        for url in advisory.references.iter().filter(|url| url.starts_with("http")) {
            references.insert(url.clone(), advisory.id.clone());
        }
        if !titles.contains(&advisory.title.as_str()) {
            titles.push(&advisory.title);
        }
    }
    let mut written = Map::new();
    match is_cve(name) {
        true => written.insert("cve".into(), json!(name)),
        false => written.insert("ids".into(), json!([{"system_name": "advisory", "text": name}])),
    };
    let notes: Vec<Value> = titles
        .iter()
        .map(|title| json!({"category": "summary", "text": title}))
        .collect();
    written.insert("notes".into(), json!(notes));
    written.insert("product_status".into(), json!(status));
    let remediations: Vec<Value> = remediations
        .into_iter()
        .map(|((category, details), ids)| json!({"category": category, "details": details, "product_ids": ids}))
        .collect();
    let threats: Vec<Value> = threats
        .into_iter()
        .map(|(details, ids)| json!({"category": "impact", "details": details, "product_ids": ids}))
        .collect();
    let references: Vec<Value> = references
        .into_iter()
        .map(|(url, summary)| json!({"category": "external", "summary": summary, "url": url}))
        .collect();
    for (key, list) in [
        ("remediations", remediations),
        ("threats", threats),
        ("references", references),
    ] {
        if !list.is_empty() {
            written.insert(key.into(), json!(list));
        }
    }
    Value::Object(written)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use portcullis_ops::assets::{AdvisedProduct, AssetAdvisory};

    use super::*;

    const STATUSES: [(Status, bool); 4] = [
        (Status::Affected, false),
        (Status::CannotTell, false),
        (Status::NotAffected, true),
        (Status::NotAffected, false),
    ];

    fn advisory(
        id: &str,
        cve: &str,
        version: Option<&str>,
        (status, fixed): (Status, bool),
    ) -> AssetAdvisory {
        AssetAdvisory {
            id: id.into(),
            publisher: None,
            title: "a title".into(),
            product: AdvisedProduct {
                vendor: None,
                model: "NPort 5110".into(),
                version: version.map(Into::into),
                installed: false,
            },
            cves: Some(cve.to_owned())
                .into_iter()
                .filter(|cve| !cve.is_empty())
                .collect(),
            cvss: None,
            status,
            fixed,
            reason: "a reason".into(),
            remedy: "update".into(),
            remedy_category: "vendor_fix".into(),
            references: vec!["https://psirt.example".into(), "file:x".into()],
        }
    }

    fn asset(address: &str, advisories: Vec<AssetAdvisory>) -> Asset {
        Asset {
            address: address.parse().unwrap(),
            zone: None,
            roles: BTreeSet::new(),
            device: None,
            mac: None,
            services: Vec::new(),
            unidentified: Vec::new(),
            closed_since: BTreeMap::new(),
            facts: BTreeMap::new(),
            contradictions: Vec::new(),
            programs: Vec::new(),
            answered: true,
            sources: BTreeSet::new(),
            last_seen: Timestamp::UNIX_EPOCH,
            seen_from: BTreeSet::new(),
            advisories,
        }
    }

    fn ids(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                found.extend(
                    fields
                        .get("product_id")
                        .and_then(Value::as_str)
                        .map(str::to_owned),
                );
                fields.values().for_each(|value| ids(value, found));
            }
            Value::Array(values) => values.iter().for_each(|value| ids(value, found)),
            _ => {}
        }
    }

    #[test]
    fn every_product_is_defined_once_and_has_one_status_for_each_vulnerability() {
        let publisher = Publisher::new(None, None, Some("plant")).unwrap();
        for one in STATUSES {
            for other in STATUSES {
                let assets = [
                    asset(
                        "10.0.0.1",
                        vec![
                            advisory("A", "CVE-2026-0001", Some("1.0"), one),
                            advisory("B", "CVE-2026-0001", Some("1.0"), other),
                        ],
                    ),
                    asset(
                        "10.0.0.2",
                        vec![
                            advisory("A", "", None, one),
                            advisory("B", "CVE-2026-0001", None, other),
                        ],
                    ),
                ];
                let document = document(&assets, &publisher, Timestamp::UNIX_EPOCH).unwrap();
                let mut defined = Vec::new();
                ids(&document["product_tree"], &mut defined);
                assert_eq!(defined.len(), 2, "{defined:?}");
                for vulnerability in document["vulnerabilities"].as_array().unwrap() {
                    let statuses = vulnerability["product_status"].as_object().unwrap();
                    let said: Vec<&str> = statuses
                        .values()
                        .flat_map(|ids| ids.as_array().unwrap())
                        .map(|id| id.as_str().unwrap())
                        .collect();
                    let once: BTreeSet<&str> = said.iter().copied().collect();
                    assert_eq!(said.len(), once.len(), "{vulnerability}");
                    assert!(once.iter().all(|id| defined.iter().any(|own| own == id)));
                    assert_eq!(
                        statuses.contains_key("known_affected"),
                        vulnerability.get("remediations").is_some()
                    );
                    assert_eq!(
                        statuses.contains_key("known_not_affected"),
                        vulnerability.get("threats").is_some()
                    );
                    assert_eq!(
                        vulnerability["references"].as_array().unwrap().len(),
                        1,
                        "only what can be opened"
                    );
                }
                let graver = document["vulnerabilities"][1]["product_status"].get("known_affected");
                let expected = one.0 == Status::Affected || other.0 == Status::Affected;
                assert_eq!(graver.is_some(), expected, "{one:?} {other:?}: {document:#}");
            }
        }
    }

    #[test]
    fn the_same_facts_make_the_same_document_and_none_make_none() {
        let publisher = Publisher::new(None, None, None).unwrap();
        let assets = [asset(
            "10.0.0.1",
            vec![advisory("A", "CVE-2026-0001", None, STATUSES[1])],
        )];
        let at = |second| {
            let mut written = document(&assets, &publisher, Timestamp::from_second(second).unwrap()).unwrap();
            written["document"]["tracking"]["generator"]["date"] = Value::Null;
            written
        };
        assert_eq!(at(1), at(2));
        assert!(
            document(
                &[asset("10.0.0.1", Vec::new())],
                &publisher,
                Timestamp::UNIX_EPOCH
            )
            .is_none()
        );
    }
}

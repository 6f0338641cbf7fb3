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

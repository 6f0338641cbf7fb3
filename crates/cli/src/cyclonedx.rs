//! The assets as a bill of materials with what the advisories say of them: CycloneDX 1.6, JSON.
//!
//! Each host is a component of type `device`; its firmware and its programs are components within it. How something is
//! known stands in properties of the name space `portcullis`. A vulnerability is written once for each state that it has
//! among the assets: affected is `exploitable`, cannot tell is `in_triage`, with the repair is `resolved`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use portcullis_model::Digest;
use portcullis_ops::assets::{Asset, Status};
use serde_json::{Map, Value, json};

use crate::statements::{Publisher, Said, Thing, as_of, by_vulnerability, is_cve, moment};

/// The document.
pub(crate) fn document(assets: &[Asset], publisher: &Publisher, now: Timestamp) -> Value {
    let components: Vec<Value> = assets.iter().map(component).collect();
    let said = by_vulnerability(assets);
    let vulnerabilities: Vec<Value> = said
        .iter()
        .flat_map(|(name, said)| vulnerability(name, said))
        .collect();
    let at = moment(as_of(assets, now));
    let content = json!([publisher.namespace, at, components, vulnerabilities]).to_string();
    json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": format!("urn:uuid:{}", uuid(&Digest::of(content), '8')),
        "version": 1,
        "metadata": {
            "timestamp": at,
            "lifecycles": [{"phase": "operations"}],
            "tools": {"components": [
                {"type": "application", "name": "portcullis", "version": env!("CARGO_PKG_VERSION")}
            ]},
            "supplier": {"name": publisher.name}
        },
        "components": components,
        "vulnerabilities": vulnerabilities
    })
}

/// A UUID whose bits are those of the content. Version 8 (RFC 9562, 5.8) says so; some readers only know older versions.
pub(crate) fn uuid(digest: &Digest, version: char) -> String {
    let mut digits: Vec<char> = digest.to_string().chars().take(32).collect();
    for (place, digit) in [(12, version), (16, 'a')] {
        if let Some(slot) = digits.get_mut(place) {
            *slot = digit;
        }
    }
    let mut text = String::new();
    for (place, digit) in digits.into_iter().enumerate() {
        if matches!(place, 8 | 12 | 16 | 20) {
            text.push('-');
        }
        text.push(digit);
    }
    text
}

fn host_reference(asset: &Asset) -> String {
    format!("host-{}", asset.address)
}

fn reference(thing: &Thing) -> String {
    format!("product-{}", thing.id())
}

fn component(asset: &Asset) -> Value {
    let model = asset.device.as_ref().map(|device| device.model.clone());
    let mut component = Map::new();
    component.insert("type".into(), json!("device"));
    component.insert("bom-ref".into(), json!(host_reference(asset)));
    component.insert(
        "name".into(),
        json!(model.unwrap_or_else(|| asset.address.to_string())),
    );
    if let Some(vendor) = asset.device.as_ref().and_then(|device| device.vendor.as_ref()) {
        component.insert("manufacturer".into(), json!({"name": vendor}));
    }
    component.insert("properties".into(), json!(properties(asset)));
    let parts = parts(asset);
    if !parts.is_empty() {
        component.insert("components".into(), json!(parts));
    }
    Value::Object(component)
}

fn properties(asset: &Asset) -> Vec<Value> {
    let mut properties = vec![("address", asset.address.to_string())];
    properties.extend(asset.zone.iter().map(|zone| ("zone", zone.clone())));
    properties.push(("answered", asset.answered.to_string()));
    properties.push(("last-seen", moment(asset.last_seen)));
    properties.extend(asset.sources.iter().map(|source| ("known-from", source.clone())));
    properties.extend(asset.roles.iter().map(|role| ("role", (*role).to_owned())));
    properties.extend(
        asset
            .mac
            .iter()
            .map(|mac| ("hardware-address", mac.address.to_string())),
    );
    let services = asset.services.iter();
    properties
        .extend(services.map(|one| ("service", format!("{} {} ({})", one.port, one.service, one.grade))));
    let named = properties.into_iter();
    named
        .map(|(name, value)| json!({"name": format!("portcullis:{name}"), "value": value}))
        .collect()
}

/// Firmware and programs; those that advisories name under another name as well under that one.
fn parts(asset: &Asset) -> Vec<Value> {
    let mut things: BTreeMap<String, (Thing, &str)> = BTreeMap::new();
    let mut add = |product: &portcullis_ops::assets::AdvisedProduct| {
        let thing = Thing {
            product: product.clone(),
            address: asset.address,
        };
        let kind = if product.installed {
            "application"
        } else {
            "firmware"
        };
        things.insert(reference(&thing), (thing, kind));
    };
    asset.device.iter().for_each(&mut add);
    asset
        .advisories
        .iter()
        .for_each(|advisory| add(&advisory.product));
    let named: Vec<String> = asset
        .advisories
        .iter()
        .map(|one| one.product.model.clone())
        .collect();
    let mut parts: Vec<Value> = things
        .iter()
        .map(|(reference, (thing, kind))| {
            let product = &thing.product;
            part(
                kind,
                Some(reference),
                &product.model,
                product.version.as_deref(),
                product.vendor.as_deref(),
            )
        })
        .collect();
    for program in asset.programs.iter().map(|advised| &advised.program) {
        let text = |part: &Option<portcullis_model::Untrusted>| part.as_ref().map(ToString::to_string);
        let name = program.name.to_string();
        if !named.contains(&name) {
            let (version, publisher) = (text(&program.version), text(&program.publisher));
            parts.push(part(
                "application",
                None,
                &name,
                version.as_deref(),
                publisher.as_deref(),
            ));
        }
    }
    parts
}

fn part(
    kind: &str,
    reference: Option<&str>,
    name: &str,
    version: Option<&str>,
    vendor: Option<&str>,
) -> Value {
    let mut part = Map::new();
    part.insert("type".into(), json!(kind));
    part.insert("name".into(), json!(name));
    for (key, value) in [
        ("bom-ref", reference),
        ("version", version),
        ("publisher", vendor),
    ] {
        if let Some(value) = value {
            part.insert(key.into(), json!(value));
        }
    }
    Value::Object(part)
}

/// One for each state, as the analysis is of the whole vulnerability and not of a product.
fn vulnerability(name: &str, said: &[Said<'_>]) -> Vec<Value> {
    let mut states: BTreeMap<&str, Vec<&Said<'_>>> = BTreeMap::new();
    for one in said {
        let state = match (one.advisory.status, one.advisory.fixed) {
            (Status::Affected, _) => "exploitable",
            (Status::CannotTell, _) => "in_triage",
            (Status::NotAffected, true) => "resolved",
            (Status::NotAffected, false) => "not_affected",
        };
        states.entry(state).or_default().push(one);
    }
    let states = states.into_iter();
    states.map(|(state, said)| of_state(name, state, &said)).collect()
}

fn of_state(name: &str, state: &str, said: &[&Said<'_>]) -> Value {
    let each = |text: fn(&Said<'_>) -> String| {
        let mut texts: Vec<String> = said.iter().map(|one| text(one)).collect();
        texts.sort();
        texts.dedup();
        texts.join("; ")
    };
    let affects: Vec<Value> = said
        .iter()
        .map(|one| json!({"ref": reference(&one.thing)}))
        .collect();
    let mut written = Map::new();
    written.insert("bom-ref".into(), json!(format!("{name}-{state}")));
    written.insert("id".into(), json!(name));
    if is_cve(name) {
        let source = json!({"name": "NVD", "url": format!("https://nvd.nist.gov/vuln/detail/{name}")});
        written.insert("source".into(), source);
    }
    let scores = said.iter().filter_map(|one| one.advisory.cvss.as_deref());
    if let Some(rating) = scores.filter_map(rating).next() {
        written.insert("ratings".into(), json!([rating]));
    }
    written.insert(
        "description".into(),
        json!(each(|one| format!("{}: {}", one.advisory.id, one.advisory.title))),
    );
    if state != "not_affected" && state != "resolved" {
        written.insert(
            "recommendation".into(),
            json!(each(|one| one.advisory.remedy.clone())),
        );
    }
    let detail = each(|one| format!("{}: {}", one.thing.address, one.advisory.reason));
    written.insert("analysis".into(), json!({"state": state, "detail": detail}));
    written.insert("affects".into(), json!(affects));
    Value::Object(written)
}

/// `9.8`, or `9.3 (CVSS v2)`. Which of the versions 3.0 and 3.1 it is, is not known.
fn rating(cvss: &str) -> Option<Value> {
    let (score, kind) = cvss.split_once(' ').unwrap_or((cvss, ""));
    let score: f64 = score.parse().ok()?;
    let method = if kind.contains("v2") { "CVSSv2" } else { "CVSSv3" };
    Some(json!({"score": score, "method": method}))
}

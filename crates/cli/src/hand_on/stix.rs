//! Indicators in STIX 2.1 (OASIS Standard, 10 June 2021): a bundle (section 8) of indicators (section 4.7) with one pattern
//! (section 9) each.

use jiff::Timestamp;
use portcullis_model::Digest;
use serde_json::{Value, json};
use std::net::IpAddr;

use super::Offender;
use crate::cyclonedx::uuid;

/// The bundle. The same offenders give the same bundle.
pub(crate) fn bundle(offenders: &[Offender]) -> Value {
    let objects: Vec<Value> = offenders.iter().map(indicator).collect();
    let content = Value::from(objects.clone()).to_string();
    let mut bundle = json!({"type": "bundle", "id": format!("bundle--{}", id(&content))});
    // A bundle may hold nothing, but then has no list of it (section 8.1, and 2.9 of lists).
    if let (Some(fields), false) = (bundle.as_object_mut(), objects.is_empty()) {
        fields.insert("objects".into(), objects.into());
    }
    bundle
}

fn indicator(offender: &Offender) -> Value {
    let first = moment(offender.first);
    let says: Vec<&str> = offender.did.iter().map(|(_, says)| says.as_str()).collect();
    json!({
        "type": "indicator",
        "spec_version": "2.1",
        // The same address from the same moment on is the same indicator: what came later is another version of it.
        "id": format!("indicator--{}", id(&format!("{} {first}", offender.address))),
        "created": first,
        "modified": moment(offender.last.max(offender.first)),
        "name": format!("{}: {}", offender.address, offender.kinds()),
        "description": says.join("; "),
        "indicator_types": ["anomalous-activity"],
        "pattern": pattern(offender.address),
        "pattern_type": "stix",
        "pattern_version": "2.1",
        "valid_from": first,
    })
}

fn pattern(address: IpAddr) -> String {
    let object = match address {
        IpAddr::V4(_) => "ipv4-addr",
        IpAddr::V6(_) => "ipv6-addr",
    };
    format!("[{object}:value = {}]", literal(&address.to_string()))
}

/// A string of a pattern: quote and backslash are escaped with a backslash (section 9.1, String Literals).
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// A UUID of version 4, whose bits are those of the content: the schemas of STIX know versions 1 to 5 only.
fn id(content: &str) -> String {
    uuid(&Digest::of(content), '4')
}

/// To the millisecond (sections 3.2 and 2.16).
fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

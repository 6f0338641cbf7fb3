use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::advisory::Status;

/// A document with one vulnerability; `tree` and `status` are its product tree and its statuses.
fn document(tree: Value, status: Value) -> Value {
    json!({
        "document": {
            "category": "csaf_security_advisory",
            "csaf_version": "2.0",
            "publisher": {"category": "vendor", "name": "Example PSIRT", "namespace": "https://psirt.example"},
            "title": "Made for a test",
            "tracking": {
                "id": "EX-1", "version": "1", "status": "final",
                "current_release_date": "2026-01-01T00:00:00Z"
            }
        },
        "product_tree": tree,
        "vulnerabilities": [{
            "cve": "CVE-2026-0001",
            "scores": [{"products": ["p"], "cvss_v3": {"baseScore": 9.8}}],
            "product_status": status,
            "remediations": [{"category": "vendor_fix", "details": "update to 2.6", "product_ids": ["p"]}]
        }]
    })
}

/// Vendor, product and versions as branches, each with its product id.
fn tree(vendor: &str, name: &str, versions: &[(&str, &str, &str)]) -> Value {
    let versions: Vec<Value> = versions
        .iter()
        .map(|(category, written, id)| {
            json!({"category": category, "name": written,
                "product": {"name": format!("{vendor} {name} {written}"), "product_id": id}})
        })
        .collect();
    json!({"branches": [{"category": "vendor", "name": vendor,
        "branches": [{"category": "product_name", "name": name, "branches": versions}]}]})
}

fn read(value: &Value) -> Result<Document, CsafError> {
    Document::read(value.to_string().as_bytes())
}

fn status(
    document: &Document,
    vendor: Option<&str>,
    model: &str,
    version: Option<&str>,
) -> Option<(Status, bool)> {
    let found = document.assess(Subject {
        vendor,
        model,
        version,
    });
    found.first().map(|found| (found.status, found.fixed))
}

#[test]
fn ranges_and_repaired_versions_decide() {
    let tree = tree(
        "Moxa",
        "NPort 5110 Series",
        &[
            ("product_version_range", "<2.6", "p"),
            ("product_version", "2.6", "q"),
        ],
    );
    let document = read(&document(tree, json!({"known_affected": ["p"], "fixed": ["q"]}))).unwrap();
    let moxa = |model, version| status(&document, Some("Moxa Inc."), model, version);
    assert_eq!(
        moxa("NPort 5110", Some("2.5 Build 1")),
        Some((Status::Affected, false))
    );
    assert_eq!(moxa("NPort 5110", Some("2.6")), Some((Status::NotAffected, true)));
    assert_eq!(
        moxa("NPort 5110", Some("2.7")),
        Some((Status::NotAffected, false))
    );
    assert_eq!(moxa("NPort 5110", None), Some((Status::CannotTell, false)));
    assert_eq!(
        moxa("NPort 5110", Some("newest")),
        Some((Status::CannotTell, false))
    );
    assert_eq!(moxa("NPort 5110A", Some("2.5")), None);
    assert_eq!(
        status(&document, None, "NPort 5110", Some("2.5")),
        Some((Status::CannotTell, false))
    );
    let found = document.assess(Subject {
        vendor: Some("Moxa"),
        model: "NPort 5110",
        version: Some("2.5"),
    });
    assert_eq!(found[0].name, "CVE-2026-0001");
    assert_eq!(found[0].cvss.as_deref(), Some("9.8"));
    assert_eq!(found[0].remedies[0].details, "update to 2.6");
    assert_eq!(found[0].reason, "2.5 is affected: <2.6");
}

#[test]
fn what_cannot_be_read_is_never_not_affected() {
    let versions = &[("product_version_range", "before the repair of May", "p")];
    let vague = document(
        tree("Moxa", "NPort 5110", versions),
        json!({"known_affected": ["p"]}),
    );
    let vague = read(&vague).unwrap();
    assert_eq!(
        status(&vague, Some("Moxa"), "NPort 5110", Some("9.9")),
        Some((Status::CannotTell, false))
    );
    assert_eq!(vague.unread(), ["NPort 5110: `before the repair of May`"]);

    let list = &[("product_version", "2.2", "p"), ("product_version", "2.4", "q")];
    let list = document(
        tree("Moxa", "NPort 5110", list),
        json!({"known_affected": ["p", "q"]}),
    );
    let list = read(&list).unwrap();
    assert_eq!(
        status(&list, Some("Moxa"), "NPort 5110", Some("2.4")),
        Some((Status::Affected, false))
    );
    assert_eq!(
        status(&list, Some("Moxa"), "NPort 5110", Some("2.3")),
        Some((Status::CannotTell, false))
    );
}

#[test]
fn the_other_statuses_mean_what_they_say() {
    let versions = [("product_version", "2.0", "p"), ("product_version", "2.4", "q")];
    let of = |status: Value| read(&document(tree("Moxa", "MXview", &versions), status)).unwrap();
    let moxa =
        |document: &Document, version| status(document, Some("Moxa"), "MXview", Some(version)).unwrap().0;
    let between = of(json!({"first_affected": ["p"], "last_affected": ["q"]}));
    assert_eq!(moxa(&between, "2.2"), Status::Affected);
    assert_eq!(moxa(&between, "2.5"), Status::NotAffected);
    assert_eq!(moxa(&between, "1.9"), Status::NotAffected);
    let since = of(json!({"first_affected": ["p"]}));
    assert_eq!(moxa(&since, "9.0"), Status::Affected);
    let not = of(json!({"known_not_affected": ["p"]}));
    assert_eq!(
        (moxa(&not, "2.0"), moxa(&not, "2.1")),
        (Status::NotAffected, Status::CannotTell)
    );
    let looked_into = of(json!({"under_investigation": ["p"]}));
    assert_eq!(moxa(&looked_into, "2.0"), Status::CannotTell);
    let both = of(json!({"known_affected": ["p"], "known_not_affected": ["p"]}));
    assert_eq!(
        moxa(&both, "2.0"),
        Status::Affected,
        "of two contradicting statements the graver one counts"
    );
}

#[test]
fn relationships_join_firmware_and_device() {
    let firmware = json!({
        "branches": [{"category": "vendor", "name": "Moxa", "branches": [
            {"category": "product_name", "name": "NPort 5110",
             "product": {"name": "NPort 5110", "product_id": "device"}},
            {"category": "product_name", "name": "NPort firmware", "branches": [
                {"category": "product_version_range", "name": "<2.6",
                 "product": {"name": "firmware <2.6", "product_id": "firmware"}}]},
            {"category": "product_name", "name": "MXview", "branches": [
                {"category": "product_version_range", "name": "<3.0",
                 "product": {"name": "MXview <3.0", "product_id": "program"}}]}]}],
        "relationships": [
            {"category": "installed_on", "product_reference": "firmware", "relates_to_product_reference": "device",
             "full_product_name": {"name": "firmware on device", "product_id": "p"}},
            {"category": "installed_on", "product_reference": "program", "relates_to_product_reference": "device",
             "full_product_name": {"name": "program on device", "product_id": "q"}},
            {"category": "installed_on", "product_reference": "nobody", "relates_to_product_reference": "device",
             "full_product_name": {"name": "nobody", "product_id": "r"}}]
    });
    let document = read(&document(firmware, json!({"known_affected": ["p", "q", "r"]}))).unwrap();
    assert_eq!(
        status(&document, Some("Moxa"), "NPort 5110", Some("2.5")),
        Some((Status::Affected, false))
    );
    assert_eq!(
        status(&document, Some("Moxa"), "NPort 5110", Some("2.6")),
        Some((Status::NotAffected, false))
    );
    assert_eq!(
        status(&document, Some("Moxa"), "MXview", Some("2.5")),
        Some((Status::CannotTell, false))
    );
}

#[test]
fn a_group_of_products_has_its_remedies() {
    let mut tree = tree("Moxa", "MXview", &[("product_version_range", "<3.0", "p")]);
    tree["product_groups"] = json!([{"group_id": "g", "product_ids": ["p"]}]);
    let mut value = document(tree, json!({"known_affected": ["p"]}));
    value["vulnerabilities"][0]["remediations"] =
        json!([{"category": "mitigation", "details": "unplug it", "group_ids": ["g"]}]);
    let subject = Subject {
        vendor: Some("Moxa"),
        model: "MXview",
        version: Some("2.0"),
    };
    assert_eq!(
        read(&value).unwrap().assess(subject)[0].remedies[0].details,
        "unplug it"
    );
}

#[test]
fn a_document_that_is_none_is_refused_with_its_reason() {
    let whole = document(
        tree("Moxa", "MXview", &[("product_version", "1", "p")]),
        json!({"known_affected": ["p"]}),
    );
    let without = |pointer: &str, key: &str| {
        let mut value = whole.clone();
        value
            .pointer_mut(pointer)
            .unwrap()
            .as_object_mut()
            .unwrap()
            .remove(key);
        portcullis_model::Fault::code(&read(&value).unwrap_err())
    };
    assert_eq!(without("", "document"), "AD003");
    assert_eq!(without("/document", "csaf_version"), "AD003");
    assert_eq!(without("/document", "title"), "AD003");
    assert_eq!(without("/document/tracking", "version"), "AD003");
    assert_eq!(without("/document/publisher", "namespace"), "AD003");
    assert_eq!(without("", "vulnerabilities"), "AD004");
    assert_eq!(without("", "product_tree"), "AD004");
    let mut newer = whole.clone();
    newer["document"]["csaf_version"] = json!("2.1");
    assert!(matches!(read(&newer), Err(CsafError::OtherVersion(_))));
    assert!(matches!(Document::read(b"<html>"), Err(CsafError::Json(_))));
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(matches!(Document::read(deep.as_bytes()), Err(CsafError::Json(_))));
    let mut branch = json!({"product": {"product_id": "p", "name": "x"}});
    for _ in 0..40 {
        branch = json!({"category": "product_family", "name": "x", "branches": [branch]});
    }
    let deep = document(json!({"branches": [branch]}), json!({"known_affected": ["p"]}));
    assert!(matches!(read(&deep), Err(CsafError::TooMuch { .. })));
    assert!(is_csaf(whole.to_string().as_bytes()) && !is_csaf(b"[{\"ip\": 1}]"));
}

#[test]
fn versions_of_documents_are_ordered_as_numbers() {
    let mut value = document(
        tree("Moxa", "MXview", &[("product_version", "1", "p")]),
        json!({"known_affected": ["p"]}),
    );
    for (version, other, newer) in [
        ("10", "9", true),
        ("1.10.0", "1.9.0", true),
        ("1", "1", false),
        ("1.0.0", "1.0.0-2", true),
        ("2", "10", false),
    ] {
        value["document"]["tracking"]["version"] = json!(version);
        assert_eq!(
            read(&value).unwrap().is_newer_than(other),
            newer,
            "{version} {other}"
        );
    }
}

/// A tree of JSON with the words of CSAF in it.
fn hostile() -> impl Strategy<Value = Value> {
    let keys = prop::sample::select(vec![
        "document",
        "csaf_version",
        "product_tree",
        "branches",
        "category",
        "name",
        "product",
        "product_id",
        "relationships",
        "product_reference",
        "relates_to_product_reference",
        "full_product_name",
        "vulnerabilities",
        "product_status",
        "known_affected",
        "first_affected",
        "last_affected",
        "fixed",
        "remediations",
        "product_ids",
        "group_ids",
        "scores",
        "cvss_v3",
        "baseScore",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<f64>().prop_map(|number| json!(number)),
        "\\PC{0,12}".prop_map(Value::from),
        prop::sample::select(vec![
            "p",
            "vendor",
            "product_name",
            "product_version_range",
            "<2",
            "2.0"
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((keys.clone(), inner), 0..6).prop_map(|pairs| pairs
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect()),
        ]
    })
}

proptest! {
    #[test]
    fn no_document_makes_it_panic(
        tree in hostile(),
        status in hostile(),
        whole in hostile(),
        bytes in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let _ = Document::read(&bytes);
        let _ = read(&whole);
        let mut value = document(tree.clone(), status);
        value["vulnerabilities"] = json!([value["vulnerabilities"][0].clone(), tree]);
        if let Ok(document) = read(&value) {
            let subject = Subject { vendor: Some("Moxa"), model: "NPort 5110", version: Some("2.0") };
            let _ = (document.assess(subject), document.unread());
            let kept = serde_json::to_string(&document).unwrap();
            prop_assert_eq!(serde_json::from_str::<Document>(&kept).unwrap(), document);
        }
    }
}

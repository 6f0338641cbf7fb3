//! The products of a document: what its tree of branches and its relationships say of each product id.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{CsafError, items, string};
use crate::advisory::range::Versions;

/// How many products one document may have.
const MOST: usize = 50_000;
/// How deep branches may lie in each other.
const DEEPEST: usize = 24;

/// A product, as a document names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Product {
    pub(super) vendor: String,
    pub(super) name: String,
    pub(super) versions: Versions,
    /// What it must be installed on or together with, which cannot be seen from outside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) only_with: Option<String>,
}

/// What the branches on the way to a product say.
#[derive(Debug, Clone, Copy, Default)]
struct Way<'v> {
    vendor: Option<&'v str>,
    name: Option<&'v str>,
    version: Option<&'v str>,
}

/// The products by their ids.
pub(super) fn read(tree: &Value) -> Result<HashMap<String, Product>, CsafError> {
    let mut products = HashMap::new();
    let mut to_see: Vec<(&Value, Way<'_>, usize)> = vec![(tree, Way::default(), 0)];
    while let Some((node, way, depth)) = to_see.pop() {
        if depth > DEEPEST {
            return Err(CsafError::TooMuch {
                most: DEEPEST,
                what: "branches inside each other",
            });
        }
        for branch in items(node, "branches") {
            let name = string(branch, "name");
            let mut way = way;
            match string(branch, "category") {
                Some("vendor") => way.vendor = name,
                Some("product_name") => way.name = name,
                Some("product_version" | "product_version_range") => way.version = name,
                _ => {}
            }
            if let Some(product) = branch.get("product") {
                add(&mut products, product, way)?;
            }
            to_see.push((branch, way, depth + 1));
        }
    }
    for product in items(tree, "full_product_names") {
        add(&mut products, product, Way::default())?;
    }
    for relationship in items(tree, "relationships") {
        let part = |key| string(relationship, key).and_then(|id| products.get(id));
        let joined = part("product_reference")
            .zip(part("relates_to_product_reference"))
            .map(|(part, whole)| joined(part, whole));
        let named = relationship.get("full_product_name");
        let id = named.and_then(|name| string(name, "product_id"));
        if let (Some(product), Some(id)) = (joined, id) {
            insert(&mut products, id, product)?;
        }
    }
    Ok(products)
}

/// A product whose branches name no model goes by its full name, and says nothing that can be compared of its version.
fn add<'v>(
    products: &mut HashMap<String, Product>,
    product: &'v Value,
    way: Way<'v>,
) -> Result<(), CsafError> {
    let Some(id) = string(product, "product_id") else {
        return Ok(());
    };
    let full = string(product, "name").unwrap_or_default();
    let versions = match way.version {
        Some(version) => Versions::read(version),
        // A product without a version branch stands for all its versions only where its branches name it; a full name may
        // hold a version in words.
        None if way.name.is_some() => Versions::all(),
        None => Versions::read(&format!("as in the name: {full}")),
    };
    let product = Product {
        vendor: super::shortened(way.vendor.unwrap_or_default(), 200),
        name: super::shortened(way.name.unwrap_or(full), 300),
        versions,
        only_with: None,
    };
    insert(products, id, product)
}

fn insert(products: &mut HashMap<String, Product>, id: &str, product: Product) -> Result<(), CsafError> {
    if products.len() >= MOST {
        return Err(CsafError::TooMuch {
            most: MOST,
            what: "products",
        });
    }
    products.insert(id.to_owned(), product);
    Ok(())
}

/// Firmware on its device is the device at that version; anything else is the part, where it is with the whole.
fn joined(part: &Product, whole: &Product) -> Product {
    let named = part.name.to_lowercase();
    if named.split_whitespace().any(|word| word == "firmware") || part.name == whole.name {
        return Product {
            versions: part.versions.clone(),
            ..whole.clone()
        };
    }
    Product {
        only_with: Some(whole.name.clone()),
        ..part.clone()
    }
}

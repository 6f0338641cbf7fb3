//! The crates form layers, and an arrow may only point down (ARCHITECTURE.md).
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

use std::{collections::BTreeMap, process::Command};

use serde_json::Value;

/// From the top down. Crates on one line are siblings and never use each other.
const LAYERS: [&[&str]; 5] = [
    &["cli"],
    &["ops"],
    &["scan", "capture", "firewall", "logs", "store", "lab", "fabric"],
    &["knowledge"],
    &["model", "sys"],
];

/// `sys` speaks the words of `model`: the one arrow inside a layer.
const WITHIN: [(&str, &str); 1] = [("sys", "model")];

#[test]
fn arrows_point_down_only() {
    let layer: BTreeMap<&str, usize> = (0..)
        .zip(LAYERS)
        .flat_map(|(depth, crates)| crates.iter().map(move |name| (*name, depth)))
        .collect();
    let mut seen = 0;
    for (from, to) in arrows() {
        let (above, below) = (layer.get(from.as_str()), layer.get(to.as_str()));
        let (Some(above), Some(below)) = (above, below) else {
            panic!("{from} -> {to}: one of them has no layer")
        };
        let within = WITHIN.contains(&(from.as_str(), to.as_str()));
        assert!(above < below || within, "{from} must not use {to}");
        seen += 1;
    }
    assert!(seen > LAYERS.len(), "no arrows were read");
}

#[test]
fn every_crate_has_a_readme_or_a_head_that_says_its_job() {
    for name in LAYERS.iter().flat_map(|layer| layer.iter()) {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("..")
            .join(name)
            .join("src");
        let head = std::fs::read_to_string(folder.join("lib.rs"))
            .or_else(|_| std::fs::read_to_string(folder.join("main.rs")))
            .unwrap();
        assert!(head.starts_with("//! "), "{name}: what is its one job?");
    }
}

/// Which crate of ours uses which, as cargo sees it (tests' own dependencies left out).
fn arrows() -> Vec<(String, String)> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let short = |value: &Value| {
        value
            .as_str()
            .and_then(|name| name.strip_prefix("portcullis-"))
            .map(str::to_owned)
    };
    let mut arrows = Vec::new();
    for package in metadata["packages"].as_array().unwrap() {
        let Some(from) = short(&package["name"]) else {
            continue;
        };
        for dependency in package["dependencies"].as_array().unwrap() {
            if dependency["kind"].is_null()
                && let Some(to) = short(&dependency["name"])
            {
                arrows.push((from.clone(), to));
            }
        }
    }
    arrows
}

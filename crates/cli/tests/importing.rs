//! `portcullis import` as a person runs it, and what `exposures` makes of it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

const SITE: &str = "[site]\nname = 'p'\n[[zone]]\nname = 'control'\nnetworks = ['10.7.10.0/24']\n\
    [[zone]]\nname = 'engineering'\nnetworks = ['10.7.20.0/24']\n[[zone]]\nname = 'internet'\nnetworks = ['any']\n\
    [[conduit]]\nfrom = 'engineering'\nto = 'control'\nservices = ['moxa-mdm-gateway']\n";

struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("site.toml"), SITE).unwrap();
        Self(folder)
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.run_with(arguments, b"")
    }

    fn run_with(&self, arguments: &[&str], input: &[u8]) -> Output {
        let mut child = Command::new(env!("CARGO_BIN_EXE_portcullis"))
            .args(["--config", "site.toml", "--store", "plant.sqlite"])
            .args(arguments)
            .current_dir(self.0.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        child.wait_with_output().unwrap()
    }

    fn records(&self, arguments: &[&str]) -> Vec<Value> {
        let output = self.run(&[&["--format", "json"], arguments].concat());
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

fn sample(name: &str) -> String {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scan/src/import/samples");
    let path: PathBuf = samples.join(name);
    path.to_string_lossy().into_owned()
}

fn said(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn what_was_imported_is_an_exposure_with_its_source_named() {
    let place = Place::new();
    let output = place.run(&["import", &sample("nmap-mac.xml")]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output.stderr));
    let text = said(&output.stdout);
    assert!(
        text.contains("2 host(s), 4 open port(s), 6 record(s), 2 hardware address(es)"),
        "{text}"
    );
    assert!(text.contains("00:90:e8:12:34:56 10.7.10.10"), "{text}");
    assert!(
        said(&output.stderr).contains("--seen-from"),
        "{}",
        said(&output.stderr)
    );

    let exposures = place.records(&["exposures"]);
    assert_eq!(exposures.len(), 4);
    assert!(
        exposures
            .iter()
            .all(|exposure| exposure["from_zone"] == "an unknown zone")
    );
    assert!(
        exposures
            .iter()
            .all(|exposure| exposure["vantage"] == "import:nmap")
    );
    let text = said(&place.run(&["exposures"]).stdout);
    assert!(text.contains("an unknown zone (import:nmap)"), "{text}");
}

#[test]
fn the_zone_that_somebody_named_is_held_against_the_conduits() {
    let place = Place::new();
    let nessus = sample("report.nessus");
    let output = place.run(&["import", &nessus, "--seen-from", "engineering"]);
    assert_eq!(
        output.status.code(),
        Some(3),
        "a host of the report cannot be read"
    );
    assert!(said(&output.stdout).contains("line 70: `not-an-address.example` is not an address"));
    let exposures = place.records(&["exposures"]);
    // The gateway on tcp/54321 and the one on tcp/5000 have their conduit.
    assert_eq!(exposures.len(), 1, "{exposures:#?}");
    assert_eq!(exposures[0]["port"], "tcp/443");
    assert_eq!(exposures[0]["vantage"], "import:nessus@engineering");

    place.run(&["import", &nessus, "--seen-from", "203.0.113.9"]);
    let exposures = place.records(&["exposures"]);
    assert_eq!(exposures.len(), 4);
    let gateway = exposures
        .iter()
        .find(|exposure| exposure["port"] == "tcp/54321")
        .unwrap();
    assert_eq!(gateway["from_zone"], "internet");
    assert_eq!(gateway["severity"], "critical");

    let refused = place.run(&["import", &nessus, "--seen-from", "nowhere"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        said(&refused.stderr).starts_with("error[IM004]"),
        "{}",
        said(&refused.stderr)
    );
}

#[test]
fn zeek_names_the_client_of_each_connection() {
    let place = Place::new();
    let output = place.run(&["import", &sample("zeek-conn.log")]);
    assert_eq!(output.status.code(), Some(3), "one row of it is cut");
    let exposures = place.records(&["exposures"]);
    let from: Vec<&str> = exposures
        .iter()
        .map(|exposure| exposure["vantage"].as_str().unwrap())
        .collect();
    assert!(from.contains(&"import:zeek@10.7.20.5"), "{from:?}");
    assert!(
        exposures
            .iter()
            .all(|exposure| exposure["from_zone"] != "an unknown zone"),
        "{exposures:#?}"
    );
}

#[test]
fn the_same_file_counts_once_by_whichever_name_it_comes() {
    let place = Place::new();
    let masscan = sample("masscan.json");
    let first = place.records(&["import", &masscan]);
    assert_eq!(first[0]["before"], Value::Null);
    let bytes = fs::read(&masscan).unwrap();
    let output = place.run_with(&["--format", "json", "import", "-"], &bytes);
    let again: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(again[0]["run"], first[0]["run"]);
    assert!(again[0]["before"].is_string());
    let exposures = place.records(&["exposures"]);
    assert!(
        exposures
            .iter()
            .all(|exposure| exposure["evidence"].as_array().unwrap().len() == 1),
        "{exposures:#?}"
    );

    let audit = said(&place.run(&["audit", "list"]).stdout);
    assert_eq!(audit.matches("(masscan)").count(), 2, "{audit}");
}

#[test]
fn a_file_without_a_time_keeps_that_of_its_first_import() {
    let place = Place::new();
    let table = fs::read(sample("ip-neigh.txt")).unwrap();
    let first = place.run_with(&["--format", "json", "import", "-"], &table);
    let again = place.run_with(&["--format", "json", "import", "-"], &table);
    let moxa = |output: &Output| {
        let records: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
        records[0]["moxa"].clone()
    };
    assert_eq!(moxa(&first).as_array().unwrap().len(), 3);
    assert_eq!(moxa(&first), moxa(&again));
}

#[test]
fn one_file_that_is_none_does_not_stop_the_others() {
    let place = Place::new();
    fs::write(place.0.path().join("notes.txt"), "nothing to see\n").unwrap();
    let output = place.run(&["import", "notes.txt", &sample("masscan.list")]);
    assert_eq!(output.status.code(), Some(3));
    assert!(
        said(&output.stderr).contains("error[IM001]: cannot import notes.txt"),
        "{}",
        said(&output.stderr)
    );
    assert!(
        said(&output.stdout).contains("2 host(s), 6 open port(s)"),
        "{}",
        said(&output.stdout)
    );

    let output = place.run(&["import", "notes.txt"]);
    assert_eq!(output.status.code(), Some(2));
    let output = place.run(&["import", "notes.txt", "--format-of", "masscan"]);
    assert_eq!(
        output.status.code(),
        Some(3),
        "told what it is, it is read and has nothing"
    );
    let output = place.run(&["import", "notes.txt", "--format-of", "openvas"]);
    assert_eq!(output.status.code(), Some(2));
    for format in ["text", "json", "jsonl", "csv"] {
        let output = place.run(&["--format", format, "import", &sample("masscan.list")]);
        assert_eq!(output.status.code(), Some(0), "{format}");
        assert!(said(&output.stdout).contains("masscan"), "{format}");
    }
}

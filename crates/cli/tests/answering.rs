//! `portcullis logs` answers with what the site and the store know.
#![expect(clippy::unwrap_used, reason = "a test that cannot set up its log has failed")]

use std::{
    fs,
    process::{Command, Output},
};

use serde_json::Value;
use tempfile::TempDir;

const SITE: &str = r#"
[site]
name = "plant-7"
timezone = "UTC"
"#;

struct Place(TempDir);

impl Place {
    fn new(more: &str, log: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("site.toml"), format!("{SITE}{more}")).unwrap();
        fs::write(folder.path().join("kern.log"), log).unwrap();
        Self(folder)
    }

    fn logs(&self, more: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_portcullis"))
            .args(["--config", "site.toml", "--store", "x.db", "logs", "kern.log"])
            .args(more)
            .current_dir(self.0.path())
            .output()
            .unwrap()
    }

    fn text(&self, more: &[&str]) -> String {
        let output = self.logs(more);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    fn report(&self, more: &[&str]) -> Value {
        let text = self.text(&[&["--format", "json"], more].concat());
        let records: Vec<Value> = serde_json::from_str(&text).unwrap();
        records.into_iter().next().unwrap()
    }
}

/// A line of the kernel with this prefix.
fn line(time: &str, prefix: &str, source: &str, port: u16) -> String {
    format!(
        "2026-11-22T{time}+00:00 gw kernel: {prefix} IN=eth0 OUT= SRC={source} DST=10.7.10.4 LEN=60 TTL=64 ID=1 PROTO=TCP \
         SPT=40000 DPT={port} SYN\n"
    )
}

#[test]
fn the_site_declares_what_its_log_rules_do() {
    let log = ["FW-DROP", "FW-DROP", "FW-OTHER", "[UFW BLOCK]"]
        .map(|prefix| line("12:00:00", prefix, "192.0.2.7", 54321))
        .concat();
    let plain = Place::new("", &log).report(&[]);
    assert_eq!(
        (&plain["verdicts"]["blocked"], &plain["on_the_sites_word"]),
        (&1.into(), &0.into())
    );
    let declared = Place::new(
        "[[log_prefix]]\nbegins = \"FW-DROP\"\nverdict = \"blocked\"\n",
        &log,
    );
    let report = declared.report(&[]);
    assert_eq!(
        (&report["verdicts"]["blocked"], &report["on_the_sites_word"]),
        (&3.into(), &2.into())
    );
    let text = declared.text(&[]);
    assert!(
        text.contains("2 verdicts rest on the word of site.toml"),
        "{text}"
    );
}

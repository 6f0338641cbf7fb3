//! Texts of a Windows host and advisories as a person brings them, what `assets` makes of them, and the documents that
//! others read, held against the validators of both standards.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::{Value, json};
use tempfile::TempDir;

const SITE: &str = "[site]\nname = 'plant-7'\n[[zone]]\nname = 'control'\nnetworks = ['10.7.10.0/24']\n";

const NETSTAT: &str = "\r\nAktive Verbindungen\r\n\r\n  Proto  Lokale Adresse         Remoteadresse          Status           PID\r\n  \
    TCP    0.0.0.0:135            0.0.0.0:0              ABH\u{d6}REN         812\r\n  \
    TCP    0.0.0.0:54321          0.0.0.0:0              ABH\u{d6}REN         1884\r\n  \
    TCP    10.7.10.30:54321       10.7.20.5:50123        HERGESTELLT     1884\r\n  \
    UDP    0.0.0.0:500            *:*                                    600\r\n";

const TASKLIST: &str = "\r\nAbbildname                     PID Sitzungsname       Sitz.-Nr. Speichernutzung\r\n\
    ========================= ======== ================ =========== ===============\r\n\
    System                           4 Services                   0           144 K\r\n\
    svchost.exe                    812 Services                   0         9.144 K\r\n\
    MDMGw.exe                     1884 Services                   0        12.345 K\r\n";

const REGISTRY: &str = "Windows Registry Editor Version 5.00\r\n\r\n\
    [HKEY_LOCAL_MACHINE\\SOFTWARE\\WOW6432Node\\Microsoft\\Windows\\CurrentVersion\\Uninstall\\{8C3A}]\r\n\
    \"DisplayName\"=\"MOXA Device Manager\"\r\n\"DisplayVersion\"=\"2.1\"\r\n\"Publisher\"=\"Moxa Inc.\"\r\n\r\n\
    [HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Uninstall\\View]\r\n\
    \"DisplayName\"=\"MXview One 1.4.0\"\r\n\"DisplayVersion\"=\"1.4.1\"\r\n\"Publisher\"=\"Moxa Inc.\"\r\n\r\n\
    [HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Uninstall\\Pump]\r\n\
    \"DisplayName\"=\"Pump Console\"\r\n\"DisplayVersion\"=\"3.2\"\r\n\"Publisher\"=\"Example Controls GmbH\"\r\n";

struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        place.write("site.toml", SITE);
        place
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.0.path().join(name), content).unwrap();
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_portcullis"))
            .args(["--config", "site.toml", "--store", "plant.sqlite"])
            .args(arguments)
            .current_dir(self.0.path())
            .output()
            .unwrap()
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.run(arguments);
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| said(&output.stderr).into())
    }

    fn assets(&self) -> Value {
        self.json(&["--format", "json", "assets"])
    }

    /// A Windows host whose shell wrote each of its texts in another encoding.
    fn with_host(self) -> Self {
        let old: Vec<u8> = NETSTAT
            .chars()
            .map(|letter| u8::try_from(letter).unwrap())
            .collect();
        self.write("netstat.txt", old);
        self.write("tasks.txt", TASKLIST);
        let wide = REGISTRY.encode_utf16().flat_map(u16::to_le_bytes);
        self.write(
            "programs.reg",
            [0xff, 0xfe].into_iter().chain(wide).collect::<Vec<u8>>(),
        );
        self
    }

    fn keep_host(&self) -> Output {
        self.run(&[
            "check",
            "--import",
            "netstat.txt",
            "tasks.txt",
            "programs.reg",
            "--host",
            "10.7.10.30",
        ])
    }
}

fn said(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// An advisory on the Pump Console, in which one product of two has versions that nobody can read.
fn advisory(version: &str, range: &str) -> Value {
    json!({
        "document": {
            "category": "csaf_security_advisory",
            "csaf_version": "2.0",
            "publisher": {"category": "vendor", "name": "Example Controls", "namespace": "https://psirt.example"},
            "references": [{"category": "self", "summary": "here", "url": "https://psirt.example/ex-2026-01"}],
            "title": "Pump Console: sign-in can be skipped",
            "tracking": {
                "id": "EX-2026-01", "version": version, "status": "final",
                "initial_release_date": "2026-01-01T00:00:00Z", "current_release_date": "2026-01-01T00:00:00Z",
                "revision_history": [{"date": "2026-01-01T00:00:00Z", "number": "1", "summary": "first"}]
            }
        },
        "product_tree": {"branches": [{"category": "vendor", "name": "Example Controls", "branches": [
            {"category": "product_name", "name": "Pump Console", "branches": [
                {"category": "product_version_range", "name": range,
                 "product": {"name": "Pump Console, affected", "product_id": "CSAFPID-1"}}]},
            {"category": "product_name", "name": "Pump Console Mini", "branches": [
                {"category": "product_version_range", "name": "those sold before May",
                 "product": {"name": "Pump Console Mini", "product_id": "CSAFPID-2"}}]}]}]},
        "vulnerabilities": [{
            "cve": "CVE-2026-10001",
            "product_status": {"known_affected": ["CSAFPID-1", "CSAFPID-2"]},
            "remediations": [{"category": "vendor_fix", "details": "install 3.3", "product_ids": ["CSAFPID-1"]}]
        }]
    })
}

fn of<'a>(assets: &'a Value, id: &str) -> &'a Value {
    let advisories = assets.pointer("/0/advisories").and_then(Value::as_array).unwrap();
    let named = |one: &&Value| one.get("id").is_some_and(|own| own == id);
    advisories.iter().find(named).unwrap_or(&Value::Null)
}

#[test]
fn a_whole_windows_host_is_known_from_its_texts() {
    let place = Place::new().with_host();
    let shown = place.run(&["check", "--import", "netstat.txt", "tasks.txt", "programs.reg"]);
    assert_eq!(shown.status.code(), Some(0), "{}", said(&shown.stderr));
    let text = said(&shown.stdout);
    for expected in [
        "MDMGw.exe (1884)",
        "MOXA Device Manager 2.1",
        "tcp/54321 proven moxa-mdm-gateway",
        "ICSA-10-301-01A affected: 2.1 is affected: below 2.3",
        "3 installed program(s)",
    ] {
        assert!(text.contains(expected), "{expected} in {text}");
    }
    assert!(said(&shown.stderr).contains("--host"), "{}", said(&shown.stderr));
    // Nothing is kept of a host that nobody named, and a store that is not there is not taken for an empty one.
    let nothing = place.assets();
    assert!(nothing.to_string().contains("ST022"), "{nothing}");

    let kept = place.keep_host();
    assert!(
        said(&kept.stdout).contains("10.7.10.30"),
        "{}",
        said(&kept.stderr)
    );
    let assets = place.assets();
    let asset = &assets[0];
    assert_eq!(
        (&asset["address"], &asset["zone"]),
        (&json!("10.7.10.30"), &json!("control"))
    );
    assert_eq!(
        (&asset["sources"], &asset["answered"]),
        (&json!(["check"]), &json!(false))
    );
    assert_eq!(asset["services"][0]["from_within"], true);
    assert_eq!(of(&assets, "ICSA-10-301-01A")["status"], "affected");
    assert_eq!(
        of(&assets, "ICSA-24-268-05")["status"],
        "not-affected",
        "{assets:#}"
    );
    assert_eq!(
        place.json(&["--format", "json", "exposures"]),
        json!([]),
        "no look at a port was made"
    );
    // Once more is the same.
    place.keep_host();
    assert_eq!(place.assets(), assets);
}

#[test]
fn a_hardware_address_is_named_and_a_host_of_a_table_only_is_listed_as_such() {
    let place = Place::new();
    place.write(
        "arp.txt",
        "10.7.10.40 dev eth0 lladdr 00:90:e8:11:22:33 REACHABLE\n",
    );
    let imported = place.run(&["import", "arp.txt"]);
    assert_eq!(imported.status.code(), Some(0), "{}", said(&imported.stderr));
    let text = said(&place.run(&["assets"]).stdout);
    for expected in [
        "never answered a port",
        "import:neighbours",
        "00:90:e8:11:22:33",
        "registered to Moxa, which proves nothing",
    ] {
        assert!(text.contains(expected), "{expected} in {text}");
    }
}

#[test]
fn a_draft_is_called_one() {
    let place = Place::new();
    let mut draft = advisory("1", "<3.2");
    *draft.pointer_mut("/document/tracking/status").unwrap() = json!("draft");
    place.write("draft.json", draft.to_string());
    place.write("final.json", advisory("2", "<3.2").to_string());
    let told = |file| said(&place.run(&["import", file]).stdout).contains("calls it draft, not final");
    assert!(told("draft.json") && !told("final.json"));
}

#[test]
fn an_advisory_is_held_against_hosts_and_a_later_version_takes_its_place() {
    let place = Place::new().with_host();
    place.keep_host();
    place.write("first.json", advisory("1", "<3.2").to_string());
    place.write("second.json", advisory("2", "<=3.2").to_string());
    let first = place.run(&["import", "first.json"]);
    assert_eq!(first.status.code(), Some(0), "{}", said(&first.stderr));
    let text = said(&first.stdout);
    assert!(
        text.contains("EX-2026-01 version 1 of Example Controls"),
        "{text}"
    );
    assert!(
        text.contains("decides nothing: Pump Console Mini: `those sold before May`"),
        "{text}"
    );
    assert_eq!(of(&place.assets(), "EX-2026-01")["status"], "not-affected");

    let second = place.json(&["--format", "json", "import", "second.json"]);
    assert_eq!(
        (&second[0]["before"], &second[0]["kept"]),
        (&json!("1"), &json!(true))
    );
    let assets = place.assets();
    let found = of(&assets, "EX-2026-01");
    assert_eq!(
        (&found["status"], &found["reason"]),
        (&json!("affected"), &json!("3.2 is affected: <=3.2"))
    );
    assert_eq!(found["remedy"], "install 3.3");

    let back = place.json(&["--format", "json", "import", "first.json"]);
    assert_eq!(
        (&back[0]["before"], &back[0]["kept"]),
        (&json!("2"), &json!(false))
    );
    assert_eq!(of(&place.assets(), "EX-2026-01")["status"], "affected");
    let audit = said(&place.run(&["audit", "list"]).stdout);
    assert_eq!(audit.matches("(csaf)").count(), 3, "{audit}");
}

#[test]
fn mistakes_have_a_code_a_cause_and_a_hint() {
    let place = Place::new().with_host();
    let mut newer = advisory("1", "<3");
    newer["document"]["csaf_version"] = json!("2.1");
    let mut nameless = advisory("1", "<3");
    nameless["document"]["tracking"]
        .as_object_mut()
        .unwrap()
        .remove("id");
    let mut empty = advisory("1", "<3");
    empty["vulnerabilities"] = json!([]);
    place.write("newer.json", newer.to_string());
    place.write("nameless.json", nameless.to_string());
    place.write("empty.json", empty.to_string());
    place.write("cut.json", advisory("1", "<3").to_string().split_at(200).0);
    place.write("notes.txt", "nothing to see\n");
    for (arguments, code, expected) in [
        (&["import", "cut.json"][..], "AD001", "caused by"),
        (&["import", "newer.json"], "AD002", "2.1"),
        (&["import", "nameless.json"], "AD003", "/document/tracking/id"),
        (&["import", "empty.json"], "AD004", "affected"),
        (&["--format", "csaf-vex", "assets"], "AD007", "cyclonedx"),
        (&["--format", "cyclonedx", "exposures"], "CL003", "assets"),
        (&["assets", "--namespace", "plant seven"], "CL004", "https://"),
        (
            &["check", "--import", "tasks.txt", "notes.txt"],
            "SC020",
            "tasklist",
        ),
        (&["check", "--import", "missing.txt"], "OP001", "missing.txt"),
    ] {
        let output = place.run(arguments);
        let text = said(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
        assert!(
            text.starts_with(&format!("error[{code}]: ")),
            "{arguments:?}: {text}"
        );
        assert!(text.contains(expected), "{expected} in {text}");
        assert!(code == "OP001" || text.contains("\nhint: "), "{text}");
    }
    assert_eq!(
        place.run(&["check", "--host", "10.7.10.30"]).status.code(),
        Some(2)
    );
    let output = place.run(&["check", "--import", "tasks.txt"]);
    assert_eq!(
        output.status.code(),
        Some(3),
        "without sockets nothing is known of listeners"
    );
}

/// The Python that has the validators; it is made once and kept beside the built programs.
fn validators() -> PathBuf {
    let target = Path::new(env!("CARGO_BIN_EXE_portcullis"))
        .ancestors()
        .nth(2)
        .unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/validators");
    let made = Command::new(script).arg(target).output().unwrap();
    assert!(made.status.success(), "{}", said(&made.stderr));
    said(&made.stdout).trim().into()
}

/// Whether the mandatory tests and the schema of CSAF 2.0 accept a document, and what they say.
fn csaf_accepts(python: &Path, file: &Path) -> (bool, String) {
    let program = python.with_file_name("csaf");
    let output = Command::new(program)
        .args(["validate", "--spec-version", "v20", "--no-network"])
        .arg(file)
        .output()
        .unwrap();
    (
        output.status.success(),
        said(&output.stdout) + &said(&output.stderr),
    )
}

/// The same for the schema of CycloneDX 1.6, without leave for keys that it does not know.
fn cyclonedx_accepts(python: &Path, file: &Path) -> (bool, String) {
    const PROGRAM: &str = "import sys\n\
        from cyclonedx.schema import SchemaVersion\n\
        from cyclonedx.validation.json import JsonStrictValidator\n\
        error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(open(sys.argv[1]).read())\n\
        sys.exit(str(error) if error else 0)\n";
    let output = Command::new(python)
        .args(["-c", PROGRAM])
        .arg(file)
        .output()
        .unwrap();
    (output.status.success(), said(&output.stderr))
}

#[test]
fn the_documents_for_others_are_valid_and_the_same_for_the_same_facts() {
    let python = validators();
    let place = Place::new().with_host();
    place.keep_host();
    // Under investigation: the version is told, and nobody can compare it.
    place.write("first.json", advisory("1", "those of last year").to_string());
    place.run(&["import", "first.json"]);
    let vex = place.run(&["assets", "--format", "csaf-vex"]);
    let bom = place.run(&[
        "assets",
        "--format",
        "cyclonedx",
        "--publisher",
        "Plant 7",
        "--namespace",
        "https://plant.example",
    ]);
    for (name, output) in [("vex.json", &vex), ("bom.json", &bom)] {
        assert_eq!(output.status.code(), Some(0), "{}", said(&output.stderr));
        place.write(name, &output.stdout);
    }
    let file = |name: &str| place.0.path().join(name);
    let (valid, report) = csaf_accepts(&python, &file("vex.json"));
    assert!(valid && report.contains("PASS"), "{report}");
    let (valid, report) = cyclonedx_accepts(&python, &file("bom.json"));
    assert!(valid, "{report}");

    let vex: Value = serde_json::from_slice(&vex.stdout).unwrap();
    let statuses: Vec<(&str, Vec<&String>)> = vex["vulnerabilities"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            (
                one["cve"].as_str().unwrap(),
                one["product_status"].as_object().unwrap().keys().collect(),
            )
        })
        .collect();
    assert!(
        statuses.contains(&("CVE-2010-4741", vec![&"known_affected".to_owned()])),
        "{statuses:?}"
    );
    assert!(
        statuses.contains(&("CVE-2026-10001", vec![&"under_investigation".to_owned()])),
        "{statuses:?}"
    );
    assert!(
        statuses.contains(&("CVE-2024-6785", vec![&"known_not_affected".to_owned()])),
        "{statuses:?}"
    );
    let again = place.json(&["assets", "--format", "csaf-vex"]);
    assert_eq!(
        again["document"]["tracking"]["id"],
        vex["document"]["tracking"]["id"]
    );
    assert_eq!(again["vulnerabilities"], vex["vulnerabilities"]);
    // What we write is read by what we read.
    let imported = place.json(&["--format", "json", "import", "vex.json"]);
    assert_eq!(imported[0]["publisher"], "plant-7");

    // The validators find what is wrong.
    let mut broken = vex;
    broken["vulnerabilities"][0]
        .as_object_mut()
        .unwrap()
        .remove("notes");
    place.write("broken.json", broken.to_string());
    assert!(!csaf_accepts(&python, &file("broken.json")).0);
    let mut broken: Value = serde_json::from_slice(&bom.stdout).unwrap();
    broken["vulnerabilities"][0]["analysis"]["state"] = json!("open");
    place.write("broken.json", broken.to_string());
    assert!(!cyclonedx_accepts(&python, &file("broken.json")).0);
}

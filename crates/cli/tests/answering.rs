//! `portcullis logs` answers with what the site and the store know.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot set up its log has failed"
)]

#[path = "../../logs/src/summary/countries/written.rs"]
mod written;

use std::{
    fs,
    process::{Command, Output},
};

use jiff::Timestamp;
use portcullis_model::{
    AllowedSource, BackendName, Change, ChangeId, ChangeState, Coverage, Digest, Observation, Plan, PlanId,
    Port, PortState, Run, RunId, StepRecord, Vantage,
};
use portcullis_store::Store;
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

    /// Puts something into the store.
    fn keep(&self, put: impl AsyncFnOnce(&Store)) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let store = Store::open(self.0.path().join("x.db").to_str().unwrap())
                .await
                .unwrap();
            put(&store).await;
            store.close().await;
        });
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

const ZONES: &str = r#"
[[zone]]
name = "control"
networks = ["10.7.10.0/24"]
[[zone]]
name = "engineering"
networks = ["10.7.20.0/24"]
[[conduit]]
from = "engineering"
to = "control"
services = ["moxa-mdm-gateway"]
"#;

fn at(time: &str) -> Timestamp {
    format!("2026-11-22T{time}Z").parse().unwrap()
}

#[test]
fn sources_are_told_with_their_zone_the_service_and_the_conduit() {
    let log = [
        line("12:00:00", "[UFW BLOCK]", "10.7.20.5", 54321),
        line("12:00:01", "[UFW BLOCK]", "10.7.20.6", 502),
        line("12:00:02", "[UFW BLOCK]", "192.0.2.7", 54321),
        line("13:00:00", "[UFW ALLOW]", "192.0.2.7", 54321),
    ]
    .concat();
    let place = Place::new(ZONES, &log);
    let text = place.text(&[]);
    let row = |start: &str| {
        let rows: Vec<&str> = text.lines().filter(|line| line.starts_with(start)).collect();
        assert_eq!(rows.len(), 1, "{start}: {text}");
        rows[0].split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert!(row("10.7.20.5").ends_with("tcp/54321 moxa-mdm-gateway engineering engineering -> control"));
    assert!(row("10.7.20.6").ends_with("tcp/502 modbus-tcp engineering no conduit"));
    assert!(row("192.0.2.7 ").ends_with("tcp/54321 moxa-mdm-gateway no zone no conduit"));
    assert!(row("tcp/54321").starts_with("tcp/54321 moxa-mdm-gateway 3 2 1 0 2026-11-22 12:00:00"));
    assert!(row("no zone").starts_with("no zone 1 2 1 1 0"));
    assert!(row("10.7.20.0/24").starts_with("10.7.20.0/24 2 2 2 0 0"));
    assert!(
        text.starts_with("4 logged packets from 3 source(s): 3 blocked, 1 got through, 0 unknown"),
        "{text}"
    );
    // The plot fits a screen, also through a pipe, and without a locale it is of ASCII.
    assert!(row("got through").ends_with("most 1"), "{text}");
    let plain = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(["--store", "x.db", "logs", "kern.log"])
        .current_dir(place.0.path())
        .env("LC_ALL", "C")
        .output()
        .unwrap();
    let plain = String::from_utf8(plain.stdout).unwrap();
    assert!(plain.is_ascii() && plain.contains("most 3"), "{plain}");
    assert!(
        !plain.contains("conduit") && !plain.contains("zone"),
        "without a site there are none: {plain}"
    );
}

#[test]
fn own_scans_in_the_store_are_set_apart_and_named() {
    let log = [
        line("12:00:05", "[UFW BLOCK]", "10.7.20.9", 54321),
        line("12:00:06", "[UFW BLOCK]", "10.7.20.9", 502),
        line("12:00:07", "[UFW BLOCK]", "192.0.2.7", 54321),
    ]
    .concat();
    let place = Place::new(ZONES, &log);
    let run = Run {
        id: RunId::of(&[b"1"]),
        command: "scan".into(),
        vantage: Vantage::lab("engineering"),
        started: at("12:00:00"),
        ended: Some(at("12:00:10")),
        settings: Value::Null,
        not_tested: Vec::new(),
        coverage: Coverage::default(),
    };
    let address = "10.7.10.4".parse().unwrap();
    let seen = Observation {
        id: Observation::id_of(run.id, &run.vantage, address, Port::tcp(54321)),
        run: run.id,
        at: at("12:00:05"),
        vantage: run.vantage.clone(),
        source: Some("10.7.20.9".parse().unwrap()),
        address,
        port: Port::tcp(54321),
        state: PortState::NoAnswer,
        because: "nothing came back".into(),
        confidence: None,
        identifications: Vec::new(),
        evidence: Vec::new(),
    };
    place.keep(async |store| {
        store.begin_run(&run).await.unwrap();
        store.add_observations(&[seen]).await.unwrap();
        store.finish_run(&run).await.unwrap();
    });
    let report = place.report(&[]);
    assert_eq!(report["own_scans"][0]["run"], run.id.to_string());
    assert_eq!(
        (&report["own_scans"][0]["attempts"], &report["attempts"]),
        (&1.into(), &2.into())
    );
    let text = place.text(&[]);
    let told = format!("Counted apart: 1 logged packet of own scan {}: 1 blocked", run.id);
    assert!(text.contains(&told), "{text}");
    assert!(
        text.contains("10.7.20.9 (ours: lab:engineering)"),
        "the port that it did not touch: {text}"
    );
}

/// A change that closes tcp/54321 of 10.7.10.4 since 12:00, but not for engineering.
fn closing() -> (Plan, Change) {
    let plan = Plan {
        id: PlanId::of(&[b"1"]),
        made: at("11:00:00"),
        host: "gw".into(),
        via: None,
        backend: BackendName::Nftables,
        close: Port::tcp(54321),
        behind: vec!["10.7.10.4".parse().unwrap()],
        allow: vec![AllowedSource {
            network: "10.7.20.0/24".parse().unwrap(),
            because: "conduit engineering -> control".into(),
        }],
        exposure: None,
        site: None,
        ruleset: Digest::of("x"),
        before: Vec::new(),
        listeners: Vec::new(),
        connections: Vec::new(),
        notes: Vec::new(),
        predictions: Vec::new(),
        effects: Vec::new(),
    }
    .seal();
    let step = |step: &str, time: &str| StepRecord {
        step: step.into(),
        at: at(time),
        done: true,
        outcome: String::new(),
    };
    let change = Change {
        id: ChangeId::of(&[b"1"]),
        plan: plan.id,
        host: "gw".into(),
        backend: BackendName::Nftables,
        port: Port::tcp(54321),
        state: ChangeState::Confirmed,
        applied: at("11:59:59"),
        trial_seconds: Some(120),
        trial_until: Some(at("12:02:00")),
        trial_ends: None,
        since: at("12:01:00"),
        actor: "a".into(),
        emergency: None,
        fingerprint: None,
        session: None,
        steps: vec![step("load", "12:00:00"), step("confirm", "12:01:00")],
    };
    (plan, change)
}

#[test]
fn who_gets_through_after_a_change_is_told_before_all_else() {
    let log = [
        line("11:59:00", "[UFW ALLOW]", "192.0.2.7", 54321),
        line("12:00:30", "[UFW BLOCK]", "192.0.2.7", 54321),
        line("12:05:00", "[UFW ALLOW]", "192.0.2.8", 54321),
        line("12:06:00", "[UFW ALLOW]", "10.7.20.5", 54321),
        line("12:07:00", "[UFW ALLOW]", "192.0.2.8", 502),
    ]
    .concat();
    let place = Place::new(ZONES, &log);
    let (plan, change) = closing();
    place.keep(async |store| {
        store.save_plan(&plan).await.unwrap();
        store.save_change(&change).await.unwrap();
    });
    for more in [
        &[][..],
        &["--port", "54321"],
        &["--change", &change.id.to_string()],
    ] {
        let text = place.text(more);
        let alarm = format!(
            "1 got through to tcp/54321 although change {} closes it; first 2026-11-22 12:05:00.\nThe rule may not be in force",
            change.id.short()
        );
        assert!(text.starts_with(&alarm), "{text}");
        for row in [
            "before 1 0 1 0",
            "on trial 2026-11-22 12:00:00 1 1 0 0",
            "after 2026-11-22 12:01:00 2 0 2 0",
        ] {
            let rows: Vec<String> = text
                .lines()
                .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
                .collect();
            assert!(rows.iter().any(|line| line == row), "{row}: {text}");
        }
    }
    let other = place.report(&["--port", "502"]);
    assert_eq!(other["changes"], serde_json::json!([]));
    let none = place.logs(&["--change", "ffff"]);
    assert_eq!(none.status.code(), Some(2));
    let stderr = String::from_utf8_lossy(&none.stderr);
    assert!(stderr.contains("no change is called ffff"), "{stderr}");
}

#[test]
fn countries_are_told_by_a_database_on_disk_and_only_then() {
    let six = "2026-11-22T12:00:03+00:00 gw kernel: [UFW BLOCK] IN=eth0 OUT= SRC=2001:0db8:0007:0000:0000:0000:0000:0001 \
               DST=2001:0db8:0000:0000:0000:0000:0000:0004 LEN=80 TC=0 HOPLIMIT=64 FLOWLBL=0 PROTO=TCP SPT=40000 DPT=502 SYN\n";
    let log = [
        line("12:00:00", "[UFW BLOCK]", "192.0.2.7", 54321),
        line("12:00:01", "[UFW BLOCK]", "192.0.2.8", 502),
        line("12:00:02", "[UFW BLOCK]", "10.7.20.6", 502),
        six.to_owned(),
    ]
    .concat();
    let place = Place::new("", &log);
    let bytes = written::database(6, &[("192.0.2.0", 24, "NO"), ("2001:db8:7::", 48, "DK")]);
    fs::write(place.0.path().join("c.mmdb"), &bytes).unwrap();
    fs::write(place.0.path().join("cut.mmdb"), &bytes[..bytes.len() / 2]).unwrap();
    assert!(!place.text(&[]).contains("COUNTRY"));
    let report = place.report(&["--country-db", "c.mmdb"]);
    let countries: Vec<_> = report["countries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|group| (group["name"].as_str(), group["attempts"].as_u64().unwrap()))
        .collect();
    assert_eq!(countries, [(Some("NO"), 2), (None, 1), (Some("DK"), 1)]);
    let text = place.text(&["--country-db", "c.mmdb"]);
    assert!(text.contains("COUNTRY") && text.contains("not told"), "{text}");
    for (file, code) in [("cut.mmdb", "OP040"), ("kern.log", "OP040"), ("none.mmdb", "OP0")] {
        let output = place.logs(&["--country-db", file]);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(
            stderr.starts_with(&format!("error[{code}")) && stderr.contains(file),
            "{stderr}"
        );
        assert_ne!(output.status.code(), Some(0));
        assert!(output.stdout.is_empty());
    }
}

/// The page, without the moment at which it was made.
fn page(place: &Place, more: &[&str]) -> String {
    let output = place.logs(&[&["--format", "html"], more].concat());
    assert!(
        matches!(output.status.code(), Some(0 | 1 | 3)),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let page = String::from_utf8(output.stdout).unwrap();
    let (before, rest) = page.split_once("; made ").unwrap();
    let (_, behind) = rest.split_once(" UTC").unwrap();
    format!("{before}; made then{behind}")
}

#[test]
fn the_page_stands_for_itself() {
    let log = [
        line("11:50:00", "[UFW ALLOW]", "192.0.2.7", 54321),
        line("12:00:30", "[UFW BLOCK]", "192.0.2.7", 54321),
        line("12:00:31", "[UFW BLOCK]", "10.7.20.6", 502),
        line("12:05:00", "[UFW ALLOW]", "192.0.2.8", 54321),
        line("12:06:00", "OWN", "10.7.20.5", 54321),
    ]
    .concat();
    let place = Place::new(ZONES, &log);
    let (plan, change) = closing();
    place.keep(async |store| {
        store.save_plan(&plan).await.unwrap();
        store.save_change(&change).await.unwrap();
    });
    let page = page(&place, &["--sessions"]);
    assert!(
        !page.contains("\\u{"),
        "a line end is no control character of a stranger: {page}"
    );
    // All that a page may fetch by; the policy in its head forbids it once more.
    for word in [
        "<script", "<link", "<img", "<iframe", "http://", "https://", "src=", "href=", "url(",
    ] {
        assert!(!page.contains(word), "{word}");
    }
    insta::assert_snapshot!(page);
}

#[test]
fn what_strangers_write_is_only_text_on_the_page() {
    let mark = "<script>alert(1)</script>\u{202e}";
    let unreadable = format!(
        "2026-11-22T12:00:00+00:00 gw kernel: [UFW BLOCK] IN=eth0 OUT= SRC={mark} DST=10.7.10.4 LEN=60 PROTO=TCP DPT=5\n"
    );
    let log = [line("12:00:00", "[UFW BLOCK]", "192.0.2.7", 502), unreadable].concat();
    let place = Place::new("", &log);
    let site = SITE.replace("plant-7", "<b onclick='x'>plant</b>");
    fs::write(place.0.path().join("site.toml"), site).unwrap();
    let name = "<img src=x onerror=alert(2)>.log";
    fs::copy(place.0.path().join("kern.log"), place.0.path().join(name)).unwrap();
    let page = page(&place, &[name, "--signs"]);
    assert!(
        page.contains("&lt;script&gt;alert(1)&lt;"),
        "the line is shown: {page}"
    );
    assert!(
        page.contains("&lt;img src=x onerror=alert(2)&gt;.log:2"),
        "its place is shown: {page}"
    );
    assert!(page.contains("<title>Firewall logs of &lt;b onclick=&#39;x&#39;&gt;plant&lt;/b&gt;</title>"));
    for hostile in ["<script", "<img", "<b ", "\u{202e}"] {
        assert!(!page.contains(hostile), "{hostile}");
    }
}

#[test]
fn what_the_log_says_to_be_missing_is_told_with_its_place() {
    let lost = [
        "2026-11-22T12:00:01+00:00 gw kernel: net_ratelimit: 34 callbacks suppressed\n",
        "2026-11-22T12:00:02+00:00 gw systemd-journald[9]: Missed 8 kernel messages\n",
    ];
    let packet = line("12:00:00", "[UFW BLOCK]", "192.0.2.7", 502);
    let place = Place::new("", &[packet.as_str(), lost[0], lost[1]].concat());
    let text = place.text(&[]);
    for told in [
        "1 line of the log says that something is missing, at least 34: the kernel left out",
        "at least 8: systemd-journald missed",
        "  kern.log:2: ",
        "counts are lower bounds: the log itself says that lines are missing, at least 42",
    ] {
        assert!(text.contains(told), "{told}: {text}");
    }
    let page = page(&place, &[]);
    assert!(
        page.contains("kern.log:3</td>") && page.contains("at least 34"),
        "{page}"
    );
    let report = place.report(&[]);
    assert_eq!(report["losses"][0]["at_least"], 34);
    let offset = packet.len() as u64;
    assert_eq!(report["loss_lines"][0]["read_from"]["offset"], offset, "{report}");
    assert_eq!(
        (&report["unrelated"], &report["unreadable"]),
        (&0.into(), &0.into())
    );
    // What the firewall lost of its own lines is part of the answer that is not there.
    let ios = "%SEC-6-IPACCESSLOGRL: access-list logging rate-limited or missed 18 packets\n";
    let place = Place::new("", &[packet.as_str(), ios].concat());
    assert_eq!(place.logs(&[]).status.code(), Some(3));
    let listed = place.logs(&["--export", "cef"]);
    let stderr = String::from_utf8_lossy(&listed.stderr);
    assert!(
        stderr.contains("at least 18") && listed.status.code() == Some(3),
        "{stderr}"
    );
}

/// What FortiGate writes every two minutes stands for no attempt of its own.
#[test]
fn lines_of_sessions_that_go_on_are_in_no_export_and_are_told() {
    let of = |id: &str| {
        format!(
            "date=2026-11-22 time=12:00:00 logid=\"{id}\" type=\"traffic\" subtype=\"forward\" srcip=192.0.2.7 srcport=40000 \
             dstip=10.7.10.4 dstport=502 proto=6 action=\"accept\" policyid=7\n"
        )
    };
    let log = [of("0000000020"), of("0000000020"), of("0000000013")].concat();
    let place = Place::new("", &log);
    for (form, count) in [("cef", " cnt=1 "), ("ocsf", "\"count\":1,")] {
        let output = place.logs(&["--export", form]);
        let stdout = String::from_utf8_lossy(&output.stdout);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(stdout.lines().count(), 1, "{stdout}");
        assert!(stdout.contains(count), "{stdout}");
        assert!(
            stderr.contains("2 lines of sessions that go on were left out"),
            "{stderr}"
        );
        assert_eq!(output.status.code(), Some(0), "{stderr}");
    }
}

#[test]
fn the_form_of_an_export_is_the_only_one() {
    let place = Place::new("", &line("12:00:00", "[UFW BLOCK]", "192.0.2.7", 502));
    for format in ["json", "jsonl", "csv"] {
        let output = place.logs(&["--export", "list", "--format", format]);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(
            stderr.starts_with("error[CL007]") && output.stdout.is_empty(),
            "{stderr}"
        );
        assert_eq!(output.status.code(), Some(2));
    }
    let text = place.text(&[]);
    assert!(text.contains("1 line is of format kernel: "), "{text}");
}

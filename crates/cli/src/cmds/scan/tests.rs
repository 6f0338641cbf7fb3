use jiff::Timestamp;
use portcullis_model::{Coverage, NotTested, Port, Run, RunId, Vantage};
use portcullis_scan::Counters;
use serde_json::{Value, json};

use super::*;

fn seen(run: &Run, address: &str, port: Port, state: PortState) -> Observation {
    let address = address.parse().unwrap();
    Observation {
        id: Observation::id_of(run.id, &run.vantage, address, port),
        run: run.id,
        at: run.started,
        vantage: run.vantage.clone(),
        source: None,
        address,
        port,
        state,
        because: "a test says so".into(),
        confidence: None,
        identifications: Vec::new(),
        evidence: Vec::new(),
    }
}

fn scanned() -> Scanned {
    let run = Run {
        id: RunId::of(&[b"test"]),
        command: "scan".into(),
        vantage: Vantage::this_host(),
        started: Timestamp::UNIX_EPOCH,
        ended: Some(Timestamp::UNIX_EPOCH),
        settings: json!({}),
        not_tested: Vec::new(),
        coverage: Coverage::default(),
    };
    Scanned {
        observations: vec![
            seen(&run, "10.0.0.1", Port::tcp(80), PortState::Closed),
            seen(&run, "10.0.0.1", Port::tcp(502), PortState::NoAnswer),
            seen(&run, "10.0.0.2", Port::tcp(80), PortState::Open),
            seen(&run, "10.0.0.3", Port::tcp(80), PortState::NoAnswer),
        ],
        run,
        addresses: 3,
        ports: 2,
        counters: Counters::default(),
        interrupted: false,
        checkpoint: None,
        permission: None,
        slowed: Vec::new(),
        tightenings: Vec::new(),
        failed: None,
    }
}

fn printed(out: &[u8]) -> Vec<String> {
    let lines = std::str::from_utf8(out).unwrap().lines();
    let records = lines.map(|line| serde_json::from_str::<Value>(line).unwrap());
    records
        .map(|record| {
            format!(
                "{} {} {}",
                record["schema"].as_str().unwrap(),
                record["address"].as_str().unwrap_or("-"),
                record["state"].as_str().unwrap_or("-")
            )
        })
        .collect()
}

#[test]
fn answers_are_printed_as_they_come_the_rest_at_the_end_and_nothing_twice() {
    let scanned = scanned();
    let [closed, unanswered, open, silent] = &scanned.observations[..] else {
        panic!("four were made")
    };
    let mut out = Vec::new();
    let mut lines = Lines::new(&mut out);
    // The scan visits them in its own order, and may tell one twice.
    for observation in [silent, open, unanswered, open] {
        lines.seen(observation);
    }
    drop(lines);
    assert_eq!(printed(&out), ["portcullis.observation/1 10.0.0.2 open"]);

    let mut out = Vec::new();
    let mut lines = Lines::new(&mut out);
    // What an earlier part of the run has seen is not told again by the scan: here, the closed port.
    lines.seen(open);
    lines.end(&scanned).unwrap();
    assert_eq!(closed.state, PortState::Closed);
    assert_eq!(
        printed(&out),
        [
            "portcullis.observation/1 10.0.0.2 open",
            "portcullis.observation/1 10.0.0.1 closed",
            "portcullis.observation/1 10.0.0.1 no-answer",
            "portcullis.observation/1 10.0.0.3 no-answer",
            "portcullis.run/1 - -",
        ]
    );
}

#[test]
fn the_line_that_goes_on_is_one_that_a_shell_understands() {
    let global = |site: Option<&str>, store: Option<&str>| Global {
        format: Format::Text,
        store: store.map(Into::into),
        config: site.map(Into::into),
        knowledge: None,
        quiet: false,
        verbose: 0,
    };
    assert_eq!(
        again(Path::new("/data/a.jsonl"), &global(None, None)),
        "portcullis scan --resume /data/a.jsonl"
    );
    assert_eq!(
        again(
            Path::new("/my data/it's.jsonl"),
            &global(Some("/s.toml"), Some("sqlite:/my store"))
        ),
        r"portcullis scan --resume '/my data/it'\''s.jsonl' --config /s.toml --store '/my store'"
    );
}

#[test]
fn the_counts_of_the_summary_add_up() {
    let mut scanned = scanned();
    scanned.run.not_tested = vec![NotTested {
        first: "10.0.0.2".parse().unwrap(),
        last: "10.0.0.3".parse().unwrap(),
        ports: vec![Port::tcp(502)],
        reason: "interrupted".into(),
    }];
    let text = summary::text(&scanned, Some("portcullis scan --resume F"));
    assert!(
        text.contains("3 addresses x 2 ports: 1 open, 1 closed, 0 filtered, 2 no-answer, 2 not tested."),
        "{text}"
    );
    assert!(text.contains("To go on: portcullis scan --resume F\n"));
    assert!(!text.contains("\n\n\n"), "{text}");
}

#[test]
fn a_community_is_not_in_what_is_written() {
    for typed in [
        "scan 10.0.0.1 --community plant7 -v",
        "scan 10.0.0.1 --community=plant7",
    ] {
        let shown = without_secret(typed.split(' ').map(Into::into));
        assert!(
            shown.contains("--community") && !shown.contains("plant7"),
            "{shown}"
        );
    }
}

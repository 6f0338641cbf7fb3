//! `portcullis capture` as a person runs it on files, and what `exposures` and `audit` make of it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    fs,
    io::Write as _,
    net::Ipv4Addr,
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

const SITE: &str = "[site]\nname = 'p'\n[[zone]]\nname = 'control'\nnetworks = ['10.7.10.0/24']\n\
    [[zone]]\nname = 'engineering'\nnetworks = ['10.7.20.0/24']\n[[zone]]\nname = 'internet'\nnetworks = ['any']\n\
    [[conduit]]\nfrom = 'engineering'\nto = 'control'\nservices = ['moxa-mdm-gateway']\n";
const GATEWAY: [u8; 4] = [10, 7, 10, 10];
const ENGINEER: [u8; 4] = [10, 7, 20, 5];
const STRANGER: [u8; 4] = [203, 0, 113, 9];

struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("site.toml"), SITE).unwrap();
        Self(folder)
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        command
            .args(["--config", "site.toml", "--store", "plant.sqlite"])
            .args(arguments)
            .current_dir(self.0.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.run_with(arguments, b"")
    }

    fn run_with(&self, arguments: &[&str], input: &[u8]) -> Output {
        let mut child = self.command(arguments).spawn().unwrap();
        // A program that refuses its input does not read it.
        let _ = child.stdin.take().unwrap().write_all(input);
        child.wait_with_output().unwrap()
    }

    fn records(&self, arguments: &[&str]) -> Vec<Value> {
        let output = self.run(&[&["--format", "json"], arguments].concat());
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

fn said(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn packet(from: [u8; 4], to: [u8; 4], segment: &[u8]) -> Vec<u8> {
    let length = (20 + segment.len() as u16).to_be_bytes();
    let head = [0x45, 0, length[0], length[1], 0, 0, 0x40, 0, 64, 6, 0, 0];
    [&head[..], &from, &to, segment].concat()
}

fn segment(from: u16, to: u16, numbers: (u32, u32), flags: u8, payload: &[u8]) -> Vec<u8> {
    [
        &from.to_be_bytes()[..],
        &to.to_be_bytes(),
        &numbers.0.to_be_bytes(),
        &numbers.1.to_be_bytes(),
        &[0x50, flags, 0x20, 0, 0, 0, 0, 0],
        payload,
    ]
    .concat()
}

/// A connection to the gateway in which the client asks and the server answers so. The first dword of the answer is that
/// of Metasploit's moxa_mdmtool.
fn session(client: [u8; 4], port: u16) -> Vec<Vec<u8>> {
    let answer = [0x28, 0x10, 0x00, 0x29, 0, 0, 0, 0];
    vec![
        packet(client, GATEWAY, &segment(40_000, port, (9, 0), 2, &[])),
        packet(GATEWAY, client, &segment(port, 40_000, (99, 10), 0x12, &[])),
        packet(client, GATEWAY, &segment(40_000, port, (10, 100), 0x18, b"????")),
        packet(GATEWAY, client, &segment(port, 40_000, (100, 14), 0x18, &answer)),
    ]
}

fn pcap(link: u32, frames: &[Vec<u8>]) -> Vec<u8> {
    let mut file = b"\xd4\xc3\xb2\xa1\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\x04\0".to_vec();
    file.extend(link.to_le_bytes());
    for frame in frames {
        let length = frame.len() as u32;
        for word in [1_795_392_000_u32, 250_000, length, length] {
            file.extend(word.to_le_bytes());
        }
        file.extend(frame);
    }
    file
}

/// A pcapng file of raw IP in microseconds, whose interface says that it lost so many.
fn pcapng(frames: &[Vec<u8>], dropped: u64) -> Vec<u8> {
    let block = |kind: u32, content: &[u8]| {
        let mut content = content.to_vec();
        content.resize(content.len().next_multiple_of(4), 0);
        let whole = (12 + content.len() as u32).to_le_bytes();
        [&kind.to_le_bytes()[..], &whole, &content, &whole].concat()
    };
    let words = |words: &[u32]| -> Vec<u8> { words.iter().flat_map(|word| word.to_le_bytes()).collect() };
    let mut file = block(0x0a0d_0d0a, &words(&[0x1a2b_3c4d, 1, u32::MAX, u32::MAX]));
    file.extend(block(1, &words(&[101, 0])));
    for frame in frames {
        let at = 1_795_392_000_250_000_u64;
        let length = frame.len() as u32;
        let head = words(&[0, (at >> 32) as u32, at as u32, length, length]);
        file.extend(block(6, &[&head[..], frame].concat()));
    }
    let counter = [&[5, 0, 8, 0][..], &dropped.to_le_bytes(), &[0; 4]].concat();
    file.extend(block(5, &[&words(&[0, 0, 0])[..], &counter].concat()));
    file
}

#[test]
fn what_was_overheard_is_an_exposure_unless_a_conduit_permits_it() {
    let place = Place::new();
    place.file(
        "plant.pcap",
        &pcap(
            101,
            &[session(ENGINEER, 54_321), session(STRANGER, 54_321)].concat(),
        ),
    );
    let output = place.run(&["capture", "plant.pcap"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output.stderr));
    let text = said(&output.stdout);
    for expected in [
        "plant.pcap (pcap): 8 packet(s), 2 conversation(s); 1 host(s), 1 open port(s)",
        "From 2026-11-23 00:00:00 to 2026-11-23 00:00:00 (UTC)",
        "10.7.10.10  tcp/54321  open   moxa-mdm-gateway (likely)  2",
    ] {
        assert!(text.contains(expected), "{text}");
    }
    let exposures = place.records(&["exposures"]);
    assert_eq!(exposures.len(), 1, "the engineer has a conduit: {exposures:#?}");
    assert_eq!(exposures[0]["from_zone"], "internet");
    assert_eq!(exposures[0]["severity"], "critical");
    assert_eq!(exposures[0]["vantage"], "capture@203.0.113.9");
    let because = exposures[0]["because"].as_str().unwrap();
    assert!(
        because.contains("answers zone internet as overheard, and no conduit"),
        "{because}"
    );
    let assets = said(&place.run(&["assets"]).stdout);
    assert!(assets.contains("10.7.10.10"), "{assets}");
}

#[test]
fn every_format_has_the_observations_and_the_sum() {
    let place = Place::new();
    place.file("plant.pcap", &pcap(101, &session(STRANGER, 54_321)));
    let records = place.records(&["capture", "plant.pcap"]);
    let schemas: Vec<&str> = records
        .iter()
        .map(|record| record["schema"].as_str().unwrap())
        .collect();
    assert_eq!(schemas, ["portcullis.observation/1", "portcullis.capture/1"]);
    assert_eq!(records[0]["at"], "2026-11-23T00:00:00.25Z");
    assert_eq!(records[0]["source"], "203.0.113.9");
    let jsonl = said(&place.run(&["--format", "jsonl", "capture", "plant.pcap"]).stdout);
    let lines: Vec<Value> = jsonl
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines[0], records[0]);
    assert_eq!(lines.len(), 2);
    let csv = said(&place.run(&["--format", "csv", "capture", "plant.pcap"]).stdout);
    assert_eq!(csv.lines().count(), 3, "{csv}");
}

#[test]
fn the_same_capture_counts_once_by_whichever_name_it_comes() {
    let place = Place::new();
    let bytes = pcapng(&session(STRANGER, 54_321), 0);
    place.file("plant.pcapng", &bytes);
    let first = place.records(&["capture", "plant.pcapng"]);
    let output = place.run_with(&["--format", "json", "capture", "-"], &bytes);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output.stderr));
    let again: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&again[0]["id"], &again[1]["run"]),
        (&first[0]["id"], &first[1]["run"])
    );
    assert_eq!(first[1]["before"], Value::Null);
    assert!(again[1]["before"].is_string());
    assert_eq!(
        place.records(&["exposures"])[0]["evidence"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let audit = said(&place.run(&["audit", "list"]).stdout);
    assert_eq!(audit.matches("(pcapng)").count(), 2, "{audit}");
}

#[test]
fn what_was_lost_or_cut_is_told_and_the_rest_is_kept() {
    let place = Place::new();
    let whole = pcap(101, &session(STRANGER, 54_321));
    let cut = &whole[..whole.len() - 30];
    let lossy = pcapng(&session(STRANGER, 54_321), 7);
    let mut damaged = whole.clone();
    let third = 24 + 2 * 56;
    damaged[third + 8..third + 12].copy_from_slice(&[0xff; 4]);
    for (name, bytes, expected) in [
        (
            "cut",
            cut,
            "Not read to its end: the capture ends in the middle of a record, at byte",
        ),
        ("lossy", &lossy, "7 packet(s) were lost while it was captured"),
        (
            "damaged",
            &damaged,
            "the record at byte 136 is damaged: it claims more bytes than a frame can have",
        ),
    ] {
        place.file(name, bytes);
        let output = place.run(&["capture", name]);
        let text = said(&output.stdout);
        assert_eq!(output.status.code(), Some(3), "{name}: {text}");
        assert!(
            text.contains(expected) && text.contains("1 open port(s)"),
            "{name}: {text}"
        );
        // By a pipe it is the same; nobody waits for more behind a damage.
        let output = place.run_with(&["capture", "-"], bytes);
        assert_eq!(output.status.code(), Some(3), "{name}");
    }
}

#[test]
fn what_is_no_capture_is_refused_and_does_not_stop_the_others() {
    let place = Place::new();
    place.file("plant.pcap", &pcap(101, &session(STRANGER, 54_321)));
    for (name, bytes, code) in [
        ("notes", &b"nothing to see here, move along"[..], "CP001"),
        ("packed", b"\x1f\x8b\x08\0\0\0\0\0", "CP002"),
        ("empty", b"", "CP003"),
        (
            "magic",
            b"\xa1\xb2\xc3\xd5aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "CP001",
        ),
    ] {
        place.file(name, bytes);
        let output = place.run(&["capture", name]);
        let error = said(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(
            error.starts_with(&format!("error[{code}]: cannot read the capture {name}")),
            "{error}"
        );
        assert!(output.stdout.is_empty());
        let output = place.run(&["capture", name, "plant.pcap"]);
        assert_eq!(output.status.code(), Some(3));
        assert!(said(&output.stderr).contains(code) && said(&output.stdout).contains("1 open port(s)"));
    }
    let output = place.run(&["capture", "."]);
    assert!(
        said(&output.stderr).starts_with("error[CP004]"),
        "{}",
        said(&output.stderr)
    );
    let output = place.run(&["capture", "nowhere"]);
    assert!(
        said(&output.stderr).starts_with("error[OP001]"),
        "{}",
        said(&output.stderr)
    );
    for wrong in [
        &["capture"][..],
        &["capture", "x", "--for", "1s"],
        &["capture", "x", "--interface", "lo"],
    ] {
        assert_eq!(place.run(wrong).status.code(), Some(2), "{wrong:?}");
    }
    let output = place.run(&["capture", "--interface", "no\u{1b}where0"]);
    let error = said(&output.stderr);
    assert!(
        error.starts_with("error[CP006]: this host has no interface `no\\u{1b}where0`"),
        "{error}"
    );
    assert_eq!(output.status.code(), Some(2));
}

/// Ends a program that would go on for ever.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_capture_without_an_end_is_told_when_somebody_stops_it() {
    let place = Place::new();
    let mut running = Running(place.command(&["capture", "-"]).spawn().unwrap());
    let mut input = running.0.stdin.take().unwrap();
    let session = pcap(101, &session(STRANGER, 54_321));
    input.write_all(&session).unwrap();
    // More than one piece, so that the session has been read when it is taken; then nothing comes any more.
    let filler = pcap(101, &vec![packet(ENGINEER, STRANGER, &[0; 20]); 40_000]);
    input.write_all(&filler[24..]).unwrap();
    input.flush().unwrap();
    std::thread::sleep(Duration::from_millis(500));
    let pid = nix::unistd::Pid::from_raw(running.0.id() as i32);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    let begin = Instant::now();
    while running.0.try_wait().unwrap().is_none() {
        assert!(begin.elapsed() < Duration::from_secs(20), "it does not end");
        std::thread::sleep(Duration::from_millis(20));
    }
    drop(input);
    let mut text = String::new();
    std::io::Read::read_to_string(running.0.stdout.as_mut().unwrap(), &mut text).unwrap();
    assert_eq!(running.0.wait().unwrap().code(), Some(3), "{text}");
    assert!(
        text.contains("1 open port(s)") && text.contains("Stopped before its end"),
        "{text}"
    );
}

#[test]
fn a_hostile_capture_has_a_bound_and_says_what_it_left_out() {
    let place = Place::new();
    let mut file = pcap(101, &[]);
    let server = Ipv4Addr::new(10, 7, 10, 10).octets();
    for number in 0..200_000_u32 {
        let client = (0xcb00_0000 + number).to_be_bytes();
        let answer = packet(server, client, &segment(502, 40_000, (1, 2), 0x12, &[]));
        file.extend(&pcap(101, &[answer])[24..]);
    }
    place.file("flood.pcap", &file);
    let output = place.run(&["--format", "jsonl", "capture", "flood.pcap"]);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output.stderr));
    let text = said(&output.stdout);
    let sum: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(sum["observations"], 65_536);
    assert_eq!(sum["conversations"], 200_000);
    let left_out = sum["left_out"].as_object().unwrap();
    let pairs = left_out
        .iter()
        .find(|(reason, _)| reason.contains("no more than 65536 pairs"));
    assert_eq!(pairs.unwrap().1, 200_000 - 65_536, "{left_out:?}");
}

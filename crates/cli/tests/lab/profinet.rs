//! Stations of PROFINET: one question to the segment, and what is heard in passing.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};

use portcullis_sys::packet::{Receiver, Sender, filter::everything, route::interfaces};
use serde_json::Value;

use crate::wire::{Wire, inside, ip};

const PROFINET: u16 = 0x8892;
const MAC: [u8; 6] = [0x00, 0x0e, 0x8c, 1, 2, 3];

/// A station at the far end that answers to Identify-All, laid out as NMAP's multicast-profinet-discovery reads it. Returns
/// how many frames of PROFINET it has had.
fn station(wire: &Wire) -> Arc<AtomicU32> {
    let (mut receiver, mut sender) = wire.far(|| {
        let interfaces = interfaces().unwrap();
        let index = interfaces.iter().find(|one| one.name == "wire").unwrap().index;
        (
            Receiver::open(index, PROFINET, &everything()).unwrap(),
            Sender::open(index).unwrap(),
        )
    });
    let had = Arc::<AtomicU32>::default();
    let count = Arc::clone(&had);
    thread::spawn(move || {
        for _ in 0..600 {
            let mut questions = Vec::new();
            let _ = receiver.hear(Duration::from_millis(100), &mut |heard| {
                if !heard.outgoing {
                    questions.push(heard.bytes.to_vec());
                }
            });
            for question in questions {
                count.fetch_add(1, Ordering::Relaxed);
                assert_eq!(&question[..6], [1, 0x0e, 0xcf, 0, 0, 0]);
                assert_eq!(&question[14..18], [0xfe, 0xfe, 5, 0]);
                let mut answer = question[6..12].to_vec();
                answer.extend(MAC);
                answer.extend([0x88, 0x92, 0xfe, 0xff, 5, 1]);
                answer.extend(&question[18..22]);
                let mut blocks = vec![2, 2, 0, 9, 0, 0];
                // An escape sequence in a name must not reach a terminal.
                blocks.extend(b"press-\x1b\0");
                blocks.extend([2, 3, 0, 6, 0, 0, 0, 0x2a, 3, 0x0d]);
                blocks.extend([1, 2, 0, 14, 0, 1, 10, 77, 0, 31, 255, 255, 255, 0, 0, 0, 0, 0]);
                answer.extend([0, 0, 0, blocks.len() as u8]);
                answer.extend(blocks);
                sender.room(answer.len()).unwrap().copy_from_slice(&answer);
                sender.send().unwrap();
            }
        }
    });
    had
}

#[test]
fn one_question_names_the_stations_of_a_segment() {
    if !inside("profinet::one_question_names_the_stations_of_a_segment") {
        return;
    }
    let wire = Wire::new();
    let had = station(&wire);
    let asked = wire
        .portcullis(&["scan", "--segment", "wire", "--service", "profinet-dcp"])
        .with(0);
    assert!(
        asked
            .stdout
            .contains("10.77.0.31 (00:0e:8c:01:02:03) says by profinet-dcp (proven)"),
        "{}",
        asked.stdout
    );
    assert!(!asked.stdout.contains('\x1b'), "{:?}", asked.stdout);
    assert_eq!(had.load(Ordering::Relaxed), 1, "one question");
    let assets = wire.portcullis(&["assets", "--format", "jsonl"]).with(0);
    let assets: Vec<Value> = assets
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let asset = assets
        .iter()
        .find(|asset| asset["address"] == "10.77.0.31")
        .unwrap();
    assert_eq!(asset["facts"]["vendor-id"]["value"], "0x002a");
    assert_eq!(asset["facts"]["device-id"]["said_by"], "profinet-dcp");
    assert_eq!(asset["mac"]["address"], "00:0e:8c:01:02:03");
}

#[test]
fn a_segment_that_is_not_ours_to_ask_hears_nothing() {
    if !inside("profinet::a_segment_that_is_not_ours_to_ask_hears_nothing") {
        return;
    }
    let wire = Wire::new();
    let had = station(&wire);
    ip("addr add 10.99.0.1/24 dev wire");
    for (arguments, code, error) in [
        (vec!["--segment", "wire", "--service", "profinet-dcp"], 4, "OP002"),
        (vec!["--segment", "wire", "--service", "modbus-tcp"], 2, "SC063"),
        (vec!["--segment", "wire"], 2, "SC063"),
        (vec!["10.77.0.2", "--service", "profinet-dcp"], 2, "SC063"),
        (
            vec!["--segment", "nowhere", "--service", "profinet-dcp"],
            2,
            "SC068",
        ),
        (vec!["--segment", "wire", "10.77.0.2"], 2, "CL002"),
    ] {
        let arguments = [vec!["scan"], arguments].concat();
        wire.portcullis(&arguments).refused(code, error);
    }
    assert_eq!(had.load(Ordering::Relaxed), 0);
}

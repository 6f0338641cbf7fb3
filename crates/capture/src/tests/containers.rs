//! Every container and link type gives the same facts.

use super::make::*;
use crate::{CaptureError, File};

fn expected() -> Vec<Vec<u8>> {
    Line::open(22).answers(b"SSH-2.0-moxa_1.0\r\n").packets
}

const TOLD: [&str; 1] = ["10.7.10.10 tcp/22 open moxa-ssh proven"];

fn options(big: bool, options: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let half = |number: u16| {
        if big {
            number.to_be_bytes()
        } else {
            number.to_le_bytes()
        }
    };
    let mut bytes = Vec::new();
    for (code, value) in options {
        bytes.extend(half(*code));
        bytes.extend(half(value.len() as u16));
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    bytes.extend([0; 4]);
    bytes
}

fn block(big: bool, kind: u32, content: &[u8]) -> Vec<u8> {
    let word = |number: u32| {
        if big {
            number.to_be_bytes()
        } else {
            number.to_le_bytes()
        }
    };
    let padded = content.len().next_multiple_of(4);
    let whole = word(12 + padded as u32);
    let mut bytes = [&word(kind)[..], &whole, content].concat();
    bytes.resize(8 + padded, 0);
    bytes.extend(whole);
    bytes
}

/// A pcapng file with two interfaces: one in microseconds without packets, one with this resolution.
fn pcapng(big: bool, resolution: Option<u8>, ticks: impl Fn(u64) -> u64, drops: u64) -> Vec<u8> {
    let word = |number: u32| {
        if big {
            number.to_be_bytes()
        } else {
            number.to_le_bytes()
        }
    };
    let half = |number: u16| {
        if big {
            number.to_be_bytes()
        } else {
            number.to_le_bytes()
        }
    };
    let long = |number: u64| {
        if big {
            number.to_be_bytes()
        } else {
            number.to_le_bytes()
        }
    };
    let section = [&word(0x1a2b_3c4d)[..], &half(1), &half(0), &[0xff; 8]].concat();
    let mut file = block(big, 0x0a0d_0d0a, &section);
    let interface = |link: u16, more: &[(u16, Vec<u8>)]| {
        [&half(link)[..], &half(0), &word(0), &options(big, more)].concat()
    };
    file.extend(block(big, 1, &interface(147, &[])));
    let resolution = resolution.map(|resolution| (9, vec![resolution]));
    file.extend(block(
        big,
        1,
        &interface(1, &resolution.into_iter().collect::<Vec<_>>()),
    ));
    // One that no program knows, longer than the buffer: it is passed over.
    file.extend(block(big, 0x0bad, &vec![7; 3 << 20]));
    for (number, packet) in expected().iter().enumerate() {
        let frame = ethernet(packet);
        let time = ticks(BEGIN + number as u64 * SECOND);
        let head = [
            1,
            (time >> 32) as u32,
            time as u32,
            frame.len() as u32,
            frame.len() as u32,
        ];
        let content = [head.map(word).concat(), frame].concat();
        file.extend(block(big, 6, &content));
    }
    let counters = [
        (4, long(9).to_vec()),
        (5, long(drops).to_vec()),
        (7, long(1).to_vec()),
    ];
    let statistics = [&word(1)[..], &[0; 8], &options(big, &counters)].concat();
    file.extend(block(big, 5, &statistics));
    file
}

#[test]
fn pcap_of_both_orders_and_resolutions() {
    for (magic, unit) in [(0xa1b2_c3d4_u32, 1000), (0xa1b2_3c4d, 1)] {
        for big in [false, true] {
            let word = |number: u32| {
                if big {
                    number.to_be_bytes()
                } else {
                    number.to_le_bytes()
                }
            };
            let mut file = pcap_head(magic, big, 0x1000_0001);
            for packet in expected() {
                let frame = ethernet(&packet);
                let length = frame.len() as u32;
                let at = BEGIN + 250_000_000;
                for number in [(at / SECOND) as u32, (at % SECOND / unit) as u32, length, length] {
                    file.extend(word(number));
                }
                file.extend(frame);
            }
            let outcome = outcome(&file);
            assert_eq!(outcome.told(), TOLD, "{magic:x} {big}");
            assert_eq!(outcome.observations[0].at.to_string(), "2026-11-23T00:00:00.25Z");
            assert_eq!(outcome.damage, None);
        }
    }
}

#[test]
fn pcapng_of_both_orders_with_times_and_drops() {
    type Ticks = fn(u64) -> u64;
    let resolutions: [(Option<u8>, Ticks); 4] = [
        (None, |at| at / 1000),
        (Some(9), |at| at),
        (Some(3), |at| at / 1_000_000),
        (Some(0x80 | 10), |at| {
            (u128::from(at) * 1024 / 1_000_000_000) as u64
        }),
    ];
    for big in [false, true] {
        for (resolution, ticks) in resolutions {
            let outcome = outcome(&pcapng(big, resolution, ticks, 41));
            assert_eq!(outcome.told(), TOLD, "{big} {resolution:?} {:?}", outcome.damage);
            assert_eq!(outcome.observations[0].at.to_string(), "2026-11-23T00:00:03Z");
            assert_eq!((outcome.dropped, outcome.damage), (42, None));
        }
    }
}

#[test]
fn a_second_section_in_the_other_order_has_interfaces_of_its_own() {
    let file = [
        pcapng(false, None, |at| at / 1000, 1),
        pcapng(true, Some(9), |at| at, 2),
    ]
    .concat();
    let outcome = outcome(&file);
    assert_eq!(outcome.counted.frames, 8);
    assert_eq!((outcome.dropped, outcome.damage), (5, None));
}

#[test]
fn every_link_type_is_taken_off() {
    let frame = |kind: &str| -> Vec<Vec<u8>> {
        let packets = expected();
        packets
            .iter()
            .map(|packet| {
                let plain = ethernet(packet);
                let tagged = |tags: &[u8]| [&plain[..12], tags, &plain[12..]].concat();
                let head = |head: &str| [hex(head), packet.clone()].concat();
                match kind {
                    "ethernet" => plain,
                    "vlan" => tagged(&[0x81, 0, 0x20, 100]),
                    "qinq" => tagged(&[0x88, 0xa8, 0, 7, 0x81, 0, 0x20, 100]),
                    "sll" => head("00 00 00 01 00 06 02 00 0a 07 0a 0a 00 00 08 00"),
                    "sll2" => head("08 00 00 00 00 00 00 02 00 01 00 06 02 00 0a 07 0a 0a 00 00"),
                    "null" => head("02 00 00 00"),
                    "loop" => head("00 00 00 02"),
                    _ => packet.clone(),
                }
            })
            .collect()
    };
    for (kind, link) in [
        ("ethernet", 1),
        ("vlan", 1),
        ("qinq", 1),
        ("sll", 113),
        ("sll2", 276),
        ("null", 0),
        ("loop", 108),
        ("raw", 101),
        ("raw of BSD", 12),
        ("ipv4", 228),
    ] {
        let outcome = outcome(&pcap(link, &frame(kind)));
        assert_eq!(outcome.told(), TOLD, "{kind}");
        let vlan = outcome.found.neighbours().first().and_then(|one| one.vlan);
        let expected = match kind {
            "vlan" => Some(100),
            "qinq" => Some(7),
            _ => None,
        };
        assert_eq!(vlan, expected, "{kind}");
    }
    let outcome = outcome(&pcap(147, &frame("ethernet")));
    assert_eq!(
        outcome.counted.passed_over["frame(s) of a link type that is not read"],
        4
    );
}

#[test]
fn what_is_no_capture_is_refused_with_its_code() {
    use portcullis_model::Fault;
    for (bytes, code) in [
        (&b""[..], "CP003"),
        (b"\x1f\x8b\x08\0", "CP002"),
        (b"\x28\xb5\x2f\xfd", "CP002"),
        (b"nothing to see\n and more of it", "CP001"),
        (b"\xd4\xc3\xb2", "CP001"),
    ] {
        let refused: CaptureError = File::open(bytes).unwrap_err();
        assert_eq!(refused.code(), code, "{bytes:?}");
    }
}

#[test]
fn a_cut_file_keeps_what_came_before_the_cut() {
    for whole in [pcap(101, &expected()), pcapng(false, None, |at| at / 1000, 0)] {
        for length in (24..whole.len()).step_by(if whole.len() > 1 << 20 { 65_537 } else { 1 }) {
            let outcome = outcome(&whole[..length]);
            if let Some(damage) = outcome.damage {
                assert!(
                    damage.contains("ends in the middle of a record"),
                    "{length}: {damage}"
                );
            }
            assert!(outcome.counted.frames <= 4);
        }
    }
    let mut lying = pcap(101, &expected());
    lying[32..36].copy_from_slice(&u32::MAX.to_le_bytes());
    let damage = outcome(&lying).damage.unwrap();
    assert_eq!(
        damage,
        "the record at byte 24 is damaged: it claims more bytes than a frame can have"
    );
}

//! Bytes that somebody made to harm.

use portcullis_knowledge::Knowledge;
use proptest::prelude::*;

use super::make::*;
use crate::{File, Limits, Link, Watch, packet};

const FEW: Limits = Limits {
    conversations: 64,
    pairs: 32,
    bytes: 4096,
    stations: 16,
    calls: 8,
};

fn few() -> Watch {
    Watch::new(FEW, &Knowledge::builtin().unwrap(), &[])
}

#[test]
fn millions_of_conversations_stay_within_the_bound_and_are_counted() {
    let mut watch = few();
    let conversations = 2_000_000_u32;
    let client = [10, 7, 20, 5];
    let mut syn = ip(6, CLIENT, SERVER, &tcp(1, 502, (1, 0), 2, &[]));
    let mut answer = ip(6, SERVER, CLIENT, &tcp(502, 1, (1, 2), 0x12, &[]));
    for number in 0..conversations {
        let host = number.to_be_bytes();
        syn[16..20].copy_from_slice(&host);
        syn[12..16].copy_from_slice(&client);
        watch.frame(Link::Ip, &syn, BEGIN + u64::from(number));
        if number % 4 == 0 {
            answer[12..16].copy_from_slice(&host);
            watch.frame(Link::Ip, &answer, BEGIN + u64::from(number));
        }
    }
    let outcome = finish(watch, None, 0);
    assert_eq!(outcome.counted.conversations, u64::from(conversations));
    assert_eq!(outcome.observations.len(), FEW.pairs);
    let left_out: u64 = outcome.counted.left_out.values().sum();
    assert!(
        left_out > u64::from(conversations),
        "{:?}",
        outcome.counted.left_out
    );
}

#[test]
fn a_flood_of_syns_does_not_push_out_a_conversation_that_speaks() {
    let mut watch = few();
    let line = Line::open(22).answers(b"SSH-2.0-moxa_1.0\r\n");
    let (handshake, greeting) = line.packets.split_at(3);
    handshake
        .iter()
        .for_each(|packet| watch.frame(Link::Ip, packet, BEGIN));
    let mut syn = ip(6, CLIENT, SERVER, &tcp(1, 502, (1, 0), 2, &[]));
    for number in 0..100_000_u32 {
        syn[16..20].copy_from_slice(&number.to_be_bytes());
        watch.frame(Link::Ip, &syn, BEGIN + u64::from(number));
    }
    greeting
        .iter()
        .for_each(|packet| watch.frame(Link::Ip, packet, BEGIN + SECOND));
    let outcome = finish(watch, None, 0);
    assert_eq!(outcome.told(), ["10.7.10.10 tcp/22 open moxa-ssh proven"]);
}

#[test]
fn the_bytes_that_are_kept_have_a_bound() {
    let mut watch = few();
    for number in 0..2000_u16 {
        let mut line = Line::open(1000 + number);
        (0..4).for_each(|_| line.send(true, 0x18, &[b'a'; 500]));
        (0..4).for_each(|_| line.send(false, 0x18, &[b'b'; 500]));
        line.packets
            .iter()
            .for_each(|packet| watch.frame(Link::Ip, packet, BEGIN));
    }
    let outcome = finish(watch, None, 0);
    assert_eq!(outcome.observations.len(), FEW.pairs);
    assert!(
        outcome
            .counted
            .left_out
            .contains_key("conversation(s) whose first bytes were not kept for want of room")
    );
    let longest = outcome
        .observations
        .iter()
        .flat_map(|one| &one.evidence)
        .map(|one| one.bytes.len())
        .max();
    assert!(longest <= Some(512));
}

fn links() -> impl Strategy<Value = Link> {
    prop_oneof![
        Just(Link::Ethernet),
        Just(Link::Ip),
        Just(Link::Null),
        Just(Link::Cooked),
        Just(Link::Cooked2),
        any::<u16>().prop_map(Link::numbered),
    ]
}

/// A frame of ours with some of its bytes changed.
fn bent() -> impl Strategy<Value = Vec<u8>> {
    let frames = [
        Line::open(502).asks(b"ab").answers(b"cd").packets,
        vec![
            ip(
                17,
                CLIENT,
                SERVER,
                &udp(4800, 4800, &hex("81 00 00 08 00 00 00 00")),
            ),
            ip6(
                0,
                "2001:db8::5",
                "2001:db8::a",
                &[hex("06 00 01 04 00 00 00 00"), tcp(9, 502, (1, 0), 2, &[])].concat(),
            ),
        ],
    ]
    .concat();
    let frames: Vec<Vec<u8>> = frames.iter().map(|packet| ethernet(packet)).collect();
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6);
    (
        prop::sample::select(frames),
        changes,
        any::<prop::sample::Index>(),
    )
        .prop_map(|(mut frame, changes, cut)| {
            for (place, byte) in changes {
                let place = place.index(frame.len());
                frame[place] = byte;
            }
            let length = frame.len();
            frame.truncate(length - cut.index(length) / 4);
            frame
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_frame_is_read_without_harm(link in links(), bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        packet::read(link, &bytes, None);
    }

    #[test]
    fn any_file_ends_and_gives_no_more_than_it_has(bytes in prop::collection::vec(any::<u8>(), 0..600), begin in 0..3_usize) {
        let magic = [&b"\xd4\xc3\xb2\xa1"[..], b"\x0a\x0d\x0d\x0a\x1c\0\0\0\x4d\x3c\x2b\x1a", b""];
        let bytes = [magic[begin], &bytes].concat();
        if let Ok(mut file) = File::open(&bytes[..]) {
            let (mut frames, mut taken) = (0, 0);
            while let Ok(Some(frame)) = file.next_frame() {
                frames += 1;
                taken += frame.bytes.len();
                prop_assert!(taken <= bytes.len() && frames <= bytes.len());
            }
        }
    }

    #[test]
    fn bent_frames_are_watched_without_harm(frames in prop::collection::vec(bent(), 1..60)) {
        let mut watch = few();
        for (number, frame) in frames.iter().enumerate() {
            watch.frame(Link::Ethernet, frame, number as u64 * SECOND);
        }
        let outcome = finish(watch, None, 0);
        prop_assert!(outcome.observations.len() <= FEW.pairs + FEW.pairs / 8);
    }
}

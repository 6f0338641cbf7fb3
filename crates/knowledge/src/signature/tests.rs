use portcullis_model::{AnswerToEnd, OwnEnd, TcpOptions};

use super::*;
use crate::combine::Kind;

const OPTIONS: TcpOptions = TcpOptions {
    timestamps: true,
    selective_acks: true,
    ecn: false,
    window_scale: Some(7),
    window: Some(65_160),
    segment: 1448,
};

/// As a scan looks: 800 ms, then we end.
fn short(answer: AnswerToEnd) -> Look {
    Look {
        at: Timestamp::UNIX_EPOCH,
        behaviour: Behaviour {
            listened_ms: 800,
            spoke_after_ms: None,
            own_end: None,
            answer_to_end: Some(answer),
            options: Some(OPTIONS),
        },
        first_bytes: Vec::new(),
    }
}

/// A look of which the server saw the end first.
fn ended(after_ms: u64) -> Look {
    let mut look = short(AnswerToEnd::AtOnce);
    look.behaviour.listened_ms = after_ms;
    look.behaviour.answer_to_end = None;
    look.behaviour.own_end = Some(OwnEnd {
        after_ms,
        reset: false,
    });
    look
}

fn patient(answer: AnswerToEnd) -> Look {
    let mut look = short(answer);
    look.behaviour.listened_ms = 30_000;
    look
}

fn signature(address: &str, is_it: bool, looks: &[Look]) -> Signature {
    Signature {
        schema: SCHEMA.into(),
        site: None,
        address: address.parse().unwrap(),
        port: Port::tcp(54321),
        service: ServiceName::new("moxa-mdm-gateway").unwrap(),
        is_it,
        by: "ola".into(),
        at: Timestamp::UNIX_EPOCH,
        looks: looks.to_vec(),
        overheard: Vec::new(),
    }
}

/// It keeps its side open for a while, which is not what ordinary servers do.
fn gateway() -> Vec<Look> {
    let answer = AnswerToEnd::KeptOpen;
    vec![short(answer), patient(answer), short(answer)]
}

/// It waits in silence and ends when we do.
fn ordinary() -> Vec<Look> {
    let answer = AnswerToEnd::AtOnce;
    vec![short(answer), patient(answer), short(answer)]
}

fn is_unlike(look: &Look, known: &[Look]) -> bool {
    matches!(compare(look, known), Likeness::Unlike(_))
}

#[test]
fn what_differs_in_one_thing_is_unlike() {
    let known = gateway();
    assert!(matches!(
        compare(&short(AnswerToEnd::KeptOpen), &known),
        Likeness::Alike(_)
    ));
    assert!(is_unlike(&short(AnswerToEnd::Late), &known));
    assert!(is_unlike(&ended(1000), &known));
    let mut other = short(AnswerToEnd::KeptOpen);
    other.first_bytes = b"SSH-2.0".to_vec();
    assert!(is_unlike(&other, &known));
    let options: [fn(&mut TcpOptions); 3] = [
        |options| options.window_scale = Some(8),
        |options| options.timestamps = false,
        |options| options.window = Some(8192),
    ];
    for change in options {
        let mut other = short(AnswerToEnd::KeptOpen);
        change(other.behaviour.options.as_mut().unwrap());
        assert!(is_unlike(&other, &known), "{other:?}");
    }
    // The path has its word in these two.
    let mut far = short(AnswerToEnd::KeptOpen);
    let options = far.behaviour.options.as_mut().unwrap();
    (options.segment, options.window) = (1360, Some(64_000));
    assert!(matches!(compare(&far, &known), Likeness::Alike(_)));
}

#[test]
fn the_end_of_a_connection_is_compared_only_where_both_looks_reached_it() {
    let ends = vec![ended(5000), ended(5100)];
    assert!(is_unlike(&ended(1000), &ends));
    assert!(is_unlike(&patient(AnswerToEnd::AtOnce), &ends));
    assert!(matches!(compare(&ended(5200), &ends), Likeness::Alike(_)));
    // A look of 800 ms says nothing of what comes after five seconds.
    assert_eq!(
        compare(&short(AnswerToEnd::AtOnce), &ends),
        Likeness::TooShort {
            listened_ms: 800,
            ends_after_ms: 5000
        }
    );
}

#[test]
fn a_stack_and_silence_recognise_nobody() {
    let mut asked = short(AnswerToEnd::KeptOpen);
    asked.behaviour.answer_to_end = None;
    assert_eq!(compare(&asked, &gateway()), Likeness::CannotTell);
    let unsteady = [short(AnswerToEnd::AtOnce), short(AnswerToEnd::Late)];
    assert_eq!(
        compare(&short(AnswerToEnd::AtOnce), &unsteady),
        Likeness::CannotTell
    );
    assert_eq!(compare(&short(AnswerToEnd::AtOnce), &[]), Likeness::CannotTell);
}

/// A gateway that ends after five seconds by itself and at once when its peer does, and a counter-example that keeps its side
/// open: ordinary silent servers are told from the counter-example as well as the gateway is.
#[test]
fn a_server_that_ends_when_we_do_is_no_sibling_for_that() {
    let at_once = || short(AnswerToEnd::AtOnce);
    let ends = signature("10.7.10.10", true, &[at_once(), ended(5000), at_once()]);
    let counter = signature("10.7.10.20", false, &gateway());
    let (kind, says) = recognise(&at_once(), &[&ends, &counter]).unwrap();
    assert_eq!(kind, Kind::AlikeUntested, "{says}");
    assert!(
        says.contains("itself after 5000 ms") && says.contains("listened for 800 ms, which is too short"),
        "{says}"
    );
    // The same reaction contradicts where it is another one, and a look that sees the end counts.
    let (kind, says) = recognise(&short(AnswerToEnd::Late), &[&ends, &counter]).unwrap();
    assert_eq!(kind, Kind::Unlike, "{says}");
    let (kind, says) = recognise(
        &ended(5100),
        &[&ends, &signature("10.7.10.21", false, &[ended(1000)])],
    )
    .unwrap();
    assert_eq!(kind, Kind::Alike, "{says}");

    // One that never ends by itself has nothing of its own either.
    let waits = signature("10.7.10.11", true, &ordinary());
    let (kind, says) = recognise(&at_once(), &[&waits, &counter]).unwrap();
    assert_eq!(kind, Kind::AlikeUntested, "{says}");
    assert!(says.contains("any server that waits in silence"), "{says}");
}

/// A counter-example that the look was too short to tell from the gateway is not unlike.
#[test]
fn what_cannot_be_told_from_a_counter_example_counts_nothing() {
    let known = signature("10.7.10.10", true, &gateway());
    let apart = signature("10.7.10.20", false, &[short(AnswerToEnd::Late)]);
    let later = signature("10.7.10.21", false, &[short(AnswerToEnd::KeptOpen), ended(5000)]);
    let look = short(AnswerToEnd::KeptOpen);
    let kind = |all: &[&Signature]| recognise(&look, all).map(|(kind, _)| kind);
    assert_eq!(kind(&[&known, &apart]), Some(Kind::Alike));
    assert_eq!(kind(&[&known, &apart, &later]), Some(Kind::AlikeUntested));
}

#[test]
fn a_likeness_counts_only_against_a_counter_example_that_differs() {
    let known = signature("10.7.10.10", true, &gateway());
    let apart = signature("10.7.10.20", false, &[short(AnswerToEnd::Late), ended(1000)]);
    let same = signature("10.7.10.21", false, &gateway());
    let kind = |signatures: &[&Signature]| {
        recognise(&short(AnswerToEnd::KeptOpen), signatures).map(|(kind, _)| kind)
    };
    assert_eq!(kind(&[&known]), Some(Kind::AlikeUntested));
    assert_eq!(kind(&[&known, &apart]), Some(Kind::Alike));
    assert_eq!(kind(&[&known, &apart, &same]), Some(Kind::AlikeUntested));
    assert_eq!(kind(&[&apart]), None);
    let late = recognise(&short(AnswerToEnd::Late), &[&known, &apart]).unwrap();
    assert_eq!(late.0, Kind::Unlike);
}

#[test]
fn bytes_count_where_a_counter_example_begins_with_others() {
    let with = |address: &str, is_it: bool, bytes: &[u8]| Signature {
        overheard: bytes.to_vec(),
        ..signature(address, is_it, &[])
    };
    let known = with("10.7.10.10", true, b"\x28\x10\x00\x29\x01");
    let apart = with("10.7.10.20", false, b"\x00\x01\x02\x03");
    let kind = |bytes: &[u8], all: &[&Signature]| recognise_bytes(bytes, all).map(|(kind, _)| kind);
    assert_eq!(
        kind(b"\x28\x10\x00\x29\xff", &[&known]),
        Some(Kind::AlikeUntested)
    );
    assert_eq!(
        kind(b"\x28\x10\x00\x29\xff", &[&known, &apart]),
        Some(Kind::Alike)
    );
    assert_eq!(kind(b"\x28\x10\x00", &[&known, &apart]), None);
    assert_eq!(kind(b"\x00\x01\x02\x03", &[&known, &apart]), None);
}

#[test]
fn the_error_figure_counts_and_says_when_there_is_too_little() {
    let first = signature("10.7.10.10", true, &gateway());
    let second = signature("10.7.10.11", true, &gateway());
    let third = signature("10.7.10.12", true, &[short(AnswerToEnd::AtOnce)]);
    let apart = signature("10.7.10.20", false, &[short(AnswerToEnd::Late), ended(1000)]);
    let same = signature("10.7.10.21", false, &[short(AnswerToEnd::KeptOpen)]);

    let alone = cross_validate(&[&first]);
    assert_eq!((alone.tried, alone.tried_against), (0, 0));
    let said = alone.to_string();
    assert_eq!(said.matches("too few examples to say").count(), 2, "{said}");

    let figure = cross_validate(&[&first, &second, &third, &apart, &same]);
    // Looks of 30 s and one that ended after 1 s are none that a scan makes.
    assert_eq!((figure.tried, figure.missed), (5, 1), "{figure}");
    assert_eq!((figure.tried_against, figure.false_matches), (2, 1), "{figure}");
    assert_eq!(
        figure.to_string(),
        "missed matches: 1 of 5 looks as a scan makes them (800 ms) at 3 known hosts, each held against the others; false \
         matches: 1 of 2 looks as a scan makes them (800 ms) at 2 counter-example(s)"
    );
}

/// Patient looks see the gateways' own end and recognise it each time; a scan never does.
#[test]
fn the_error_figure_does_not_count_what_no_scan_sees() {
    let looks = [short(AnswerToEnd::AtOnce), ended(5000), ended(5000), ended(5000)];
    let first = signature("10.7.10.10", true, &looks);
    let second = signature("10.7.10.11", true, &looks);
    let figure = cross_validate(&[&first, &second]);
    assert_eq!((figure.tried, figure.missed), (2, 2), "{figure}");
    // What happens within the time of a scan is seen by a patient look as well.
    let quick = [ended(300), ended(300)];
    let first = signature("10.7.10.10", true, &quick);
    let second = signature("10.7.10.11", true, &quick);
    let figure = cross_validate(&[&first, &second]);
    assert_eq!((figure.tried, figure.missed), (4, 0), "{figure}");
    let first = signature("10.7.10.10", true, &[ended(5000)]);
    let second = signature("10.7.10.11", true, &[ended(5000)]);
    let said = cross_validate(&[&first, &second]).to_string();
    assert!(said.contains("as short as one of a scan"), "{said}");
}

#[test]
fn a_signature_reads_back_as_it_was_written() {
    let mut written = signature("2001:db8::1", true, &gateway());
    written.overheard = vec![0x28, 0x10];
    let text = serde_json::to_string(&written).unwrap();
    assert!(text.contains("\"overheard\":\"2810\""), "{text}");
    assert_eq!(serde_json::from_str::<Signature>(&text).unwrap(), written);
}

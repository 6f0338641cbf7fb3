use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Got {
    Message(String),
    TooLong,
    Unfinished(String),
    Broken,
}

/// What comes out when the bytes come in these parts.
fn cut(parts: &[&[u8]], longest: usize) -> Vec<Got> {
    let mut framing = Framing::new(longest);
    let mut got = Vec::new();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    for part in parts {
        let mut each = |frame: Frame<'_>| {
            got.push(match frame {
                Frame::Message(message) => Got::Message(text(message)),
                Frame::TooLong => Got::TooLong,
                Frame::Unfinished(message) => Got::Unfinished(text(message)),
            });
        };
        if framing.push(part, &mut each).is_err() {
            got.push(Got::Broken);
            return got;
        }
        assert!(framing.partial.len() <= longest.max(MOST_DIGITS));
    }
    framing.finish(&mut |frame| {
        if let Frame::Unfinished(message) = frame {
            got.push(Got::Unfinished(text(message)));
        }
    });
    got
}

fn message(text: &str) -> Got {
    Got::Message(text.into())
}

#[test]
fn a_connection_tells_by_its_beginning_which_way_it_is_framed() {
    let counted = cut(&[b"5 <4>ab9 <5>x\ny\nzw"], 100);
    assert_eq!(counted, [message("<4>ab"), message("<5>x\ny\nzw")]);
    let lines = cut(&[b"<4>ab\n<5>10 x\r\n\n<6>zero\0<7>z\n"], 100);
    assert_eq!(
        lines,
        [
            message("<4>ab"),
            message("<5>10 x"),
            message("<6>zero"),
            message("<7>z")
        ]
    );
    // Raw lines whose time comes first are no lengths.
    let raw = cut(&[b"2026-11-22T12:00:00Z gw kernel: x\n2 y\n"], 100);
    assert_eq!(
        raw,
        [message("2026-11-22T12:00:00Z gw kernel: x"), message("2 y")]
    );
}

#[test]
fn a_message_that_is_too_long_is_passed_over_to_its_end() {
    let counted = cut(&[b"12 abcdefghijkl3 abc"], 5);
    assert_eq!(counted, [Got::TooLong, message("abc")]);
    let lines = cut(&[b"abcdefghijkl\nabc\nabcdef"], 5);
    assert_eq!(lines, [Got::TooLong, message("abc"), Got::TooLong]);
    assert_eq!(cut(&[b"4294967296 ab"], 5), [Got::TooLong]);
}

#[test]
fn what_does_not_come_whole_is_unfinished() {
    assert_eq!(cut(&[b"5 ab"], 9), [Got::Unfinished("ab".into())]);
    assert_eq!(cut(&[b"5 "], 9), [Got::Unfinished(String::new())]);
    assert_eq!(cut(&[b"2 ab1"], 9), [message("ab"), Got::Unfinished("1".into())]);
    assert_eq!(
        cut(&[b"<4>\n<4>a"], 9),
        [message("<4>"), Got::Unfinished("<4>a".into())]
    );
    assert_eq!(cut(&[b""], 9), []);
}

#[test]
fn behind_a_wrong_length_nothing_is_guessed() {
    assert_eq!(cut(&[b"2 abx2 cd"], 9), [message("ab"), Got::Broken]);
    assert_eq!(cut(&[b"2 ab0 cd"], 9), [message("ab"), Got::Broken]);
    assert_eq!(cut(&[b"2 ab12345678901 cd"], 9), [message("ab"), Got::Broken]);
    assert_eq!(cut(&[b"2 ab\n2 cd"], 9), [message("ab"), message("cd")]);
}

/// Bytes that come near to messages, and the places where they are cut.
fn streams() -> impl Strategy<Value = (Vec<u8>, Vec<usize>)> {
    let piece = prop_oneof![
        4 => "[a-z<>0-9 ]{0,12}".prop_map(|text| format!("{} {text}", text.len()).into_bytes()),
        3 => "[a-z<>0-9 ]{0,12}\n".prop_map(String::into_bytes),
        1 => proptest::collection::vec(any::<u8>(), 0..6),
    ];
    (
        proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat()),
        proptest::collection::vec(0_usize..150, 0..8),
    )
}

proptest! {
    #[test]
    fn however_the_bytes_are_cut_the_messages_are_the_same((bytes, mut places) in streams()) {
        let whole = cut(&[&bytes], 8);
        places.sort_unstable();
        let (mut parts, mut from) = (Vec::new(), 0);
        for place in places {
            let place = place.min(bytes.len());
            parts.push(&bytes[from..place]);
            from = place;
        }
        parts.push(&bytes[from..]);
        prop_assert_eq!(&cut(&parts, 8), &whole);
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        prop_assert_eq!(cut(&single, 8), whole);
    }

    #[test]
    fn what_was_counted_comes_back(texts in proptest::collection::vec("<[0-9]{1,3}>[ -~]{0,40}", 1..9)) {
        let counted: String = texts.iter().map(|text| format!("{} {text}", text.len())).collect();
        let lines: String = texts.iter().map(|text| format!("{text}\n")).collect();
        let expected: Vec<Got> = texts.iter().map(|text| message(text)).collect();
        prop_assert_eq!(&cut(&[counted.as_bytes()], 100), &expected);
        prop_assert_eq!(cut(&[lines.as_bytes()], 100), expected);
    }
}

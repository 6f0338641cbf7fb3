use proptest::prelude::*;

use super::*;

fn piece(kind: Kind, source: Source, second: i64) -> Piece {
    Piece {
        kind,
        source,
        at: Timestamp::from_second(second).unwrap(),
        because: kind.name().into(),
    }
}

fn grade(evidence: &[(Kind, Source)]) -> Grade {
    let pieces: Vec<Piece> = evidence
        .iter()
        .map(|(kind, source)| piece(*kind, source.clone(), 0))
        .collect();
    combine(&pieces).unwrap().grade
}

#[test]
fn the_port_and_a_hardware_address_are_no_more_than_possible() {
    use Kind::{Hardware, Place};
    assert_eq!(grade(&[(Place, Source::Port)]), Grade::Possible);
    assert_eq!(grade(&[(Hardware, Source::Maker)]), Grade::Possible);
    assert_eq!(
        grade(&[(Place, Source::Port), (Hardware, Source::Maker)]),
        Grade::Possible
    );
    let told_twice = [
        (Place, Source::Port),
        (Hardware, Source::Maker),
        (Hardware, Source::Maker),
    ];
    assert_eq!(grade(&told_twice), Grade::Possible);
}

#[test]
fn independent_marks_make_it_likely_and_only_protocol_or_process_prove_it() {
    use Kind::*;
    let at_its_port = |kind: Kind, source: Source| grade(&[(Place, Source::Port), (kind, source)]);
    for (kind, source, expected) in [
        (SameMaker, Source::Maker, Grade::Likely),
        (Alike, Source::Signatures, Grade::Likely),
        (AlikeUntested, Source::Signatures, Grade::Possible),
        (Named, Source::Tool("nmap".into()), Grade::Possible),
        (Check, Source::Tool("nessus".into()), Grade::Likely),
        (Operator, Source::Operator, Grade::Likely),
        (Program, Source::Host, Grade::Likely),
        (Process, Source::Host, Grade::Proven),
        (Proof, Source::Look, Grade::Proven),
    ] {
        assert_eq!(at_its_port(kind, source), expected, "{}", kind.name());
    }
    // Everything that does not prove, together, does not prove.
    let all: Vec<(Kind, Source)> = Kind::ALL
        .into_iter()
        .filter(|kind| matches!(kind.counts(), Counts::For(_)))
        .enumerate()
        .map(|(number, kind)| (kind, Source::Tool(number.to_string())))
        .collect();
    assert_eq!(grade(&all), Grade::Likely);
    assert_eq!(grade(&[(Alike, Source::Signatures)]), Grade::Possible);
}

#[test]
fn what_an_exchange_excludes_is_ruled_out_and_contradictions_are_told() {
    let evidence = [
        piece(Kind::Place, Source::Port, 9),
        piece(Kind::Process, Source::Host, 9),
        piece(Kind::Operator, Source::Operator, 9),
        piece(Kind::Excluded, Source::Look, 1),
    ];
    let found = combine(&evidence).unwrap();
    assert_eq!(found.grade, Grade::RuledOut);
    assert_eq!(found.lowered_by.len(), 3, "{found:?}");
    assert!(found.lowered_by[1].starts_with("this contradicts: process (1970-01-01 00:00)"));
    // The port has another service now.
    let later = [&evidence[..], &[piece(Kind::Proof, Source::Look, 2)]].concat();
    let found = combine(&later).unwrap();
    assert_eq!(found.grade, Grade::Proven);
    assert!(found.not_counted[0].contains("a later look proved"), "{found:?}");
    let earlier = [&evidence[..], &[piece(Kind::Proof, Source::Look, 0)]].concat();
    assert_eq!(combine(&earlier).unwrap().grade, Grade::RuledOut);
}

#[test]
fn another_process_lowers_what_is_likely_and_undoes_no_proof() {
    let likely = [
        piece(Kind::Place, Source::Port, 0),
        piece(Kind::SameMaker, Source::Maker, 0),
        piece(Kind::OtherProcess, Source::Host, 0),
    ];
    let found = combine(&likely).unwrap();
    assert_eq!(
        (found.grade, found.lowered_by.len()),
        (Grade::Possible, 1),
        "{found:?}"
    );
    let proven = [&likely[..], &[piece(Kind::Proof, Source::Look, 0)]].concat();
    let found = combine(&proven).unwrap();
    assert_eq!(found.grade, Grade::Proven);
    assert!(found.lowered_by[0].contains("does not undo it"));
}

#[test]
fn nothing_said_of_the_service_is_no_assessment() {
    assert_eq!(combine(&[]), None);
    assert_eq!(combine(&[piece(Kind::Unlike, Source::Signatures, 0)]), None);
}

#[test]
fn what_is_missing_is_said() {
    let found = combine(&[piece(Kind::Place, Source::Port, 0)]).unwrap();
    assert!(
        found
            .for_more
            .unwrap()
            .starts_with("for likely: 2 more of weight")
    );
    let found = combine(&[piece(Kind::Proof, Source::Look, 0)]).unwrap();
    assert_eq!(found.for_more, None);
}

#[test]
fn the_document_has_every_kind_with_what_it_counts() {
    let document = include_str!("../../../../docs/knowledge.md");
    let section = document.split("## Grades").nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    for kind in Kind::ALL {
        let row = format!("| {} | {} | ", kind.name(), kind.counts());
        let rows = section.lines().filter(|line| line.starts_with(&row)).count();
        assert_eq!(rows, 1, "`{row}` is not once in docs/knowledge.md");
    }
}

fn any_source() -> impl Strategy<Value = Source> {
    prop_oneof![
        Just(Source::Port),
        Just(Source::Look),
        Just(Source::Capture),
        Just(Source::Host),
        Just(Source::Maker),
        Just(Source::Operator),
        Just(Source::Signatures),
        "[ab]".prop_map(Source::Tool),
    ]
}

fn any_piece() -> impl Strategy<Value = Piece> {
    let kind = proptest::sample::select(Kind::ALL.as_slice());
    (kind, any_source(), 0_i64..4, "[xy]").prop_map(|(kind, source, second, because)| Piece {
        kind,
        source,
        at: Timestamp::from_second(second).unwrap(),
        because,
    })
}

fn of(evidence: &[Piece]) -> Option<Grade> {
    combine(evidence).map(|found| found.grade)
}

proptest! {
    #[test]
    fn the_order_does_not_matter(
        (evidence, shuffled) in proptest::collection::vec(any_piece(), 0..8)
            .prop_flat_map(|pieces| (Just(pieces.clone()), Just(pieces).prop_shuffle()))
    ) {
        prop_assert_eq!(combine(&evidence), combine(&shuffled));
    }

    #[test]
    fn support_never_lowers_and_contradiction_never_raises(
        evidence in proptest::collection::vec(any_piece(), 1..8), more in any_piece()
    ) {
        let before = of(&evidence);
        prop_assume!(before.is_some());
        let with = [evidence, vec![more.clone()]].concat();
        match more.kind.counts() {
            Counts::Proves | Counts::For(_) => prop_assert!(of(&with) >= before),
            Counts::Against(_) | Counts::RulesOut => prop_assert!(of(&with) <= before),
            Counts::Nothing => prop_assert_eq!(of(&with), before),
        }
    }

    #[test]
    fn one_source_counts_once(evidence in proptest::collection::vec(any_piece(), 0..6), again in 1_usize..4) {
        let repeated: Vec<Piece> = evidence.iter().cycle().take(evidence.len() * again).cloned().collect();
        prop_assert_eq!(combine(&repeated), combine(&evidence));
        // As often as a source speaks, with whatever else than proof, its heaviest word alone counts.
        let of_one: Vec<Piece> = evidence
            .into_iter()
            .filter(|piece| matches!(piece.kind.counts(), Counts::For(_)))
            .map(|piece| Piece { source: Source::Look, ..piece })
            .collect();
        let alone = of_one.iter().filter_map(|piece| of(std::slice::from_ref(piece))).max();
        prop_assert_eq!(of(&of_one), alone);
    }

    #[test]
    fn nothing_but_protocol_and_process_proves(evidence in proptest::collection::vec(any_piece(), 0..12)) {
        let proves = evidence.iter().any(|piece| piece.kind.counts() == Counts::Proves);
        prop_assert!(proves || of(&evidence) != Some(Grade::Proven));
    }
}

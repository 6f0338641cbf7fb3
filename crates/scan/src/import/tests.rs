//! Each sample beside what must be read in it; and what must hold for any bytes at all.

use std::{
    fmt::Write as _,
    fs,
    io::{Cursor, Read},
    path::PathBuf,
};

use portcullis_knowledge::Knowledge;
use portcullis_model::{Grade, Port, PortState, RunId, ServiceName};
use proptest::prelude::*;

use super::*;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/import/samples")
}

/// The samples with their names, without what must be read in them.
fn samples() -> Vec<(String, Vec<u8>)> {
    let files = fs::read_dir(folder()).unwrap().map(|file| file.unwrap().path());
    let mut samples: Vec<(String, Vec<u8>)> = files
        .filter(|path| {
            path.extension()
                .is_none_or(|extension| extension != "expected" && extension != "md")
        })
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, fs::read(path).unwrap())
        })
        .collect();
    samples.sort();
    samples
}

fn items(format: Option<Format>, bytes: &[u8]) -> Vec<Item> {
    match read(Cursor::new(bytes.to_vec()), format) {
        Ok(document) => document.collect(),
        Err(_) => Vec::new(),
    }
}

fn text(text: &str) -> Vec<Item> {
    items(None, text.as_bytes())
}

fn ports(items: Vec<Item>) -> Vec<PortSeen> {
    let ports = items.into_iter().filter_map(|item| match item {
        Item::Port(seen) => Some(*seen),
        _ => None,
    });
    ports.collect()
}

/// What an item says, on one line.
fn told(item: &Item) -> String {
    let at = |at: &Option<jiff::Timestamp>| at.map_or_else(|| "no time".to_owned(), |at| at.to_string());
    let mut line = String::new();
    let _ = match item {
        Item::Port(seen) => {
            let _ = write!(
                line,
                "{}: {} {}, {}, {}",
                seen.line,
                seen.address,
                seen.port,
                seen.state,
                at(&seen.at)
            );
            let _ = write!(line, ", {}", seen.because);
            for named in &seen.named {
                let _ = match named {
                    Named::Service { name, asked: true } => write!(line, ", asked: {name}"),
                    Named::Service { name, asked: false } => write!(line, ", by number: {name}"),
                    Named::Plugin(id) => write!(line, ", plugin {id}"),
                };
            }
            seen.mac.map_or(Ok(()), |mac| write!(line, ", {mac}"))
        }
        Item::Neighbour(seen) => {
            let address = seen
                .address
                .map_or_else(|| "no address".to_owned(), |address| address.to_string());
            let _ = write!(
                line,
                "{}: {} has {}, {}, {}",
                seen.line,
                address,
                seen.mac,
                seen.tool,
                at(&seen.at)
            );
            let _ = seen
                .interface
                .as_ref()
                .map_or(Ok(()), |name| write!(line, ", on {name}"));
            seen.vlan.map_or(Ok(()), |vlan| write!(line, ", vlan {vlan}"))
        }
        Item::PassedOver(reason, count) => write!(line, "passed over: {count} {reason}"),
        Item::Unread(unread) => write!(line, "unread: {unread}"),
    };
    line
}

#[test]
fn each_sample_says_what_is_written_beside_it() {
    let mut seen = 0;
    for (name, bytes) in samples() {
        let document = read(Cursor::new(bytes), None).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut found = format!("{}\n", document.format);
        for item in document {
            let _ = writeln!(found, "{}", told(&item));
        }
        let expected = fs::read_to_string(folder().join(format!("{name}.expected"))).unwrap_or_default();
        assert_eq!(found, expected, "{name}");
        seen += 1;
    }
    assert!(seen >= 20, "only {seen} samples were found");
}

/// The records without what is counted or could not be read.
fn records(items: Vec<Item>) -> Vec<Item> {
    let records = items.into_iter();
    records
        .filter(|item| matches!(item, Item::Port(_) | Item::Neighbour(_)))
        .collect()
}

#[test]
fn of_a_document_that_was_cut_anywhere_a_beginning_is_kept() {
    for (name, bytes) in samples() {
        let format = read(Cursor::new(bytes.clone()), None).unwrap().format;
        let whole = records(items(Some(format), &bytes));
        for length in 0..bytes.len() {
            let cut = items(Some(format), &bytes[..length]);
            let has_line = cut.iter().all(|item| match item {
                Item::Unread(unread) => unread.line > 0,
                _ => true,
            });
            assert!(has_line, "{name} cut at {length}: an error without a line");
            let kept = records(cut);
            assert!(
                whole.starts_with(&kept),
                "{name} cut at {length} says what the whole does not: {:?}",
                kept.last()
            );
        }
    }
}

#[test]
fn of_an_xml_document_that_was_cut_the_end_is_told() {
    for (name, bytes) in samples() {
        if !bytes.starts_with(b"<?xml") || name.contains("aborted") {
            continue;
        }
        let format = read(Cursor::new(bytes.clone()), None).unwrap().format;
        let end = bytes.trim_ascii_end().len();
        for length in (0..end).step_by(7) {
            let cut = items(Some(format), &bytes[..length]);
            assert!(
                matches!(cut.last(), Some(Item::Unread(_))),
                "{name} cut at {length}"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_a_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        for format in Format::ALL {
            prop_assert!(items(Some(format), &bytes).len() <= bytes.len() + 1);
        }
        items(None, &bytes);
    }

    #[test]
    fn no_damage_to_a_sample_makes_a_reader_panic(
        which in any::<prop::sample::Index>(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
    ) {
        let samples = samples();
        let (_, bytes) = &samples[which.index(samples.len())];
        let mut bytes = bytes.clone();
        for (place, byte) in damage {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        for format in Format::ALL {
            items(Some(format), &bytes);
        }
        items(None, &bytes);
    }
}

#[test]
fn a_declared_entity_is_never_replaced() {
    let document = "<?xml version=\"1.0\"?>\n<!DOCTYPE nmaprun [<!ENTITY a \"10.7.10.10\"><!ENTITY f SYSTEM \"file:///etc/passwd\">]>\n\
        <nmaprun><host><address addr=\"&a;\" addrtype=\"ipv4\"/><address addr=\"&f;\" addrtype=\"ipv4\"/><ports>\
        <port protocol=\"tcp\" portid=\"1\"><state state=\"open\"/></port></ports></host></nmaprun>\n";
    let found = text(document);
    assert_eq!(ports(found.clone()), []);
    assert!(
        matches!(&found[..], [Item::Unread(first), Item::Unread(_), Item::Unread(_)] if first.line == 3),
        "{found:?}"
    );
}

#[test]
fn endless_depth_and_endless_pieces_end_the_reading() {
    let deep = format!("<nmaprun>{}", "<a>".repeat(100_000));
    let found = text(&deep);
    assert!(
        matches!(&found[..], [Item::Unread(unread)] if unread.why == Why::TooDeep),
        "{found:?}"
    );
    let long = format!(
        "<nmaprun><host x=\"{}\"/></nmaprun>",
        "x".repeat(xml::LONGEST_PIECE)
    );
    let found = text(&long);
    assert!(
        matches!(&found[..], [Item::Unread(Unread { why: Why::Xml(_), .. })]),
        "{found:?}"
    );
    let many = format!("<nmaprun {}></nmaprun>", "a=\"\" ".repeat(200_000));
    assert_eq!(text(&many), []);
    let object = format!(
        "[{{\"ip\": \"{}\"}},\n{{\"ip\":\"10.0.0.1\",\"ports\":[{{\"port\":1,\"proto\":\"tcp\",\"status\":\"open\"}}]}}]",
        "x".repeat(json::LONGEST_OBJECT)
    );
    let found = text(&object);
    assert!(
        matches!(
            &found[..],
            [
                Item::Unread(Unread {
                    line: 1,
                    why: Why::TooLong
                }),
                Item::Port(_)
            ]
        ),
        "{found:?}"
    );
    let line = format!(
        "open tcp 1 10.0.0.1 1\n{}\nopen tcp 2 10.0.0.1 1\n",
        "x".repeat(lines::LONGEST_LINE as usize)
    );
    let found = text(&line);
    assert!(
        matches!(
            &found[..],
            [Item::Port(_), Item::Unread(Unread { line: 2, .. }), Item::Port(_)]
        ),
        "{found:?}"
    );
}

#[test]
fn what_nmap_says_of_a_port_is_taken_for_what_it_says() {
    for (transport, state, reason, expected) in [
        ("tcp", "open", "syn-ack", Some(PortState::Open)),
        ("tcp", "closed", "reset", Some(PortState::Closed)),
        ("tcp", "filtered", "no-response", Some(PortState::NoAnswer)),
        ("tcp", "filtered", "", Some(PortState::NoAnswer)),
        ("tcp", "filtered", "admin-prohibited", Some(PortState::Filtered)),
        ("udp", "open|filtered", "no-response", Some(PortState::NoAnswer)),
        ("tcp", "unfiltered", "reset", None),
        ("tcp", "closed|filtered", "no-ipid-change", None),
        ("sctp", "open", "init-ack", None),
    ] {
        let document = format!(
            "<nmaprun><host><address addr=\"10.0.0.1\" addrtype=\"ipv4\"/><ports><port protocol=\"{transport}\" portid=\"9\">\
             <state state=\"{state}\" reason=\"{reason}\"/></port></ports></host></nmaprun>"
        );
        let found = ports(text(&document));
        assert_eq!(found.first().map(|seen| seen.state), expected, "{state} {reason}");
        assert!(found.iter().all(|seen| seen.at.is_none()), "a time was invented");
    }
}

#[test]
fn a_time_that_cannot_be_read_is_told() {
    for wrong in ["nan", "1e30", "-5", ""] {
        let found = text(&format!(
            "<nmaprun start=\"1795455696\"><host endtime=\"{wrong}\"><address addr=\"10.0.0.1\" addrtype=\"ipv4\"/><ports>\
             <port protocol=\"tcp\" portid=\"9\"><state state=\"open\"/></port></ports></host></nmaprun>"
        ));
        assert!(
            matches!(&found[..], [Item::Unread(unread), Item::Port(port)]
                if unread.to_string().contains("a time") && port.at.map(|at| at.as_second()) == Some(1_795_455_696)),
            "{found:?}"
        );
    }
}

#[test]
fn hostile_names_are_shown_harmlessly() {
    let document = "<nmaprun><host><address addr=\"10.0.0.1\" addrtype=\"ipv4\"/><ports><port protocol=\"tcp\" portid=\"9\">\
        <state state=\"filtered\" reason=\"&#x1b;[2J\"/></port></ports></host><host><address addr=\"&#x1b;[2J\"/></host></nmaprun>";
    for item in text(document) {
        assert!(!told(&item).contains('\u{1b}'), "{item:?}");
    }
}

#[test]
fn a_name_is_believed_only_where_the_service_is_known_to_be() {
    let knowledge = Knowledge::builtin().unwrap();
    let moved = [(ServiceName::new("modbus-tcp").unwrap(), Port::tcp(1502))];
    let source = Source {
        run: RunId::of(&[b"x"]),
        document: "x",
        seen_from: None,
        otherwise_at: jiff::Timestamp::UNIX_EPOCH,
    };
    for (port, name, believed) in [
        (502, "mbap", Some("modbus-tcp")),
        (1502, "modbus", Some("modbus-tcp")),
        (503, "modbus", None),
        (54321, "unknown", None),
        (54321, "bo2k", None),
        (54321, "moxa-mdm-gateway", Some("moxa-mdm-gateway")),
        (22, "ssh", Some("ssh")),
        (22, "http", None),
    ] {
        let document = format!(
            "<nmaprun><host><address addr=\"10.0.0.1\" addrtype=\"ipv4\"/><ports><port protocol=\"tcp\" portid=\"{port}\">\
             <state state=\"open\" reason=\"syn-ack\"/><service name=\"{name}\" method=\"probed\"/></port></ports></host></nmaprun>"
        );
        let seen = ports(text(&document)).remove(0);
        let found = observation(&seen, source, &knowledge, &moved);
        let best = found.best();
        assert_eq!(best.map(|best| best.service.as_str()), believed, "{port} {name}");
        if let Some(best) = best {
            assert_eq!(best.grade, Grade::Possible);
            assert_eq!(
                best.reasons,
                [format!("nmap called it `{name}`, after it had asked it")]
            );
        }
        assert_eq!(found.vantage.as_str(), "import:nmap");
    }
}

#[test]
fn the_plugin_of_nessus_makes_it_likely_and_the_other_id_is_to_be_verified() {
    let knowledge = Knowledge::builtin().unwrap();
    let report = fs::read(folder().join("report.nessus")).unwrap();
    let source = Source {
        run: RunId::of(&[b"x"]),
        document: "report.nessus",
        seen_from: Some("engineering"),
        otherwise_at: jiff::Timestamp::UNIX_EPOCH,
    };
    let found: Vec<_> = ports(items(None, &report))
        .iter()
        .map(|seen| observation(seen, source, &knowledge, &[]))
        .filter(|found| found.best().is_some())
        .collect();
    let [first, second] = &found[..] else {
        panic!("{found:?}")
    };
    let (named, guessed) = (first.best().unwrap(), second.best().unwrap());
    assert_eq!((named.grade, guessed.grade), (Grade::Likely, Grade::Likely));
    assert!(named.reasons[0].contains("plugin 50303"), "{named:?}");
    assert!(
        guessed.reasons[0].contains("16483") && guessed.reasons[0].contains("verify by hand"),
        "{guessed:?}"
    );
    assert_eq!(first.vantage.as_str(), "import:nessus@engineering");
    assert!(
        first
            .evidence
            .iter()
            .any(|piece| piece.note.contains("registered to Moxa")),
        "{first:?}"
    );
}

#[test]
fn many_connections_are_one_record_in_bounded_memory() {
    let log = fs::read(folder().join("zeek-conn.log")).unwrap();
    let mut conversations = Conversations::default();
    for seen in ports(items(None, &log)) {
        assert_eq!(conversations.add(seen), []);
    }
    let told = conversations.take();
    let to_gateway = told
        .iter()
        .find(|seen| seen.address.to_string() == "10.7.10.10")
        .unwrap();
    assert!(
        to_gateway
            .because
            .ends_with("the last of 2 connections since 2025-11-20 10:00:00"),
        "{to_gateway:?}"
    );
    assert_eq!(told.len(), 4);

    let mut given = 0;
    for number in 0..200_000_u32 {
        let mut seen = to_gateway.clone();
        seen.client = Some(std::net::Ipv4Addr::from(number).into());
        given += conversations.add(seen).len();
    }
    assert!(given >= 100_000, "only {given} were given away");
    assert_eq!(given + conversations.take().len(), 200_000);
}

#[test]
fn a_file_in_utf_16_or_with_a_mark_reads_the_same() {
    let plain = "open tcp 54321 10.7.10.10 1795455696\n";
    let expected = text(plain);
    assert_eq!(expected.len(), 1);
    let units: Vec<u16> = plain.encode_utf16().collect();
    let little = [
        vec![0xff, 0xfe],
        units.iter().flat_map(|unit| unit.to_le_bytes()).collect(),
    ]
    .concat();
    let big = [
        vec![0xfe, 0xff],
        units.iter().flat_map(|unit| unit.to_be_bytes()).collect(),
    ]
    .concat();
    let marked = [&[0xef, 0xbb, 0xbf], plain.as_bytes()].concat();
    for bytes in [little, big, marked] {
        assert_eq!(items(None, &bytes), expected);
    }
}

#[test]
fn letters_that_lie_across_two_pieces_are_whole() {
    let long = "𝄞é".repeat(20_000);
    for shift in 0..4 {
        let text = format!("{}{long}", "x".repeat(shift));
        let mut out = String::new();
        decode::Decoded::new(text.as_bytes())
            .read_to_string(&mut out)
            .unwrap();
        assert_eq!(out, text);
    }
    let mut out = String::new();
    decode::Decoded::new(&b"a\xffb\xe2\x82"[..])
        .read_to_string(&mut out)
        .unwrap();
    assert_eq!(out, "a\u{fffd}b\u{fffd}");
}

#[test]
fn what_is_no_document_is_refused_with_its_reason() {
    for (bytes, code) in [
        (&b"\x1f\x8b\x08\x00abc"[..], "IM002"),
        (b"", "IM001"),
        (b"hello\n", "IM001"),
        (b"<html></html>", "IM001"),
        (b"[]", "IM001"),
    ] {
        let error = read(bytes, None).unwrap_err();
        assert_eq!(portcullis_model::Fault::code(&error), code, "{error}");
    }
    let log = "#separator \\x09\n#path\tdns\n#fields\tts\n1\n2\n";
    let found = text(log);
    assert!(
        matches!(&found[..], [Item::Unread(unread)] if unread.to_string().contains("`dns` is not the log of connections"))
    );
}

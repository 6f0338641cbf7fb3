//! Texts: of hosts, of other programs, and of people.

use std::io::Cursor;

use portcullis_fabric::{Answer, AskedLook, MOST_ADDRESSES, Outcome, Target};
use portcullis_firewall::reach::{Host, HostInterface, Question, Ruleset, TextKind, reach};
use portcullis_knowledge::{Knowledge, Version, advisory};
use portcullis_logs::{Frame, Framing, Prefixes, Settings, Shared, Summary, TimeContext, decoded, read_log};
use portcullis_model::{Digest, LogFormat, MacAddress, Permission, Port, PortRange, RunId, Site, Vantage};
use portcullis_scan::{checkpoint, guard::Guard, host, import, listing, targets};

use crate::text;

/// The longest input whose reading must end at once.
const MOST_ITEMS: usize = 1 << 16;

pub(crate) fn listing(data: &[u8]) {
    let _ = listing::parse(data);
    for format in listing::ListingFormat::ALL {
        let _ = listing::parse_as(format, data);
    }
}

/// A ruleset that is read answers, and the parts of each answer are all sources.
fn reached(ruleset: &Ruleset) {
    for port in [Port::tcp(4840), Port::udp(161)] {
        for view in reach(ruleset, &Question::new(port, Host::default())).views {
            assert!(!view.parts.is_empty(), "somebody is in no part");
            assert!(view.parts.iter().all(|part| !part.because.is_empty()));
        }
    }
}

pub(crate) fn nft_ruleset(data: &[u8]) {
    let mut ruleset = Ruleset::default();
    if ruleset.add(&text(data), Some(TextKind::NftJson)).is_ok() {
        reached(&ruleset);
    }
}

pub(crate) fn iptables_save(data: &[u8]) {
    let text = text(data);
    for kind in [TextKind::IptablesSave, TextKind::Ip6tablesSave] {
        let mut ruleset = Ruleset::default();
        if ruleset.add(&text, Some(kind)).is_ok() {
            reached(&ruleset);
        }
    }
}

/// As a text alone, and beside a host whose networks are known.
pub(crate) fn windows_rules(data: &[u8]) {
    let mut ruleset = Ruleset::default();
    if ruleset.add(&text(data), Some(TextKind::WindowsJson)).is_ok() {
        reached(&ruleset);
        let host = Host {
            interfaces: vec![HostInterface {
                name: "Ethernet".into(),
                networks: vec!["10.7.10.10/24".parse().expect("a network")],
            }],
            ..Host::default()
        };
        for view in reach(&ruleset, &Question::new(Port::tcp(4840), host)).views {
            assert!(!view.parts.is_empty(), "somebody is in no part");
        }
    }
}

pub(crate) fn host_text(data: &[u8]) {
    let _ = host::parse(data);
}

/// As the document says itself, and as each of the formats that a person may name.
pub(crate) fn import(data: &[u8]) {
    let formats = import::Format::ALL.map(Some);
    for told in formats.into_iter().chain([None]) {
        let Ok(document) = import::read(Cursor::new(data.to_vec()), told) else {
            continue;
        };
        let items = document.take(MOST_ITEMS).count();
        assert!(items <= data.len() + 16, "{items} items of {} bytes", data.len());
    }
}

/// CSAF, and what it says of a device.
pub(crate) fn csaf(data: &[u8]) {
    let _ = advisory::csaf::is_csaf(data);
    let Ok(document) = advisory::csaf::Document::read(data) else {
        return;
    };
    let subject = advisory::csaf::Subject {
        vendor: Some("Moxa"),
        model: "NPort 5110",
        version: Some("2.10"),
    };
    assert!(document.assess(subject).len() <= document.vulnerabilities());
    let _ = (document.unread(), document.is_newer_than("1.0.0"));
}

/// A log of a format that is to be found out, perhaps compressed, by one thread and by two.
pub(crate) fn log_lines(data: &[u8]) {
    let one = logged(data, None, 1);
    if data.len() < 4096 {
        assert_eq!(one, logged(data, None, 2), "two threads count what one counts");
    }
    let mut unpacked = Vec::new();
    if let Ok(reader) = decoded(data) {
        let _ = std::io::Read::read_to_end(&mut std::io::Read::take(reader, 1 << 20), &mut unpacked);
    }
}

/// A log of one format.
pub(crate) fn log_of(format: LogFormat, data: &[u8]) {
    logged(data, Some(format), 1);
}

fn logged(data: &[u8], format: Option<LogFormat>, threads: usize) -> (u64, u64, u64) {
    let settings = Settings {
        time: TimeContext {
            now: "2026-11-23T12:00:00Z".parse().expect("a time"),
            timezone: jiff::tz::TimeZone::UTC,
            file_modified: None,
            years: Default::default(),
        },
        prefixes: Prefixes::default(),
        format,
    };
    let shared = Shared::new(Summary::of_all_ports());
    let read = read_log(data, "kern.log", &settings, &mut shared.counters(threads));
    assert_eq!((read.bytes, read.stopped), (data.len() as u64, None));
    assert!(read.lines <= data.len() as u64, "more lines than bytes");
    let report = shared.into_summary().report(10);
    let events: u64 = report.formats.iter().map(|count| count.lines).sum();
    assert!(
        events + report.unreadable + report.unrelated <= read.lines,
        "more outcomes than lines"
    );
    (report.attempts, report.unreadable, report.unrelated)
}

/// A connection of syslog: however its bytes are cut, the same messages come out of it, and no byte is in two of them.
pub(crate) fn syslog_framing(data: &[u8]) {
    const LONGEST: usize = 64;
    let read = |parts: &[&[u8]]| {
        let mut framing = Framing::new(LONGEST);
        let mut all: Vec<(u8, Vec<u8>)> = Vec::new();
        let mut each = |frame: Frame<'_>| {
            all.push(match frame {
                Frame::Message(message) => (0, message.to_vec()),
                Frame::TooLong => (1, Vec::new()),
                Frame::Unfinished(message) => (2, message.to_vec()),
            });
        };
        let whole = parts.iter().all(|part| framing.push(part, &mut each).is_ok());
        framing.finish(&mut each);
        (whole, all)
    };
    let (whole, all) = read(&[data]);
    let length = 1 + usize::from(data.first().copied().unwrap_or_default() & 15);
    assert_eq!(
        read(&data.chunks(length).collect::<Vec<_>>()),
        (whole, all.clone()),
        "pieces of {length}"
    );
    assert!(all.iter().all(|(_, message)| message.len() <= LONGEST));
    let bytes: usize = all.iter().map(|(_, message)| message.len()).sum();
    assert!(
        bytes <= data.len() && all.len() <= data.len(),
        "more comes out than went in"
    );
}

pub(crate) fn site(data: &[u8]) {
    if let Err(error) = Site::parse("site.toml", &text(data)) {
        assert!(!error.to_string().is_empty());
    }
}

pub(crate) fn permission(data: &[u8]) {
    if let Err(error) = Permission::parse("permission.toml", &text(data)) {
        assert!(!error.to_string().is_empty());
    }
}

/// A service and an advisory of one's own.
pub(crate) fn service_file(data: &[u8]) {
    let text = text(data);
    let _ = Knowledge::read(&[("own.toml", &text)]);
    let _ = advisory::read(&[("own.toml", &text)]);
}

/// As it is, and with the digests of its lines made right, behind which no chance would come.
pub(crate) fn checkpoint(data: &[u8]) {
    let text = text(data);
    let _ = checkpoint::read(&text);
    let mut so_far = Digest::ZERO;
    let mut right = String::new();
    for line in text.lines() {
        let line = line.split_once(' ').map_or(line, |(_, line)| line);
        so_far = Digest::of_parts([so_far.as_bytes().as_slice(), line.as_bytes()]);
        right += &format!("{so_far} {line}\n");
    }
    if let Ok(checkpoint) = checkpoint::read(&right) {
        assert_eq!(checkpoint.length, right.len());
    }
}

/// Never expanded here: a list of some bytes may name a whole network.
pub(crate) fn target_list(data: &[u8]) {
    let _ = targets::parse_list(&text(data));
}

/// Single words of the command line and of tables.
/// What is said to a sensor, and what it answers to one look.
pub(crate) fn sensor_message(data: &[u8]) {
    if let Ok(asked) = AskedLook::read(data) {
        assert!((1..=MOST_ADDRESSES).contains(&asked.targets.len()));
    }
    let target = Target {
        address: [10, 7, 10, 1].into(),
        control: Some(40_000),
    };
    let run = RunId::of(&[b"fuzz"]);
    let asked = AskedLook::new(run, "somebody", Port::tcp(54_321), vec![target]);
    let Ok(north) = "north".parse() else { return };
    if let Ok(answer) = Answer::read(data, &asked, &north)
        && let Outcome::Looked(looked) = answer.outcome
    {
        assert!(looked.len() == 1 && !looked.iter().any(|looked| looked.because.contains('\u{1b}')));
    }
}

pub(crate) fn words(data: &[u8]) {
    let text = text(data);
    for word in text.split([',', '\n']) {
        let _ = word.parse::<Guard>();
        let _ = word.parse::<Vantage>();
        if let Ok(range) = word.parse::<PortRange>() {
            assert!(range.ports().next().is_some());
        }
        if let Ok(port) = word.parse::<Port>() {
            assert_eq!(port.to_string().parse(), Ok(port));
        }
        if let Ok(mac) = word.parse::<MacAddress>() {
            assert_eq!(mac.to_string().parse(), Ok(mac));
        }
        if let Ok(version) = word.parse::<Version>() {
            assert!(version == version.to_string().parse().expect("what it wrote itself"));
        }
    }
}

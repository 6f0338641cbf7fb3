//! Files as they lie on a disk: rotated, compressed, captured, broken.

use std::{fs, io::Write};

use super::*;

const SAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../logs/samples");

fn request() -> Request {
    Request {
        ports: Vec::new(),
        timezone: TimeZone::UTC,
        format: None,
        top: 9,
        sessions: false,
        facts: Arc::default(),
    }
}

fn line(day: u32, source: &str) -> String {
    format!(
        "2026-11-{day:02}T12:00:00Z gw kernel: portcullis-drop IN=eth0 OUT= SRC={source} DST=10.7.10.4 LEN=60 PROTO=TCP SPT=4 \
         DPT=502 \n"
    )
}

/// An empty folder for one test.
fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("portcullis-logs-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn a_rotated_log_is_handed_on_from_its_oldest_file_on() {
    let folder = folder("rotated");
    let names = ["kern.log", "kern.log.1", "kern.log.2"].map(|name| folder.join(name));
    for (name, day) in names.iter().zip([22, 21, 20]) {
        fs::write(name, line(day, "192.0.2.7")).unwrap();
    }
    let mut days = Vec::new();
    let mut each = |event: &LogEvent| days.push(event.at.unwrap().strftime("%d").to_string());
    let read = files(&request(), &names, Some(&mut each));
    assert!(read.failures.is_empty(), "{:?}", read.failures);
    assert_eq!(
        (days, read.report.attempts),
        (["20", "21", "22"].map(String::from).to_vec(), 3)
    );
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn what_another_program_was_told_is_handed_on_to_nobody() {
    let folder = folder("hearsay");
    let log = folder.join("syslog");
    let told = "Nov 22 23:56:51 gw sshd[5]: Invalid user IN= OUT= SRC=203.0.113.77 DST=198.51.100.1 PROTO=TCP SPT=1 DPT=22 SYN\n";
    fs::write(&log, told.repeat(50) + &line(22, "192.0.2.7")).unwrap();
    let mut sources = Vec::new();
    let mut each = |event: &LogEvent| sources.push(event.source.to_string());
    let report = files(&request(), &[log], Some(&mut each)).report;
    assert_eq!(sources, ["192.0.2.7"]);
    assert_eq!((report.attempts, report.hearsay), (1, 50));
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_capture_of_a_log_group_is_a_log() {
    let path = PathBuf::from(SAMPLES).join("tcpdump-4.99.3-nflog.pcap");
    let report = files(&request(), &[path], None).report;
    assert_eq!(
        (report.attempts, report.verdicts.blocked, report.unreadable),
        (5, 2, 0)
    );
    assert_eq!(report.formats[0].format, LogFormat::Nflog);
    let first = report.first.unwrap().to_string();
    assert!(first.starts_with("2026-11-29T17:18:3"), "{first}");
}

#[test]
fn the_same_packets_are_the_same_answers_whoever_wrote_them() {
    let of = |name: &str| files(&request(), &[PathBuf::from(SAMPLES).join(name)], None).report;
    let (json, capture) = (of("ulogd-2.0.8.json"), of("tcpdump-4.99.3-nflog.pcap"));
    let told = |report: &LogReport| {
        let of =
            |source: &portcullis_logs::SourceReport| (source.address, source.attempts, source.ports.clone());
        report.sources.iter().map(of).collect::<Vec<_>>()
    };
    assert_eq!(told(&json), told(&capture));
    assert_eq!(json.verdicts, capture.verdicts);
}

#[test]
fn a_file_that_cannot_be_read_does_not_stop_the_others() {
    let folder = folder("broken");
    let [good, xz, half] = ["good", "packed.xz", "half.pcap"].map(|name| folder.join(name));
    fs::write(&good, line(22, "192.0.2.7")).unwrap();
    fs::write(&xz, b"\xfd7zXZ\0").unwrap();
    let capture = fs::read(PathBuf::from(SAMPLES).join("tcpdump-4.99.3-nflog.pcap")).unwrap();
    fs::write(&half, &capture[..400]).unwrap();
    // The kernel says that a file of sysfs has 4096 bytes, and gives a few.
    let shorter = PathBuf::from("/sys/devices/system/cpu/online");
    let read = files(&request(), &[xz, half, shorter, good], None);
    assert_eq!(
        read.report.attempts,
        1 + 1,
        "the good file, and the one whole frame of the half capture"
    );
    let told: Vec<String> = read
        .failures
        .iter()
        .map(|failure| std::error::Error::source(failure).unwrap().to_string())
        .collect();
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told[0].contains("compressed with xz"), "{told:?}");
    assert!(told[2].contains("became shorter"), "{told:?}");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn sessions_run_over_the_border_between_two_files() {
    let folder = folder("sessions");
    let names = ["kern.log", "kern.log.1"].map(|name| folder.join(name));
    let at = |time: &str| line(22, "192.0.2.7").replace("12:00:00", time);
    fs::write(
        &names[1],
        [at("12:00:00"), at("12:04:00"), at("13:00:00")].concat(),
    )
    .unwrap();
    fs::write(&names[0], [at("13:03:00"), at("14:00:00")].concat()).unwrap();
    let request = Request {
        sessions: true,
        ..request()
    };
    let read = files(&request, &names, None);
    assert!(read.failures.is_empty(), "{:?}", read.failures);
    let sessions = read.report.sources[0].sessions.unwrap();
    assert_eq!((sessions.sessions, sessions.longest_seconds), (3, 240));
    assert_eq!(sessions.last.unwrap().to_string(), "2026-11-22T14:00:00Z");
    let without = files(&self::request(), &names, None);
    assert_eq!(without.report.sources[0].sessions, None);
    assert_eq!(without.report.attempts, read.report.attempts);
    fs::remove_dir_all(folder).unwrap();
}

/// Why each file could not be read.
fn causes(read: &LogsRead) -> Vec<String> {
    read.failures
        .iter()
        .map(|failure| std::error::Error::source(failure).unwrap().to_string())
        .collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

#[test]
fn a_file_in_which_nothing_is_found_says_what_to_do() {
    let folder = folder("in-vain");
    let lines = line(22, "192.0.2.7").repeat(3);
    let wide: Vec<u8> = lines.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (bytes, format, told) in [
        (wide.clone(), None, "UTF-16"),
        (gzip(&gzip(lines.as_bytes())), None, "packed with gzip"),
        (lines.replace('\n', "\r").into_bytes(), None, "CR alone"),
        (
            lines.clone().into_bytes(),
            Some(LogFormat::Windows),
            "of kernel (lines have IN= and OUT=)",
        ),
    ] {
        let path = folder.join("log");
        fs::write(&path, bytes).unwrap();
        let request = Request { format, ..request() };
        let read = files(&request, &[path], None);
        let causes = causes(&read);
        assert!(
            causes.len() == 1 && causes[0].contains(told),
            "{told}: {causes:?}"
        );
    }
    // A log of something else is read to its end, and nothing is wrong with it.
    let (other, good) = (folder.join("other"), folder.join("good"));
    fs::write(&other, "usb 1-1: new device\n".repeat(40)).unwrap();
    fs::write(&good, &lines).unwrap();
    fs::write(folder.join("empty"), "").unwrap();
    let read = files(&request(), &[good, other, folder.join("empty")], None);
    assert!(read.failures.is_empty(), "{:?}", read.failures);
    let notes: Vec<_> = read
        .report
        .notes
        .iter()
        .filter(|note| note.contains("none of its"))
        .collect();
    assert!(
        notes.len() == 1 && notes[0].contains("other: none of its 40 lines"),
        "{notes:?}"
    );
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_file_with_two_names_counts_once_and_that_is_said() {
    let folder = folder("twice");
    let names = ["kern.log", "link.log", "hard.log", "kern.log.1"].map(|name| folder.join(name));
    let [kern, link, hard, older] = names.clone();
    fs::write(&kern, line(22, "192.0.2.7")).unwrap();
    fs::write(&older, line(21, "192.0.2.7")).unwrap();
    std::os::unix::fs::symlink(&kern, &link).unwrap();
    fs::hard_link(&kern, &hard).unwrap();
    let dotted = folder.join(".").join("kern.log");
    let read = files(
        &request(),
        &[
            link.clone(),
            kern.clone(),
            hard,
            dotted,
            kern.clone(),
            older.clone(),
        ],
        None,
    );
    assert_eq!(read.report.attempts, 2);
    let notes: Vec<_> = read
        .report
        .notes
        .iter()
        .filter(|note| note.contains("is the same file as"))
        .collect();
    assert_eq!(notes.len(), 4, "{notes:?}");
    assert!(
        notes[0].starts_with(&format!("{} is the same", link.display())),
        "{notes:?}"
    );
    assert_eq!(distinct(&[link, kern.clone(), older.clone()]).0, [kern, older]);
    // What is not there fails once for each name, and is nothing in all.
    let gone = folder.join("gone");
    let read = files(&request(), &[gone.clone(), gone], None);
    assert!(read.failures.len() == 2 && read.nothing);
    fs::remove_dir_all(folder).unwrap();
}

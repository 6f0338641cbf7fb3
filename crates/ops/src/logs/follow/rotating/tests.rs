use std::{fs::OpenOptions, io::Write};

use tempfile::TempDir;

use super::*;

struct Log {
    folder: TempDir,
    path: PathBuf,
}

impl Log {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kern.log");
        Self { folder, path }
    }

    fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, lines: std::ops::Range<u32>) {
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.path)
            .unwrap();
        for line in lines {
            writeln!(file, "line {line}").unwrap();
        }
    }

    fn follow(&self, position: Option<Position>) -> Rotating {
        Rotating::new(self.path.clone(), position, Duration::ZERO)
    }
}

/// Reads until nothing comes any more; a rotation takes some rounds without lines.
fn read(rotating: &mut Rotating) -> Vec<u32> {
    let (mut lines, mut quiet) = (Vec::new(), 0);
    while quiet < 8 {
        let piece = rotating.read().unwrap();
        if piece.bytes.is_empty() {
            quiet += 1;
        }
        let text = String::from_utf8(piece.bytes).unwrap();
        lines.extend(
            text.lines()
                .map(|line| line.strip_prefix("line ").unwrap().parse::<u32>().unwrap()),
        );
    }
    lines
}

fn all(lines: std::ops::Range<u32>) -> Vec<u32> {
    lines.collect()
}

#[test]
fn lines_are_read_as_they_come_and_half_a_line_waits() {
    let log = Log::new();
    let mut rotating = log.follow(None);
    assert_eq!(
        read(&mut rotating),
        [] as [u32; 0],
        "a file that is not there is waited for"
    );
    log.write(0..3);
    assert_eq!(read(&mut rotating), all(0..3));
    let mut file = OpenOptions::new().append(true).open(&log.path).unwrap();
    write!(file, "line ").unwrap();
    assert_eq!(read(&mut rotating), [] as [u32; 0]);
    writeln!(file, "3").unwrap();
    log.write(4..6);
    assert_eq!(read(&mut rotating), all(3..6));
    assert_eq!(rotating.gaps(), [] as [String; 0]);
}

#[test]
fn a_renamed_file_is_read_to_its_end_before_the_next_one() {
    let log = Log::new();
    log.write(0..500);
    let mut rotating = log.follow(None);
    assert_eq!(read(&mut rotating), all(0..500));
    log.write(500..510);
    std::fs::rename(&log.path, log.beside("kern.log.1")).unwrap();
    assert_eq!(read(&mut rotating), all(500..510), "the name leads nowhere yet");
    log.write(510..520);
    assert_eq!(read(&mut rotating), all(510..520));
    assert_eq!(rotating.gaps(), [] as [String; 0]);
}

#[test]
fn copied_and_truncated_the_rest_is_read_from_the_copy() {
    for grown_beyond in [false, true] {
        let log = Log::new();
        log.write(0..100);
        let mut rotating = log.follow(None);
        assert_eq!(read(&mut rotating), all(0..100));
        log.write(100..110);
        std::fs::copy(&log.path, log.beside("kern.log.1")).unwrap();
        OpenOptions::new()
            .write(true)
            .open(&log.path)
            .unwrap()
            .set_len(0)
            .unwrap();
        let end = if grown_beyond { 1000 } else { 115 };
        log.write(110..end);
        assert_eq!(read(&mut rotating), all(100..end));
        assert_eq!(rotating.gaps(), [] as [String; 0]);
    }
}

#[test]
fn truncated_without_a_copy_is_a_gap_that_is_told() {
    let log = Log::new();
    log.write(0..100);
    let mut rotating = log.follow(None);
    assert_eq!(read(&mut rotating), all(0..100));
    OpenOptions::new()
        .write(true)
        .open(&log.path)
        .unwrap()
        .set_len(0)
        .unwrap();
    log.write(200..205);
    assert_eq!(read(&mut rotating), all(200..205));
    let gaps = rotating.gaps();
    assert_eq!(gaps.len(), 1);
    assert!(gaps[0].contains("may be missing"), "{gaps:?}");
}

#[test]
fn after_a_restart_several_rotations_are_caught_up_with_even_compressed() {
    let log = Log::new();
    log.write(0..300);
    let mut rotating = log.follow(None);
    assert_eq!(read(&mut rotating), all(0..300));
    let position = rotating.position.clone();
    drop(rotating);

    log.write(300..400);
    let mut packed = flate2::write::GzEncoder::new(
        File::create(log.beside("kern.log.2.gz")).unwrap(),
        flate2::Compression::fast(),
    );
    packed.write_all(&std::fs::read(&log.path).unwrap()).unwrap();
    packed.finish().unwrap();
    std::fs::remove_file(&log.path).unwrap();
    log.write(400..500);
    std::fs::rename(&log.path, log.beside("kern.log.1")).unwrap();
    log.write(500..510);

    let text = serde_json::to_string(&position).unwrap();
    let mut rotating = log.follow(serde_json::from_str(&text).unwrap());
    assert_eq!(read(&mut rotating), all(300..510));
    log.write(510..520);
    assert_eq!(read(&mut rotating), all(510..520));
    assert_eq!(rotating.gaps(), [] as [String; 0]);
}

#[test]
fn a_file_that_went_while_nobody_followed_is_a_gap() {
    let log = Log::new();
    log.write(0..10);
    let mut rotating = log.follow(None);
    read(&mut rotating);
    let position = rotating.position.clone();
    std::fs::remove_file(&log.path).unwrap();
    log.write(50..60);
    let mut rotating = log.follow(position);
    assert_eq!(read(&mut rotating), all(50..60));
    assert_eq!(rotating.gaps().len(), 1);
}

#[test]
fn columns_are_known_behind_them() {
    let log = Log::new();
    std::fs::write(&log.path, "#Version: 1.5\n#Fields: date time\n1\n2\n").unwrap();
    let mut rotating = log.follow(None);
    let first = rotating.read().unwrap();
    assert_eq!(first.columns, b"");
    let position = rotating.position.clone();
    let mut file = OpenOptions::new().append(true).open(&log.path).unwrap();
    writeln!(file, "3").unwrap();
    let piece = log.follow(position).read().unwrap();
    assert_eq!(
        (piece.bytes.as_slice(), piece.offset),
        (&b"3\n"[..], first.bytes.len() as u64)
    );
    assert_eq!(piece.columns, b"#Version: 1.5\n#Fields: date time\n");
}

#[test]
fn a_line_without_an_end_does_not_fill_the_memory() {
    let log = Log::new();
    std::fs::write(&log.path, vec![b'x'; 3 * PIECE + 7]).unwrap();
    let mut rotating = log.follow(None);
    let sizes: Vec<usize> = (0..4).map(|_| rotating.read().unwrap().bytes.len()).collect();
    assert_eq!(sizes, [PIECE, PIECE, PIECE, 0]);
}

/// As when logrotate's `dateext` is switched on.
#[test]
fn a_log_that_is_rotated_by_number_and_then_by_date_is_read_once() {
    let log = Log::new();
    let written = |path: &Path, second: u64| {
        let time = std::time::UNIX_EPOCH + Duration::from_secs(1_795_000_000 + second);
        OpenOptions::new()
            .append(true)
            .open(path)
            .unwrap()
            .set_modified(time)
            .unwrap();
    };
    let mut position = None;
    for (round, name) in [
        (0, "kern.log.1"),
        (1, "kern.log-20261130"),
        (2, "kern.log-20261201"),
    ] {
        let lines = round * 100..round * 100 + 100;
        log.write(lines.clone());
        let mut rotating = log.follow(position.clone());
        assert_eq!(read(&mut rotating), all(lines), "{name}");
        assert_eq!(rotating.gaps(), [] as [String; 0], "{name}");
        position = rotating.position().cloned();
        fs::rename(&log.path, log.beside(name)).unwrap();
        written(&log.beside(name), u64::from(round) * 60);
    }
}

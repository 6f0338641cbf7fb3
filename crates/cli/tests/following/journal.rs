//! systemd's journal, written by `systemd-journal-remote` and shown by the system's own `journalctl`.

use std::{
    fs,
    io::Write,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use tempfile::TempDir;

use crate::{Following, PORTCULLIS, counted, gaps, line, stored, unpacked, until};

struct Journal {
    folder: TempDir,
    writer: Child,
    written: u64,
}

impl Journal {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let journal = folder.path().join("journal");
        fs::create_dir(&journal).unwrap();
        Self {
            writer: writer(&journal.join("system.journal")),
            folder,
            written: 0,
        }
    }

    fn journal(&self) -> PathBuf {
        self.folder.path().join("journal")
    }

    fn store(&self) -> PathBuf {
        self.folder.path().join("store/x.db")
    }

    fn name(&self) -> String {
        format!("journal:{}", self.journal().display())
    }

    /// Writes entries as the kernel's, with one of another program before each tenth.
    fn write(&mut self, entries: u64) {
        let mut text = String::new();
        for _ in 0..entries {
            let n = self.written;
            self.written += 1;
            // A start of the machine has each thousand.
            let boot = 1 + n / 1000;
            let mut entry = |transport: &str, message: &str| {
                text += &format!(
                    "__REALTIME_TIMESTAMP={}\n__MONOTONIC_TIMESTAMP={}\n_BOOT_ID={boot:032x}\n_TRANSPORT={transport}\n\
                     MESSAGE={message}\n\n",
                    1_795_000_000_000_000 + n * 1000,
                    1_000_000 + n * 1000
                );
            };
            if n.is_multiple_of(10) {
                entry("syslog", &line(n));
            }
            entry("kernel", &line(n));
        }
        self.writer
            .stdin
            .as_mut()
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
    }

    fn command(&self, follow: &[&str]) -> Command {
        let mut command = Command::new(PORTCULLIS);
        command
            .arg("--store")
            .arg(self.store())
            .arg("logs")
            .args(follow)
            .arg(format!("--journal={}", self.journal().display()));
        command
    }

    fn start(&self) -> Following {
        let mut command = self.command(&["--follow", "--no-events"]);
        Following(
            command
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap(),
        )
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        let _ = self.writer.kill();
        let _ = self.writer.wait();
    }
}

fn writer(file: &std::path::Path) -> Child {
    unpacked("lib/systemd/systemd-journal-remote")
        .arg(format!("--output={}", file.display()))
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn killed_at_any_moment_each_entry_of_the_journal_is_counted_once() {
    let mut journal = Journal::new();
    journal.write(1500);
    for round in 0..6 {
        let following = journal.start();
        journal.write(400);
        // Moments from before the first commit to far behind it.
        thread::sleep(Duration::from_millis(60 * round * round));
        drop(following);
        if let Some((stream, events)) = stored(&journal.store(), &journal.name()) {
            assert_eq!(
                stream.lines, events,
                "a position without its counts, or the other way round"
            );
        }
    }
    let _following = journal.start();
    let (_, events) = counted(&journal.store(), &journal.name(), journal.written);
    assert_eq!(events, journal.written);
    // What comes while it is followed, and not only what was there.
    journal.write(50);
    let (stream, events) = counted(&journal.store(), &journal.name(), journal.written);
    assert_eq!((events, stream.unreadable), (journal.written, 0));
    assert_eq!(gaps(&journal.store(), &journal.name()), [] as [String; 0]);
}

#[test]
fn what_the_journal_no_longer_has_is_a_gap_and_not_an_error() {
    let mut journal = Journal::new();
    journal.write(20);
    let following = journal.start();
    counted(&journal.store(), &journal.name(), 20);
    drop(following);
    // Vacuumed: the file goes, and another one is begun.
    let _ = journal.writer.kill();
    journal.writer.wait().unwrap();
    let file = journal.journal().join("system.journal");
    fs::remove_file(&file).unwrap();
    journal.writer = writer(&file);
    journal.write(10);
    until(|| file.exists());
    let _following = journal.start();
    let (_, events) = counted(&journal.store(), &journal.name(), 30);
    assert_eq!(events, 30);
    let gaps = gaps(&journal.store(), &journal.name());
    assert!(
        gaps.len() == 1 && gaps[0].contains("no longer has the entry"),
        "{gaps:?}"
    );
}

#[test]
fn read_once_the_journal_is_a_log_and_nothing_is_kept() {
    let mut journal = Journal::new();
    journal.write(1200);
    let mut read = String::new();
    until(|| {
        let out = journal.command(&[]).args(["--format", "json"]).output().unwrap();
        read = String::from_utf8(out.stdout).unwrap();
        read.contains("\"attempts\":1200") || read.contains("\"attempts\": 1200")
    });
    assert!(read.contains("journal-json"), "{read}");
    assert_eq!(stored(&journal.store(), &journal.name()), None);
    // A file of the journal alone is evidence that can be carried somewhere else.
    let file = journal.journal().join("system.journal");
    let out = Command::new(PORTCULLIS)
        .arg("--store")
        .arg(journal.store())
        .arg("logs")
        .arg(format!("--journal={}", file.display()))
        .output()
        .unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    assert!(text.contains("1200 logged packets from 250 source(s)"), "{text}");
    let followed = Command::new(PORTCULLIS)
        .arg("--store")
        .arg(journal.store())
        .args(["logs", "--follow"])
        .arg(format!("--journal={}", file.display()))
        .output()
        .unwrap();
    let said = String::from_utf8(followed.stderr).unwrap();
    assert!(
        followed.status.code() == Some(2) && said.contains("FO006"),
        "{said}"
    );
}

#[test]
fn a_journal_that_cannot_be_shown_is_an_error_that_says_why() {
    let journal = Journal::new();
    let nowhere = journal.folder.path().join("nowhere");
    for follow in [&["--follow"][..], &[]] {
        let out = Command::new(PORTCULLIS)
            .arg("--store")
            .arg(journal.store())
            .arg("logs")
            .args(follow)
            .arg(format!("--journal={}", nowhere.display()))
            .output()
            .unwrap();
        let said = String::from_utf8(out.stderr).unwrap();
        assert_eq!(out.status.code(), Some(5), "{said}");
        assert!(said.contains("FO005") && said.contains("No such file"), "{said}");
    }
    let out = journal
        .command(&["--follow"])
        .env("PATH", journal.folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8(out.stderr).unwrap();
    assert!(
        out.status.code() == Some(5) && said.contains("SY001") && said.contains("apt install systemd"),
        "{said}"
    );
}

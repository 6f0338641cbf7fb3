//! `portcullis logs --follow`: nothing is counted twice and nothing is lost, whoever kills, rotates, truncates or fills the disk.
//!
//! Files are here; what else is followed has a file of its own. Others' programs write and send: journald's own writer of
//! journals, `journalctl`, `logger`, rsyslog, `openssl`.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot set up its log has failed"
)]

mod journal;
mod nflog;
mod syslog;

use std::{
    fs::{self, OpenOptions},
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use portcullis_store::{LogStream, Store};
use tempfile::TempDir;

const PORTCULLIS: &str = env!("CARGO_BIN_EXE_portcullis");

struct Place {
    folder: TempDir,
    log: PathBuf,
    written: AtomicU64,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("kern.log");
        Self {
            folder,
            log,
            written: AtomicU64::new(0),
        }
    }

    fn store(&self) -> PathBuf {
        self.folder.path().join("store/x.db")
    }

    /// Writes blocked packets of 250 sources in turn; each line is another.
    fn write(&self, lines: u64) {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.log)
            .unwrap();
        let mut file = BufWriter::new(file);
        for _ in 0..lines {
            let n = self.written.fetch_add(1, Ordering::Relaxed);
            let (minute, second) = (n / 60 % 60, n % 60);
            writeln!(
                file,
                "2026-11-22T12:{minute:02}:{second:02}+00:00 gw kernel: [UFW BLOCK] IN=eth0 OUT= SRC=192.0.2.{} DST=10.7.10.4 \
                 LEN=60 TTL=64 ID={n} PROTO=TCP SPT=40000 DPT=54321 SYN",
                n % 250
            )
            .unwrap();
        }
        file.flush().unwrap();
    }

    fn follow(&self) -> Command {
        let mut command = Command::new(PORTCULLIS);
        command
            .arg("--store")
            .arg(self.store())
            .args(["logs", "--follow", "--no-events"])
            .arg(&self.log)
            .stdout(Stdio::null());
        command
    }

    fn start(&self) -> Following {
        Following(self.follow().stderr(Stdio::null()).spawn().unwrap())
    }

    fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// What the store holds: the stream, and the events that were counted.
    fn stored(&self) -> Option<(LogStream, u64)> {
        stored(&self.store(), &format!("file:{}", self.log.display()))
    }

    /// Waits until as many lines are counted as were written, and looks whether each was counted once.
    fn all_counted(&self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let found = self.stored();
            if let Some((stream, events)) = &found
                && stream.lines >= self.written()
            {
                assert_eq!((stream.lines, *events), (self.written(), self.written()));
                return;
            }
            assert!(Instant::now() < deadline, "{found:?} of {}", self.written());
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn gaps(&self) -> Vec<String> {
        gaps(&self.store(), &format!("file:{}", self.log.display()))
    }
}

/// Ends with the test.
struct Following(Child);

impl Drop for Following {
    /// SIGKILL: nothing can be put in order.
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

/// What the store holds of a stream, and the events that were counted of it.
fn stored(store: &Path, name: &str) -> Option<(LogStream, u64)> {
    if !store.exists() {
        return None;
    }
    block_on(async {
        let store = Store::open_read_only(&store.to_string_lossy()).await.ok()?;
        let before = store.log_stream(name).await.ok()??;
        let counts = store.log_counts(name).await.ok()?;
        // Two questions are not one moment.
        let after = store.log_stream(name).await.ok()??;
        (before == after).then(|| (after, counts.iter().map(|count| count.events).sum()))
    })
}

fn gaps(store: &Path, name: &str) -> Vec<String> {
    block_on(async {
        let store = Store::open_read_only(&store.to_string_lossy()).await.unwrap();
        store.log_gaps(name).await.unwrap()
    })
}

/// Waits until as many lines of a stream are counted.
fn counted(store: &Path, name: &str, lines: u64) -> (LogStream, u64) {
    let mut found = None;
    until(|| {
        found = stored(store, name);
        found.as_ref().is_some_and(|(stream, _)| stream.lines >= lines)
    });
    let found = found.unwrap();
    assert_eq!(found.0.lines, lines);
    found
}

/// Waits until something holds.
fn until(mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < deadline, "it never came to hold");
        thread::sleep(Duration::from_millis(50));
    }
}

/// A line of the kernel about a packet that was blocked; each is another.
fn line(n: u64) -> String {
    format!(
        "[UFW BLOCK] IN=eth0 OUT= SRC=192.0.2.{} DST=10.7.10.4 LEN=60 TTL=64 ID={n} PROTO=TCP SPT=40000 DPT=54321 SYN",
        n % 250
    )
}

/// The folder into which `scripts/setup` unpacks what others wrote.
const UNPACKED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/tools/debian");

/// A program that was unpacked, and not installed, with its libraries.
fn unpacked(program: &str) -> Command {
    let inside = |path: &str| Path::new(UNPACKED).join(path);
    let path = ["", "usr/"].map(|folder| inside(&format!("{folder}{program}")));
    let path = path.iter().find(|path| path.exists());
    let mut command = Command::new(path.expect("`scripts/setup` unpacks it"));
    let libraries: Vec<String> = ["lib", "usr/lib"]
        .iter()
        .filter_map(|folder| fs::read_dir(inside(folder)).ok())
        .flatten()
        .flatten()
        .map(|entry| entry.path().to_string_lossy().into_owned())
        .filter(|path| path.ends_with("-linux-gnu") || path.ends_with("-linux-gnueabihf"))
        .collect();
    command.env("LD_LIBRARY_PATH", libraries.join(":"));
    command
}

#[test]
fn killed_at_any_moment_it_counts_each_line_once() {
    let place = Place::new();
    place.write(200_000);
    for round in 0..12 {
        let following = place.start();
        place.write(20_000);
        // Moments from before the first commit to far behind it.
        thread::sleep(Duration::from_millis(40 * round * round));
        drop(following);
        if let Some((stream, events)) = place.stored() {
            assert_eq!(
                stream.lines, events,
                "a position without its counts, or the other way round"
            );
        }
    }
    let _following = place.start();
    place.all_counted();
    assert_eq!(place.gaps(), [] as [String; 0]);
}

#[test]
fn killed_while_the_log_is_rotated_and_truncated_it_counts_each_line_once() {
    let place = Place::new();
    let rotated = |number: u32| place.folder.path().join(format!("kern.log.{number}"));
    place.write(5000);
    let mut following = Some(place.start());
    place.all_counted();
    for round in 0..6_u32 {
        place.write(3000);
        if round % 3 == 2 {
            drop(following.take());
        }
        for number in (1..6).rev() {
            if rotated(number).exists() {
                fs::rename(rotated(number), rotated(number + 1)).unwrap();
            }
        }
        if round % 2 == 0 {
            fs::rename(&place.log, rotated(1)).unwrap();
        } else {
            fs::copy(&place.log, rotated(1)).unwrap();
            OpenOptions::new()
                .write(true)
                .open(&place.log)
                .unwrap()
                .set_len(0)
                .unwrap();
        }
        place.write(3000);
        if following.is_none() {
            following = Some(place.start());
        }
        place.all_counted();
    }
    assert_eq!(place.gaps(), [] as [String; 0]);
}

#[test]
fn what_is_truncated_without_a_copy_is_told_as_a_gap() {
    let place = Place::new();
    place.write(1000);
    let following = place.start();
    place.all_counted();
    drop(following);
    place.write(500);
    fs::write(&place.log, "").unwrap();
    place.write(100);
    let _following = place.start();
    let deadline = Instant::now() + Duration::from_secs(30);
    while place.stored().is_none_or(|(stream, _)| stream.lines < 1100) {
        assert!(Instant::now() < deadline);
        thread::sleep(Duration::from_millis(50));
    }
    let (stream, events) = place.stored().unwrap();
    assert_eq!((stream.lines, events), (1100, 1100));
    let gaps = place.gaps();
    assert!(gaps.len() == 1 && gaps[0].contains("may be missing"), "{gaps:?}");
}

/// On a file system of two megabytes, made in a mount namespace of its own.
#[test]
fn a_full_disk_is_waited_for_and_nothing_is_lost_or_counted_twice() {
    let place = Place::new();
    place.write(30_000);
    let script = r#"
        set -e
        mount -t tmpfs -o size=2m tmpfs "$DISK"
        "$PORTCULLIS" --store "$DISK/x.db" logs --follow --no-events --for 60s "$LOG" >/dev/null 2> "$SAID" &
        follower=$!
        for _ in $(seq 150); do
            if grep -q following "$SAID"; then break; fi
            sleep 0.1
        done
        head -c 16m /dev/zero > "$DISK/full" 2>/dev/null || true
        cat "$MORE" >> "$LOG"
        for _ in $(seq 150); do
            if grep -q waiting "$SAID"; then break; fi
            sleep 0.1
        done
        rm "$DISK/full"
        for _ in $(seq 150); do
            if grep -q "takes more again" "$SAID"; then break; fi
            sleep 0.1
        done
        kill -INT $follower
        wait $follower || true
        # Whatever it had not got to when it was stopped.
        "$PORTCULLIS" --store "$DISK/x.db" logs --follow --no-events --for 8s "$LOG" >/dev/null 2>> "$SAID"
        mkdir -p "$OUT"
        cp "$DISK"/x.db* "$OUT"
    "#;
    let disk = place.folder.path().join("disk");
    fs::create_dir(&disk).unwrap();
    // Sources that the store has no rows for yet: what fits in no page any more.
    let more = place.folder.path().join("more");
    let mut file = BufWriter::new(fs::File::create(&more).unwrap());
    for n in 0..8000_u32 {
        writeln!(
            file,
            "2026-11-22T13:00:00+00:00 gw kernel: [UFW BLOCK] IN=eth0 OUT= SRC=10.1.{}.{} DST=10.7.10.4 PROTO=TCP SPT=4 DPT=54321 \
             SYN",
            n / 250,
            n % 250
        )
        .unwrap();
    }
    file.flush().unwrap();
    drop(file);
    let said = place.folder.path().join("said");
    fs::write(&said, "").unwrap();
    // Root needs no user namespace, and in a changed root the kernel gives none.
    let root = std::os::unix::fs::MetadataExt::uid(&fs::metadata("/proc/self").unwrap()) == 0;
    let apart: &[&str] = if root { &[] } else { &["--user", "--map-root-user"] };
    let ran = Command::new("unshare")
        .args(apart)
        .args(["--mount", "sh", "-c", script])
        .env("PORTCULLIS", PORTCULLIS)
        .env("DISK", &disk)
        .env("LOG", &place.log)
        .env("MORE", &more)
        .env("SAID", &said)
        .env("OUT", place.folder.path().join("store"))
        .output()
        .unwrap();
    let said = fs::read_to_string(&said).unwrap();
    assert!(ran.status.success(), "{ran:?} {said}");
    assert!(
        said.contains("ST007") && said.contains("takes more again"),
        "{said}"
    );
    let (stream, events) = place.stored().unwrap();
    assert_eq!((stream.lines, events), (38_000, 38_000), "{said}");
}

#[test]
fn two_that_follow_the_same_log_count_it_once() {
    let place = Place::new();
    place.write(1000);
    let mut all = [place.start(), place.start()];
    place.all_counted();
    place.write(1000);
    let deadline = Instant::now() + Duration::from_secs(30);
    let ended = loop {
        let ended: Vec<_> = all
            .iter_mut()
            .filter_map(|one| one.0.try_wait().unwrap())
            .collect();
        if !ended.is_empty() {
            break ended;
        }
        assert!(Instant::now() < deadline, "both go on");
        place.write(1);
        thread::sleep(Duration::from_millis(100));
    };
    assert_eq!(ended[0].code(), Some(5));
    place.all_counted();
}

/// Shown, not judged: a build without optimisation on a busy machine is no measure.
#[test]
fn the_rate_at_which_lines_are_followed_is_shown() {
    const LINES: u32 = 200_000;
    let place = Place::new();
    place.write(LINES.into());
    let began = Instant::now();
    let _following = place.start();
    place.all_counted();
    #[expect(
        clippy::print_stdout,
        reason = "the figure is for the one who runs it with --nocapture"
    )]
    {
        let rate = f64::from(LINES) / began.elapsed().as_secs_f64();
        println!("figure follow_lines_per_s {rate:.0}");
    }
}

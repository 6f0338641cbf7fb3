//! Whatever is done to a log in whatever order, no line is counted twice, and none is lost without a gap.

use std::{
    collections::HashSet,
    fs::{self, OpenOptions},
    io::Write,
};

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

#[derive(Debug, Clone, Copy)]
enum Step {
    Append(u32),
    /// Renamed; the next file is there at once, or with the next line.
    Rename {
        create: bool,
    },
    CopyTruncate,
    Truncate,
    /// The newest of the rotated files.
    Compress,
    Read(u32),
    Commit,
    /// Whoever follows is killed, and begins where he committed last.
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1_u32..5).prop_map(Step::Append),
        3 => any::<bool>().prop_map(|create| Step::Rename { create }),
        3 => Just(Step::CopyTruncate),
        1 => Just(Step::Truncate),
        1 => Just(Step::Compress),
        6 => (1_u32..5).prop_map(Step::Read),
        3 => Just(Step::Commit),
        2 => Just(Step::Restart),
    ]
}

struct World {
    folder: TempDir,
    path: PathBuf,
    rotating: Rotating,
    written: u32,
    /// The lines of the file under the name.
    current: HashSet<u32>,
    committed: Vec<u32>,
    pending: Vec<u32>,
    position: Option<Position>,
    gaps: usize,
    pending_gaps: usize,
    truncated: bool,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kern.log");
        Self {
            rotating: Rotating::new(path.clone(), None, Duration::ZERO),
            folder,
            path,
            written: 0,
            current: HashSet::new(),
            committed: Vec::new(),
            pending: Vec::new(),
            position: None,
            gaps: 0,
            pending_gaps: 0,
            truncated: false,
        }
    }

    fn rotated(&self, number: u32, end: &str) -> PathBuf {
        self.folder.path().join(format!("kern.log.{number}{end}"))
    }

    /// Makes room for a new `kern.log.1`.
    fn shift(&self) {
        for number in (1..40).rev() {
            for end in ["", ".gz"] {
                let path = self.rotated(number, end);
                if path.exists() {
                    fs::rename(path, self.rotated(number + 1, end)).unwrap();
                }
            }
        }
    }

    fn truncate(&mut self) {
        let file = OpenOptions::new().write(true).open(&self.path).unwrap();
        file.set_len(0).unwrap();
        self.current.clear();
    }

    fn append(&mut self, lines: u32) {
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.path)
            .unwrap();
        for _ in 0..lines {
            writeln!(file, "line {}", self.written).unwrap();
            self.current.insert(self.written);
            self.written += 1;
        }
    }

    fn read(&mut self) -> usize {
        let piece = self.rotating.read().unwrap();
        let text = String::from_utf8(piece.bytes).unwrap();
        let lines = text
            .lines()
            .map(|line| line.strip_prefix("line ").unwrap().parse::<u32>().unwrap());
        self.pending.extend(lines);
        self.pending_gaps += self.rotating.gaps().len();
        text.len()
    }

    /// As a stream does: where there is no position, there is nothing to commit.
    fn commit(&mut self) {
        if let Some(position) = self.rotating.position() {
            self.position = Some(position.clone());
            self.committed.append(&mut self.pending);
            self.gaps += std::mem::take(&mut self.pending_gaps);
        }
    }

    fn take(&mut self, step: Step) {
        let exists = self.path.exists();
        match step {
            Step::Append(lines) => self.append(lines),
            Step::Rename { create } if exists => {
                self.shift();
                fs::rename(&self.path, self.rotated(1, "")).unwrap();
                self.current.clear();
                if create {
                    self.append(0);
                }
            }
            Step::CopyTruncate if exists => {
                self.shift();
                fs::copy(&self.path, self.rotated(1, "")).unwrap();
                self.truncate();
            }
            // That a file was lost of which nothing was ever seen, nobody can tell.
            Step::Truncate
                if self
                    .committed
                    .last()
                    .is_some_and(|last| self.current.contains(last)) =>
            {
                self.truncate();
                self.truncated = true;
            }
            Step::Compress => {
                let plain = self.rotated(1, "");
                if let Ok(bytes) = fs::read(&plain) {
                    let file = File::create(self.rotated(1, ".gz")).unwrap();
                    let mut packed = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
                    packed.write_all(&bytes).unwrap();
                    packed.finish().unwrap();
                    fs::remove_file(plain).unwrap();
                }
            }
            Step::Read(times) => {
                for _ in 0..times {
                    self.read();
                }
            }
            Step::Commit => self.commit(),
            Step::Restart => {
                self.pending.clear();
                self.pending_gaps = 0;
                self.rotating = Rotating::new(self.path.clone(), self.position.clone(), Duration::ZERO);
            }
            Step::Rename { .. } | Step::CopyTruncate | Step::Truncate => {}
        }
    }

    /// Reads until nothing comes any more; each rotation takes some rounds without lines.
    fn read_on(&mut self) {
        let mut quiet = 0;
        while quiet < 120 {
            quiet = if self.read() == 0 { quiet + 1 } else { 0 };
        }
        self.commit();
    }
}

proptest! {
    #[test]
    fn no_line_is_counted_twice_and_none_is_lost_without_a_gap(steps in proptest::collection::vec(step(), 1..40)) {
        let mut world = World::new();
        // What was rotated away before anybody followed is not looked for.
        world.append(1);
        world.read();
        world.commit();
        for step in steps {
            world.take(step);
        }
        world.append(1);
        world.read_on();
        let seen = &world.committed;
        prop_assert!(seen.windows(2).all(|two| two[0] < two[1]), "twice, or out of order: {seen:?}");
        let all = seen.len() == world.written as usize;
        prop_assert!(all || world.gaps > 0, "lost without a gap: {seen:?} of {}", world.written);
        if !world.truncated {
            prop_assert!(all && world.gaps == 0, "{seen:?} of {}, {} gaps", world.written, world.gaps);
        }
    }
}

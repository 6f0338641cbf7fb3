//! A program of the system that goes on printing, read as it prints.

use std::{
    io::{self, Read},
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, TryRecvError, sync_channel},
    },
    thread,
};

use crate::{SysError, find_program};

/// Bytes of a piece, and pieces that wait: when they are not fetched, the pipe fills, and the program waits.
const PIECE: usize = 64 * 1024;
const MOST_PIECES: usize = 16;

/// Bytes of what it complains of that are kept.
const MOST_COMPLAINT: usize = 4096;

/// What a program has printed since it was asked last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Printed {
    /// Some bytes.
    Bytes(Vec<u8>),
    /// Nothing yet.
    Nothing,
    /// It has ended, and all that it printed was fetched.
    Ended(Ended),
}

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Whether with status 0.
    pub success: bool,
    /// What it complained of, trimmed; the beginning, if it is long.
    pub complaint: String,
}

/// A running program. It is ended when this is dropped.
pub struct Feed {
    program: String,
    child: Child,
    pieces: Receiver<io::Result<Vec<u8>>>,
    complaint: Arc<Mutex<Vec<u8>>>,
    complaining: Option<thread::JoinHandle<()>>,
    /// Of the piece that is being read.
    rest: io::Cursor<Vec<u8>>,
}

impl Feed {
    /// Starts it, in a process group of its own: a Ctrl-C at the terminal reaches Portcullis alone. `wake` is called whenever
    /// there is something to fetch.
    ///
    /// # Errors
    /// When it is not installed or cannot be started.
    pub fn start(
        program: &str,
        arguments: &[String],
        wake: impl Fn() + Send + 'static,
    ) -> Result<Self, SysError> {
        let path = find_program(program).ok_or_else(|| SysError::MissingProgram {
            program: program.into(),
        })?;
        let start = |source| SysError::Start {
            program: program.into(),
            source,
        };
        let mut child = Command::new(path)
            .args(arguments)
            // Its messages are shown: they must not depend on the operator's language.
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(start)?;
        let (sender, pieces) = sync_channel(MOST_PIECES);
        let stdout = child.stdout.take();
        thread::spawn(move || {
            let Some(mut stdout) = stdout else { return };
            loop {
                let mut piece = vec![0; PIECE];
                let read = match stdout.read(&mut piece) {
                    Ok(0) => break,
                    Ok(count) => {
                        piece.truncate(count);
                        Ok(piece)
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => Err(error),
                };
                let failed = read.is_err();
                if sender.send(read).is_err() || failed {
                    break;
                }
                wake();
            }
            drop(sender);
            wake();
        });
        let complaint = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&complaint);
        let stderr = child.stderr.take();
        let complaining = thread::spawn(move || {
            let Some(mut stderr) = stderr else { return };
            let mut piece = [0; 1024];
            // What is too long is read all the same: a full pipe would stop the program.
            while let Ok(count @ 1..) = stderr.read(&mut piece) {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                let room = MOST_COMPLAINT.saturating_sub(kept.len()).min(count);
                kept.extend_from_slice(piece.get(..room).unwrap_or_default());
            }
        });
        Ok(Self {
            program: program.into(),
            child,
            pieces,
            complaint,
            complaining: Some(complaining),
            rest: io::Cursor::default(),
        })
    }

    /// What it has printed since this was asked last, or a part of it; never waits, except for the end of a program that has
    /// closed its output.
    ///
    /// # Errors
    /// When the pipe cannot be read.
    pub fn printed(&mut self) -> Result<Printed, SysError> {
        match self.pieces.try_recv() {
            Ok(Ok(bytes)) => Ok(Printed::Bytes(bytes)),
            Ok(Err(source)) => Err(self.failed(source)),
            Err(TryRecvError::Empty) => Ok(Printed::Nothing),
            Err(TryRecvError::Disconnected) => self.end().map(Printed::Ended),
        }
    }

    /// Waits for its end. To be asked when its output has ended.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn end(&mut self) -> Result<Ended, SysError> {
        let status = self.child.wait().map_err(|source| self.failed(source))?;
        if let Some(complaining) = self.complaining.take() {
            // Only a panic of the thread is told here, and it has nothing that could.
            let _ = complaining.join();
        }
        let complaint = self.complaint.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Ended {
            success: status.success(),
            complaint: String::from_utf8_lossy(&complaint).trim().to_owned(),
        })
    }

    fn failed(&self, source: io::Error) -> SysError {
        SysError::Start {
            program: self.program.clone(),
            source,
        }
    }
}

/// Waits for what it prints.
impl Read for Feed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.rest.read(buffer)? {
                0 if !buffer.is_empty() => match self.pieces.recv() {
                    Ok(piece) => self.rest = io::Cursor::new(piece?),
                    Err(_) => return Ok(0),
                },
                count => return Ok(count),
            }
        }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn shell(script: &str) -> Feed {
        Feed::start("sh", &["-c".into(), script.into()], || {}).unwrap()
    }

    #[test]
    fn what_a_program_prints_comes_as_it_prints_and_then_its_end() {
        let mut feed = shell("echo one; sleep 0.2; echo two; echo why >&2; exit 3");
        let (mut bytes, mut nothing) = (Vec::new(), 0_u64);
        let deadline = Instant::now() + Duration::from_secs(30);
        let ended = loop {
            assert!(Instant::now() < deadline);
            match feed.printed().unwrap() {
                Printed::Bytes(some) => bytes.extend(some),
                Printed::Nothing => {
                    nothing += 1;
                    thread::sleep(Duration::from_millis(1));
                }
                Printed::Ended(ended) => break ended,
            }
        };
        assert_eq!(
            (bytes.as_slice(), ended.success, ended.complaint.as_str()),
            (&b"one\ntwo\n"[..], false, "why")
        );
        assert!(nothing > 0, "it waited for the end");
    }

    #[test]
    fn a_program_that_is_not_fetched_from_waits_and_is_ended_with_its_feed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("count");
        let script = format!(
            "n=0; while :; do head -c 65536 /dev/zero; n=$((n+1)); echo $n > {}; done",
            path.display()
        );
        let feed = shell(&script);
        let count = || -> usize {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            text.trim().parse().unwrap_or(0)
        };
        let deadline = Instant::now() + Duration::from_secs(30);
        let mut last = (count(), Instant::now());
        // It prints until all is full, and then no more.
        while last.0 == 0 || last.1.elapsed() < Duration::from_millis(500) {
            assert!(Instant::now() < deadline);
            if count() != last.0 {
                last = (count(), Instant::now());
            }
            thread::sleep(Duration::from_millis(5));
        }
        assert!(last.0 <= MOST_PIECES + 4, "{last:?}");
        let process = feed.child.id();
        drop(feed);
        assert!(!std::path::Path::new(&format!("/proc/{process}")).exists());
    }

    #[test]
    fn read_to_its_end_it_is_a_reader() {
        let mut feed = shell("head -c 200000 /dev/zero; echo end");
        let mut bytes = Vec::new();
        feed.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes.len(), 200_004);
        assert!(feed.end().unwrap().success);
    }
}

//! One shell of the other host that is given one script after the other: starting a new one for each would cost some tenths
//! of a second, and some twenty are needed to plan a change.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher as _, Hasher as _},
    io::{Read, Write as _},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, sync_channel},
    thread,
    time::{Duration, Instant},
};

use crate::Finished;

/// More than any ruleset has; a host that tells more is not listened to.
const MOST_TOLD: usize = 256 << 20;

/// So many pieces of 64 KiB wait to be looked at; then the host has to wait.
const WAITING: usize = 64;

#[derive(Debug)]
pub(super) struct Session {
    child: Child,
    stdin: ChildStdin,
    stdout: Receiver<Vec<u8>>,
    stderr: Receiver<Vec<u8>>,
}

/// Why a script has no end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Broken {
    /// The shell or the connection to it is gone; what it said at last.
    Ended(String),
    /// It took longer than it may.
    Slow,
    /// It told more than it may.
    Endless,
}

impl Session {
    /// Starts the shell: a command whose standard streams are those of a shell that reads what to do.
    ///
    /// What it says before it does what it is told, as its start files may have it say, is passed over.
    pub(super) fn start(mut shell: Command, timeout: Duration) -> Result<Self, Broken> {
        let ended = |error: std::io::Error| Broken::Ended(error.to_string());
        let mut child = shell
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(ended)?;
        let missing = || Broken::Ended("it has no standard streams".into());
        let mut session = Self {
            stdin: child.stdin.take().ok_or_else(missing)?,
            stdout: told_by(child.stdout.take().ok_or_else(missing)?),
            stderr: told_by(child.stderr.take().ok_or_else(missing)?),
            child,
        };
        session.run(":", timeout)?;
        Ok(session)
    }

    /// Has it do a script, which reads nothing but what it holds itself.
    pub(super) fn run(&mut self, script: &str, timeout: Duration) -> Result<Finished, Broken> {
        let end = format!("{:016x}", RandomState::new().build_hasher().finish());
        let deadline = Instant::now() + timeout;
        // A shell that is gone does not read; what it has said says why.
        let _ = self
            .stdin
            .write_all(read_whole(script, &end).as_bytes())
            .and_then(|()| self.stdin.flush());
        let (stdout, code) = match until(&self.stdout, &end, deadline) {
            Err(Broken::Ended(said)) => {
                let complained = match until(&self.stderr, &end, deadline) {
                    Err(Broken::Ended(complained)) => complained,
                    _ => String::new(),
                };
                return Err(Broken::Ended(format!("{said} {complained}").trim().to_owned()));
            }
            told => told?,
        };
        let (stderr, _) = until(&self.stderr, &end, deadline)?;
        Ok(Finished {
            success: code == "0",
            stdout,
            stderr: stderr.trim().to_owned(),
        })
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A shell does not begin to do what stands between parentheses before it has read the second one: a script that was cut
/// off does nothing. What is told after it has ended says so on both streams.
pub(super) fn read_whole(script: &str, end: &str) -> String {
    format!(
        "(\n{script}\n) </dev/null\n\
         {{ code=$?; printf '\\n{end} %s\\n' \"$code\"; printf '\\n{end} %s\\n' \"$code\" >&2; }}\n"
    )
}

/// What was told before the end, and the word after it.
fn until(told: &Receiver<Vec<u8>>, end: &str, deadline: Instant) -> Result<(String, String), Broken> {
    let mark = format!("\n{end} ").into_bytes();
    let mut bytes = Vec::new();
    let mut searched = 0_usize;
    loop {
        let from = searched.saturating_sub(mark.len());
        let unsearched = bytes.get(from..).unwrap_or_default();
        let found = unsearched.windows(mark.len()).position(|window| window == mark);
        if let Some(place) = found.map(|place| from + place) {
            let word = bytes.get(place + mark.len()..).unwrap_or_default();
            if let Some(word) = word.strip_suffix(b"\n") {
                let word = String::from_utf8_lossy(word).into_owned();
                bytes.truncate(place);
                return Ok((String::from_utf8_lossy(&bytes).into_owned(), word));
            }
        } else {
            searched = bytes.len();
        }
        if bytes.len() > MOST_TOLD {
            return Err(Broken::Endless);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        match told.recv_timeout(left) {
            Ok(more) => bytes.extend(more),
            Err(RecvTimeoutError::Timeout) => return Err(Broken::Slow),
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Broken::Ended(String::from_utf8_lossy(&bytes).into_owned()));
            }
        }
    }
}

fn told_by(mut pipe: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (tell, told) = sync_channel(WAITING);
    thread::spawn(move || {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(length @ 1..) = pipe.read(&mut buffer) {
            if tell
                .send(buffer.get(..length).unwrap_or_default().to_vec())
                .is_err()
            {
                return;
            }
        }
    });
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell;

    const SOON: Duration = Duration::from_secs(20);

    /// Shells that a host may have; busybox is there once `scripts/setup` has run.
    fn shells() -> Vec<Command> {
        let busybox = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../target/tools/debian/bin/busybox"
        );
        let mut shells = vec![Command::new("sh"), Command::new("bash")];
        if std::path::Path::new(busybox).exists() {
            let mut ash = Command::new(busybox);
            ash.arg("sh");
            shells.push(ash);
        }
        for shell in &mut shells {
            shell.arg("-s");
        }
        shells
    }

    #[test]
    fn scripts_are_done_one_after_the_other_and_each_tells_its_own() {
        for shell in shells() {
            let mut session = Session::start(shell, SOON).unwrap();
            for (script, success, stdout, stderr) in [
                ("echo one", true, "one\n", ""),
                (
                    "printf 'no newline'; echo no >&2; exit 7",
                    false,
                    "no newline",
                    "no",
                ),
                ("cd /; x=1; cat", true, "", ""),
                ("echo \"$x\"; false", false, "\n", ""),
            ] {
                let finished = session.run(script, SOON).unwrap();
                assert_eq!(
                    (
                        finished.success,
                        finished.stdout.as_str(),
                        finished.stderr.as_str()
                    ),
                    (success, stdout, stderr),
                    "{script}"
                );
            }
            let long = "x".repeat(300_000) + "\n";
            let told = session
                .run(&shell::call::<&str>("cat", &[], &long), SOON)
                .unwrap();
            assert_eq!(told.stdout, long);
            let slow = session.run("sleep 30", Duration::from_millis(100));
            assert_eq!(slow.unwrap_err(), Broken::Slow);
        }
    }

    #[test]
    fn a_shell_that_is_gone_is_told() {
        let mut session = Session::start(shells().remove(0), SOON).unwrap();
        let gone = |broken| matches!(broken, Broken::Ended(_));
        assert!(gone(session.run("kill -9 $$", SOON).unwrap_err()));
        assert!(gone(session.run("echo one", SOON).unwrap_err()));
    }

    #[test]
    fn what_start_files_print_is_passed_over_and_what_a_refusing_shell_says_is_told() {
        let mut chatty = Command::new("sh");
        chatty.args(["-c", "echo Welcome; echo hello >&2; exec sh -s"]);
        let mut session = Session::start(chatty, SOON).unwrap();
        let told = session.run("echo one", SOON).unwrap();
        assert_eq!((told.stdout.as_str(), told.stderr.as_str()), ("one\n", ""));
        let mut refusing = Command::new("sh");
        refusing.args(["-c", "echo This account is not available; exit 1"]);
        let broken = Session::start(refusing, SOON).unwrap_err();
        assert_eq!(broken, Broken::Ended("This account is not available".into()));
    }

    #[test]
    fn a_host_that_complains_without_end_is_not_listened_to() {
        let mut session = Session::start(shells().remove(0), SOON).unwrap();
        let endless = session.run("exec yes >&2", Duration::from_millis(500));
        assert_eq!(endless.unwrap_err(), Broken::Slow);
    }

    #[test]
    fn a_script_that_was_cut_off_anywhere_does_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let done = folder.path().join("done");
        let words = ["-c", "cat >\"$1\"", "sh", &done.to_string_lossy()];
        let act = shell::call("sh", &words, "one\ntwo\n");
        let whole = read_whole(&act, "END");
        let body = whole.find(") </dev/null").unwrap();
        for length in 0..=body {
            let part = whole.get(..length).unwrap();
            crate::run("sh", &["-s"], part, SOON).unwrap();
            assert!(!done.exists(), "{length} of {}", whole.len());
        }
        assert!(crate::run("sh", &["-s"], &whole, SOON).unwrap().success && done.exists());
    }
}

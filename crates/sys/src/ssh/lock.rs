//! The lock of another host's firewall.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    process::{Child, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

use super::{PATHS, Ssh};
use crate::SysError;

const PATIENCE: Duration = Duration::from_secs(60);

/// The process there ends when it has heard nothing for 20 seconds (`lock.sh`).
const BEAT: Duration = Duration::from_secs(4);

/// Start files may print something before the lock says how it stands.
const MOST_LINES: usize = 100;

/// A process of the other host that holds its lock; it ends with this value, and with the connection. Should it end by
/// itself, nothing more is done there under this lock.
#[derive(Debug)]
pub struct RemoteLock {
    child: Child,
    /// Dropped to let go.
    held: Option<mpsc::Sender<()>>,
    let_go: Arc<AtomicBool>,
}

impl RemoteLock {
    pub(crate) fn take(ssh: &Ssh) -> Result<Self, SysError> {
        let call = |source| SysError::Call {
            what: "take the lock of the other host's firewall",
            source,
        };
        ssh.unlocked.store(false, Ordering::Relaxed);
        let mut child = ssh
            .shell(" portcullis-lock")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(call)?;
        let (held, hold) = mpsc::channel::<()>();
        let (tell, told) = mpsc::channel();
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let let_go = Arc::new(AtomicBool::new(false));
        let (unlocked, dropped) = (Arc::clone(&ssh.unlocked), Arc::clone(&let_go));
        thread::spawn(move || {
            let Some(mut stdin) = stdin else { return };
            let script = format!("{{\n{PATHS}\n{}\n}}\n", include_str!("lock.sh"));
            let mut beaten = stdin.write_all(script.as_bytes());
            while beaten.is_ok() && hold.recv_timeout(BEAT) == Err(RecvTimeoutError::Timeout) {
                beaten = stdin.write_all(b"\n");
            }
        });
        thread::spawn(move || {
            let Some(stdout) = stdout else { return };
            let mut stdout = BufReader::new(stdout.take(1 << 20));
            for _ in 0..MOST_LINES {
                let mut line = String::new();
                if !matches!(stdout.read_line(&mut line), Ok(1..)) {
                    return;
                }
                if ["held", "locked", "hidden"].contains(&line.trim_end()) {
                    let is_held = line.trim_end() == "held";
                    let _ = tell.send(line.trim_end().to_owned());
                    // It says nothing more; its end is the end of the lock.
                    if is_held {
                        let _ = stdout.read_line(&mut line);
                        unlocked.store(!dropped.load(Ordering::Relaxed), Ordering::Relaxed);
                    }
                    return;
                }
            }
        });
        let lock = Self {
            child,
            held: Some(held),
            let_go,
        };
        match told.recv_timeout(PATIENCE).ok().as_deref() {
            Some("held") => Ok(lock),
            Some("locked") => Err(SysError::Locked),
            Some(_) => Err(SysError::NoShell {
                host: ssh.target().to_string(),
                said: "its ssh server starts another command than it is asked for (ForceCommand)".into(),
            }),
            None => Err(ssh.lost()),
        }
    }
}

impl Drop for RemoteLock {
    fn drop(&mut self) {
        self.let_go.store(true, Ordering::Relaxed);
        // The end of what it reads is its end.
        drop(self.held.take());
        for _ in 0..100 {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

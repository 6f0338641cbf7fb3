//! The lock of another host's firewall.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use super::{PATHS, Ssh};
use crate::SysError;

const PATIENCE: Duration = Duration::from_secs(30);

/// A process of the other host that holds its lock; it ends with this value, and with the connection.
#[derive(Debug)]
pub struct RemoteLock(Child);

impl RemoteLock {
    pub(crate) fn take(ssh: &Ssh) -> Result<Self, SysError> {
        let call = |source| SysError::Call {
            what: "take the lock of the other host's firewall",
            source,
        };
        let mut child = ssh
            .shell(" portcullis-lock")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(call)?;
        let script = format!("{{\n{PATHS}\n{}\n}}\n", include_str!("lock.sh"));
        if let Some(stdin) = &mut child.stdin {
            stdin.write_all(script.as_bytes()).map_err(call)?;
        }
        let (tell, told) = mpsc::channel();
        let stdout = child.stdout.take();
        thread::spawn(move || {
            let mut line = String::new();
            let read = stdout.map(|stdout| BufReader::new(stdout).read_line(&mut line));
            let _ = tell.send(read.map(|_| line));
        });
        let lock = Self(child);
        match told.recv_timeout(PATIENCE).ok().flatten().as_deref() {
            Some("held\n") => Ok(lock),
            Some("locked\n") => Err(SysError::Locked),
            _ => Err(ssh.lost()),
        }
    }
}

impl Drop for RemoteLock {
    fn drop(&mut self) {
        // The end of what it reads is its end.
        drop(self.0.stdin.take());
        for _ in 0..100 {
            if !matches!(self.0.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

//! Servers that others wrote, at the far end of a cable, each in a process-id namespace of its own: when the test ends,
//! however it ends, the kernel ends whatever they started.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

use crate::{plant::PROGRAM, wire::Wire};

/// The slowest of them is written in Python and loads for some seconds when the machine is busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// The Python that has those servers that are written in it. All of them are installed by then.
pub(crate) fn python() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| {
        let target = Path::new(PROGRAM).ancestors().nth(2).unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/real-servers");
        let made = Command::new(script).arg(target).output().unwrap();
        let said = String::from_utf8_lossy(&made.stderr);
        assert!(
            made.status.success(),
            "the servers that this test looks at cannot be installed: {said}"
        );
        String::from_utf8(made.stdout).unwrap().trim().into()
    })
}

/// A server of ours to start one of theirs.
pub(crate) fn script(name: &str) -> String {
    format!("{}/tests/servers/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// A server that runs until it is dropped.
pub(crate) struct Server {
    child: Child,
}

impl Server {
    /// Starts a server at the far end and waits until it has the port, without a packet to it. It runs in a folder of
    /// the test and has an empty `/run`, so that nothing of the machine's own servers is in its way.
    #[track_caller]
    pub(crate) fn start(wire: &Wire, port: &str, command: &[&str]) -> Self {
        let log = wire.home().join("server.log");
        let output = || Stdio::from(File::options().create(true).append(true).open(&log).unwrap());
        let child = Command::new("nsenter")
            .arg(format!("--net={}", wire.far_network()))
            .args(["--", "setpriv", "--pdeathsig", "KILL", "--"])
            .args(["unshare", "--mount", "--pid", "--fork", "--kill-child", "--"])
            .args([
                "sh",
                "-c",
                "mount -t tmpfs run /run && mkdir /run/sshd && exec \"$@\"",
                "sh",
            ])
            .args(command)
            .env("PATH", format!("{}:/usr/sbin:/sbin", env!("PATH")))
            .current_dir(wire.home())
            .stdin(Stdio::null())
            .stdout(output())
            .stderr(output())
            .spawn()
            .unwrap();
        let mut server = Self { child };
        let end = Instant::now() + PATIENCE;
        while !wire.far(|| is_open(port)) {
            let ended = server.child.try_wait().unwrap();
            let said = || std::fs::read_to_string(&log).unwrap_or_default();
            assert!(ended.is_none(), "{command:?} ended ({ended:?}):\n{}", said());
            assert!(
                Instant::now() < end,
                "{command:?} does not have {port} after {PATIENCE:?}:\n{}",
                said()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether somebody in the network of this thread has a port: TCP that listens, or UDP that is bound.
fn is_open(port: &str) -> bool {
    let (transport, number) = port.split_once('/').unwrap();
    let place = format!(":{:04X}", number.parse::<u16>().unwrap());
    let wanted = if transport == "tcp" { "0A" } else { "07" };
    ["", "6"].iter().any(|family| {
        let table = std::fs::read_to_string(format!("/proc/thread-self/net/{transport}{family}")).unwrap();
        table.lines().any(|line| {
            let mut words = line.split_whitespace().skip(1);
            let local = words.next().is_some_and(|local| local.ends_with(&place));
            local && words.nth(1) == Some(wanted)
        })
    })
}

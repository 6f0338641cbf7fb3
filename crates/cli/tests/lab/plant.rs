//! A plant for one test, and the commands in it.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

use crate::recorder::Remote;

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_portcullis");
pub(crate) const GATEWAY: &str = "mdm-gateway";
pub(crate) const GATEWAY_ADDRESS: &str = "10.7.10.10";

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    pub(crate) fn of(command: &mut Command) -> Self {
        let output = command.stdin(Stdio::null()).output().unwrap();
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The command must have ended so.
    #[track_caller]
    pub(crate) fn with(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}\n{}", self.stdout, self.stderr);
        self
    }

    /// It must have failed with one paragraph that begins with this code.
    #[track_caller]
    pub(crate) fn refused(self, code: i32, error: &str) -> Self {
        assert_eq!(self.code, code, "{}\n{}", self.stdout, self.stderr);
        assert!(
            self.stderr.starts_with(&format!("error[{error}]: ")),
            "{}",
            self.stderr
        );
        assert!(
            self.stdout.is_empty(),
            "an error left something on standard output: {}",
            self.stdout
        );
        self
    }
}

/// A plant that is taken away when the test ends, however it ends.
pub(crate) struct Plant {
    home: tempfile::TempDir,
}

impl Plant {
    pub(crate) fn up() -> Self {
        let plant = Self {
            home: tempfile::tempdir().unwrap(),
        };
        Ended::of(&mut plant.lab(&["up"])).with(0);
        plant
    }

    /// A `portcullis lab` command for this plant.
    pub(crate) fn lab(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command
            .env("XDG_STATE_HOME", self.home.path())
            .arg("lab")
            .args(arguments);
        command
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.home.path().join("portcullis/lab")
    }

    /// Any program on a host.
    pub(crate) fn command(&self, host: &str, program: &str, arguments: &[&str]) -> Command {
        let mut command = self.lab(&["exec", host, "--", program]);
        command.args(arguments);
        command
    }

    /// The program itself on a host.
    pub(crate) fn portcullis(&self, host: &str, arguments: &[&str]) -> Ended {
        let _recorder = Remote::begin(arguments, |program, rest| self.command(host, program, rest));
        // One that never ends must end the test, and not hold up all others.
        let bounded = ["--foreground", "--signal=KILL", "300", PROGRAM];
        Ended::of(&mut self.command(host, "timeout", &[&bounded, arguments].concat()))
    }

    pub(crate) fn shell(&self, host: &str, script: &str) -> Ended {
        Ended::of(&mut self.command(host, "sh", &["-c", script]))
    }

    /// The ruleset of a host without counters.
    pub(crate) fn ruleset(&self, host: &str) -> String {
        let ended = self
            .shell(host, "PATH=$PATH:/usr/sbin:/sbin nft -s list ruleset")
            .with(0);
        ended.stdout
    }

    /// Plans to close the gateway's port and returns the plan's id.
    pub(crate) fn plan(&self, arguments: &[&str]) -> String {
        let planned = self.portcullis(GATEWAY, &[&["plan"], arguments].concat()).with(0);
        planned
            .stdout
            .split_whitespace()
            .nth(1)
            .unwrap()
            .trim_end_matches(':')
            .to_owned()
    }

    /// Applies a plan on trial and returns the change's id.
    pub(crate) fn apply(&self, plan: &str, trial: &str) -> String {
        let applied = self
            .portcullis(GATEWAY, &["apply", plan, "--trial", trial])
            .with(0);
        applied.stdout.split_whitespace().nth(1).unwrap().to_owned()
    }

    /// Waits until something listens on a port number of a host.
    #[track_caller]
    pub(crate) fn listens(&self, host: &str, port: u16) {
        let look = format!("ss -Hltun 'sport = :{port}' | grep -q .");
        eventually("the server listens", Duration::from_secs(20), || {
            self.shell(host, &look).code == 0
        });
    }

    /// Whether a TCP port answers a host, by one scan.
    pub(crate) fn answers(&self, from: &str, address: &str, port: u16) -> bool {
        let port = port.to_string();
        let scanned = self.portcullis(
            from,
            &["scan", address, "--ports", &port, "--quiet", "--format", "jsonl"],
        );
        scanned.stdout.contains("\"state\":\"open\"")
    }

    /// Holds a connection from a host.
    pub(crate) fn hold(&self, host: &str, peer: &str, further: &[&str]) -> Held {
        let mut command = self.lab(&["exec", host, "--", PROGRAM, "lab", "hold", peer, "--for", "60s"]);
        command.args(further).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut held = Held::of(command.spawn().unwrap());
        let first = held.line(Duration::from_secs(10));
        assert!(first.starts_with("connected: "), "{first:?}");
        held.local = first.split_whitespace().nth(1).unwrap().to_owned();
        held
    }
}

impl Drop for Plant {
    fn drop(&mut self) {
        let _ = self.lab(&["down"]).stdout(Stdio::null()).status();
    }
}

/// A connection that is being held.
pub(crate) struct Held {
    child: Child,
    lines: Receiver<String>,
    /// The holder's own end.
    pub(crate) local: String,
}

impl Held {
    fn of(mut child: Child) -> Self {
        let (sender, lines) = channel();
        let stdout = child.stdout.take().unwrap();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Self {
            child,
            lines,
            local: String::new(),
        }
    }

    fn line(&self, patience: Duration) -> String {
        self.lines.recv_timeout(patience).unwrap_or_default()
    }

    /// The connection must be cut within some seconds.
    #[track_caller]
    pub(crate) fn is_cut(&self) {
        let line = self.line(Duration::from_secs(10));
        assert!(line.starts_with("cut: "), "the connection is not cut: {line:?}");
    }

    /// The connection must be alive: nothing is told for longer than it takes to notice a cut.
    #[track_caller]
    pub(crate) fn is_alive(&self) {
        let line = self.line(Duration::from_millis(2500));
        assert_eq!(line, "", "the connection did not live on");
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Processes of this machine that belong to a plant.
pub(crate) fn processes_of(folder: &Path) -> Vec<u32> {
    let mark = format!("PORTCULLIS_LAB={}", folder.display()).into_bytes();
    let belongs = |pid: &u32| {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment
            .split(|byte| *byte == 0)
            .any(|variable| variable == mark.as_slice())
    };
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok())
        .filter(belongs)
        .collect()
}

/// Waits until something is so.
#[track_caller]
pub(crate) fn eventually(what: &str, patience: Duration, mut so: impl FnMut() -> bool) {
    let end = Instant::now() + patience;
    while !so() {
        assert!(
            Instant::now() < end,
            "{what} did not come true within {patience:?}"
        );
        thread::sleep(Duration::from_millis(50));
    }
}

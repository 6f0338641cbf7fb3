//! Two networks with a cable between them, for one test: the program looks from one end, and the test holds the other.
//! The test that starts is in the machine's own network, so it starts itself again in a new one, where it is root.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use portcullis_sys::{namespace::in_network_of, packet::route::interfaces};
use serde_json::Value;

use crate::{
    plant::{Ended, PROGRAM, eventually},
    recorder::Recorder,
    segments::{Capture, Segment, Standin},
};

pub(crate) use crate::inside::inside;

/// The far end; the near one is 10.77.0.1.
pub(crate) const FAR: &str = "10.77.0.2";
/// No command may take longer.
const LONGEST: &str = "100";

/// The cable, and a home for the program.
pub(crate) struct Wire {
    far: Child,
    home: tempfile::TempDir,
}

impl Wire {
    pub(crate) fn new() -> Self {
        let far = Command::new("unshare")
            .args(["--net", "--", "sleep", "3600"])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let wire = Self {
            far,
            home: tempfile::tempdir().unwrap(),
        };
        let own = std::fs::read_link("/proc/self/ns/net").unwrap();
        let theirs = wire.far_network();
        eventually("there is another network", Duration::from_secs(10), || {
            std::fs::read_link(&theirs).is_ok_and(|network| network != own)
        });
        ip("link set lo up");
        ip(&format!(
            "link add wire type veth peer name wire netns {}",
            wire.far.id()
        ));
        ip("addr add 10.77.0.1/24 dev wire");
        ip("addr add fd77::1/64 dev wire nodad");
        ip("link set wire up");
        wire.ip("link set lo up");
        wire.ip("addr add 10.77.0.2/24 dev wire");
        wire.ip("addr add fd77::2/64 dev wire nodad");
        wire.ip("link set wire up");
        eventually("the cable is up", Duration::from_secs(10), || {
            interfaces()
                .unwrap()
                .iter()
                .any(|one| one.name == "wire" && one.up)
        });
        let site = "[site]\nname = \"wire\"\n[[zone]]\nname = \"far\"\n\
                    networks = [\"10.77.0.0/16\", \"10.80.0.0/15\", \"fd77::/64\"]\n";
        std::fs::write(wire.home.path().join("site.toml"), site).unwrap();
        wire
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.home.path().into()
    }

    /// Does something at the far end. Sockets that are opened there stay there.
    pub(crate) fn far<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        in_network_of(self.far.id(), work).unwrap()
    }

    /// Where the network of the far end can be entered.
    pub(crate) fn far_network(&self) -> String {
        format!("/proc/{}/ns/net", self.far.id())
    }

    /// `ip` at the far end.
    pub(crate) fn ip(&self, arguments: &str) {
        self.far(|| ip(arguments));
    }

    /// Puts these rules before everything else that the far end does with what arrives.
    pub(crate) fn on_arrival(&self, rules: &str) {
        let table = format!(
            "add table inet wire\nadd chain inet wire arrival {{ type filter hook prerouting priority -300; }}\n\
             flush chain inet wire arrival\ntable inet wire {{ chain arrival {{\n{rules}\n}}\n}}\n"
        );
        self.far(|| feed(Command::new("nft").args(["-f", "-"]), &table));
    }

    /// A routed 10.80.0.0/24 behind the far end: these of its addresses are hosts there, and the others are silent.
    pub(crate) fn network(&self, hosts: impl Iterator<Item = u8>) {
        ip("route add 10.80.0.0/24 via 10.77.0.2");
        let mut routes = "route add blackhole 10.80.0.0/24\n".to_owned();
        hosts.for_each(|host| routes += &format!("route add local 10.80.0.{host}/32 dev lo\n"));
        self.far(|| feed(Command::new("ip").args(["-batch", "-"]), &routes));
    }

    /// Serves a port of all addresses of the far end until the test ends.
    pub(crate) fn serve(&self, port: u16, service: impl Fn(TcpStream) + Send + Sync + 'static) {
        let any: SocketAddr = ([0_u16; 8], port).into();
        let listener = self.far(|| TcpListener::bind(any).unwrap());
        let service = std::sync::Arc::new(service);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let service = std::sync::Arc::clone(&service);
                thread::spawn(move || service(stream));
            }
        });
    }

    /// Notes what arrives at the far end, from now on.
    pub(crate) fn capture(&self) -> Capture {
        self.far(Capture::begin)
    }

    /// Answers TCP at an address of the far end in place of its kernel. The answers to a segment go after their times.
    pub(crate) fn stand_in(
        &self,
        address: &str,
        answer: impl FnMut(&Segment) -> Vec<(Duration, Segment)> + Send + 'static,
    ) -> Standin {
        let address: IpAddr = address.parse().unwrap();
        self.far(|| Standin::begin(address, answer))
    }

    /// The program as it is run for this test, with a limit on its time.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("timeout");
        command
            .args(["--foreground", "--signal=KILL", LONGEST])
            .args(arguments);
        self.at_home(&mut command);
        command
    }

    fn at_home(&self, command: &mut Command) {
        let home = self.home.path();
        for variable in ["HOME", "XDG_STATE_HOME", "XDG_DATA_HOME"] {
            command.env(variable, home);
        }
        command
            .env("PORTCULLIS_CONFIG", home.join("site.toml"))
            .env_remove("PORTCULLIS_LAB")
            .stdin(Stdio::null());
    }

    pub(crate) fn portcullis(&self, arguments: &[&str]) -> Ended {
        let _recorder = Recorder::begin(arguments);
        Ended::of(&mut self.command(&[&[PROGRAM], arguments].concat()))
    }

    /// The program, running beside the test.
    pub(crate) fn start(&self, arguments: &[&str]) -> Running {
        let recorder = Recorder::begin(arguments);
        let mut command = Command::new(PROGRAM);
        command.args(arguments);
        self.at_home(&mut command);
        let folder = tempfile::tempdir_in(self.home.path()).unwrap();
        let output = |name: &str| std::fs::File::create(folder.path().join(name)).unwrap();
        command
            .stdout(output("out"))
            .stderr(output("err"))
            .process_group(0);
        Running {
            child: command.spawn().unwrap(),
            folder,
            recorder,
        }
    }

    /// A scan with its result as JSON lines; also how long it took.
    pub(crate) fn scan(&self, arguments: &[&str]) -> Scanned {
        let begin = Instant::now();
        let ended = self.portcullis(&[&["scan", "--quiet", "--format", "jsonl"], arguments].concat());
        Scanned::of(ended, begin.elapsed())
    }

    /// The checkpoints of scans that did not come to their end.
    pub(crate) fn checkpoints(&self) -> Vec<PathBuf> {
        let folder = std::fs::read_dir(self.home.path().join("portcullis/scans"));
        let files = folder.into_iter().flatten();
        files.map(|entry| entry.unwrap().path()).collect()
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        // The kernel takes it away some time after the far end has gone; the next one has the same name.
        let _ = Command::new("ip")
            .args(["link", "del", "wire"])
            .stderr(Stdio::null())
            .status();
        let _ = self.far.kill();
        let _ = self.far.wait();
    }
}

/// A program that runs beside the test.
pub(crate) struct Running {
    child: Child,
    folder: tempfile::TempDir,
    recorder: Option<Recorder>,
}

impl Running {
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Ctrl-C.
    pub(crate) fn interrupt(&self) {
        let pid = nix::unistd::Pid::from_raw(self.child.id() as i32);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    }

    /// `kill -9`. What is sent from now on is another one's.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.recorder = None;
    }

    /// It must end by itself in this time.
    #[track_caller]
    pub(crate) fn ends(&mut self, patience: Duration) -> Ended {
        let end = Instant::now() + patience;
        while self.is_running() {
            assert!(Instant::now() < end, "it still runs after {patience:?}");
            thread::sleep(Duration::from_millis(10));
        }
        let read = |name: &str| std::fs::read_to_string(self.folder.path().join(name)).unwrap();
        Ended {
            code: self.child.wait().unwrap().code().unwrap_or(-1),
            stdout: read("out"),
            stderr: read("err"),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a scan has told.
#[derive(Debug)]
pub(crate) struct Scanned {
    pub(crate) code: i32,
    pub(crate) stderr: String,
    pub(crate) took: Duration,
    /// Address and port to state, of what was told one by one.
    pub(crate) states: BTreeMap<(String, String), String>,
    /// The most often that a port was asked whose silence was told.
    pub(crate) looks: u64,
    pub(crate) run: Value,
}

impl Scanned {
    pub(crate) fn of(ended: Ended, took: Duration) -> Self {
        let mut scanned = Self {
            code: ended.code,
            stderr: ended.stderr,
            took,
            states: BTreeMap::new(),
            looks: 0,
            run: Value::Null,
        };
        for line in ended.stdout.lines() {
            let record: Value = serde_json::from_str(line).unwrap();
            let text = |key: &str| record[key].as_str().unwrap_or_default().to_owned();
            if record["schema"] == "portcullis.observation/1" {
                let place = (text("address"), text("port"));
                let before = scanned.states.insert(place.clone(), text("state"));
                assert_eq!(before, None, "{place:?} was told twice");
                let because = text("because");
                let times = because
                    .strip_prefix("asked ")
                    .and_then(|rest| rest.split(' ').next());
                let times = times.map_or(0, |times| times.parse().unwrap_or(1));
                scanned.looks = scanned.looks.max(times);
            } else {
                scanned.run = record;
            }
        }
        scanned
    }

    /// It must have ended so.
    #[track_caller]
    pub(crate) fn with(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}\n{:#}", self.stderr, self.run);
        self
    }

    pub(crate) fn coverage(&self) -> &Value {
        &self.run["coverage"]
    }

    pub(crate) fn state(&self, address: &str, port: &str) -> &str {
        let place = (address.to_owned(), port.to_owned());
        self.states.get(&place).map_or("not told", String::as_str)
    }

    /// What the device felt, as the run has it.
    #[track_caller]
    pub(crate) fn felt(&self, address: &str) -> &Value {
        let devices = self.coverage()["devices"].as_array().unwrap();
        devices.iter().find(|felt| felt["address"] == address).unwrap()
    }

    /// The labels of a host, each with its reason.
    pub(crate) fn labels(&self, address: &str) -> BTreeMap<String, String> {
        let remarks = self.coverage()["remarks"].as_array().unwrap();
        let text = |remark: &Value, key: &str| remark[key].as_str().unwrap().to_owned();
        let of_host = remarks.iter().filter(|remark| remark["address"] == address);
        of_host
            .map(|remark| (text(remark, "label"), text(remark, "reason")))
            .collect()
    }

    /// Reasons for which something was not tested.
    pub(crate) fn not_tested(&self) -> Vec<String> {
        let ranges = self.run["not_tested"].as_array().unwrap();
        let reason = |range: &Value| range["reason"].as_str().unwrap().to_owned();
        ranges.iter().map(reason).collect()
    }

    /// Why a port was not tested, if it was not.
    pub(crate) fn not_tested_because(&self, address: &str, port: &str) -> Option<String> {
        let address = address.parse().unwrap();
        let ranges = self.run["not_tested"].as_array().unwrap();
        let range = ranges.iter().find(|range| holds(range, address, port))?;
        Some(range["reason"].as_str().unwrap().to_owned())
    }

    /// Whether an address is among those whose silence is in doubt.
    pub(crate) fn is_in_doubt(&self, address: IpAddr, port: &str) -> bool {
        let doubts = self.coverage()["in_doubt"].as_array().unwrap();
        doubts.iter().any(|range| holds(range, address, port))
    }
}

/// Whether a range of addresses and ports has this one.
fn holds(range: &Value, address: IpAddr, port: &str) -> bool {
    let end = |key: &str| range[key].as_str().unwrap().parse::<IpAddr>().unwrap();
    (end("first")..=end("last")).contains(&address)
        && range["ports"].as_array().unwrap().iter().any(|one| one == port)
}

/// Says nothing, and closes when the other side does.
pub(crate) fn silent(mut stream: TcpStream) {
    let _ = stream.read_to_end(&mut Vec::new());
}

/// `ip` at the near end.
pub(crate) fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split(' ')).status().unwrap();
    assert!(status.success(), "ip {arguments}");
}

fn feed(command: &mut Command, text: &str) {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let mut child = command.env("PATH", path).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "{text}");
}

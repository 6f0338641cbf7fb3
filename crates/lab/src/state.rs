//! The lab as seen from outside: where it is noted, how it is started, entered and taken away.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use portcullis_sys::{isolation, namespace::Network};
use serde::{Deserialize, Serialize};

use crate::{LabError, handshake, plant, plant::Host};

/// Set inside the plant: the folder of the lab. A command that finds it knows that it runs inside.
pub(crate) const INSIDE: &str = "PORTCULLIS_LAB";

/// A lab, up or not: its folder.
#[derive(Debug, Clone)]
pub struct Lab {
    folder: PathBuf,
}

/// The processes that make the lab live, as the machine sees them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// Process that keeps the plant's first process, and its start time.
    pub keeper: (u32, u64),
    /// First process of the plant, and its start time.
    pub plant: (u32, u64),
    /// The process that the lab lives and dies with, and its start time; `None` for one that was left running.
    #[serde(default)]
    pub runner: Option<(u32, u64)>,
}

/// The processes inside the plant, as the plant sees them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Hosts(pub(crate) std::collections::BTreeMap<String, u32>);

/// How long the plant may take to come up; on one loaded core it takes two to three seconds.
const PATIENCE: Duration = Duration::from_secs(60);

impl Lab {
    /// The lab whose folder is given.
    pub fn in_folder(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
        }
    }

    /// The lab of this user: in `$XDG_STATE_HOME`, else `~/.local/state`, else the temporary folder.
    pub fn of_this_user() -> Self {
        let state = env::var_os("XDG_STATE_HOME")
            .map(PathBuf::from)
            .or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".local/state")))
            .filter(|folder| folder.is_absolute())
            .unwrap_or_else(env::temp_dir);
        Self::in_folder(state.join("portcullis/lab"))
    }

    /// The lab that this process runs inside of.
    pub fn around_us() -> Option<Self> {
        env::var_os(INSIDE).map(Self::in_folder)
    }

    /// Folder of the lab's files.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The plant's `site.toml`.
    pub fn site_file(&self) -> PathBuf {
        self.folder.join("site.toml")
    }

    /// The plant's database.
    pub fn store_file(&self) -> PathBuf {
        self.folder.join("portcullis.sqlite")
    }

    fn running_file(&self) -> PathBuf {
        self.folder.join("running.json")
    }

    fn hosts_file(&self) -> PathBuf {
        self.folder.join("hosts.json")
    }

    /// What the plant's processes complain of.
    pub fn log_file(&self) -> PathBuf {
        self.folder.join("lab.log")
    }

    /// The lab's processes, if they are still those that were noted.
    pub fn running(&self) -> Option<Running> {
        let running: Running = serde_json::from_slice(&fs::read(self.running_file()).ok()?).ok()?;
        let (pid, started) = running.plant;
        (isolation::start_time(pid) == Some(started)).then_some(running)
    }

    /// Removes what an earlier lab left and writes the plant's files.
    fn prepare(&self) -> Result<(), LabError> {
        if let Some(running) = self.running() {
            // The kernel ends a lab with its runner and its keeper, but not in the same instant.
            let mut kept_by = std::iter::once(running.keeper).chain(running.runner);
            if kept_by.all(is_alive) {
                return Err(LabError::AlreadyUp);
            }
            self.end(running);
        }
        self.remove_folder()?;
        let folder = |source| LabError::Folder {
            act: "write to",
            path: self.folder.clone(),
            source,
        };
        fs::create_dir_all(&self.folder).map_err(folder)?;
        fs::write(self.site_file(), plant::site_toml()).map_err(folder)
    }

    fn remove_folder(&self) -> Result<(), LabError> {
        match fs::remove_dir_all(&self.folder) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(LabError::Folder {
                act: "remove",
                path: self.folder.clone(),
                source,
            }),
            _ => Ok(()),
        }
    }

    /// Builds the plant and leaves it running.
    ///
    /// # Errors
    /// When one is up already, or it cannot be built; nothing is left then.
    pub fn up(&self) -> Result<Running, LabError> {
        self.start(false, &["lab", "keep", "--detached"])
            .map(|(running, _)| running)
    }

    /// Builds the plant for as long as the calling thread lives.
    ///
    /// # Errors
    /// When one is up already, or it cannot be built; nothing is left then.
    pub fn up_with_us(&self) -> Result<(Running, Child), LabError> {
        self.start(true, &["lab", "keep"])
    }

    fn start(&self, dies_with_us: bool, arguments: &[&str]) -> Result<(Running, Child), LabError> {
        self.prepare()?;
        let log = fs::File::create(self.log_file()).map_err(|source| LabError::Folder {
            act: "write",
            path: self.log_file(),
            source,
        })?;
        let mut command = Command::new(own_program());
        command
            .args(arguments)
            .env(INSIDE, &self.folder)
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log);
        isolation::apart(&mut command, dies_with_us);
        let mut child = command.spawn().map_err(|source| LabError::System {
            act: "start",
            source: portcullis_sys::SysError::Namespace {
                act: "make",
                what: "of the plant".into(),
                source,
            },
        })?;
        let own = std::process::id();
        let runner = dies_with_us.then(|| (own, isolation::start_time(own).unwrap_or(0)));
        match self.await_ready(&mut child, runner) {
            Ok(running) => Ok((running, child)),
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(error)
            }
        }
    }

    /// Waits for the keeper's word that the plant is complete.
    fn await_ready(&self, keeper: &mut Child, runner: Option<(u32, u64)>) -> Result<Running, LabError> {
        let (sender, receiver) = std::sync::mpsc::channel();
        if let Some(stdout) = keeper.stdout.take() {
            std::thread::spawn(move || {
                let _ = sender.send(handshake::first_line(stdout));
            });
        }
        let line = receiver.recv_timeout(PATIENCE).unwrap_or_default();
        let Some(pid) = line
            .trim()
            .strip_prefix("ready ")
            .and_then(|pid| pid.parse::<u32>().ok())
        else {
            let log = fs::read_to_string(self.log_file()).unwrap_or_default();
            return Err(LabError::Start(first_complaint(&log)));
        };
        let known = |pid: u32| (pid, isolation::start_time(pid).unwrap_or(0));
        let running = Running {
            keeper: known(keeper.id()),
            plant: known(pid),
            runner,
        };
        let json = serde_json::to_vec(&running).unwrap_or_default();
        fs::write(self.running_file(), json).map_err(|source| LabError::Folder {
            act: "write",
            path: self.running_file(),
            source,
        })?;
        Ok(running)
    }

    /// Takes the lab away: processes, namespaces, files. `false` when there was nothing.
    ///
    /// # Errors
    /// When a file cannot be removed.
    pub fn down(&self) -> Result<bool, LabError> {
        let running = self.running();
        if let Some(running) = running {
            self.end(running);
        }
        let was_there = self.folder.exists();
        self.remove_folder()?;
        Ok(running.is_some() || was_there)
    }

    /// Ends the processes and waits until the kernel has collected them.
    fn end(&self, Running { keeper, plant, .. }: Running) {
        isolation::end(plant.0, plant.1);
        isolation::end(keeper.0, keeper.1);
        let deadline = Instant::now() + Duration::from_secs(10);
        while isolation::start_time(plant.0) == Some(plant.1) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// A command that will run on a host of the plant, from outside or inside. Its arguments are those of
    /// `lab exec HOST --`.
    ///
    /// # Errors
    /// When the lab is not up, or has no such host.
    pub fn command(&self, host: &str, program: &str) -> Result<Command, LabError> {
        Host::named(host).ok_or_else(|| LabError::NoSuchHost(host.into()))?;
        if Self::around_us().is_some() {
            let mut command = Command::new(program);
            let enter = |source| LabError::System { act: "enter", source };
            self.network_of(host)?.enter(&mut command).map_err(enter)?;
            return Ok(self.with_environment(command));
        }
        let running = self.running().ok_or(LabError::NotUp)?;
        // The command that enters is not inside the process-id namespace; the one that it starts is.
        let mut command = Command::new(own_program());
        command.args(["lab", "exec", host, "--", program]);
        isolation::inside(&mut command, running.plant.0)
            .map_err(|source| LabError::System { act: "enter", source })?;
        Ok(self.with_environment(command))
    }

    fn with_environment(&self, mut command: Command) -> Command {
        command
            .env(INSIDE, &self.folder)
            .env("PORTCULLIS_STORE", self.store_file())
            .env("PORTCULLIS_CONFIG", self.site_file());
        command
    }

    /// The network of a host, from inside the plant.
    ///
    /// # Errors
    /// When there is no such host, or its process has ended.
    pub fn network_of(&self, host: &str) -> Result<Network, LabError> {
        let text = fs::read(self.hosts_file()).map_err(|_| LabError::NotUp)?;
        let hosts: Hosts = serde_json::from_slice(&text).map_err(|_| LabError::NotUp)?;
        let pid = *hosts
            .0
            .get(host)
            .ok_or_else(|| LabError::NoSuchHost(host.into()))?;
        Network::of_process(pid).map_err(|source| LabError::System { act: "enter", source })
    }

    pub(crate) fn note_hosts(&self, hosts: &Hosts) -> Result<(), LabError> {
        let json = serde_json::to_vec(hosts).unwrap_or_default();
        fs::write(self.hosts_file(), json).map_err(|source| LabError::Folder {
            act: "write",
            path: self.hosts_file(),
            source,
        })
    }
}

/// Whether a process is still the one that began at this time, and has not ended.
fn is_alive((pid, started): (u32, u64)) -> bool {
    isolation::start_time(pid) == Some(started) && !isolation::is_zombie(pid)
}

/// The first error that the plant's processes wrote down, without its code and its hint.
fn first_complaint(log: &str) -> String {
    let mut lines = log.lines().skip_while(|line| !line.starts_with("error["));
    let first = lines
        .next()
        .and_then(|line| line.split_once(": "))
        .map_or("its first process ended", |(_, said)| said);
    let causes = lines
        .take_while(|line| line.starts_with("  caused by: "))
        .map(|line| line.trim_start());
    let said: Vec<&str> = std::iter::once(first).chain(causes).collect();
    portcullis_model::sanitize(&said.join("; "))
}

/// This very program: the link stays valid when the file is replaced during an upgrade.
pub(crate) fn own_program() -> PathBuf {
    env::current_exe().unwrap_or_else(|_| "portcullis".into())
}

//! The one connection to another host that all else shares (ssh_config(5), ControlMaster). It belongs to this process and ends
//! with it.

use std::{
    io::Read,
    os::unix::{fs::DirBuilderExt as _, net::UnixStream, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use super::Target;
use crate::{SysError, command, isolation};

/// A person may have to type a passphrase.
const SIGN_IN: Duration = Duration::from_secs(180);

#[derive(Debug)]
pub(super) struct Master {
    program: PathBuf,
    target: Target,
    /// Where ssh keeps the end of the connection that it shares.
    folder: PathBuf,
    child: Mutex<Child>,
    /// What of the user's configuration would stand in the way, as far as this ssh knows the options.
    newer: &'static [&'static str],
}

impl Master {
    /// Makes the connection. A person may be asked for a passphrase at the terminal, as by `ssh` itself.
    pub(super) fn open(target: Target) -> Result<Self, SysError> {
        let program = command::find_program("ssh").ok_or_else(|| SysError::MissingProgram {
            program: "ssh".into(),
        })?;
        let start = |source| SysError::Start {
            program: "ssh".into(),
            source,
        };
        let newer = newer_options();
        let folder = own_folder().map_err(start)?;
        let socket = folder.join("c");
        let mut command = Command::new(&program);
        command
            .args(["-M", "-N", "-T", "-S"])
            .arg(&socket)
            .args(
                MASTER_OPTIONS
                    .iter()
                    .chain(newer)
                    .flat_map(|option| ["-o", option]),
            )
            .args(target.words())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        isolation::in_the_background(&mut command);
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(source) => {
                let _ = std::fs::remove_dir_all(&folder);
                return Err(start(source));
            }
        };
        let said = Arc::new(Mutex::new(String::new()));
        keep_what_is_said(child.stderr.take(), Arc::clone(&said));
        let master = Self {
            program,
            target,
            folder,
            child: Mutex::new(child),
            newer,
        };
        let deadline = Instant::now() + SIGN_IN;
        // ssh makes it once it has signed in.
        while !socket.exists() {
            if !master.is_up() || Instant::now() > deadline {
                return Err(master.refused(&said));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(master)
    }

    fn refused(&self, said: &Mutex<String>) -> SysError {
        // What it said last may still be on its way.
        thread::sleep(Duration::from_millis(50));
        let said = said.lock().unwrap_or_else(PoisonError::into_inner);
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        SysError::Connect {
            host: self.target.to_string(),
            said: if said.is_empty() {
                "ssh ended without a word".into()
            } else {
                portcullis_model::sanitize(&said)
            },
        }
    }

    pub(super) fn target(&self) -> &Target {
        &self.target
    }

    /// Whether the connection stands.
    pub(super) fn is_up(&self) -> bool {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        matches!(child.try_wait(), Ok(None))
    }

    /// A command that runs another one there, over the connection. Should that be gone, no other one is made behind our back.
    pub(super) fn command(&self, there: &str) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(["-T", "-S"])
            .arg(self.folder.join("c"))
            .args(
                SHARING_OPTIONS
                    .iter()
                    .chain(self.newer)
                    .flat_map(|option| ["-o", option]),
            )
            .args(self.target.words())
            .arg(there)
            // A Ctrl-C at the terminal reaches Portcullis alone.
            .process_group(0);
        command
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = child.kill();
        let _ = child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// The shared connection: nothing of what the user's configuration forwards, and a dead line shows within 15 seconds.
const MASTER_OPTIONS: [&str; 10] = [
    "RemoteCommand=none",
    "ControlPersist=no",
    "ClearAllForwardings=yes",
    "ForwardAgent=no",
    "ForwardX11=no",
    "PermitLocalCommand=no",
    "ConnectTimeout=60",
    "ServerAliveInterval=5",
    "ServerAliveCountMax=3",
    "Tunnel=no",
];

const SHARING_OPTIONS: [&str; 5] = [
    "RemoteCommand=none",
    "ControlMaster=no",
    "ProxyCommand=exit 1",
    "BatchMode=yes",
    "LogLevel=ERROR",
];

/// Options that an ssh before OpenSSH 8.7 does not know, and would refuse.
fn newer_options() -> &'static [&'static str] {
    let version = command::run("ssh", &["-V"], "", Duration::from_secs(30)).map(|told| told.stderr);
    let number = version.ok().and_then(|told| {
        let number = told
            .strip_prefix("OpenSSH_")?
            .split(|c: char| c != '.' && !c.is_ascii_digit())
            .next()?;
        let (major, minor) = number.split_once('.')?;
        Some((major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?))
    });
    if number >= Some((8, 7)) {
        &[
            "StdinNull=no",
            "ForkAfterAuthentication=no",
            "SessionType=default",
        ]
    } else {
        &[]
    }
}

/// A folder that only this user can look into.
fn own_folder() -> std::io::Result<PathBuf> {
    let mut last = std::io::Error::other("no free name");
    clear_away();
    for number in 0..64 {
        let name = format!("portcullis-{}-{number}", std::process::id());
        // The name of a socket has room for some hundred bytes only (unix(7)).
        let folder = Path::new("/tmp").join(name);
        match std::fs::DirBuilder::new().mode(0o700).create(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Removes the folders of this user's earlier processes that were killed: behind the socket in it nobody listens any more.
/// The number in its name does not tell, for `/tmp` may be shared with those who count processes otherwise.
fn clear_away() {
    let own = nix::unistd::Uid::effective().as_raw();
    for entry in std::fs::read_dir("/tmp").into_iter().flatten().flatten() {
        let name = entry.file_name();
        let is_named_so = name.to_str().is_some_and(|name| {
            let words = name
                .strip_prefix("portcullis-")
                .and_then(|name| name.split_once('-'));
            words.is_some_and(|(process, number)| {
                process.parse::<u32>().is_ok() && number.parse::<u8>().is_ok()
            })
        });
        let is_ours = entry
            .metadata()
            .is_ok_and(|found| found.is_dir() && std::os::unix::fs::MetadataExt::uid(&found) == own);
        if is_named_so && is_ours && is_dead(&entry.path()) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// Whether nobody shares a connection from this folder; one without a socket may only be young.
fn is_dead(folder: &Path) -> bool {
    match UnixStream::connect(folder.join("c")) {
        Ok(_) => false,
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => true,
        Err(_) => {
            let age = std::fs::metadata(folder)
                .and_then(|found| found.modified())
                .ok()
                .and_then(|made| made.elapsed().ok());
            age.is_some_and(|age| age > 2 * SIGN_IN)
        }
    }
}

/// No more than that is kept of what ssh says.
const MOST_SAID: usize = 4000;

fn keep_what_is_said(pipe: Option<impl Read + Send + 'static>, said: Arc<Mutex<String>>) {
    thread::spawn(move || {
        let (Some(mut pipe), mut buffer) = (pipe, [0; 1024]) else {
            return;
        };
        while let Ok(length @ 1..) = pipe.read(&mut buffer) {
            let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
            if said.len() < MOST_SAID {
                said.push_str(&String::from_utf8_lossy(buffer.get(..length).unwrap_or_default()));
            }
        }
    });
}

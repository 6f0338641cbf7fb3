//! Another host, worked on through the system's OpenSSH: its configuration, keys, agents and jump hosts hold. Nothing has
//! to be installed there but a POSIX shell and the firewall's own tools, and nothing is left there.
//!
//! One connection is made and shared by all that is asked (ssh_config(5), ControlMaster); it belongs to this process and
//! ends with it. What is to be done there is sent as a script that a shell reads to its end before it does any of it
//! (`session.rs`), so that a connection which breaks in the middle of sending does nothing.

mod lock;
mod session;
mod tables;
mod target;

use std::{
    collections::BTreeMap,
    io::Read,
    net::SocketAddr,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

pub use lock::RemoteLock;
pub use target::{Target, TargetError};

use session::{Broken, Session};

use crate::{Finished, Survey, SysError, command, isolation, shell, survey};

/// A person may have to type a passphrase.
const SIGN_IN: Duration = Duration::from_secs(180);

const PATIENCE: Duration = Duration::from_secs(60);

/// Told by a script that finds no such program; no program of the field says so by itself.
const MISSING: &str = "portcullis: no such program";

/// Where the tools of the administrator are; a session over ssh often lacks them in `PATH`.
const PATHS: &str = "PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin LC_ALL=C; export PATH LC_ALL; unset LANGUAGE";

/// A host that is connected.
#[derive(Debug)]
pub struct Ssh {
    target: Target,
    /// Where ssh keeps the end of the connection that it shares.
    folder: PathBuf,
    master: Mutex<Child>,
    session: Mutex<Option<Session>>,
    /// Set when the lock that was taken there is held no longer, though nobody let it go.
    unlocked: Arc<AtomicBool>,
    /// What of the user's configuration would stand in the way, as far as this ssh knows the options.
    newer: &'static [&'static str],
    /// What goes before the shell there: `sudo -n`, unless root has signed in.
    rights: &'static str,
    /// The client's end of the connection as the host sees it, and the host's.
    ends: Option<(SocketAddr, SocketAddr)>,
}

impl Ssh {
    /// Connects. A person may be asked for a passphrase at the terminal, as by `ssh` itself.
    ///
    /// # Errors
    /// When ssh is not installed, does not get in, or the one who signed in may not become root there.
    pub fn connect(target: Target) -> Result<Self, SysError> {
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
        let mut command = Command::new(program);
        command
            .args(["-M", "-N", "-T", "-S"])
            .arg(&socket)
            .args(MASTER_OPTIONS.iter().flat_map(|option| ["-o", option]))
            .args(newer.iter().flat_map(|option| ["-o", option]))
            .args(target.words())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        isolation::in_the_background(&mut command);
        let mut master = match command.spawn() {
            Ok(master) => master,
            Err(source) => {
                let _ = std::fs::remove_dir_all(&folder);
                return Err(start(source));
            }
        };
        let said = Arc::new(Mutex::new(String::new()));
        keep_what_is_said(master.stderr.take(), Arc::clone(&said));
        let mut ssh = Self {
            target,
            folder,
            master: Mutex::new(master),
            session: Mutex::new(None),
            unlocked: Arc::default(),
            newer,
            rights: "",
            ends: None,
        };
        let deadline = Instant::now() + SIGN_IN;
        while !socket.exists() {
            if !ssh.is_up() || Instant::now() > deadline {
                // What it said last may still be on its way.
                thread::sleep(Duration::from_millis(50));
                let said = said.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
                let said = if said.is_empty() {
                    "ssh ended without a word"
                } else {
                    &said
                };
                return Err(SysError::Connect {
                    host: ssh.target.to_string(),
                    said: portcullis_model::sanitize(said),
                });
            }
            thread::sleep(Duration::from_millis(20));
        }
        ssh.look_around()?;
        Ok(ssh)
    }

    /// Who has signed in, and from where.
    fn look_around(&mut self) -> Result<(), SysError> {
        let told = self.script(
            "echo \"$SSH_CONNECTION\"; id -u; sudo -n id -u 2>/dev/null",
            PATIENCE,
        )?;
        let mut lines = told.stdout.lines();
        self.ends = lines.next().and_then(survey::told_by_ssh);
        self.rights = match (lines.next(), lines.next()) {
            (Some("0"), _) => "",
            (_, Some("0")) => {
                // What comes now goes to a shell of root.
                self.session = Mutex::new(None);
                "sudo -n "
            }
            _ => {
                return Err(SysError::NotRoot {
                    host: self.target.to_string(),
                });
            }
        };
        Ok(())
    }

    /// The host.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The host's own end of the connection.
    pub fn server(&self) -> Option<SocketAddr> {
        self.ends.map(|(_, server)| server)
    }

    fn is_up(&self) -> bool {
        let mut master = self.master.lock().unwrap_or_else(PoisonError::into_inner);
        matches!(master.try_wait(), Ok(None))
    }

    /// A command that has a shell of the host read from its standard input what to do. Should the shared connection be gone,
    /// no other one is made behind our back.
    fn shell(&self, name: &str) -> Command {
        let program = command::find_program("ssh").unwrap_or_else(|| PathBuf::from("ssh"));
        let mut command = Command::new(program);
        command
            .args(["-T", "-S"])
            .arg(self.folder.join("c"))
            .args(SHARING_OPTIONS.iter().flat_map(|option| ["-o", option]))
            .args(self.newer.iter().flat_map(|option| ["-o", option]))
            .args(self.target.words())
            .arg(format!("{}/bin/sh -s{name}", self.rights))
            // A Ctrl-C at the terminal reaches Portcullis alone.
            .process_group(0);
        command
    }

    /// Does a script there.
    fn script(&self, script: &str, timeout: Duration) -> Result<Finished, SysError> {
        if self.unlocked.load(Ordering::Relaxed) {
            return Err(self.lost());
        }
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        let mut open = match session.take() {
            Some(open) => open,
            None => Session::start(self.shell(""), PATIENCE).map_err(|broken| self.no_shell(broken))?,
        };
        let broken = match open.run(&format!("{PATHS}\n{script}"), timeout) {
            Ok(finished) => {
                *session = Some(open);
                return Ok(finished);
            }
            Err(broken) => broken,
        };
        let host = self.target.to_string();
        Err(match broken {
            Broken::Ended(_) => SysError::Lost { host },
            Broken::Endless => SysError::CutOff { host },
            Broken::Slow => SysError::Silent {
                host,
                seconds: timeout.as_secs(),
            },
        })
    }

    /// Why there is no shell, where ssh has let us in.
    fn no_shell(&self, broken: Broken) -> SysError {
        let host = self.target.to_string();
        match broken {
            Broken::Ended(said) if self.is_up() => {
                let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
                let said: String = said.chars().take(300).collect();
                SysError::NoShell {
                    host,
                    said: portcullis_model::sanitize(if said.is_empty() { "nothing" } else { &said }),
                }
            }
            Broken::Ended(_) => SysError::Lost { host },
            Broken::Endless => SysError::CutOff { host },
            Broken::Slow => SysError::Silent {
                host,
                seconds: PATIENCE.as_secs(),
            },
        }
    }

    fn lost(&self) -> SysError {
        SysError::Lost {
            host: self.target.to_string(),
        }
    }

    /// Runs a program there to its end.
    ///
    /// # Errors
    /// When it is not installed there, the connection is lost, or it does not end in time.
    pub(crate) fn run(
        &self,
        program: &str,
        arguments: &[&str],
        stdin: &str,
        timeout: Duration,
    ) -> Result<Finished, SysError> {
        let script = format!(
            "command -v {} >/dev/null 2>&1 || {{ echo '{MISSING}' >&2; exit 127; }}\n{}\n",
            shell::quoted(program),
            shell::call(program, arguments, stdin),
        );
        let finished = self.script(&script, timeout)?;
        if !finished.success && finished.stderr == MISSING {
            return Err(SysError::MissingProgram {
                program: program.into(),
            });
        }
        Ok(finished)
    }

    /// Whether a program is installed there.
    ///
    /// # Errors
    /// When the connection is lost.
    pub(crate) fn has(&self, program: &str) -> Result<bool, SysError> {
        let script = format!("command -v {}", shell::quoted(program));
        Ok(self.script(&script, PATIENCE)?.success)
    }

    /// Reads what must be known of it before its firewall is changed.
    ///
    /// # Errors
    /// When the connection is lost, or it does not tell all.
    pub(crate) fn survey(&self) -> Result<Survey, SysError> {
        let printed = self.script(include_str!("survey.sh"), PATIENCE)?.stdout;
        let mut survey = tables::survey(&printed).ok_or_else(|| SysError::CutOff {
            host: self.target.to_string(),
        })?;
        survey.above = self
            .ends
            .iter()
            .map(|(client, server)| (*server, *client))
            .collect();
        survey.session = self.ends.map(survey::shown);
        Ok(survey)
    }

    /// How many segments have arrived on each TCP connection of one of its ports.
    ///
    /// # Errors
    /// When the host has no `ss`, or the connection is lost.
    pub(crate) fn segments_in(&self, port: u16) -> Result<BTreeMap<(SocketAddr, SocketAddr), u32>, SysError> {
        let filter = format!("( sport = :{port} )");
        let told = self.run("ss", &["-H", "-t", "-i", "-n", &filter], "", PATIENCE)?;
        Ok(tables::segments_in(&told.stdout, port))
    }
}

impl Drop for Ssh {
    fn drop(&mut self) {
        drop(self.session.lock().unwrap_or_else(PoisonError::into_inner).take());
        let mut master = self.master.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = master.kill();
        let _ = master.wait();
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
    let version = command::run("ssh", &["-V"], "", PATIENCE).map(|told| told.stderr);
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
    use std::os::unix::fs::DirBuilderExt as _;
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
    match std::os::unix::net::UnixStream::connect(folder.join("c")) {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Finished {
        command::run("sh", &["-s"], script, Duration::from_secs(30)).unwrap()
    }

    #[test]
    fn the_scripts_are_of_a_plain_posix_shell() {
        for script in [include_str!("survey.sh"), include_str!("lock.sh")] {
            let checked = command::run("sh", &["-n", "-s"], script, Duration::from_secs(30)).unwrap();
            assert!(checked.success, "{}", checked.stderr);
        }
    }

    #[test]
    fn this_host_surveyed_by_the_script_is_the_one_that_netlink_tells_of() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let _client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let told = sh(include_str!("survey.sh"));
        let (there, here) = (tables::survey(&told.stdout).unwrap(), Survey::here().unwrap());
        let of = |survey: &Survey| {
            let port = listener.local_addr().unwrap().port();
            let at = |socket: &&crate::Socket| socket.local.port() == port || socket.peer.port() == port;
            let sockets = survey.sockets.iter().filter(at);
            let shown = |socket: &crate::Socket| {
                let holder = survey
                    .holders
                    .identity(socket)
                    .map(|holder| (holder.pid, holder.name));
                (
                    socket.local,
                    socket.peer,
                    socket.is_listening(),
                    socket.inode,
                    holder,
                )
            };
            let mut sockets: Vec<_> = sockets.map(shown).collect();
            sockets.sort_by_key(|socket| (socket.0, socket.1));
            sockets
        };
        assert_eq!(of(&there), of(&here));
        assert!(of(&here).len() >= 2);
        assert_eq!(
            (there.addresses, there.ephemeral),
            (here.addresses, here.ephemeral)
        );
    }
}

//! Another host, worked on through the system's OpenSSH: its configuration, keys, agents and jump hosts hold. Nothing has
//! to be installed there but a POSIX shell and the firewall's own tools, and nothing is left there.
//!
//! One connection is made and shared by all that is asked (ssh_config(5), ControlMaster); it belongs to this process and
//! ends with it. What is to be done there is sent as a script that a shell reads to its end before it does any of it
//! (`session.rs`), so that a connection which breaks in the middle of sending does nothing.

mod knock;
mod lock;
mod master;
mod session;
mod tables;
mod target;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    process::Command,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

pub use knock::Knocked;
pub use lock::RemoteLock;
pub use target::{Target, TargetError};

use master::Master;
use session::{Broken, Session};

use crate::{Finished, Survey, SysError, shell, survey};

const PATIENCE: Duration = Duration::from_secs(60);

/// Told by a script that finds no such program; no program of the field says so by itself.
const MISSING: &str = "portcullis: no such program";

/// Where the tools of the administrator are; a session over ssh often lacks them in `PATH`.
const PATHS: &str = "PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin LC_ALL=C; export PATH LC_ALL; unset LANGUAGE";

/// A host that is connected.
#[derive(Debug)]
pub struct Ssh {
    // It ends before the connection that it needs.
    session: Mutex<Option<Session>>,
    /// Set when the lock that was taken there is held no longer, though nobody let it go.
    unlocked: Arc<AtomicBool>,
    /// What goes before the shell there: `sudo -n`, unless root has signed in.
    rights: &'static str,
    /// The client's end of the connection as the host sees it, and the host's.
    ends: Option<(SocketAddr, SocketAddr)>,
    master: Master,
}

impl Ssh {
    /// Connects. A person may be asked for a passphrase at the terminal, as by `ssh` itself.
    ///
    /// # Errors
    /// When ssh is not installed, does not get in, or the one who signed in may not become root there.
    pub fn connect(target: Target) -> Result<Self, SysError> {
        let mut ssh = Self::connect_to_look(target)?;
        ssh.look_around()?;
        Ok(ssh)
    }

    /// Connects as whoever signs in, without the rights of root: enough to look from there.
    ///
    /// # Errors
    /// When ssh is not installed or does not get in.
    pub fn connect_to_look(target: Target) -> Result<Self, SysError> {
        Ok(Self {
            session: Mutex::new(None),
            unlocked: Arc::default(),
            rights: "",
            ends: None,
            master: Master::open(target)?,
        })
    }

    /// Who has signed in, and from where.
    fn look_around(&mut self) -> Result<(), SysError> {
        // sudo may look up names first, and wait for an answer that no plant gives.
        let asked = "echo \"$SSH_CONNECTION\"; id=$(id -u); echo \"$id\"; [ \"$id\" = 0 ] || sudo -n id -u 2>/dev/null";
        let told = self.script(asked, PATIENCE)?;
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
                    host: self.target().to_string(),
                });
            }
        };
        Ok(())
    }

    /// The host.
    pub fn target(&self) -> &Target {
        self.master.target()
    }

    /// The host's own end of the connection.
    pub fn server(&self) -> Option<SocketAddr> {
        self.ends.map(|(_, server)| server)
    }

    /// A command that has a shell of the host read from its standard input what to do.
    fn shell(&self, name: &str) -> Command {
        self.master.command(&format!("{}/bin/sh -s{name}", self.rights))
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
        let host = self.target().to_string();
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
        let host = self.target().to_string();
        match broken {
            Broken::Ended(said) if self.master.is_up() && !said.is_empty() => {
                let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
                let said: String = said.chars().take(300).collect();
                SysError::NoShell {
                    host,
                    said: portcullis_model::sanitize(&said),
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
            host: self.target().to_string(),
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
            host: self.target().to_string(),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Finished {
        crate::run("sh", &["-s"], script, Duration::from_secs(30)).unwrap()
    }

    #[test]
    fn the_scripts_are_of_a_plain_posix_shell() {
        for script in [include_str!("survey.sh"), include_str!("lock.sh")] {
            let checked = crate::run("sh", &["-n", "-s"], script, Duration::from_secs(30)).unwrap();
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

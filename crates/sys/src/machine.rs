//! Where programs are run.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use portcullis_model::UpTime;

use crate::{
    Finished, Survey, SysError, command,
    lock::Lock,
    socket_diag,
    ssh::{RemoteLock, Ssh, Target},
};

/// A machine whose own tools read and change its firewall.
#[derive(Debug, Clone, Default)]
pub enum Machine {
    /// This one.
    #[default]
    Here,
    /// Another one, over ssh.
    There(Arc<Ssh>),
}

impl Machine {
    /// Connects to a host; without one it is this one.
    ///
    /// # Errors
    /// As [`Ssh::connect`].
    pub fn at(host: Option<Target>) -> Result<Self, SysError> {
        Ok(match host {
            Some(target) => Self::There(Arc::new(Ssh::connect(target)?)),
            None => Self::Here,
        })
    }

    /// How it is reached, e.g. `ssh://root@gw`; `None` for this one.
    pub fn via(&self) -> Option<String> {
        match self {
            Self::Here => None,
            Self::There(ssh) => Some(ssh.target().to_string()),
        }
    }

    /// Runs a program there to its end; see [`crate::run`].
    ///
    /// # Errors
    /// When it is not installed, cannot be started, or does not end in time. A non-zero exit status is not an error here.
    pub fn run<A: AsRef<str>>(
        &self,
        program: &str,
        arguments: &[A],
        stdin: &str,
        timeout: Duration,
    ) -> Result<Finished, SysError> {
        let arguments: Vec<&str> = arguments.iter().map(AsRef::as_ref).collect();
        match self {
            Self::Here => command::run(program, &arguments, stdin, timeout),
            Self::There(ssh) => ssh.run(program, &arguments, stdin, timeout),
        }
    }

    /// Whether a program is installed there.
    ///
    /// # Errors
    /// When another machine does not tell: it must not be taken for one without the program.
    pub fn has(&self, program: &str) -> Result<bool, SysError> {
        match self {
            Self::Here => Ok(command::find_program(program).is_some()),
            Self::There(ssh) => ssh.has(program),
        }
    }

    /// Whether it speaks IPv6 now: none of its interfaces has an address where that is switched off.
    ///
    /// # Errors
    /// When another machine does not tell.
    pub fn has_ipv6(&self) -> Result<bool, SysError> {
        let asked = self.run(
            "grep",
            &["-q", ".", "/proc/net/if_inet6"],
            "",
            Duration::from_secs(30),
        );
        asked.map(|finished| finished.success)
    }

    /// Reads what must be known of it before its firewall is changed.
    ///
    /// # Errors
    /// When it does not tell.
    pub fn survey(&self) -> Result<Survey, SysError> {
        match self {
            Self::Here => Survey::here(),
            Self::There(ssh) => ssh.survey(),
        }
    }

    /// How long it has been up; `None` when it does not tell.
    pub fn up_time(&self) -> Option<UpTime> {
        const FILES: [&str; 2] = ["/proc/uptime", "/proc/sys/kernel/random/boot_id"];
        let text = match self {
            Self::Here => FILES
                .iter()
                .map(std::fs::read_to_string)
                .collect::<Result<String, _>>()
                .ok()?,
            Self::There(_) => self.run("cat", &FILES, "", Duration::from_secs(30)).ok()?.stdout,
        };
        UpTime::parse(&text)
    }

    /// Takes the lock of its firewall.
    ///
    /// # Errors
    /// [`SysError::Locked`] when somebody holds it.
    pub fn lock(&self) -> Result<Lock, SysError> {
        match self {
            Self::Here => Lock::take(),
            Self::There(ssh) => RemoteLock::take(ssh).map(Lock::There),
        }
    }

    /// How many segments have arrived on each TCP connection of one of its ports, by its end and the peer's.
    ///
    /// # Errors
    /// When it does not tell.
    pub fn segments_in(&self, port: u16) -> Result<BTreeMap<(SocketAddr, SocketAddr), u32>, SysError> {
        match self {
            Self::Here => socket_diag::segments_in(port),
            Self::There(ssh) => ssh.segments_in(port),
        }
    }
}

//! Network namespaces of other processes (`network_namespaces(7)`).

use std::{fs::File, io, os::unix::process::CommandExt, process::Command, thread};

use nix::sched::{CloneFlags, setns, unshare};

use crate::SysError;

/// The open network and host-name namespaces of a process. They live as long as this value, even when the process
/// has ended.
#[derive(Debug)]
pub struct Network {
    network: File,
    host_name: File,
    label: String,
}

impl Network {
    /// A new network, with nothing in it, which lives as long as this value.
    ///
    /// # Errors
    /// Without the right to make one.
    pub fn new() -> Result<Self, SysError> {
        let failed = |source: io::Error| SysError::Namespace {
            act: "make",
            what: "of a network".into(),
            source,
        };
        let made = || -> io::Result<Self> {
            unshare(CloneFlags::CLONE_NEWNET)?;
            Ok(Self {
                network: File::open("/proc/thread-self/ns/net")?,
                host_name: File::open("/proc/thread-self/ns/uts")?,
                label: "outside".into(),
            })
        };
        // A thread of its own goes into it and ends; the caller stays where it is.
        let joined = thread::scope(|scope| scope.spawn(made).join());
        joined
            .unwrap_or_else(|_| Err(io::Error::other("it ended with a panic")))
            .map_err(failed)
    }

    /// Opens the namespaces of a process.
    ///
    /// # Errors
    /// When the process has ended or may not be inspected.
    pub fn of_process(pid: u32) -> Result<Self, SysError> {
        Ok(Self {
            network: open(pid, "net")?,
            host_name: open(pid, "uts")?,
            label: format!("of process {pid}"),
        })
    }

    /// Runs `work` on a thread of its own inside the network, and waits for it. Sockets that it opens belong to that
    /// network for ever; the calling thread stays where it is.
    ///
    /// # Errors
    /// When the namespace may not be entered, or the work panicked.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, SysError> {
        let enter = |source: io::Error| SysError::Namespace {
            act: "enter",
            what: self.label.clone(),
            source,
        };
        thread::scope(|scope| {
            scope
                .spawn(|| {
                    setns(&self.network, CloneFlags::CLONE_NEWNET).map_err(|error| enter(error.into()))?;
                    Ok(work())
                })
                .join()
                .unwrap_or_else(|_| Err(enter(io::Error::other("the work in it ended with a panic"))))
        })
    }

    /// Makes a command run inside these namespaces.
    ///
    /// # Errors
    /// When this process has no descriptors left.
    pub fn enter(&self, command: &mut Command) -> Result<(), SysError> {
        let duplicate = |file: &File| {
            file.try_clone().map_err(|source| SysError::Call {
                what: "duplicate a descriptor",
                source,
            })
        };
        let (network, host_name) = (duplicate(&self.network)?, duplicate(&self.host_name)?);
        // SAFETY: between fork and exec only `setns` is called, which is async-signal-safe; the closure owns the files.
        unsafe {
            command.pre_exec(move || {
                setns(&network, CloneFlags::CLONE_NEWNET)?;
                setns(&host_name, CloneFlags::CLONE_NEWUTS)?;
                Ok(())
            });
        }
        Ok(())
    }
}

/// Runs `work` inside the network of a process; see [`Network::run`].
///
/// # Errors
/// When the process has ended, or its namespace may not be entered.
pub fn in_network_of<T: Send>(pid: u32, work: impl FnOnce() -> T + Send) -> Result<T, SysError> {
    Network::of_process(pid)?.run(work)
}

/// Opens one namespace of a process.
pub(crate) fn open(pid: u32, kind: &str) -> Result<File, SysError> {
    let what = format!("/proc/{pid}/ns/{kind}");
    File::open(&what).map_err(|source| SysError::Namespace {
        act: "open",
        what,
        source,
    })
}

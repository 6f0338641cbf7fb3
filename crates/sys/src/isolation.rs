//! Children in namespaces of their own: the miniature plant, its hosts, and commands that enter it.
//!
//! The plant lives in a process-id namespace. When its first process dies the kernel ends all others, and with the
//! last process of a network namespace its interfaces and rules are gone too: nothing has to be cleaned up.

use std::{
    ffi::CString,
    fs,
    fs::File,
    io,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Command,
};

use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, setns, unshare},
    sys::{
        prctl,
        signal::{SigHandler, Signal},
    },
    unistd::{Uid, chdir, chroot, fchdir, getgid, getppid, getuid, sethostname},
};

use crate::{SysError, namespace};

/// Makes a command start in new namespaces for mounts, process ids (of its children), network, host name and IPC.
/// Without root it also gets a user namespace in which it is root, and nothing more outside than before.
///
/// With `dies_with_parent` the kernel ends it when the thread that started it ends.
pub fn apart(command: &mut Command, dies_with_parent: bool) {
    let rootless = !Uid::effective().is_root();
    let uid_map = format!("0 {} 1\n", getuid());
    let gid_map = format!("0 {} 1\n", getgid());
    let parent = nix::unistd::getpid();
    let setgroups = CString::from(c"/proc/self/setgroups");
    // SAFETY: between fork and exec only async-signal-safe calls are made (unshare, open, write, close, prctl); all
    // texts were built before the fork.
    unsafe {
        command.pre_exec(move || {
            if rootless {
                unshare(CloneFlags::CLONE_NEWUSER)?;
                write_once(&setgroups, b"deny")?;
                write_once(c"/proc/self/uid_map", uid_map.as_bytes())?;
                write_once(c"/proc/self/gid_map", gid_map.as_bytes())?;
            }
            unshare(
                CloneFlags::CLONE_NEWNS
                    | CloneFlags::CLONE_NEWPID
                    | CloneFlags::CLONE_NEWNET
                    | CloneFlags::CLONE_NEWUTS
                    | CloneFlags::CLONE_NEWIPC,
            )?;
            // The kernel forgets the signal when credentials change: it is set after the user namespace.
            if dies_with_parent {
                die_with(parent)
            } else {
                Ok(())
            }
        });
    }
}

/// Makes the kernel end a command when the thread that started it ends.
pub fn die_with_parent(command: &mut Command) {
    let parent = nix::unistd::getpid();
    // SAFETY: prctl and getppid are async-signal-safe.
    unsafe {
        command.pre_exec(move || die_with(parent));
    }
}

/// Makes a command end with the thread that started it and take no notice of a Ctrl-C at the terminal, which it shares
/// so that it can still ask a person there.
pub(crate) fn in_the_background(command: &mut Command) {
    let parent = nix::unistd::getpid();
    // SAFETY: prctl, getppid and sigaction are async-signal-safe, and ignoring a signal runs no handler.
    unsafe {
        command.pre_exec(move || {
            nix::sys::signal::signal(Signal::SIGINT, SigHandler::SigIgn)?;
            die_with(parent)
        });
    }
}

fn die_with(parent: nix::unistd::Pid) -> io::Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    // A parent that ended before the line above sends nothing. From inside a new process-id namespace the parent
    // shows as 0.
    let now = getppid();
    if now != parent && now.as_raw() != 0 {
        return Err(io::Error::from_raw_os_error(nix::libc::ESRCH));
    }
    Ok(())
}

/// Makes a command run as a host of its own: new network, new host name.
pub fn as_host(command: &mut Command, name: &str) {
    let name = std::ffi::OsString::from(name);
    // SAFETY: unshare, sethostname and prctl are async-signal-safe; the name was built before the fork.
    unsafe {
        command.pre_exec(move || {
            unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWUTS)?;
            sethostname(&name)?;
            Ok(())
        });
    }
}

/// Makes a command enter the user, mount, IPC and process-id namespaces of a process, and take its root directory; its
/// children will be inside the process-id namespace, it is not itself.
///
/// # Errors
/// When the process has ended or may not be inspected.
pub fn inside(command: &mut Command, pid: u32) -> Result<(), SysError> {
    let mut entered = Vec::new();
    // The user namespace comes first: it gives the right to enter the others. Entering one's own is refused (EINVAL).
    let own_user = fs::read_link("/proc/self/ns/user").ok();
    if fs::read_link(format!("/proc/{pid}/ns/user")).ok() != own_user {
        entered.push((namespace::open(pid, "user")?, CloneFlags::CLONE_NEWUSER));
    }
    for (kind, flag) in [
        ("pid", CloneFlags::CLONE_NEWPID),
        ("net", CloneFlags::CLONE_NEWNET),
        ("uts", CloneFlags::CLONE_NEWUTS),
        ("ipc", CloneFlags::CLONE_NEWIPC),
        ("mnt", CloneFlags::CLONE_NEWNS),
    ] {
        entered.push((namespace::open(pid, kind)?, flag));
    }
    // Entering a mount namespace goes to its topmost root, which is another one than the plant's when all of this runs
    // in a changed root.
    let root_path = PathBuf::from(format!("/proc/{pid}/root"));
    let root = File::open(&root_path).map_err(|source| SysError::Read {
        path: root_path,
        source,
    })?;
    let folder = std::env::current_dir().unwrap_or_else(|_| "/".into());
    // SAFETY: only setns, fchdir, chroot and chdir are called between fork and exec; the closure owns the files.
    unsafe {
        command.pre_exec(move || {
            for (file, flag) in &entered {
                setns(file, *flag)?;
            }
            fchdir(&root)?;
            chroot(c".")?;
            // A folder that the plant does not have is no reason not to enter it.
            if chdir(folder.as_path()).is_err() {
                chdir(c"/")?;
            }
            Ok(())
        });
    }
    Ok(())
}

/// Prepares the file system of the plant: to be called by its first process. Mounts of the machine stay as they are;
/// `/proc` shows the plant's processes only, and `/run` is empty, so that no tool meets the machine's locks.
///
/// # Errors
/// When the kernel refuses a mount.
pub fn mount_plant() -> Result<(), SysError> {
    let step = |what: &'static str, result: nix::Result<()>| {
        result.map_err(|error| SysError::Call {
            what,
            source: error.into(),
        })
    };
    let none: Option<&str> = None;
    step(
        "keep mounts to this namespace",
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none),
    )?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    step(
        "mount /proc for the plant",
        mount(Some("proc"), "/proc", Some("proc"), flags, none),
    )?;
    step(
        "mount /run for the plant",
        mount(Some("tmpfs"), "/run", Some("tmpfs"), flags, Some("size=16m")),
    )
}

fn write_once(path: &std::ffi::CStr, bytes: &[u8]) -> io::Result<()> {
    use nix::fcntl::{OFlag, open};
    let file = open(
        path,
        OFlag::O_WRONLY | OFlag::O_CLOEXEC,
        nix::sys::stat::Mode::empty(),
    )?;
    if nix::unistd::write(&file, bytes)? == bytes.len() {
        return Ok(());
    }
    Err(io::Error::from_raw_os_error(nix::libc::EIO))
}

/// When a process began, in clock ticks since boot: with the process id it names a process for good.
pub fn start_time(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")).ok()?;
    // The name in parentheses may hold anything; fields are counted behind its end (proc_pid_stat(5): field 22).
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

/// Whether a process has ended and only waits to be collected (proc_pid_stat(5): state Z).
pub fn is_zombie(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')')
        .is_some_and(|(_, rest)| rest.trim_start().starts_with('Z'))
}

/// Ends a process, if it is still the one that began at `started`.
pub fn end(pid: u32, started: u64) -> bool {
    if start_time(pid) != Some(started) {
        return false;
    }
    let Ok(pid) = i32::try_from(pid) else { return false };
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), Signal::SIGKILL).is_ok()
}

/// Waits for any child to end and collects it.
///
/// # Errors
/// When there is no child.
pub fn collect_child() -> Result<(), SysError> {
    nix::sys::wait::wait()
        .map(|_| ())
        .map_err(|error| SysError::Call {
            what: "wait for a child",
            source: error.into(),
        })
}

/// Gives this process a name of its own in process lists, at most 15 bytes.
pub fn name_this_process(name: &str) {
    let short: String = name.chars().take(15).collect();
    if let Ok(name) = CString::new(short) {
        // A name is only for people to read; without it nothing is lost.
        let _ = prctl::set_name(&name);
    }
}

/// Whether a child can be set apart on this machine; says how.
///
/// # Errors
/// What the kernel said when it was tried.
pub fn can_isolate() -> Result<String, SysError> {
    let mut command = Command::new("/proc/self/exe");
    command
        .arg("--version")
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null());
    apart(&mut command, true);
    let tried = command.status();
    tried.map_err(|source| SysError::Namespace {
        act: "make",
        what: "of a child".into(),
        source,
    })?;
    let how = if Uid::effective().is_root() {
        "as root"
    } else {
        "without root, in a user namespace"
    };
    Ok(format!("namespaces can be made {how}"))
}

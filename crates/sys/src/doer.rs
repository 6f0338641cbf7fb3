//! Who stands behind a process id that the kernel told: read at once, for the process may end in a moment.

use std::{
    fs::{self, File},
    io::Read as _,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::{Path, PathBuf},
};

use nix::unistd::{Uid, User};
use portcullis_model::{Ancestor, Doer, Traced, Untrusted};

/// Inode of the process-id namespace that a machine begins with (PROC_PID_INIT_INO of linux/proc_ns.h). The kernel counts
/// in it; in another namespace its numbers mean nothing, or somebody else.
const INITIAL_PIDS: u64 = 0xeffffffc;
const MOST_COMMAND: usize = 400;
const MOST_ANCESTORS: usize = 4;

/// Reads what can still be read of the process with this id and this name. A process with another name is not it: the id
/// was given to somebody else meanwhile. In a process-id namespace of its own (a container) the id means nothing; there the
/// one process of that name in the same network namespace is meant, if there is exactly one.
pub fn trace(pid: u32, program: &Untrusted) -> Doer {
    let folder = if counts_as_the_kernel() {
        (pid != 0).then(|| PathBuf::from(format!("/proc/{pid}")))
    } else {
        only_one(program)
    };
    let process = folder.and_then(|folder| read(&folder, program));
    Doer {
        program: program.clone(),
        pid,
        process,
    }
}

fn counts_as_the_kernel() -> bool {
    fs::metadata("/proc/self/ns/pid").is_ok_and(|namespace| namespace.ino() == INITIAL_PIDS)
}

fn only_one(program: &Untrusted) -> Option<PathBuf> {
    let network = |folder: &Path| fs::metadata(folder.join("ns/net")).ok().map(|file| file.ino());
    let own = network(Path::new("/proc/self"))?;
    let mut found = fs::read_dir("/proc")
        .ok()?
        .flatten()
        .filter(|entry| {
            entry
                .file_name()
                .as_bytes()
                .first()
                .is_some_and(u8::is_ascii_digit)
        })
        .map(|entry| entry.path())
        .filter(|folder| comm(folder).as_ref() == Some(program) && network(folder) == Some(own));
    let first = found.next()?;
    found.next().is_none().then_some(first)
}

/// What goes first when a process ends is read first, and next whether it is the right process.
fn read(folder: &Path, program: &Untrusted) -> Option<Traced> {
    let command = some_of(&folder.join("cmdline")).and_then(command_of);
    if comm(folder).as_ref() != Some(program) {
        return None;
    }
    let executable = fs::read_link(folder.join("exe"))
        .ok()
        .map(|path| Untrusted::from_bytes(path.as_os_str().as_bytes()));
    let status = fs::read_to_string(folder.join("status")).ok();
    let login = fs::read_to_string(folder.join("loginuid")).ok();
    let groups = fs::read_to_string(folder.join("cgroup")).ok();
    let field = |name| status.as_deref().and_then(|status| field_of(status, name));
    let traced = Traced {
        executable,
        command,
        user: field("Uid:").map(user_name),
        // 4294967295 is nobody: a daemon that nobody started from a session.
        login: login
            .and_then(|text| text.trim().parse().ok())
            .filter(|uid| *uid != u32::MAX)
            .map(user_name),
        unit: groups.as_deref().and_then(unit_of),
        ancestors: ancestors(field("PPid:")),
    };
    (traced != Traced::default()).then_some(traced)
}

fn ancestors(mut parent: Option<u32>) -> Vec<Ancestor> {
    let mut ancestors = Vec::new();
    while let Some(pid) = parent.filter(|pid| *pid != 0 && ancestors.len() < MOST_ANCESTORS) {
        let folder = PathBuf::from(format!("/proc/{pid}"));
        let Some(name) = comm(&folder) else { break };
        ancestors.push(Ancestor { pid, name });
        parent = fs::read_to_string(folder.join("status"))
            .ok()
            .and_then(|status| field_of(&status, "PPid:"));
    }
    ancestors
}

fn comm(folder: &Path) -> Option<Untrusted> {
    let bytes = fs::read(folder.join("comm")).ok()?;
    Some(Untrusted::from_bytes(bytes.strip_suffix(b"\n").unwrap_or(&bytes)))
}

/// The first bytes of a file.
fn some_of(path: &Path) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let limit = MOST_COMMAND as u64;
    File::open(path).ok()?.take(limit).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// Arguments end with NUL; a process that is ending, and a thread of the kernel, has none.
fn command_of(bytes: Vec<u8>) -> Option<Untrusted> {
    let mut words: Vec<&[u8]> = bytes.split(|byte| *byte == 0).collect();
    while words.last().is_some_and(|word| word.is_empty()) {
        words.pop();
    }
    (!words.is_empty()).then(|| Untrusted::from_bytes(&words.join(&b' ')))
}

/// The first number of a line of `/proc/PID/status` (proc_pid_status(5)).
fn field_of(status: &str, name: &str) -> Option<u32> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The last part of the control group that names a unit of systemd, else the whole path; the root is nobody's.
fn unit_of(groups: &str) -> Option<Untrusted> {
    let path = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    let unit = path
        .rsplit('/')
        .find(|part| part.ends_with(".service") || part.ends_with(".scope"));
    let named = unit.unwrap_or(path);
    (named != "/" && !named.is_empty()).then(|| Untrusted::new(named))
}

fn user_name(uid: u32) -> Untrusted {
    match User::from_uid(Uid::from_raw(uid)) {
        Ok(Some(user)) => Untrusted::new(user.name),
        _ => Untrusted::new(uid.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_running_process_is_named_with_its_command_and_who_started_it() {
        let mut child = Command::new("sleep")
            .arg("30")
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let folder = PathBuf::from(format!("/proc/{}", child.id()));
        // Until exec has ended, the child has our name or no command line.
        while some_of(&folder.join("cmdline")).is_none_or(|command| !command.starts_with(b"sleep")) {
            std::thread::yield_now();
        }
        let sleep = Untrusted::new("sleep");
        let traced = read(&folder, &sleep).unwrap();
        let stranger = trace(child.id(), &Untrusted::new("nft-of-another"));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(traced.command, Some(Untrusted::new("sleep 30")));
        assert!(traced.executable.is_some() && traced.user.is_some());
        assert_eq!(traced.ancestors[0].pid, std::process::id());
        assert_eq!(
            stranger.process, None,
            "a process of another name was taken for it"
        );
        assert_eq!(
            read(&folder, &sleep),
            None,
            "a process that has ended told something"
        );
    }

    #[test]
    fn texts_of_proc_are_read() {
        assert_eq!(
            command_of(b"nft\0-f\0-\0".to_vec()),
            Some(Untrusted::new("nft -f -"))
        );
        assert_eq!(command_of(Vec::new()), None);
        assert_eq!(
            field_of("Name:\tnft\nPPid:\t812\nUid:\t0\t0\t0\t0\n", "PPid:"),
            Some(812)
        );
        for (groups, unit) in [
            ("0::/system.slice/nftables.service\n", Some("nftables.service")),
            (
                "0::/user.slice/user-1000.slice/session-4.scope\n",
                Some("session-4.scope"),
            ),
            ("1:cpu:/x\n0::/\n", None),
            ("0::/docker/3f2a\n", Some("/docker/3f2a")),
        ] {
            assert_eq!(unit_of(groups), unit.map(Untrusted::new), "{groups}");
        }
    }
}

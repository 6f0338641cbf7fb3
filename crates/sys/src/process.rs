//! Which process holds a socket.

use std::{
    collections::HashMap,
    fs,
    os::unix::ffi::OsStrExt,
    path::Path,
    sync::{Mutex, PoisonError},
};

use nix::unistd::{Uid, User};
use portcullis_model::{ProcessIdentity, Untrusted};

use crate::package;

/// The holders of sockets: inode to process id.
#[derive(Debug, Default)]
pub struct Owners {
    pids: HashMap<u32, u32>,
    /// Those that were looked into already: finding a package takes some hundredths of a second.
    known: Mutex<HashMap<u32, ProcessIdentity>>,
    /// Processes whose descriptors could not be read, which without root are those of other users.
    pub unreadable: usize,
}

impl Owners {
    /// The process that holds the socket with this inode; the one with the lowest id when several share it.
    pub fn pid(&self, inode: u32) -> Option<u32> {
        self.pids.get(&inode).copied()
    }

    /// Who holds the socket, with the socket's owner as the user.
    pub fn identity(&self, inode: u32, uid: u32) -> Option<ProcessIdentity> {
        let pid = self.pid(inode)?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let found = known.entry(pid).or_insert_with(|| identity(pid)).clone();
        Some(ProcessIdentity {
            user: Some(user_name(uid)),
            ..found
        })
    }
}

/// Reads `/proc/PID/fd` of every process that may be read.
pub fn owners() -> Owners {
    let mut owners = Owners::default();
    for pid in pids() {
        match sockets_held_by(pid) {
            Ok(inodes) => {
                for inode in inodes {
                    let holder = owners.pids.entry(inode).or_insert(pid);
                    *holder = pid.min(*holder);
                }
            }
            // A process that has just ended is not one that was kept from us.
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => owners.unreadable += 1,
            Err(_) => {}
        }
    }
    owners
}

/// The inodes of the sockets that a process holds.
pub(crate) fn sockets_held_by(pid: u32) -> std::io::Result<Vec<u32>> {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd"))?;
    Ok(descriptors
        .flatten()
        .filter_map(|descriptor| socket_inode(&fs::read_link(descriptor.path()).ok()?))
        .collect())
}

fn pids() -> impl Iterator<Item = u32> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn socket_inode(target: &Path) -> Option<u32> {
    let text = std::str::from_utf8(target.as_os_str().as_bytes()).ok()?;
    text.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// What can be read of a process: name, executable, package.
pub fn identity(pid: u32) -> ProcessIdentity {
    let name = fs::read(format!("/proc/{pid}/comm"))
        .ok()
        .map(|bytes| Untrusted::from_bytes(bytes.strip_suffix(b"\n").unwrap_or(&bytes)));
    let executable = fs::read_link(format!("/proc/{pid}/exe")).ok();
    ProcessIdentity {
        pid,
        name,
        package: executable
            .as_deref()
            .and_then(package::owner_of)
            .map(Untrusted::new),
        executable: executable.map(|path| Untrusted::from_bytes(path.as_os_str().as_bytes())),
        user: None,
    }
}

/// Login name of a user, or the number when it has none.
fn user_name(uid: u32) -> Untrusted {
    match User::from_uid(Uid::from_raw(uid)) {
        Ok(Some(user)) => Untrusted::new(user.name),
        _ => Untrusted::new(uid.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_of_our_own_is_traced_to_this_process() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let local = listener.local_addr().unwrap();
        let socket = crate::sockets()
            .unwrap()
            .into_iter()
            .find(|s| s.local == local)
            .unwrap();
        let process = owners().identity(socket.inode, socket.uid).unwrap();
        assert_eq!(process.pid, std::process::id());
        assert!(process.executable.unwrap().raw().contains("portcullis_sys"));
    }
}

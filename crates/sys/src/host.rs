//! This host and this process: name, rights, who is behind it, and over which connection.

use std::{collections::HashSet, fs, net::IpAddr};

use nix::unistd::{Uid, User, gethostname};

use crate::{Socket, SocketState, process::sockets_held_by};

/// Name of the host.
pub fn name() -> String {
    gethostname()
        .ok()
        .and_then(|name| name.into_string().ok())
        .unwrap_or_else(|| "localhost".into())
}

/// The addresses of this host's interfaces, without loopback.
pub fn addresses() -> Vec<IpAddr> {
    let interfaces = nix::ifaddrs::getifaddrs().into_iter().flatten();
    let mut addresses: Vec<IpAddr> = interfaces
        .filter_map(|interface| {
            let address = interface.address?;
            let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
            v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
        })
        .filter(|address| !address.is_loopback())
        .collect();
    addresses.sort();
    addresses.dedup();
    addresses
}

/// The addresses of one interface, each with the length of its network's prefix; none when there is no such interface.
pub fn networks_on(interface: &str) -> Vec<(IpAddr, u8)> {
    let interfaces = nix::ifaddrs::getifaddrs().into_iter().flatten();
    interfaces
        .filter(|one| one.interface_name == interface)
        .filter_map(|one| {
            let ip = |address: nix::sys::socket::SockaddrStorage| {
                let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
                v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
            };
            let prefix = match ip(one.netmask?)? {
                IpAddr::V4(mask) => u32::from(mask).leading_ones(),
                IpAddr::V6(mask) => u128::from(mask).leading_ones(),
            };
            Some((ip(one.address?)?, u8::try_from(prefix).ok()?))
        })
        .collect()
}

/// The source ports that this host gives to its outgoing connections, first and last (ip(7)).
pub fn ephemeral_ports() -> (u16, u16) {
    let text = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let mut ports = text.split_whitespace().map(str::parse);
    match (ports.next(), ports.next()) {
        (Some(Ok(first)), Some(Ok(last))) => (first, last),
        _ => (32768, 60999),
    }
}

/// CAP_NET_ADMIN of linux/capability.h: firewall, interfaces, NFLOG.
pub const CAP_NET_ADMIN: u32 = 12;
/// CAP_NET_RAW of linux/capability.h: raw and packet sockets.
pub const CAP_NET_RAW: u32 = 13;

/// Whether this process has a capability in force.
pub fn has_capability(capability: u32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask >> capability & 1 == 1)
}

/// The command line that gives this program such capabilities, e.g. `cap_net_raw+ep`.
pub fn setcap_line(capabilities: &str) -> String {
    let program = std::env::current_exe().unwrap_or_else(|_| "PATH".into());
    format!("sudo setcap {capabilities} {}", program.display())
}

/// Who is behind this process: the login name, and the name of whoever signed in when that is another one.
pub fn actor() -> String {
    let own = match User::from_uid(Uid::effective()) {
        Ok(Some(user)) => user.name,
        _ => Uid::effective().to_string(),
    };
    match signed_in().or_else(|| std::env::var("SUDO_USER").ok()) {
        Some(behind) if !behind.is_empty() && behind != own => {
            format!("{} (as {own})", portcullis_model::sanitize(&behind))
        }
        _ => own,
    }
}

/// Who signed in, as the kernel keeps it over `su` and `sudo` (`/proc/PID/loginuid`, proc(5)); `None` where no login has set
/// it. The environment is only asked then, for whoever is root can write there what he likes.
fn signed_in() -> Option<String> {
    let uid: u32 = fs::read_to_string("/proc/self/loginuid")
        .ok()?
        .trim()
        .parse()
        .ok()?;
    let user = User::from_uid(Uid::from_raw(uid)).ok()??;
    (uid != u32::MAX).then_some(user.name)
}

/// The connected TCP sockets that processes above this one hold: the ssh daemon's, a telnet daemon's, a tunnel's.
/// Over one of these the operator is connected, whatever the environment says.
pub fn sockets_above(sockets: &[Socket]) -> Vec<Socket> {
    let held: HashSet<u32> = ancestors()
        .into_iter()
        .filter_map(|pid| sockets_held_by(pid).ok())
        .flatten()
        .collect();
    sockets
        .iter()
        .filter(|socket| socket.state == SocketState::Connected && !socket.peer.ip().is_loopback())
        .filter(|socket| held.contains(&socket.inode))
        .cloned()
        .collect()
}

/// The ids of the processes above this one, nearest first. The list is bounded: `/proc` may change while it is read.
fn ancestors() -> Vec<u32> {
    let mut ancestors = Vec::new();
    let mut pid = std::process::id();
    while ancestors.len() < 64 {
        let Some(parent) = parent_of(pid).filter(|parent| *parent > 1) else {
            break;
        };
        ancestors.push(parent);
        pid = parent;
    }
    ancestors
}

fn parent_of(pid: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status
        .lines()
        .find_map(|line| line.strip_prefix("PPid:"))?
        .trim()
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_above_the_test_is_an_ancestor() {
        assert!(ancestors().contains(&nix::unistd::getppid().as_raw().unsigned_abs()));
    }
}

//! Three networks: the far end, from which packets come (the test itself), the box whose rules are tried, and an inner
//! network behind it.

use std::{
    io::Write,
    os::unix::process::CommandExt,
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use ipnet::IpNet;
use portcullis_firewall::reach::{Host, HostInterface};
use portcullis_sys::namespace::Network;

/// A process that does nothing but keep a network.
struct Keeper {
    child: Child,
    network: Network,
}

impl Keeper {
    fn new() -> Self {
        let child = Command::new("unshare")
            .args(["--net", "--", "sleep", "7200"])
            .stdout(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        let own = std::fs::read_link("/proc/self/ns/net").unwrap();
        let theirs = format!("/proc/{}/ns/net", child.id());
        let end = Instant::now() + Duration::from_secs(10);
        while std::fs::read_link(&theirs).is_ok_and(|network| network == own) {
            assert!(Instant::now() < end, "there is no other network");
            thread::sleep(Duration::from_millis(2));
        }
        let network = Network::of_process(child.id()).unwrap();
        Self { child, network }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// All three networks.
pub(crate) struct Place {
    box_: Keeper,
    inner: Keeper,
    locks: tempfile::TempDir,
}

/// The box has two uplinks. Sources of each, and its addresses there.
pub(crate) const UPLINKS: [&str; 2] = ["eth0", "eth1"];

impl Place {
    pub(crate) fn new() -> Self {
        let place = Self {
            box_: Keeper::new(),
            inner: Keeper::new(),
            locks: tempfile::tempdir().unwrap(),
        };
        let (box_pid, inner_pid) = (place.box_.child.id(), place.inner.child.id());
        let mut far = "link set lo up\n".to_owned();
        let mut near = "link set lo up\n".to_owned();
        for (number, uplink) in UPLINKS.into_iter().enumerate() {
            let (mac_far, mac_near) = (
                format!("02:00:00:00:01:0{number}"),
                format!("02:00:00:00:02:0{number}"),
            );
            ip(&format!(
                "link add c{number} address {mac_far} type veth peer name {uplink} address {mac_near} netns {box_pid}\n"
            ));
            far += &format!(
                "addr add 203.0.11{number}.2/24 dev c{number}\naddr add fd0{number}::2/64 dev c{number} nodad\n\
                 link set c{number} up\n\
                 neigh replace 203.0.11{number}.1 lladdr {mac_near} dev c{number} nud permanent\n\
                 neigh replace fd0{number}::1 lladdr {mac_near} dev c{number} nud permanent\n"
            );
            near += &format!(
                "addr add 203.0.11{number}.1/24 dev {uplink}\naddr add fd0{number}::1/64 dev {uplink} nodad\n\
                 link set {uplink} up\n\
                 neigh replace 203.0.11{number}.2 lladdr {mac_far} dev {uplink} nud permanent\n\
                 neigh replace fd0{number}::2 lladdr {mac_far} dev {uplink} nud permanent\n\
                 route add {} via 203.0.11{number}.2 dev {uplink}\n\
                 route add fd1{number}::/16 via fd0{number}::2 dev {uplink}\n",
                ["10.0.0.0/9", "10.128.0.0/9"][number]
            );
        }
        // Any of these is an address of the far end. What lies behind the box is reached by the first uplink.
        far += "route add local 10.0.0.0/8 dev lo\nroute add local fd10::/16 dev lo\nroute add local fd11::/16 dev lo\n\
                route add 203.0.119.0/24 via 203.0.110.1 dev c0\nroute add fd09::/64 via fd00::1 dev c0\n";
        place.box_.network.run(|| {
            ip(&format!(
                "link add docker0 address 02:00:00:00:09:01 type veth peer name i0 address 02:00:00:00:09:02 netns {inner_pid}\n"
            ));
        }).unwrap();
        near += "addr add 203.0.119.1/24 dev docker0\naddr add fd09::1/64 dev docker0 nodad\nlink set docker0 up\n\
                 neigh replace 203.0.119.2 lladdr 02:00:00:00:09:02 dev docker0 nud permanent\n\
                 neigh replace fd09::2 lladdr 02:00:00:00:09:02 dev docker0 nud permanent\n";
        let inner = "link set lo up\naddr add 203.0.119.2/24 dev i0\naddr add fd09::2/64 dev i0 nodad\nlink set i0 up\n\
                 neigh replace 203.0.119.1 lladdr 02:00:00:00:09:01 dev i0 nud permanent\n\
                 neigh replace fd09::1 lladdr 02:00:00:00:09:01 dev i0 nud permanent\n\
                 route add default via 203.0.119.1 dev i0\nroute add ::/0 via fd09::1 dev i0\n";
        ip(&far);
        place
            .box_
            .network
            .run(|| {
                for (name, value) in [
                    ("net/ipv4/ip_forward", "1"),
                    ("net/ipv6/conf/all/forwarding", "1"),
                    ("net/ipv4/conf/all/rp_filter", "0"),
                    ("net/ipv4/conf/default/rp_filter", "0"),
                    ("net/ipv4/conf/eth0/rp_filter", "0"),
                    ("net/ipv4/conf/eth1/rp_filter", "0"),
                    // Refusals would only cost time.
                    ("net/ipv4/icmp_ratelimit", "0"),
                ] {
                    std::fs::write(format!("/proc/sys/{name}"), value).unwrap();
                }
                ip(&near);
            })
            .unwrap();
        place.inner.network.run(|| ip(inner)).unwrap();
        place
    }

    pub(crate) fn box_<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.box_.network.run(work).unwrap()
    }

    pub(crate) fn inner<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.inner.network.run(work).unwrap()
    }

    /// Runs a program of the box.
    pub(crate) fn run(&self, program: &str, arguments: &[&str], input: &str) -> Output {
        let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env("PATH", path)
            .env("XTABLES_LOCKFILE", self.locks.path().join("lock"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        self.box_.network.enter(&mut command).unwrap();
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // Whoever refuses its input does not read it to the end.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        child.wait_with_output().unwrap()
    }

    /// The box as the kernel has it.
    pub(crate) fn host(&self) -> Host {
        let listing = self.run("ip", &["-o", "addr", "show"], "");
        let mut interfaces: Vec<HostInterface> = Vec::new();
        for line in String::from_utf8(listing.stdout).unwrap().lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let (name, network) = (words[1], words[3].parse::<IpNet>().unwrap());
            match interfaces.iter_mut().find(|known| known.name == name) {
                Some(known) => known.networks.push(network),
                None => interfaces.push(HostInterface {
                    name: name.into(),
                    networks: vec![network],
                }),
            }
        }
        Host {
            interfaces,
            ..Host::default()
        }
    }
}

/// `ip -batch` in the network of this thread.
fn ip(lines: &str) {
    let mut child = Command::new("ip")
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "{lines}");
}

//! A confirmed change outlasts a restart of the host and of the services that load its rules, and a rollback ends that:
//! with a real systemd as the first process of namespaces of its own, whose `/etc` stays over a restart and is no other's.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::plant::{Ended, PROGRAM, eventually};

/// What the host does before its first process: nothing of it leaves the namespaces.
const BEFORE: &str = r#"
set -e
mount --make-rprivate /
[ -e "$1/etc" ] || cp -a /etc "$1/etc" 2>/dev/null || true
mount --bind "$1/etc" /etc
mount -t tmpfs tmpfs /run
mount -t cgroup2 cgroup2 /sys/fs/cgroup
ip link set lo up
cat >/etc/nftables.conf <<'E'
flush ruleset
table inet plant { chain input { type filter hook input priority 0; tcp dport 23 drop; }; }
E
mkdir -p /etc/systemd/system
printf '[Unit]\nDefaultDependencies=no\nWants=nftables.service\n' >/etc/systemd/system/host.target
export container=portcullis
exec /lib/systemd/systemd --system --unit=host.target --log-target=null --show-status=no
"#;

/// A command that ends by itself. The control group of a first process takes more than a user namespace.
fn as_root(program: &str) -> Command {
    let mut command = Command::new("timeout");
    command.args(["--signal=KILL", "300"]);
    if !nix::unistd::Uid::effective().is_root() {
        command.args(["sudo", "--non-interactive"]);
    }
    command.arg(program);
    command
}

/// A host that runs.
struct Host {
    unshare: Child,
    init: String,
    _alone: MutexGuard<'static, ()>,
}

/// Two hosts at a time would have the same control groups, and each would end what the other one starts there.
static ALONE: Mutex<()> = Mutex::new(());

impl Host {
    /// Starts it; what is written to its `/etc` stays in a folder.
    fn start(disk: &Path) -> Self {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let unshare = as_root("unshare")
            .arg("--kill-child")
            .args([
                "--net", "--pid", "--fork", "--mount", "--uts", "--ipc", "--cgroup",
            ])
            .args(["--mount-proc", "sh", "-c", BEFORE, "sh"])
            .arg(disk)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let child_of = |pid: &str| {
            let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
            children.ok()?.split_whitespace().next().map(str::to_owned)
        };
        let mut host = Self {
            init: String::new(),
            unshare,
            _alone: alone,
        };
        eventually("the first process", Duration::from_secs(20), || {
            let below = std::iter::successors(Some(host.unshare.id().to_string()), |pid| child_of(pid));
            let is_init = |pid: &String| {
                fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "systemd\n")
            };
            host.init = below.take(8).find(is_init).unwrap_or_default();
            !host.init.is_empty()
        });
        eventually("the start of the host", Duration::from_secs(60), || {
            host.shell("systemctl is-system-running && systemctl is-active nftables")
                .code
                == 0
        });
        host
    }

    fn shell(&self, script: &str) -> Ended {
        let mut command = as_root("nsenter");
        // Its root as well: the tests may run below a root of their own.
        command.args(["--target", &self.init, "--root"]);
        command.args(["--net", "--pid", "--mount", "--uts", "--ipc", "--cgroup"]);
        command.args(["sh", "-c", &format!("PATH=$PATH:/usr/sbin:/sbin\n{script}")]);
        command.env_remove("SSH_CONNECTION");
        Ended::of(&mut command)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // Without its first process nothing of the host is left.
        let _ = as_root("kill").args(["-KILL", &self.init]).status();
        let _ = self.unshare.wait();
    }
}

/// The chains of ours that stand in any of the systems.
fn closed(host: &Host) -> String {
    let listed = "{ nft list ruleset; iptables-legacy-save; ip6tables-legacy-save; } 2>/dev/null | grep -cE 'chain \
                  (change_|PORTCULLIS-)|^:PORTCULLIS-'; true";
    host.shell(listed).with(0).stdout.trim().to_owned()
}

#[test]
fn a_confirmed_change_outlasts_a_restart_until_it_is_rolled_back() {
    for (backend, chains) in [("nftables", "1"), ("iptables-nft", "2"), ("iptables-legacy", "2")] {
        let disk = tempfile::tempdir().unwrap();
        let store = disk.path().join("store.sqlite");
        let portcullis = |host: &Host, arguments: &str| {
            host.shell(&format!("{PROGRAM} {arguments} --store {}", store.display()))
        };
        let host = Host::start(disk.path());
        let before = host.shell("ls -R /etc/systemd /etc/portcullis 2>&1").stdout;
        let planned = portcullis(
            &host,
            &format!("plan --port 54321 --preventive --backend {backend}"),
        )
        .with(0);
        let plan = planned
            .stdout
            .split_whitespace()
            .nth(1)
            .unwrap()
            .trim_end_matches(':')
            .to_owned();
        let applied = portcullis(&host, &format!("apply {plan} --trial 60s")).with(0);
        let change = applied
            .stdout
            .split_whitespace()
            .nth(1)
            .unwrap()
            .trim_end_matches(':')
            .to_owned();
        assert_eq!(
            host.shell("ls -R /etc/systemd /etc/portcullis 2>&1").stdout,
            before,
            "{backend}: a trial left something on the disk"
        );
        let confirmed = portcullis(&host, &format!("confirm {change}")).with(0);
        let unit = format!("portcullis-{backend}.service");
        assert!(
            confirmed
                .stdout
                .contains(&format!("{unit} loads it again at every start")),
            "{}",
            confirmed.stdout
        );
        let is_in_force = |host: &Host, after: &str| {
            // The unit runs as soon as the service has ended its own start, not before.
            let what = format!("{backend} after {after}");
            // A reload that comes while the unit still starts is not handed on to it (docs/known-issues.md).
            let is_settled = || host.shell(&format!("systemctl is-active {unit}")).code == 0;
            eventually(&what, Duration::from_secs(30), || {
                closed(host) == chains && is_settled()
            });
            let listed = portcullis(host, "changes").with(0).stdout;
            assert!(listed.contains("confirmed"), "{backend} after {after}: {listed}");
        };
        is_in_force(&host, "confirm");
        for verb in [
            "restart nftables",
            "reload nftables",
            "stop nftables; systemctl start nftables",
        ] {
            host.shell(&format!("systemctl {verb}")).with(0);
            is_in_force(&host, verb);
        }
        host.shell(&format!("systemctl restart {unit} && systemctl reload {unit}"))
            .with(0);
        is_in_force(&host, "its own unit was started twice");
        drop(host);

        let host = Host::start(disk.path());
        is_in_force(&host, "a restart of the host");
        portcullis(&host, &format!("rollback {change}")).with(0);
        assert_eq!(closed(&host), "0", "{backend}");
        assert_eq!(
            host.shell("ls -R /etc/systemd /etc/portcullis 2>&1").stdout,
            before,
            "{backend}: the rollback left something on the disk"
        );
        assert!(
            !host
                .shell(&format!("systemctl cat {unit}"))
                .stdout
                .contains("Portcullis")
        );
        host.shell("systemctl restart nftables").with(0);
        assert_eq!(closed(&host), "0", "{backend}");
    }
}

/// Flushed by somebody, rolled back, restarted: it must not come back.
#[test]
fn what_is_rolled_back_after_a_flush_does_not_come_back_at_the_next_start() {
    let disk = tempfile::tempdir().unwrap();
    let store = disk.path().join("store.sqlite");
    let host = Host::start(disk.path());
    let portcullis = |host: &Host, arguments: &str| {
        host.shell(&format!("{PROGRAM} {arguments} --store {}", store.display()))
    };
    let changed = |port: &str| {
        let planned = portcullis(&host, &format!("plan --port {port} --preventive")).with(0);
        let plan = planned
            .stdout
            .split_whitespace()
            .nth(1)
            .unwrap()
            .trim_end_matches(':')
            .to_owned();
        let applied = portcullis(&host, &format!("apply {plan} --trial 60s")).with(0);
        let change = applied
            .stdout
            .split_whitespace()
            .nth(1)
            .unwrap()
            .trim_end_matches(':')
            .to_owned();
        portcullis(&host, &format!("confirm {change}")).with(0);
        change
    };
    let (gone, stays) = (changed("54321"), changed("4800"));
    host.shell("nft flush ruleset").with(0);
    portcullis(&host, &format!("rollback {gone}")).with(0);
    drop(host);
    let host = Host::start(disk.path());
    assert_eq!(closed(&host), "1");
    let held = host.shell("nft list table inet portcullis").with(0).stdout;
    assert!(held.contains(&stays) && !held.contains(&gone), "{held}");
}

//! Hosts on which nothing of Portcullis is: a real ssh server in front of a host with nftables, and in front of an old box
//! that has busybox and iptables and nothing else.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    time::Duration,
};

use crate::{
    crash,
    managed::{OWN_ETC, UNPACKED},
    plant::{Ended, GATEWAY, GATEWAY_ADDRESS, PROGRAM, Plant, eventually},
};

const OPERATOR: &str = "engineering";
const HOST: &str = "ssh://root@10.7.10.10";

/// What is sent to hold the lock of a host.
const LOCK: &str = include_str!("../../../sys/src/ssh/lock.sh");

/// Notes which process holds the shared connection.
const SSH: &str = r#"#!/bin/sh
case "$*" in *'-M '*) echo $$ >"${0%/*}/counted/master" ;; esac
exec /usr/bin/ssh -F "${0%/*}/config" "$@"
"#;

/// A tool of the host that breaks the connection when it was the so-manyth one to end, if it is told to.
fn counted(place: &str, tool: &str) -> String {
    format!(
        "#!/bin/sh\nstep=$(($(cat {place}/step 2>/dev/null || echo 0) + 1))\necho $step >{place}/step\n\
         PATH=$(echo \"$PATH\" | sed 's#{place}:##') {tool} \"$@\"\ncode=$?\n\
         [ $step = \"$(cat {place}/end 2>/dev/null)\" ] && kill -9 \"$(cat {place}/master)\"\n\
         [ $step = \"$(cat {place}/end_of_shell 2>/dev/null)\" ] && kill -9 $PPID \
         \"$(sed -n 's/^PPid:.//p' /proc/$PPID/status)\"\nexit $code\n"
    )
}

/// The tools of the old box.
const OLD_TOOLS: [&str; 5] = [
    "sh",
    "iptables-save",
    "iptables-restore",
    "ip6tables-save",
    "ip6tables-restore",
];

/// An old box: what `busybox` gives, the older iptables under its plain names, and no `nft`.
const BOX: &str = r#"
set -e
box=$1
mkdir -p "$box/bin" "$box/sbin" "$box/proc" "$box/dev" "$box/run" "$box/tmp" "$box/etc" "$box/lib64"
cp "$2/bin/busybox" "$box/bin/busybox"
for applet in $("$box/bin/busybox" --list); do ln -s busybox "$box/bin/$applet" 2>/dev/null || true; done
tool=$(readlink -f "$(command -v iptables-legacy-restore)")
cp "$tool" "$box/sbin/tool"
for name in iptables ip6tables; do
    for verb in '' -save -restore; do ln -s tool "$box/sbin/$name$verb"; done
done
extensions=$(find /usr/lib /lib -type d -name xtables | head -n 1)
mkdir -p "$box$extensions"
cp "$extensions"/*.so "$box$extensions/"
for library in $(ldd "$tool" "$extensions/libxt_comment.so" | grep -o '/[^ :]*\.so[^ :]*' | grep -v "^$extensions" | sort -u); do
    mkdir -p "$box${library%/*}"
    cp -L "$library" "$box$library"
done
mount --rbind /proc "$box/proc"
mount --rbind /dev "$box/dev"
sed -i 's#^root:\(.*\):[^:]*$#root:\1:/bin/sh#' /etc/passwd
"#;

/// A plant whose gateway is reached over ssh from a computer of the engineers.
struct Reached {
    plant: Plant,
    folder: tempfile::TempDir,
    /// The ruleset of the gateway.
    rules: fn(&Plant) -> String,
    running: Vec<Child>,
}

impl Reached {
    fn up(rules: fn(&Plant) -> String) -> Self {
        let mut reached = Self {
            plant: Plant::up(),
            folder: tempfile::tempdir().unwrap(),
            rules,
            running: Vec::new(),
        };
        // The ssh server wants a user of its own, which a machine without one does not have.
        let user = "grep -q '^sshd:' /etc/passwd || echo 'sshd:x:65533:65534::/run/sshd:/usr/sbin/nologin' >>/etc/passwd";
        reached
            .plant
            .shell(GATEWAY, &format!("{OWN_ETC}; {user}"))
            .with(0);
        let place = reached.file("counted").display().to_string();
        reached.count(&place, &crash::TOOLS);
        reached.server(&format!("SetEnv PATH={place}:/usr/sbin:/usr/bin:/sbin:/bin\n"));
        reached
    }

    /// Has the tools count how often they are called, in a place as the host calls it.
    fn count(&self, place: &str, tools: &[&str]) {
        let folder = self.file("counted");
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).unwrap();
        for tool in tools {
            fs::write(folder.join(tool), counted(place, tool)).unwrap();
            fs::set_permissions(folder.join(tool), fs::Permissions::from_mode(0o755)).unwrap();
        }
    }

    /// With nftables.
    fn modern() -> Self {
        Self::up(|plant| plant.ruleset(GATEWAY))
    }

    /// With iptables of the older kind only.
    fn old() -> Self {
        let mut reached = Self::up(|plant| {
            let saved = "for family in ip ip6; do ${family}tables-legacy-save; done | grep -v '^#' | sed 's/ \\[.*//'";
            plant
                .shell(GATEWAY, &format!("PATH=$PATH:/usr/sbin:/sbin; {saved}"))
                .with(0)
                .stdout
        });
        let place = reached.file("box");
        let made = ["-c", BOX, "sh", &place.display().to_string(), UNPACKED];
        Ended::of(&mut reached.plant.command(GATEWAY, "sh", &made)).with(0);
        // The kernel has the table once it was asked for it, and iptables has no command that takes it away.
        let ask = "PATH=$PATH:/usr/sbin:/sbin; iptables-legacy -t mangle -S && ip6tables-legacy -t mangle -S";
        reached.plant.shell(GATEWAY, ask).with(0);
        // One is there already, without the box.
        reached.plant.shell(GATEWAY, "kill $(cat /run/sshd.pid)").with(0);
        reached.count("/counted", &OLD_TOOLS);
        // Whoever could write to a folder above it could leave it (sshd_config(5), ChrootDirectory).
        let mounted = format!(
            "mkdir {0}/counted && mount --rbind {0} /mnt && mount --bind {1} /mnt/counted",
            place.display(),
            reached.file("counted").display()
        );
        reached.plant.shell(GATEWAY, &mounted).with(0);
        reached.server("ChrootDirectory /mnt\nSetEnv PATH=/counted:/sbin:/bin\n");
        reached
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts the ssh server of the gateway.
    fn server(&mut self, further: &str) {
        let folder = self.folder.path().display().to_string();
        fs::set_permissions(self.folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for key in ["host", "own"] {
            if !self.file(key).exists() {
                let file = self.file(key).display().to_string();
                let made = portcullis_sys::run(
                    "ssh-keygen",
                    &["-q", "-t", "ed25519", "-N", "", "-f", &file],
                    "",
                    Duration::from_secs(30),
                );
                assert!(made.unwrap().success);
            }
        }
        let server = format!(
            "Port 22\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/own.pub\nStrictModes no\nUsePAM no\n\
             PermitRootLogin prohibit-password\nPasswordAuthentication no\nPidFile /run/sshd.pid\n{further}"
        );
        fs::write(self.file("server"), server).unwrap();
        let client = format!(
            "Host *\nIdentityFile {folder}/own\nUserKnownHostsFile {folder}/known\nStrictHostKeyChecking accept-new\n"
        );
        fs::write(self.file("config"), client).unwrap();
        fs::write(self.file("ssh"), SSH).unwrap();
        fs::set_permissions(self.file("ssh"), fs::Permissions::from_mode(0o755)).unwrap();
        let script = format!(
            "mkdir -p /run/sshd && export LD_LIBRARY_PATH=$(echo {UNPACKED}/usr/lib/*-linux-gnu) && exec {UNPACKED}/usr/sbin/sshd -D \
             -f {folder}/server"
        );
        let mut command = self.plant.command(GATEWAY, "sh", &["-c", &script]);
        let quiet = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        self.running.push(quiet.spawn().unwrap());
        let greets = format!(
            "timeout 1 bash -c 'read -r line </dev/tcp/{GATEWAY_ADDRESS}/22 && [ \"${{line%%-*}}\" = SSH ]'"
        );
        eventually("the ssh server greets", Duration::from_secs(20), || {
            self.plant.shell(OPERATOR, &greets).code == 0
        });
    }

    fn rules(&self) -> String {
        (self.rules)(&self.plant)
    }

    /// The program on the operator's computer.
    fn portcullis(&self, arguments: &str) -> Ended {
        let path = format!(
            "PATH={}:/usr/sbin:/usr/bin:/sbin:/bin",
            self.folder.path().display()
        );
        let script = format!("exec '{PROGRAM}' {arguments}");
        Ended::of(&mut self.plant.command(OPERATOR, "env", &[&path, "sh", "-c", &script]))
    }

    fn plan(&self) -> String {
        let planned = self
            .portcullis(&format!("plan --port 54321 --host {HOST}"))
            .with(0);
        second_word(&planned).trim_end_matches(':').to_owned()
    }

    fn apply(&self, trial: &str) -> (String, Ended) {
        let plan = self.plan();
        let applied = self.portcullis(&format!("apply {plan} --trial {trial}")).with(0);
        (second_word(&applied), applied)
    }

    /// Whether the port takes a connection from a computer.
    fn takes(&self, from: &str) -> bool {
        let connect = format!("timeout 1 bash -c 'exec 3<>/dev/tcp/{GATEWAY_ADDRESS}/54321' 2>/dev/null");
        self.plant.shell(from, &connect).code == 0
    }

    /// Nothing of ours runs on the gateway, and nothing was left in the places for such things.
    #[track_caller]
    fn is_clean(&self) {
        let left = "for file in /proc/[0-9]*/cmdline; do [ \"$(readlink ${file%cmdline}ns/net)\" = \"$(readlink \
                    /proc/self/ns/net)\" ] && tr '\\0' ' ' <$file 2>/dev/null | grep -e 'portcullis-[l]ock' -e \
                    'portcullis-[g]uard'; done; ls -d /run/portcullis* /etc/portcullis* 2>/dev/null; true";
        eventually("nothing is left there", Duration::from_secs(10), || {
            self.plant.shell(GATEWAY, left).with(0).stdout.is_empty()
        });
        let boxed = self.file("box");
        if boxed.exists() {
            for place in ["run", "tmp", "etc"] {
                let left: Vec<_> = fs::read_dir(boxed.join(place)).unwrap().collect();
                // The lock file of iptables itself.
                let ours = left.iter().filter(|entry| {
                    !entry
                        .as_ref()
                        .unwrap()
                        .file_name()
                        .to_string_lossy()
                        .starts_with("xtables")
                });
                assert_eq!(ours.count(), 0, "{left:?}");
            }
        }
    }
}

impl Drop for Reached {
    fn drop(&mut self) {
        // Its mounts would keep the folder busy.
        let boxed = self.file("box");
        if Path::new(&boxed).exists() {
            let script = format!("umount -l '{0}/proc' '{0}/dev' /mnt", boxed.display());
            self.plant.shell(GATEWAY, &script);
        }
    }
}

fn second_word(ended: &Ended) -> String {
    ended.stdout.split_whitespace().nth(1).unwrap().to_owned()
}

/// The whole loop, from the plan to the rollback.
fn loop_over(reached: &Reached, backend: &str) {
    let before = reached.rules();
    let planned = reached
        .portcullis(&format!("plan --port 54321 --host {HOST}"))
        .with(0);
    assert!(
        planned
            .stdout
            .contains("on 10.7.10.10 (over ssh://root@10.7.10.10)")
            && planned.stdout.contains(&format!("made in {backend}:")),
        "{}",
        planned.stdout
    );
    assert_eq!(reached.rules(), before, "a plan changes nothing");
    let (change, applied) = reached.apply("60s");
    assert!(
        !reached.takes("office") && reached.takes("engineering"),
        "{}",
        applied.stdout
    );
    let verified = reached.portcullis(&format!("verify {change}")).with(0);
    assert!(
        verified
            .stdout
            .contains("proved closed where it should be: from lab:office, lab:internet"),
        "{}",
        verified.stdout
    );
    // Another connection than the one that applied it, without anybody having to think of it.
    reached.portcullis(&format!("confirm {change}")).with(0);
    let listed = reached.portcullis(&format!("changes --host {HOST}")).with(0);
    assert!(listed.stdout.contains("confirmed"), "{}", listed.stdout);
    let own = reached.portcullis("changes").with(0);
    assert!(
        own.stdout.starts_with("No change was ever made"),
        "{}",
        own.stdout
    );
    reached.portcullis(&format!("rollback {change}")).with(0);
    assert_eq!(reached.rules(), before);
    assert!(reached.takes("office"));
    reached.is_clean();
}

#[test]
fn a_host_with_nftables_is_changed_over_ssh_and_nothing_is_left_there() {
    let reached = Reached::modern();
    let office = reached.plant.hold("office", "10.7.10.10:54321", &[]);
    // By its rules everybody gets in, as the packets say.
    let told = reached
        .portcullis(&format!("reach --port 54321 --from office --host {HOST}"))
        .with(1);
    assert!(told.stdout.contains("let through"), "{}", told.stdout);
    loop_over(&reached, "nftables");
    office.is_cut();
    // Without a store, the kernel of the other host is asked.
    let (change, _) = reached.apply("60s");
    let without = format!("--store /nowhere/at/all rollback {change} --host {HOST}");
    let taken = reached.portcullis(&without).with(3);
    assert!(taken.stdout.contains("is rolled back"), "{}", taken.stdout);
    assert!(reached.takes("office"));
}

#[test]
fn an_old_box_with_busybox_and_iptables_is_changed_over_ssh_and_its_guard_runs_there() {
    let reached = Reached::old();
    let tools = reached.portcullis("doctor");
    assert!(!tools.stdout.is_empty());
    loop_over(&reached, "iptables");
    let before = reached.rules();
    let (change, applied) = reached.apply("5s");
    assert!(
        applied.stdout.contains("then its guard takes it back"),
        "{}",
        applied.stdout
    );
    assert!(!reached.takes("office") && reached.takes("engineering"));
    // Nobody confirms, and no connection is there any more.
    eventually("the guard takes it back", Duration::from_secs(20), || {
        reached.takes("office")
    });
    eventually("the rules are as before", Duration::from_secs(10), || {
        reached.rules() == before
    });
    let listed = reached.portcullis(&format!("changes --host {HOST}")).with(0);
    let line = listed
        .stdout
        .lines()
        .find(|line| line.starts_with(&change))
        .unwrap();
    assert!(line.contains("fell back"), "{line}");
    reached.is_clean();
}

/// Every step in `make crash-firewall`, some of them else.
fn every(else_every: usize) -> usize {
    match std::env::var_os("PORTCULLIS_TEST_CRASHES") {
        Some(_) => 1,
        None => else_every,
    }
}

#[test]
fn a_connection_that_is_lost_in_the_middle_ends_in_the_state_before() {
    for (reached, else_every) in [(Reached::modern(), 11), (Reached::old(), 6)] {
        let before = reached.rules();
        let mut lost = 0;
        // A command calls some dozen tools; the bound is for one that never ends.
        for step in (1..300).step_by(every(else_every)) {
            let plan = reached.plan();
            let _ = fs::remove_file(reached.file("counted/step"));
            fs::write(reached.file("counted/end"), step.to_string()).unwrap();
            let ended = reached.portcullis(&format!("apply {plan} --trial 5s"));
            fs::remove_file(reached.file("counted/end")).unwrap();
            if ended.code == 0 {
                break;
            }
            lost += 1;
            assert!(
                ended.code == 5
                    && ended
                        .stderr
                        .contains("the connection to ssh://root@10.7.10.10 was lost"),
                "at step {step}: {}",
                ended.stderr
            );
            assert!(reached.takes("engineering"), "locked out at step {step}");
            eventually("it is open again", Duration::from_secs(20), || {
                reached.takes("office")
            });
            reached.portcullis(&format!("changes --host {HOST}")).with(0);
            assert_eq!(reached.rules(), before, "after a loss at step {step}");
            reached.is_clean();
        }
        println!("figure connections_lost {lost}");
        assert!(lost >= 3, "it was hardly ever lost");
    }
}

#[test]
fn two_operators_do_not_change_one_host_at_the_same_time() {
    let reached = Reached::modern();
    let plan = reached.plan();
    let held = reached.file("held");
    let script = format!(
        "PATH={folder}:$PATH; {{ printf '{{\\n'; cat {folder}/lock.sh; printf '\\n}}\\n'; sleep 60; }} | \
         ssh root@10.7.10.10 '/bin/sh -s portcullis-lock' >{held}",
        folder = reached.folder.path().display(),
        held = held.display()
    );
    fs::write(reached.file("lock.sh"), LOCK).unwrap();
    let mut other = reached.plant.command(OPERATOR, "sh", &["-c", &script]);
    let mut other = other.stdin(Stdio::null()).spawn().unwrap();
    eventually("the lock is held", Duration::from_secs(20), || {
        fs::read_to_string(&held).is_ok_and(|said| said == "held\n")
    });
    reached
        .portcullis(&format!("apply {plan} --trial 5s"))
        .refused(4, "SY008");
    // Nor does Portcullis on that host itself.
    reached
        .plant
        .portcullis(GATEWAY, &["plan", "--port", "54321"])
        .refused(4, "SY008");
    // One who is heard of no more, as behind a cable that was pulled, holds nobody up.
    eventually("the lock is free", Duration::from_secs(40), || {
        reached
            .plant
            .portcullis(GATEWAY, &["plan", "--port", "54321"])
            .code
            == 0
    });
    let _ = other.kill();
    let _ = other.wait();
    let plan = reached.plan();
    reached.portcullis(&format!("apply {plan} --trial 5s")).with(0);
}

#[test]
fn a_host_that_stops_answering_in_the_middle_is_not_taken_for_one_without_rules() {
    let reached = Reached::modern();
    let (change, _) = reached.apply("60s");
    reached.portcullis(&format!("confirm {change}")).with(0);
    let mut broken = 0;
    for step in (1..100).step_by(every(3)) {
        let _ = fs::remove_file(reached.file("counted/step"));
        fs::write(reached.file("counted/end_of_shell"), step.to_string()).unwrap();
        let listed = reached.portcullis(&format!("changes --host {HOST}"));
        fs::remove_file(reached.file("counted/end_of_shell")).unwrap();
        assert!(
            !listed.stdout.contains("not in force"),
            "at step {step}: {}",
            listed.stdout
        );
        if listed.code == 0 {
            break;
        }
        broken += 1;
        assert!(
            listed.stderr.contains("SY013"),
            "at step {step}: {}",
            listed.stderr
        );
    }
    assert!(broken >= 2, "it was hardly ever broken");
    reached.portcullis(&format!("rollback {change}")).with(0);
}

#[test]
fn who_cannot_be_reached_or_is_no_host_is_told() {
    let reached = Reached::modern();
    let nobody = reached
        .portcullis("plan --port 54321 --host ssh://root@10.7.10.14")
        .refused(5, "SY012");
    assert!(nobody.stderr.contains("refused"), "{}", nobody.stderr);
    let other_key = reached.file("other");
    fs::rename(reached.file("own"), &other_key).unwrap();
    reached
        .portcullis(&format!("plan --port 54321 --host {HOST}"))
        .refused(5, "SY012");
    fs::rename(&other_key, reached.file("own")).unwrap();
    for (arguments, error) in [
        ("plan --port 54321 --host gw", "CL002"),
        ("plan --port 54321 --host ssh://-oProxyCommand=touch", "CL002"),
        ("plan --port 54321 --host 10.7.10.10", "CL005"),
        ("plan --port 54321 --host ssh://a --host ssh://b", "CL005"),
        ("plan --port 54321 --for pf --host ssh://a", "CL005"),
        ("changes --host 10.7.10.10", "CL002"),
    ] {
        reached.portcullis(arguments).refused(2, error);
    }
}

/// The gateway as the place to look from: nothing is needed there but a shell.
#[test]
fn another_host_looks_over_ssh_and_what_it_sees_is_held_against_the_rules() {
    let reached = Reached::modern();
    // The historian of the operator's own computer.
    let look = format!("verify --port 7000 --from {HOST}");
    let open = reached.portcullis(&look).with(1);
    let row = |told: &str| {
        told.lines()
            .find(|line| line.starts_with(HOST) && line.contains("10.7.20.5"))
            .unwrap()
            .to_owned()
    };
    assert!(row(&open.stdout).contains("NOT CLOSED"), "{}", open.stdout);
    let close = "PATH=$PATH:/usr/sbin:/sbin; nft 'add table inet own; add chain inet own in { type filter hook input priority \
                 0; }; add rule inet own in iifname != lo tcp dport 7000 drop'";
    reached.plant.shell(OPERATOR, close).with(0);
    let closed = reached.portcullis(&look).with(0);
    assert!(row(&closed.stdout).contains("proved closed"), "{}", closed.stdout);
    reached
        .portcullis("verify --port 7000 --from ssh://root@10.7.10.10:23")
        .refused(5, "SY012");
}

//! Hosts whose firewall is managed by firewalld or by ufw: the real ones, unpacked and not installed, on a gateway whose
//! `/etc` is its own.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    time::Duration,
};

use crate::{
    backends::GATEWAY6,
    plant::{Ended, GATEWAY, GATEWAY_ADDRESS, PROGRAM, Plant, eventually},
};

/// Where `scripts/setup` has unpacked them.
pub(crate) const UNPACKED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/tools/debian");

/// What is written to `/etc` stays in memory and is the plant's own.
pub(crate) const OWN_ETC: &str = "mkdir -p /run/etc/up /run/etc/work && mount -t overlay overlay -o \
                       lowerdir=/etc,upperdir=/run/etc/up,workdir=/run/etc/work /etc";

const BUS: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path=/run/portcullis-bus</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow own="*"/>
<allow send_type="method_call"/><allow send_type="signal"/><allow send_type="method_return"/><allow send_type="error"/>
<allow receive_type="method_call"/><allow receive_type="signal"/><allow receive_type="method_return"/>
<allow receive_type="error"/></policy></busconfig>
"#;

const ZONE: &str = r#"<?xml version="1.0" encoding="utf-8"?>
<zone><short>Public</short><service name="ssh"/><port port="54321" protocol="tcp"/></zone>
"#;

/// A plant whose gateway is managed.
pub(crate) struct Managed {
    pub(crate) plant: Plant,
    tools: tempfile::TempDir,
    running: Vec<Child>,
}

impl Managed {
    pub(crate) fn up() -> Self {
        let managed = Self {
            plant: Plant::up(),
            tools: tempfile::tempdir().unwrap(),
            running: Vec::new(),
        };
        assert!(
            Path::new(UNPACKED).join("usr/sbin/firewalld").exists(),
            "run scripts/setup: firewalld and ufw are not unpacked"
        );
        managed.shell(OWN_ETC).with(0);
        managed
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.tools.path().join(name)
    }

    /// A program that is found before any other of its name.
    fn program(&self, name: &str, script: &str) {
        let file = self.file(name);
        let modules = format!("{UNPACKED}/usr/lib/python3/dist-packages");
        let script = format!(
            "#!/bin/sh\nexport PYTHONPATH={modules} PYTHONDONTWRITEBYTECODE=1 PYTHONWARNINGS=ignore\n\
             export DBUS_SYSTEM_BUS_ADDRESS=unix:path=/run/portcullis-bus\n{script}\n"
        );
        fs::write(&file, script).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub(crate) fn shell(&self, script: &str) -> Ended {
        let path = format!(
            "PATH={}:/usr/sbin:/usr/bin:/sbin:/bin",
            self.tools.path().display()
        );
        Ended::of(&mut self.plant.command(GATEWAY, "env", &[&path, "sh", "-c", script]))
    }

    pub(crate) fn portcullis(&self, arguments: &str) -> Ended {
        self.shell(&format!("'{PROGRAM}' {arguments}"))
    }

    pub(crate) fn start(&mut self, script: &str) {
        let mut command = self.plant.command(GATEWAY, "sh", &["-c", script]);
        let command = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        self.running.push(command.spawn().unwrap());
    }

    /// Starts firewalld, with a bus of its own.
    pub(crate) fn firewalld(&mut self) {
        fs::write(self.file("bus.conf"), BUS).unwrap();
        fs::write(self.file("public.xml"), ZONE).unwrap();
        self.program(
            "firewall-cmd",
            &format!("exec /usr/bin/python3 {UNPACKED}/usr/bin/firewall-cmd \"$@\""),
        );
        self.program(
            "firewalld",
            &format!(
                "exec /usr/bin/python3 {UNPACKED}/usr/sbin/firewalld --nofork --nopid --default-config \
                 {UNPACKED}/usr/lib/firewalld"
            ),
        );
        let folder = self.tools.path().display().to_string();
        self.shell(&format!(
            "cp -r {UNPACKED}/etc/firewalld /etc/ && cp {folder}/public.xml /etc/firewalld/zones/"
        ))
        .with(0);
        self.start(&format!(
            "exec dbus-daemon --config-file={folder}/bus.conf --nofork --nopidfile"
        ));
        self.start_firewalld();
    }

    fn start_firewalld(&mut self) {
        self.start(&format!("exec {}", self.file("firewalld").display()));
        eventually("firewalld runs", Duration::from_secs(30), || {
            self.shell("firewall-cmd --state").code == 0
        });
    }

    /// Ends firewalld as its service does.
    fn stop_firewalld(&mut self) {
        let found = "for file in /proc/[0-9]*/cmdline; do tr '\\0' ' ' <$file 2>/dev/null | grep -q \
                     'sbin/firewalld --[n]ofork' && pid=${file#/proc/} && kill ${pid%/cmdline}; done; true";
        self.shell(found).with(0);
        eventually("firewalld is gone", Duration::from_secs(30), || {
            self.shell("firewall-cmd --state").code != 0
        });
    }

    /// Enables ufw and lets everybody reach the port.
    pub(crate) fn ufw(&self) {
        let root = self.file("root");
        let shown = root.display();
        self.program(
            "ufw",
            &format!(
                "exec /usr/bin/python3 {UNPACKED}/usr/sbin/ufw --rootdir={shown} --datadir={shown} \"$@\""
            ),
        );
        self.shell(&format!(
            "mkdir -p {shown}/usr/share /etc/ufw/applications.d && ln -s /etc {shown}/etc && \
             ln -s {UNPACKED}/lib {shown}/lib && ln -s {UNPACKED}/usr/share/ufw {shown}/usr/share/ufw && \
             cp {UNPACKED}/usr/share/ufw/*.rules {UNPACKED}/usr/share/ufw/ufw.conf {UNPACKED}/etc/ufw/sysctl.conf /etc/ufw/ && \
             cp {UNPACKED}/usr/share/ufw/*.init /etc/ufw/ && cp {UNPACKED}/etc/default/ufw /etc/default/ && \
             ufw allow 54321/tcp && ufw --force enable"
        ))
        .with(0);
    }

    pub(crate) fn planned(&self, arguments: &str) -> (String, String) {
        let planned = self.portcullis(&format!("plan --port 54321 {arguments}")).with(0);
        let id = planned.stdout.split_whitespace().nth(1).unwrap();
        (id.trim_end_matches(':').to_owned(), planned.stdout)
    }

    fn applied(&self, trial: &str) -> String {
        let (plan, _) = self.planned("");
        let applied = self.portcullis(&format!("apply {plan} --trial {trial}")).with(0);
        applied.stdout.split_whitespace().nth(1).unwrap().to_owned()
    }

    #[track_caller]
    fn is_closed(&self, when: &str) {
        for address in [GATEWAY_ADDRESS, GATEWAY6] {
            assert!(
                !self.plant.answers("office", address, 54321),
                "{when}: {address} is open"
            );
            assert!(
                self.plant.answers("engineering", address, 54321),
                "{when}: {address} is closed to engineering"
            );
        }
        assert!(
            self.plant.answers(GATEWAY, GATEWAY_ADDRESS, 54321),
            "{when}: cut off from itself"
        );
    }

    #[track_caller]
    fn is_listed_as(&self, state: &str, when: &str) {
        let listed = self.portcullis("changes").with(0).stdout;
        assert!(listed.contains(state), "{when}: {listed}");
    }

    fn is_open(&self) -> bool {
        self.plant.answers("office", GATEWAY_ADDRESS, 54321)
    }
}

impl Drop for Managed {
    fn drop(&mut self) {
        for child in &mut self.running {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[test]
fn firewalld_holds_a_trial_and_keeps_what_is_confirmed_until_it_is_rolled_back() {
    let mut host = Managed::up();
    host.firewalld();
    let rules = |host: &Managed| {
        host.shell("firewall-cmd --list-all-zones; firewall-cmd --permanent --get-policies; nft -s list table inet firewalld")
            .with(0)
            .stdout
    };
    let before = rules(&host);
    let (_, text) = host.planned("");
    assert!(text.contains("firewalld governs this host"), "{text}");
    let (_, own) = host.planned("--backend nftables");
    assert!(own.contains("made in nftables, as asked for"), "{own}");
    host.portcullis("plan --port 54321 --backend ufw")
        .refused(2, "FW013");

    let office = host.plant.hold("office", "10.7.10.10:54321", &[]);
    let engineering = host.plant.hold("engineering", "10.7.10.10:54321", &[]);
    host.applied("20s");
    host.is_closed("on trial");
    office.is_cut();
    engineering.is_alive();
    eventually("everything is as it was", Duration::from_secs(60), || {
        rules(&host) == before
    });
    host.is_listed_as("fell back", "after the trial");
    assert!(host.is_open());

    let change = host.applied("60s");
    host.portcullis(&format!("confirm {change}")).with(0);
    host.is_closed("confirmed");
    host.shell("firewall-cmd --reload").with(0);
    host.is_closed("after a reload");
    host.is_listed_as("confirmed", "after a reload");
    host.stop_firewalld();
    host.start_firewalld();
    host.is_closed("after a restart");
    host.is_listed_as("confirmed", "after a restart");
    host.portcullis(&format!("rollback {change}")).with(0);
    assert_eq!(rules(&host), before, "after the rollback");
    host.shell("firewall-cmd --reload").with(0);
    assert_eq!(rules(&host), before, "after the rollback and a reload");
    assert_eq!(host.shell("ls /etc/firewalld/policies").stdout, "");
    assert!(host.is_open());
}

#[test]
fn a_rule_that_somebody_takes_out_of_firewalld_is_noticed() {
    let mut host = Managed::up();
    host.firewalld();
    let change = host.applied("60s");
    let take = "rule=$(firewall-cmd --zone=public --list-rich-rules | grep portcullis | head -n 1) && \
                firewall-cmd --zone=public --remove-rich-rule=\"$rule\"";
    host.shell(take).with(0);
    host.portcullis(&format!("confirm {change}")).refused(4, "OP006");
    host.is_listed_as("not in force", "after a rule was taken out");
    host.portcullis(&format!("rollback {change}")).with(0);
}

#[test]
fn ufw_holds_a_trial_and_keeps_what_is_confirmed_until_it_is_rolled_back() {
    let host = Managed::up();
    host.ufw();
    let rules = |host: &Managed| {
        let saved = "for tool in iptables ip6tables; do $tool-save -t filter | grep -v '^#' | sed 's/ \\[[0-9:]*\\]$//'; done; \
                     cat /etc/ufw/*.rules; ls /etc/ufw";
        host.shell(saved).with(0).stdout
    };
    let before = rules(&host);
    assert!(host.is_open());
    let (_, text) = host.planned("");
    assert!(text.contains("ufw governs this host"), "{text}");

    let office = host.plant.hold("office", "10.7.10.10:54321", &[]);
    let engineering = host.plant.hold("engineering", "10.7.10.10:54321", &[]);
    host.applied("15s");
    host.is_closed("on trial");
    office.is_cut();
    engineering.is_alive();
    eventually("everything is as it was", Duration::from_secs(60), || {
        rules(&host) == before
    });
    host.is_listed_as("fell back", "after the trial");
    assert!(host.is_open());

    let change = host.applied("60s");
    host.portcullis(&format!("confirm {change}")).with(0);
    host.is_closed("confirmed");
    for again in ["ufw reload", "ufw --force disable && ufw --force enable"] {
        host.shell(again).with(0);
        host.is_closed(again);
        host.is_listed_as("confirmed", again);
    }
    host.portcullis(&format!("rollback {change}")).with(0);
    assert_eq!(rules(&host), before, "after the rollback");
    host.shell("ufw reload").with(0);
    assert!(host.is_open());
}

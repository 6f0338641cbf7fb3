//! Killed at any moment and after every step: nobody is locked out, nothing stays by halves, and others keep what is
//! theirs.
//!
//! `make crash-firewall` runs it with 200 moments and every step for each firewall system; without being told, there are
//! a few of both.

use std::{fmt, fs, os::unix::fs::PermissionsExt, thread, time::Duration};

use crate::{
    backends::{GATEWAY6, rules},
    managed::Managed,
    plant::{GATEWAY, GATEWAY_ADDRESS, PROGRAM, eventually},
};

#[derive(Default)]
struct Figures {
    kills: u32,
    locked_out: u32,
    half_applied: u32,
    foreign_changed: u32,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} kills, {} locked out, {} half applied, {} foreign changed",
            self.kills, self.locked_out, self.half_applied, self.foreign_changed
        )
    }
}

const BACKENDS: [&str; 5] = ["nftables", "iptables-nft", "iptables-legacy", "firewalld", "ufw"];
const VERBS: [&str; 3] = ["apply", "confirm", "rollback"];

/// Every program by which Portcullis reads and changes a firewall. Its steps are what it does with one of them.
pub(crate) const TOOLS: [&str; 12] = [
    "sh",
    "nft",
    "iptables-nft-save",
    "iptables-nft-restore",
    "ip6tables-nft-save",
    "ip6tables-nft-restore",
    "iptables-legacy-save",
    "iptables-legacy-restore",
    "ip6tables-legacy-save",
    "ip6tables-legacy-restore",
    "iptables-restore",
    "ip6tables-restore",
];

/// When a command is killed.
#[derive(Clone, Copy)]
enum Moment {
    /// After so many milliseconds.
    After(u32),
    /// When the so-manyth tool that was started has ended.
    Step(u32),
}

/// A host with one firewall system.
struct Host {
    managed: Managed,
    backend: &'static str,
    before: String,
}

impl Host {
    fn up(backend: &'static str) -> Self {
        let mut managed = Managed::up();
        match backend {
            "firewalld" => managed.firewalld(),
            "ufw" => managed.ufw(),
            _ => {}
        }
        let counted = managed.file("counted");
        fs::create_dir(&counted).unwrap();
        for tool in TOOLS {
            let script = format!(
                "#!/bin/sh\ncd '{}'\nstep=$(($(cat step 2>/dev/null || echo 0) + 1))\necho $step >step\n\
                 cd - >/dev/null\nPATH=${{PATH#*:}} {tool} \"$@\"\ncode=$?\n\
                 [ $step = \"$(cat '{}/end' 2>/dev/null)\" ] && kill -9 $PPID\nexit $code\n",
                counted.display(),
                counted.display()
            );
            fs::write(counted.join(tool), script).unwrap();
            fs::set_permissions(counted.join(tool), fs::Permissions::from_mode(0o755)).unwrap();
        }
        let mut host = Self {
            managed,
            backend,
            before: String::new(),
        };
        host.before = host.rules();
        host
    }

    fn rules(&self) -> String {
        let files = "[ ! -e /etc/ufw ] || cat /etc/ufw/*.rules; command -v firewall-cmd >/dev/null && \
                     firewall-cmd --list-all-zones && firewall-cmd --permanent --list-all-policies; true";
        rules(&self.managed.plant) + &self.managed.shell(files).with(0).stdout
    }

    /// Whether a port takes a connection within a second: a whole scan would be the larger part of the matrix.
    fn connects(&self, from: &str, address: &str) -> bool {
        let connect = format!("timeout 1 bash -c 'exec 3<>/dev/tcp/{address}/54321' 2>/dev/null");
        self.managed.plant.shell(from, &connect).code == 0
    }

    /// One command, killed, and what is there afterwards. Whether it was killed: it may have come to its end before.
    fn kill(&self, verb: &str, moment: Moment, figures: &mut Figures) -> bool {
        let options = format!("--backend {}", self.backend);
        // On a busy machine a tool of the killed command may come to its end only now: its trial ends by itself.
        eventually("what was left behind is over", Duration::from_secs(30), || {
            let plan = format!("plan --port 54321 {options}");
            !self.managed.portcullis(&plan).stderr.contains("FW007")
        });
        let (plan, _) = self.managed.planned(&options);
        let subject = if verb == "apply" {
            format!("{plan} --trial 5s")
        } else {
            // On a busy machine firewalld may take longer than the trial, which is then over before it is read back.
            let apply = || self.managed.portcullis(&format!("apply {plan} --trial 8s"));
            let slow = (0..4).map(|_| apply()).find(|applied| applied.code == 0);
            let applied = slow.unwrap_or_else(apply).with(0);
            applied.stdout.split_whitespace().nth(1).unwrap().to_owned()
        };
        let command = format!("'{PROGRAM}' {verb} {subject} >/dev/null 2>&1");
        let script = match moment {
            Moment::After(milliseconds) => format!(
                "{command} & sleep {}; kill -9 $!; wait $! 2>/dev/null; echo $?",
                f64::from(milliseconds) / 1000.0
            ),
            Moment::Step(step) => {
                let counted = self.managed.file("counted").display().to_string();
                format!(
                    "rm -f {counted}/step; echo {step} >{counted}/end; (PATH={counted}:$PATH; exec {command}); echo $?; \
                     rm -f {counted}/end"
                )
            }
        };
        let ended = self.managed.shell(&script);
        let killed = ended.stdout.trim() == "137";
        figures.kills += u32::from(killed);
        // What was started before the kill may still come to its end.
        thread::sleep(Duration::from_millis(500));
        if !self.connects("engineering", GATEWAY_ADDRESS) || !self.connects(GATEWAY, GATEWAY_ADDRESS) {
            figures.locked_out += 1;
        }
        // One family may have been looked at before the trial ended and the other after, or, on a busy machine, before what was
        // started has come to its end.
        let differ = || {
            let [v4, v6] = [GATEWAY_ADDRESS, GATEWAY6].map(|address| self.connects("office", address));
            v4 != v6
        };
        if (0..3).all(|_| differ()) {
            figures.half_applied += 1;
        }
        self.comes_back(figures);
        killed
    }

    /// After the time of the trial and the next command the ruleset is the one before.
    fn comes_back(&self, figures: &mut Figures) {
        thread::sleep(Duration::from_secs(6));
        let mut after = String::new();
        // A guard that has to ask a busy machine may need a moment more than its time.
        for _ in 0..10 {
            let listed = self.managed.portcullis("changes --format jsonl").with(0);
            let confirmed = listed
                .stdout
                .lines()
                .filter(|line| line.contains("\"state\":\"confirmed\""));
            for line in confirmed {
                let id = line
                    .split("\"id\":\"")
                    .nth(1)
                    .and_then(|rest| rest.split('"').next())
                    .unwrap();
                self.managed.portcullis(&format!("rollback {id}")).with(0);
            }
            after = self.rules();
            if after == self.before {
                return;
            }
            thread::sleep(Duration::from_secs(1));
        }
        if after.to_lowercase().contains("portcullis") {
            figures.half_applied += 1;
        } else {
            figures.foreign_changed += 1;
        }
        println!("{}: before\n{}\nafter\n{after}", self.backend, self.before);
    }
}

/// How many random moments, and which of the steps.
fn matrix(backend: &'static str, moments: u32, every: u32) -> Figures {
    let host = Host::up(backend);
    let mut figures = Figures::default();
    for (moment, verb) in (0..moments).zip(VERBS.into_iter().cycle()) {
        // Spread over the second that a command takes at most, each at another place.
        host.kill(verb, Moment::After(5 + (moment * 37 + 11) % 400), &mut figures);
        if moment % 50 == 49 {
            println!("{backend}, after {} moments: {figures}", moment + 1);
        }
    }
    for (offset, verb) in (0..).zip(VERBS) {
        // A command starts some dozen tools; the bound is for one that never ends.
        for step in (1 + offset..100).step_by(every as usize) {
            if !host.kill(verb, Moment::Step(step), &mut figures) {
                break;
            }
        }
    }
    println!("{backend}: {figures}");
    figures
}

#[test]
fn killed_at_any_moment_and_after_every_step_in_any_firewall_system() {
    let asked = std::env::var("PORTCULLIS_TEST_CRASHES").ok();
    let asked: Option<u32> = asked.and_then(|moments| moments.parse().ok());
    let (moments, every) = asked.map_or((2, 29), |moments| (moments, 1));
    let running = BACKENDS.map(|backend| thread::spawn(move || matrix(backend, moments, every)));
    let all = running.map(|matrix| matrix.join().unwrap());
    let sum = |of: fn(&Figures) -> u32| all.iter().map(of).sum::<u32>();
    for (name, value) in [
        ("kills", sum(|figures| figures.kills)),
        ("locked_out", sum(|figures| figures.locked_out)),
        ("half_applied", sum(|figures| figures.half_applied)),
        ("foreign_changed", sum(|figures| figures.foreign_changed)),
    ] {
        println!("figure {name} {value}");
    }
    assert!(
        sum(|figures| figures.kills) >= 5 * 3,
        "hardly anything was killed"
    );
    assert_eq!(
        sum(|figures| figures.locked_out + figures.half_applied + figures.foreign_changed),
        0
    );
}

//! The playbooks are read by Ansible itself, and what it would run on a host is what the plain texts say.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot read its playbook has failed"
)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

use portcullis_firewall::dialect::{Dialect, Order, write};

/// Prints the shell texts of all tasks, as Ansible reads them, each with an end of its own.
const COMMANDS: &str = r#"
import sys
from ansible.parsing.dataloader import DataLoader

def tasks(of):
    for task in of:
        yield from tasks(task.get("block", []))
        yield task

for play in DataLoader().load_from_file(sys.argv[1]):
    for task in tasks(play["tasks"]):
        command = task.get("ansible.builtin.shell", {}).get("cmd")
        if command:
            print(command.rstrip("\n"), end="\n\0")
"#;

/// Runs a program of the virtual environment that `scripts/setup` makes, on a playbook.
fn run(name: &str, arguments: &[&str], playbook: &str) -> Output {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let program: PathBuf = root.join("target/tools/ansible/bin").join(name);
    assert!(
        program.exists(),
        "{} is missing: run scripts/setup",
        program.display()
    );
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("playbook.yml");
    fs::write(&file, playbook).unwrap();
    Command::new(&program)
        .args(arguments)
        .arg(&file)
        .env("ANSIBLE_HOME", folder.path())
        .env("LC_ALL", "C.UTF-8")
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn orders() -> Vec<Order> {
    let order = |port: &str, allow: &[&str], assets: &[&str]| Order {
        tag: "3f2a91".into(),
        port: port.parse().unwrap(),
        allow: allow
            .iter()
            .map(|text| text.parse::<ipnet::IpNet>().unwrap())
            .collect(),
        assets: assets.iter().map(|text| text.parse().unwrap()).collect(),
        trial: Duration::from_secs(120),
    };
    vec![
        order("tcp/54321", &["10.7.20.0/24", "2001:db8:7:20::/64"], &[]),
        order("tcp/54321", &[], &[]),
        order("udp/4800", &["0.0.0.0/0"], &["192.0.2.9", "2001:db8:7::9"]),
    ]
}

#[test]
fn the_playbooks_pass_the_syntax_check_of_ansible() {
    let check = |playbook: &str| {
        run(
            "ansible-playbook",
            &["--syntax-check", "--inventory", "portcullis,"],
            playbook,
        )
    };
    for order in orders() {
        let checked = check(&write(Dialect::Ansible, &order).unwrap().to_string());
        assert!(checked.status.success(), "{}", said(&checked));
    }
    let checked = check("---\n- hosts: all\n  tasks:\n    - ansible.builtin.no_such_module: {}\n");
    assert!(!checked.status.success(), "a module that there is not passed");
}

#[test]
fn the_commands_of_the_playbooks_are_those_of_the_plain_texts() {
    for order in orders() {
        let playbook = write(Dialect::Ansible, &order).unwrap().to_string();
        let read = run("python", &["-c", COMMANDS], &playbook);
        assert!(read.status.success(), "{}", said(&read));
        let commands = String::from_utf8(read.stdout).unwrap();
        let plain: String = [Dialect::Nftables, Dialect::Iptables]
            .map(|dialect| write(dialect, &order).unwrap().to_string())
            .concat();
        let mut of_rules = 0;
        for command in commands.split_terminator('\0') {
            let checked = Command::new("sh").args(["-n", "-c", command]).output().unwrap();
            assert!(checked.status.success() && checked.stderr.is_empty(), "{command}");
            if command != "command -v nft\n" {
                of_rules += 1;
                let command = command.trim_start_matches("! ").trim_end();
                assert!(plain.contains(command), "not in the plain texts:\n{command}");
            }
        }
        assert!(of_rules >= 10, "only {of_rules} commands were read");
    }
}

//! An Ansible playbook for Linux hosts, with modules of ansible-core only. Its tasks are the plain texts of nftables and
//! of iptables, one for each host by what is installed there.
//!
//! The guard is on the host: the kernel with nftables, a process with iptables. The change itself is an asynchronous job,
//! which goes on when it cuts the connection of the controller, and its result is asked for over a new connection.

use portcullis_model::BackendName;

use super::{Document, Order, Step, joined, plain, prove};
use crate::{
    act::{Act, Acts},
    backend,
};

/// The two systems, and when each is taken.
const SYSTEMS: [(BackendName, &str); 2] = [
    (BackendName::Nftables, "nft.rc == 0"),
    (BackendName::IptablesNft, "nft.rc != 0"),
];

pub(super) fn document(order: &Order) -> Document {
    let mut document = Document::new("#");
    let tag = &order.tag;
    document
        .begin(Step::Before, &format!("an inventory with the group portcullis_{tag}"))
        .say(
            "The group holds the hosts on which the rules are made. Nothing here names a host, so that the playbook does \
             nothing where the group is not there. Store this whole text as one file, and run it step by step:",
        )
        .write_as_comment(format!(
            "ansible-playbook portcullis-{tag}.yml --tags apply\nansible-playbook portcullis-{tag}.yml --tags check\n\
             ansible-playbook portcullis-{tag}.yml --tags confirm\nansible-playbook portcullis-{tag}.yml --tags rollback"
        ))
        .say("Without tags it applies and checks.");
    if !order.assets.is_empty() {
        document.say(&format!(
            "The rules are for hosts behind those of the group: {}.",
            joined(&order.assets, ", ")
        ));
    }
    document.write("---");
    document
        .begin(Step::Apply, "on trial")
        .say(&format!(
            "The trial ends by itself after {} s, on each host for itself. Confirm in that time.",
            order.seconds()
        ))
        .say(&format!(
            "Where it stops at \"no other change of Portcullis is there\": with nftables and an empty `ports_{tag}` an expired \
             trial of this change is left, so run rollback first. Otherwise use Portcullis itself on that host.",
        ))
        .write(play(order, "close the port on trial", "[apply]", &apply(order)));
    document
        .begin(Step::Check, "the rules in force")
        .say(&prove(order))
        .write(play(
            order,
            "show the rules in force",
            "[check]",
            &each(|name| show(name, order)),
        ));
    document
        .begin(Step::Confirm, "while the trial runs")
        .say(
            "A failure means that the trial was over: the port is OPEN. Roll back, then start again with apply. NOT \
             permanent yet: the rules are gone with a restart. The unit that loads them again is shown in CONFIRM of \
             `portcullis plan --for nftables`, and of `--for iptables` for hosts on which there is no `nft`.",
        )
        .write(play(
            order,
            "make the trial permanent",
            "[confirm, never]",
            &each(|name| tasks(&plain::keep(order, backend::of(name))) + &show(name, order)),
        ))
        .say(
            "With nftables the port must be there without a timeout; with iptables no comment may end with `trial`, and \
             each family that is closed must be there.",
        );
    document
        .begin(Step::Rollback, "only what this change made")
        .write(play(
            order,
            "take the change back",
            "[rollback, never]",
            &each(|name| task("do it", &plain::rollback(order, name), &[])),
        ));
    document.unverified(&[
        "a run against hosts; the playbook passes `ansible-playbook --syntax-check`, and the rules are loaded and measured \
         in Portcullis' own tests",
        "hosts whose iptables is of the older kind: write `-legacy-` for `-nft-`",
    ]);
    document
}

fn play(order: &Order, name: &str, tags: &str, tasks: &str) -> String {
    format!(
        "- name: \"portcullis {tag}: {name}\"
  hosts: portcullis_{tag}
  become: true
  gather_facts: false
  any_errors_fatal: true
  tags: {tags}
  tasks:
    - name: whether nftables is there
      ansible.builtin.shell:
        cmd: command -v nft
      register: nft
      failed_when: false
      changed_when: false
{tasks}",
        tag = order.tag
    )
}

fn apply(order: &Order) -> String {
    let mut text = each(|name| {
        let Acts(mut acts) = plain::load(order, backend::of(name));
        let change = acts.pop();
        let mut text = task(
            "no other change of Portcullis is there",
            &plain::not_there(name, &order.tag),
            &["changed_when: false"],
        );
        for guard in acts {
            text.push_str(&task("the guard runs", &guard.to_string(), &[]));
        }
        if let Some(change) = change {
            let register = format!("register: {}", job(name));
            text.push_str(&task(
                "close the port",
                &change.to_string(),
                &["async: 60", "poll: 0", &register],
            ));
        }
        text
    });
    text.push_str(
        "    - name: a new connection
      ansible.builtin.meta: reset_connection
    - name: the controller still gets through
      ansible.builtin.wait_for_connection:
        timeout: 30
",
    );
    for (name, when) in SYSTEMS {
        text.push_str(&format!(
            "    - name: \"{name}: the change was made\"
      when: {when}
      ansible.builtin.async_status:
        jid: \"{{{{ {job}.ansible_job_id }}}}\"
      register: {job}_done
      until: {job}_done.finished
      retries: 30
      delay: 1
",
            job = job(name)
        ));
    }
    text
}

fn job(name: BackendName) -> &'static str {
    match name {
        BackendName::Nftables => "job_nftables",
        _ => "job_iptables",
    }
}

/// The rules as they are.
fn show(name: BackendName, order: &Order) -> String {
    let listed = task(
        "list the rules",
        &plain::check(name, &order.tag),
        &["register: rules", "changed_when: false"],
    );
    listed
        + "        - name: show them\n          ansible.builtin.debug:\n            var: rules.stdout_lines\n"
}

/// A block of tasks for each system.
fn each(tasks: impl Fn(BackendName) -> String) -> String {
    SYSTEMS
        .iter()
        .map(|(name, when)| {
            format!(
                "    - name: with {name}\n      when: {when}\n      block:\n{}",
                tasks(*name)
            )
        })
        .collect()
}

/// A task of a block that runs a shell text. `!unsafe` keeps Ansible from looking for its own braces in it.
fn task(name: &str, command: &str, further: &[&str]) -> String {
    let lines: String = command
        .trim_end()
        .lines()
        .map(|line| format!("              {line}").trim_end().to_owned() + "\n")
        .collect();
    let further: String = further.iter().map(|line| format!("          {line}\n")).collect();
    format!(
        "        - name: {name}\n          ansible.builtin.shell:\n            cmd: !unsafe |\n{lines}{further}"
    )
}

/// A task for each act.
fn tasks(acts: &Acts) -> String {
    let act = |act: &Act| task("do it", &act.to_string(), &[]);
    acts.0.iter().map(act).collect()
}

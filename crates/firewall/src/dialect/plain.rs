//! nftables and iptables as plain text: what our own backends would do, for a host on which Portcullis is not run.

use portcullis_model::BackendName;

use super::{Document, Order, Step, prove};
use crate::{
    act::{Act, Acts},
    backend::{self, Backend, DeadMan, Lasting},
    boot, guard,
    iptables::Iptables,
    own::Own,
};

pub(super) fn document(order: &Order, name: BackendName) -> Document {
    let mut document = Document::new("#");
    let backend = backend::of(name);
    before(order, name, &mut document);
    apply(order, name, &mut document);
    document
        .begin(
            Step::Check,
            "the rules, their counters, and the time that is left",
        )
        .write(check(name, &order.tag))
        .say(&prove(order));
    confirm(order, name, backend, &mut document);
    document
        .begin(Step::Rollback, "only what this change made, on trial or confirmed")
        .write(rollback(order, name))
        .say("Never load a dump of the whole ruleset back: it also takes back, or doubles, what others did since.");
    document.unverified(&[
        "the version of the tools on this host; the same rules are loaded and measured in Portcullis' own tests",
    ]);
    document
}

fn before(order: &Order, name: BackendName, document: &mut Document) {
    document.begin(Step::Before, "in a POSIX shell, as root");
    match name {
        BackendName::Nftables => {
            document.write("nft list table inet portcullis").say(&format!(
                "It must say that there is no such table. When it is an expired trial of this change (`ports_{}` is \
                 empty, and no other `change_` is there): ROLLBACK first. Otherwise Portcullis has closed another port \
                 here: use Portcullis itself on this host.",
                order.tag
            ));
        }
        _ => {
            document
                .write(format!(
                    "iptables -V\n{}",
                    saves(name)
                        .map(|save| format!("{save} | grep {}", order.tag))
                        .join("\n")
                ))
                .say(
                    "The last two lines must print nothing; what is left of a trial of this change goes with ROLLBACK. \
                     Where the version says \"legacy\", write `-legacy-` for `-nft-` everywhere. Where older tools know \
                     neither, write `iptables-` for `iptables-nft-` and `ip6tables-` for `ip6tables-nft-`.",
                );
        }
    }
    if order.assets.is_empty() {
        document.say(
            "This closes the port of this host only. Where the host passes the port on to a container or another host, \
             name the address there as well.",
        );
    } else {
        document.say(
            "This closes the port of hosts behind this one: it must be the way on which they are reached.",
        );
    }
}

fn apply(order: &Order, name: BackendName, document: &mut Document) {
    let backend = backend::of(name);
    document
        .begin(Step::Apply, "on trial")
        .say(match backend.dead_man() {
            DeadMan::Kernel => {
                "The kernel itself forgets the port when the trial is over. The table stays behind and drops nothing \
                 then: ROLLBACK takes it away."
            }
            DeadMan::Guard => {
                "The guard comes first: it takes everything back when the trial is over. Where it does not start, nothing \
                 else is done."
            }
        })
        .say(&format!(
            "Connections to the port{} are cut at once, also existing ones. The host's own connections to others, and \
             those to itself, are not affected.",
            if order.allows() {
                " from outside the allowed sources"
            } else {
                ""
            }
        ));
    let Acts(acts) = load(order, backend);
    let change = acts.iter().map(|act| act.to_string()).collect::<Vec<_>>();
    let before = match name {
        BackendName::Nftables => format!("{} >/dev/null 2>&1 && ", not_there(name, &order.tag)),
        _ => format!("{} && ", not_there(name, &order.tag)),
    };
    document.write(format!(
        "{before}{} || echo 'the change was not made, or not whole: look with BEFORE, then ROLLBACK' >&2",
        chained(&change)
    ));
}

fn confirm(order: &Order, name: BackendName, backend: &dyn Backend, document: &mut Document) {
    let acts: Vec<String> = keep(order, backend).0.iter().map(Act::to_string).collect();
    document
        .begin(Step::Confirm, "from a new session, while the trial runs")
        .write(format!(
            "{} || echo 'the trial was over: the port is OPEN. ROLLBACK, then start again at APPLY.' >&2",
            chained(&acts)
        ));
    match name {
        BackendName::Nftables => document
            .write(format!("nft list set inet portcullis ports_{}", order.tag))
            .say("It must show the port without a timeout."),
        _ => document.write(check(name, &order.tag)).say(
            "Each family that is closed must show its rules, and no comment may end with `trial`; otherwise ROLLBACK, \
             and start again at APPLY.",
        ),
    };
    if let Lasting::Script(script) = backend.lasting(&order.closing()) {
        document
            .say(
                "NOT permanent yet: the rules are gone with a restart, and nftables.service flushes them when it is \
                 restarted. With systemd this unit loads them again; without it have the first file run at each start, \
                 after the host's own rules were loaded:",
            )
            .write(boot::install(name, &order.tag, script).to_string())
            .write(format!("systemctl is-enabled {}", boot::Unit(name).name()));
    }
}

/// What loads the change on trial, the guard first where there is one.
pub(super) fn load(order: &Order, backend: &dyn Backend) -> Acts {
    let trial = std::time::Duration::from_secs(order.seconds());
    unfolded(&backend.load(&order.closing(), Some(trial), &Own::default()))
}

/// What makes the trial permanent.
pub(super) fn keep(order: &Order, backend: &dyn Backend) -> Acts {
    unfolded(&backend.keep(&order.closing()))
}

/// Takes the change back, on trial or confirmed. What loads it again goes only when nothing of it is left.
pub(super) fn rollback(order: &Order, name: BackendName) -> String {
    let tag = &order.tag;
    let forget = boot::remove(name, tag);
    let of_iptables = match name {
        BackendName::IptablesNft => Iptables::Nft,
        BackendName::IptablesLegacy => Iptables::Legacy,
        _ => {
            return format!(
                "if nft list table inet portcullis 2>/dev/null | grep 'chain change_' | grep -v {tag}; then\necho 'the table \
                 holds another change too: use `portcullis rollback` here' >&2; false\nelse\nnft delete table inet \
                 portcullis\n! nft list table inet portcullis 2>/dev/null && {forget}fi\n"
            );
        }
    };
    format!(
        "{{\n{}}} 2>/dev/null\nif {{ {}; }} | grep {tag}; then\necho 'this is left: nothing else was done' >&2; \
         false\nelse\n{}\n{forget}fi\n",
        of_iptables.undo(&order.closing()),
        saves(name).join("; "),
        unfolded(&guard::end(tag).into()).to_string().trim_end(),
    )
}

/// Succeeds when nothing of a change is there.
pub(super) fn not_there(name: BackendName, tag: &str) -> String {
    match name {
        BackendName::Nftables => "! nft list table inet portcullis".into(),
        _ => format!("! {{ {}; }} | grep {tag}", saves(name).join("; ")),
    }
}

/// Prints what is in force in both families.
fn saves(name: BackendName) -> [String; 2] {
    ["iptables", "ip6tables"].map(|tool| format!("{tool}{}-save -t mangle", suffix(name)))
}

fn suffix(name: BackendName) -> &'static str {
    match name {
        BackendName::IptablesNft => "-nft",
        BackendName::IptablesLegacy => "-legacy",
        _ => "",
    }
}

pub(super) fn check(name: BackendName, tag: &str) -> String {
    match name {
        BackendName::Nftables => "nft list table inet portcullis".into(),
        _ => ["iptables", "ip6tables"]
            .map(|tool| format!("{tool}{}-save -c -t mangle | grep {tag}", suffix(name)))
            .join("\n"),
    }
}

/// Commands of which each is run only when the one before has succeeded.
fn chained(commands: &[String]) -> String {
    let braced = |command: &String| match command.starts_with("{\n") {
        true => command.trim_end().to_owned(),
        false => format!("{{\n{}\n}}", command.trim_end()),
    };
    commands.iter().map(braced).collect::<Vec<_>>().join(" && ")
}

/// What is only told where Portcullis runs it is written out here: a remark would start no guard.
///
/// What is shown line by line is joined here: a shell that was pasted into goes on after an error.
fn unfolded(acts: &Acts) -> Acts {
    let whole = |act: &Act| {
        let told = act.shown.as_ref().is_some_and(|shown| shown.starts_with('#'));
        Act {
            shown: act
                .shown
                .clone()
                .filter(|_| !told)
                .map(|shown| joined_scripts(&shown)),
            ..act.clone()
        }
    };
    Acts(acts.0.iter().map(whole).collect())
}

/// Calls that each read a script (`<<'END'`), one after the other only as long as they succeed.
fn joined_scripts(shown: &str) -> String {
    const END: &str = "\nEND\n";
    let shown = format!("{}\n", shown.trim_end());
    let scripts: Vec<String> = shown.split_inclusive(END).map(str::to_owned).collect();
    match scripts.as_slice() {
        [_] => shown,
        scripts => chained(scripts),
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;
    use crate::dialect::{Dialect, tests::orders, write};

    const DIALECTS: [Dialect; 2] = [Dialect::Nftables, Dialect::Iptables];

    proptest! {
        /// CONFIRM renames the entries: a rollback that knows their old names alone is refused, and all of them stay.
        #[test]
        fn rollback_takes_out_the_entries_of_the_trial_and_the_kept_ones(order in orders()) {
            let Ok(document) = write(Dialect::Iptables, &order) else { return Ok(()) };
            let apply = document.text(Step::Apply);
            let confirm = document.text(Step::Confirm);
            let rollback = document.text(Step::Rollback);
            let entered = |text: &str| -> Vec<String> {
                let entries = text.lines().filter(|line| line.starts_with("-I "));
                entries.map(|line| line.replacen("-I ", "-D ", 1).replacen(" 1 ", " ", 1)).collect()
            };
            let (trial, kept) = (entered(&apply), entered(&confirm));
            prop_assert!(!trial.is_empty() && !kept.is_empty());
            for entry in trial.iter().chain(&kept) {
                prop_assert!(rollback.lines().any(|line| line == entry), "{}", entry);
            }
        }

        /// Each family and the guard before it: nothing is loaded when what comes before was refused.
        #[test]
        fn what_depends_on_another_line_is_joined_to_it(order in orders()) {
            let Ok(document) = write(Dialect::Iptables, &order) else { return Ok(()) };
            for (step, more) in [(Step::Apply, "then ROLLBACK' >&2"), (Step::Confirm, "again at APPLY.' >&2")] {
                let text = document.text(step);
                let (joined, _) = text.split_once(more).unwrap();
                let loads = joined.matches("-nft-restore -w 5 --noflush <<'END'").count();
                let closed = if order.assets.iter().any(std::net::IpAddr::is_ipv4)
                    && order.assets.iter().any(std::net::IpAddr::is_ipv6) { 2 } else { 1 };
                prop_assert_eq!(loads, closed);
                prop_assert_eq!(joined.matches("\n} && {\n").count(), closed, "{}", joined);
            }
        }

        #[test]
        fn every_step_is_understood_by_a_shell(order in orders(), dialect in 0..2_usize) {
            let Ok(document) = write(DIALECTS[dialect], &order) else { return Ok(()) };
            let checked = Command::new("sh").args(["-n", "-c", &document.to_string()]).output().unwrap();
            prop_assert!(checked.status.success() && checked.stderr.is_empty(), "{:?}\n{}", checked, document);
        }
    }
}

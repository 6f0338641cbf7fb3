//! nftables and iptables as plain text: what our own backends would do, for a host on which Portcullis is not run.

use portcullis_model::BackendName;

use super::{Document, Order, Step, prove};
use crate::{
    act::{Act, Acts},
    backend::{self, Backend, DeadMan, Lasting},
    own::Own,
};

pub(super) fn document(order: &Order, name: BackendName) -> Document {
    let mut document = Document::new("#");
    let backend = backend::of(name);
    before(order, name, &mut document);
    document.begin(Step::Apply, "on trial");
    document.say(match backend.dead_man() {
        DeadMan::Kernel => {
            "The kernel itself forgets the port when the trial is over. The chain stays behind and drops nothing then."
        }
        DeadMan::Guard => {
            "The guard comes first: it takes everything back when the trial is over. Where it does not start, stop."
        }
    });
    document
        .say(
            "Connections from hosts that are not let through are cut at once, also those that stand. The host's own \
             connections to others, and those to itself, are not concerned.",
        )
        .write(load(order, backend).to_string());
    document
        .begin(
            Step::Check,
            "the rules, their counters, and the time that is left",
        )
        .write(check(name, &order.tag))
        .say(&prove(order));
    document
        .begin(Step::Confirm, "from a new session, while the trial runs")
        .write(unfolded(&backend.keep(&order.closing())).to_string())
        .say("An error means that the trial was over: the port is open as before.");
    if let Lasting::Script(script) = backend.lasting(&order.closing()) {
        let file = format!("/etc/portcullis-{}.sh", order.tag);
        document
            .say(
                "These rules are gone with a restart, and nftables.service flushes them when it is restarted. So that \
                 they come back, have this script run at each start after the host's own rules were loaded:",
            )
            .write(Act::reading("tee", &[&file], script).to_string());
    }
    let file = format!("/etc/portcullis-{}.sh", order.tag);
    document
        .begin(Step::Rollback, "only what this change made")
        .write(rollback(order, backend).to_string())
        .write(Act::new("rm", &["-f", &file]).to_string())
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
            document.write("nft list table inet portcullis").say(
                "It must say that there is no such table. Otherwise Portcullis has closed another port here, and the \
                 next step would replace it: use Portcullis itself on this host.",
            );
        }
        _ => {
            document
                .write("iptables -V\niptables-nft-save -t mangle | grep PORTCULLIS")
                .say(
                    "Where the version says \"legacy\", write `-legacy-` for `-nft-` everywhere. Where older tools know \
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

/// What loads the change on trial, the guard first where there is one.
pub(super) fn load(order: &Order, backend: &dyn Backend) -> Acts {
    let trial = std::time::Duration::from_secs(order.seconds());
    unfolded(&backend.load(&order.closing(), Some(trial), &Own::default()))
}

/// What makes the trial permanent.
pub(super) fn keep(order: &Order, backend: &dyn Backend) -> Acts {
    unfolded(&backend.keep(&order.closing()))
}

/// What takes the change back, on trial or confirmed.
pub(super) fn rollback(order: &Order, backend: &dyn Backend) -> Acts {
    backend.inverse(&order.closing(), &Own::default())
}

pub(super) fn check(name: BackendName, tag: &str) -> String {
    let saved = |suffix: &str, table: &str| {
        let of = |tool: &str| format!("{tool}{suffix}-save -c -t {table} | grep {tag}");
        format!("{}\n{}", of("iptables"), of("ip6tables"))
    };
    match name {
        BackendName::Nftables => "nft list table inet portcullis".into(),
        BackendName::IptablesNft => saved("-nft", "mangle"),
        BackendName::IptablesLegacy | BackendName::Iptables => saved("-legacy", "mangle"),
        BackendName::Ufw => saved("", "filter"),
        BackendName::Firewalld => format!("firewall-cmd --list-all-zones | grep {tag}"),
    }
}

/// What is only told where Portcullis runs it is written out here: a remark would start no guard.
fn unfolded(acts: &Acts) -> Acts {
    let whole = |act: &Act| {
        let told = act.shown.as_ref().is_some_and(|shown| shown.starts_with('#'));
        Act {
            shown: act.shown.clone().filter(|_| !told),
            ..act.clone()
        }
    };
    Acts(acts.0.iter().map(whole).collect())
}

//! firewalld: rich rules (firewalld.richlanguage(5)); the daemon itself ends the trial (`--timeout`, firewall-cmd(1)).

use super::{Document, Family, Order, Step, prove, ufw::conntrack};

/// Priorities of the accepting rules; the dropping ones have the next. Lower comes first.
const TRIAL: i32 = -101;
const KEPT: i32 = -103;

/// All zones that an interface or a source is in.
const ZONES: &str = "zones=$({ firewall-cmd --get-active-zones | awk '/^[^ ]/ { print $1 }'; firewall-cmd \
     --get-default-zone; } | sort -u)\n: \"${zones:?firewalld does not answer}\"";

pub(super) fn document(order: &Order) -> Document {
    let mut document = Document::new("#");
    let of_host = order.assets.is_empty();
    before(order, &mut document);
    apply(order, &mut document);
    document
        .begin(Step::Check, "the rules in force")
        .script(format!("{}{}", places(order), each(order, "--list-rich-rules")))
        .say(&prove(order));
    confirm(order, &mut document);
    rollback(order, &mut document);
    document.unverified(&[
        "the whole text on a host; the form of the rules was read by firewalld 1.3.3",
        "`conntrack`, which is a package of its own",
    ]);
    if !of_host {
        document.unverified(&["`--timeout` for a rule of a policy, and a policy from ANY to ANY"]);
    }
    document
}

fn policy(order: &Order) -> String {
    format!("pc-{}", order.tag)
}

/// Sets what the loops of a step go over: a step may come into a shell that has seen none of the others.
fn places(order: &Order) -> String {
    if order.assets.is_empty() {
        format!("{ZONES}\n")
    } else {
        String::new()
    }
}

/// A command for each place that rules are made in. It ends the script when it is refused in one.
fn each(order: &Order, act: &str) -> String {
    if order.assets.is_empty() {
        format!("for zone in $zones; do firewall-cmd --zone=\"$zone\" {act} || exit 1; done\n")
    } else {
        format!("firewall-cmd --policy={} {act} || exit 1\n", policy(order))
    }
}

/// What of the port stands in the priorities that are ours, now or in what is kept.
fn ours(order: &Order, kept: &str) -> String {
    let places = if order.assets.is_empty() {
        "zones"
    } else {
        "policies"
    };
    format!(
        "firewall-cmd{kept} --list-all-{places} | grep -E 'priority=\"-10[0-3]\".* port=\"{}\" protocol=\"{}\"'",
        order.port.number, order.port.transport
    )
}

fn before(order: &Order, document: &mut Document) {
    document.begin(Step::Before, "in a shell, as root");
    if order.assets.is_empty() {
        document
            .write("firewall-cmd --state\nfirewall-cmd --get-active-zones\nfirewall-cmd --get-default-zone")
            .write(ours(order, ""))
            .write(ours(order, " --permanent"))
            .say(
                "Rules are of a zone: they go into all that an interface or a source is in, and into the default one. \
                 Ports that are passed on to containers are not closed unless StrictForwardPorts=yes.",
            );
    } else {
        document
            .write(
                "firewall-cmd --version\nfirewall-cmd --get-policies\nfirewall-cmd --list-all-zones\nfirewall-cmd \
                 --permanent --list-all-zones\nfirewall-cmd --direct --get-all-rules",
            )
            .write(ours(order, ""))
            .write(ours(order, " --permanent"))
            .say(
                "What passes this host needs a policy, since firewalld 0.9. APPLY makes one and reloads firewalld, and \
                 the reload drops what others changed without `--permanent`. Where the two lists differ: keep that \
                 first, or stop here.",
            );
    }
    document.say("The last two lines must print nothing: these priorities are those of this change.");
}

fn apply(order: &Order, document: &mut Document) {
    document.begin(
        Step::Apply,
        "on trial: firewalld takes the rules back by itself, and so does a restart",
    );
    if !order.assets.is_empty() {
        let policy = policy(order);
        document
            .say("An empty policy, which changes nothing by itself. It stays when the trial is over: ROLLBACK takes it away.")
            .write(format!(
                "firewall-cmd --permanent --new-policy={policy} && firewall-cmd --permanent --policy={policy} \
                 --add-ingress-zone=ANY && firewall-cmd --permanent --policy={policy} --add-egress-zone=ANY && \
                 firewall-cmd --reload"
            ));
    }
    if order.allows() {
        document.say(
            "The accepting rules also let the allowed sources through where a rule of yours would not. They come first, \
             and last a little longer than the dropping ones, so that nobody is cut off between.",
        );
    }
    let mut script = places(order);
    script.push_str(&format!(
        "{} && {{ echo 'rules of these priorities are there already: nothing was changed'; exit 1; }}\n",
        ours(order, "")
    ));
    for rule in rules(order, TRIAL) {
        let seconds = order.seconds() + if rule.ends_with("accept") { 5 } else { 0 };
        script.push_str(&each(
            order,
            &format!("--timeout={seconds} --add-rich-rule='{rule}'"),
        ));
    }
    document
        .script(script)
        .begin(Step::Apply, "existing connections, only when the rules are there")
        .say(
            "firewalld accepts existing connections before it evaluates its rules; this ends them. When it answers \
             \"command not found\", they exist until they end by themselves.",
        )
        .write(conntrack(order));
    if order.assets.is_empty() {
        document.say(
            "It ends every connection to a port of this number that passes this host, also to other hosts.",
        );
    }
}

fn confirm(order: &Order, document: &mut Document) {
    document
        .begin(Step::Confirm, "from a new session, while the trial runs")
        .say(
            "The same rules once more, before those of the trial, which end by themselves: there is no moment in which \
             the port is open. Each goes into what is in force and into what is kept.",
        );
    let mut script = places(order);
    if let Some(rule) = rules(order, TRIAL).last() {
        let over = "{ echo 'the trial is over: the port is OPEN. Start again at APPLY.'; exit 1; }";
        let query = each(order, &format!("--query-rich-rule='{rule}'"));
        script.push_str(&query.replace("exit 1", over));
    }
    for rule in rules(order, KEPT) {
        script.push_str(&each(order, &format!("--add-rich-rule='{rule}'")));
        script.push_str(&each(order, &format!("--permanent --add-rich-rule='{rule}'")));
    }
    document
        .script(script)
        .write(ours(order, ""))
        .write(ours(order, " --permanent"))
        .say(&format!(
            "The first list must hold each rule of priority {KEPT} and {}, in every zone or in the policy, and the second \
             the same. When one is missing the port opens with the trial, or with a restart: ROLLBACK, then again from \
             APPLY.",
            KEPT + 1
        ));
}

fn rollback(order: &Order, document: &mut Document) {
    document
        .begin(
            Step::Rollback,
            "only what this change made, on trial or confirmed",
        )
        .say("What is not there is told (NOT_ENABLED), and does no harm.");
    let mut script = String::new();
    let policy = policy(order);
    for rule in [TRIAL, KEPT]
        .iter()
        .flat_map(|priority| rules(order, *priority))
        .rev()
    {
        for kept in ["", " --permanent"] {
            // Every zone, for an interface may have come into another one since.
            script.push_str(&if order.assets.is_empty() {
                format!(
                    "for zone in $(firewall-cmd{kept} --get-zones); do firewall-cmd{kept} --zone=\"$zone\" \
                     --remove-rich-rule='{rule}'; done\n"
                )
            } else {
                format!("firewall-cmd{kept} --policy={policy} --remove-rich-rule='{rule}'\n")
            });
        }
    }
    if !order.assets.is_empty() {
        script.push_str(&format!("firewall-cmd --permanent --delete-policy={policy}\n"));
    }
    document
        .script(script)
        .write(ours(order, ""))
        .write(ours(order, " --permanent"))
        .say("The last two lines must print nothing.");
    if !order.assets.is_empty() {
        document.say("The empty policy is gone with the next reload.");
    }
}

/// The accepting rules of a family, then its dropping ones.
fn rules(order: &Order, priority: i32) -> Vec<String> {
    let port = format!(
        "port port=\"{}\" protocol=\"{}\"",
        order.port.number, order.port.transport
    );
    let mut rules = Vec::new();
    for family in order.closed() {
        let name = match family {
            Family::V4 => "ipv4",
            Family::V6 => "ipv6",
        };
        let targets: Vec<String> = if order.assets.is_empty() {
            vec![String::new()]
        } else {
            let assets = order.assets_of(family).into_iter();
            assets
                .map(|asset| format!("destination address=\"{asset}\" "))
                .collect()
        };
        for to in &targets {
            for network in order.allowed(family) {
                rules.push(format!(
                    "rule priority=\"{priority}\" family=\"{name}\" source address=\"{network}\" {to}{port} accept"
                ));
            }
        }
        for to in &targets {
            rules.push(format!(
                "rule priority=\"{}\" family=\"{name}\" {to}{port} log prefix=\"{} \" level=\"info\" limit value=\"10/m\" drop",
                priority + 1,
                order.name()
            ));
        }
    }
    rules
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::dialect::{Dialect, tests::orders, write};

    proptest! {
        /// A loop over a variable of another session runs no time, and says that all is well.
        #[test]
        fn each_step_that_loops_over_the_zones_sets_them(order in orders()) {
            let order = Order { assets: Vec::new(), ..order };
            let Ok(document) = write(Dialect::Firewalld, &order) else { return Ok(()) };
            for section in &document.sections {
                let uses = section.text.find("in $zones");
                let sets = section.text.find("${zones:?");
                prop_assert!(uses.is_none_or(|uses| sets.is_some_and(|sets| sets < uses)), "{}", section.text);
            }
            prop_assert!(document.text(Step::Apply).contains("in $zones"));
        }

        #[test]
        fn what_is_asked_for_and_not_done_yet_changes_nothing(order in orders()) {
            let Ok(document) = write(Dialect::Firewalld, &order) else { return Ok(()) };
            let before = document.text(Step::Before);
            prop_assert!(!before.contains("--reload") && !before.contains("--new-policy") && !before.contains("--add"));
            let rollback = document.text(Step::Rollback);
            for rule in [TRIAL, KEPT].iter().flat_map(|priority| rules(&order, *priority)) {
                prop_assert!(rollback.contains(&rule), "{}", rule);
            }
        }
    }
}

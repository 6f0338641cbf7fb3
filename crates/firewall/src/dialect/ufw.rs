//! ufw(8). Rules are written to disk at once, and there is no trial.
//!
//! ufw takes a rule that differs from another one in its action or comment only for the same rule, and does not put it
//! anywhere else ("Skipping inserting existing rule"). So everybody is denied in two halves, which no site has, and what
//! was made is counted and taken back by its comment.

use super::{Document, Family, Order, Step, prove};

pub(super) fn document(order: &Order) -> Document {
    let mut document = Document::new("#");
    let name = order.name();
    let guard = format!("/run/{name}.guard");
    let rules = rules(order);
    document
        .begin(Step::Before, "in a shell, as root")
        .write(format!(
            "ufw status verbose\ngrep '^IPV6=' /etc/default/ufw\nufw show added | grep -w {}",
            order.port.number
        ))
        .say("It must be active, and IPV6 must be yes, or the port stays open in IPv6.")
        .say("Rules for the port that are listed here stay as they are; those of this change come before them.")
        .say("Ports that Docker publishes do not pass the rules of ufw.");
    document
        .begin(Step::Apply, "the guard first, then the rules; the last one that is put first is the first")
        .say(
            "ufw has no trial, and writes its rules to disk at once: the guard takes them back, but a restart in the \
             trial ends the guard and keeps the rules: look with CHECK afterwards.",
        );
    if order.allows() {
        document.say(
            "The allowing rules also let the allowed sources through where a rule of yours would not. When one of your \
             rules says the same, nothing is changed: ufw would leave it below the denies. Delete it first, and enter \
             it again after a ROLLBACK.",
        );
    }
    document.script(apply(order, &rules, &guard));
    document
        .begin(Step::Apply, "existing connections, only when the port was closed")
        .say(
            "ufw accepts existing connections before it evaluates its rules; this ends them. When it answers \"command not \
             found\", they exist until they end by themselves.",
        )
        .write(conntrack(order));
    if order.assets.is_empty() {
        document.say(
            "It ends every connection to a port of this number that passes this host, also to other hosts.",
        );
    }
    document
        .begin(
            Step::Check,
            "our rules first, the denies last among them, in each family that is closed",
        )
        .write("ufw status numbered")
        .say(&prove(order));
    document
        .begin(Step::Confirm, "from a new session, while the guard waits: it goes, the rules stay")
        .write(format!(
            "kill \"$(cat {guard})\" && rm {guard} && ufw show added | grep -c {name}"
        ))
        .say(&format!(
            "It must print {}. Anything else means that the guard was faster: the port is OPEN. Start again at APPLY.",
            rules.len()
        ));
    document
        .begin(Step::Rollback, "every rule that carries the comment of this change, before and after CONFIRM")
        .script(format!(
            "kill \"$(cat {guard} 2>/dev/null)\" 2>/dev/null\nrm -f {guard}\n{}\nufw show added | grep {name}",
            undo(order)
        ))
        .say("The last line must print nothing.");
    document.unverified(&[
        "the whole text against rules in force; that the rules are taken, that one that is there already is skipped, and \
         that ROLLBACK leaves those of the site alone, was tried with ufw 0.36.2 that was not active",
        "that the guard outlives the session in which it was started",
        "`conntrack`, which is a package of its own",
    ]);
    document
}

/// The guard is seen to run before the first rule, and what ufw did not take as a rule of its own is taken back.
fn apply(order: &Order, rules: &[String], guard: &str) -> String {
    let name = order.name();
    format!(
        "export LC_ALL=C
rules='{rules}'
ufw status | grep -q '^Status: active' || {{ echo 'ufw is not active: nothing was changed'; exit 1; }}
if [ -e {guard} ] || ufw show added | grep {name}; then echo 'this change is there already: nothing was changed'; exit 1; fi
if printf '%s\\n' \"$rules\" | while read -r rule; do ufw --dry-run $rule; done | grep Skipping; then
    echo 'a rule of this host says the same: nothing was changed'; exit 1
fi
nohup sh -c 'echo $$ >{guard}; sleep {seconds}; rm -f {guard}; '{quoted} </dev/null >/dev/null 2>&1 &
sleep 1
kill -0 \"$(cat {guard})\" || {{ echo 'the guard did not start: nothing was changed'; exit 1; }}
printf '%s\\n' \"$rules\" | while read -r rule; do ufw $rule || break; done
[ \"$(ufw show added | grep -c {name})\" -eq {count} ] && echo 'closed on trial' || {{
    {undo}
    kill \"$(cat {guard})\"; rm -f {guard}
    echo 'not every rule was taken: the change was taken back'
}}",
        rules = rules.join("\n"),
        seconds = order.seconds(),
        quoted = portcullis_sys::shell::quoted(&undo(order)),
        count = rules.len(),
        undo = undo(order),
    )
}

/// Deletes what carries our comment, and nothing else.
fn undo(order: &Order) -> String {
    format!(
        "ufw show added | sed -n \"s/^ufw \\(route \\)\\{{0,1\\}}\\(.*\\) comment .{}.\\$/ufw \\1delete \\2/p\" | sh",
        order.name()
    )
}

/// What is given to ufw, in the order in which each is put before the others: the denying ones first.
fn rules(order: &Order) -> Vec<String> {
    let closed = order.closed();
    let mut rules = Vec::new();
    let mut add = |verb: &str, from: &str, to: &str| {
        let route = if order.assets.is_empty() { "" } else { "route " };
        rules.push(format!(
            "{route}prepend {verb} proto {} from {from} to {to} port {} comment {}",
            order.port.transport,
            order.port.number,
            order.name()
        ));
    };
    for family in &closed {
        // A half that is allowed as such would be the same rule once more.
        let allowed = order.allowed(*family);
        let denied = halves(*family)
            .into_iter()
            .filter(|half| !allowed.iter().any(|network| network.to_string() == *half));
        for half in denied {
            for to in targets(order, *family) {
                add("deny", half, &to);
            }
        }
    }
    for family in &closed {
        for network in order.allowed(*family) {
            for to in targets(order, *family) {
                add("allow", &network.to_string(), &to);
            }
        }
    }
    rules
}

/// Everybody, in a form that is no rule of the site's.
fn halves(family: Family) -> [&'static str; 2] {
    match family {
        Family::V4 => ["0.0.0.0/1", "128.0.0.0/1"],
        Family::V6 => ["::/1", "8000::/1"],
    }
}

fn targets(order: &Order, family: Family) -> Vec<String> {
    if order.assets.is_empty() {
        return vec!["any".into()];
    }
    order.assets_of(family).iter().map(ToString::to_string).collect()
}

/// Ends connections to the port, in each family that is closed, and to the assets only where they are known.
pub(super) fn conntrack(order: &Order) -> String {
    let mut lines = String::new();
    for family in order.closed() {
        let start = format!(
            "conntrack -D -f {} -p {} --orig-port-dst {}",
            match family {
                Family::V4 => "ipv4",
                Family::V6 => "ipv6",
            },
            order.port.transport,
            order.port.number
        );
        if order.assets.is_empty() {
            lines.push_str(&format!("{start}\n"));
        }
        for asset in order.assets_of(family) {
            lines.push_str(&format!("{start} --orig-dst {asset}\n"));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::dialect::{Dialect, tests::orders, write};

    proptest! {
        /// ufw skips a deny from any where the site has an allow from any, and the port stays open.
        #[test]
        fn no_deny_has_the_form_of_a_rule_for_everybody(order in orders()) {
            let Ok(_) = write(Dialect::Ufw, &order) else { return Ok(()) };
            let denies: Vec<String> = rules(&order).into_iter().filter(|rule| rule.contains(" deny ")).collect();
            prop_assert!(!denies.is_empty());
            for rule in denies {
                prop_assert!(!rule.contains("from any") && !rule.contains("/0 "), "{}", rule);
                prop_assert!(rule.contains("/1 "), "{}", rule);
            }
        }

        /// A rule of the site's that says the same must outlive the guard and the rollback.
        #[test]
        fn what_is_taken_back_is_found_by_its_comment(order in orders()) {
            let Ok(document) = write(Dialect::Ufw, &order) else { return Ok(()) };
            let rollback = document.text(Step::Rollback);
            prop_assert!(rollback.contains(&undo(&order)));
            prop_assert!(!rollback.contains("from ") && !rollback.contains("delete deny"), "{}", rollback);
            let apply = document.text(Step::Apply);
            let (guard, rule) = (apply.find("kill -0").unwrap(), apply.find("do ufw $rule").unwrap());
            prop_assert!(guard < rule);
            let count = apply.matches("prepend ").count();
            let counted = format!("must print {count}.");
            prop_assert!(document.text(Step::Confirm).contains(&counted));
        }
    }
}

//! ufw and firewalld: rules in the words of these programs, where they alone may change the firewall of a host.

use super::{Document, Family, Order, Step, prove};

/// ufw(8). Rules are written to disk at once, and there is no trial.
pub(super) fn ufw(order: &Order) -> Document {
    let mut document = Document::new("#");
    let guard = format!("/run/portcullis-{}.guard", order.tag);
    let rules = ufw_rules(order);
    let undo: Vec<String> = rules.iter().map(|rule| rule.command("delete")).collect();
    document
        .begin(Step::Before, "in a POSIX shell, as root")
        .write("ufw status verbose\ngrep '^IPV6=' /etc/default/ufw")
        .say("It must be active, and IPV6 must be yes, or the port stays open in IPv6.")
        .say(
            "Note rules for the same port and networks that are there already: ufw takes one that says the same for the \
             same rule, and the rollback would delete it.",
        )
        .say("Ports that Docker publishes do not pass the rules of ufw.");
    document
        .begin(Step::Apply, "the guard first, then the rules; the last one that is put first is the first")
        .say(
            "ufw has no trial, and writes its rules to disk at once: the guard takes them back, but a restart in the \
             trial ends the guard and keeps the rules. The allowing rules also let these networks through where a rule \
             of yours would not.",
        )
        .write(format!(
            "nohup sh -c 'echo $$ >{guard}; sleep {}; rm -f {guard}; {}' </dev/null >/dev/null 2>&1 &\nsleep 1; kill -0 \"$(cat {guard})\" || echo \
             'the guard did not start: stop here' >&2",
            order.seconds(),
            undo.join("; ")
        ));
    for rule in &rules {
        document.write(rule.command("prepend") + &format!(" comment {}", order.name()));
    }
    document
        .say("ufw accepts connections that stand before it asks its rules; this ends those to the port, of everybody:")
        .write(format!(
            "conntrack -D -p {} --orig-port-dst {}",
            order.port.transport, order.port.number
        ));
    document
        .begin(
            Step::Check,
            "the allowing rules above the denying one, in both families",
        )
        .write("ufw status numbered")
        .say(&prove(order));
    document
        .begin(
            Step::Confirm,
            "from a new session, while the guard waits: it goes, the rules stay",
        )
        .write(format!(
            "kill \"$(cat {guard})\" && rm {guard}\nufw status numbered"
        ));
    document
        .begin(Step::Rollback, "only what this change made, the denies first")
        .write(undo.join("\n"))
        .write(format!("kill \"$(cat {guard})\" 2>/dev/null; rm -f {guard}"));
    document.unverified(&[
        "the allowing rules, `route` with `prepend`, and that a rule from 0.0.0.0/0 or ::/0 is for one family only; the \
         denying rule was tried with --dry-run of ufw 0.36.2",
        "that the guard outlives the session in which it was started",
    ]);
    document
}

struct UfwRule {
    route: bool,
    rest: String,
}

impl UfwRule {
    fn command(&self, verb: &str) -> String {
        let route = if self.route { "route " } else { "" };
        format!("ufw {route}{verb} {}", self.rest)
    }
}

/// The rules in the order in which each is put before the others: the denying ones first.
fn ufw_rules(order: &Order) -> Vec<UfwRule> {
    let port = order.port;
    let closed = order.closed();
    let mut rules = Vec::new();
    let mut add = |verb: &str, from: &str, to: &str| {
        rules.push(UfwRule {
            route: !order.assets.is_empty(),
            rest: format!(
                "{verb} proto {} from {from} to {to} port {}",
                port.transport, port.number
            ),
        });
    };
    if order.assets.is_empty() && closed.len() == 2 {
        add("deny", "any", "any");
    } else {
        for family in &closed {
            for to in targets(order, *family) {
                add("deny", family.everything(), &to);
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

fn targets(order: &Order, family: Family) -> Vec<String> {
    if order.assets.is_empty() {
        return vec!["any".into()];
    }
    order.assets_of(family).iter().map(ToString::to_string).collect()
}

/// firewalld: rich rules (firewalld.richlanguage(5)); the daemon itself ends the trial (`--timeout`, firewall-cmd(1)).
pub(super) fn firewalld(order: &Order) -> Document {
    let mut document = Document::new("#");
    let policy = format!("pc-{}", order.tag);
    let of_host = order.assets.is_empty();
    let places = if of_host {
        "for zone in $zones; do firewall-cmd --zone=\"$zone\"".to_owned()
    } else {
        format!("firewall-cmd --policy={policy}")
    };
    let end = if of_host { "; done" } else { "" };
    let each = |act: &str, rule: &str| format!("{places} {act}='{rule}'{end}");
    document
        .begin(Step::Before, "in a POSIX shell, as root")
        .write("firewall-cmd --state");
    if of_host {
        document
            .write(
                "zones=$({ firewall-cmd --get-active-zones | awk '/^[^ ]/ { print $1 }'; firewall-cmd --get-default-zone; } | \
                 sort -u); echo $zones",
            )
            .say(
                "Rules are of a zone: these are all that an interface or a source is in. Ports that are passed on to \
                 containers are not concerned unless StrictForwardPorts=yes.",
            );
    } else {
        document
            .say(
                "What passes this host needs a policy, since firewalld 0.9. It has to be made permanently, and the reload \
                 drops what others changed without `--permanent`: look at both first.",
            )
            .write(format!(
                "firewall-cmd --permanent --new-policy={policy}\nfirewall-cmd --permanent --policy={policy} \
                 --add-ingress-zone=ANY\nfirewall-cmd --permanent --policy={policy} --add-egress-zone=ANY\nfirewall-cmd \
                 --reload"
            ));
    }
    document
        .begin(Step::Apply, "on trial: firewalld takes the rules back by itself, and so does a restart")
        .say(
            "The accepting rules also let these networks through where a rule of yours would not. They last a little \
             longer than the dropping ones, so that nobody is cut off between.",
        );
    for rule in firewalld_rules(order, TRIAL) {
        let seconds = order.seconds() + if rule.ends_with("accept") { 5 } else { 0 };
        document.write(each(&format!("--timeout={seconds} --add-rich-rule"), &rule));
    }
    document
        .say(
            "firewalld accepts connections that stand before it asks its rules; this ends those to the port, of everybody:",
        )
        .write(format!(
            "conntrack -D -p {} --orig-port-dst {}",
            order.port.transport, order.port.number
        ));
    document
        .begin(Step::Check, "the rules in force")
        .write(format!("{places} --list-rich-rules{end}"))
        .say(&prove(order));
    document
        .begin(Step::Confirm, "from a new session, while the trial runs")
        .say(
            "The same rules once more, before those of the trial, which end by themselves: there is no moment in which \
             the port is open. Each goes into what runs and into what is kept.",
        );
    for rule in firewalld_rules(order, KEPT) {
        document
            .write(each("--add-rich-rule", &rule))
            .write(each("--permanent --add-rich-rule", &rule));
    }
    document.begin(
        Step::Rollback,
        "only what this change made; what is not there is told, and does no harm",
    );
    for rule in firewalld_rules(order, TRIAL).iter().rev() {
        document.write(each("--remove-rich-rule", rule));
    }
    for rule in firewalld_rules(order, KEPT).iter().rev() {
        document
            .write(each("--remove-rich-rule", rule))
            .write(each("--permanent --remove-rich-rule", rule));
    }
    if !of_host {
        document
            .write(format!("firewall-cmd --permanent --delete-policy={policy}"))
            .say("The empty policy is gone with the next reload.");
    }
    document.unverified(&[
        "the whole text on a host; the form of the rules was read by firewalld 1.3.3",
        "`--timeout` for a rule of a policy, and a policy from ANY to ANY",
    ]);
    document
}

/// Priorities of the accepting rules; the dropping ones have the next. Lower comes first.
const TRIAL: i32 = -101;
const KEPT: i32 = -103;

fn firewalld_rules(order: &Order, priority: i32) -> Vec<String> {
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

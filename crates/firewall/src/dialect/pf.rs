//! pf of OpenBSD and FreeBSD, in an anchor of its own (pfctl(8), pf.conf(5)).
//!
//! A list with `!` is expanded to one rule for each of its members, so that each blocks the other: who is let through
//! stands in a table instead. A ruleset that does not load leaves the old one in force.

use portcullis_model::Transport;

use super::{Document, Family, Order, Step, joined, prove};

pub(super) fn document(order: &Order) -> Document {
    let mut document = Document::new("#");
    let tag = &order.tag;
    let anchor = format!("portcullis/{tag}");
    let file = format!("/etc/pf.portcullis-{tag}.conf");
    let guard = format!("/var/run/portcullis-{tag}.guard");
    document
        .begin(Step::Before, "as root: pf is on, and /etc/pf.conf knows our anchors")
        .say("Run `sh` first, in every step: the shell of root may be csh.")
        .write("pfctl -s info | head -n 1\npfctl -s rules | grep -n portcullis\npfctl -vs Interfaces | grep skip")
        .write(format!("pfctl -a {anchor} -s rules\ngrep -n '{anchor}' /etc/pf.conf"))
        .say(
            "The first line must say \"Enabled\". The second must print `anchor \"portcullis/*\" all` before every rule \
             of your own with `quick`. An interface that the third names is not filtered at all: through it the port \
             stays OPEN. The last two must print nothing.",
        )
        .say(
            "Where the anchor is missing, put this line into /etc/pf.conf, directly above the first `block`, `pass` or \
             `anchor` line, below all of `set`, `scrub`, `nat`, `rdr` and their anchors, and load it:",
        )
        .write_as_comment("anchor \"portcullis/*\"\npfctl -nf /etc/pf.conf && pfctl -f /etc/pf.conf");
    document
        .begin(
            Step::Apply,
            "the guard first, then the rules; nothing is blocked when either is not in order",
        )
        .write(format!("cat >{file} <<'END'\n{}END", rules(order)));
    if order.allows() {
        document.say("The rules open nothing: for the allowed sources your own rules still decide.");
    }
    document
        .write(format!(
            "if [ -e {guard} ] || ! pfctl -a {anchor} -nf {file}; then echo 'a trial runs, or the rules are refused: nothing \
             was changed' >&2\n\
             else\n\
             nohup sh -c 'echo $$ >{guard}; sleep {seconds}; rm -f {guard}; exec pfctl -q -a {anchor} -F rules' </dev/null >/dev/null 2>&1 &\n\
             sleep 1\n\
             kill -0 \"$(cat {guard})\" && pfctl -a {anchor} -f {file} || echo 'nothing was blocked' >&2\n\
             fi",
            seconds = order.seconds()
        ))
        .say(&format!(
            "Existing states continue, whatever the rules say. List those of the port with their numbers, and end those{} \
             one by one (`pfctl -k id -k <STATE-ID>`); `pfctl -k 0.0.0.0/0 -k ADDRESS` would cut all services of the \
             host.",
            if order.allows() { " from outside the allowed sources" } else { "" }
        ))
        .write(states(order));
    document
        .begin(Step::Check, "the rules of the anchor, with their counters")
        .write(format!("pfctl -a {anchor} -vs rules"));
    for family in order
        .closed()
        .into_iter()
        .filter(|family| !order.allowed(*family).is_empty())
    {
        document.write(format!("pfctl -a {anchor} -t {} -T show", table(family)));
    }
    document.say(&prove(order));
    document
        .begin(Step::Confirm, "from a new session, while the guard waits: it goes, the rules stay")
        .write(format!(
            "kill \"$(cat {guard})\" && rm {guard} && pfctl -a {anchor} -s rules"
        ))
        .say(
            "When it does not print the rules, the guard was faster: the port is OPEN. Start again at APPLY. NOT permanent \
             yet: so that it outlasts a restart, put this line directly below the one of the anchors in /etc/pf.conf, and \
             have the file read:",
        )
        .write_as_comment(format!("load anchor \"{anchor}\" from \"{file}\""))
        .write("pfctl -nf /etc/pf.conf")
        .say("When it is refused, take the line out again at once: pf would load nothing at the next start.");
    document
        .begin(Step::Rollback, "the rules go at once, the file only when /etc/pf.conf does not name it")
        .write(format!(
            "kill \"$(cat {guard} 2>/dev/null)\" 2>/dev/null\nrm -f {guard}\npfctl -a {anchor} -F rules\npfctl -a {anchor} -F \
             Tables\n\
             if grep -n '{anchor}' /etc/pf.conf; then echo 'remove that line now, and paste this once more' >&2\n\
             else pfctl -nf /etc/pf.conf && rm -f {file}\n\
             fi"
        ))
        .say(
            "With the line left and the file gone pf would refuse all of /etc/pf.conf at the next start. `pfctl -F all` \
             would flush the rules of everybody. The line `anchor \"portcullis/*\"` of BEFORE may stay.",
        );
    document.unverified(&[
        "the whole text on a host; the form of the rules was compared with that of an independent writer",
        "that the guard outlives the session in which it was started, on both systems",
        "the broadcast and multicast addresses beside `(self)`",
        "`pfctl -vs Interfaces` naming the interfaces that are skipped, and the form in which states are listed",
    ]);
    if order.allows() {
        document.unverified(&["a table that is declared inside an anchor"]);
    }
    document
}

/// States of the port: its number ends where no further digit follows, for 4800 also begins 48001.
fn states(order: &Order) -> String {
    format!(
        "pfctl -s states -vv | grep -E -A 3 '[:[]{}([^0-9]|$)'",
        order.port.number
    )
}

fn table(family: Family) -> &'static str {
    match family {
        Family::V4 => "allowed4",
        Family::V6 => "allowed6",
    }
}

/// The rules of the anchor. A block without `flags` concerns every packet of TCP, not only the first of a connection.
fn rules(order: &Order) -> String {
    let mut rules = String::new();
    for family in order.closed() {
        let (inet, host) = match family {
            Family::V4 => ("inet", "{ (self), 255.255.255.255, 224.0.0.0/4 }"),
            Family::V6 => ("inet6", "{ (self), ff00::/8 }"),
        };
        let allowed = order.allowed(family);
        let from = if allowed.is_empty() {
            "any".to_owned()
        } else {
            let table = table(family);
            rules.push_str(&format!("table <{table}> {{ {} }}\n", joined(&allowed, ", ")));
            format!("! <{table}>")
        };
        let assets = order.assets_of(family);
        let to = match (order.assets.is_empty(), order.port.transport) {
            (false, _) => format!("{{ {} }}", joined(&assets, ", ")),
            // Only datagrams are sent to many at once.
            (true, Transport::Udp) => host.to_owned(),
            (true, Transport::Tcp) => "(self)".to_owned(),
        };
        rules.push_str(&format!(
            "block drop in log quick {inet} proto {} from {from} to {to} port {} label \"portcullis-{}\"\n",
            order.port.transport, order.port.number, order.tag
        ));
    }
    rules
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write,
        process::{Command, Stdio},
    };

    use super::*;
    use crate::dialect::{Dialect, tests::order, write};

    #[test]
    fn a_port_is_not_found_in_a_longer_number() {
        let command = states(&order("udp/4800", &[], &[]));
        let (_, grep) = command.split_once(" | ").unwrap();
        let found = |line: &str| {
            let mut run = Command::new("sh")
                .args(["-c", grep])
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .spawn()
                .unwrap();
            run.stdin.take().unwrap().write_all(line.as_bytes()).unwrap();
            run.wait().unwrap().success()
        };
        assert!(found("all udp 192.0.2.9:4800 <- 198.51.100.7:50000\n"));
        assert!(found("all udp 2001:db8:7::9[4800] <- 2001:db8::1[50000]\n"));
        assert!(!found("all udp 192.0.2.9:48001 <- 198.51.100.7:50000\n"));
        assert!(!found("all udp 2001:db8:7::9[48001] <- 2001:db8::1[50000]\n"));
    }

    /// pf refuses a configuration that loads from a file that is not there.
    #[test]
    fn the_file_goes_only_when_nothing_loads_it() {
        let rollback = write(Dialect::Pf, &order("tcp/54321", &[], &[]))
            .unwrap()
            .text(Step::Rollback);
        let asked = rollback
            .find("if grep -n 'portcullis/3f2a91' /etc/pf.conf")
            .unwrap();
        let removed = rollback.find("rm -f /etc/pf.portcullis-3f2a91.conf").unwrap();
        assert!(asked < removed && rollback.contains("else pfctl -nf /etc/pf.conf && rm -f /etc/pf."));
    }
}

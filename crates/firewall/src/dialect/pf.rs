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
        .write("pfctl -s info | head -n 1\npfctl -s rules | grep -n portcullis")
        .say(
            "The first line must say \"Enabled\". The second must print `anchor \"portcullis/*\" all` before every rule \
             of your own with `quick`. Where it does not, put this line above your own rules in /etc/pf.conf, and load \
             it:",
        )
        .write_as_comment("anchor \"portcullis/*\"\npfctl -nf /etc/pf.conf && pfctl -f /etc/pf.conf");
    document
        .begin(Step::Apply, "the guard first, then the rules; nothing is blocked when either is not in order")
        .say("The rules open nothing: for those who are let through, your own rules go on deciding.")
        .write(format!("cat >{file} <<'END'\n{}END", rules(order)))
        .write(format!(
            "nohup sh -c 'echo $$ >{guard}; sleep {seconds}; rm -f {guard}; exec pfctl -q -a {anchor} -F rules' </dev/null >/dev/null 2>&1 &\n\
             sleep 1\n\
             pfctl -a {anchor} -nf {file} && kill -0 \"$(cat {guard})\" && pfctl -a {anchor} -f {file} || echo 'nothing was \
             blocked' >&2",
            seconds = order.seconds()
        ))
        .say(&format!(
            "States that stand go on, whatever the rules say. List those of the port with their numbers, and end those \
             of hosts that are not let through, one by one (`pfctl -k id -k <STATE-ID>`); `pfctl -k 0.0.0.0/0 -k ADDRESS` \
             would cut all services of the host: pfctl -s states -vv | grep -A 3 '[:\\[]{}'",
            order.port.number
        ));
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
            "kill \"$(cat {guard})\" && rm {guard}\npfctl -a {anchor} -s rules"
        ))
        .say(
            "An empty second answer means that the guard was faster: the port is open as before. So that it outlasts \
             a restart, put this line below the one of the anchors in /etc/pf.conf:",
        )
        .write_as_comment(format!("load anchor \"{anchor}\" from \"{file}\""));
    document
        .begin(Step::Rollback, "the rules go, and so does the line in /etc/pf.conf where it was put there")
        .write(format!(
            "pfctl -a {anchor} -F rules\npfctl -a {anchor} -F Tables\nkill \"$(cat {guard})\" 2>/dev/null\nrm -f {guard} {file}"
        ))
        .say("`pfctl -F all` would flush the rules of everybody.");
    document.unverified(&[
        "the whole text on a host; the form of the rules was compared with that of an independent writer",
        "that the guard outlives the session in which it was started, on both systems",
        "a table that is declared inside an anchor, and the broadcast and multicast addresses beside `(self)`",
    ]);
    document
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

//! Cisco IOS and IOS XE.
//!
//! The trial is held by the device: `configure terminal revert timer`, in minutes, confirmed by `configure confirm`
//! ("Configuration Rollback Confirmed Change", Cisco IOS Configuration Management guides); it needs `archive`. An
//! interface has one list for each family and direction: the lines go into the one that is there.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{BESIDE, Document, Family, Order, Step, prove};

/// The timer takes 1 to 120 minutes.
const LONGEST: u64 = 120;

pub(super) fn document(order: &Order) -> Document {
    let mut document = Document::new("!");
    before(order, &mut document);
    apply(order, &mut document);
    check(order, &mut document);
    document
        .begin(Step::Confirm, "from a new session, while the timer runs")
        .write("configure confirm\ncopy running-config startup-config")
        .say("What was not copied to the startup-config is gone with a restart.");
    rollback(order, &mut document);
    document.unverified(&[
        "the whole text on a device; the form of the lines for IPv4 was compared with two independent readers",
        "the lines for IPv6: sequence, traffic-filter, and whether a list can be resequenced",
        "the timer's longest time, 120 minutes, and `configure revert now`",
    ]);
    document
}

fn before(order: &Order, document: &mut Document) {
    document
        .begin(Step::Before, "which list is bound, and whether there is an archive to go back to")
        .write("show archive\nshow running-config interface <INTERFACE>")
        .say(
            "The timer goes back to the archive: configure one first (`archive`, `path flash:`) where `show archive` \
             knows none.",
        );
    for family in order.closed() {
        document.write(match family {
            Family::V4 => "show ip access-lists <ACL-NAME-4>",
            Family::V6 => "show ipv6 access-list <ACL-NAME-6>",
        });
    }
    document
        .say(
            "<INTERFACE> is the one through which those come who are to be shut out; each way to the asset needs the \
             same. <ACL-NAME-4> is what stands after `ip access-group` with `in`, <ACL-NAME-6> after `ipv6 \
             traffic-filter`. Never bind another list to an interface that has one: all that the old one said would \
             be gone.",
        )
        .say(BESIDE);
}

fn apply(order: &Order, document: &mut Document) {
    document
        .begin(Step::Apply, "the lines at the top of the list that is bound already")
        .say(
            "The permits come first, so they also let these networks through where a line of yours would not. A list \
             knows no connections: those that stand are cut at once, and answers to a connection which the asset \
             itself began from the closed port number are lost.",
        )
        .write(format!("configure terminal revert timer {}", order.minutes().min(LONGEST)));
    if order.minutes() > LONGEST {
        document.say("The timer takes no more than 120 minutes: the trial is shorter than was asked for.");
    }
    for family in order.closed() {
        let lines = lines(order, family);
        match family {
            Family::V4 => {
                document
                    .write(format!(
                        "ip access-list resequence <ACL-NAME-4> {} 10",
                        lines.len().max(990) + 10
                    ))
                    .write("ip access-list extended <ACL-NAME-4>")
                    .write(numbered(&lines, " "));
            }
            Family::V6 => {
                document
                    .say(&format!(
                        "The first line of your own in the next list must have a sequence above {}; give it one \
                         before.",
                        lines.len()
                    ))
                    .write("ipv6 access-list <ACL-NAME-6>")
                    .write(numbered(&lines, " sequence "));
            }
        }
    }
    document.write("end");
    document
        .begin(Step::Apply, "only where the interface has no list in that family and direction: a new one")
        .say(
            "These lines are comments so that they are not pasted by mistake. A list ends with a deny of everything: \
             without its last line the new one would cut all other traffic.",
        )
        .write_as_comment(format!("configure terminal revert timer {}", order.minutes().min(LONGEST)));
    for family in order.closed() {
        let name = format!("{}-{}", order.name(), family.digit());
        let lines: String = lines(order, family)
            .iter()
            .map(|line| format!(" {line}\n"))
            .collect();
        document.write_as_comment(match family {
            Family::V4 => format!(
                "ip access-list extended {name}\n{lines} permit ip any any\ninterface <INTERFACE>\n ip access-group {name} in"
            ),
            Family::V6 => format!(
                "ipv6 access-list {name}\n{lines} permit ipv6 any any\ninterface <INTERFACE>\n ipv6 traffic-filter {name} in"
            ),
        });
    }
    document.write_as_comment("end");
}

fn check(order: &Order, document: &mut Document) {
    document.begin(Step::Check, "the lines stand at the top, and the deny counts");
    for family in order.closed() {
        document.write(match family {
            Family::V4 => "show ip access-lists <ACL-NAME-4>",
            Family::V6 => "show ipv6 access-list <ACL-NAME-6>",
        });
    }
    document
        .write("show archive config rollback timer")
        .say(&prove(order));
}

fn rollback(order: &Order, document: &mut Document) {
    document
        .begin(Step::Rollback, "while the timer runs, everything at once")
        .write("configure revert now");
    document
        .begin(
            Step::Rollback,
            "once it was confirmed: the lines by their numbers, the denies first",
        )
        .write("configure terminal");
    for family in order.closed() {
        let count = lines(order, family).len();
        let (list, no) = match family {
            Family::V4 => ("ip access-list extended <ACL-NAME-4>", " no "),
            Family::V6 => ("ipv6 access-list <ACL-NAME-6>", " no sequence "),
        };
        document.write(list);
        for number in (1..=count).rev() {
            document.write(format!("{no}{number}"));
        }
    }
    document.write("end\ncopy running-config startup-config").say(
        "Look at the numbers first: somebody may have resequenced the list. A new list is taken off its interface \
         before it is deleted, for an empty list that is bound does not mean the same on every release.",
    );
}

fn numbered(lines: &[String], before: &str) -> String {
    let numbered = (1..).zip(lines);
    numbered
        .map(|(number, line)| format!("{before}{number} {line}\n"))
        .collect()
}

/// Permits and the denies after them, in the words of the family.
fn lines(order: &Order, family: Family) -> Vec<String> {
    let port = order.port;
    let mut lines = Vec::new();
    for asset in order.assets_of(family) {
        for network in order.allowed(family) {
            lines.push(format!(
                "permit {} {} {} eq {}",
                port.transport,
                source(network),
                host(asset),
                port.number
            ));
        }
    }
    for asset in order.assets_of(family) {
        lines.push(format!(
            "deny {} any {} eq {} log",
            port.transport,
            host(asset),
            port.number
        ));
    }
    lines
}

fn host(address: IpAddr) -> String {
    format!("host {address}")
}

fn source(network: IpNet) -> String {
    match network {
        _ if network.prefix_len() == network.max_prefix_len() => host(network.addr()),
        IpNet::V4(network) => format!("{} {}", network.network(), network.hostmask()),
        IpNet::V6(network) => network.to_string(),
    }
}

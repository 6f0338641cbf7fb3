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
    for family in order.closed() {
        bound(order, family, &mut document);
        unbound(order, family, &mut document);
    }
    check(order, &mut document);
    document
        .begin(
            Step::Confirm,
            "from a new session, while the timer runs; for each block that was applied",
        )
        .write("configure confirm\ncopy running-config startup-config")
        .say("What was not copied to the startup-config is gone with a restart.");
    rollback(order, &mut document);
    document.unverified(&[
        "the whole text on a device; the form of the lines for IPv4 was compared with two independent readers",
        "the lines for IPv6: sequence, traffic-filter, and how a list of IPv6 is renumbered",
        "the timer's longest time, 120 minutes, and `configure revert now`",
    ]);
    if order.closed().contains(&Family::V4) {
        document
            .unverified(&["that on a NAT outside interface the list is evaluated before the translation"]);
    }
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
        document.write(show(family));
    }
    document
        .say(
            "<INTERFACE> is the one through which those come who are to be shut out; each way to the asset needs the \
             same. <ACL-NAME-4> is what stands after `ip access-group` with `in`, <ACL-NAME-6> after `ipv6 \
             traffic-filter`. Never bind another list to an interface that has one: all that the old one said would \
             be gone.",
        )
        .say(
            "The lists must not hold a line of this change: IOS ignores a line that is there already, and it stays where \
             it is.",
        );
    if order.allows() {
        document.say(
            "Where a list holds one of the permits, enter `no` and its text as the first line after the name of the list, \
             in the same block, and note its place: after a ROLLBACK of what was confirmed enter it there again.",
        );
    }
    if order.closed().contains(&Family::V4) {
        document.say(
            "Where <INTERFACE> says `ip nat outside`, the list is evaluated before addresses are translated inwards: write \
             the address before the translation in the place of the asset's.",
        );
    }
    document.say(BESIDE);
}

fn show(family: Family) -> &'static str {
    match family {
        Family::V4 => "show ip access-lists <ACL-NAME-4>",
        Family::V6 => "show ipv6 access-list <ACL-NAME-6>",
    }
}

fn timer(order: &Order) -> String {
    format!("configure terminal revert timer {}", order.minutes().min(LONGEST))
}

/// The lines at the top of the list that is bound already.
fn bound(order: &Order, family: Family, document: &mut Document) {
    let lines = lines(order, family);
    document.begin(
        Step::Apply,
        &format!(
            "IPv{} where a list is bound: the lines at its top",
            family.digit()
        ),
    );
    if !order.allowed(family).is_empty() {
        document.say(
            "The permits come first, so they also let the allowed sources through where a line of yours would not.",
        );
    }
    document.say(
        "A list knows no connections: existing ones are cut at once, and answers to a connection which the asset \
         itself began from the closed port number are lost.",
    );
    if order.minutes() > LONGEST {
        document.say("The timer takes no more than 120 minutes: the trial is shorter than was asked for.");
    }
    match family {
        Family::V4 => document
            .say("`resequence` makes room; it changes the numbers of your lines, and nothing puts the old ones back.")
            .write(timer(order))
            .write(format!(
                "ip access-list resequence <ACL-NAME-4> {} 10",
                lines.len().max(990) + 10
            ))
            .write("ip access-list extended <ACL-NAME-4>")
            .write(numbered(&lines, " "))
            .write("end"),
        Family::V6 => document
            .say(&format!(
                "The first line of your own must have a sequence above {}; give it one before.",
                lines.len()
            ))
            .write(timer(order))
            .write("ipv6 access-list <ACL-NAME-6>")
            .write(numbered(&lines, " sequence "))
            .write("end"),
    };
    let Some(first) = lines.first() else { return };
    document.write(show(family)).say(&format!(
        "Line 1 must be `{first}`. When it is not: `configure revert now`. {}",
        ONE_TIMER
    ));
}

const ONE_TIMER: &str = "One timer runs at a time: prove and confirm this block before the next one.";

/// A list of its own, only where there is none.
fn unbound(order: &Order, family: Family, document: &mut Document) {
    let name = format!("{}-{}", order.name(), family.digit());
    let lines: String = lines(order, family)
        .iter()
        .map(|line| format!(" {line}\n"))
        .collect();
    let (head, all, bind) = match family {
        Family::V4 => ("ip access-list extended", "ip", "ip access-group"),
        Family::V6 => ("ipv6 access-list", "ipv6", "ipv6 traffic-filter"),
    };
    document
        .begin(
            Step::Apply,
            &format!(
                "IPv{} only where the interface has no list in that direction: a new one",
                family.digit()
            ),
        )
        .say(
            "These lines are comments so that they are not pasted by mistake. A list ends with a deny of everything: \
             without its last line the new one would cut all other traffic.",
        )
        .write_as_comment(format!(
            "{}\n{head} {name}\n{lines} permit {all} any any\ninterface <INTERFACE>\n {bind} {name} in\nend",
            timer(order)
        ));
}

fn check(order: &Order, document: &mut Document) {
    document.begin(Step::Check, "the lines are at the top, and the deny counts");
    for family in order.closed() {
        document.write(show(family));
    }
    document.write("show ip interface <INTERFACE> | include access list");
    if order.closed().contains(&Family::V6) {
        document.write("show ipv6 interface <INTERFACE> | include access list\nshow running-config interface <INTERFACE> | include traffic-filter");
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
            "once it was confirmed: each line by its text, the denies first",
        )
        .say(
            "By text, for the numbers are not kept over a restart, and somebody may have resequenced the list. A line of \
             your own with the same text would go too: see BEFORE.",
        )
        .write("configure terminal");
    for family in order.closed() {
        document.write(match family {
            Family::V4 => "ip access-list extended <ACL-NAME-4>",
            Family::V6 => "ipv6 access-list <ACL-NAME-6>",
        });
        for line in lines(order, family).iter().rev() {
            document.write(format!(" no {line}"));
        }
    }
    document.write("end\ncopy running-config startup-config").say(
        "A new list is taken off its interface before it is deleted, for an empty list that is bound does not mean the \
         same on every release.",
    );
    for family in order.closed() {
        let name = format!("{}-{}", order.name(), family.digit());
        document.write_as_comment(match family {
            Family::V4 => format!(
                "interface <INTERFACE>\n no ip access-group {name} in\nno ip access-list extended {name}"
            ),
            Family::V6 => format!(
                "interface <INTERFACE>\n no ipv6 traffic-filter {name} in\nno ipv6 access-list {name}"
            ),
        });
    }
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::dialect::{Dialect, tests::orders, write};

    proptest! {
        /// Sequence numbers are not kept over a restart: `no 1` would remove nothing, or another line.
        #[test]
        fn the_rollback_names_each_line_by_its_text(order in orders()) {
            let Ok(document) = write(Dialect::CiscoIos, &order) else { return Ok(()) };
            let rollback = document.text(Step::Rollback);
            for family in order.closed() {
                for line in lines(&order, family) {
                    prop_assert!(rollback.contains(&format!(" no {line}\n")), "{}", line);
                }
            }
            prop_assert!(!rollback.lines().any(|line| line.starts_with(" no sequence")
                || line.strip_prefix(" no ").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))));
        }

        /// One block that is refused must not end in the block of another list.
        #[test]
        fn each_block_has_its_timer_and_its_end(order in orders()) {
            let Ok(document) = write(Dialect::CiscoIos, &order) else { return Ok(()) };
            let blocks: Vec<_> = document.sections.iter().filter(|section| section.step == Step::Apply).collect();
            prop_assert_eq!(blocks.len(), 2 * order.closed().len());
            for block in blocks {
                prop_assert_eq!(block.text.matches("configure terminal revert timer").count(), 1);
                prop_assert_eq!(block.text.lines().filter(|line| line.trim_start_matches(['!', ' ']) == "end").count(), 1);
            }
        }
    }
}

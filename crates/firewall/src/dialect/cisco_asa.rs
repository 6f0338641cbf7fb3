//! Cisco ASA, since 9.0: one list for both families.
//!
//! Masks are network masks, not the wildcards of IOS ("Guidelines for ACLs", Cisco ASA Series Firewall CLI
//! Configuration Guide). The device has no trial.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{BESIDE, Document, Order, Step, prove};

pub(super) fn document(order: &Order) -> Document {
    let mut document = Document::new("!");
    let entries = entries(order);
    document
        .begin(Step::Before, "which list is bound, and a way back")
        .write(
            "show running-config access-group\nshow access-list <ACL-NAME>\nshow nameif\nshow running-config all \
             sysopt\nshow failover\nwrite memory",
        )
        .say(
            "<ACL-NAME> is the list that is bound with `in` to the interface through which those come who are to be \
             shut out; each such interface needs the same. Never begin with `clear configure access-list`, and never \
             bind another list in its place.",
        )
        .say(
            "The list must not hold a line of this change: the old line would stay where it is, with a warning of a \
             duplicate (unverified). Where it holds one, take it out with `no` and its text just before APPLY, and note \
             its place: after a ROLLBACK enter it there again.",
        )
        .say(
            "An interface without a list lets everything through to interfaces of a lower security level, and to those of \
             the same with `same-security-traffic permit inter-interface`: there the port is OPEN, and this text does not \
             close it. It would need a list of its own that says what its level lets through today, with these lines \
             first. A list that ends with `permit ip any any` opens more than that. Only to a higher level is the port \
             closed without a list.",
        )
        .say(
            "With `sysopt connection permit-vpn`, which is the default, those who come by VPN pass by this list: it needs \
             `vpn-filter`, or `no sysopt connection permit-vpn` for all.",
        )
        .say("The list of an interface does not apply to services of the ASA itself.")
        .say(BESIDE);
    document
        .begin(Step::Apply, "the lines at the top of the list that is bound already")
        .say(
            "The device has no trial: keep a second session open with the rollback ready in it. A restart that is \
             ordered before and cancelled afterwards is the only guard, and it cuts everything that passes the device \
             when it comes; it is written here as a comment. On a failover pair it is no guard: the other unit has the \
             change as well.",
        )
        .write_as_comment(format!("reload in {} noconfirm", order.minutes()))
        .say(
            "Stop at a warning of a duplicate: ROLLBACK, without the line that was there before.",
        );
    if order.allows() {
        document
            .say(
                "The permits come first, in a paste of their own: they also let the allowed sources through where a line of \
                 yours would not.",
            )
            .write("configure terminal")
            .write(lines(&entries, "permit"))
            .write("end\nshow access-list <ACL-NAME>")
            .say("The first lines must be these, or the denies would cut the allowed sources: otherwise ROLLBACK.")
            .begin(Step::Apply, "the denies below them");
    }
    document
        .write("configure terminal")
        .write(lines(&entries, "deny"))
        .write("end\nshow access-list <ACL-NAME>")
        .say(&format!(
            "Lines 1 to {} must be those of this change. When one is not: ROLLBACK, before anything else.",
            entries.len()
        ))
        .say("Existing connections continue until they are cleared:")
        .write(clear(order));
    document
        .begin(Step::Check, "the lines are at the top, and the deny counts")
        .write("show access-list <ACL-NAME>");
    for asset in &order.assets {
        document.write(format!(
            "packet-tracer input <INTERFACE> {} <SOURCE-OUTSIDE> 50000 {asset} {}",
            order.port.transport, order.port.number
        ));
    }
    document
        .say(if order.allows() {
            "<SOURCE-OUTSIDE> is an address of the same family outside the allowed sources."
        } else {
            "<SOURCE-OUTSIDE> is an address of the same family."
        })
        .say(&prove(order));
    document
        .begin(Step::Confirm, "saved; a restart that was ordered is cancelled")
        .write_as_comment("reload cancel")
        .write("write memory");
    let removed: String = entries
        .iter()
        .rev()
        .map(|entry| format!("no access-list <ACL-NAME> extended {entry}\n"))
        .collect();
    document
        .begin(
            Step::Rollback,
            if order.allows() {
                "each line by its text, a deny before its permits"
            } else {
                "each line by its text"
            },
        )
        .write_as_comment("reload cancel")
        .write("configure terminal")
        .write(removed)
        .write("end\nwrite memory");
    document.unverified(&[
        "the whole text on a device; the form of the lines without `line` was compared with two independent readers",
        "the word `line`, IPv6 in these lines, `clear conn`, `packet-tracer` with IPv6, `reload in`",
        "what an interface without a list lets through (by its security level)",
        "the warning of a duplicate, and that the old line stays where it is",
        "that since 8.3 the list has the real address of a translated asset, and that one list for both families needs 9.0",
        "`sysopt connection permit-vpn` and `vpn-filter`",
    ]);
    document
}

/// The permits or the denies, with the places that they have in the list.
fn lines(entries: &[String], action: &str) -> String {
    let numbered = (1..).zip(entries).filter(|(_, entry)| entry.starts_with(action));
    numbered
        .map(|(number, entry)| format!("access-list <ACL-NAME> line {number} extended {entry}\n"))
        .collect()
}

fn clear(order: &Order) -> String {
    let port = order.port;
    let assets = order
        .closed()
        .into_iter()
        .flat_map(|family| order.assets_of(family));
    assets
        .map(|asset| {
            format!(
                "clear conn protocol {} address {asset} port {}\n",
                port.transport, port.number
            )
        })
        .collect()
}

/// The permits of both families, then the denies.
fn entries(order: &Order) -> Vec<String> {
    let (transport, number) = (order.port.transport, order.port.number);
    let (mut permits, mut denies) = (Vec::new(), Vec::new());
    for family in order.closed() {
        for asset in order.assets_of(family) {
            for network in order.allowed(family) {
                permits.push(format!(
                    "permit {transport} {} {} eq {number}",
                    source(network),
                    host(asset)
                ));
            }
            denies.push(format!(
                "deny {transport} any{} {} eq {number} log",
                family.digit(),
                host(asset)
            ));
        }
    }
    permits.append(&mut denies);
    permits
}

fn host(address: IpAddr) -> String {
    format!("host {address}")
}

fn source(network: IpNet) -> String {
    match network {
        _ if network.prefix_len() == network.max_prefix_len() => host(network.addr()),
        IpNet::V4(network) => format!("{} {}", network.network(), network.netmask()),
        IpNet::V6(network) => network.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::dialect::{Dialect, tests::orders, write};

    proptest! {
        /// There is no trial: a permit that is refused must not be followed by a deny in the same paste.
        #[test]
        fn no_paste_holds_permits_and_denies(order in orders()) {
            let Ok(document) = write(Dialect::CiscoAsa, &order) else { return Ok(()) };
            let applied: Vec<_> = document.sections.iter().filter(|section| section.step == Step::Apply).collect();
            prop_assert_eq!(applied.len(), if order.allows() { 2 } else { 1 });
            for section in &applied {
                prop_assert!(!(section.text.contains("extended permit") && section.text.contains("extended deny")));
            }
            prop_assert!(applied.last().unwrap().text.contains("extended deny"));
        }
    }
}

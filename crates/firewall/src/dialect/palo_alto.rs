//! Palo Alto Networks PAN-OS, by the command line of the firewall itself.
//!
//! A rule denies everybody but those who are let through (`negate-source`), one for each family, so that it opens
//! nothing. A change is a candidate until `commit`; there is no trial.

use std::net::IpAddr;

use super::{BESIDE, Document, Family, Order, Step, prove};

pub(super) fn document(order: &Order) -> Document {
    let mut document = Document::new("#");
    let name = order.name();
    document
        .begin(Step::Before, "in configuration mode: no other candidate, and a way back")
        .write(format!(
            "show config diff\nshow rulebase security rules | match {name}\nsave config to {name}-before.xml"
        ))
        .say(
            "The difference must be empty: the commit would carry the work of others. No rule may hold the name of this \
             change yet. On a firewall with several \
             virtual systems put `vsys <VSYS>` after each `set`, `move` and `delete`. Where Panorama manages it, its \
             pre-rules come before these: make the change there; it also goes back by itself when the commit cuts the \
             firewall off from Panorama.",
        )
        .say(
            "Without `set deviceconfig setting session ipv6-firewalling yes` IPv6 passes unfiltered.",
        )
        .say(BESIDE);
    apply(order, &mut document);
    document
        .begin(Step::Check, "in operational mode: which rule decides")
        .write("show running security-policy");
    for asset in assets(order) {
        document.write(format!(
            "test security-policy-match source <SOURCE-OUTSIDE> destination {asset} protocol {} destination-port {}",
            protocol_number(order),
            order.port.number
        ));
    }
    document
        .write(sessions(order, "show"))
        .say(if order.allows() {
            "<SOURCE-OUTSIDE> is an address of the same family outside the allowed sources."
        } else {
            "<SOURCE-OUTSIDE> is an address of the same family."
        })
        .say(&prove(order));
    document
        .begin(Step::Confirm, "nothing more is to be done")
        .say(
            "The firewall has no trial: what was committed stays, also over a restart. Until the proof is there keep a \
             second session open with the rollback ready in it.",
        );
    let mut rollback = String::new();
    for family in order.closed() {
        rollback.push_str(&format!(
            "delete rulebase security rules {name}-{}\n",
            family.digit()
        ));
    }
    document
        .begin(Step::Rollback, "in configuration mode; only what this change made")
        .write("show config diff")
        .write(rollback)
        .write(format!("delete service {name}\nshow config diff"))
        .say(&format!(
            "The first difference must be empty, the second hold nothing but this change; else `revert config` and stop. \
             `load config from {name}-before.xml` and `commit` would also take back what others have done since."
        ))
        .begin(Step::Rollback, "the commit, in a paste of its own")
        .write("commit");
    document.unverified(&[
        "the whole text on a device; the form of the rules and of `move` was compared with one independent reader",
        "that lines beginning with # are taken as remarks: paste without them",
        "the setting for IPv6, `test security-policy-match`, and the filters of `clear session all`",
        "`revert config` giving up the whole candidate, and `show` of a single rule",
    ]);
    if order.allows() {
        document.unverified(&["that a negated source of one family applies to no packet of the other"]);
    }
    document
}

fn apply(order: &Order, document: &mut Document) {
    let (name, port) = (order.name(), order.port);
    document
        .begin(Step::Apply, "in configuration mode")
        .say(
            "Where addresses are translated, a rule is matched with the address before the translation and the zone after \
             it: name that address instead.",
        );
    if order.allows() {
        document.say("The rules open nothing: for the allowed sources your own rules still decide.");
    }
    document.write(format!(
        "set service {name} protocol {} port {}",
        port.transport, port.number
    ));
    for family in order.closed() {
        let rule = format!("set rulebase security rules {name}-{}", family.digit());
        document.write(format!("{rule} from any\n{rule} to any"));
        let allowed = order.allowed(family);
        if allowed.is_empty() {
            document.write(format!("{rule} source any"));
        }
        for network in &allowed {
            document.write(format!("{rule} source {network}"));
        }
        if !allowed.is_empty() {
            document
                .write(format!("{rule} negate-source yes"))
                .say("If this line is refused: `revert config` and stop. Without it the rule denies the allowed sources.");
        }
        for asset in order.assets_of(family) {
            document.write(format!("{rule} destination {asset}/{}", family.host_length()));
        }
        document.write(format!(
            "{rule} application any\n{rule} service {name}\n{rule} action drop\n{rule} log-start yes\n{rule} log-end yes\nmove \
             rulebase security rules {name}-{} top",
            family.digit()
        ));
    }
    for family in order.closed() {
        document.write(format!("show rulebase security rules {name}-{}", family.digit()));
    }
    document
        .write("show config diff")
        .say(&if order.allows() {
            format!(
                "Each rule that names sources must show `negate-source yes`, and nothing but {name} may be in the difference. \
                 Otherwise `revert config` and stop."
            )
        } else {
            format!("Nothing but {name} may be in the difference. Otherwise `revert config` and stop.")
        })
        .begin(Step::Apply, "the commit, in a paste of its own")
        .write("validate full\ncommit")
        .begin(Step::Apply, "existing sessions, which may continue: in operational mode")
        .write(sessions(order, "clear"));
}

fn assets(order: &Order) -> Vec<IpAddr> {
    let of = |family: Family| order.assets_of(family);
    order.closed().into_iter().flat_map(of).collect()
}

/// Number of the protocol, as the test of a policy wants it (IANA "Protocol Numbers").
fn protocol_number(order: &Order) -> u8 {
    match order.port.transport {
        portcullis_model::Transport::Tcp => 6,
        portcullis_model::Transport::Udp => 17,
    }
}

fn sessions(order: &Order, verb: &str) -> String {
    let lines = assets(order).into_iter().map(|asset| {
        format!(
            "{verb} session all filter destination {asset} destination-port {} protocol {}\n",
            order.port.number,
            protocol_number(order)
        )
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::{Dialect, tests::order, write};

    /// Without its negation a rule denies those who are allowed, and nobody else.
    #[test]
    fn the_negation_is_shown_before_the_commit() {
        let order = order("tcp/54321", &["10.7.20.0/24"], &["192.0.2.9"]);
        let apply = write(Dialect::PaloAlto, &order).unwrap().text(Step::Apply);
        let negated = apply.find("negate-source yes\n").unwrap();
        let shown = apply
            .find("\nshow rulebase security rules portcullis-3f2a91-4\n")
            .unwrap();
        let committed = apply.find("\ncommit\n").unwrap();
        assert!(negated < shown && shown < committed);
    }
}

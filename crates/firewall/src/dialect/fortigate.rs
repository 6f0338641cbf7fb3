//! Fortinet FortiGate, since FortiOS 6.4: one policy table for both families.
//!
//! The trial is held by the device: with `cfg-save revert` what was not saved is given up when the time is over
//! (FortiOS Administration Guide, "Using configuration save mode"; Fortinet technical tips 194054 and FD30912). A deny
//! does not concern what a virtual IP translates unless `match-vip` says so (technical tip "DENY policy for Virtual IP
//! firewall policy").

use super::{BESIDE, Document, Family, Order, Step, prove};

/// An idle session shorter than this restarts the device under the hands of who proves the change.
const SHORTEST: u64 = 600;

pub(super) fn document(order: &Order) -> Document {
    let mut document = Document::new("#");
    before(order, &mut document);
    apply(order, &mut document);
    document
        .begin(Step::Check, "the policies are first, and they count")
        .write("show firewall policy");
    for family in order.closed() {
        document.write(format!("diagnose firewall iprope show 100004 {}", id(family)));
    }
    document
        .write(sessions(order))
        .say("Type something from time to time while you prove it: the device restarts when the session is idle.")
        .say(&prove(order));
    document
        .begin(Step::Confirm, "from a new session, while the time runs")
        .write(format!("execute cfg save\n{SAVE_AS_BEFORE}\nexecute cfg save"));
    rollback(order, &mut document);
    unverified(order, &mut document);
    document
}

/// Puts back how the device saves.
const SAVE_AS_BEFORE: &str =
    "config system global\n    set cfg-save automatic\n    set cfg-revert-timeout <CFG-REVERT-TIMEOUT>\nend";

fn before(order: &Order, document: &mut Document) {
    let (name, six) = (order.name(), order.closed().contains(&Family::V6));
    document
        .begin(Step::Before, "nothing unsaved, and the first policy")
        .write("get system global | grep cfg\nshow firewall policy")
        .write(format!(
            "show firewall service custom | grep {name}\nshow firewall address | grep {name}"
        ));
    if six {
        document.write(format!("show firewall address6 | grep {name}"));
    }
    document
        .say(
            "cfg-save must be `automatic`. When it is not, somebody works with unsaved changes: have them saved or given up \
             first, for this text saves everything. Note cfg-revert-timeout: it is <CFG-REVERT-TIMEOUT>. The lines with \
             `grep portcullis` must print nothing.",
        )
        .say(
            "<FIRST-ID> is the policy that is first in this list. <FREE-ID-4> and <FREE-ID-6> are numbers that no \
             policy has. With virtual domains enter the right one first (`config vdom`); `config system global` is \
             under `config global` then.",
        )
        .say(
            "This does not apply to services of the FortiGate itself; they need `config firewall local-in-policy` and \
             `local-in-policy6`.",
        );
    if six && !order.allowed(Family::V6).is_empty() {
        document.say(
            "Not every release has `srcaddr6-negate`, and FortiOS 6.2 has `config firewall policy6` for IPv6: where the line \
             is refused this text does not close IPv6.",
        );
    }
    document.say(BESIDE);
}

fn unverified(order: &Order, document: &mut Document) {
    document.unverified(&[
        "the whole text on a device; the form of policies, services and addresses was compared with an independent reader",
        "an interface `any` in a policy, where the device is set to one interface for each",
        "whether the last save is needed once cfg-save is automatic; the number 100004 of the table in the check",
        "that `match-vip` goes with the real address of an asset in dstaddr, and that the filter of sessions is evaluated before \
         the translation",
        "`local-in-policy` and `local-in-policy6` on this release",
    ]);
    if order.allows() {
        document.unverified(&["srcaddr-negate and srcaddr6-negate on this release"]);
    }
    if order.closed().contains(&Family::V6) {
        document.unverified(&[
            "the family of a policy given by srcaddr6 and dstaddr6 alone; whether its counters are in `iprope6`",
        ]);
    }
}

fn id(family: Family) -> &'static str {
    match family {
        Family::V4 => "<FREE-ID-4>",
        Family::V6 => "<FREE-ID-6>",
    }
}

fn apply(order: &Order, document: &mut Document) {
    let (name, port) = (order.name(), order.port);
    let seconds = order.seconds().max(SHORTEST);
    document
        .begin(Step::Apply, "on trial")
        .say(&format!(
            "Without being saved the change is given up when the session has been idle for {seconds} s: the device itself \
             restarts or loads its configuration again then, a single unit too, and sessions through it are cut. Stop typing \
             when something is wrong. Shorter times would restart it while you prove the change.",
        ))
        .write(format!(
            "config system global\n    set cfg-save revert\n    set cfg-revert-timeout {seconds}\nend\nget system global | grep cfg"
        ))
        .say("It must show `revert` and this time: otherwise there is no trial, and you stop here.");
    if order.allows() {
        document.say("The policies open nothing: for the allowed sources your own policies still decide.");
    }
    document.write(format!(
        "config firewall service custom\n    edit \"{name}\"\n        set {}-portrange {}\n    next\nend",
        port.transport, port.number
    ));
    for family in order.closed() {
        addresses(order, family, document);
    }
    for family in order.closed() {
        policy(order, family, document);
    }
    document.begin(Step::Apply, "the policies are enabled, in a paste of their own");
    for family in order.closed() {
        if !order.allowed(family).is_empty() {
            document.say(&format!(
                "Only when the policy above shows `set srcaddr{}-negate enable`; otherwise ROLLBACK:",
                suffix(family)
            ));
        }
        document.write(format!(
            "config firewall policy\n    edit {}\n        set status enable\n    next\nend",
            id(family)
        ));
    }
    document
        .say("Existing sessions may continue until they are cleared. Those of one asset after the other:")
        .write(sessions(order))
        .say(
            "What is listed is what this ends; without the filter it would end all sessions, so that it is written here as a \
             comment, once for each family:",
        );
    for family in order.closed() {
        document.write_as_comment(format!("diagnose sys session{} clear", suffix(family)));
    }
}

/// A policy comes to be disabled, and is enabled only when its negation is seen: without that line it would deny those
/// who are allowed.
fn policy(order: &Order, family: Family, document: &mut Document) {
    let rule = format!("{}-{}", order.name(), family.digit());
    let (six, id) = (suffix(family), id(family));
    let allowed = order.allowed(family).len();
    let sources = if allowed == 0 {
        "\"all\"".to_owned()
    } else {
        names(&rule, "from", allowed)
    };
    let mut negate = String::new();
    if allowed > 0 {
        negate = format!("\n        set srcaddr{six}-negate enable");
        document.say(&format!(
            "If the line srcaddr{six}-negate is refused: `abort`, never `next`. Without it the policy denies the allowed \
             sources."
        ));
    }
    document.write(format!(
        "config firewall policy\n    edit {id}\n        set status disable\n        set name \"{rule}\"\n        set srcintf \
         \"any\"\n        set dstintf \"any\"\n        set srcaddr{six} {sources}{negate}"
    ));
    document.write(format!(
        "        set dstaddr{six} {targets}\n        set service \"{name}\"\n        set schedule \"always\"\n        set action \
         deny\n        set match-vip enable\n        set logtraffic all\n    next\n    move {id} before \
         <FIRST-ID>\nend\nshow firewall policy {id}",
        targets = names(&rule, "to", order.assets_of(family).len()),
        name = order.name(),
    ));
}

fn suffix(family: Family) -> &'static str {
    match family {
        Family::V4 => "",
        Family::V6 => "6",
    }
}

fn names(rule: &str, end: &str, count: usize) -> String {
    let names: Vec<String> = (1..=count)
        .map(|number| format!("\"{rule}-{end}-{number}\""))
        .collect();
    names.join(" ")
}

fn addresses(order: &Order, family: Family, document: &mut Document) {
    let rule = format!("{}-{}", order.name(), family.digit());
    let key = match family {
        Family::V4 => "subnet",
        Family::V6 => "ip6",
    };
    let entry = |end: &str, number: usize, network: String| {
        format!("    edit \"{rule}-{end}-{number}\"\n        set {key} {network}\n    next\n")
    };
    document.write(format!("config firewall address{}", suffix(family)));
    for (number, network) in (1..).zip(order.allowed(family)) {
        document.write(entry("from", number, network.to_string()));
    }
    for (number, asset) in (1..).zip(order.assets_of(family)) {
        document.write(entry("to", number, format!("{asset}/{}", family.host_length())));
    }
    document.write("end");
}

fn sessions(order: &Order) -> String {
    let mut lines = String::new();
    let protocol = match order.port.transport {
        portcullis_model::Transport::Tcp => 6,
        portcullis_model::Transport::Udp => 17,
    };
    for family in order.closed() {
        let session = format!("diagnose sys session{}", suffix(family));
        for asset in order.assets_of(family) {
            lines.push_str(&format!(
                "{session} filter clear\n{session} filter proto {protocol}\n{session} filter dst {asset}\n{session} filter \
                 dport {}\n{session} filter\n{session} list\n",
                order.port.number
            ));
        }
    }
    lines
}

fn rollback(order: &Order, document: &mut Document) {
    let name = order.name();
    document
        .begin(Step::Rollback, "only what this change made")
        .say(
            "`execute cfg reload` goes back to what was saved, but restarts the device. What is not there is refused, and does \
             no harm.",
        )
        .say(&format!("Each of these must show the name {name}; leave out one that does not:"));
    for family in order.closed() {
        document.write(format!("show firewall policy {}", id(family)));
    }
    document
        .begin(Step::Rollback, "and then")
        .write("config firewall policy");
    for family in order.closed() {
        document.write(format!("    delete {}", id(family)));
    }
    document.write("end");
    for family in order.closed() {
        let rule = format!("{name}-{}", family.digit());
        document.write(format!("config firewall address{}", suffix(family)));
        for (end, count) in [
            ("from", order.allowed(family).len()),
            ("to", order.assets_of(family).len()),
        ] {
            for number in 1..=count {
                document.write(format!("    delete \"{rule}-{end}-{number}\""));
            }
        }
        document.write("end");
    }
    document.write(format!(
        "config firewall service custom\n    delete \"{name}\"\nend\nexecute cfg save\n{SAVE_AS_BEFORE}\nexecute cfg save\nget \
         system global | grep cfg"
    ));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::{Dialect, tests::order, write};

    /// Without its negation a policy denies those who are allowed, and nobody else.
    #[test]
    fn a_policy_is_enabled_only_after_its_negation_was_seen() {
        let assets = ["192.0.2.9", "2001:db8:7::9"];
        let engineers = order("tcp/54321", &["10.7.20.0/24", "2001:db8:7:20::/64"], &assets);
        let apply = write(Dialect::FortiGate, &engineers).unwrap().text(Step::Apply);
        for (negation, id) in [
            ("set srcaddr-negate enable\n", "<FREE-ID-4>"),
            ("set srcaddr6-negate enable\n", "<FREE-ID-6>"),
        ] {
            let made = apply
                .find(&format!("edit {id}\n        set status disable"))
                .unwrap();
            let negated = apply.find(negation).unwrap();
            let shown = apply.find(&format!("show firewall policy {id}")).unwrap();
            let enabled = apply
                .find(&format!("edit {id}\n        set status enable"))
                .unwrap();
            assert!(made < negated && negated < shown && shown < enabled);
        }
        let nobody = write(Dialect::FortiGate, &order("tcp/54321", &[], &assets)).unwrap();
        assert!(!nobody.to_string().contains("negate"));
    }

    #[test]
    fn confirm_and_rollback_put_back_how_the_device_saves() {
        let document = write(Dialect::FortiGate, &order("tcp/54321", &[], &["192.0.2.9"])).unwrap();
        for step in [Step::Confirm, Step::Rollback] {
            assert!(
                document
                    .text(step)
                    .contains(&format!("{SAVE_AS_BEFORE}\nexecute cfg save"))
            );
        }
        assert!(document.text(Step::Apply).contains("cfg-revert-timeout 600"));
    }
}

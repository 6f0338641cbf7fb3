//! Fortinet FortiGate, since FortiOS 6.4: one policy table for both families.
//!
//! The trial is held by the device: with `cfg-save revert` what was not saved is given up when the time is over
//! (FortiOS Administration Guide, "Using configuration save mode"; Fortinet technical tips 194054 and FD30912). A deny
//! does not concern what a virtual IP translates unless `match-vip` says so (technical tip "DENY policy for Virtual IP
//! firewall policy").

use super::{BESIDE, Document, Family, Order, Step, prove};

pub(super) fn document(order: &Order) -> Document {
    let mut document = Document::new("#");
    document
        .begin(Step::Before, "nothing unsaved, and the first policy")
        .write("get system global | grep cfg\nshow firewall policy")
        .say(
            "<FIRST-ID> is the policy that stands first in this list. <FREE-ID-4> and <FREE-ID-6> are numbers that no \
             policy has. With virtual domains enter the right one first (`config vdom`); `config system global` is \
             under `config global` then.",
        )
        .say(
            "Services of the FortiGate itself are not concerned; they need `config firewall local-in-policy` and \
             `local-in-policy6`.",
        )
        .say(BESIDE);
    apply(order, &mut document);
    document
        .begin(Step::Check, "the policies stand first, and they count")
        .write("show firewall policy");
    for family in order.closed() {
        document.write(format!("diagnose firewall iprope show 100004 {}", id(family)));
    }
    document.write(sessions(order)).say(&prove(order));
    document
        .begin(Step::Confirm, "from a new session, while the time runs")
        .write("execute cfg save\nconfig system global\n    set cfg-save automatic\nend\nexecute cfg save")
        .say("From here on every change is saved at once again. Leave it at `revert` where that is how you work.");
    rollback(order, &mut document);
    document.unverified(&[
        "the whole text on a device; the form of policies, services and addresses was compared with an independent reader",
        "the family of a policy given by srcaddr6 and dstaddr6 alone, and srcaddr-negate with it (srcaddr6-negate on \
         releases that have it)",
        "an interface `any` in a policy, where the device is set to one interface for each",
        "whether the last save is needed once cfg-save is automatic; the number 100004 of the table in the check",
    ]);
    document
}

fn id(family: Family) -> &'static str {
    match family {
        Family::V4 => "<FREE-ID-4>",
        Family::V6 => "<FREE-ID-6>",
    }
}

fn apply(order: &Order, document: &mut Document) {
    let (name, port) = (order.name(), order.port);
    document
        .begin(Step::Apply, "on trial")
        .say(
            "Without being saved the change is given up when the session has been idle for this time: stop typing when \
             something is wrong. All members of a cluster then restart, and sessions are cut for some 20 to 30 \
             seconds.",
        )
        .write(format!(
            "config system global\n    set cfg-save revert\n    set cfg-revert-timeout {}\nend",
            order.seconds().max(10)
        ))
        .say(
            "The policies open nothing: for those who are let through, your own policies go on deciding.",
        )
        .write(format!(
            "config firewall service custom\n    edit \"{name}\"\n        set {}-portrange {}\n    next\nend",
            port.transport, port.number
        ));
    for family in order.closed() {
        addresses(order, family, document);
    }
    document.write("config firewall policy");
    for family in order.closed() {
        let rule = format!("{name}-{}", family.digit());
        let six = suffix(family);
        let allowed = order.allowed(family).len();
        let sources = if allowed == 0 {
            "\"all\"".to_owned()
        } else {
            names(&rule, "from", allowed)
        };
        let negate = if allowed == 0 {
            String::new()
        } else {
            format!("\n        set srcaddr{six}-negate enable")
        };
        document.write(format!(
            "    edit {id}\n        set name \"{rule}\"\n        set srcintf \"any\"\n        set dstintf \"any\"\n        \
             set srcaddr{six} {sources}{negate}\n        set dstaddr{six} {targets}\n        set service \"{name}\"\n        set \
             schedule \"always\"\n        set action deny\n        set match-vip enable\n        set logtraffic all\n    \
             next\n    move {id} before <FIRST-ID>",
            id = id(family),
            targets = names(&rule, "to", order.assets_of(family).len()),
        ));
    }
    document
        .write("end")
        .say("Sessions that stand may go on until they are cleared. Those of one asset after the other:")
        .write(sessions(order))
        .say(
            "What is listed is what this ends; without the filter it would end all sessions, so that it stands here as a \
             comment, once for each family:",
        );
    for family in order.closed() {
        document.write_as_comment(format!("diagnose sys session{} clear", suffix(family)));
    }
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
        .say("`execute cfg reload` goes back to what was saved, but restarts the device.")
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
    document
        .write(format!(
            "config firewall service custom\n    delete \"{name}\"\nend\nexecute cfg save\nconfig system global\n    set \
             cfg-save automatic\nend"
        ));
}

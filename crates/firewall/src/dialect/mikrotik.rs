//! MikroTik RouterOS.
//!
//! Safe mode undoes what a session did when it ends abnormally; it is no timer. Filters of the two families are two menus
//! ("Filter", RouterOS documentation).

use super::{BESIDE, Document, Family, Order, Step, prove};

pub(super) fn document(order: &Order) -> Document {
    let mut document = Document::new("#");
    let name = order.name();
    document.begin(
        Step::Before,
        "in a terminal: press Ctrl+X for safe mode, then look at the first rules",
    );
    for family in order.closed() {
        document.write(format!("{} firewall filter print", menu(family)));
    }
    document
        .say(
            "The prompt must say <SAFE>. Safe mode undoes everything when the session breaks, but not when it is left \
             with `/quit`, and not after more than 100 actions.",
        )
        .say(
            "A rule 0 that is a dynamic \"fasttrack dummy\" cannot have another one before it: write \
             `place-before=1` below then. Leave `place-before` out where there is no rule at all.",
        )
        .say(BESIDE);
    document
        .begin(Step::Apply, "the guard first, then the rules")
        .say("Safe mode is no timer; this entry of the scheduler is one. It takes the rules away, then itself.")
        .write(format!(
            "/system scheduler add name={name} interval={}s on-event=\"{}\"",
            order.seconds(),
            removal(order).replace('"', "\\\"")
        ))
        .write(format!("/system scheduler print where name=\"{name}\""))
        .say(
            "The rules open nothing: for those who are let through, your own rules go on deciding. They are for what \
             passes the router; for the router's own services write `chain=input`.",
        );
    for family in order.closed() {
        rules(order, family, &mut document);
    }
    document
        .say("Connections in fasttrack pass no filter: end those to the port.")
        .write(connections(order, "remove"));
    document.begin(
        Step::Check,
        "the rules stand first, none is marked invalid, and they count",
    );
    for family in order.closed() {
        document.write(format!(
            "{} firewall filter print stats where comment=\"{name}\"",
            menu(family)
        ));
    }
    document.write(connections(order, "print")).say(&prove(order));
    document
        .begin(
            Step::Confirm,
            "the guard goes; then press Ctrl+X again to leave safe mode",
        )
        .write(format!("/system scheduler remove [find name=\"{name}\"]"));
    for family in order.closed() {
        document.write(format!(
            "{} firewall filter print where comment=\"{name}\"",
            menu(family)
        ));
    }
    document.say("No rule in the answer means that the guard was faster: the port is open as before.");
    document
        .begin(Step::Rollback, "only what this change made")
        .write(removal(order).replace("; ", "\n"));
    document.unverified(&[
        "the whole text on a device",
        "when an entry of the scheduler without a start time runs first, and that it may take itself away",
        "the address lists of IPv6, and `find where dst-address~` in both families",
        "how many actions safe mode undoes",
    ]);
    document
}

fn menu(family: Family) -> &'static str {
    match family {
        Family::V4 => "/ip",
        Family::V6 => "/ipv6",
    }
}

fn rules(order: &Order, family: Family, document: &mut Document) {
    let (name, menu) = (order.name(), menu(family));
    for network in order.allowed(family) {
        document.write(format!(
            "{menu} firewall address-list add list={name} address={network}"
        ));
    }
    let from = if order.allowed(family).is_empty() {
        String::new()
    } else {
        format!("src-address-list=!{name} ")
    };
    for asset in order.assets_of(family) {
        document.write(format!(
            "{menu} firewall filter add chain=forward action=drop protocol={} {from}dst-address={asset}/{} dst-port={} \
             log=yes log-prefix={name} comment={name} place-before=0",
            order.port.transport,
            family.host_length(),
            order.port.number
        ));
    }
}

/// Takes away all that the change made, in one line of a script.
fn removal(order: &Order) -> String {
    let name = order.name();
    let mut commands = Vec::new();
    for family in order.closed() {
        let menu = menu(family);
        commands.push(format!("{menu} firewall filter remove [find comment=\"{name}\"]"));
        commands.push(format!(
            "{menu} firewall address-list remove [find list=\"{name}\"]"
        ));
    }
    commands.push(format!("/system scheduler remove [find name=\"{name}\"]"));
    commands.join("; ")
}

fn connections(order: &Order, verb: &str) -> String {
    let mut lines = String::new();
    for family in order.closed() {
        for asset in order.assets_of(family) {
            let connections = format!("{} firewall connection", menu(family));
            let wanted = format!(
                "protocol={} and dst-address~\"{asset}\" and dst-address~\"{}\\$\"",
                order.port.transport, order.port.number
            );
            lines.push_str(&match verb {
                "remove" => format!("{connections} remove [find where {wanted}]\n"),
                verb => format!("{connections} {verb} where {wanted}\n"),
            });
        }
    }
    lines
}

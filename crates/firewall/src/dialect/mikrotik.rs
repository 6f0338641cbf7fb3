//! MikroTik RouterOS.
//!
//! Safe mode undoes what a session did when it ends abnormally; it is no timer. Filters of the two families are two menus
//! ("Filter", RouterOS documentation).

use std::net::IpAddr;

use super::{BESIDE, Document, Family, Order, Step, prove};

pub(super) fn document(order: &Order) -> Document {
    let mut document = Document::new("#");
    let name = order.name();
    document.begin(
        Step::Before,
        "in a terminal: press Ctrl+X for safe mode, then look at the first rules",
    );
    for family in order.closed() {
        let menu = menu(family);
        document.write(format!(
            "{menu} firewall filter print\n{menu} firewall filter print where comment=\"{name}\""
        ));
    }
    document
        .write(format!(
            "/system scheduler print where name~\"{name}\"\n/system clock print"
        ))
        .say("Those that name this change must print nothing.");
    if order.closed().contains(&Family::V6) {
        document.say(
            "An error in a line that begins with /ipv6 means that IPv6 is switched off: leave out the block for IPv6.",
        );
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
    for family in order.closed() {
        apply(order, family, &mut document);
    }
    document.begin(
        Step::Check,
        "the rules are first, none is marked invalid, they count, and the guard still waits",
    );
    for family in order.closed() {
        document.write(format!(
            "{} firewall filter print stats where comment=\"{name}\"\n{}",
            menu(family),
            waits(order, family)
        ));
    }
    document.write(connections(order, "print")).say(&prove(order));
    document.begin(
        Step::Confirm,
        "in the session that is in safe mode: the guard goes, then safe mode is left",
    );
    for family in order.closed() {
        document.write(format!(
            "/system scheduler remove [find name=\"{}\"]",
            guard(order, family)
        ));
    }
    document.say(
        "Press Ctrl+X in the session whose prompt says <SAFE>: another one cannot keep what was done in it. Once the \
         prompt no longer says it:",
    );
    for family in order.closed() {
        document.write(format!(
            "{} firewall filter print where comment=\"{name}\"",
            menu(family)
        ));
    }
    document.say(
        "No rule in the answer means that the guard was faster: the port is OPEN. Start again at APPLY.",
    );
    document.begin(
        Step::Rollback,
        "only what this change made, on trial or confirmed",
    );
    for family in order.closed() {
        document.write(removal(order, family).replace("; ", "\n"));
    }
    document.unverified(&[
        "the whole text on a device",
        "when an entry of the scheduler without a start time runs first, and that it may take itself away",
        "`find where dst-address~` in both families; newer RouterOS may show the port in a field of its own",
        "how many actions safe mode undoes",
    ]);
    if order.allows() {
        document.unverified(&["the address lists of IPv6"]);
    }
    document
}

/// A family with its own guard: an error in the other one must not disable it.
fn apply(order: &Order, family: Family, document: &mut Document) {
    document
        .begin(
            Step::Apply,
            &format!("IPv{}: its guard", family.digit()),
        )
        .say("Safe mode is no timer; this entry of the scheduler is one. It takes the rules away, then itself.")
        .write(format!(
            "/system scheduler add name={} interval={}s on-event=\"{}\"",
            guard(order, family),
            order.seconds(),
            removal(order, family).replace('"', "\\\"")
        ))
        .write(waits(order, family))
        .say(&format!(
            "Go on only when it shows one entry, enabled, whose next-run is about {} s after the time of the clock. \
             Otherwise ROLLBACK.",
            order.seconds()
        ))
        .begin(Step::Apply, &format!("IPv{}: its rules", family.digit()));
    if !order.allowed(family).is_empty() {
        document.say("The rules open nothing: for the allowed sources your own rules still decide.");
    }
    document.say("They are for what passes the router; for the router's own services write `chain=input`.");
    rules(order, family, document);
    document
        .write(waits(order, family))
        .say("When the entry is gone or its next-run has not stayed the same: ROLLBACK.")
        .say("Connections in fasttrack pass no filter. The next step ends what this lists, of everybody:")
        .write(connections_of(order, family, "print"))
        .begin(
            Step::Apply,
            &format!("IPv{}: only when the list holds nothing else", family.digit()),
        )
        .write(connections_of(order, family, "remove"));
}

/// The name of the guard of a family.
fn guard(order: &Order, family: Family) -> String {
    format!("{}-{}", order.name(), family.digit())
}

/// Shows the guard, and the clock that it goes by.
fn waits(order: &Order, family: Family) -> String {
    format!(
        "/system scheduler print detail where name=\"{}\"\n/system clock print",
        guard(order, family)
    )
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

/// Takes away all that the change made in a family, in one line of a script.
fn removal(order: &Order, family: Family) -> String {
    let (name, menu) = (order.name(), menu(family));
    let mut commands = vec![format!("{menu} firewall filter remove [find comment=\"{name}\"]")];
    if !order.allowed(family).is_empty() {
        commands.push(format!(
            "{menu} firewall address-list remove [find list=\"{name}\"]"
        ));
    }
    commands.push(format!(
        "/system scheduler remove [find name=\"{}\"]",
        guard(order, family)
    ));
    commands.join("; ")
}

fn connections(order: &Order, verb: &str) -> String {
    let of = |family| connections_of(order, family, verb);
    order.closed().into_iter().map(of).collect()
}

/// The pattern holds the whole of what is shown: the address of another host or another port is longer.
fn connections_of(order: &Order, family: Family, verb: &str) -> String {
    let assets = order.assets_of(family).into_iter();
    let lines = assets.map(|asset| {
        let connections = format!("{} firewall connection", menu(family));
        let wanted = format!(
            "protocol={} and dst-address~\"{}\"",
            order.port.transport,
            pattern(asset, order.port.number)
        );
        match verb {
            "remove" => format!("{connections} remove [find where {wanted}]\n"),
            verb => format!("{connections} {verb} where {wanted}\n"),
        }
    });
    lines.collect()
}

/// A regular expression in a text of RouterOS, where `\` and `$` are written `\\` and `\$`.
fn pattern(asset: IpAddr, port: u16) -> String {
    match asset {
        IpAddr::V4(asset) => format!("^{}:{port}\\$", asset.to_string().replace('.', "\\\\.")),
        IpAddr::V6(asset) => format!("^\\\\[?{asset}(]:|\\\\.|:|/128:){port}\\$"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::{Dialect, tests::order, write};

    /// An error in one line of a script of RouterOS ends it: each family has a guard that names the other nowhere.
    #[test]
    fn each_family_has_its_own_guard_before_its_rules() {
        let order = order("tcp/54321", &["10.7.20.0/24"], &["192.0.2.9", "2001:db8:7::9"]);
        let document = write(Dialect::MikroTik, &order).unwrap();
        let applied: Vec<&str> = document
            .sections
            .iter()
            .filter(|section| section.step == Step::Apply)
            .map(|section| section.text.as_str())
            .collect();
        assert_eq!(applied.len(), 6);
        for pair in applied.chunks(3) {
            assert!(pair[0].contains("/system scheduler add") && !pair[0].contains("filter add"));
            assert!(pair[1].contains("firewall filter add"));
            let both = pair.concat();
            assert!(!(both.contains("/ip firewall") && both.contains("/ipv6 ")));
        }
    }

    #[test]
    fn patterns_are_anchored_at_both_ends() {
        let v4 = pattern("192.0.2.9".parse().unwrap(), 4800);
        assert_eq!(v4, r"^192\\.0\\.2\\.9:4800\$");
        let v6 = pattern("2001:db8:7::9".parse().unwrap(), 4800);
        assert!(v6.starts_with('^') && v6.ends_with(r"4800\$"), "{v6}");
    }
}

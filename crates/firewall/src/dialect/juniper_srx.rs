//! Juniper SRX.
//!
//! The trial is held by the device: `commit confirmed`, in minutes ("Commit the Configuration", Junos OS CLI User
//! Guide). One policy denies everybody but those who are let through (`source-address-excluded`), so that
//! it opens nothing that your own policies do not.

use super::{BESIDE, Document, Family, Order, Step, prove};

const ZONES: &str = "security policies from-zone <FROM-ZONE> to-zone <TO-ZONE>";

pub(super) fn document(order: &Order) -> Document {
    let mut document = Document::new("#");
    before(order, &mut document);
    apply(order, &mut document);
    check(order, &mut document);
    document
        .begin(
            Step::Confirm,
            "in the same configuration mode, while the timer runs",
        )
        .write("commit")
        .say(
            "Without it the device goes back by itself. Prove the change from a new session first, then come back to this \
             one: it holds the configuration.",
        );
    document
        .begin(
            Step::Rollback,
            "in configuration mode; only what this change made",
        )
        .say("During the trial: wait until the timer has run out. Once it was confirmed:")
        .write("configure exclusive\nshow | compare")
        .write(rollback(order))
        .write("show | compare")
        .say(&format!(
            "The first comparison must be empty, the second hold nothing but {}; else `rollback 0` and stop. `rollback 1` \
             would also take back what others have committed since.",
            order.name()
        ))
        .begin(Step::Rollback, "the commit, in a paste of its own")
        .write("commit and-quit");
    document.unverified(&[
        "the whole text on a device; the form of the policies was compared with two independent readers",
        "what becomes of a trial when the device restarts in it",
        "the zone form of the addresses",
    ]);
    if order.allows() {
        document.unverified(&["`source-address-excluded` on the release of this device"]);
    }
    document
}

fn before(order: &Order, document: &mut Document) {
    document
        .begin(Step::Before, "which zones, which policy is the first, and no work of others")
        .write(
            "show security zones\nshow security policies from-zone <FROM-ZONE> to-zone <TO-ZONE>\nshow configuration security \
             | display set | match address-book",
        );
    if order.closed().contains(&Family::V6) {
        document
            .write("show security flow status")
            .say("IPv6 must be flow based: in packet mode, or dropped, no policy is evaluated for it.");
    }
    document
        .say(
            "<TO-ZONE> holds the assets, <FROM-ZONE> those who are to be shut out; each pair of zones needs the same, \
             also the one of a zone with itself. Global policies come after those of the zones.",
        )
        .say(
            "Where an address book is part of a zone (`security zones security-zone … address-book`), a global one is refused \
             by the commit. Write, in APPLY and in ROLLBACK, for `set security address-book global` the zone form:",
        )
        .write_as_comment(match order.allows() {
            true => {
                "set security zones security-zone <FROM-ZONE> address-book   (names with -from-)\nset security zones \
                 security-zone <TO-ZONE> address-book     (names with -to-)"
            }
            false => "set security zones security-zone <TO-ZONE> address-book",
        })
        .say(BESIDE)
        .write("configure exclusive\nshow | compare")
        .say(&format!(
            "Exclusive, for any commit of another one would confirm the trial; a private candidate cannot have one. The \
             comparison must be empty: the commit would carry the work of others. No line may hold {} yet.",
            order.name()
        ))
        .write(format!("show security | display set | match {}", order.name()));
}

fn apply(order: &Order, document: &mut Document) {
    let (name, port) = (order.name(), order.port);
    document.begin(Step::Apply, "in the same configuration mode, on trial");
    if order.allows() {
        document.say("The policy opens nothing: for the allowed sources your own policies still decide.");
    }
    document
        .say("This does not apply to services of the SRX itself; they are in `host-inbound-traffic`.")
        .write(format!(
            "set applications application {name} protocol {} destination-port {}",
            port.transport, port.number
        ));
    for family in order.closed() {
        let rule = format!("{name}-{}", family.digit());
        let policy = format!("{ZONES} policy {rule}");
        for (number, network) in (1..).zip(order.allowed(family)) {
            document.write(format!(
                "set security address-book global address {rule}-from-{number} {network}"
            ));
        }
        for (number, asset) in (1..).zip(order.assets_of(family)) {
            document.write(format!(
                "set security address-book global address {rule}-to-{number} {asset}/{}",
                family.host_length()
            ));
        }
        let allowed = order.allowed(family).len();
        if allowed == 0 {
            document.write(format!("set {policy} match source-address any"));
        }
        for number in 1..=allowed {
            document.write(format!("set {policy} match source-address {rule}-from-{number}"));
        }
        if allowed > 0 {
            document
                .write(format!("set {policy} match source-address-excluded"))
                .say("If this line is refused: `rollback 0` and stop. Without it the policy denies the allowed sources.");
        }
        for number in 1..=order.assets_of(family).len() {
            document.write(format!(
                "set {policy} match destination-address {rule}-to-{number}"
            ));
        }
        document.write(format!(
            "set {policy} match application {name}\nset {policy} then deny\nset {policy} then log session-init\ninsert \
             {policy} before policy <FIRST-POLICY>"
        ));
    }
    document
        .say("Leave out the `insert` where the pair of zones had no policy.")
        .write("show | compare");
    for family in order.closed() {
        document.write(format!("show {ZONES} policy {name}-{}", family.digit()));
    }
    document.say(&if order.allows() {
        format!(
            "Nothing but {name} may be in the comparison, and each policy must show `source-address-excluded` where it names \
             sources. Otherwise `rollback 0` and stop."
        )
    } else {
        format!("Nothing but {name} may be in the comparison. Otherwise `rollback 0` and stop.")
    });
    document
        .begin(Step::Apply, "the trial, in a paste of its own")
        .write(format!("commit check\ncommit confirmed {}", order.minutes()))
        .say(
            "Until CONFIRM: no `commit`, and no `commit check`. Any of them, by whomever, confirms the trial.",
        )
        .begin(Step::Apply, "existing sessions: in operational mode, from another session")
        .say("They continue: `policy-rematch` is off by default, and is about the policy that let them in.")
        .write(sessions(order, "clear"));
}

fn check(order: &Order, document: &mut Document) {
    document.begin(
        Step::Check,
        "in operational mode: the policy is first, and it is hit",
    );
    document.write(
        "show security policies from-zone <FROM-ZONE> to-zone <TO-ZONE>\nshow security policies hit-count from-zone \
         <FROM-ZONE> to-zone <TO-ZONE>",
    );
    document.write(sessions(order, "show")).say(&prove(order));
}

fn sessions(order: &Order, verb: &str) -> String {
    let port = order.port;
    let of_asset = |family: Family| {
        let assets = order.assets_of(family).into_iter();
        assets.map(move |asset| {
            format!(
                "{verb} security flow session destination-prefix {asset}/{} destination-port {} protocol {}\n",
                family.host_length(),
                port.number,
                port.transport
            )
        })
    };
    order.closed().into_iter().flat_map(of_asset).collect()
}

fn rollback(order: &Order) -> String {
    let name = order.name();
    let mut lines = String::new();
    for family in order.closed() {
        let rule = format!("{name}-{}", family.digit());
        lines.push_str(&format!("delete {ZONES} policy {rule}\n"));
        let addresses = [
            ("from", order.allowed(family).len()),
            ("to", order.assets_of(family).len()),
        ];
        for (end, count) in addresses {
            for number in 1..=count {
                lines.push_str(&format!(
                    "delete security address-book global address {rule}-{end}-{number}\n"
                ));
            }
        }
    }
    lines.push_str(&format!("delete applications application {name}\n"));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::{Dialect, tests::order, write};

    /// Any commit, and any check of one, confirms the trial.
    #[test]
    fn nothing_is_committed_or_checked_between_the_trial_and_confirm() {
        let order = order("tcp/54321", &["10.7.20.0/24"], &["192.0.2.9"]);
        let document = write(Dialect::JuniperSrx, &order).unwrap();
        assert!(document.text(Step::Before).contains("configure exclusive\n"));
        let apply = document.text(Step::Apply);
        let (before, after) = apply.split_once("commit confirmed 3").unwrap();
        assert!(before.contains("source-address-excluded\n") && before.contains("show | compare"));
        let later = format!("{after}{}", document.text(Step::Check));
        assert!(!later.lines().any(|line| line.starts_with("commit")), "{later}");
    }
}

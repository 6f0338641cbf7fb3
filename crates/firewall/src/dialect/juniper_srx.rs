//! Juniper SRX.
//!
//! The trial is held by the device: `commit confirmed`, in minutes ("Commit the Configuration", Junos OS CLI User
//! Guide). One policy denies everybody but those who are let through (`source-address-excluded`), so that
//! it opens nothing that your own policies do not.

use super::{BESIDE, Document, Family, Order, Step, prove};

const ZONES: &str = "security policies from-zone <FROM-ZONE> to-zone <TO-ZONE>";

pub(super) fn document(order: &Order) -> Document {
    let mut document = Document::new("#");
    document
        .begin(Step::Before, "which zones, and which policy is the first")
        .write("show security zones\nshow security policies from-zone <FROM-ZONE> to-zone <TO-ZONE>")
        .say(
            "<TO-ZONE> holds the assets, <FROM-ZONE> those who are to be shut out; each pair of zones needs the same, \
             also the one of a zone with itself. Global policies come after those of the zones.",
        )
        .say(BESIDE);
    apply(order, &mut document);
    check(order, &mut document);
    document
        .begin(
            Step::Confirm,
            "in configuration mode, from a new session, while the timer runs",
        )
        .write("commit")
        .say("Without it the device goes back by itself.");
    document
        .begin(
            Step::Rollback,
            "in configuration mode; only what this change made",
        )
        .write(rollback(order))
        .write("commit")
        .say("`rollback 1` would also take back what others have committed since.");
    document.unverified(&[
        "the whole text on a device; the form of the policies was compared with two independent readers",
        "`source-address-excluded` on the release of this device",
        "what becomes of a trial when the device restarts in it",
    ]);
    document
}

fn apply(order: &Order, document: &mut Document) {
    let (name, port) = (order.name(), order.port);
    document
        .begin(Step::Apply, "in configuration mode, on trial")
        .say(
            "The policy opens nothing: for those who are let through, your own policies go on deciding. Services of \
             the SRX itself are not concerned; they are in `host-inbound-traffic`.",
        )
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
            document.write(format!("set {policy} match source-address-excluded"));
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
        .write(format!("commit check\nshow | compare\ncommit confirmed {}", order.minutes()))
        .say(
            "Sessions that stand go on: `policy-rematch` is off by default, and is about the policy that let them in. \
             In operational mode:",
        )
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

//! Moxa secure routers of the EDR series: a work order for the pages of the device.
//!
//! SettingCheck holds the trial: 10 to 3600 seconds, 180 unless set otherwise; a policy that is not confirmed in that time
//! is taken back ("SettingCheck", Industrial Secure Router User's Manual, EDR-G902/G903 and EDR-810). No commands are
//! written, because none were found in a manual.

use portcullis_model::Transport;

use super::{BESIDE, Document, Family, Order, Step, prove};

/// The times that SettingCheck takes, in seconds.
const TIMES: std::ops::RangeInclusive<u64> = 10..=3600;

pub(super) fn document(order: &Order) -> Document {
    let mut document = Document::new("");
    let timer = order.seconds().clamp(*TIMES.start(), *TIMES.end());
    document
        .begin(Step::Before, "on the pages of the router")
        .say("1. Export the configuration and keep the file: it is the last way back.")
        .say(
            "2. Note the interface through which those come who are to be shut out, that of the assets, and the policies \
             of layer 3 with their order, for each such pair of interfaces. Note how SettingCheck is set.",
        )
        .say(&format!(
            "3. SettingCheck: enable \"Firewall Policy\", set the timer to {timer} seconds, and activate."
        ));
    if timer != order.seconds() {
        document.say(&format!(
            "   Asked for were {} seconds; SettingCheck takes {} to {}.",
            order.seconds(),
            TIMES.start(),
            TIMES.end()
        ));
    }
    document.say(&format!("Note: {BESIDE}"));
    policies(order, &mut document);
    document
        .begin(Step::Check, "while SettingCheck waits")
        .say("1. The policies are in the order above, before all others for these assets.")
        .say(&format!("2. {}", prove(order)))
        .say(if order.allows() {
            "3. Existing connections may continue: look whether the service still talks to hosts outside the allowed sources."
        } else {
            "3. Existing connections may continue: look whether the service still talks to anybody."
        });
    document
        .begin(Step::Confirm, "while SettingCheck waits, from a new login")
        .say("1. Click the confirm button of SettingCheck. Without it the router takes the policies back by itself.")
        .say("2. Set SettingCheck as it was before.")
        .say("3. Save the configuration where the model has a step of its own for it, and export it again.");
    document
        .begin(Step::Rollback, "when something is wrong")
        .say("1. While SettingCheck waits: do nothing, and wait until the time is over.")
        .say(
            "2. Afterwards: policies carry no mark. With SettingCheck enabled as above go to the indexes that you noted, compare \
             each policy with the list in APPLY word for word, delete it, the highest index first, and confirm.",
        )
        .say("3. Set SettingCheck as it was before.");
    document.unverified(&[
        "names and places of the pages and fields on this model and firmware, besides those of SettingCheck",
        "whether the policies of layer 3 apply to IPv6 on this model at all",
        "what becomes of existing connections, and of a restart while SettingCheck waits",
    ]);
    document
}

fn policies(order: &Order, document: &mut Document) {
    let port = order.port.number;
    let protocol = match order.port.transport {
        Transport::Tcp => "TCP",
        Transport::Udp => "UDP",
    };
    document
        .begin(Step::Apply, "policies of layer 3, in this order, above all others for these assets")
        .say(
            "For each such pair of interfaces. Policies carry no mark: note beside each number the index that it gets on the \
             router, and the pair.",
        );
    if order.allows() {
        document.say(
            "The accepting ones come first, so they also let the allowed sources through where a policy of yours would not.",
        );
    }
    let mut index = 0;
    for family in order.closed() {
        if family == Family::V6 {
            document.say("IPv6: only where the router filters it. Where it does not, the port has to be closed elsewhere.");
        }
        for asset in order.assets_of(family) {
            let mut policy = |source: &str, action: &str| {
                index += 1;
                document.write(format!(
                    "{index:>3}. from <INTERFACE-OUTSIDE> to <INTERFACE-OF-ASSETS>, {protocol}, source {source} port any, \
                     destination {asset} port {port}, {action}"
                ));
            };
            for network in order.allowed(family) {
                policy(&network.to_string(), "ACCEPT");
            }
            policy("any", "DROP, with logging");
        }
    }
    document.say("Activate them together. SettingCheck now waits for the confirmation.");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::dialect::{Dialect, tests::orders, write};

    proptest! {
        /// Finding 11: the router has a trial of its own, for 10 to 3600 seconds, and the work order uses it.
        #[test]
        fn finding_11_the_moxa_work_order_uses_setting_check(order in orders()) {
            let Ok(document) = write(Dialect::MoxaEdr, &order) else { return Ok(()) };
            let before = document.text(Step::Before).split_whitespace().collect::<Vec<_>>().join(" ");
            let timer = before.split_once("set the timer to ").unwrap().1;
            let timer: u64 = timer.split_once(' ').unwrap().0.parse().unwrap();
            let asked = order.trial.as_secs().max(1);
            prop_assert!((10..=3600).contains(&timer));
            prop_assert_eq!(timer, asked.clamp(10, 3600));
            prop_assert_eq!(before.contains(&format!("Asked for were {asked} seconds")), timer != asked);
            prop_assert!(document.text(Step::Confirm).contains("confirm button of SettingCheck"));
        }
    }
}

//! Network security groups of Azure, by the Azure command line.
//!
//! Rules are asked in the order of their priorities, 100 to 4096, and a name begins with a letter or a digit ("Network
//! security groups", Azure Virtual Network documentation; Security Rules, Azure REST API). A flow that stands goes on
//! unless the group is told to ask its rules again (`flushConnection`).

use portcullis_model::Transport;

use super::{Document, Family, Order, Step, joined, prove};

/// Begins every step: each may come into a new shell.
const HEAD: &str = "set -eu
resource_group='<RESOURCE-GROUP>'
nsg='<NSG-NAME>'
: \"${resource_group:?}\" \"${nsg:?}\"
";

pub(super) fn document(order: &Order) -> Document {
    let mut document = Document::new("#");
    let rules = rules(order);
    before(order, rules.len(), &mut document);
    document.begin(
        Step::Apply,
        if order.allows() {
            "first who is allowed, then the denies; the first line that is refused ends it"
        } else {
            "the first line that is refused ends it"
        },
    );
    if order.allows() {
        document.say(
            "The allowing rules come first, so they also let the allowed sources through where a rule of yours would not.",
        );
    }
    let mut script = format!(
        "{HEAD}first='<FREE-PRIORITY>'\n[ \"$first\" -ge 100 ]\n[ -z \"$({})\" ] || {{ echo 'this change is there already'; exit 1; }}\n",
        ours(order)
    );
    for rule in &rules {
        script.push_str(&format!("{}\n", rule.create));
    }
    document
        .script(format!("{script}echo done"))
        .say("Without `done` it stopped on the way: ROLLBACK.")
        .begin(Step::Apply, "existing flows, only when it was done")
        .say("They continue unless the group evaluates its rules again:")
        .script(format!(
            "{HEAD}az network nsg update --resource-group \"$resource_group\" --name \"$nsg\" --set flushConnection=true"
        ));
    document
        .begin(Step::Check, "what the interface of each asset has in force")
        .write("az network nic list-effective-nsg --resource-group '<RESOURCE-GROUP>' --name '<NIC-NAME>'")
        .say(&prove(order));
    document
        .begin(Step::Confirm, "nothing more is to be done")
        .say("Azure has no trial: what was changed stays. Until the proof is there keep the rollback ready in a second terminal.");
    rollback(order, &rules, &mut document);
    document.unverified(&[
        "the whole text against a subscription",
        "that prefixes of both families are refused in one rule: here each family has its own",
        "`flushConnection` by this command, what it prints where it was never set, and in this region",
        "that the health probe of a load balancer is denied with the others, and that admin rules of the kind AlwaysAllow \
         do not apply to this group",
    ]);
    document
}

fn before(order: &Order, count: usize, document: &mut Document) {
    document
        .begin(Step::Before, "in a shell: which groups, and which priorities are free")
        .script(format!(
            "{HEAD}az network nsg rule list --resource-group \"$resource_group\" --nsg-name \"$nsg\" --include-default --output table\n\
             az network nsg show --resource-group \"$resource_group\" --name \"$nsg\" --query flushConnection\n{}",
            ours(order)
        ))
        .say(&format!(
            "<FREE-PRIORITY> is the first of {count} priorities in a row that are free, before the first rule that allows the \
             port. Note what flushConnection is: <FLUSH-BEFORE>, false where nothing is printed. No rule of this change may be \
             listed.",
        ))
        .say(
            "A group may hang on the subnet and on the interface: both are evaluated, and one that denies is enough. A group also \
             applies to all others that it hangs on; these rules name the assets. Addresses are those inside the network: \
             inbound, a public one has been translated before the rules are evaluated.",
        )
        .say(
            "Behind a load balancer the denies may also stop its health probe (AzureLoadBalancer): allow it with a priority \
             before them. Admin rules of a network manager that say AlwaysAllow may let the port through in spite of this \
             group. Both are unverified.",
        );
}

/// Prints the names of the rules of this change.
fn ours(order: &Order) -> String {
    format!(
        "az network nsg rule list --resource-group \"$resource_group\" --nsg-name \"$nsg\" --query \
         \"[?starts_with(name, '{}-')].name\" --output tsv",
        order.name()
    )
}

fn rollback(order: &Order, rules: &[Rule], document: &mut Document) {
    let mut script = format!("{HEAD}flush='<FLUSH-BEFORE>'\n");
    for rule in rules.iter().rev() {
        script.push_str(&format!(
            "az network nsg rule delete --resource-group \"$resource_group\" --nsg-name \"$nsg\" --name {}\n",
            rule.name
        ));
    }
    document
        .begin(
            Step::Rollback,
            if order.allows() {
                "first the denies go, then the others; flushConnection is what it was"
            } else {
                "the rules go; flushConnection is what it was"
            },
        )
        .script(format!(
            "{script}case $flush in\n    true | false) az network nsg update --resource-group \"$resource_group\" --name \
             \"$nsg\" --set flushConnection=\"$flush\" ;;\n    *) echo 'flushConnection was not put back: fill it in, and paste \
             this once more' ;;\nesac\n{}",
            ours(order)
        ))
        .say("The last line must print nothing.");
}

struct Rule {
    name: String,
    create: String,
}

fn rules(order: &Order) -> Vec<Rule> {
    let mut rules = Vec::new();
    let mut add = |family: Family, access: &str, sources: &str| {
        let name = format!("{}-{}-{}", order.name(), access.to_lowercase(), family.digit());
        let protocol = match order.port.transport {
            Transport::Tcp => "Tcp",
            Transport::Udp => "Udp",
        };
        let create = format!(
            "az network nsg rule create --resource-group \"$resource_group\" --nsg-name \"$nsg\" --name {name} --priority \
             $((first + {})) --direction Inbound --access {access} --protocol {protocol} --source-address-prefixes {sources} \
             --source-port-ranges '*' --destination-address-prefixes {} --destination-port-ranges {}",
            rules.len(),
            joined(&order.assets_of(family), " "),
            order.port.number,
        );
        rules.push(Rule { name, create });
    };
    let closed = order.closed();
    for family in closed.iter().copied() {
        let allowed = order.allowed(family);
        if !allowed.is_empty() {
            add(family, "Allow", &joined(&allowed, " "));
        }
    }
    for family in closed {
        add(family, "Deny", family.everything());
    }
    rules
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;
    use crate::dialect::{Dialect, tests::orders, write};

    proptest! {
        #[test]
        fn each_step_sets_its_group_and_what_was_set_is_put_back(order in orders()) {
            let Ok(document) = write(Dialect::AzureNsg, &order) else { return Ok(()) };
            for section in &document.sections {
                let sets = section.text.find(HEAD);
                let uses = section.text.find("\"$nsg\"");
                prop_assert!(uses.is_none_or(|uses| sets.is_some_and(|sets| sets < uses)), "{}", section.text);
            }
            prop_assert!(document.text(Step::Before).contains("--query flushConnection"));
            prop_assert!(document.text(Step::Rollback).contains("flushConnection=\"$flush\""));
            prop_assert!(!document.text(Step::Apply).contains("--priority 1"));
            let checked = Command::new("sh").args(["-n", "-c", &document.to_string()]).output().unwrap();
            prop_assert!(checked.status.success() && checked.stderr.is_empty(), "{:?}", checked);
        }
    }
}

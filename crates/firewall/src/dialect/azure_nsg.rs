//! Network security groups of Azure, by the Azure command line.
//!
//! Rules are asked in the order of their priorities, 100 to 4096, and a name begins with a letter or a digit ("Network
//! security groups", Azure Virtual Network documentation; Security Rules, Azure REST API). A flow that stands goes on
//! unless the group is told to ask its rules again (`flushConnection`).

use portcullis_model::Transport;

use super::{Document, Family, Order, Step, joined, prove};

/// The first of the priorities; four are needed at most.
const PRIORITY: u32 = 100;

pub(super) fn document(order: &Order) -> Document {
    let mut document = Document::new("#");
    let rules = rules(order);
    document
        .begin(Step::Before, "in a POSIX shell: which groups, and which priorities are free")
        .write("resource_group='<RESOURCE-GROUP>'\nnsg='<NSG-NAME>'")
        .write("az network nsg rule list --resource-group \"$resource_group\" --nsg-name \"$nsg\" --include-default --output table")
        .say(&format!(
            "Priorities {PRIORITY} to {} must be free, and nothing that lets the port through may stand before them. A \
             group may hang on the subnet and on the interface: both are asked, and one that denies is enough. A group \
             also concerns all others that it hangs on; these rules name the assets.",
            PRIORITY + 3
        ))
        .say("Addresses are those inside the network: inbound, a public one has been translated before the rules are asked.");
    document
        .begin(Step::Apply, "first who is let through, then the denies")
        .say(
            "The allowing rules come first, so they also let these networks through where a rule of yours would not.",
        );
    for rule in &rules {
        document.write(&rule.create);
    }
    document
        .say("Flows that stand go on unless the group asks its rules again:")
        .write("az network nsg update --resource-group \"$resource_group\" --name \"$nsg\" --set flushConnection=true");
    document
        .begin(Step::Check, "what the interface of each asset has in force")
        .write("az network nic list-effective-nsg --resource-group \"$resource_group\" --name '<NIC-NAME>'")
        .say(&prove(order));
    document
        .begin(Step::Confirm, "nothing more is to be done")
        .say("Azure has no trial: what was changed stays. Until the proof is there keep the rollback ready in a second terminal.");
    document.begin(Step::Rollback, "first the denies go, then the others");
    for rule in rules.iter().rev() {
        document.write(format!(
            "az network nsg rule delete --resource-group \"$resource_group\" --nsg-name \"$nsg\" --name {}",
            rule.name
        ));
    }
    document.unverified(&[
        "the whole text against a subscription",
        "that prefixes of both families are refused in one rule: here each family has its own",
        "`flushConnection` by this command, and in this region",
    ]);
    document
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
            "az network nsg rule create --resource-group \"$resource_group\" --nsg-name \"$nsg\" --name {name} --priority {} \
             --direction Inbound --access {access} --protocol {protocol} --source-address-prefixes {sources} \
             --source-port-ranges '*' --destination-address-prefixes {} --destination-port-ranges {}",
            PRIORITY + u32::try_from(rules.len()).unwrap_or(0),
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

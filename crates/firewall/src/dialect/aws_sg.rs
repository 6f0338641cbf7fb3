//! Security groups of Amazon EC2, by the AWS command line.
//!
//! A group knows no deny, and what is let through is the sum of all groups of an interface: the port is closed by taking
//! away what lets everybody through ("Security group rules", Amazon VPC User Guide). A permission is taken away only by
//! exactly what it says (RevokeSecurityGroupIngress, Amazon EC2 API Reference), so what is taken away is read from the
//! group itself. Tracked connections go on ("Security group connection tracking", Amazon EC2 User Guide).

use portcullis_model::Transport;

use super::{Document, Family, Order, Step, joined, prove};

pub(super) fn document(order: &Order) -> Document {
    let mut document = Document::new("#");
    before(order, &mut document);
    apply(order, &mut document);
    network_acl(order, &mut document);
    check(order, &mut document);
    document
        .begin(Step::Confirm, "nothing more is to be done")
        .say("AWS has no trial: what was changed stays. Until the proof is there keep the rollback ready in a second terminal.");
    rollback(order, &mut document);
    document.unverified(&[
        "the whole text against an account",
        "the filter by addresses of an interface; the other queries were tried on made-up groups with the query language of \
         the AWS command line",
        "that lists without an entry and descriptions do no harm where permissions are taken away and given back",
    ]);
    document
}

/// A group has no addresses of its own: a family without an address in the order is open as well.
fn families(order: &Order) -> Vec<Family> {
    let shut = |family: &Family| !super::complement::ranges(&order.allow, *family).is_empty();
    Family::BOTH.into_iter().filter(shut).collect()
}

/// Begins every step: each may come into a new shell, and each group has files of its own.
fn head(order: &Order) -> String {
    format!(
        "set -euC
group='<SECURITY-GROUP-ID>'
case ${{group:?}} in sg-*) ;; *) echo 'fill in the group first'; exit 1 ;; esac
wide={name}-$group-wide.json before={name}-$group-before.json
",
        name = order.name()
    )
}

/// The permissions of the group for exactly this port, as a query over all of them.
fn of_port(order: &Order) -> String {
    format!(
        "SecurityGroups[0].IpPermissions[?IpProtocol==`\"{}\"` && FromPort==`{port}` && ToPort==`{port}`]",
        order.port.transport,
        port = order.port.number
    )
}

/// Where a family's networks stand in a permission: the list, and the name of a network in it.
fn ranges(family: Family) -> (&'static str, &'static str) {
    match family {
        Family::V4 => ("IpRanges", "CidrIp"),
        Family::V6 => ("Ipv6Ranges", "CidrIpv6"),
    }
}

fn before(order: &Order, document: &mut Document) {
    document.begin(Step::Before, "in a shell: which groups, and what they say");
    for (family, filter) in [
        (Family::V4, "addresses.private-ip-address"),
        (Family::V6, "ipv6-addresses.ipv6-address"),
    ] {
        let assets = joined(&order.assets_of(family), ",");
        if !assets.is_empty() {
            document.write(format!(
                "aws ec2 describe-network-interfaces --filters 'Name={filter},Values={assets}' --query \
                 'NetworkInterfaces[].[NetworkInterfaceId,PrivateIpAddress,Groups[].GroupId]'"
            ));
        }
    }
    let everybody = families(order).into_iter().map(|family| {
        let (list, network) = ranges(family);
        format!(", {list}: {list}[?{network}==`\"{}\"`]", family.everything())
    });
    document
        .say(
            "Each group of each interface needs the same: go through all steps for one, then for the next. A group also \
             applies to every other interface that has it: where that is not wanted, give the assets a group of their own \
             first.",
        )
        .script(format!(
            "{}aws ec2 describe-security-groups --group-ids \"$group\" --query 'SecurityGroups[0].IpPermissions' >\"$before\"
aws ec2 describe-security-groups --group-ids \"$group\" --query '{}.{{IpProtocol: IpProtocol, FromPort: FromPort, ToPort: ToPort{}}}' >\"$wide\"
cat \"$before\" \"$wide\"",
            head(order),
            of_port(order),
            everybody.collect::<String>()
        ))
        .say(
            "The second file holds what lets everybody through to exactly this port, as the group says it. When it holds no \
             network, or the first holds more for others (further ports, a range, protocol -1, other networks, a prefix list, a group): \
             write that into the second by hand, word for word; it is taken away, and ROLLBACK gives back the same. Ports \
             beside this one that are taken away with it need permissions of their own before APPLY. A file that is there \
             already is never written over: finish or remove the earlier attempt.",
        );
}

fn apply(order: &Order, document: &mut Document) {
    let mut script = head(order);
    script.push_str("[ \"$(tr -d '[:space:]' <\"$wide\")\" != '[]' ] || { echo 'there is nothing to take away'; exit 1; }\n");
    let narrow: Vec<(Family, String)> = families(order)
        .into_iter()
        .flat_map(|family| {
            let networks = order.allowed(family).into_iter();
            networks.map(move |network| (family, network.to_string()))
        })
        .collect();
    for (family, network) in &narrow {
        let (list, key) = ranges(*family);
        let port = order.port.number;
        script.push_str(&format!(
            "there=$(aws ec2 describe-security-groups --group-ids \"$group\" --query '{of_port}.{list}[] | [?{key}==`\"{network}\"`].{key}' --output text)
[ -n \"$there\" ] || aws ec2 authorize-security-group-ingress --group-id \"$group\" --ip-permissions 'IpProtocol={transport},FromPort={port},ToPort={port},{list}=[{{{key}={network},Description={name}}}]'
",
            of_port = of_port(order),
            transport = order.port.transport,
            name = order.name(),
        ));
    }
    script.push_str(
        "aws ec2 revoke-security-group-ingress --group-id \"$group\" --ip-permissions \"file://$wide\"",
    );
    document
        .begin(
            Step::Apply,
            if narrow.is_empty() {
                "the wide permissions go"
            } else {
                "first the narrow permissions, then the wide ones go"
            },
        )
        .script(script)
        .say(
            "`UnknownIpPermissions` in the answer, which a default VPC gives without an error, is what was not taken away: \
             the port is still OPEN.",
        );
}

fn network_acl(order: &Order, document: &mut Document) {
    let entries = acl_entries(order);
    document.say(
        "Tracked connections continue. A network access list is evaluated for every packet and cuts them, but it applies to the \
         whole subnet, also answers to connections that were begun from the closed port number. The numbers are free ones, \
         in this order, below the first entry that allows the port:",
    );
    for (number, (action, network)) in (1..).zip(&entries) {
        document.write_as_comment(format!(
            "aws ec2 create-network-acl-entry --network-acl-id '<NETWORK-ACL-ID>' --ingress --rule-number '<NUMBER-{number}>' \
             --protocol {} --port-range From={port},To={port} --rule-action {action} {network}",
            match order.port.transport {
                Transport::Tcp => 6,
                Transport::Udp => 17,
            },
            port = order.port.number,
        ));
    }
}

/// Who is allowed, then everybody, as the entries of a network access list say it.
fn acl_entries(order: &Order) -> Vec<(&'static str, String)> {
    let block = |family: Family, network: &str| match family {
        Family::V4 => format!("--cidr-block {network}"),
        Family::V6 => format!("--ipv6-cidr-block {network}"),
    };
    let mut entries = Vec::new();
    for family in families(order) {
        for network in order.allowed(family) {
            entries.push(("allow", block(family, &network.to_string())));
        }
    }
    for family in families(order) {
        entries.push(("deny", block(family, family.everything())));
    }
    entries
}

fn check(order: &Order, document: &mut Document) {
    document
        .begin(Step::Check, "what the group lets through now")
        .script(format!(
            "{}aws ec2 describe-security-group-rules --filters \"Name=group-id,Values=$group\" --query \
             'SecurityGroupRules[?IsEgress==`false`]' --output table",
            head(order)
        ))
        .say(&format!(
            "No rule that holds port {} may be left{}, also not as part of a range, with protocol -1, for a prefix list or \
             another group, and not in another group of the same interface.",
            order.port.number,
            if order.allows() {
                " but the narrow ones for the allowed sources"
            } else {
                ""
            }
        ))
        .say(&prove(order));
}

fn rollback(order: &Order, document: &mut Document) {
    let mut script = format!(
        "{}answer=$(aws ec2 authorize-security-group-ingress --group-id \"$group\" --ip-permissions \"file://$wide\" 2>&1) || case $answer in
    *InvalidPermission.Duplicate*) echo 'it is there already' ;;
    *) echo \"$answer\"; exit 1 ;;
esac
",
        head(order)
    );
    if order.allows()
        || families(order)
            .iter()
            .any(|family| !order.allowed(*family).is_empty())
    {
        script.push_str(&format!(
            "made=$(aws ec2 describe-security-group-rules --filters \"Name=group-id,Values=$group\" --query 'SecurityGroupRules[?Description==`\"{}\"`].SecurityGroupRuleId' --output text)
[ -z \"$made\" ] || aws ec2 revoke-security-group-ingress --group-id \"$group\" --security-group-rule-ids $made
",
            order.name()
        ));
    }
    script.push_str(
        "aws ec2 describe-security-groups --group-ids \"$group\" --query 'SecurityGroups[0].IpPermissions' | diff \"$before\" -",
    );
    document
        .begin(
            Step::Rollback,
            "what was taken away comes back; what carries the name of this change goes",
        )
        .script(script)
        .say("A difference that is more than an order is what is not yet as before. The network access list, where it was used:");
    for number in 1..=acl_entries(order).len() {
        document.write_as_comment(format!(
            "aws ec2 delete-network-acl-entry --network-acl-id '<NETWORK-ACL-ID>' --ingress --rule-number '<NUMBER-{number}>'"
        ));
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;
    use crate::dialect::{Dialect, tests::orders, write};

    proptest! {
        /// What everybody may reach after a rollback was read from the group: a family that was closed stays closed.
        #[test]
        fn nothing_is_opened_that_was_not_open_before(order in orders()) {
            let Ok(document) = write(Dialect::AwsSg, &order) else { return Ok(()) };
            let apply = document.text(Step::Apply);
            let rollback = document.text(Step::Rollback);
            prop_assert!(!rollback.contains("0.0.0.0/0") && !rollback.contains("::/0"), "{}", rollback);
            // A filter behind a list of lists finds nothing: they are made one list first.
            prop_assert!(!apply.contains("Ranges[?"), "{}", apply);
            // Nor is a narrow permission of the site's taken away: what goes is found by its description.
            for network in order.allow.networks() {
                prop_assert!(!rollback.contains(&network.to_string()));
            }
            let authorize = apply.rfind("authorize-security-group-ingress");
            let revoke = apply.find("revoke-security-group-ingress").unwrap();
            prop_assert!(authorize.is_none_or(|authorize| authorize < revoke));
        }

        #[test]
        fn each_step_sets_its_group_and_ends_at_an_error(order in orders()) {
            let Ok(document) = write(Dialect::AwsSg, &order) else { return Ok(()) };
            for section in &document.sections {
                let sets = section.text.find("set -euC\ngroup='<SECURITY-GROUP-ID>'");
                let uses = section.text.find("\"$group\"");
                prop_assert!(uses.is_none_or(|uses| sets.is_some_and(|sets| sets < uses)), "{}", section.text);
            }
            let checked = Command::new("sh").args(["-n", "-c", &document.to_string()]).output().unwrap();
            prop_assert!(checked.status.success() && checked.stderr.is_empty(), "{:?}", checked);
        }
    }
}

//! Security groups of Amazon EC2, by the AWS command line.
//!
//! A group knows no deny, and what is let through is the sum of all groups of an interface: the port is closed by taking
//! away what lets everybody through ("Security group rules", Amazon VPC User Guide). A permission is taken away only by
//! exactly what it says (RevokeSecurityGroupIngress, Amazon EC2 API Reference), and tracked connections go on ("Security
//! group connection tracking", Amazon EC2 User Guide).

use serde_json::{Value, json};

use super::{Document, Family, Order, Step, joined, prove};

pub(super) fn document(order: &Order) -> Document {
    let mut document = Document::new("#");
    let name = order.name();
    before(order, &mut document);
    apply(order, &mut document);
    document
        .begin(Step::Check, "what the group lets through now")
        .write(
            "aws ec2 describe-security-group-rules --filters \"Name=group-id,Values=$group\" --query \
             'SecurityGroupRules[?IsEgress==`false`]' --output table",
        )
        .say(&format!(
            "No rule for everybody may be left that holds port {}, also not as part of a range or with protocol -1, and \
             not in another group of the same interface.",
            order.port.number
        ))
        .say(&prove(order));
    document
        .begin(Step::Confirm, "nothing more is to be done")
        .say("AWS has no trial: what was changed stays. Until the proof is there keep the rollback ready in a second terminal.");
    document
        .begin(Step::Rollback, "first open again, then the narrow permissions go")
        .write(format!(
            "aws ec2 authorize-security-group-ingress --group-id \"$group\" --ip-permissions file://{name}-wide.json"
        ));
    if narrow(order).is_some() {
        document.write(format!(
            "aws ec2 revoke-security-group-ingress --group-id \"$group\" --ip-permissions file://{name}-narrow.json"
        ));
    }
    document.unverified(&[
        "the whole text against an account",
        "the filter by addresses of an interface, and the queries",
    ]);
    document
}

/// A group has no addresses of its own: a family without an address in the order is open as well.
fn families(order: &Order) -> Vec<Family> {
    let shut = |family: &Family| !super::complement::ranges(&order.allow, *family).is_empty();
    Family::BOTH.into_iter().filter(shut).collect()
}

fn before(order: &Order, document: &mut Document) {
    let name = order.name();
    let assets = joined(&order.assets_of(Family::V4), ",");
    document
        .begin(Step::Before, "in a POSIX shell: which groups, and what they say")
        .write("group='<SECURITY-GROUP-ID>'");
    if !assets.is_empty() {
        document.write(format!(
            "aws ec2 describe-network-interfaces --filters 'Name=addresses.private-ip-address,Values={assets}' --query \
             'NetworkInterfaces[].[NetworkInterfaceId,PrivateIpAddress,Groups[].GroupId]'"
        ));
    }
    let assets = joined(&order.assets_of(Family::V6), ",");
    if !assets.is_empty() {
        document.write(format!(
            "aws ec2 describe-network-interfaces --filters 'Name=ipv6-addresses.ipv6-address,Values={assets}' --query \
             'NetworkInterfaces[].[NetworkInterfaceId,PrivateIpAddress,Groups[].GroupId]'"
        ));
    }
    document
        .write(format!(
            "aws ec2 describe-security-groups --group-ids \"$group\" --query 'SecurityGroups[0].IpPermissions' \
             >{name}-before.json"
        ))
        .say(
            "Each group of each interface needs the same. A group also concerns every other interface that has it: where \
             that is not wanted, give the assets a group of their own first.",
        )
        .say(&format!(
            "{name}-wide.json must hold exactly what {name}-before.json says of those who are to be shut out, and nothing \
             else; this is its usual form. Where a permission holds further ports, take it whole, and let the other \
             ports through again with permissions of their own in {name}-narrow.json."
        ))
        .write(file(&format!("{name}-wide.json"), &wide(order)));
    if let Some(narrow) = narrow(order) {
        document.write(file(&format!("{name}-narrow.json"), &narrow));
    }
}

fn apply(order: &Order, document: &mut Document) {
    let name = order.name();
    document.begin(Step::Apply, "first the narrow permissions, then the wide ones go");
    if narrow(order).is_some() {
        document.write(format!(
            "aws ec2 authorize-security-group-ingress --group-id \"$group\" --ip-permissions file://{name}-narrow.json"
        ));
    }
    let number = match order.port.transport {
        portcullis_model::Transport::Tcp => 6,
        portcullis_model::Transport::Udp => 17,
    };
    let port = order.port.number;
    document
        .write(format!(
            "aws ec2 revoke-security-group-ingress --group-id \"$group\" --ip-permissions file://{name}-wide.json"
        ))
        .say(
            "When nothing says exactly this, nothing is taken away; in a default VPC without an error: look at the \
             check.",
        )
        .say(
            "Tracked connections go on. A network access list is asked for every packet and cuts them, but it concerns \
             the whole subnet, also answers to connections that were begun from the closed port number; entries that \
             let your networks through need lower numbers:",
        );
    for family in families(order) {
        let block = match family {
            Family::V4 => "--cidr-block",
            Family::V6 => "--ipv6-cidr-block",
        };
        document.write_as_comment(format!(
            "aws ec2 create-network-acl-entry --network-acl-id '<NETWORK-ACL-ID>' --ingress --rule-number '<NUMBER-{}>' \
             --protocol {number} --port-range From={port},To={port} --rule-action deny {block} {}",
            family.digit(),
            family.everything()
        ));
    }
}

fn file(name: &str, content: &Value) -> String {
    format!("cat >{name} <<'END'\n{content:#}\nEND")
}

fn wide(order: &Order) -> Value {
    let everybody = |family: Family| -> Vec<String> {
        let shut = families(order).into_iter().filter(|shut| *shut == family);
        shut.map(|family| family.everything().to_owned()).collect()
    };
    permission(order, &everybody(Family::V4), &everybody(Family::V6), None)
}

/// Who is let through in the families that are closed; nothing when that is nobody.
fn narrow(order: &Order) -> Option<Value> {
    let allowed = |family| -> Vec<String> {
        let shut = families(order).contains(&family);
        let networks = if shut { order.allowed(family) } else { Vec::new() };
        networks.iter().map(ToString::to_string).collect()
    };
    let (four, six) = (allowed(Family::V4), allowed(Family::V6));
    (!four.is_empty() || !six.is_empty()).then(|| permission(order, &four, &six, Some(&order.name())))
}

fn permission(order: &Order, four: &[String], six: &[String], description: Option<&str>) -> Value {
    let ranges = |key: &str, networks: &[String]| -> Vec<Value> {
        let range = |network: &String| match description {
            Some(description) => json!({ key: network, "Description": description }),
            None => json!({ key: network }),
        };
        networks.iter().map(range).collect()
    };
    let mut permission = json!({
        "IpProtocol": order.port.transport.to_string(),
        "FromPort": order.port.number,
        "ToPort": order.port.number,
    });
    if let Value::Object(fields) = &mut permission {
        for (name, ranges) in [
            ("IpRanges", ranges("CidrIp", four)),
            ("Ipv6Ranges", ranges("CidrIpv6", six)),
        ] {
            if !ranges.is_empty() {
                fields.insert(name.into(), ranges.into());
            }
        }
    }
    json!([permission])
}

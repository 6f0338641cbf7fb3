//! Values that `nft` never prints: networks and ports that there are not.

use std::net::IpAddr;

use serde_json_borrow::Value;

use super::{super::error::shown, part::Part as _, text};
use crate::reach::ruleset::{Field, Key, Lookup, Step, Test, Value as Number};

/// Whether a step may have been read from such a value.
pub(super) fn is_suspicious(step: &Step) -> bool {
    const HIGHEST: u128 = 65_535;
    let Step::Match(matching) = step else {
        return !matches!(
            step,
            Step::Verdict(_) | Step::SetMark(_) | Step::SetConnectionMark(_) | Step::NoTrack
        );
    };
    let is_port = matches!(matching.key, Key::One(Field::Port(..)));
    match &matching.test {
        Test::Value(Number::Numbers(_, last)) | Test::Perhaps(Number::Numbers(_, last)) => {
            is_port && *last > HIGHEST
        }
        Test::Value(Number::Name(..)) | Test::Perhaps(Number::Name(..)) => is_port,
        Test::Value(Number::Unknown) | Test::Perhaps(Number::Unknown) => true,
        Test::In(Lookup::Inline(set)) => set.numbers.as_ref().is_none_or(|numbers| {
            let last = numbers.as_slice().last();
            is_port && last.is_some_and(|(_, last)| *last > HIGHEST)
        }),
        Test::In(Lookup::Named(_)) | Test::Masked { .. } | Test::AnyBit(_) => false,
    }
}

/// What is wrong in an object of the listing.
pub(super) fn damage(object: &Value) -> Option<String> {
    let of_ports = |set: &Value| text(set, "type") == "inet_service";
    let set = object.part("set").filter(|set| of_ports(set));
    let elements = set.and_then(|set| set.part("elem"));
    elements.and_then(no_port).or_else(|| inside(object))
}

fn inside(value: &Value) -> Option<String> {
    match value {
        Value::Array(parts) => parts.iter().find_map(inside),
        Value::Object(parts) => parts.iter().find_map(|(name, part)| match name {
            "prefix" => no_prefix(part),
            "match" if is_port(part.part("left")) => part.part("right").and_then(no_port),
            "vmap" if is_port(part.part("key")) => part.part("data").and_then(no_port),
            _ => inside(part),
        }),
        _ => None,
    }
}

fn no_prefix(prefix: &Value) -> Option<String> {
    // Of something else than an address, such as that of a card, there are others.
    let address = text(prefix, "addr").parse::<IpAddr>().ok()?;
    let longest = if address.is_ipv4() { 32 } else { 128 };
    let length = prefix.part("len").unwrap_or(&Value::Null);
    let is_length = length.as_u64().is_some_and(|length| length <= longest);
    (!is_length).then(|| format!("`{address}/{}` is no network", shown(&length.to_string())))
}

fn is_port(left: Option<&Value>) -> bool {
    let payload = left.and_then(|left| left.part("payload"));
    payload.is_some_and(|payload| matches!(text(payload, "field"), "sport" | "dport"))
}

/// A number among ports, elements of a set or keys of a map that is none.
fn no_port(value: &Value) -> Option<String> {
    match value {
        Value::Number(number) => {
            let fits = number
                .as_u64()
                .is_some_and(|number| u16::try_from(number).is_ok());
            (!fits).then(|| format!("`{number}` is no port"))
        }
        Value::Array(parts) => parts.iter().find_map(no_port),
        // Beside the key of an element stand numbers that are none of ports.
        Value::Object(parts) => ["set", "range", "elem", "val"]
            .into_iter()
            .find_map(|name| parts.get(name).and_then(no_port)),
        _ => None,
    }
}

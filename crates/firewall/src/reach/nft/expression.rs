//! Expressions: what a rule looks at, and what it compares that with.

use std::{net::IpAddr, sync::Arc};

use ipnet::IpNet;
use serde_json_borrow::{ObjectAsVec, Value as Json};

use super::{part::Part as _, statement, text};
use crate::{
    family::Family,
    reach::ruleset::{Element, End, Field, Key, Lookup, Set, Value, kind, state},
};

/// What a rule looks at; `None` when there is nothing.
pub(super) fn key(expression: Option<&Json>) -> Option<Key> {
    let expression = expression?;
    if let Some(parts) = expression.part("concat").and_then(Json::as_array) {
        return Some(Key::Several(parts.iter().map(field).collect()));
    }
    Some(Key::One(field(expression)))
}

fn field(expression: &Json) -> Field {
    let named = expression.as_object().and_then(|parts| parts.iter().next());
    let Some((class, body)) = named else {
        return unknown(expression);
    };
    let known = match class {
        "payload" => payload(text(body, "protocol"), text(body, "field")),
        "meta" => meta(text(body, "key")),
        "ct" => connection(text(body, "key"), text(body, "dir"), text(body, "family")),
        "fib" => fib(body),
        // No packet has one of these (docs/reach.md): one asks whether they are there, or for a field of them.
        "exthdr" if body.part("field").is_some() || body.part("offset").is_some() => Some(Field::Missing),
        "exthdr" => Some(Field::Extension(Family::V6)),
        "ip option" if body.part("field").is_some() => Some(Field::Missing),
        "ip option" => Some(Field::Extension(Family::V4)),
        _ => None,
    };
    known.unwrap_or_else(|| unknown(expression))
}

/// The family that has the header in which something stands.
fn family_of(expression: &Json) -> Option<Family> {
    match text(expression.part("payload")?, "protocol") {
        "ip" => Some(Family::V4),
        "ip6" => Some(Family::V6),
        _ => None,
    }
}

/// Something that is not understood; of a packet of the other family it is not there.
pub(super) fn unknown(expression: &Json) -> Field {
    let shown = expression.to_string().chars().take(80).collect();
    let inner = expression
        .part("&")
        .and_then(|parts| parts.as_array()?.first())
        .unwrap_or(expression);
    match family_of(inner) {
        Some(family) => Field::UnknownOf(family, shown),
        None => Field::Unknown(shown),
    }
}

fn payload(protocol: &str, field: &str) -> Option<Field> {
    let transport = match protocol {
        "th" => None,
        other => other_protocol(other),
    };
    Some(match (protocol, field) {
        ("ip", "saddr") => Field::Address(End::Source, Family::V4),
        ("ip", "daddr") => Field::Address(End::Destination, Family::V4),
        ("ip6", "saddr") => Field::Address(End::Source, Family::V6),
        ("ip6", "daddr") => Field::Address(End::Destination, Family::V6),
        ("ip", "protocol") => Field::ProtocolOf(Family::V4),
        ("ip6", "nexthdr") => Field::ProtocolOf(Family::V6),
        ("ip", "hdrlength") => Field::HeaderLength,
        ("ip", "frag-off") => Field::FragmentOffset,
        ("tcp" | "udp" | "udplite" | "sctp" | "dccp" | "th", "sport") => Field::Port(End::Source, transport),
        ("tcp" | "udp" | "udplite" | "sctp" | "dccp" | "th", "dport") => {
            Field::Port(End::Destination, transport)
        }
        ("tcp", "flags") => Field::TcpFlags,
        // Of another protocol than any question: as good as a port of it, which no packet has.
        ("icmp" | "icmpv6" | "igmp" | "esp" | "ah" | "comp", _) => Field::Port(End::Source, transport),
        _ => return None,
    })
}

fn meta(key: &str) -> Option<Field> {
    Some(match key {
        "l4proto" => Field::Protocol,
        "nfproto" => Field::Family,
        "protocol" => Field::FrameProtocol,
        "iif" | "iifname" => Field::ArrivesBy,
        "oif" | "oifname" => Field::LeavesBy,
        "mark" => Field::Mark,
        _ => return None,
    })
}

fn connection(key: &str, direction: &str, family: &str) -> Option<Field> {
    let (family, key) = match key.split_once(' ') {
        Some((family, key)) => (family, key),
        None => (family, key),
    };
    let end = match key {
        "saddr" | "proto-src" => Some(End::Source),
        "daddr" | "proto-dst" => Some(End::Destination),
        _ => None,
    };
    let family = match family {
        "ip" => Some(Family::V4),
        "ip6" => Some(Family::V6),
        _ => None,
    };
    Some(match (key, direction, end, family) {
        ("state", "", ..) => Field::ConnectionState,
        ("direction", "", ..) => Field::ConnectionDirection,
        ("status", "", ..) => Field::ConnectionStatus,
        ("mark", "", ..) => Field::ConnectionMark,
        ("saddr" | "daddr", "original", Some(end), Some(family)) => Field::OriginalAddress(end, family),
        ("saddr" | "daddr", "reply", Some(end), Some(family)) => Field::ReplyAddress(end, family),
        ("proto-src" | "proto-dst", "original", Some(end), _) => Field::OriginalPort(end),
        ("proto-src" | "proto-dst", "reply", Some(end), _) => Field::ReplyPort(end),
        _ => return None,
    })
}

fn fib(body: &Json) -> Option<Field> {
    let flags = body.part("flags");
    let only = |flag: &str| match flags {
        Some(Json::Str(one)) => one == flag,
        Some(Json::Array(several)) => several.len() == 1 && several.iter().all(|one| one.is(flag)),
        _ => false,
    };
    match text(body, "result") {
        "type" if only("daddr") => Some(Field::DestinationKind),
        "type" if only("saddr") => Some(Field::SourceKind),
        _ => None,
    }
}

/// A set or the name of one.
pub(super) fn lookup(data: &Json) -> Lookup {
    if let Some(name) = data.as_str().and_then(|name| name.strip_prefix('@')) {
        return Lookup::Named(name.into());
    }
    match data.part("set") {
        Some(Json::Array(elements)) => Lookup::Inline(Arc::new(set(elements))),
        Some(one) => Lookup::Inline(Arc::new(set(std::slice::from_ref(one)))),
        None => Lookup::Inline(Arc::new(Set::unknown())),
    }
}

/// A set or map of its elements.
pub(super) fn set(elements: &[Json]) -> Set {
    let (others, named): (Vec<&Json>, Vec<&Json>) = elements.iter().partition(|element| is_all_else(element));
    let set = Set::new(named.into_iter().map(element).collect());
    match others.as_slice() {
        [] => set,
        [one] => set.with_otherwise(Element {
            key: Vec::new(),
            ..element(one)
        }),
        // The kernel has one at most.
        _ => Set::unknown(),
    }
}

/// Whether it is the element `*` of a set or a map. One with a statement that may keep it from matching is none, and its key
/// stays unknown.
fn is_all_else(element: &Json) -> bool {
    let key = match element.as_array() {
        Some([key, _]) => key,
        _ => element,
    };
    match key.part("elem").and_then(Json::as_object) {
        Some(inner) => is_harmless(inner) && inner.get("val").is_some_and(|key| key.is("*")),
        None => key.is("*"),
    }
}

fn element(element: &Json) -> Element {
    // Of a map: the key and what it has.
    if let Some([key, data]) = element.as_array() {
        let is_verdict = ["accept", "drop", "return", "continue", "jump", "goto", "queue"]
            .iter()
            .any(|name| data.part(name).is_some() || data.is(name));
        return Element {
            key: values(key),
            verdict: is_verdict.then(|| statement::verdict(data)),
            data: if is_verdict { Vec::new() } else { values(data) },
        };
    }
    Element {
        key: values(element),
        verdict: None,
        data: Vec::new(),
    }
}

/// Whether nothing in an element keeps it from matching.
fn is_harmless(element: &ObjectAsVec<'_>) -> bool {
    let harmless = ["val", "timeout", "expires", "comment", "counter"];
    element.keys().all(|part| harmless.contains(&part))
}

fn values(json: &Json) -> Vec<Value> {
    // Any other statement in it may keep it from matching.
    if let Some(inner) = json.part("elem").and_then(Json::as_object) {
        return match is_harmless(inner) {
            true => inner.get("val").map_or_else(|| vec![Value::Unknown], values),
            false => vec![Value::Unknown],
        };
    }
    match json.part("concat").and_then(Json::as_array) {
        Some(parts) => parts.iter().map(value).collect(),
        None => vec![value(json)],
    }
}

/// One value, or one range of them.
pub(super) fn value(json: &Json) -> Value {
    if let Some(number) = number(json) {
        return Value::Numbers(number, number);
    }
    if let Json::Str(word) = json {
        return value_of_text(word);
    }
    if let Json::Bool(is_there) = json {
        return Value::Numbers((*is_there).into(), (*is_there).into());
    }
    if json.part("|").is_some() {
        // Only of these there are several at once, and no two of them have a word in common.
        let flags = [Field::TcpFlags, Field::ConnectionState, Field::ConnectionStatus];
        let mut all = flags.into_iter().filter_map(|field| bits(&Key::One(field), json));
        return all
            .next()
            .map_or(Value::Unknown, |bits| Value::Numbers(bits, bits));
    }
    if let Some(prefix) = json.part("prefix") {
        let length = prefix
            .part("len")
            .and_then(Json::as_u64)
            .and_then(|length| u8::try_from(length).ok());
        let network = text(prefix, "addr")
            .parse()
            .ok()
            .zip(length)
            .and_then(|(address, length)| IpNet::new(address, length).ok());
        return network.map_or(Value::Unknown, |network| {
            Value::Numbers(bits_of(network.network()), bits_of(network.broadcast()))
        });
    }
    if let Some([first, last]) = json.part("range").and_then(Json::as_array)
        && let (Value::Numbers(first, _), Value::Numbers(_, last)) = (value(first), value(last))
        // nft lists two comparisons that contradict each other, or leave out a middle, as a range the wrong way round.
        && first <= last
    {
        return Value::Numbers(first, last);
    }
    Value::Unknown
}

/// A number of JSON, or of a text such as `0x10`.
pub(super) fn number(json: &Json) -> Option<u128> {
    match json {
        Json::Number(number) => number.as_u64().map(u128::from),
        Json::Str(text) => match text.strip_prefix("0x") {
            Some(digits) => u128::from_str_radix(digits, 16).ok(),
            None => text.parse().ok(),
        },
        _ => None,
    }
}

/// A word in the place of a value: an address, a protocol, the name of an interface.
pub(super) fn value_of_text(text: &str) -> Value {
    match text.parse::<IpAddr>() {
        Ok(address) => Value::Numbers(bits_of(address), bits_of(address)),
        Err(_) => match text.strip_suffix('*') {
            // Of a set it is told apart before.
            Some("") => Value::Unknown,
            Some(beginning) => Value::Name(beginning.into(), true),
            None => Value::Name(text.into(), false),
        },
    }
}

pub(in crate::reach) fn bits_of(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// Several bits by their names or as a number.
pub(super) fn bits(key: &Key, json: &Json) -> Option<u128> {
    if let Some(number) = number(json) {
        return Some(number);
    }
    if let Some(list) = json
        .as_array()
        .or_else(|| json.part("|").and_then(Json::as_array))
    {
        return list.iter().try_fold(0, |all, one| Some(all | bits(key, one)?));
    }
    if let Some(list) = json.part("set").and_then(Json::as_array) {
        return list.iter().try_fold(0, |all, one| Some(all | bits(key, one)?));
    }
    let word = json.as_str()?;
    let Key::One(field) = key else {
        return None;
    };
    if let Field::Address(_, family) = field {
        let address = word.parse::<IpAddr>().ok()?;
        return family.is_of(address).then(|| bits_of(address));
    }
    number_of_word(field, word)
}

/// What a word stands for, where the field says which words there are.
pub(in crate::reach) fn number_of_word(field: &Field, word: &str) -> Option<u128> {
    match field {
        Field::ConnectionState | Field::ConnectionStateAndNat => state::of_name(word),
        Field::ConnectionDirection => match word {
            "original" => Some(0),
            "reply" => Some(1),
            _ => None,
        },
        // enum ip_conntrack_status
        Field::ConnectionStatus => match word {
            "expected" => Some(1),
            "seen-reply" => Some(2),
            "assured" => Some(4),
            "confirmed" => Some(8),
            "snat" => Some(16),
            "dnat" => Some(32),
            "dying" => Some(512),
            _ => None,
        },
        Field::TcpFlags => {
            let names = ["fin", "syn", "rst", "psh", "ack", "urg", "ecn", "cwr"];
            let at = names.iter().position(|name| *name == word)?;
            1_u128.checked_shl(u32::try_from(at).ok()?)
        }
        Field::Protocol | Field::ProtocolOf(_) => other_protocol(word).map(u128::from),
        Field::Family => match word {
            "ipv4" => Some(4),
            "ipv6" => Some(6),
            _ => None,
        },
        Field::FrameProtocol => match word {
            "ip" => Some(0x0800),
            "arp" => Some(0x0806),
            "vlan" | "8021q" => Some(0x8100),
            "ip6" => Some(0x86dd),
            "8021ad" => Some(0x88a8),
            _ => None,
        },
        Field::DestinationKind | Field::SourceKind => kind::of_name(word),
        _ => None,
    }
}

/// Numbers of protocols (IANA Protocol Numbers).
pub(in crate::reach) fn other_protocol(name: &str) -> Option<u8> {
    Some(match name {
        "icmp" => 1,
        "igmp" => 2,
        "tcp" => 6,
        "udp" => 17,
        "dccp" => 33,
        "gre" => 47,
        "esp" => 50,
        "ah" => 51,
        "ipv6-icmp" | "icmpv6" => 58,
        "comp" | "ipcomp" => 108,
        "sctp" => 132,
        "udplite" => 136,
        _ => return None,
    })
}

//! Statements: the parts of a rule.

use serde_json_borrow::Value;

use super::{
    expression::{self, lookup, number},
    part::Part as _,
    text,
};
use crate::{
    family::Family,
    reach::ranges::Ranges,
    reach::ruleset::{
        Field, Key, Lookup, MarkSource, MarkValue, Match, NewAddress, NewPort, Scope, Step, Test,
        Translation, Value as Number, Verdict,
    },
    reach::save::decides_nothing,
};

/// The name of the set that a statement changes.
pub(super) fn changes_set<'a>(statement: &'a Value<'_>) -> Option<&'a str> {
    if let Some(meter) = statement.part("meter") {
        return meter.part("name").and_then(Value::as_str);
    }
    let body = statement.part("set").or_else(|| statement.part("map"))?;
    let name = body.part("set").or_else(|| body.part("map"))?.as_str()?;
    name.strip_prefix('@')
}

/// The addresses that a statement may add to a set, which are no others than those that the rule has matched before;
/// `None` where it may be anything.
pub(super) fn added(statement: &Value, before: &[Step]) -> Option<Ranges> {
    let body = statement.part("set")?;
    if !matches!(text(body, "op"), "add" | "update") {
        return None;
    }
    let element = body.part("elem")?;
    let inner = element.part("elem").and_then(|element| element.part("val"));
    let Key::One(Field::Address(end, family)) = expression::key(Some(inner.unwrap_or(element)))? else {
        return None;
    };
    let mut added = Ranges::one((0, family.highest()));
    for step in before {
        if let Step::Match(matching) = step
            && matches!(matching.key, Key::One(Field::Address(of, known)) if (of, known) == (end, family))
            && !matching.negated
        {
            match &matching.test {
                Test::Value(Number::Numbers(first, last)) => {
                    added = added.intersect(&Ranges::one((*first, *last)))
                }
                Test::In(Lookup::Inline(set)) if !set.uncertain => {
                    if let Some(numbers) = &set.numbers {
                        added = added.intersect(numbers);
                    }
                }
                _ => {}
            }
        }
    }
    Some(added)
}

/// Adds what one statement does.
pub(super) fn read(statement: &Value, scope: Scope, steps: &mut Vec<Step>) {
    // A plain word is a statement without anything more.
    let named = match statement {
        Value::Str(word) => Some((&**word, &Value::Null)),
        Value::Object(parts) if parts.len() == 1 => parts.iter().next(),
        _ => None,
    };
    let Some((name, body)) = named else {
        steps.push(Step::Opaque("a statement of an unknown shape".into()));
        return;
    };
    match name {
        "match" => matching(body, steps),
        // They neither decide nor change what any rule looks at.
        "mangle" if mark_by_map(body, steps) => {}
        "mangle" if may_be_missing(body) => {
            steps.push(Step::Perhaps("setting something that may be missing".into()));
            mangle(body, steps);
        }
        "counter" | "ct helper" | "ct timeout" | "ct expectation" | "secmark" if may_be_missing(body) => {
            steps.push(Step::Perhaps(format!("`{name}` of a map")));
        }
        "counter" | "log" | "ct helper" | "ct timeout" | "ct expectation" | "secmark" | "last"
        | "comment" => {}
        "accept" | "drop" | "return" | "continue" | "jump" | "goto" => {
            steps.push(Step::Verdict(verdict(statement)));
        }
        "reject" => {
            // What it needs is not listed as a match of its own.
            steps.extend(needed_by_reject(text(body, "type")).map(Step::Match));
            steps.push(Step::Verdict(Verdict::Drop));
        }
        "limit" | "quota" | "ct count" | "meter" | "set" | "map" | "connlimit" => {
            steps.push(Step::Perhaps(format!("`{name}`")));
        }
        "vmap" => match (expression::key(body.part("key")), body.part("data")) {
            (Some(key), Some(data)) => steps.push(Step::VerdictMap {
                key: key.fields().to_vec(),
                map: lookup(data),
            }),
            _ => steps.push(Step::Opaque("a verdict map".into())),
        },
        "mangle" => mangle(body, steps),
        // Of a table of netdev: out of another interface, as a frame.
        "dup" if scope == Scope::Device => {}
        "dup" => steps.push(Step::Copy(match body.part("addr").map(expression::value) {
            Some(Number::Numbers(address, last)) if address == last => Some(address),
            _ => None,
        })),
        "notrack" => steps.push(Step::NoTrack),
        "dnat" => steps.push(Step::Translate(translation(body, scope))),
        "redirect" => steps.push(Step::Translate(Translation {
            family: None,
            address: NewAddress::Here,
            port: port(body.part("port")),
        })),
        "snat" | "masquerade" => steps.push(Step::TranslateSource(family_of(text(body, "family"), scope))),
        // Of packets that go on by themselves later: the first one takes the whole way.
        "flow" => {}
        "xt" => steps.extend(of_iptables(text(body, "type"), text(body, "name"))),
        other => {
            let detail = text(body, "name");
            steps.push(Step::Opaque(match detail {
                "" => format!("`{other}`"),
                detail => format!("`{other} {detail}`"),
            }));
        }
    }
}

/// A part of iptables, of which nft tells the name only.
fn of_iptables(kind: &str, name: &str) -> Option<Step> {
    let shown = crate::reach::error::shown(name);
    match (kind, name) {
        ("match", "comment") => None,
        ("match", _) => Some(Step::Perhaps(format!(
            "`-m {shown}`, of which the listing has no more than the name"
        ))),
        ("target", "REJECT") => Some(Step::Verdict(Verdict::Drop)),
        ("target", name) if decides_nothing(name) => None,
        ("target", _) => Some(Step::Opaque(format!(
            "`-j {shown}`, of which the listing has no more than the name"
        ))),
        _ => Some(Step::Opaque(
            "something of iptables that the listing does not show".into(),
        )),
    }
}

/// Whether something in a statement may have no value for a packet: the kernel then leaves the rule. A map may lack the key, and
/// what is computed of a packet or of its socket may not be there.
fn may_be_missing(value: &Value) -> bool {
    match value {
        Value::Object(parts) => parts.iter().any(|(name, part)| {
            matches!(
                name,
                "map" | "jhash" | "symhash" | "socket" | "payload" | "exthdr" | "rt" | "osf" | "fib"
            ) && !part.is_null()
                && !part.is_string()
                || may_be_missing(part)
        }),
        Value::Array(parts) => parts.iter().any(may_be_missing),
        _ => false,
    }
}

/// An answer by a protocol of one family is for packets of that family, and a reset for TCP.
fn needed_by_reject(kind: &str) -> Option<Match> {
    let (field, number) = match kind {
        "icmp" => (Field::Family, 4),
        "icmpv6" => (Field::Family, 6),
        "tcp reset" => (Field::Protocol, 6),
        _ => return None,
    };
    Some(Match {
        key: Key::One(field),
        test: Test::Value(Number::Numbers(number, number)),
        negated: false,
        when_absent: false,
    })
}

pub(super) fn verdict(value: &Value) -> Verdict {
    let named = match value {
        Value::Str(word) => Some((&**word, &Value::Null)),
        Value::Object(parts) => parts.iter().next(),
        _ => None,
    };
    match named {
        Some(("accept", _)) => Verdict::Accept,
        Some(("drop", _)) => Verdict::Drop,
        Some(("return", _)) => Verdict::Return,
        Some(("continue", _)) => Verdict::Continue,
        Some(("jump", body)) => Verdict::Jump(text(body, "target").into()),
        Some(("goto", body)) => Verdict::Goto(text(body, "target").into()),
        Some((other, _)) => Verdict::Opaque(other.to_owned()),
        None => Verdict::Opaque("a verdict".into()),
    }
}

fn matching(body: &Value, steps: &mut Vec<Step>) {
    let (operator, right) = (text(body, "op"), body.part("right").unwrap_or(&Value::Null));
    let left = body.part("left").unwrap_or(&Value::Null);
    let read = match left.part("&").and_then(Value::as_array) {
        Some([field, mask]) => masked(operator, field, mask, right),
        Some(_) => None,
        None => expression::key(Some(left)).and_then(|key| plain(operator, key, right)),
    };
    steps.push(match read {
        Some(read) => Step::Match(read),
        None => match expression::unknown(left) {
            // Of a packet of the other family the rule ends.
            field @ Field::UnknownOf(..) => Step::Match(Match {
                key: Key::One(field),
                test: Test::Value(Number::Unknown),
                negated: false,
                when_absent: false,
            }),
            _ => Step::Perhaps(format!("`{}`", shown(left))),
        },
    });
}

/// What an expression that was not understood looks like, cut short.
fn shown(value: &Value) -> String {
    value.to_string().chars().take(80).collect()
}

fn plain(operator: &str, key: Key, right: &Value) -> Option<Match> {
    let is_flags = matches!(
        key,
        Key::One(Field::ConnectionState | Field::ConnectionStatus | Field::TcpFlags)
    );
    let (test, negated) = match (operator, is_flags) {
        ("in", true) => (Test::AnyBit(expression::bits(&key, right)?), false),
        ("!", true) => (Test::AnyBit(expression::bits(&key, right)?), true),
        ("==" | "!=" | "in", _) => {
            let is_set =
                right.as_str().is_some_and(|name| name.starts_with('@')) || right.part("set").is_some();
            let test = match (&key, is_set) {
                (Key::One(_), false) => {
                    // A list without the word `set` is one value made of several bits.
                    match right {
                        Value::Array(_) if is_flags => {
                            let bits = expression::bits(&key, right)?;
                            Test::Masked {
                                mask: u128::MAX,
                                value: bits,
                            }
                        }
                        Value::Array(_) => return None,
                        one => Test::Value(expression::value(one)),
                    }
                }
                _ if is_set => Test::In(lookup(right)),
                _ => Test::In(Lookup::Inline(
                    expression::set(std::slice::from_ref(right)).into(),
                )),
            };
            (test, operator == "!=")
        }
        ("<" | "<=" | ">" | ">=", _) => {
            let Key::One(field) = &key else {
                return None;
            };
            (Test::Value(compared(operator, field, right)?), false)
        }
        _ => return None,
    };
    Some(Match {
        key,
        test,
        negated,
        when_absent: false,
    })
}

/// The numbers that are less or more than a port, an address, or all of a network; only where the kernel compares them as they
/// stand in the packet, with the first byte first. Other fields may be in the order of the machine.
fn compared(operator: &str, field: &Field, right: &Value) -> Option<Number> {
    let highest = match field {
        Field::Address(_, family) => family.highest(),
        // Only of protocols that have ports: other fields are read as such, too.
        Field::Port(_, None | Some(6 | 17 | 33 | 132 | 136)) | Field::FragmentOffset => u16::MAX.into(),
        Field::HeaderLength => 15,
        _ => return None,
    };
    let Number::Numbers(first, last) = expression::value(right) else {
        return None;
    };
    // Of a range, or an address of the other family, nothing is said.
    if right.part("range").is_some() || last > highest {
        return None;
    }
    Some(match operator {
        "<" => below(first),
        "<=" => Number::Numbers(0, last),
        ">" => above(last, highest),
        ">=" => Number::Numbers(first, highest),
        _ => return None,
    })
}

fn below(number: u128) -> Number {
    match number.checked_sub(1) {
        Some(last) => Number::Numbers(0, last),
        None => NOTHING,
    }
}

fn above(number: u128, highest: u128) -> Number {
    match number.checked_add(1).filter(|first| *first <= highest) {
        Some(first) => Number::Numbers(first, highest),
        None => NOTHING,
    }
}

/// From a number down to one below it: nothing is in that.
const NOTHING: Number = Number::Numbers(1, 0);

fn masked(operator: &str, field: &Value, mask: &Value, right: &Value) -> Option<Match> {
    let key = expression::key(Some(field))?;
    let mask = expression::bits(&key, mask)?;
    let value = expression::bits(&key, right)?;
    let negated = match operator {
        "==" => false,
        "!=" => true,
        _ => return None,
    };
    Some(Match {
        key,
        test: Test::Masked { mask, value },
        negated,
        when_absent: false,
    })
}

fn mangle(body: &Value, steps: &mut Vec<Step>) {
    let target = body.part("key").unwrap_or(&Value::Null);
    let of = |kind: &str| target.part(kind).map(|target| text(target, "key"));
    let value = body.part("value").unwrap_or(&Value::Null);
    match (of("meta"), of("ct")) {
        (Some("mark"), _) => steps.push(Step::SetMark(mark(value).unwrap_or(MarkValue::UNKNOWN))),
        (_, Some("mark")) => steps.push(Step::SetConnectionMark(mark(value).unwrap_or(MarkValue::UNKNOWN))),
        // No rule is understood that looks at one of these.
        (Some("priority" | "nftrace" | "secmark"), _) | (_, Some("label" | "event" | "secmark" | "zone")) => {
            if of("ct") == Some("zone") {
                steps.push(Step::Opaque("`ct zone set`".into()));
            }
        }
        _ => steps.push(Step::Opaque(format!("setting `{}`", shown(target)))),
    }
}

/// Whether a mark is set to what a map has for a key, of which all is known.
fn mark_by_map(body: &Value, steps: &mut Vec<Step>) -> bool {
    let target = body.part("key").unwrap_or(&Value::Null);
    let is_mark = |kind: &str| {
        target
            .part(kind)
            .is_some_and(|target| text(target, "key") == "mark")
    };
    let Some(map) = body.part("value").and_then(|value| value.part("map")) else {
        return false;
    };
    let (Some(key), Some(data)) = (expression::key(map.part("key")), map.part("data")) else {
        return false;
    };
    let is_known = !key
        .fields()
        .iter()
        .any(|field| matches!(field, Field::Unknown(_) | Field::UnknownOf(..)));
    if !is_known || !(is_mark("meta") || is_mark("ct")) {
        return false;
    }
    steps.push(Step::SetMarkByMap {
        key: key.fields().to_vec(),
        map: lookup(data),
        of_connection: is_mark("ct"),
    });
    true
}

/// What a mark becomes, when it is made of one mark and constants.
fn mark(value: &Value) -> Option<MarkValue> {
    if let Some(constant) = number(value) {
        return u32::try_from(constant).ok().map(MarkValue::constant);
    }
    let of = |kind: &str| value.part(kind).map(|source| text(source, "key"));
    match (of("meta"), of("ct")) {
        (Some("mark"), _) => return Some(MarkValue::copy(MarkSource::Mark)),
        (_, Some("mark")) => return Some(MarkValue::copy(MarkSource::ConnectionMark)),
        _ => {}
    }
    let (operator, operands) = value.as_object()?.iter().next()?;
    let [left, right] = operands.as_array()? else {
        return None;
    };
    let (left, bits) = (mark(left)?, u32::try_from(number(right)?).ok()?);
    match operator {
        "&" => Some(left.and(bits)),
        "|" => Some(left.or(bits)),
        "^" => Some(left.xor(bits)),
        _ => None,
    }
}

fn translation(body: &Value, scope: Scope) -> Translation {
    let family = family_of(text(body, "family"), scope);
    let address = match body.part("addr") {
        None => NewAddress::Keep,
        Some(Value::Str(address)) => match expression::value_of_text(address) {
            Number::Numbers(first, last) if first == last => NewAddress::To(first),
            _ => NewAddress::Unknown,
        },
        Some(other) => match other.part("map") {
            Some(map) => match (expression::key(map.part("key")), map.part("data")) {
                (Some(key), Some(data)) => NewAddress::Mapped {
                    key: key.fields().to_vec(),
                    map: lookup(data),
                },
                _ => NewAddress::Unknown,
            },
            None => NewAddress::Unknown,
        },
    };
    Translation {
        family,
        address,
        port: port(body.part("port")),
    }
}

/// The family that a translation says, or that its table has.
fn family_of(name: &str, scope: Scope) -> Option<Family> {
    match (name, scope) {
        ("ip", _) => Some(Family::V4),
        ("ip6", _) => Some(Family::V6),
        (_, Scope::V4) => Some(Family::V4),
        (_, Scope::V6) => Some(Family::V6),
        _ => None,
    }
}

fn port(port: Option<&Value>) -> NewPort {
    match port {
        None => NewPort::Keep,
        Some(port) => number(port)
            .and_then(|port| u16::try_from(port).ok())
            .map_or(NewPort::Unknown, NewPort::To),
    }
}

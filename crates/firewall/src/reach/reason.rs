//! Why: a rule, a policy or something else, and what in a rule is not known.

use super::{
    answer::{Because, Passage},
    error::shown,
    fates::Fate,
    link::{Linked, special},
    place::CauseId,
    ruleset::{At, Field, Lookup, Step, Table, Test, Value, Verdict},
};

pub(super) fn because(linked: &Linked<'_>, fate: Fate) -> Vec<Because> {
    let causes = fate.causes.into_iter().filter(|cause| *cause != 0);
    let mut because: Vec<Because> = causes
        .filter_map(|cause| one_cause(linked, cause, fate.passage == Passage::Unknown))
        .collect();
    if because.is_empty() {
        because.push(Because::NoRule);
    }
    because
}

pub(super) fn one_cause(linked: &Linked<'_>, cause: CauseId, is_unclear: bool) -> Option<Because> {
    if let Some(what) = explain(cause) {
        return Some(Because::Other(what));
    }
    let (table, chain, at) = linked.place(cause)?;
    let (table, chain) = (table.name.clone(), chain.to_owned());
    let Some(at) = at else {
        return Some(Because::Policy { table, chain });
    };
    Some(Because::Rule {
        table,
        chain,
        at: match at {
            At::Handle(handle) => format!("handle {handle}"),
            At::Line(line) => format!("line {line}"),
            At::Named(name) => name.to_string(),
        },
        text: linked
            .rule(cause)
            .and_then(|rule| rule.text.as_deref().map(str::to_owned)),
        unclear: is_unclear.then(|| unclear(linked, cause)).flatten(),
    })
}

/// What was not understood in a rule, or is not known of the packets that it is asked for.
fn unclear(linked: &Linked<'_>, cause: CauseId) -> Option<String> {
    let (table, ..) = linked.place(cause)?;
    let steps = &linked.rule(cause)?.steps;
    let not_understood = steps.iter().find_map(|step| match step {
        Step::Perhaps(what) | Step::Opaque(what) | Step::Verdict(Verdict::Opaque(what)) => Some(what.clone()),
        Step::Copy(_) => {
            Some("a copy to an address that may be one of this host, or the one that is asked for".into())
        }
        Step::Match(matching) => fields_not_understood(matching.key.fields()),
        Step::VerdictMap { key, .. } => fields_not_understood(key),
        _ => None,
    });
    let not_known = || {
        steps.iter().find_map(|step| match step {
            Step::Match(matching) => match &matching.test {
                Test::In(lookup) => changing(lookup, table),
                Test::Perhaps(_) => Some(AS_ONE.into()),
                Test::Value(Value::Unknown) => Some("a value that was not understood".into()),
                _ => None,
            },
            Step::VerdictMap { map, .. } | Step::SetMarkByMap { map, .. } => changing(map, table),
            Step::Verdict(Verdict::Jump(name) | Verdict::Goto(name))
                if !table.chains.contains_key(&**name) =>
            {
                Some(format!("the chain `{}`, which is not there", shown(name)))
            }
            _ => None,
        })
    };
    let of_packets = || {
        let fields = steps.iter().flat_map(|step| match step {
            Step::Match(matching) => matching.key.fields(),
            Step::VerdictMap { key, .. } | Step::SetMarkByMap { key, .. } => key,
            _ => &[],
        });
        fields.filter_map(not_known_of_packets).next().map(str::to_owned)
    };
    let otherwise = || Some("something in it that is not known".to_owned());
    not_understood
        .or_else(not_known)
        .or_else(of_packets)
        .or_else(otherwise)
}

const AS_ONE: &str =
    "two negations side by side, which may have been loaded as one that is true where either is";

fn fields_not_understood(fields: &[Field]) -> Option<String> {
    fields.iter().find_map(|field| match field {
        Field::Unknown(what) | Field::UnknownOf(_, what) => Some(what.clone()),
        _ => None,
    })
}

/// A set or map of which it is not known what it holds.
fn changing(lookup: &Lookup, table: &Table) -> Option<String> {
    match lookup {
        Lookup::Inline(set) => set.uncertain.then(|| "a set that was not understood".to_owned()),
        Lookup::Named(name) => match table.sets.get(&**name) {
            Some(set) if !set.uncertain => None,
            Some(_) => Some(format!(
                "the set `{}`, which changes or was not understood",
                shown(name)
            )),
            None => Some(format!("the set `{}`, which is not listed", shown(name))),
        },
    }
}

/// What of packets is not always known.
fn not_known_of_packets(field: &Field) -> Option<&'static str> {
    Some(match field {
        Field::Mark | Field::ConnectionMark => "a mark that is not known",
        Field::ArrivesBy | Field::LeavesBy => "an interface that is not known",
        Field::SourceKind | Field::DestinationKind => "what kind of address it is",
        Field::ConnectionStatus | Field::ConnectionStateAndNat => "what the kernel knows of the connection",
        Field::FragmentOffset => "whether the sender forbids fragments",
        Field::Address(..) | Field::Port(..) | Field::ReplyAddress(..) | Field::ReplyPort(_) => {
            "an address or a port that may be another one by then"
        }
        _ => return None,
    })
}

/// What is no rule and no policy.
fn explain(cause: CauseId) -> Option<&'static str> {
    Some(match cause {
        special::ORDER => "chains of one priority, whose order no listing tells",
        special::OWN_ADDRESS => "whether the address that it is sent on to is one of this host",
        special::NOT_TRANSLATED_BACK => {
            "a packet that is not translated as the first one of its connection was"
        }
        special::TRACKING => "whether connections are tracked, for which no rule asks",
        special::PICKED_UP => {
            "a connection whose first packet is not tracked, which depends on `nf_conntrack_tcp_loose`"
        }
        special::NOTIFICATION => {
            "whether a packet that opens a connection has ECE and CWR beside SYN, which it may (RFC 3168)"
        }
        special::DORMANT => "a table of which the listing does not tell whether it is dormant",
        special::DEVICE => "a chain of which the listing does not tell of which interface it is",
        special::STRANGER => "an object that was not understood",
        special::NOBODY => {
            "an address at which nobody is by this interface: the unspecified one, or one of another link"
        }
        special::NO_ROUTE => "an address to which no route leads",
        special::UNFORWARDED => "an address of another host, to which this one passes nothing on",
        special::FORWARDED => {
            "whether what comes by this interface, and what goes back, is passed on, as of some interfaces of this host only"
        }
        special::ROUTE => "whether a route leads to the address that it is sent on to",
        special::NO_CONNECTION => {
            "an address of several hosts at once, or of any router of a network, at which no connection is answered"
        }
        special::GROUP => "a translation to an address of several hosts at once",
        special::ANYCAST => {
            "the address of the routers of a network (RFC 4291), which is one of this host where it forwards"
        }
        special::NO_ADDRESS => {
            "a redirection of what comes by an interface without an address, which the kernel drops"
        }
        special::ADDRESS => {
            "whether the interface has an address, without which the kernel drops what is redirected"
        }
        special::LOOPBACK => "a translation to a loopback address, which depends on `route_localnet`",
        _ => return None,
    })
}

//! The rich rules of a change.

use ipnet::IpNet;
use portcullis_model::NetworkSet;

use crate::{closing::Closing, complement, family::Family, nftables::LOG_PREFIX};

/// What the priority of a rule says of the change. Both come before every rule of others that has no such priority.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    Trial,
    Kept,
}

impl Mark {
    pub(super) fn priority(self) -> i32 {
        match self {
            Self::Trial => -32768,
            Self::Kept => -32767,
        }
    }

    /// What `grep` finds a rule by.
    pub(super) fn pattern(self, tag: &str) -> String {
        format!("priority=\"{}\".*{LOG_PREFIX}{tag} ", self.priority())
    }
}

/// Of whom a rule speaks.
enum From {
    Everybody,
    EverybodyBut(IpNet),
    Network(IpNet),
}

/// Who is blocked, as the fewest rules.
fn from(allow: &NetworkSet, family: Family) -> Vec<From> {
    let own: Vec<&IpNet> = allow
        .networks()
        .iter()
        .filter(|n| family.is_of(n.addr()))
        .collect();
    match own.as_slice() {
        [] => vec![From::Everybody],
        [one] if one.prefix_len() == 0 => Vec::new(),
        [one] => vec![From::EverybodyBut(**one)],
        _ => complement::networks(allow, family)
            .into_iter()
            .map(From::Network)
            .collect(),
    }
}

/// The rules, in a fixed order, in the words in which firewalld prints them.
pub(super) fn rules(closing: &Closing, mark: Mark) -> Vec<String> {
    let rule = |family: Family, from: From| {
        let from = match from {
            From::Everybody => String::new(),
            From::EverybodyBut(network) => format!("source NOT address=\"{network}\" "),
            From::Network(network) => format!("source address=\"{network}\" "),
        };
        format!(
            "rule priority=\"{}\" family=\"ipv{}\" {from}port port=\"{}\" protocol=\"{}\" log prefix=\"{LOG_PREFIX}{} \" \
             level=\"info\" limit value=\"10/m\" drop",
            mark.priority(),
            family.digit(),
            closing.port.number,
            closing.port.transport,
            closing.tag
        )
    };
    let families = Family::BOTH.into_iter();
    families
        .flat_map(|family| {
            from(&closing.allow, family)
                .into_iter()
                .map(move |from| rule(family, from))
        })
        .collect()
}

/// Everybody who is blocked, as networks.
pub(super) fn blocked(closing: &Closing) -> Vec<IpNet> {
    let families = Family::BOTH.into_iter();
    families
        .flat_map(|family| complement::networks(&closing.allow, family))
        .collect()
}

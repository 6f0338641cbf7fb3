//! Reading back what firewalld lists: the rules are read into a closing, and that closing written again must give the
//! same rules. Whatever differs, somebody else has changed.

use std::collections::BTreeSet;

use ipnet::IpNet;
use portcullis_model::{BackendName, Digest, NetworkSet, Port, Transport};

use super::{
    policy,
    rules::{self, Mark},
    take,
};
use crate::{
    act::{Act, Acts},
    closing::Closing,
    complement,
    family::Family,
    guard::{self, Guard},
    nftables::LOG_PREFIX,
    own::{Loaded, Own},
};

/// Lists zones and policies as they are now; nothing where firewalld does not run.
pub(super) const LIST: &str = r#"
firewall-cmd --state >/dev/null 2>&1 || exit 0
firewall-cmd --list-all-zones && echo '== policies' && firewall-cmd --list-all-policies &&
    echo '== default' && firewall-cmd --get-default-zone
"#;

/// A zone or a policy.
#[derive(Debug, Default)]
struct Holder<'a> {
    name: &'a str,
    is_policy: bool,
    is_active: bool,
    rules: Vec<&'a str>,
}

fn holders(listed: &str) -> Vec<Holder<'_>> {
    let (mut holders, mut is_policy) = (Vec::<Holder<'_>>::new(), false);
    let mut lines = listed.lines();
    for line in lines.by_ref() {
        if line == "== default" {
            break;
        } else if line == "== policies" {
            is_policy = true;
        } else if line.starts_with([' ', '\t']) {
            let rule = line.trim();
            if let Some(holder) = holders.last_mut().filter(|_| rule.starts_with("rule ")) {
                holder.rules.push(rule);
            }
        } else if let Some((name, state)) = line.split_once(' ').or((!line.is_empty()).then_some((line, "")))
        {
            holders.push(Holder {
                name,
                is_policy,
                is_active: state.contains("active"),
                rules: Vec::new(),
            });
        }
    }
    let default = lines.next().unwrap_or_default();
    for holder in &mut holders {
        holder.is_active |= !holder.is_policy && holder.name == default;
    }
    holders
}

/// Our changes, from what was listed and the guards that run.
pub(super) fn own(listed: &str, guards: &[Guard]) -> Own {
    let holders = holders(listed);
    let tag_of = |rule: &&str| -> Option<String> {
        let prefix = value(rule, "prefix")?.strip_prefix(LOG_PREFIX)?;
        Some(prefix.trim_end().to_owned())
    };
    let tags: BTreeSet<String> = holders
        .iter()
        .flat_map(|holder| holder.rules.iter().filter_map(tag_of))
        .collect();
    let mut own = Own::default();
    for tag in tags {
        let of_change: Vec<Holder<'_>> = holders
            .iter()
            .map(|holder| Holder {
                rules: holder
                    .rules
                    .iter()
                    .filter(|rule| tag_of(rule).as_deref() == Some(&tag))
                    .copied()
                    .collect(),
                ..*holder
            })
            .collect();
        let guard = guards.iter().find(|guard| guard.tag == tag);
        own.changes.insert(tag.clone(), change(&tag, &of_change, guard));
    }
    own
}

fn change(tag: &str, holders: &[Holder<'_>], guard: Option<&Guard>) -> Loaded {
    let all: Vec<&str> = holders
        .iter()
        .flat_map(|holder| holder.rules.iter().copied())
        .collect();
    let port = all.iter().find_map(|rule| port_of(rule));
    let closing = Closing::new(tag, port.unwrap_or(Port::tcp(0)), allowed(&all));
    let is = |mark: Mark| {
        all.iter()
            .any(|rule| rule.contains(&format!("priority=\"{}\"", mark.priority())))
    };
    // Both stand there in the middle of a confirmation: its trial still runs.
    let on_trial = is(Mark::Trial);
    let made = |mark| rules::rules(&closing, mark).into_iter().collect::<BTreeSet<_>>();
    let (trial, kept) = (made(Mark::Trial), made(Mark::Kept));
    let holds = |holder: &Holder<'_>| {
        let found: BTreeSet<String> = holder.rules.iter().map(|rule| (*rule).to_owned()).collect();
        let both = trial.union(&kept).cloned().collect();
        found == trial || found == kept || found == both
    };
    let by_policy = holders
        .iter()
        .any(|holder| holder.is_policy && holder.name == policy(tag) && holder.is_active && holds(holder));
    let damaged = holders.iter().filter(|holder| {
        let needed = !holder.is_policy && holder.is_active && !by_policy;
        (needed || !holder.rules.is_empty()) && !holds(holder)
    });
    let damage = damaged.map(|holder| match holder.rules.is_empty() {
        true => format!("there are no rules in the zone {}", holder.name),
        false => format!("its rules in {} are not those that Portcullis makes", holder.name),
    });
    Loaded {
        damage: damage.map(|text| portcullis_model::sanitize(&text)).collect(),
        // A trial that nobody guards any more is over.
        port: port.filter(|_| !on_trial || guard.is_some()),
        expires: guard.filter(|_| on_trial).map(|guard| guard.left),
        fingerprint: Digest::of(kept.into_iter().collect::<Vec<_>>().join("\n")),
        removal: Acts(vec![
            Act::together(&take(tag, None).into(), &Acts::default()),
            guard::end(tag),
        ]),
        allow: closing.allow,
        ..Loaded::named(tag, BackendName::Firewalld)
    }
}

/// Who is allowed, from who is blocked.
fn allowed(rules: &[&str]) -> NetworkSet {
    let of_family = |family: Family| -> Vec<IpNet> {
        let mut blocked = Vec::new();
        for rule in rules
            .iter()
            .filter(|rule| value(rule, "family") == Some(&format!("ipv{}", family.digit())))
        {
            match value(rule, "address").map(str::parse::<IpNet>) {
                None => blocked.extend(family.everything().parse::<IpNet>().ok()),
                Some(Ok(network)) if rule.contains("source NOT ") => {
                    blocked.extend(complement::networks(&[network].into_iter().collect(), family));
                }
                Some(Ok(network)) => blocked.push(network),
                Some(Err(_)) => {}
            }
        }
        complement::networks(&blocked.into_iter().collect(), family)
    };
    Family::BOTH.into_iter().flat_map(of_family).collect()
}

fn port_of(rule: &str) -> Option<Port> {
    let transport = match value(rule, "protocol")? {
        "tcp" => Transport::Tcp,
        "udp" => Transport::Udp,
        _ => return None,
    };
    let number = value(rule, "port")?.parse().ok()?;
    Some(Port { transport, number })
}

/// The value of an attribute, e.g. of `address="10.7.20.0/24"`.
fn value<'r>(rule: &'r str, name: &str) -> Option<&'r str> {
    let (_, rest) = rule.split_once(&format!(" {name}=\""))?;
    rest.split('"').next()
}

//! Reading back what stands in our table: it is read into a closing, and that closing written again must give the same
//! lines. Whatever differs, somebody else has changed.

use std::{collections::BTreeSet, net::SocketAddr};

use ipnet::IpNet;
use portcullis_model::{Digest, Port, Transport};

use super::{
    Iptables,
    rules::{self, CHAIN, Mark},
};
use crate::{
    act::{Act, Acts},
    backend::Backend,
    closing::Closing,
    family::Family,
    guard::{self, Guard},
    own::{Loaded, Own},
};

/// What `iptables-save -c` printed of one family, sorted by change.
struct Lines<'a> {
    family: Family,
    /// The rules of the table without `-A` and without counters.
    rules: Vec<&'a str>,
    dropped: Vec<(&'a str, u64)>,
    chains: Vec<&'a str>,
}

/// Our changes, from what was saved of each family and the guards that run.
pub(super) fn own(backend: Iptables, saved: &[(Family, String)], guards: &[Guard]) -> Own {
    let saved: Vec<Lines<'_>> = saved
        .iter()
        .map(|(family, text)| of_table(backend.place().table(), *family, text))
        .collect();
    let tags: BTreeSet<&str> = saved
        .iter()
        .flat_map(|lines| lines.chains.iter().filter_map(|chain| chain.strip_prefix(CHAIN)))
        .collect();
    let mut own = Own::default();
    for tag in tags {
        let loaded = change(backend, tag, &saved, guards);
        own.changes.insert(tag.to_owned(), loaded);
    }
    own
}

fn of_table<'a>(wanted: &str, family: Family, text: &'a str) -> Lines<'a> {
    let mut lines = Lines {
        family,
        rules: Vec::new(),
        dropped: Vec::new(),
        chains: Vec::new(),
    };
    let mut in_table = false;
    for line in text.lines() {
        if let Some(table) = line.strip_prefix('*') {
            in_table = table == wanted;
        } else if !in_table {
        } else if let Some(chain) = line.strip_prefix(':') {
            lines.chains.extend(chain.split_whitespace().next());
        } else if let Some((counters, rule)) = line.split_once("] -A ") {
            lines.rules.push(rule);
            let packets = counters.trim_start_matches('[').split(':').next();
            let packets = packets.and_then(|packets| packets.parse().ok()).unwrap_or(0);
            if let Some((chain, _)) = rule.split_once(' ').filter(|_| rule.ends_with(" -j DROP")) {
                lines.dropped.push((chain, packets));
            }
        }
    }
    lines
}

fn change(backend: Iptables, tag: &str, saved: &[Lines<'_>], guards: &[Guard]) -> Loaded {
    let chain = rules::chain(tag);
    let leads_here = format!("-j {chain}");
    let ours = |rule: &&&str| rule.ends_with(&leads_here) || rule.split(' ').next() == Some(chain.as_str());
    let mut closing = Closing::new(tag, Port::tcp(0), Vec::<IpNet>::new().into_iter().collect());
    let mut allow = Vec::new();
    let mut port = None;
    let mut marks = BTreeSet::new();
    let mut replies = false;
    for lines in saved {
        for rule in lines.rules.iter().filter(ours) {
            if rule.ends_with(&leads_here) {
                port = port.or(port_of(rule));
                closing.behind.extend(
                    word_after(rule, "-d")
                        .and_then(|to| to.parse::<IpNet>().ok())
                        .map(|to| to.addr()),
                );
                marks.insert(rule.contains(&format!("\"{}\"", Mark::Trial.comment(tag))));
            } else if rule.ends_with(REPLIES) {
                replies = true;
            } else if rule.ends_with(" -j DROP") {
                closing.cut_peers.extend(peer_of(rule));
            } else if rule.ends_with(" -j RETURN") {
                let network = word_after(rule, "-s").and_then(|from| from.parse::<IpNet>().ok());
                let network = network.or_else(|| lines.family.everything().parse().ok());
                match (
                    word_after(rule, "--sport").and_then(|port| port.parse().ok()),
                    network,
                ) {
                    (Some(port), Some(peer)) => closing.outgoing_peers.push((peer.addr(), port).into()),
                    (None, Some(network)) => allow.push(network),
                    (_, None) => {}
                }
            }
        }
    }
    closing.behind.sort();
    closing.behind.dedup();
    closing.no_replies = !replies;
    closing.cut_peers.sort();
    closing.allow = allow.into_iter().collect();
    closing.port = port.unwrap_or(closing.port);
    let on_trial = marks.contains(&true);
    let mark = if on_trial { Mark::Trial } else { Mark::Kept };
    let mut damage = Vec::new();
    let mut lasting = String::new();
    for lines in saved {
        let family = lines.family;
        let found: Vec<&str> = lines.rules.iter().filter(ours).copied().collect();
        let mut made = Vec::new();
        if rules::concerns(&closing, family) {
            made.extend(
                rules::entries(&closing, backend.place(), family, mark)
                    .into_iter()
                    .map(|(base, rest)| format!("{base} {rest}")),
            );
            made.extend(rules::own_rules(&closing, family));
        }
        if sorted(&found) != sorted(&made) {
            damage.push(match (found.is_empty(), family) {
                (true, Family::V4) => "there are no rules for IPv4".to_owned(),
                (true, Family::V6) => "there are no rules for IPv6".to_owned(),
                (false, _) => "its rules are not those that Portcullis makes".to_owned(),
            });
        }
        for rule in found {
            lasting.push_str(&rule.replace(&Mark::Trial.comment(tag), &Mark::Kept.comment(tag)));
            lasting.push('\n');
        }
    }
    let guard = guards.iter().find(|guard| guard.tag == tag);
    Loaded {
        // A trial that nobody guards any more is over.
        port: port.filter(|_| !on_trial || guard.is_some()),
        expires: guard.filter(|_| on_trial).map(|guard| guard.left),
        allow: closing.allow.clone(),
        behind: closing.behind.clone(),
        outgoing_peers: closing.outgoing_peers.clone(),
        cut_peers: closing.cut_peers.clone(),
        no_replies: closing.no_replies,
        dropped_packets: saved
            .iter()
            .flat_map(|lines| lines.dropped.iter())
            .filter(|(of, _)| *of == chain)
            .map(|(_, packets)| packets)
            .sum(),
        damage,
        fingerprint: Digest::of(lasting),
        removal: removal(backend, tag, saved),
        ..Loaded::named(tag, backend.name())
    }
}

/// Takes out exactly what stands there, whatever somebody has made of it, and then ends the guard.
fn removal(backend: Iptables, tag: &str, saved: &[Lines<'_>]) -> Acts {
    let chain = rules::chain(tag);
    let leads_here = format!("-j {chain}");
    let mut acts = Vec::new();
    for lines in saved
        .iter()
        .filter(|lines| lines.chains.contains(&chain.as_str()))
    {
        let mut script: Vec<String> = lines
            .rules
            .iter()
            .filter(|rule| rule.ends_with(&leads_here))
            .map(|rule| format!("-D {rule}"))
            .collect();
        script.push(format!("-F {chain}"));
        script.push(format!("-X {chain}"));
        acts.push(backend.restore(lines.family, rules::script(backend.place(), &script)));
    }
    // The guard would only find nothing to take back; it goes last, for it is needed until all is gone.
    Acts(vec![
        Act::together(&Acts(acts), &Acts::default()),
        guard::end(tag),
    ])
}

/// The end of the rule that lets replies through.
const REPLIES: &str = " --ctdir REPLY -j RETURN";

/// The peer that a rule names by address and port.
fn peer_of(rule: &str) -> Option<SocketAddr> {
    let network: IpNet = word_after(rule, "-s")?.parse().ok()?;
    Some((network.addr(), word_after(rule, "--sport")?.parse().ok()?).into())
}

fn port_of(rule: &str) -> Option<Port> {
    let transport = match word_after(rule, "-p")? {
        "tcp" => Transport::Tcp,
        "udp" => Transport::Udp,
        _ => return None,
    };
    let number = word_after(rule, "--dport")?.parse().ok()?;
    Some(Port { transport, number })
}

fn word_after<'r>(rule: &'r str, option: &str) -> Option<&'r str> {
    let mut words = rule.split(' ');
    words.find(|word| *word == option)?;
    words.next()
}

fn sorted<S: AsRef<str>>(rules: &[S]) -> Vec<&str> {
    let mut rules: Vec<&str> = rules.iter().map(AsRef::as_ref).collect();
    rules.sort_unstable();
    rules
}

//! The rules of a change in the words of `iptables-save`, which `iptables-restore` takes.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use crate::{
    closing::Closing,
    family::Family,
    nftables::{LOG_GROUP, LOG_PREFIX},
};

/// Where the rules stand that lead into the chain of a change, and the chain itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Before every chain of others and before any translation of addresses.
    Mangle,
    /// First in what ufw runs before its own rules (ufw-framework(8)), which it loads anew by itself.
    Ufw,
}

impl Place {
    pub(crate) fn table(self) -> &'static str {
        match self {
            Self::Mangle => "mangle",
            Self::Ufw => "filter",
        }
    }
}

/// What the comment of an entry says of the change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    Trial,
    Kept,
}

impl Mark {
    pub(crate) fn comment(self, tag: &str) -> String {
        match self {
            Self::Trial => format!("portcullis {tag} trial"),
            Self::Kept => format!("portcullis {tag}"),
        }
    }
}

/// The chain of a change; names of chains have at most 28 letters.
pub(crate) fn chain(tag: &str) -> String {
    format!("{CHAIN}{tag}")
}

/// Begins the names of our chains.
pub const CHAIN: &str = "PORTCULLIS-";

/// Whether a closing has rules in this family: that of this host in both, that of hosts behind it in theirs.
pub(crate) fn concerns(closing: &Closing, family: Family) -> bool {
    closing.behind.is_empty() || closing.behind.iter().any(|host| family.is_of(*host))
}

/// The rules of the change's own chain, in order, without `-A`.
pub(crate) fn own_rules(closing: &Closing, family: Family) -> Vec<String> {
    let (tag, transport) = (&closing.tag, closing.port.transport);
    let chain = chain(tag);
    let networks = closing.allow.networks().iter();
    let networks = networks.filter(|network| family.is_of(network.addr()));
    let of_peer = |peer: &SocketAddr, verdict: &str| {
        let port = format!("-p {transport} -m {transport} --sport {} ", peer.port());
        from(peer.ip().into(), &port, verdict)
    };
    let mut cut: Vec<SocketAddr> = closing.cut_peers.clone();
    cut.sort();
    let cut = cut.iter().filter(|peer| family.is_of(peer.ip()));
    let mut rules: Vec<String> = cut.map(|peer| of_peer(peer, "DROP")).collect();
    if !closing.no_replies {
        rules.push("-m conntrack --ctdir REPLY -j RETURN".into());
    }
    rules.extend(networks.map(|network| from(*network, "", "RETURN")));
    let mut peers: Vec<SocketAddr> = closing.outgoing_peers.clone();
    peers.sort();
    for peer in peers.iter().filter(|peer| family.is_of(peer.ip())) {
        rules.push(of_peer(peer, "RETURN"));
    }
    // One log for the kernel's own log, one for programs; each limited, so that a flood fills no disk.
    rules.push(format!(
        "-m limit --limit 10/min --limit-burst 20 -j LOG --log-prefix \"{LOG_PREFIX}{tag} \""
    ));
    rules.push(format!(
        "-m limit --limit 100/sec --limit-burst 200 -j NFLOG --nflog-prefix \"{LOG_PREFIX}{tag} \" --nflog-group {LOG_GROUP}"
    ));
    rules.push("-j DROP".into());
    rules.into_iter().map(|rule| format!("{chain} {rule}")).collect()
}

fn from(network: IpNet, further: &str, verdict: &str) -> String {
    if network.prefix_len() == 0 {
        format!("{further}-j {verdict}")
    } else {
        format!("-s {network} {further}-j {verdict}")
    }
}

/// The rules that lead into the change's chain: the base chain, and the rest.
pub(crate) fn entries(
    closing: &Closing,
    place: Place,
    family: Family,
    mark: Mark,
) -> Vec<(&'static str, String)> {
    let Closing { tag, port, .. } = closing;
    let transport = port.transport;
    let entry = |to: &str, kind: &str| {
        format!(
            "{to}! -i lo -p {transport} -m {transport} --dport {} {kind}-m comment \
             --comment \"{}\" -j {}",
            port.number,
            mark.comment(tag),
            chain(tag)
        )
    };
    if place == Place::Ufw {
        let base = match family {
            Family::V4 => "ufw-before-input",
            Family::V6 => "ufw6-before-input",
        };
        return vec![(base, entry("", ""))];
    }
    if closing.behind.is_empty() {
        // There is no broadcast in IPv6, and the kernel refuses to look for one.
        let local = match family {
            Family::V4 => "-m addrtype --dst-type LOCAL,BROADCAST,MULTICAST ",
            Family::V6 => "-m addrtype --dst-type LOCAL,MULTICAST ",
        };
        return vec![("PREROUTING", entry("", local)), ("INPUT", entry("", ""))];
    }
    let mut hosts: Vec<IpAddr> = closing.behind.clone();
    hosts.sort();
    let hosts = hosts.into_iter().filter(|host| family.is_of(*host));
    hosts
        .flat_map(|host| {
            let to = format!("-d {host}/{} ", family.host_length());
            ["PREROUTING", "FORWARD"].map(|base| (base, entry(&to, "")))
        })
        .collect()
}

/// A script for `iptables-restore --noflush` that makes all of a closing in one family.
pub(crate) fn load(closing: &Closing, place: Place, family: Family, mark: Mark) -> String {
    script(place, &lines(closing, place, family, mark))
}

/// The lines that make all of a closing in one family, within the section of its table.
pub(crate) fn lines(closing: &Closing, place: Place, family: Family, mark: Mark) -> Vec<String> {
    let mut lines = vec![format!(":{} - [0:0]", chain(&closing.tag))];
    lines.extend(own_rules(closing, family).iter().map(|rule| format!("-A {rule}")));
    // Each is put at the top, so that the last one that is put there is the first.
    let entries = entries(closing, place, family, mark);
    lines.extend(
        entries
            .iter()
            .rev()
            .map(|(base, rest)| format!("-I {base} 1 {rest}")),
    );
    lines
}

/// A script that puts one mark in the place of another.
pub(crate) fn remark(closing: &Closing, place: Place, family: Family, old: Mark, new: Mark) -> String {
    let (old, new) = (
        entries(closing, place, family, old),
        entries(closing, place, family, new),
    );
    let mut lines: Vec<String> = old
        .iter()
        .map(|(base, rest)| format!("-D {base} {rest}"))
        .collect();
    lines.extend(new.iter().rev().map(|(base, rest)| format!("-I {base} 1 {rest}")));
    script(place, &lines)
}

/// A script that takes a closing out.
pub(crate) fn remove(closing: &Closing, place: Place, family: Family, mark: Mark) -> String {
    let entries = entries(closing, place, family, mark);
    let mut lines: Vec<String> = entries
        .iter()
        .map(|(base, rest)| format!("-D {base} {rest}"))
        .collect();
    lines.push(format!("-F {}", chain(&closing.tag)));
    lines.push(format!("-X {}", chain(&closing.tag)));
    script(place, &lines)
}

/// The kernel takes the lines for one table together or not at all.
pub(crate) fn script(place: Place, lines: &[String]) -> String {
    format!("*{}\n{}\nCOMMIT\n", place.table(), lines.join("\n"))
}

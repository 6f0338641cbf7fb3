//! The full state before a change: kept for the record and for comparison, never loaded back. A dump is not a safe
//! backup: with one rule that `nft` cannot translate, the whole dump is refused (`docs/security.md`).

use std::{collections::BTreeMap, time::Duration};

use portcullis_model::{Connection, Digest, Listener, StatePart};
use portcullis_sys::{Machine, SysError};

use crate::{FirewallError, act::unasked, backend, iptables::CHAIN, nftables, own::Own};

/// Everything that was read of the host's firewall and network.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// What Portcullis itself has made.
    pub own: Own,
    /// All parts, each with its digest.
    pub parts: Vec<StatePart>,
    /// Digest of all that the firewall of others consists of: `apply` compares it.
    pub foreign: Digest,
}

const PATIENCE: Duration = Duration::from_secs(30);

/// Parts of the state that a command prints, and whether they belong to the firewall.
const COMMANDS: [(&str, &str, &[&str], bool); 9] = [
    ("nftables", "nft", &["-s", "list", "ruleset"], false),
    ("iptables", "iptables-save", &[], true),
    ("ip6tables", "ip6tables-save", &[], true),
    ("iptables-legacy", "iptables-legacy-save", &[], true),
    ("ip6tables-legacy", "ip6tables-legacy-save", &[], true),
    ("firewalld", "firewall-cmd", &["--list-all-zones"], false),
    ("ufw", "ufw", &["status", "verbose"], false),
    ("routes", "ip", &["route", "show", "table", "all"], false),
    ("routes6", "ip", &["-6", "route", "show", "table", "all"], false),
];

/// Reads everything. Missing tools are noted in their part and are no error, except `nft` itself.
///
/// # Errors
/// When the nftables ruleset cannot be read.
pub fn read(
    machine: &Machine,
    listeners: &[Listener],
    connections: &[Connection],
) -> Result<Snapshot, FirewallError> {
    let ruleset = nftables::read(machine)?;
    let mut parts = Vec::new();
    let mut firewall = BTreeMap::from([("nftables", ruleset.foreign)]);
    for (name, program, arguments, of_firewall) in COMMANDS {
        let part = command_part(machine, name, program, arguments)?;
        if of_firewall {
            // Without these tools there are no such rules to protect, so that "not installed" compares equal.
            firewall.insert(name, Digest::of(lasting_lines(&part)));
        }
        parts.push(part);
    }
    parts.push(value_part("listeners", serde_json::to_string(listeners)));
    parts.push(value_part("connections", serde_json::to_string(connections)));
    let foreign = Digest::of_parts(
        firewall
            .iter()
            .flat_map(|(name, digest)| [name.as_bytes(), digest.as_bytes()]),
    );
    Ok(Snapshot {
        own: backend::own(machine)?,
        parts,
        foreign,
    })
}

fn command_part(
    machine: &Machine,
    name: &str,
    program: &str,
    arguments: &[&str],
) -> Result<StatePart, FirewallError> {
    let command = std::iter::once(program)
        .chain(arguments.iter().copied())
        .collect::<Vec<_>>()
        .join(" ");
    let (read, output) = match machine.run(program, arguments, "", PATIENCE) {
        Ok(finished) if finished.success => (true, finished.stdout),
        Ok(finished) => (false, finished.stderr),
        Err(error @ SysError::MissingProgram { .. }) => (false, error.to_string()),
        // Another machine that does not answer must not be taken for one without rules.
        Err(error) => return Err(unasked(error)),
    };
    Ok(StatePart {
        name: name.into(),
        command,
        digest: Digest::of(&output),
        output,
        read,
    })
}

fn value_part(name: &str, json: Result<String, serde_json::Error>) -> StatePart {
    let output = json.unwrap_or_default();
    StatePart {
        name: name.into(),
        command: "netlink".into(),
        digest: Digest::of(&output),
        output,
        read: true,
    }
}

/// What `iptables-save` printed of others, without its comments, which hold the time, and its counters. A table without
/// a rule, whose chains all accept, is as good as none: the tools make it when they are asked for it.
fn lasting_lines(part: &StatePart) -> String {
    if !part.read {
        return String::new();
    }
    let of_others = |line: &&str| !line.starts_with('#') && !line.contains(CHAIN);
    let without_counters = |line: &str| match line.rsplit_once(" [") {
        Some((rule, counters)) if line.starts_with(':') && counters.ends_with(']') => rule.to_owned(),
        _ => line.to_owned(),
    };
    let lines: Vec<String> = part
        .output
        .lines()
        .filter(of_others)
        .map(without_counters)
        .collect();
    lines
        .split(|line| line == "COMMIT")
        .filter(|table| {
            let idle =
                |line: &String| line.starts_with('*') || line.starts_with(':') && line.ends_with(" ACCEPT");
            !table.iter().all(idle)
        })
        .map(|table| table.join("\n"))
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_and_the_counters_of_a_save_do_not_count() {
        let part = |output: &str| StatePart {
            name: "iptables".into(),
            command: "iptables-save".into(),
            output: output.into(),
            read: true,
            digest: Digest::ZERO,
        };
        let one =
            "# Generated by iptables-save on Mon\n*filter\n:INPUT ACCEPT [1:60]\n-A INPUT -j DROP\nCOMMIT\n";
        let two =
            "# Generated by iptables-save on Tue\n*filter\n:INPUT ACCEPT [9:999]\n-A INPUT -j DROP\nCOMMIT\n";
        assert_eq!(lasting_lines(&part(one)), lasting_lines(&part(two)));
        assert_ne!(
            lasting_lines(&part(one)),
            lasting_lines(&part(&one.replace("DROP", "ACCEPT")))
        );
        let ours = format!(
            "{one}*mangle\n:INPUT ACCEPT [0:0]\n:{CHAIN}3f2a91 - [0:0]\n-A INPUT -j {CHAIN}3f2a91\n-A {CHAIN}3f2a91 -j DROP\nCOMMIT\n"
        );
        assert_eq!(lasting_lines(&part(one)), lasting_lines(&part(&ours)));
        assert_ne!(
            lasting_lines(&part(one)),
            lasting_lines(&part(&format!("{one}*mangle\n:INPUT DROP [0:0]\nCOMMIT\n")))
        );
    }
}

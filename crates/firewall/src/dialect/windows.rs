//! Windows Defender Firewall, by PowerShell; the same by `netsh`, for systems without the module NetSecurity.
//!
//! A block wins over an allow whatever their order (\[MS-FASP\] 2.2.34), so "allow the engineers, then block everybody"
//! would shut out the engineers as well: the rule blocks everybody but them. Ranges of addresses, of both families, are
//! among what `-RemoteAddress` takes (New-NetFirewallRule, Windows PowerShell module NetSecurity; `put_RemoteAddresses`
//! of INetFwRule). There is no timer, so a task of the Task Scheduler is the guard (schtasks create; module
//! ScheduledTasks).

use portcullis_model::Transport;

use super::{Document, Family, Order, Step, complement, joined, prove};

/// The addresses that the rule blocks, as Windows writes them.
pub(super) fn blocked(order: &Order) -> Vec<String> {
    if order.allow.is_empty() {
        return vec!["Any".into()];
    }
    let ranges = Family::BOTH
        .into_iter()
        .flat_map(|family| complement::ranges(&order.allow, family));
    ranges
        .map(|(first, last)| {
            if first == last {
                first.to_string()
            } else {
                format!("{first}-{last}")
            }
        })
        .collect()
}

pub(super) fn document(order: &Order) -> Document {
    let mut document = Document::new("#");
    before(&mut document);
    apply(order, &mut document);
    check(order, &mut document);
    let name = order.name();
    document
        .begin(
            Step::Confirm,
            "the guard goes, the rule stays, also over a restart",
        )
        .write(format!(
            "Unregister-ScheduledTask -TaskName '{name}' -Confirm:$false\nGet-NetFirewallRule -PolicyStore ActiveStore \
             -Name '{name}' | Format-List Name, Enabled, Action"
        ))
        .say("An error in the second line means that the guard was faster: the port is open as before.");
    document
        .begin(Step::Rollback, "the rule goes, then the guard")
        .write(format!(
            "Remove-NetFirewallRule -PolicyStore PersistentStore -Name '{name}'\nUnregister-ScheduledTask -TaskName \
             '{name}' -Confirm:$false -ErrorAction SilentlyContinue"
        ))
        .say(
            "Never roll back with `netsh advfirewall import`: it replaces the whole policy, also what others changed \
             in the meantime.",
        );
    netsh(order, &mut document);
    document.unverified(&[
        "that ranges from 0.0.0.0 and from :: are taken as they stand here; the check shows what was stored",
        "that the task runs as SYSTEM at its time, and after a restart that it slept through",
        "how many ranges one rule takes",
        "that connections which stand already are cut",
        "`netsh advfirewall import` replacing the whole policy",
        "all lines for netsh and schtasks",
    ]);
    document
}

fn before(document: &mut Document) {
    document
        .begin(Step::Before, "in a PowerShell run as administrator, on each host whose port is closed")
        .write(
            "Get-NetFirewallProfile -PolicyStore ActiveStore | Format-Table Name, Enabled, DefaultInboundAction, \
             AllowLocalFirewallRules",
        )
        .say(
            "Enabled must be True in every profile, or no rule has an effect. Where AllowLocalFirewallRules is False, a \
             group policy lets no local rule have one: the change then has to be made in that policy.",
        )
        .write(
            "Get-NetFirewallRule -PolicyStore ActiveStore -Direction Inbound -Action Allow -Enabled True | \
             Get-NetFirewallSecurityFilter | Where-Object OverrideBlockRules -eq $true",
        )
        .say("A rule that is listed here lets authenticated connections through in spite of every block.");
}

fn apply(order: &Order, document: &mut Document) {
    let (name, seconds) = (order.name(), order.seconds());
    let protocol = protocol(order);
    let port = order.port.number;
    let addresses = format!("'{}'", joined(&blocked(order), "', '"));
    document
        .begin(Step::Apply, "the guard first, then the rule; nothing is blocked when the guard is not there")
        .say(
            "On Windows a block wins over an allow, whatever their order: this rule blocks everybody but those who are \
             let through. It opens nothing. A later allow rule for others has no effect; they have to be taken out of \
             these ranges.",
        )
        .say(
            "The rule names no local address: it closes the port on all of them. Connections of the host to itself do \
             not pass the firewall.",
        )
        .write(format!(
            "& {{
    $ErrorActionPreference = 'Stop'
    $program = \"$env:SystemRoot\\System32\\WindowsPowerShell\\v1.0\\powershell.exe\"
    $command = '-NoProfile -NonInteractive -ExecutionPolicy Bypass -Command \"Remove-NetFirewallRule -PolicyStore PersistentStore -Name {name}\"'
    $action = New-ScheduledTaskAction -Execute $program -Argument $command
    $trigger = New-ScheduledTaskTrigger -Once -At (Get-Date).AddSeconds({seconds})
    $principal = New-ScheduledTaskPrincipal -UserId 'SYSTEM' -LogonType ServiceAccount -RunLevel Highest
    $settings = New-ScheduledTaskSettingsSet -AllowStartIfOnBatteries -DontStopIfGoingOnBatteries -StartWhenAvailable
    Register-ScheduledTask -TaskName '{name}' -Action $action -Trigger $trigger -Principal $principal -Settings $settings | Out-Null
    if ((Get-ScheduledTask -TaskName '{name}').State -ne 'Ready') {{ throw 'the guard is not ready: nothing was changed' }}
    if (-not (Get-ScheduledTaskInfo -TaskName '{name}').NextRunTime) {{ throw 'the guard has no time to run: nothing was changed' }}
    New-NetFirewallRule -Name '{name}' -DisplayName '{name}' -Group 'portcullis' -Enabled True -Profile Any -Direction Inbound -Action Block -Protocol {protocol} -LocalPort {port} -RemoteAddress {addresses}
}}"
        ));
}

fn check(order: &Order, document: &mut Document) {
    let name = order.name();
    document
        .begin(Step::Check, "what is in force, not what was written down")
        .write(format!(
            "Get-NetFirewallRule -PolicyStore ActiveStore -Name '{name}' | Format-List Name, Enabled, Profile, \
             Direction, Action, EnforcementStatus, PrimaryStatus, PolicyStoreSourceType\n\
             Get-NetFirewallRule -PolicyStore ActiveStore -Name '{name}' | Get-NetFirewallPortFilter | Format-List \
             Protocol, LocalPort\n\
             Get-NetFirewallRule -PolicyStore ActiveStore -Name '{name}' | Get-NetFirewallAddressFilter | \
             Select-Object -ExpandProperty RemoteAddress"
        ))
        .say(
            "A rule that is missing in the active store has no effect. The last line must print the ranges of the step \
             before; Windows may write one that is a network in another way.",
        );
    if order.port.transport == Transport::Tcp {
        document
            .write(format!(
                "Get-NetTCPConnection -LocalPort {} -State Established -ErrorAction SilentlyContinue",
                order.port.number
            ))
            .say("Connections that stand already may go on: end those of hosts that are not let through.");
    }
    document.say(&prove(order));
}

/// netsh and schtasks are on every Windows since Vista; they stand here as comments, so that pasting runs one of the two.
fn netsh(order: &Order, document: &mut Document) {
    let name = order.name();
    let addresses = joined(&blocked(order), ",");
    document
        .begin(
            Step::Rollback,
            "or all steps with netsh, on systems without these commands (Windows 7, Server 2008 R2)",
        )
        .say(
            "In a command prompt run as administrator. The time of the guard is the clock of the host, without seconds; \
             past midnight it needs a date (/SD). This guard does not make up for a time that it slept through: look for \
             the rule after a restart.",
        )
        .write_as_comment(format!(
            "schtasks /Create /TN {name} /SC ONCE /ST <HH:MM-IN-{minutes}-MINUTES> /RU SYSTEM /RL HIGHEST /TR \"netsh \
             advfirewall firewall delete rule name={name}\"\n\
             schtasks /Query /TN {name} /V /FO LIST\n\
             netsh advfirewall firewall add rule name=\"{name}\" dir=in action=block protocol={protocol} \
             localport={port} remoteip={addresses} profile=any enable=yes\n\
             netsh advfirewall firewall show rule name=\"{name}\" verbose\n\
             netsh advfirewall monitor show firewall rule name=\"{name}\"",
            minutes = order.minutes(),
            protocol = protocol(order),
            port = order.port.number,
        ))
        .say("To confirm:")
        .write_as_comment(format!("schtasks /Delete /TN {name} /F"))
        .say("To take it back:")
        .write_as_comment(format!(
            "netsh advfirewall firewall delete rule name=\"{name}\"\nschtasks /Delete /TN {name} /F"
        ));
}

fn protocol(order: &Order) -> &'static str {
    match order.port.transport {
        Transport::Tcp => "TCP",
        Transport::Udp => "UDP",
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::dialect::{
        Dialect,
        tests::{family, orders},
        write,
    };

    proptest! {
        /// Finding 10: "allow the engineers, then block everybody" shuts out the engineers on Windows, where a block wins.
        #[test]
        fn finding_10_windows_blocks_the_complement_because_block_beats_allow(
            order in orders(),
            others in vec((any::<u128>(), family()), 8),
        ) {
            let Ok(document) = write(Dialect::Windows, &order) else { return Ok(()) };
            let apply = document.text(Step::Apply);
            let rule = apply.lines().find(|line| line.contains("New-NetFirewallRule")).unwrap();
            prop_assert!(rule.contains("-Action Block") && !apply.contains("-Action Allow"));
            let list = rule.split_once("-RemoteAddress ").unwrap().1;
            let blocked: Vec<(IpAddr, IpAddr)> = match list {
                "'Any'" => vec![
                    ("0.0.0.0".parse().unwrap(), "255.255.255.255".parse().unwrap()),
                    ("::".parse().unwrap(), Family::V6.address(u128::MAX)),
                ],
                list => list
                    .split(", ")
                    .map(|range| {
                        let range = range.strip_prefix('\'').unwrap().strip_suffix('\'').unwrap();
                        let (first, last) = range.split_once('-').unwrap_or((range, range));
                        (first.parse().unwrap(), last.parse().unwrap())
                    })
                    .collect(),
            };
            let edges = order.allow.networks().iter().flat_map(|network| {
                let of = |address: IpAddr| match address {
                    IpAddr::V4(address) => (u128::from(address.to_bits()), Family::V4),
                    IpAddr::V6(address) => (address.to_bits(), Family::V6),
                };
                let ((first, family), (last, _)) = (of(network.network()), of(network.broadcast()));
                [first.saturating_sub(1), first, last, last.saturating_add(1).min(family.highest())]
                    .map(|number| (number, family))
            });
            let others = others.into_iter().map(|(number, family)| (number & family.highest(), family));
            for (number, family) in edges.chain(others) {
                let address = family.address(number);
                let is_blocked = blocked.iter().any(|(first, last)| {
                    first.is_ipv4() == address.is_ipv4() && *first <= address && address <= *last
                });
                prop_assert_eq!(is_blocked, !order.allow.contains(address), "{}", address);
                let is_shut_out = order.shut_out().iter().any(|network| network.contains(&address));
                prop_assert_eq!(is_shut_out, is_blocked, "{}", address);
            }
        }

        #[test]
        fn powershell_is_parsed_without_an_error(order in orders()) {
            let Ok(document) = write(Dialect::Windows, &order) else { return Ok(()) };
            prop_assert_eq!(powershell_faults(&document.to_string()), Vec::<String>::new());
        }
    }

    /// Each place in which a text is not PowerShell.
    fn powershell_faults(text: &str) -> Vec<String> {
        let mut parser = tree_sitter::Parser::new();
        parser
            .set_language(&tree_sitter_powershell::LANGUAGE.into())
            .unwrap();
        let tree = parser.parse(text, None).unwrap();
        let mut faults = Vec::new();
        let mut to_see = vec![tree.root_node()];
        while let Some(node) = to_see.pop() {
            if node.is_error() || node.is_missing() {
                faults.push(format!("{}: {}", node.start_position(), &text[node.byte_range()]));
            }
            to_see.extend((0..node.child_count()).filter_map(|index| node.child(index)));
        }
        faults
    }

    #[test]
    fn the_grammar_of_powershell_finds_what_is_none() {
        assert_eq!(powershell_faults("Get-Date | Out-Null\n"), Vec::<String>::new());
        assert!(!powershell_faults("New-NetFirewallRule -Name 'x\n").is_empty());
        assert!(!powershell_faults("& { if (1) { throw 'x' }\n").is_empty());
    }
}

//! Windows Defender Firewall, by PowerShell; the same by `netsh`, for systems without the module NetSecurity.
//!
//! A block wins over an allow whatever their order (\[MS-FASP\] 2.2.34), so "allow the engineers, then block everybody"
//! would shut out the engineers as well: the rule blocks everybody but them. Ranges of addresses, of both families, are
//! among what `-RemoteAddress` takes (New-NetFirewallRule, Windows PowerShell module NetSecurity; `put_RemoteAddresses`
//! of INetFwRule). There is no timer, so a task of the Task Scheduler is the guard (schtasks create; module
//! ScheduledTasks). What it missed it makes up for only when its trigger has an end
//! (ITaskSettings::StartWhenAvailable).

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
    before(order, &mut document);
    apply(order, &mut document);
    check(order, &mut document);
    confirm(order, &mut document);
    rollback(order, &mut document);
    netsh(order, &mut document);
    if !order.allow.is_empty() {
        document.unverified(&[
            "that ranges from 0.0.0.0 and from :: are taken as they are written here; the check shows what was stored",
            "how many ranges one rule takes",
        ]);
    }
    document.unverified(&[
        "that the task runs as SYSTEM at its time, after a start, and up to 10 minutes after a time that it slept through; \
         that netsh finds the rule by its display name is rehearsed on the host",
        "that existing connections are cut",
        "that connections of the host to itself do not pass the firewall",
        "that `netsh interface portproxy`, WinNAT and containers are what else brings the port to others",
        "`netsh advfirewall import` replacing the whole policy",
        "all lines for netsh and schtasks in the alternative",
    ]);
    document
}

fn before(order: &Order, document: &mut Document) {
    let name = order.name();
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
        .say("A rule that is listed here lets authenticated connections through in spite of every block.")
        .write("netsh interface portproxy show all")
        .say(
            "A proxy for the port is closed as well (unverified), but not what containers and WinNAT (`Get-NetNat`) pass on: name that \
             host's address in a text of its own.",
        )
        .write(format!(
            "Get-ScheduledTask -TaskName '{name}*'\nGet-NetFirewallRule -DisplayName '{name}*' -ErrorAction SilentlyContinue"
        ))
        .say("Both must print nothing: otherwise ROLLBACK first.");
}

fn apply(order: &Order, document: &mut Document) {
    let (name, seconds) = (order.name(), order.seconds());
    let protocol = protocol(order);
    let port = order.port.number;
    let addresses = format!("'{}'", joined(&blocked(order), "', '"));
    document.begin(
        Step::Apply,
        "the guard first, rehearsed on a dummy; nothing is blocked when it does not work",
    );
    if order.allow.is_empty() {
        document.say(
            "A block wins over an allow, whatever their order: no allow rule has an effect as long as this rule is there.",
        );
    } else {
        document.say(
            "A block wins over an allow, whatever their order: this rule blocks everybody but the allowed sources. It opens \
             nothing. A later allow rule for others has no effect; they have to be taken out of these ranges.",
        );
    }
    document
        .say("The rule names no local address: it closes the port on all of them.")
        .say(
            "The guard goes by the clock of the host: a clock that is set back delays it. A host that was off or asleep at \
             its time takes the rule back when it starts, or up to 10 minutes later.",
        )
        .write(format!(
            "& {{
    $ErrorActionPreference = 'Stop'
    if (Get-ScheduledTask -TaskName '{name}' -ErrorAction SilentlyContinue) {{ throw 'the guard is there already: nothing was changed' }}
    if (Get-NetFirewallRule -DisplayName '{name}' -ErrorAction SilentlyContinue) {{ throw 'the rule is there already: nothing was changed' }}
    try {{
        $action = New-ScheduledTaskAction -Execute \"$env:SystemRoot\\System32\\netsh.exe\" -Argument 'advfirewall firewall delete rule name={name}' -ErrorAction Stop
        $once = New-ScheduledTaskTrigger -Once -At (Get-Date).AddSeconds({seconds}) -ErrorAction Stop
        $once.EndBoundary = (Get-Date).AddSeconds({seconds}).AddDays(1).ToString('s')
        $start = New-ScheduledTaskTrigger -AtStartup -ErrorAction Stop
        $principal = New-ScheduledTaskPrincipal -UserId 'SYSTEM' -LogonType ServiceAccount -RunLevel Highest -ErrorAction Stop
        $settings = New-ScheduledTaskSettingsSet -AllowStartIfOnBatteries -DontStopIfGoingOnBatteries -StartWhenAvailable -ErrorAction Stop
        Register-ScheduledTask -TaskName '{name}' -Action $action -Trigger $once, $start -Principal $principal -Settings $settings -ErrorAction Stop | Out-Null
        New-NetFirewallRule -Name '{name}-dummy' -DisplayName '{name}' -Enabled False -Direction Inbound -Action Block -Protocol {protocol} -LocalPort {port} -ErrorAction Stop | Out-Null
        Start-ScheduledTask -TaskName '{name}' -ErrorAction Stop
        for ($try = 0; $try -lt 20; $try++) {{
            Start-Sleep -Milliseconds 500
            $dummy = Get-NetFirewallRule -Name '{name}-dummy' -ErrorAction SilentlyContinue
            $state = (Get-ScheduledTask -TaskName '{name}' -ErrorAction Stop).State
            if (-not $dummy -and $state -eq 'Ready') {{ break }}
        }}
        if ($dummy -or $state -ne 'Ready') {{ throw 'the guard did not remove the dummy: nothing was changed' }}
        $next = (Get-ScheduledTaskInfo -TaskName '{name}' -ErrorAction Stop).NextRunTime
        if (-not $next -or $next -lt (Get-Date).AddSeconds({soonest})) {{ throw 'the guard has no time to run, or too early: nothing was changed' }}
        New-NetFirewallRule -Name '{name}' -DisplayName '{name}' -Group 'portcullis' -Enabled True -Profile Any -Direction Inbound -Action Block -Protocol {protocol} -LocalPort {port} -ErrorAction Stop -RemoteAddress {addresses}
    }} catch {{
        Remove-NetFirewallRule -DisplayName '{name}' -ErrorAction SilentlyContinue
        Unregister-ScheduledTask -TaskName '{name}' -Confirm:$false -ErrorAction SilentlyContinue
        throw
    }}
}}",
            soonest = seconds / 2
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
             Get-ScheduledTaskInfo -TaskName '{name}' | Format-List NextRunTime\n\
             Get-NetFirewallRule -PolicyStore ActiveStore -Name '{name}' | Get-NetFirewallAddressFilter | \
             Select-Object -ExpandProperty RemoteAddress"
        ))
        .say(if order.allow.is_empty() {
            "A rule that is missing in the active store has no effect. The last line must print Any."
        } else {
            "A rule that is missing in the active store has no effect. The last line must print the ranges of the step \
             before; Windows may write one that is a network in another way."
        });
    if order.port.transport == Transport::Tcp {
        document
            .write(format!(
                "Get-NetTCPConnection -LocalPort {} -State Established -ErrorAction SilentlyContinue",
                order.port.number
            ))
            .say(if order.allow.is_empty() {
                "Existing connections may continue: end them."
            } else {
                "Existing connections may continue: end those from outside the allowed sources."
            });
    }
    document.say(&prove(order));
}

fn confirm(order: &Order, document: &mut Document) {
    let name = order.name();
    document
        .begin(
            Step::Confirm,
            "the guard goes, the rule stays, also over a restart",
        )
        .write(format!(
            "& {{
    $ErrorActionPreference = 'Stop'
    Disable-ScheduledTask -TaskName '{name}' -ErrorAction Stop | Out-Null
    if ((Get-ScheduledTask -TaskName '{name}' -ErrorAction Stop).State -eq 'Running') {{ throw 'the guard runs at this moment: ROLLBACK, then start again at APPLY' }}
    Unregister-ScheduledTask -TaskName '{name}' -Confirm:$false -ErrorAction Stop
    if (Get-ScheduledTask -TaskName '{name}' -ErrorAction SilentlyContinue) {{ throw 'the guard is still there: paste this once more' }}
    Start-Sleep -Seconds 30
    if (-not (Get-NetFirewallRule -PolicyStore ActiveStore -Name '{name}' -ErrorAction SilentlyContinue)) {{ throw 'the trial expired before you confirmed; the port is OPEN. Start again at APPLY.' }}
    'confirmed'
}}"
        ));
}

fn rollback(order: &Order, document: &mut Document) {
    let name = order.name();
    document
        .begin(Step::Rollback, "the rule goes, then the guard")
        .write(format!(
            "& {{
    Remove-NetFirewallRule -DisplayName '{name}' -ErrorAction SilentlyContinue
    if (Get-NetFirewallRule -DisplayName '{name}' -ErrorAction SilentlyContinue) {{ throw 'the rule is still there, and so is its guard' }}
    Unregister-ScheduledTask -TaskName '{name}' -Confirm:$false -ErrorAction SilentlyContinue
    Get-NetFirewallRule -PolicyStore ActiveStore -Name '{name}' -ErrorAction SilentlyContinue
    Get-ScheduledTask -TaskName '{name}' -ErrorAction SilentlyContinue
}}"
        ))
        .say(
            "It must print nothing. Never roll back with `netsh advfirewall import`: it replaces the whole policy, also \
             what others changed in the meantime.",
        );
}

/// netsh and schtasks are on every Windows since Vista; they stand here as comments, so that pasting runs one of the two.
fn netsh(order: &Order, document: &mut Document) {
    let name = order.name();
    let addresses = joined(&blocked(order), ",");
    document
        .begin(
            Step::Alternative,
            "all steps with netsh, on systems without these commands (Windows 7, Server 2008 R2)",
        )
        .say(
            "In a command prompt run as administrator. The guard goes by the clock of the host, without seconds; past \
             midnight it needs a date (/SD). It does not make up for a time that it slept through: look for the rule after \
             a restart. The first two must find no task and no rule:",
        )
        .write_as_comment(format!(
            "schtasks /Query /TN {name}\nnetsh advfirewall firewall show rule name=\"{name}\"\n\
             schtasks /Create /TN {name} /SC ONCE /ST <HH:MM-IN-{minutes}-MINUTES> /RU SYSTEM /RL HIGHEST /TR \"netsh \
             advfirewall firewall delete rule name={name}\"\n\
             netsh advfirewall firewall add rule name=\"{name}\" dir=in action=block protocol={protocol} \
             localport={port} enable=no && schtasks /Run /TN {name}\n\
             netsh advfirewall firewall show rule name=\"{name}\"\n\
             schtasks /Query /TN {name} /V /FO LIST",
            minutes = order.minutes(),
            protocol = protocol(order),
            port = order.port.number,
        ))
        .say(
            "That was the rehearsal. Go on only when the rule is gone again, and the task is ready, runs as SYSTEM, and has \
             the next run time that you gave:",
        )
        .write_as_comment(format!(
            "netsh advfirewall firewall add rule name=\"{name}\" dir=in action=block protocol={protocol} \
             localport={port} remoteip={addresses} profile=any enable=yes\n\
             netsh advfirewall firewall show rule name=\"{name}\" verbose\n\
             netsh advfirewall monitor show firewall rule name=\"{name}\"",
            protocol = protocol(order),
            port = order.port.number,
        ))
        .say("To confirm; when the rule is not shown the trial expired before you confirmed, and the port is OPEN:")
        .write_as_comment(format!(
            "schtasks /Delete /TN {name} /F && timeout /t 30 && netsh advfirewall firewall show rule name=\"{name}\""
        ))
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
        tests::{family, order, orders},
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
            let rule = apply.lines().find(|line| line.contains("-RemoteAddress")).unwrap();
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

    /// A guard that was never seen to work is none; what stops a module's command is `-ErrorAction` on the command.
    #[test]
    fn the_guard_is_rehearsed_before_the_rule_and_each_command_stops() {
        for port in ["tcp/54321", "udp/4800"] {
            let apply = write(Dialect::Windows, &order(port, &["10.7.20.0/24"], &[]))
                .unwrap()
                .text(Step::Apply);
            let at = |text: &str| apply.find(text).unwrap();
            assert!(at("Start-ScheduledTask") < at("did not remove the dummy"));
            assert!(
                at("did not remove the dummy") < at("NextRunTime")
                    && at("NextRunTime") < at("-RemoteAddress")
            );
            assert!(apply.contains("EndBoundary") && apply.contains("-AtStartup"));
            let commands = apply.lines().filter(|line| {
                let line = line.trim_start();
                line.starts_with("New-") || line.starts_with("Register-") || line.starts_with("Start-Sch")
            });
            for command in commands {
                assert!(command.contains("-ErrorAction Stop"), "{command}");
            }
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

    /// The command that the documents tell people to run on Windows.
    #[test]
    fn the_command_that_writes_the_rules_is_powershell_and_brings_all_that_is_read() {
        let document = include_str!("../../../../docs/reach.md");
        let (_, command) = document.split_once("```powershell\n").unwrap();
        let (command, _) = command.split_once("```").unwrap();
        assert_eq!(powershell_faults(command), Vec::<String>::new());
        for (list, properties) in [
            (
                "Profile",
                "DefaultInboundAction, AllowInboundRules, AllowLocalFirewallRules, DisabledInterfaceAliases",
            ),
            (
                "Rule",
                "InstanceID, DisplayName, Enabled, Profile, Direction, Action, Platform, Owner",
            ),
            (
                "PortFilter",
                "InstanceID, Protocol, LocalPort, RemotePort, DynamicTarget",
            ),
            ("AddressFilter", "InstanceID, LocalAddress, RemoteAddress"),
            ("ApplicationFilter", "InstanceID, Program, Package"),
            ("ServiceFilter", "InstanceID, Service"),
            ("InterfaceFilter", "InstanceID, InterfaceAlias"),
            ("InterfaceTypeFilter", "InstanceID, InterfaceType"),
            (
                "SecurityFilter",
                "Authentication, Encryption, OverrideBlockRules, LocalUser, RemoteUser, RemoteMachine",
            ),
        ] {
            let begin = format!("    NetFirewall{list} = @(Get-NetFirewall{list} @of ");
            let line = command.lines().find(|line| line.starts_with(&begin)).unwrap();
            assert!(line.contains(properties), "{line}");
        }
    }

    #[test]
    fn the_grammar_of_powershell_finds_what_is_none() {
        assert_eq!(powershell_faults("Get-Date | Out-Null\n"), Vec::<String>::new());
        assert!(!powershell_faults("New-NetFirewallRule -Name 'x\n").is_empty());
        assert!(!powershell_faults("& { if (1) { throw 'x' }\n").is_empty());
    }
}

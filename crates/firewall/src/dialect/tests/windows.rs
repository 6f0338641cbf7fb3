//! The rules that the texts for Windows make, by PowerShell and by netsh, put beside rules that are there already and read by
//! the model of Windows (`reach/windows.rs`).
//!
//! The words are those of New-NetFirewallRule (module NetSecurity) and of `netsh advfirewall firewall add rule`.

use std::net::IpAddr;

use proptest::{collection::vec, prelude::*};
use serde_json::{Value, json};

use super::{
    super::*,
    linux::{CASES, To, asked, orders, set, through},
    network,
};
use crate::reach::{Host, HostInterface, Passage, Question, Ranges, Ruleset, reach};

const PROFILES: [&str; 3] = ["Domain", "Private", "Public"];

/// A rule with the filters that New-NetFirewallRule gives it when nothing is said.
fn rule(name: &str, action: &str) -> Value {
    json!({"InstanceID": name, "Enabled": "True", "Profile": "Any", "Direction": "Inbound", "Action": action,
        "Platform": [], "Owner": null, "PrimaryStatus": "OK", "EnforcementStatus": "Full", "PolicyStoreSourceType": "Local",
        "Protocol": "Any", "LocalPort": "Any", "RemotePort": "Any", "DynamicTarget": "Any", "LocalAddress": "Any",
        "RemoteAddress": "Any", "Program": "Any", "Package": null, "Service": "Any", "InterfaceAlias": "Any",
        "InterfaceType": "Any", "Authentication": "NotRequired", "Encryption": "NotRequired", "OverrideBlockRules": false,
        "LocalUser": "Any", "RemoteUser": "Any", "RemoteMachine": "Any"})
}

/// All rules that a step of PowerShell makes. A word that it does not know fails.
fn by_powershell(text: &str) -> Vec<Value> {
    let mut rules = Vec::new();
    for line in text.lines().map(str::trim) {
        let Some(rest) = line.strip_prefix("New-NetFirewallRule ") else {
            let others = ["Get-NetFirewallRule ", "Remove-NetFirewallRule ", "#"];
            assert!(
                !line.contains("-NetFirewallRule") || others.iter().any(|other| line.contains(other)),
                "{line}"
            );
            continue;
        };
        let rest = rest.strip_suffix(" | Out-Null").unwrap_or(rest);
        let mut made = rule("", "");
        for parameter in rest.strip_prefix('-').unwrap().split(" -") {
            let (name, value) = parameter.split_once(' ').unwrap();
            let values: Vec<&str> = value.split(", ").map(|value| value.trim_matches('\'')).collect();
            let one = match values.as_slice() {
                [one] => json!(one),
                several => json!(several),
            };
            match name {
                "Name" => made["InstanceID"] = one,
                "Enabled" | "Profile" | "Direction" | "Action" | "Protocol" | "LocalPort"
                | "RemoteAddress" => made[name] = one,
                "DisplayName" | "Group" => {}
                "ErrorAction" => assert_eq!(value, "Stop"),
                _ => panic!("{parameter}"),
            }
        }
        rules.push(made);
    }
    rules
}

/// The same of the lines for netsh, which stand in comments.
fn by_netsh(text: &str) -> Vec<Value> {
    let mut rules = Vec::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("#   ")) {
        let Some(rest) = line.strip_prefix("netsh advfirewall firewall add rule ") else {
            assert!(!line.contains("add rule"), "{line}");
            continue;
        };
        let (rest, _) = rest.split_once(" && ").unwrap_or((rest, ""));
        let mut made = rule("", "");
        for parameter in rest.split(' ') {
            let (name, value) = parameter.split_once('=').unwrap();
            match (name, value) {
                // netsh gives a rule an id of its own; the name is what is shown.
                ("name", name) => {
                    made["InstanceID"] = json!(format!("{} {}", name.trim_matches('"'), rules.len()))
                }
                ("dir", "in") => {}
                ("action", "block") => made["Action"] = json!("Block"),
                ("protocol", "TCP" | "UDP") => made["Protocol"] = json!(value),
                ("localport", port) => made["LocalPort"] = json!(port.parse::<u16>().unwrap().to_string()),
                ("remoteip", list) => made["RemoteAddress"] = json!(list.split(',').collect::<Vec<_>>()),
                ("profile", "any") => {}
                ("enable", "yes") => made["Enabled"] = json!("True"),
                ("enable", "no") => made["Enabled"] = json!("False"),
                _ => panic!("{parameter}"),
            }
        }
        rules.push(made);
    }
    rules
}

/// Rules and profiles of a site.
#[derive(Debug, Clone)]
struct Site {
    rules: Vec<Value>,
    allows: [bool; 3],
}

impl Site {
    fn with(&self, more: &[Value]) -> Self {
        Self {
            rules: [self.rules.as_slice(), more].concat(),
            ..self.clone()
        }
    }

    /// Who gets through, for each profile.
    fn through(&self, to: To) -> [Ranges; 3] {
        let profile = |(name, allows): (&str, bool)| {
            json!({"Name": name, "Enabled": 1, "DefaultInboundAction": if allows { 2 } else { 4 }, "AllowInboundRules": 1,
                "AllowLocalFirewallRules": 1, "DisabledInterfaceAliases": ["NotConfigured"]})
        };
        let mut objects: Vec<Value> = PROFILES.into_iter().zip(self.allows).map(profile).collect();
        objects.extend(self.rules.iter().cloned());
        let mut ruleset = Ruleset::default();
        ruleset.add(&Value::from(objects).to_string(), None).unwrap();
        let networks = ["192.0.2.9/24", "2001:db8:7::9/64"]
            .map(|text| text.parse().unwrap())
            .to_vec();
        let host = Host {
            interfaces: vec![HostInterface {
                name: "Ethernet".into(),
                networks,
            }],
            ..Host::default()
        };
        let views = reach(&ruleset, &Question::new(to.port, host)).views;
        PROFILES.map(|profile| {
            let names = ["Ethernet".to_owned(), format!("Ethernet (profile {profile})")];
            let view = views
                .iter()
                .find(|view| {
                    view.is_ipv4 == to.address.is_ipv4()
                        && view.destinations.contains(&to.address)
                        && view.interfaces.iter().any(|name| names.contains(name))
                })
                .unwrap();
            assert!(
                view.parts.iter().all(|part| part.passage != Passage::Unknown),
                "{view:#?}"
            );
            set(&view.networks(Passage::Through), to.family())
        })
    }
}

fn site_rule() -> impl Strategy<Value = Value> {
    let from = prop_oneof![
        1 => Just(json!("Any")),
        3 => vec(network(), 1..4).prop_map(|networks| {
            json!(networks.iter().map(ToString::to_string).collect::<Vec<_>>())
        }),
    ];
    let protocol = prop_oneof![Just("Any"), Just("TCP"), Just("UDP")];
    let ports = (any::<u16>(), any::<u16>()).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b)));
    (
        any::<bool>(),
        0..8_u8,
        from,
        protocol,
        proptest::option::of(ports),
        any::<u32>(),
    )
        .prop_map(|(allow, profiles, from, protocol, ports, name)| {
            let mut rule = rule(&format!("site-{name}"), if allow { "Allow" } else { "Block" });
            rule["Profile"] = json!(profiles);
            rule["RemoteAddress"] = from;
            rule["Protocol"] = json!(protocol);
            if let Some(ports) = ports.filter(|_| protocol != "Any") {
                rule["LocalPort"] = json!(ports);
            }
            rule
        })
}

fn sites() -> impl Strategy<Value = Site> {
    (vec(site_rule(), 0..5), any::<[bool; 3]>()).prop_map(|(mut rules, allows)| {
        // Of one name there is one rule.
        for (number, rule) in rules.iter_mut().enumerate() {
            rule["InstanceID"] = json!(format!("site-{number}"));
        }
        // A host without any rule does not exist, and is not concluded.
        rules.push(rule("icmp", "Allow"));
        if let Some(last) = rules.last_mut() {
            last["Protocol"] = json!("ICMPv4");
        }
        Site { rules, allows }
    })
}

fn compare(order: &Order, site: &Site, made: &[Value]) -> Result<(), TestCaseError> {
    // The dummy of the rehearsal is there as well: it is switched off.
    prop_assert_eq!(made.len(), 2);
    let after = site.with(made);
    let (closed, others) = asked(order);
    for to in closed {
        let linux = through(order, to);
        let expected = site.through(to).map(|before| before.intersect(&linux));
        prop_assert_eq!(after.through(to), expected, "{:?}\n{:#?}", to, made);
    }
    for to in others {
        prop_assert_eq!(after.through(to), site.through(to), "{:?}\n{:#?}", to, made);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(CASES))]
    #[test]
    fn powershell_lets_through_what_the_linux_rule_does(order in orders(Just(Vec::<IpAddr>::new())), site in sites()) {
        let Ok(document) = write(Dialect::Windows, &order) else { return Ok(()) };
        compare(&order, &site, &by_powershell(&document.text(Step::Apply)))?;
    }

    #[test]
    fn netsh_lets_through_what_the_linux_rule_does(order in orders(Just(Vec::<IpAddr>::new())), site in sites()) {
        let Ok(document) = write(Dialect::Windows, &order) else { return Ok(()) };
        compare(&order, &site, &by_netsh(&document.text(Step::Alternative)))?;
    }
}

/// The trap of the text: an allow for some and a block for everybody shut out everybody.
#[test]
fn an_allow_beside_a_block_of_everybody_lets_nobody_through() {
    let order = super::order("tcp/4840", &["10.7.20.0/24"], &[]);
    let naive = by_powershell(
        "New-NetFirewallRule -Name 'a' -Enabled True -Direction Inbound -Action Allow -Protocol TCP -LocalPort 4840 -RemoteAddress '10.7.20.0/24'\n\
         New-NetFirewallRule -Name 'b' -Enabled True -Direction Inbound -Action Block -Protocol TCP -LocalPort 4840\n",
    );
    let site = Site {
        rules: vec![],
        allows: [true; 3],
    };
    let (closed, _) = asked(&order);
    assert!(
        closed
            .into_iter()
            .all(|to| site.with(&naive).through(to).iter().all(Ranges::is_empty))
    );
}

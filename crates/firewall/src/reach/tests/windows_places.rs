//! Rules of Windows: profiles, interfaces and local networks, each case with its answer worked out by hand.

use serde_json::{Value, json};

use super::{
    windows::{of, profile, profiles, rule, text, with},
    *,
};
use Passage::{Blocked, Through, Unknown};

#[test]
fn the_settings_of_a_profile_decide_what_no_rule_does() {
    let allow = rule("a", "Allow", json!("10.7.20.0/24"));
    let block = rule("b", "Block", json!("10.7.66.0/24"));
    let public = |settings: &[(&str, Value)]| {
        let mut all = profiles();
        for (property, value) in settings {
            all[2][*property] = value.clone();
        }
        let answer = ask(
            &[&text(&all, &[allow.clone(), block.clone()])],
            "tcp/4840",
            Host::default(),
        );
        let same = answer
            .views
            .iter()
            .any(|view| view.interfaces.iter().any(|name| name == "any other"));
        let name = if same {
            "any other"
        } else {
            "any other (profile Public)"
        };
        let view = view(&answer, true, name);
        (networks(view, Through), networks(view, Unknown))
    };
    let nobody = String::new;
    let (all, own) = (|| "0.0.0.0/0".to_owned(), || "10.7.20.0/24".to_owned());
    assert_eq!(public(&[]), (own(), nobody()));
    assert_eq!(public(&[("DefaultInboundAction", json!(0))]), (own(), nobody()));
    assert_eq!(
        public(&[("DefaultInboundAction", json!("NotConfigured"))]),
        (own(), nobody())
    );
    assert_eq!(public(&[("Enabled", json!(0))]), (all(), nobody()));
    assert_eq!(
        public(&[("AllowInboundRules", json!("False"))]),
        (nobody(), nobody())
    );
    // Where the default lets in, it is not known whether all is blocked or only the rule that allows does not count.
    let (through, unknown) = public(&[
        ("AllowInboundRules", json!("False")),
        ("DefaultInboundAction", json!("Allow")),
    ]);
    assert!(through.is_empty() && unknown.starts_with("0.0.0.0/5") && !unknown.contains("10.7.66.0"));
    // A local rule does not count, be it an allow or a block, when only group policies do.
    assert_eq!(
        public(&[("AllowLocalFirewallRules", json!("False"))]),
        (nobody(), nobody())
    );
    assert_eq!(
        public(&[
            ("AllowLocalFirewallRules", json!(0)),
            ("DefaultInboundAction", json!(2))
        ]),
        (all(), nobody())
    );
    // Let in by default: all but the block.
    let (through, unknown) = public(&[("DefaultInboundAction", json!("Allow"))]);
    assert!(through.starts_with("0.0.0.0/5 8.0.0.0/7 10.0.0.0/14 ") && !through.contains("10.7.66.0"));
    assert_eq!(unknown, "");
    // A number that nobody knows: who is let in or blocked by a rule is concluded, the others are not.
    let (through, unknown) = public(&[("DefaultInboundAction", json!(9))]);
    assert!(through == own() && !unknown.contains("10.7.66.0") && unknown.starts_with("0.0.0.0/5"));
    // Not known whether it is on: who is let in either way is concluded.
    let (through, unknown) = public(&[("Enabled", json!(2))]);
    assert!(through == own() && unknown.starts_with("0.0.0.0/5"));
    let (through, unknown) = public(&[("AllowInboundRules", json!({}))]);
    assert_eq!((through, unknown), (nobody(), own()));
    // An interface without a firewall, whatever its case.
    let mut exempt = profiles();
    exempt[2]["DisabledInterfaceAliases"] = json!(["ETHERNET 2"]);
    let answer = ask(
        &[&text(&exempt, std::slice::from_ref(&allow))],
        "tcp/4840",
        host(&["Ethernet", "Ethernet 2"]),
    );
    assert_eq!(
        networks(view(&answer, true, "Ethernet 2 (profile Public)"), Through),
        "0.0.0.0/0"
    );
    assert_eq!(
        networks(view(&answer, true, "Ethernet (profile Public)"), Through),
        own()
    );
    // Without the profiles, or with two of one name, nothing is concluded.
    let alone = ask(
        &[&text(&[], std::slice::from_ref(&allow))],
        "tcp/4840",
        Host::default(),
    );
    assert_eq!(networks(view(&alone, true, "any other"), Unknown), "0.0.0.0/0");
    let twice = [profiles(), vec![with(profile("Public"), "Enabled", json!(0))]].concat();
    let twice = ask(&[&text(&twice, &[allow])], "tcp/4840", Host::default());
    assert_eq!(
        networks(view(&twice, true, "any other (profile Public)"), Unknown),
        "0.0.0.0/0"
    );
    // Without rules as well.
    let none = ask(&[&text(&profiles(), &[])], "tcp/4840", Host::default());
    assert_eq!(networks(view(&none, true, "any other"), Unknown), "0.0.0.0/0");
}

#[test]
fn local_subnet_is_the_network_of_the_interface() {
    // By eth0: 10.7.10.0/24 for certain; 192.0.2.0/24 of the other interface perhaps; all others not. By eth1 the reverse. By
    // another interface nothing is known. IPv6: of eth0 2001:db8:7::/64 for certain, and the addresses of the link perhaps;
    // of eth1, of which no address is known, nothing.
    let allow = rule("a", "Allow", json!("LocalSubnet"));
    let here = || host(&["eth0=10.7.10.10/24,2001:db8:7::1/64", "eth1=192.0.2.1/24"]);
    let answer = of(std::slice::from_ref(&allow), here());
    let by = |name: &str, is_ipv4| view(&answer, is_ipv4, name);
    assert_eq!(networks(by("eth0", true), Through), "10.7.10.0/24");
    assert_eq!(networks(by("eth0", true), Unknown), "192.0.2.0/24");
    assert_eq!(networks(by("eth1", true), Through), "192.0.2.0/24");
    assert_eq!(networks(by("any other", true), Unknown), "0.0.0.0/0");
    assert_eq!(networks(by("eth0", false), Through), "2001:db8:7::/64");
    assert_eq!(networks(by("eth0", false), Unknown), "fe80::/10");
    assert_eq!(networks(by("eth1", false), Unknown), "::/0");
    let v4_only = of(&[rule("a", "Allow", json!("LocalSubnet4"))], here());
    assert_eq!(networks(view(&v4_only, false, "eth0"), Blocked), "::/0");
    // A block of the same: who is not of the network is let in, who is of it is not.
    let block = rule("b", "Block", json!("LocalSubnet"));
    let answer = of(&[block, rule("a", "Allow", json!("10.7.0.0/16"))], here());
    assert_eq!(
        because(view(&answer, true, "eth0"), "10.7.10.1"),
        "Blocked: windows / inbound / b"
    );
    assert_eq!(
        because(view(&answer, true, "eth0"), "10.7.11.1"),
        "Through: windows / inbound / a"
    );
}

#[test]
fn interfaces_local_addresses_and_source_ports_are_followed() {
    let by = with(
        rule("a", "Allow", json!("10.7.0.0/16")),
        "InterfaceAlias",
        json!(["ethernet 2"]),
    );
    let to = with(
        rule("b", "Allow", json!("10.8.0.0/16")),
        "LocalAddress",
        json!("10.7.10.10"),
    );
    let from = with(
        rule("c", "Allow", json!("10.9.0.0/16")),
        "RemotePort",
        json!("1024-65535"),
    );
    let answer = of(
        &[by, to, from],
        host(&["Ethernet 2=10.7.10.10/24,10.7.10.11/24", "Ethernet=192.0.2.1/24"]),
    );
    let found = |name: &str, address: &str| {
        let address: std::net::IpAddr = address.parse().unwrap();
        let here = |view: &&View| {
            view.is_ipv4 && view.interfaces.iter().any(|n| n == name) && view.destinations.contains(&address)
        };
        answer.views.iter().find(here).unwrap()
    };
    let (first, second) = (
        found("Ethernet 2", "10.7.10.10"),
        found("Ethernet 2", "10.7.10.11"),
    );
    assert_eq!(networks(first, Through), "10.7.0.0/16 10.8.0.0/16");
    assert_eq!(networks(second, Through), "10.7.0.0/16");
    assert_eq!(networks(found("Ethernet", "10.7.10.10"), Through), "10.8.0.0/16");
    let source = "10.9.1.1".parse().unwrap();
    assert_eq!(first.of(source, 1024).unwrap().passage, Through);
    assert_eq!(first.of(source, 1023).unwrap().passage, Blocked);
    // What is passed on to others is not seen by these rules.
    let mut rules = Ruleset::default();
    rules
        .add(&text(&profiles(), &[rule("a", "Allow", json!("Any"))]), None)
        .unwrap();
    let mut question = Question::new("tcp/4840".parse().unwrap(), Host::default());
    (question.forwarded, question.destinations) = (true, vec!["10.7.10.10".parse().unwrap()]);
    let answer = reach(&rules, &question);
    assert_eq!(networks(view(&answer, true, "any other"), Unknown), "0.0.0.0/0");
}

/// As the commands give them without `Select-Object`: the properties of the classes beside those of the module, and what the
/// format adds (MSFT_NetFirewallRule, MSFT_NetProtocolPortFilter and the other classes of the WMI provider).
#[test]
fn whole_objects_are_read_like_those_with_chosen_properties() {
    let of_format = |mut object: Value| {
        for (property, value) in [
            ("InstanceID", json!("opcua")),
            ("Caption", Value::Null),
            ("Description", json!("")),
            ("IsNegated", Value::Null),
            ("CreationClassName", json!("MSFT|FW|FirewallRule|opcua")),
            ("StatusCode", json!(65536)),
            ("PSComputerName", Value::Null),
            (
                "CimClass",
                json!({"CimSuperClassName": "CIM_PolicyRule", "CimClassProperties": "Action Enabled"}),
            ),
            ("CimInstanceProperties", json!(["Action = 2", "Enabled = 1"])),
        ] {
            object[property] = value;
        }
        object
    };
    let objects = [
        json!({"Name": "opcua", "ID": "opcua", "DisplayName": "OPC UA", "Group": null, "Enabled": 1, "Profile": 0,
            "Platform": [], "Direction": 1, "Action": 2, "EdgeTraversalPolicy": 0, "LSM": false, "PrimaryStatus": 1,
            "Status": "The rule was parsed successfully from the store. (65536)", "EnforcementStatus": "NotApplicable",
            "PolicyStoreSourceType": 1, "Owner": null, "Platforms": [], "PolicyStoreSource": "PersistentStore", "Profiles": 0,
            "RemoteDynamicKeywordAddresses": [], "PolicyAppId": "", "PackageFamilyName": ""}),
        json!({"Protocol": "TCP", "LocalPort": ["4840", "4843"], "RemotePort": "Any", "IcmpType": "Any",
            "DynamicTarget": 0, "DynamicTransport": 0}),
        json!({"LocalAddress": "Any", "RemoteAddress": "10.7.20.0/255.255.255.0", "LocalIP": "Any",
            "RemoteIP": "10.7.20.0/255.255.255.0"}),
        json!({"Program": "Any", "AppPath": null, "Package": null}),
        json!({"Service": "Any", "ServiceName": null}),
        json!({"InterfaceAlias": "Any"}),
        json!({"InterfaceType": 0}),
        json!({"Authentication": 0, "Encryption": 0, "OverrideBlockRules": false, "LocalUser": "Any", "RemoteUser": "Any",
            "RemoteMachine": "Any", "LocalUsers": null, "RemoteUsers": null, "RemoteMachines": null}),
    ];
    let texts: Vec<String> = objects
        .into_iter()
        .map(|object| of_format(object).to_string())
        .collect();
    let mut texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let profiles = Value::from(profiles()).to_string();
    texts.push(&profiles);
    let answer = ask(&texts, "tcp/4843", Host::default());
    assert_eq!(
        networks(view(&answer, true, "any other"), Through),
        "10.7.20.0/24"
    );
    assert_eq!(networks(view(&answer, false, "any other"), Blocked), "::/0");
}

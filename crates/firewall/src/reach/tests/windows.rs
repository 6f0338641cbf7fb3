//! Rules of Windows, each case with its answer worked out by hand.

use serde_json::{Value, json};

use super::{super::ReachError, *};
use Passage::{Blocked, Through, Unknown};

/// A profile that is on and blocks by default, as PowerShell 7 prints it.
pub(super) fn profile(name: &str) -> Value {
    json!({"Name": name, "Enabled": "True", "DefaultInboundAction": "Block", "AllowInboundRules": "True",
        "AllowLocalFirewallRules": "True", "DisabledInterfaceAliases": ["NotConfigured"]})
}

/// One rule for TCP 4840 of everybody, with its filters in the same object.
pub(super) fn rule(id: &str, action: &str, remote: Value) -> Value {
    json!({"InstanceID": id, "Enabled": "True", "Profile": "Any", "Direction": "Inbound", "Action": action,
        "Platform": [], "Owner": null, "PrimaryStatus": "OK", "EnforcementStatus": "NotApplicable",
        "PolicyStoreSourceType": "Local", "Protocol": "TCP", "LocalPort": "4840", "RemotePort": "Any",
        "DynamicTarget": "Any", "LocalAddress": "Any", "RemoteAddress": remote, "Program": "Any", "Package": null,
        "Service": "Any", "InterfaceAlias": "Any", "InterfaceType": "Any", "Authentication": "NotRequired",
        "Encryption": "NotRequired", "OverrideBlockRules": false, "LocalUser": "Any", "RemoteUser": "Any",
        "RemoteMachine": "Any"})
}

pub(super) fn with(mut object: Value, property: &str, value: Value) -> Value {
    object[property] = value;
    object
}

fn without(mut object: Value, property: &str) -> Value {
    object.as_object_mut().unwrap().remove(property).unwrap();
    object
}

pub(super) fn text(profiles: &[Value], rules: &[Value]) -> String {
    Value::from([profiles, rules].concat()).to_string()
}

pub(super) fn profiles() -> Vec<Value> {
    ["Domain", "Private", "Public"].map(profile).to_vec()
}

/// What these rules say where the profiles are ordinary.
pub(super) fn of(rules: &[Value], host: Host) -> Answer {
    ask(&[&text(&profiles(), rules)], "tcp/4840", host)
}

fn v4(rules: &[Value], passage: Passage) -> String {
    let answer = of(rules, Host::default());
    networks(view(&answer, true, "any other"), passage)
}

#[test]
fn numbers_of_powershell_5_are_read_for_each_profile() {
    // Domain and Private (3): 10.7.0.0/16 and 2001:db8:7::/48 are let in, but a block wins: not 10.7.66.0/24. In Domain the
    // rule of the historian, of one program, makes a difference for 10.8.1.0/24 only. Public: nobody. What is switched off
    // (2) or outbound (2) says nothing.
    let file = include_str!("practice/windows-5.1.json");
    let answer = ask(&[file], "tcp/4840", Host::default());
    let domain = view(&answer, true, "any other (profile Domain)");
    let private = view(&answer, true, "any other (profile Private)");
    let public = view(&answer, true, "any other (profile Public)");
    for view in [domain, private] {
        let through = view.networks(Through);
        let inside = |address: &str| {
            through
                .iter()
                .any(|net| net.contains(&address.parse::<std::net::IpAddr>().unwrap()))
        };
        assert!(inside("10.7.0.0") && inside("10.7.65.255") && inside("10.7.67.0") && inside("10.7.255.255"));
        assert!(
            !inside("10.7.66.0") && !inside("10.7.66.255") && !inside("10.8.0.0") && !inside("10.6.255.255")
        );
    }
    assert_eq!(networks(domain, Unknown), "10.8.1.0/24");
    assert_eq!(networks(private, Unknown), "");
    assert_eq!(networks(public, Blocked), "0.0.0.0/0");
    assert_eq!(
        because(private, "10.7.1.1"),
        "Through: windows / inbound / OPC UA (opcua-in)"
    );
    assert_eq!(
        because(private, "10.7.66.1"),
        "Blocked: windows / inbound / no guests (guests-out)"
    );
    assert_eq!(because(public, "10.7.1.1"), "Blocked: windows / inbound / policy");
    assert_eq!(
        because(domain, "10.8.1.1"),
        "Unknown: windows / inbound / historian: which program listens (Program, Package)"
    );
    // IPv6 is the same in Domain and Private, so that they have one view.
    let v6 = view(&answer, false, "any other (profile Domain)");
    assert_eq!(
        v6.interfaces,
        ["any other (profile Domain)", "any other (profile Private)"]
    );
    assert_eq!(networks(v6, Through), "2001:db8:7::/48");
    // 49325 is in the range of the first rule, 49331 is not. UDP: no rule.
    let range = ask(&[file], "tcp/49325", Host::default());
    assert_eq!(
        networks(view(&range, false, "any other (profile Private)"), Through),
        "2001:db8:7::/48"
    );
    let beyond = ask(&[file], "tcp/49331", Host::default());
    assert_eq!(
        networks(view(&beyond, true, "any other (profile Private)"), Blocked),
        "0.0.0.0/0"
    );
    let udp = ask(&[file], "udp/4840", Host::default());
    assert_eq!(networks(view(&udp, true, "any other"), Blocked), "0.0.0.0/0");
}

#[test]
fn separate_files_say_the_same_as_one() {
    let file: Value = serde_json::from_str(include_str!("practice/windows-5.1.json")).unwrap();
    let parts: Vec<String> = file.as_object().unwrap().values().map(Value::to_string).collect();
    let texts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let whole = ask(
        &[include_str!("practice/windows-5.1.json")],
        "tcp/4840",
        Host::default(),
    );
    assert_eq!(ask(&texts, "tcp/4840", Host::default()), whole);
    // Whatever is brought twice says nothing new.
    let twice: Vec<&str> = texts.iter().chain(&texts).copied().collect();
    assert_eq!(ask(&twice, "tcp/4840", Host::default()), whole);
    // Without one of them nothing wrong is said: who was concluded has the same answer, or none.
    for (left_out, name_of_part) in parts.iter().enumerate() {
        let mut fewer = texts.clone();
        fewer.remove(left_out);
        let answer = ask(&fewer, "tcp/4840", Host::default());
        for view in &answer.views {
            for part in view.parts.iter().filter(|part| part.passage != Unknown) {
                let source = part.sources[0].addr();
                let name = &view.interfaces[0];
                let same = whole.views.iter().find(|other| {
                    other.is_ipv4 == view.is_ipv4
                        && (other.interfaces.contains(name)
                            || other.interfaces.iter().any(|other| other.starts_with(name)))
                });
                let expected = same.unwrap().of(source, 50_000).unwrap().passage;
                assert_eq!(part.passage, expected, "without {}: {source}", name_of_part);
            }
        }
    }
}

#[test]
fn a_block_wins_over_an_allow_whatever_their_order() {
    let allow = rule("a", "Allow", json!("10.7.0.0/16"));
    let block = rule("b", "Block", json!(["10.7.20.0/24", "10.9.0.0/16"]));
    // 10.7.0.0/16 without 10.7.20.0/24: .0.0/20 .16.0/22 .21.0/24 .22.0/23 .24.0/21 .32.0/19 .64.0/18 .128.0/17.
    let through = "10.7.0.0/20 10.7.16.0/22 10.7.21.0/24 10.7.22.0/23 10.7.24.0/21 10.7.32.0/19 10.7.64.0/18 10.7.128.0/17";
    assert_eq!(v4(&[allow.clone(), block.clone()], Through), through);
    assert_eq!(v4(&[block, allow], Through), through);
}

#[test]
fn what_overrides_blocks_or_asks_for_authentication_is_not_concluded_where_it_matters() {
    // Blocked otherwise: 10.7.20.0/24 by the rule, the rest by default. With the override: not known for 10.7.0.0/16.
    let block = rule("b", "Block", json!("10.7.20.0/24"));
    let over = with(
        rule("o", "Allow", json!("10.7.0.0/16")),
        "OverrideBlockRules",
        json!(true),
    );
    let over = with(over, "Authentication", json!("Required"));
    assert_eq!(v4(&[block.clone(), over.clone()], Unknown), "10.7.0.0/16");
    assert_eq!(v4(&[block.clone(), over], Through), "");
    let bypass = with(rule("o", "Allow", json!("10.7.0.0/16")), "Action", json!(3));
    assert_eq!(v4(&[block.clone(), bypass], Unknown), "10.7.0.0/16");
    // An allow for those who authenticate does not override the block.
    let required = with(
        rule("o", "Allow", json!("10.7.20.0/23")),
        "Authentication",
        json!(1),
    );
    assert_eq!(v4(&[block.clone(), required], Unknown), "10.7.21.0/24");
    // Where everybody is let in anyway, it makes no difference.
    let everybody = rule("e", "Allow", json!("Any"));
    let required = with(
        rule("o", "Allow", json!("10.7.20.0/23")),
        "Authentication",
        json!("Required"),
    );
    assert_eq!(v4(&[everybody, required], Unknown), "");
}

#[test]
fn a_rule_of_a_program_or_a_service_is_not_concluded_where_it_matters() {
    let everybody = rule("e", "Allow", json!("10.7.0.0/16"));
    for (property, value) in [
        ("Program", json!("C:\\plc\\server.exe")),
        ("Program", json!("System")),
        ("Package", json!("S-1-15-2-1")),
        ("Service", json!("TermService")),
        ("Service", json!("*")),
        ("InterfaceType", json!("Wireless")),
        ("InterfaceType", json!(4)),
        ("LocalUser", json!("D:(A;;CC;;;S-1-5-18)")),
        ("Platform", json!(["6.1+"])),
        ("Owner", json!("S-1-5-21-1")),
        ("EnforcementStatus", json!([16])),
        ("EnforcementStatus", json!("RemoteAddressResolutionEmpty")),
        ("PrimaryStatus", json!(3)),
        ("DynamicTarget", json!("WifiDirect")),
        ("RemoteDynamicKeywordAddresses", json!(["{1}"])),
        ("LocalAddress", json!("LocalSubnet")),
    ] {
        let allow = with(rule("a", "Allow", json!("10.7.20.0/23")), property, value.clone());
        assert_eq!(
            v4(std::slice::from_ref(&allow), Unknown),
            "10.7.20.0/23",
            "{property} {value}"
        );
        assert_eq!(v4(&[allow, everybody.clone()], Unknown), "", "{property} {value}");
        let block = with(rule("b", "Block", json!("10.7.20.0/23")), property, value.clone());
        assert_eq!(
            v4(&[block.clone(), everybody.clone()], Unknown),
            "10.7.20.0/23",
            "{property} {value}"
        );
        assert_eq!(v4(&[block], Unknown), "", "{property} {value}");
    }
}

#[test]
fn what_is_missing_or_not_known_is_never_a_yes_or_a_no() {
    let allow = rule("a", "Allow", json!("10.7.20.0/24"));
    for property in [
        "Platform",
        "Owner",
        "Enabled",
        "Profile",
        "Protocol",
        "LocalPort",
        "RemotePort",
        "DynamicTarget",
        "LocalAddress",
        "Program",
        "Package",
        "Service",
        "InterfaceAlias",
        "InterfaceType",
        "Authentication",
        "Encryption",
        "OverrideBlockRules",
        "RemoteUser",
    ] {
        for rule in [
            without(allow.clone(), property),
            with(allow.clone(), property, json!(77)),
            with(allow.clone(), property, json!({})),
        ] {
            // 77 is an interface, and a port and a protocol that nobody asked for.
            let other = [json!(77), json!("77")].contains(&rule[property])
                && ["InterfaceAlias", "LocalPort", "Protocol", "RemotePort"].contains(&property);
            if !other {
                assert_eq!(v4(&[rule], Unknown), "10.7.20.0/24", "{property}");
            }
        }
    }
    // Without the addresses it is everybody; with an action that nobody knows, whatever the other rules say.
    assert_eq!(
        v4(&[with(allow.clone(), "RemoteAddress", json!(null))], Unknown),
        "0.0.0.0/0"
    );
    let everybody = rule("e", "Allow", json!("10.7.0.0/16"));
    for action in [json!(0), json!(7), json!("Portal")] {
        assert_eq!(
            v4(
                &[with(allow.clone(), "Action", action), everybody.clone()],
                Unknown
            ),
            "10.7.20.0/24"
        );
    }
    for (word, why) in [
        ("DNS", "DNS"),
        ("LocalSubnet", "LocalSubnet"),
        ("10.7.0.0/8/8", "10.7.0.0/8/8"),
    ] {
        let answer = of(
            &[rule("a", "Allow", json!([word, "10.7.20.0/24"]))],
            Host::default(),
        );
        let view = view(&answer, true, "any other");
        assert_eq!(networks(view, Through), "10.7.20.0/24");
        assert!(
            because(view, "192.0.2.1").contains(&format!("which addresses `{why}` are"))
                || because(view, "192.0.2.1").contains("which addresses `LocalSubnet` is here")
        );
    }
    for word in [
        "RPC",
        "RPCEPMap",
        "IPHTTPSIn",
        "PlayToDiscovery",
        "Teredo",
        "4840,4841",
    ] {
        assert_eq!(
            v4(&[with(allow.clone(), "LocalPort", json!([word]))], Unknown),
            "10.7.20.0/24",
            "{word}"
        );
        assert_eq!(
            v4(
                &[with(allow.clone(), "LocalPort", json!([word, "4840"]))],
                Through
            ),
            "10.7.20.0/24",
            "{word}"
        );
    }
}

#[test]
fn two_things_said_of_one_rule_are_not_concluded() {
    let one = rule("a", "Allow", json!("10.7.20.0/24"));
    let ports = json!({"InstanceID": "a", "Protocol": "TCP", "LocalPort": "80", "RemotePort": "Any", "DynamicTarget": "Any"});
    assert_eq!(v4(&[one.clone(), ports], Unknown), "10.7.20.0/24");
    assert_eq!(v4(&[one], Through), "10.7.20.0/24");
}

fn error(text: &str) -> (usize, usize, String) {
    match Ruleset::default().add(text, None) {
        Err(ReachError::Text { line, column, why }) => (line, column, why),
        other => panic!("{text:?}: {other:?}"),
    }
}

#[test]
fn a_text_that_is_damaged_is_an_error_with_its_place() {
    const NO_KIND: &str = "an object that is no rule, no filter and no profile of the Windows firewall";
    assert_eq!(
        error("[\n{\"Direction\": 1, \"Act"),
        (2, 21, "the text ends too early".into())
    );
    assert_eq!(error("[\n{\"Direction\": 1,}]").0, 2);
    assert_eq!(error("[\n{\"InstanceID\": \"a\"}]"), (2, 19, NO_KIND.into()));
    assert_eq!(
        error("[\n\n7]"),
        (3, 1, "neither an object nor a list of objects".into())
    );
    assert_eq!(
        error("{\"NetFirewallRule\": [\n{\"Direction\": 1, \"Action\": 2}]}"),
        (2, 29, "a rule or a filter without its InstanceID".into())
    );
    assert_eq!(
        error("{\"NetFirewallRule\": [\n{\"InstanceID\": \"a\"}]}"),
        (2, 19, NO_KIND.into())
    );
    assert_eq!(error("[] []").0, 1);
    assert_eq!(
        error("[\n{\"Direction\": 1, \"Action\": 2, \"Action\": 4, \"InstanceID\": \"a\"}]").2,
        "a property that stands there twice"
    );
    // What was cut is read or refused, never more than that.
    let file = include_str!("practice/windows-5.1.json");
    for (end, _) in file.char_indices().step_by(7) {
        let _ = Ruleset::default().add(&file[..end], None);
    }
}

#[test]
fn rules_of_two_systems_are_not_of_one_host() {
    let windows = text(&profiles(), &[]);
    let linux = "*filter\n:INPUT DROP [0:0]\nCOMMIT\n";
    let mut rules = Ruleset::default();
    rules.add(linux, None).unwrap();
    assert_eq!(rules.add(&windows, None), Err(ReachError::Mixed));
    let mut rules = Ruleset::default();
    rules.add(&windows, None).unwrap();
    assert_eq!(rules.add(linux, None), Err(ReachError::Mixed));
}

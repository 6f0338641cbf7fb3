//! What `nft` lists in a way that says less, or something else, than it does. Each was held against a kernel.

use portcullis_model::Port;

use crate::reach::{Host, Passage, Question, Ruleset, reach};

/// How three sources are concluded, by one chain at the hook `input`.
fn concluded(set: &str, policy: &str, rule: &str) -> Vec<Passage> {
    let listed = format!(
        r#"{{"nftables":[{{"table":{{"family":"inet","name":"f","handle":1}}}}{set},{{"chain":{{"family":"inet","table":"f","name":"c","handle":2,"type":"filter","hook":"input","prio":0,"policy":"{policy}"}}}},{{"rule":{{"family":"inet","table":"f","chain":"c","handle":9,"expr":[{rule}]}}}}]}}"#
    );
    let mut ruleset = Ruleset::default();
    ruleset.add(&listed, None).unwrap();
    let views = reach(&ruleset, &Question::new(Port::tcp(80), Host::default())).views;
    let of = |source: &str| {
        let source = source.parse().unwrap();
        let view = views
            .iter()
            .find(|view| view.is_ipv4)
            .unwrap()
            .within(&[source], true);
        view.parts.first().unwrap().passage
    };
    ["10.0.0.2/32", "10.0.0.5/32", "10.0.0.9/32"].map(of).to_vec()
}

const SADDR: &str = r#"{"payload":{"protocol":"ip","field":"saddr"}}"#;
const MAP: &str =
    r#"{"map":{"key":{"payload":{"protocol":"ip","field":"saddr"}},"data":{"set":[["10.0.0.5",1]]}}}"#;

#[test]
fn a_rule_that_sets_what_a_map_may_lack_may_end_there() {
    for setting in [
        format!(r#"{{"mangle":{{"key":{{"meta":{{"key":"priority"}}}},"value":{MAP}}}}}"#),
        format!(r#"{{"counter":{MAP}}}"#),
    ] {
        for (verdict, policy) in [("drop", "accept"), ("accept", "drop")] {
            let rule = format!(r#"{setting},{{"{verdict}":null}}"#);
            assert_eq!(concluded("", policy, &rule), [Passage::Unknown; 3], "{rule}");
        }
    }
}

#[test]
fn a_rule_that_sets_a_mark_by_a_map_ends_for_those_who_are_not_in_it() {
    for key in ["meta", "ct"] {
        let rule =
            format!(r#"{{"mangle":{{"key":{{"{key}":{{"key":"mark"}}}},"value":{MAP}}}}},{{"drop":null}}"#);
        let expected = [Passage::Through, Passage::Blocked, Passage::Through];
        assert_eq!(concluded("", "accept", &rule), expected, "{rule}");
    }
}

#[test]
fn a_range_the_wrong_way_round_concludes_nothing() {
    for operator in ["==", "!="] {
        let rule = format!(
            r#"{{"match":{{"op":"{operator}","left":{SADDR},"right":{{"range":["10.0.0.6","10.0.0.2"]}}}}}},{{"accept":null}}"#
        );
        assert_eq!(concluded("", "drop", &rule), [Passage::Unknown; 3], "{operator}");
    }
}

#[test]
fn elements_with_a_quota_conclude_nothing() {
    let rule = format!(r#"{{"match":{{"op":"==","left":{SADDR},"right":"@m"}}}},{{"drop":null}}"#);
    let set = |further: &str, element: &str| {
        format!(
            r#",{{"set":{{"family":"inet","name":"m","table":"f","type":"ipv4_addr","handle":5{further},"elem":[{element}]}}}}"#
        )
    };
    let of_set = set(
        r#","stmt":[{"quota":{"val":1,"val_unit":"bytes"}}]"#,
        r#""10.0.0.5""#,
    );
    let of_element = set("", r#"{"elem":{"val":"10.0.0.5","quota":{"val":1}}}"#);
    for set in [of_set, of_element] {
        assert_eq!(concluded(&set, "accept", &rule)[1], Passage::Unknown, "{set}");
    }
    let counted = set(
        r#","stmt":[{"counter":null}]"#,
        r#"{"elem":{"val":"10.0.0.5","counter":{"packets":1,"bytes":1}}}"#,
    );
    assert_eq!(
        concluded(&counted, "accept", &rule),
        [Passage::Through, Passage::Blocked, Passage::Through]
    );
}

#[test]
fn a_table_that_may_be_dormant_concludes_nothing() {
    let listed = r#"{"nftables":[{"table":{"family":"inet","name":"f","handle":1,"flags":"f"}},{"chain":{"family":"inet","table":"f","name":"c","handle":2,"type":"filter","hook":"input","prio":0,"policy":"drop"}}]}"#;
    let mut ruleset = Ruleset::default();
    ruleset.add(listed, None).unwrap();
    let views = reach(&ruleset, &Question::new(Port::tcp(80), Host::default())).views;
    let parts: Vec<_> = views.iter().flat_map(|view| &view.parts).collect();
    assert!(!parts.is_empty());
    assert!(parts.iter().all(|part| part.passage == Passage::Unknown));
}

#[test]
fn chains_that_double_the_way_at_each_jump_come_to_an_end() {
    let mut saved = "*filter\n:INPUT DROP [0:0]\n-A INPUT -j c0\n".to_owned();
    for depth in 0..10 {
        saved.push_str(&format!(":c{depth} - [0:0]\n"));
        for _ in 0..8 {
            saved.push_str(&format!("-A c{depth} -j c{}\n", depth + 1));
        }
    }
    saved.push_str(":c10 - [0:0]\n-A c10 -s 10.0.0.5 -j ACCEPT\nCOMMIT\n");
    let mut ruleset = Ruleset::default();
    ruleset.add(&saved, None).unwrap();
    let views = reach(&ruleset, &Question::new(Port::tcp(80), Host::default())).views;
    let parts = views.iter().flat_map(|view| &view.parts);
    assert!(parts.clone().any(|part| part.passage == Passage::Unknown));
}

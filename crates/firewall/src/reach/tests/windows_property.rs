//! Random rules of Windows, held against an evaluator of single packets that shares nothing with the symbolic one.

use proptest::prelude::*;
use serde_json::json;

use super::{
    windows::{profile, rule, text},
    *,
};

#[derive(Debug, Clone)]
struct Plain {
    action: usize,
    sources: Vec<(u32, u32)>,
    profiles: u8,
    is_on: bool,
    port: u16,
    unclear: bool,
}

const ACTIONS: [&str; 3] = ["AllowBypass", "Block", "Allow"];

fn plain() -> impl Strategy<Value = Plain> {
    let range = (0_u32..64, 0_u32..24).prop_map(|(first, more)| (first, first + more));
    (
        prop_oneof![1 => Just(0_usize), 3 => Just(1), 4 => Just(2)],
        proptest::collection::vec(range, 0..3),
        0_u8..8,
        proptest::bool::weighted(0.9),
        prop_oneof![4 => Just(4840_u16), 1 => Just(22)],
        proptest::bool::weighted(0.2),
    )
        .prop_map(|(action, sources, profiles, is_on, port, unclear)| Plain {
            action,
            sources,
            profiles,
            is_on,
            port,
            unclear,
        })
}

fn address(number: u32) -> String {
    format!("10.0.0.{number}")
}

impl Plain {
    fn written(&self, number: usize) -> serde_json::Value {
        let sources: Vec<String> = self
            .sources
            .iter()
            .map(|(first, last)| format!("{}-{}", address(*first), address(*last)))
            .collect();
        let remote = if sources.is_empty() {
            json!("Any")
        } else {
            json!(sources)
        };
        let mut rule = rule(&format!("r{number}"), ACTIONS[self.action], remote);
        rule["Profile"] = json!(self.profiles);
        rule["Enabled"] = json!(if self.is_on { 1 } else { 2 });
        rule["LocalPort"] = json!(self.port.to_string());
        if self.unclear {
            rule["Program"] = json!("C:\\server.exe");
        }
        rule
    }

    /// Whether it matches, and whether that is certain.
    fn matches(&self, bit: u8, source: u32) -> Option<bool> {
        let profile = self.profiles == 0 || self.profiles & bit != 0;
        let from = self.sources.is_empty() || self.sources.iter().any(|(a, b)| (*a..=*b).contains(&source));
        let certain = !self.unclear && self.action != 0;
        (self.is_on && self.port == 4840 && profile && from).then_some(certain)
    }
}

/// By every choice of what is not certain: whether some let it through, and whether some do not.
fn judge(rules: &[Plain], bit: u8, source: u32, allows: bool) -> Passage {
    let (mut through, mut blocked) = (false, false);
    for action in 0..3 {
        for rule in rules.iter().filter(|rule| rule.action == action) {
            match rule.matches(bit, source) {
                None => continue,
                Some(certain) => {
                    *if action == 1 { &mut blocked } else { &mut through } = true;
                    if certain {
                        return passage(through, blocked);
                    }
                }
            }
        }
    }
    *if allows { &mut through } else { &mut blocked } = true;
    passage(through, blocked)
}

fn passage(through: bool, blocked: bool) -> Passage {
    match (through, blocked) {
        (true, false) => Passage::Through,
        (false, true) => Passage::Blocked,
        _ => Passage::Unknown,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn each_source_has_the_fate_that_windows_would_give_it(
        rules in proptest::collection::vec(plain(), 1..9),
        allows in any::<bool>(),
    ) {
        let written: Vec<_> = rules.iter().enumerate().map(|(number, rule)| rule.written(number)).collect();
        let mut profiles = ["Domain", "Private", "Public"].map(profile);
        profiles[1]["DefaultInboundAction"] = json!(if allows { 2 } else { 4 });
        let answer = ask(&[&text(&profiles, &written)], "tcp/4840", Host::default());
        for (bit, name) in [(1, "Domain"), (2, "Private"), (4, "Public")] {
            let of_profile = format!("any other (profile {name})");
            let has = |view: &&View| view.is_ipv4
                && view.interfaces.iter().any(|known| *known == of_profile || known == "any other");
            let view = answer.views.iter().find(has).unwrap();
            for source in 0..100 {
                let found = view.of(address(source).parse().unwrap(), 50_000).unwrap().passage;
                let expected = judge(&rules, bit, source, allows && bit == 2);
                prop_assert_eq!(found, expected, "{} {}", name, source);
            }
        }
    }
}

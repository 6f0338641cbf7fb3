//! The texts as they stand, what holds for all of them, and whom those of some systems let through: a folder with a reader
//! for each of them, held against the Linux rule.

mod cisco_asa;
mod cisco_ios;
mod linux;
mod pf;
mod windows;

use std::time::Duration;

use ipnet::IpNet;
use portcullis_model::{Fault, NetworkSet, Port};
use proptest::{collection::vec, prelude::*};

use super::*;

pub(super) fn family() -> impl Strategy<Value = Family> {
    prop_oneof![Just(Family::V4), Just(Family::V6)]
}

fn network() -> impl Strategy<Value = IpNet> {
    // Most networks lie near each other, at either end of all addresses too, so that they touch and hold one another.
    let number = prop_oneof![
        any::<u128>(),
        (0..64_u128),
        (0..64_u128).prop_map(|low| u128::MAX - low)
    ];
    (number, family(), any::<u8>()).prop_map(|(number, family, length)| {
        let address = family.address(number & family.highest());
        let length = length % (family.host_length() + 1);
        IpNet::new(address, length).unwrap().trunc()
    })
}

fn allowed() -> impl Strategy<Value = NetworkSet> {
    vec(network(), 0..6).prop_map(|networks| networks.into_iter().collect())
}

pub(super) fn order(port: &str, allow: &[&str], assets: &[&str]) -> Order {
    Order {
        tag: "3f2a91".into(),
        port: port.parse().unwrap(),
        allow: allow.iter().map(|text| text.parse::<IpNet>().unwrap()).collect(),
        assets: assets.iter().map(|text| text.parse().unwrap()).collect(),
        trial: Duration::from_secs(150),
    }
}

const ENGINEERS: [&str; 2] = ["10.7.20.0/24", "2001:db8:7:20::/64"];
const ASSETS: [&str; 2] = ["192.0.2.9", "2001:db8:7::9"];

pub(super) fn orders() -> impl Strategy<Value = Order> {
    let assets = vec((any::<u128>(), family()), 1..3);
    let port = (1..=u16::MAX, any::<bool>());
    (port, allowed(), assets, 0..10_000_u64).prop_map(|((number, tcp), allow, assets, trial)| Order {
        tag: "3f2a91".into(),
        port: if tcp { Port::tcp(number) } else { Port::udp(number) },
        allow,
        assets: assets
            .into_iter()
            .map(|(number, family)| family.address(number & family.highest()))
            .collect(),
        trial: Duration::from_secs(trial),
    })
}

fn snapshots(dialect: Dialect) {
    // The hosts themselves where the firewall is theirs, and those behind it in the case with a UDP port.
    let own: &[&str] = if dialect.is_of_host() { &[] } else { &ASSETS };
    for (case, order) in [
        ("engineers", order("tcp/54321", &ENGINEERS, own)),
        ("nobody", order("tcp/54321", &[], own)),
        ("udp", order("udp/4800", &ENGINEERS, &ASSETS)),
    ] {
        let text = write(dialect, &order).unwrap().to_string();
        insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!(format!("{dialect}_{case}"), text);
        });
    }
}

#[test]
fn dialect_windows() {
    snapshots(Dialect::Windows);
}

#[test]
fn dialect_cisco_ios() {
    snapshots(Dialect::CiscoIos);
}

#[test]
fn dialect_cisco_asa() {
    snapshots(Dialect::CiscoAsa);
}

#[test]
fn dialect_juniper_srx() {
    snapshots(Dialect::JuniperSrx);
}

#[test]
fn dialect_palo_alto() {
    snapshots(Dialect::PaloAlto);
}

#[test]
fn dialect_fortigate() {
    snapshots(Dialect::FortiGate);
}

#[test]
fn dialect_pf() {
    snapshots(Dialect::Pf);
}

#[test]
fn dialect_mikrotik() {
    snapshots(Dialect::MikroTik);
}

#[test]
fn dialect_moxa_edr() {
    snapshots(Dialect::MoxaEdr);
}

#[test]
fn dialect_aws_sg() {
    snapshots(Dialect::AwsSg);
}

#[test]
fn dialect_azure_nsg() {
    snapshots(Dialect::AzureNsg);
}

#[test]
fn dialect_ansible() {
    snapshots(Dialect::Ansible);
}

#[test]
fn dialect_nftables() {
    snapshots(Dialect::Nftables);
}

#[test]
fn dialect_iptables() {
    snapshots(Dialect::Iptables);
}

#[test]
fn dialect_ufw() {
    snapshots(Dialect::Ufw);
}

#[test]
fn dialect_firewalld() {
    snapshots(Dialect::Firewalld);
}

#[test]
fn names_of_dialects_are_read_as_they_are_written() {
    for dialect in Dialect::ALL {
        assert_eq!(dialect.to_string().parse(), Ok(dialect));
    }
    let error = "win\u{7}dows".parse::<Dialect>().unwrap_err();
    insta::assert_snapshot!(error, @r"`win\u{7}dows` is not a dialect: use one of windows, cisco-ios, cisco-asa, juniper-srx, palo-alto, fortigate, pf, mikrotik, moxa-edr, aws-sg, azure-nsg, ansible, nftables, iptables, ufw, firewalld");
}

#[test]
fn a_device_must_be_told_which_hosts_and_somebody_must_be_shut_out() {
    for dialect in Dialect::ALL {
        let unsaid = write(dialect, &order("tcp/54321", &ENGINEERS, &[]));
        if dialect.is_of_host() {
            assert!(unsaid.is_ok(), "{dialect}");
        } else {
            assert_eq!(unsaid.unwrap_err().code(), "FW011", "{dialect}");
        }
        let everybody = write(dialect, &order("tcp/54321", &["0.0.0.0/0", "::/0"], &ASSETS));
        assert_eq!(everybody.unwrap_err().code(), "FW012", "{dialect}");
        let everybody_there = write(dialect, &order("tcp/54321", &["0.0.0.0/0"], &["192.0.2.9"]));
        assert_eq!(everybody_there.unwrap_err().code(), "FW012", "{dialect}");
    }
}

#[test]
fn each_text_has_every_step_in_order_and_says_what_is_not_verified() {
    for dialect in Dialect::ALL {
        let document = write(dialect, &order("tcp/54321", &ENGINEERS, &ASSETS)).unwrap();
        let mut steps: Vec<Step> = document.sections.iter().map(|section| section.step).collect();
        assert!(steps.is_sorted(), "{dialect}: {steps:?}");
        steps.dedup();
        let all = [
            Step::Before,
            Step::Apply,
            Step::Check,
            Step::Confirm,
            Step::Rollback,
        ];
        let other_means = steps.pop_if(|step| *step == Step::Alternative);
        assert_eq!(steps, all, "{dialect}");
        assert_eq!(other_means.is_some(), dialect == Dialect::Windows, "{dialect}");
        assert!(!document.unverified.is_empty(), "{dialect}");
        assert!(
            document.to_string().contains("Not verified on a real device:"),
            "{dialect}"
        );
    }
}

/// Those whose steps are pasted into a POSIX shell.
const OF_SHELL: [Dialect; 7] = [
    Dialect::Pf,
    Dialect::AwsSg,
    Dialect::AzureNsg,
    Dialect::Nftables,
    Dialect::Iptables,
    Dialect::Ufw,
    Dialect::Firewalld,
];

/// Names of variables that a text reads, e.g. `zones` of `$zones` and of `${zones:?}`.
fn read_variables(text: &str) -> Vec<&str> {
    let name = |rest: &str| {
        let end = rest.find(|c: char| !c.is_ascii_lowercase() && c != '_');
        end.unwrap_or(rest.len())
    };
    text.split('$')
        .skip(1)
        .map(|rest| rest.strip_prefix('{').unwrap_or(rest))
        .map(|rest| rest.get(..name(rest)).unwrap())
        .filter(|variable| !variable.is_empty())
        .collect()
}

/// A step may be pasted into a new session: what another one has set is not there.
#[test]
fn each_step_sets_the_variables_that_it_reads() {
    assert_eq!(
        read_variables("for a in $b; do \"${c%/*}\" $1 $(d) $$"),
        ["b", "c"]
    );
    for dialect in OF_SHELL {
        for own in [&[] as &[&str], &ASSETS] {
            let Ok(document) = write(dialect, &order("tcp/54321", &ENGINEERS, own)) else {
                continue;
            };
            for Section { text, step, .. } in &document.sections {
                for variable in read_variables(text) {
                    let sets = [
                        format!("{variable}="),
                        format!("for {variable} in"),
                        format!("read -r {variable}"),
                    ];
                    assert!(
                        sets.iter().any(|set| text.contains(set)),
                        "{dialect}, {step}: ${variable}"
                    );
                }
            }
        }
    }
}

/// What is pasted is read by a shell without an error, also what goes into a shell of its own.
#[test]
fn each_step_is_understood_by_a_shell() {
    for dialect in OF_SHELL {
        for allow in [&[] as &[&str], &ENGINEERS] {
            let document = write(dialect, &order("udp/4800", allow, &ASSETS)).unwrap();
            for section in &document.sections {
                let text = section
                    .text
                    .replace("sh <<'SH'\n", "(\n")
                    .replace("\nSH\n", "\n)\n");
                let checked = std::process::Command::new("sh")
                    .args(["-n", "-c", &text])
                    .output()
                    .unwrap();
                assert!(
                    checked.status.success() && checked.stderr.is_empty(),
                    "{dialect}, {}: {}\n{text}",
                    section.step,
                    String::from_utf8_lossy(&checked.stderr)
                );
            }
        }
    }
}

/// A sentence on those who are allowed is a riddle where nobody is.
#[test]
fn where_nobody_is_allowed_no_sentence_is_on_those_who_are() {
    let on_them = [
        "allowed source",
        "let through",
        "permits",
        "allowing rules",
        "accepting",
        "narrow",
        "negat",
        "source-address-excluded",
        "engineer",
    ];
    for dialect in Dialect::ALL {
        let assets: &[&str] = if dialect.is_of_host() { &[] } else { &ASSETS };
        let document = write(dialect, &order("tcp/54321", &[], assets)).unwrap();
        let mut text = document.unverified.join("\n");
        for section in &document.sections {
            text.push_str(&format!("\n{}\n{}", section.title, section.text));
        }
        // Sentences are wrapped: they are put together again.
        let lines = text
            .lines()
            .map(|line| line.trim_start_matches(['#', '!']).trim());
        let text = lines.collect::<Vec<_>>().join(" ");
        for words in on_them {
            assert!(!text.contains(words), "{dialect}: {words}");
        }
        assert!(text.contains("another service of the asset"), "{dialect}");
    }
}

/// Nothing is blocked in a family that is allowed as a whole, and the other one is closed all the same.
#[test]
fn a_family_that_is_allowed_as_a_whole_is_left_alone() {
    for dialect in Dialect::ALL {
        let assets: &[&str] = if dialect.is_of_host() { &[] } else { &ASSETS };
        let document = write(dialect, &order("tcp/54321", &["0.0.0.0/0"], assets)).unwrap();
        let apply = document.text(Step::Apply);
        let commands: Vec<&str> = apply
            .lines()
            .filter(|line| document.comment.is_empty() || !line.starts_with(document.comment))
            .collect();
        assert!(
            document.to_string().contains("54321") && !commands.is_empty(),
            "{dialect}"
        );
        let commands = commands.join("\n");
        // Our own backends and the playbook made of them accept everybody first.
        let of_backend = matches!(dialect, Dialect::Nftables | Dialect::Iptables | Dialect::Ansible);
        if !of_backend && dialect != Dialect::AwsSg {
            assert!(!commands.contains("192.0.2.9"), "{dialect}: {commands}");
            assert!(!commands.contains("0.0.0.0"), "{dialect}: {commands}");
        }
    }
}

proptest! {
    /// What comes from outside is addresses, numbers and a tag; only the tag is a text.
    #[test]
    fn no_tag_brings_anything_but_digits_into_a_text(tag in ".{0,12}", dialect in 0..16_usize) {
        let mut hostile = order("tcp/54321", &ENGINEERS, &ASSETS);
        hostile.tag = format!("{tag}3f2a91'; \"$(reboot)\" `x`\n");
        let digits: String = hostile.tag.chars().filter(char::is_ascii_hexdigit).take(6).collect();
        let mut plain = hostile.clone();
        plain.tag = digits;
        let dialect = Dialect::ALL[dialect];
        prop_assert_eq!(write(dialect, &hostile).unwrap(), write(dialect, &plain).unwrap());
    }

    /// Allow list, assets and trial may be what they will: there is a text, or a reason why not.
    #[test]
    fn every_order_has_a_text_or_an_error_with_a_code(order in orders(), dialect in 0..16_usize) {
        match write(Dialect::ALL[dialect], &order) {
            Ok(document) => {
                let text = document.to_string();
                prop_assert!(text.contains(&order.port.number.to_string()));
                prop_assert!(!text.contains("\n\n\n") && text.ends_with('\n'));
            }
            Err(error) => prop_assert_eq!(error.code(), "FW012"),
        }
    }
}

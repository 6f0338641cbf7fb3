use portcullis_model::Port;

use super::*;

fn closing() -> Closing {
    let allow = ["10.7.20.0/24", "2001:db8:7:20::/64"]
        .iter()
        .map(|text| text.parse().unwrap())
        .collect();
    Closing::new("3f2a91", Port::tcp(54321), allow)
}

/// What the tools print after a closing was loaded: rules in the order in which they stand.
fn saved(closing: &Closing, mark: Mark) -> Vec<(Family, String)> {
    let of = |family: Family| {
        let entries = rules::entries(closing, Place::Mangle, family, mark);
        let entries = entries
            .iter()
            .map(|(base, rest)| format!("[0:0] -A {base} {rest}\n"));
        let own = rules::own_rules(closing, family);
        let own = own.iter().map(|rule| {
            let packets = if rule.ends_with("-j DROP") { 3 } else { 0 };
            format!("[{packets}:180] -A {rule}\n")
        });
        let rules: String = entries.chain(own).collect();
        let text = format!("*mangle\n:PREROUTING ACCEPT [0:0]\n:PORTCULLIS-3f2a91 - [0:0]\n{rules}COMMIT\n");
        (family, text)
    };
    Family::BOTH.map(of).to_vec()
}

fn guards() -> Vec<guard::Guard> {
    vec![guard::Guard {
        tag: "3f2a91".into(),
        left: Duration::from_secs(118),
    }]
}

#[test]
fn a_trial_its_confirmation_and_what_takes_it_out() {
    let own = Own::default();
    let closing = Closing {
        outgoing_peers: vec!["10.7.30.5:7000".parse().unwrap()],
        ..closing()
    };
    let texts = [
        Iptables::Nft
            .load(&closing, Some(Duration::from_secs(120)), &own)
            .to_string(),
        Iptables::Legacy.keep(&closing).to_string(),
        Iptables::Nft.inverse(&closing, &own).to_string(),
    ];
    insta::assert_snapshot!(texts.join("--\n"));
}

#[test]
fn what_was_loaded_is_read_back_in_full() {
    let behind = Closing {
        behind: vec!["10.7.10.10".parse().unwrap(), "2001:db8:7:10::a".parse().unwrap()],
        ..closing()
    };
    let everybody = Closing {
        allow: ["0.0.0.0/0".parse().unwrap()].into_iter().collect(),
        outgoing_peers: vec!["10.7.30.5:7000".parse().unwrap()],
        ..closing()
    };
    let cut = Closing {
        cut_peers: vec![
            "10.7.30.5:40000".parse().unwrap(),
            "[2001:db8::1]:7".parse().unwrap(),
        ],
        ..closing()
    };
    let strict = Closing {
        port: Port::udp(4800),
        no_replies: true,
        ..closing()
    };
    for closing in [closing(), behind, everybody, cut, strict] {
        let own = read::own(Iptables::Nft, &saved(&closing, Mark::Trial), &guards());
        let loaded = &own.changes["3f2a91"];
        assert_eq!(loaded.differences(&closing), Vec::<String>::new());
        assert_eq!(loaded.expires, Some(Duration::from_secs(118)));
        assert_eq!(
            loaded.dropped_packets,
            if closing.cut_peers.is_empty() { 6 } else { 12 }
        );
        let kept = read::own(Iptables::Nft, &saved(&closing, Mark::Kept), &[]);
        let kept = &kept.changes["3f2a91"];
        assert_eq!(kept.differences(&closing), Vec::<String>::new());
        assert_eq!((kept.expires, kept.fingerprint), (None, loaded.fingerprint));
    }
}

#[test]
fn halves_tampering_and_trials_without_a_guard_are_known() {
    let whole = saved(&closing(), Mark::Trial);
    let unguarded = read::own(Iptables::Nft, &whole, &[]);
    assert_eq!(unguarded.changes["3f2a91"].port, None);
    let half = [whole[0].clone(), (Family::V6, String::new())];
    let half = read::own(Iptables::Nft, &half, &guards());
    assert_eq!(
        half.changes["3f2a91"].differences(&closing())[1..],
        ["there are no rules for IPv6"]
    );
    let without_ipv6 = read::own(Iptables::Only, &whole[..1], &guards());
    assert_eq!(without_ipv6.changes["3f2a91"].damage, Vec::<String>::new());
    let mixed = [whole[0].clone(), saved(&closing(), Mark::Kept)[1].clone()];
    assert!(
        !read::own(Iptables::Nft, &mixed, &guards()).changes["3f2a91"]
            .damage
            .is_empty()
    );
    for (part, other) in [
        ("-j DROP", "-j ACCEPT"),
        ("--ctdir REPLY", "--ctdir ORIGINAL"),
        ("LOCAL,", ""),
        ("INPUT !", "OUTPUT !"),
    ] {
        let tampered: Vec<_> = whole
            .iter()
            .map(|(family, text)| (*family, text.replace(part, other)))
            .collect();
        let own = read::own(Iptables::Nft, &tampered, &guards());
        assert!(!own.changes["3f2a91"].damage.is_empty(), "{part} -> {other}");
    }
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "(\\*mangle\n)?(:PORTCULLIS-3f2a91 - x\n)?([-\\[\\]:A-Za-z0-9 /.\"]{0,60}\n){0,6}") {
        read::own(Iptables::Legacy, &[(Family::V4, text)], &[]);
    }
}

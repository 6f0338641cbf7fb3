use std::time::Duration;

use portcullis_model::Port;

use super::{transaction::Pieces, *};

fn closing() -> Closing {
    let allow = ["10.7.20.0/24", "2001:db8:7:20::/64"]
        .iter()
        .map(|text| text.parse().unwrap())
        .collect();
    Closing::new("3f2a91", Port::tcp(54321), allow)
}

#[test]
fn a_first_change_on_trial() {
    insta::assert_snapshot!(Transaction::load(
        &closing(),
        Some(Duration::from_secs(120)),
        false
    ));
}

#[test]
fn a_further_change_joins_the_table_and_may_look_after_outgoing_connections() {
    let mut closing = closing();
    closing.port = Port::udp(4800);
    closing.outgoing_peers = vec![
        "10.7.30.5:7000".parse().unwrap(),
        "[2001:db8::1]:7000".parse().unwrap(),
    ];
    insta::assert_snapshot!(Transaction::load(&closing, None, true));
}

#[test]
fn a_port_of_hosts_behind_this_one() {
    let closing = Closing {
        behind: vec!["10.7.10.10".parse().unwrap(), "2001:db8:7:10::a".parse().unwrap()],
        ..closing()
    };
    insta::assert_snapshot!(Transaction::load(&closing, None, false));
}

#[test]
fn confirming_and_removing() {
    let pieces = Pieces {
        tag: "3f2a91".into(),
        sets: vec!["ports_3f2a91".into(), "sources4_3f2a91".into()],
        has_chain: true,
        entries: vec![("prerouting".into(), 9), ("input".into(), 10)],
    };
    let texts = [
        Transaction::confirm("3f2a91", Port::tcp(54321)).to_string(),
        Transaction::remove(&pieces).to_string(),
        transaction::remove_table().to_string(),
    ];
    insta::assert_snapshot!(texts.join("--\n"));
}

/// What nft 1.0.6 printed for the first change above, with a table of somebody else beside it.
const LISTED: &str = r#"{"nftables": [
{"metainfo": {"version": "1.0.6", "json_schema_version": 1}},
{"table": {"family": "inet", "name": "site_filter", "handle": 1}},
{"rule": {"family": "inet", "table": "site_filter", "chain": "input", "handle": 4, "expr": [{"counter": {"packets": 7, "bytes": 420}}, {"accept": null}]}},
{"set": {"family": "inet", "name": "banned", "table": "site_filter", "type": "ipv4_addr", "handle": 5, "flags": ["timeout"], "elem": [{"elem": {"val": "192.0.2.1", "timeout": 60, "expires": 3}}]}},
{"table": {"family": "inet", "name": "portcullis", "handle": 2}},
{"set": {"family": "inet", "name": "ports_3f2a91", "table": "portcullis", "type": "inet_service", "handle": 4, "flags": ["timeout"], "elem": [{"elem": {"val": 54321, "timeout": 120, "expires": 118}}]}},
{"set": {"family": "inet", "name": "sources4_3f2a91", "table": "portcullis", "type": "ipv4_addr", "handle": 5, "flags": ["interval"], "elem": [{"prefix": {"addr": "10.7.20.0", "len": 24}}]}},
{"set": {"family": "inet", "name": "sources6_3f2a91", "table": "portcullis", "type": "ipv6_addr", "handle": 6, "flags": ["interval"], "elem": [{"prefix": {"addr": "2001:db8:7:20::", "len": 64}}]}},
{"chain": {"family": "inet", "table": "portcullis", "name": "prerouting", "handle": 1, "type": "filter", "hook": "prerouting", "prio": -150, "policy": "accept"}},
{"chain": {"family": "inet", "table": "portcullis", "name": "input", "handle": 20, "type": "filter", "hook": "input", "prio": -150, "policy": "accept"}},
{"chain": {"family": "inet", "table": "portcullis", "name": "forward", "handle": 21, "type": "filter", "hook": "forward", "prio": -150, "policy": "accept"}},
{"chain": {"family": "inet", "table": "portcullis", "name": "change_3f2a91", "handle": 7}},
{"rule": {"family": "inet", "table": "portcullis", "chain": "prerouting", "handle": 2, "expr": [{"match": {"op": "==", "left": {"meta": {"key": "iif"}}, "right": "lo"}}, {"accept": null}]}},
{"rule": {"family": "inet", "table": "portcullis", "chain": "prerouting", "handle": 14, "expr": [{"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": "@ports_3f2a91"}}, {"match": {"op": "==", "left": {"fib": {"result": "type", "flags": ["daddr"]}}, "right": {"set": ["local", "broadcast", "multicast"]}}}, {"jump": {"target": "change_3f2a91"}}]}},
{"rule": {"family": "inet", "table": "portcullis", "chain": "input", "handle": 22, "expr": [{"match": {"op": "==", "left": {"meta": {"key": "iif"}}, "right": "lo"}}, {"accept": null}]}},
{"rule": {"family": "inet", "table": "portcullis", "chain": "forward", "handle": 24, "expr": [{"match": {"op": "==", "left": {"meta": {"key": "iif"}}, "right": "lo"}}, {"accept": null}]}},
{"rule": {"family": "inet", "table": "portcullis", "chain": "input", "handle": 26, "expr": [{"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": "@ports_3f2a91"}}, {"jump": {"target": "change_3f2a91"}}]}},
{"rule": {"family": "inet", "table": "portcullis", "chain": "change_3f2a91", "handle": 27, "expr": [{"match": {"op": "==", "left": {"ct": {"key": "direction"}}, "right": "reply"}}, {"accept": null}]}},
{"rule": {"family": "inet", "table": "portcullis", "chain": "change_3f2a91", "handle": 8, "expr": [{"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "saddr"}}, "right": "@sources4_3f2a91"}}, {"accept": null}]}},
{"rule": {"family": "inet", "table": "portcullis", "chain": "change_3f2a91", "handle": 9, "expr": [{"match": {"op": "==", "left": {"payload": {"protocol": "ip6", "field": "saddr"}}, "right": "@sources6_3f2a91"}}, {"accept": null}]}},
{"rule": {"family": "inet", "table": "portcullis", "chain": "change_3f2a91", "handle": 10, "expr": [{"limit": {"rate": 10, "burst": 20, "per": "minute"}}, {"log": {"prefix": "portcullis-drop 3f2a91 ", "level": "info"}}]}},
{"rule": {"family": "inet", "table": "portcullis", "chain": "change_3f2a91", "handle": 11, "expr": [{"limit": {"rate": 100, "burst": 200, "per": "second"}}, {"log": {"prefix": "portcullis-drop 3f2a91 ", "group": 54}}]}},
{"rule": {"family": "inet", "table": "portcullis", "chain": "change_3f2a91", "handle": 12, "comment": "portcullis change 3f2a91", "expr": [{"counter": {"packets": 3, "bytes": 180}}, {"drop": null}]}}
]}"#;

#[test]
fn our_own_table_is_read_back_in_full() {
    let ruleset = Ruleset::parse(LISTED).unwrap();
    assert_eq!(ruleset.own.faults, Vec::<String>::new());
    let loaded = &ruleset.own.changes["3f2a91"];
    assert_eq!(loaded.differences(&closing()), Vec::<String>::new());
    assert_eq!(
        (loaded.expires, loaded.dropped_packets),
        (Some(Duration::from_secs(118)), 3)
    );
    assert_eq!(ruleset.foreign_tables, ["inet site_filter"]);
}

/// The same with connections that are to be cut, and with a port at which nothing is taken for a reply.
#[test]
fn who_is_cut_whatever_the_tracker_says_is_read_back() {
    let set = r#"{"set": {"family": "inet", "name": "cut4_3f2a91", "table": "portcullis", "type": ["ipv4_addr", "inet_service"], "handle": 30, "elem": [{"concat": ["10.7.30.5", 40000]}]}},
{"set": {"family": "inet", "name": "cut6_3f2a91", "table": "portcullis", "type": ["ipv6_addr", "inet_service"], "handle": 31}},
{"set": {"family": "inet", "name": "sources4_3f2a91""#;
    let rule = |protocol: &str, set: &str| {
        format!(
            r#"{{"rule": {{"family": "inet", "table": "portcullis", "chain": "change_3f2a91", "handle": 32, "expr": [{{"match": {{"op": "==", "left": {{"concat": [{{"payload": {{"protocol": "{protocol}", "field": "saddr"}}}}, {{"payload": {{"protocol": "tcp", "field": "sport"}}}}]}}, "right": "@{set}_3f2a91"}}}}, {{"counter": {{"packets": 4, "bytes": 1}}}}, {{"drop": null}}]}}}},
"#
        )
    };
    let first =
        r#"{"rule": {"family": "inet", "table": "portcullis", "chain": "change_3f2a91", "handle": 27"#;
    let text = LISTED
        .replace(r#"{"set": {"family": "inet", "name": "sources4_3f2a91""#, set)
        .replace(first, &(rule("ip", "cut4") + &rule("ip6", "cut6") + first));
    let own = Ruleset::parse(&text).unwrap().own;
    let expected = Closing {
        cut_peers: vec!["10.7.30.5:40000".parse().unwrap()],
        ..closing()
    };
    let loaded = &own.changes["3f2a91"];
    assert_eq!(loaded.differences(&expected), Vec::<String>::new());
    assert_eq!(loaded.dropped_packets, 11);
    assert_ne!(loaded.differences(&closing()), Vec::<String>::new());
    let strict: String = LISTED
        .lines()
        .filter(|line| !line.contains("\"direction\""))
        .collect();
    let own = Ruleset::parse(&strict).unwrap().own;
    let expected = Closing {
        no_replies: true,
        ..closing()
    };
    let loaded = &own.changes["3f2a91"];
    assert_eq!(loaded.differences(&expected), Vec::<String>::new());
    assert_ne!(loaded.differences(&closing()), Vec::<String>::new());
}

#[test]
fn what_differs_from_the_plan_is_named() {
    let opened = LISTED.replace(
        r#", "elem": [{"elem": {"val": 54321, "timeout": 120, "expires": 118}}]"#,
        "",
    );
    let ruleset = Ruleset::parse(&opened).unwrap();
    assert_eq!(
        ruleset.own.changes["3f2a91"].differences(&closing()),
        ["tcp/54321 is not closed"]
    );
    let wider = LISTED.replace(
        r#""addr": "10.7.20.0", "len": 24"#,
        r#""addr": "10.7.0.0", "len": 16"#,
    );
    assert_eq!(
        Ruleset::parse(&wider).unwrap().own.changes["3f2a91"]
            .differences(&closing())
            .len(),
        1
    );
    let flushed: String = LISTED
        .lines()
        .filter(|line| !line.contains(r#""chain": "change_3f2a91""#))
        .collect();
    let flushed = flushed.replace(",]}", "]}");
    assert_eq!(
        Ruleset::parse(&flushed).unwrap().own.changes["3f2a91"]
            .damage
            .len(),
        1
    );
    let let_in = LISTED.replace(r#""right": "@sources4_3f2a91""#, r#""right": "10.7.30.5""#);
    assert_eq!(
        Ruleset::parse(&let_in).unwrap().own.changes["3f2a91"]
            .damage
            .len(),
        1
    );
    let moved = LISTED.replacen(r#""prio": -150"#, r#""prio": 10"#, 1);
    assert_eq!(Ruleset::parse(&moved).unwrap().own.faults.len(), 1);
    let early = LISTED.replacen(r#""right": "lo""#, r#""right": "eth0""#, 1);
    assert_eq!(Ruleset::parse(&early).unwrap().own.faults.len(), 1);
}

#[test]
fn the_digest_of_foreign_tables_leaves_out_what_changes_by_itself_and_nothing_else() {
    let digest = |text: &str| Ruleset::parse(text).unwrap().foreign;
    let before = digest(LISTED);
    assert_eq!(
        before,
        digest(&LISTED.replace(r#""packets": 7, "bytes": 420"#, r#""packets": 8, "bytes": 480"#))
    );
    assert_eq!(
        before,
        digest(&LISTED.replace(r#""expires": 3"#, r#""expires": 2"#))
    );
    assert_eq!(
        before,
        digest(&LISTED.replace(r#""val": "192.0.2.1""#, r#""val": "192.0.2.9""#))
    );
    assert_ne!(
        before,
        digest(&LISTED.replacen(r#"{"accept": null}"#, r#"{"drop": null}"#, 1))
    );
    assert_ne!(before, digest(&LISTED.replace("banned", "barred")));
}

#[test]
fn ranges_and_neighbouring_networks_are_the_same_set_as_their_prefixes() {
    let range = LISTED.replace(
        r#"[{"prefix": {"addr": "10.7.20.0", "len": 24}}]"#,
        r#"[{"range": ["10.7.20.0", "10.7.20.127"]}, {"prefix": {"addr": "10.7.20.128", "len": 25}}]"#,
    );
    assert_eq!(
        Ruleset::parse(&range).unwrap().own.changes["3f2a91"].differences(&closing()),
        Vec::<String>::new()
    );
}

#[test]
fn what_is_not_a_ruleset_is_refused_with_its_place() {
    assert_eq!(
        Ruleset::parse("{\"nftables\": [\n}").unwrap_err().to_string(),
        "cannot read the firewall rules: not JSON at line 2 column 1"
    );
    assert!(Ruleset::parse("{}").is_err());
}

proptest::proptest! {
    #[test]
    fn no_json_makes_the_reader_panic(
        start in 0..LISTED.len(), length in 0..80usize, replacement in "[\\[\\]{}\",:a-z0-9]{0,12}"
    ) {
        let end = (start + length).min(LISTED.len());
        let text = format!("{}{replacement}{}", &LISTED[..start], &LISTED[end..]);
        let _ = Ruleset::parse(&text);
    }
}

#[test]
fn whoever_changes_what_the_rules_do_changes_the_fingerprint_and_time_alone_does_not() {
    let fingerprint = |text: &str| Ruleset::parse(text).unwrap().own.changes["3f2a91"].fingerprint;
    let before = fingerprint(LISTED);
    for passing in [
        LISTED.replace(r#""expires": 118"#, r#""expires": 9"#),
        LISTED.replace(
            r#"{"elem": {"val": 54321, "timeout": 120, "expires": 118}}"#,
            "54321",
        ),
        LISTED.replace(r#""packets": 3, "bytes": 180"#, r#""packets": 4, "bytes": 240"#),
        LISTED.replace(r#""handle": 14"#, r#""handle": 99"#),
        LISTED.replace("site_filter", "other_filter"),
    ] {
        assert_eq!(fingerprint(&passing), before);
    }
    for tampered in [
        LISTED.replace(
            r#""name": "portcullis", "handle": 2"#,
            r#""name": "portcullis", "handle": 2, "flags": "dormant""#,
        ),
        LISTED.replace(r#""op": "==", "left": {"meta""#, r#""op": "!=", "left": {"meta""#),
        LISTED.replace(r#""op": "==", "left": {"ct""#, r#""op": "!=", "left": {"ct""#),
        LISTED.replace(r#""right": "@ports_3f2a91""#, r#""right": 9"#),
        LISTED.replace(
            r#"["local", "broadcast", "multicast"]"#,
            r#"["broadcast", "multicast"]"#,
        ),
        LISTED.replace(
            r#""protocol": "ip", "field": "saddr""#,
            r#""protocol": "ip", "field": "daddr""#,
        ),
        LISTED.replace(
            r#""addr": "10.7.20.0", "len": 24"#,
            r#""addr": "10.7.0.0", "len": 16"#,
        ),
        LISTED.replace(r#""policy": "accept""#, r#""policy": "drop""#),
        LISTED.replace(r#""val": 54321"#, r#""val": 54322"#),
    ] {
        assert_ne!(
            tampered, LISTED,
            "a tampering that changes nothing proves nothing"
        );
        assert_ne!(fingerprint(&tampered), before);
    }
}

#[test]
fn what_others_put_into_our_table_is_known_as_theirs() {
    let chain = r#"{"chain": {"family": "inet", "table": "portcullis", "name": "mine", "handle": 40}},
{"chain": {"family": "inet", "table": "portcullis", "name": "change_3f2a91""#;
    let text = LISTED.replace(
        r#"{"chain": {"family": "inet", "table": "portcullis", "name": "change_3f2a91""#,
        chain,
    );
    assert_eq!(Ruleset::parse(&text).unwrap().own.strangers, ["the chain `mine`"]);
}

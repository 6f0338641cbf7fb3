//! Texts that are no rulesets.

use super::{
    super::{ReachError, TextKind},
    *,
};

fn error(text: &str) -> (usize, usize, String) {
    match Ruleset::default().add(text, None) {
        Err(ReachError::Text { line, column, why }) => (line, column, why),
        other => panic!("{text:?}: {other:?}"),
    }
}

#[test]
fn a_text_that_breaks_off_is_an_error_with_its_place() {
    assert_eq!(
        error("*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -j DROP\n"),
        (3, 17, "the text ends before iptables filter does".into())
    );
    assert_eq!(
        error("*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -m comment --comment \"no end -j DROP\nCOMMIT\n"),
        (3, 31, "a quotation that does not end".into())
    );
    assert_eq!(error("*filter\n*nat\nCOMMIT\n").0, 2);
    assert_eq!(error("*filter\nCOMMIT\n-A INPUT -j DROP\n").0, 3);
    assert_eq!(error("*filter\nwhat is this\nCOMMIT\n").0, 2);
    assert_eq!(
        error("{\"nftables\": [\n{\"table\": "),
        (2, 10, "the text ends too early".into())
    );
    assert_eq!(error("{\"nftables\": [\n{,}]}").0, 2);
    assert_eq!(error("{}"), (1, 1, "there is no `nftables` key".into()));
    assert_eq!(
        error("{\"nftables\": [],\n\"nftables\": []}"),
        (2, 10, "a second key `nftables`".into())
    );
    assert_eq!(
        error("{\"nftables\": [\n{}, 7]}"),
        (2, 5, "there is something in the list that is no object".into())
    );
    assert_eq!(error("{\"nftables\": 7}").2, "there is no list `nftables`");
}

#[test]
fn a_value_that_no_program_saves_is_an_error_with_its_place() {
    let of = |lines: &str| error(&format!("*filter\n:INPUT ACCEPT [0:0]\n{lines}\nCOMMIT\n"));
    assert_eq!(
        error("*frob\n:INPUT ACCEPT [0:0]\nCOMMIT\n"),
        (
            1,
            2,
            "`frob` is no table: there are filter, nat, mangle, raw and security".into()
        )
    );
    assert_eq!(of(":FORWARD MAYBE [0:0]"), (3, 10, "`MAYBE` is no policy".into()));
    assert_eq!(of("-P FORWARD RETURN"), (3, 12, "`RETURN` is no policy".into()));
    assert_eq!(of("-P FORWARD"), (3, 11, "a chain without a policy".into()));
    assert_eq!(
        of(":own DROP [0:0]"),
        (
            3,
            6,
            "a policy for `own`, which is no chain of the kernel's in filter".into()
        )
    );
    // PREROUTING is a chain of other tables.
    assert_eq!(of(":PREROUTING ACCEPT [0:0]").1, 13);
    assert_eq!(
        of("[1:2] -A FORWARD -j DROP"),
        (3, 10, "a rule for `FORWARD`, a chain that is not declared".into())
    );
    assert_eq!(of("-A own -j DROP\n:own - [0:0]").0, 3);
}

#[test]
fn an_address_or_a_port_that_there_is_not_is_an_error_with_its_place() {
    let of = |rule: &str| {
        error(&format!(
            "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT {rule} -j DROP\nCOMMIT\n"
        ))
    };
    for (rule, column, why) in [
        ("-s 10.0.0.0/33", 13, "`10.0.0.0/33` is no network"),
        ("! -d 10.0.0.0/255.0.0", 15, "`10.0.0.0/255.0.0` is no network"),
        ("-s 10.0.0", 13, "`10.0.0` is no address"),
        ("-p tcp -m tcp --dport 99999", 32, "`99999` is no port"),
        (
            "-p tcp -m multiport --sports 80,1:65536",
            39,
            "`65536` is no port",
        ),
    ] {
        assert_eq!(of(rule), (3, column, why.into()), "{rule}");
    }
    for (target, column) in [("-j nowhere", 13), ("-g NOWHERE", 13)] {
        let text = format!("*filter\n:INPUT ACCEPT [0:0]\n-A INPUT {target}\nCOMMIT\n");
        let name = &target[3..];
        assert_eq!(
            error(&text),
            (3, column, format!("`{name}` is no chain of this table"))
        );
    }
    let rule = |left: &str, right: &str| {
        format!(
            "{{\"nftables\": [\n{{\"rule\": {{\"family\": \"ip\", \"table\": \"t\", \"chain\": \"c\", \"handle\": 2, \"expr\": [{{\"match\": {{\"op\": \"==\", \"left\": {{\"payload\": {left}}}, \"right\": {right}}}}}]}}}}\n]}}"
        )
    };
    let port = r#"{"protocol": "tcp", "field": "dport"}"#;
    let source = r#"{"protocol": "ip", "field": "saddr"}"#;
    for (left, right, why) in [
        (port, "-1", "`-1` is no port"),
        (
            port,
            r#"{"set": [80, {"range": [90, 70000]}]}"#,
            "`70000` is no port",
        ),
        (
            source,
            r#"{"prefix": {"addr": "10.0.0.0", "len": 99}}"#,
            "`10.0.0.0/99` is no network",
        ),
        (
            source,
            r#"{"set": [{"prefix": {"addr": "10.0.0.0", "len": -1}}]}"#,
            "`10.0.0.0/-1` is no network",
        ),
    ] {
        let text = rule(left, right);
        let end = text.lines().nth(1).unwrap().len();
        assert_eq!(error(&text), (2, end, why.into()), "{text}");
    }
    let set = "{\"nftables\": [{\"set\": {\"family\": \"ip\", \"table\": \"t\", \"name\": \"s\", \"type\": \"inet_service\", \"elem\": [{\"elem\": {\"val\": 80, \"timeout\": 99999}}, 99999]}}]}";
    assert_eq!(error(set).2, "`99999` is no port");
}

/// A listing with one base chain that accepts, and this instead of one of its values.
fn chain_with(key: &str, value: &str) -> String {
    let values = [
        ("hook", r#""input""#),
        ("type", r#""filter""#),
        ("prio", "0"),
        ("policy", r#""accept""#),
    ];
    let body: Vec<String> = values
        .iter()
        .map(|(name, usual)| format!(r#""{name}": {}"#, if *name == key { value } else { usual }))
        .collect();
    format!(
        "{{\"nftables\": [\n{{\"chain\": {{\"family\": \"ip\", \"table\": \"t\", \"name\": \"c\", {}}}}}\n]}}",
        body.join(", ")
    )
}

fn of_everybody(text: &str) -> Option<Passage> {
    let answer = ask(&[text], "tcp/4840", Host::default());
    let parts = &view(&answer, true, "any other").parts;
    (parts.len() == 1).then(|| parts.first().unwrap().passage)
}

#[test]
fn a_value_of_a_chain_that_nft_never_prints_is_an_error_with_its_place() {
    assert_eq!(of_everybody(&chain_with("", "")), Some(Passage::Through));
    for (key, what, values) in [
        ("hook", "hook", ["7", "null"]),
        ("type", "type", ["[]", "null"]),
        ("prio", "priority", [r#""filter""#, "1.5"]),
        ("policy", "policy", ["1", "null"]),
    ] {
        for value in values {
            let text = chain_with(key, value);
            let end = text.lines().nth(1).unwrap().len();
            assert_eq!(
                error(&text),
                (2, end, format!("the {what} of the chain `c` is damaged")),
                "{text}"
            );
        }
    }
}

#[test]
fn a_word_that_no_kernel_of_today_knows_concludes_nothing() {
    for (key, value) in [
        ("hook", r#""frob""#),
        ("hook", r#""egress""#),
        ("type", r#""frob""#),
        ("policy", r#""maybe""#),
    ] {
        assert_eq!(
            of_everybody(&chain_with(key, value)),
            Some(Passage::Unknown),
            "{key} {value}"
        );
    }
    for value in ["prerouting", "forward", "output", "postrouting"] {
        let text = chain_with("hook", &format!("{value:?}"));
        assert_eq!(of_everybody(&text), Some(Passage::Through), "{value}");
    }
    let rule = |chain: &str, rest: &str| {
        let text = chain_with("", "");
        let rule = format!(
            r#",{{"rule": {{"family": "ip", "table": "t", "chain": "{chain}", "handle": 7{rest}}}}}"#
        );
        of_everybody(&text.replace("\n]", &format!("{rule}\n]")))
    };
    let drops = r#", "expr": [{"drop": null}]"#;
    assert_eq!(rule("c", drops), Some(Passage::Blocked));
    assert_eq!(rule("gone", drops), Some(Passage::Unknown));
    assert_eq!(rule("c", ""), Some(Passage::Unknown));
    assert_eq!(rule("c", r#", "expr": "drop""#), Some(Passage::Unknown));
}

#[test]
fn rules_may_come_before_their_chain() {
    let text = r#"{"nftables": [
        {"rule": {"family": "ip", "table": "t", "chain": "c", "handle": 7, "expr": [{"accept": null}]}},
        {"chain": {"family": "ip", "table": "t", "name": "c", "type": "filter", "hook": "input", "prio": 0, "policy": "drop"}}]}"#;
    assert_eq!(of_everybody(text), Some(Passage::Through));
}

#[test]
fn json_that_is_nested_too_deeply_is_told_with_its_place() {
    let deep = "[".repeat(200);
    let text = format!("{{\"nftables\": [\n{{\"rule\": {deep}");
    let (line, column, why) = error(&text);
    assert_eq!((line, why.as_str()), (2, "JSON that is nested too deeply"));
    // The brackets begin at column 10, and 128 levels are the most that are read.
    assert!((128..=138).contains(&column), "{column}");
    let of_windows = format!("[{{\"InstanceID\": {deep}");
    assert_eq!(error(&of_windows).2, "JSON that is nested too deeply");
}

#[test]
fn every_table_and_chain_of_the_kernel_is_known() {
    for (table, chains) in [
        ("filter", "INPUT FORWARD OUTPUT"),
        ("security", "INPUT FORWARD OUTPUT"),
        ("nat", "PREROUTING INPUT OUTPUT POSTROUTING"),
        ("mangle", "PREROUTING INPUT FORWARD OUTPUT POSTROUTING"),
        ("raw", "PREROUTING OUTPUT"),
    ] {
        let mut text = format!("*{table}\n:own - [0:0]\n-N other\n-A other -j own\n");
        for chain in chains.split(' ') {
            text.push_str(&format!(
                ":{chain} ACCEPT [0:0]\n-P {chain} DROP\n-A {chain} -j own\n"
            ));
        }
        text.push_str("COMMIT\n");
        assert_eq!(Ruleset::default().add(&text, None), Ok(()), "{text}");
        // A chain of a user may have such a name; it has no policy.
        let own = format!("*{table}\n:INPUT - [0:0]\n-A INPUT -j DROP\nCOMMIT\n");
        assert_eq!(Ruleset::default().add(&own, None), Ok(()), "{own}");
    }
}

#[test]
fn a_word_of_megabytes_is_read_at_once_and_shown_in_part() {
    let long = "x\u{1b}".repeat(2_000_000);
    let in_filter = |line: &str| format!("*filter\n:INPUT DROP [0:0]\n{line}\nCOMMIT\n");
    for text in [
        format!("*{long}\n"),
        format!("*{long}\n:INPUT ACCEPT [0:0]\nCOMMIT\n"),
        in_filter(&format!(":FORWARD {long}")),
        in_filter(&format!(":{long} - [0:0]")),
        in_filter(&format!("-N {long}")),
        in_filter(&format!("-A {long} -j DROP")),
        in_filter(&format!("-A INPUT -s {long} -j ACCEPT")),
        in_filter(&format!("-A INPUT -j {long}")),
    ] {
        let (_, _, why) = error(&text);
        assert!(why.len() < 1000 && !why.contains('\u{1b}'), "{}", why.len());
    }
    for rule in [
        format!("-i {long} -j ACCEPT"),
        format!("-m {long} -j ACCEPT"),
        format!("-m tcp --{long} -j ACCEPT"),
        format!("-m comment --frob {} -j ACCEPT", "y ".repeat(100_000)),
        format!("-j {}", long.to_ascii_uppercase().replace('\u{1b}', "Y")),
    ] {
        let answer = ask(
            &[&in_filter(&format!("-A INPUT {rule}"))],
            "tcp/4840",
            Host::default(),
        );
        let because = because(view(&answer, true, "any other"), "10.1.1.1");
        assert!(because.starts_with("Unknown"), "{}", because.len());
        assert!(because.len() < 1000, "{}", because.len());
    }
}

#[test]
fn a_save_is_of_the_family_of_its_first_line_or_of_its_addresses() {
    let of = |rule: &str| TextKind::of(&format!("*filter\n:INPUT DROP [0:0]\n{rule}\nCOMMIT\n"));
    let (v4, v6) = (Some(TextKind::IptablesSave), Some(TextKind::Ip6tablesSave));
    assert_eq!(of("-A INPUT -j ACCEPT"), v4);
    assert_eq!(of("-A INPUT -s 10.7.20.0/24 -j ACCEPT"), v4);
    for rule in [
        "-A INPUT -s fd00::/8 -j ACCEPT",
        "[3:180] -A INPUT ! -s fd00::/8 -j ACCEPT",
        "-A INPUT\t-d\tfd00::1/ffff:: -j ACCEPT",
        "-A INPUT -m iprange --src-range fd00::1-fd00::9 -j ACCEPT",
        "-A INPUT -j DNAT --to-destination [fd00::1]:80",
    ] {
        assert_eq!(of(rule), v6, "{rule}");
    }
    // A comment has no addresses.
    for rule in [
        "-A INPUT -m comment --comment \"not from fd00::1 here\" -j ACCEPT",
        "-A INPUT -m comment --comment fd00::1 -j ACCEPT",
        "-A INPUT -j LOG --log-prefix \"-s fd00::1 \"",
    ] {
        assert_eq!(of(rule), v4, "{rule}");
    }
    // The first line has the last word.
    let text = "# Generated by iptables-save v1.8.7 on Mon Jan  1 00:00:00 2024\n*filter\n:INPUT DROP [0:0]\n-A INPUT -s fd00::1 -j ACCEPT\nCOMMIT\n";
    assert_eq!(TextKind::of(text), v4);
    assert_eq!(error(text), (4, 13, "an address of the other family".into()));
}

#[test]
fn a_save_with_addresses_of_both_families_is_an_error_with_its_place() {
    let text = "*filter\n:INPUT DROP [0:0]\n-A INPUT -s fd00::/8 -j ACCEPT\n-A INPUT -m tcp -s 10.0.0.0/8 -j ACCEPT\nCOMMIT\n";
    assert_eq!(error(text), (4, 20, "an address of the other family".into()));
    let text = "*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -j DNAT --to-destination 10.0.0.1:80\n-A PREROUTING -s fd00::1 -j ACCEPT\nCOMMIT\n";
    assert_eq!(error(text), (4, 18, "an address of the other family".into()));
    let text = "*filter\nCOMMIT\n# Generated by ip6tables-save v1.8.7\n*filter\nCOMMIT\n";
    let begins = Ruleset::default().add(text, Some(TextKind::IptablesSave));
    assert!(
        matches!(begins, Err(ReachError::Text { line: 3, .. })),
        "{begins:?}"
    );
}

#[test]
fn every_beginning_of_a_text_is_read_or_refused() {
    for text in [
        include_str!("practice/docker.save"),
        include_str!("practice/firewalld.json"),
    ] {
        for (end, _) in text.char_indices() {
            let _ = Ruleset::default().add(&text[..end], None);
        }
    }
}

#[test]
fn a_text_of_another_kind_is_refused() {
    for text in ["", "Chain INPUT (policy ACCEPT)", "table inet filter {\n}"] {
        assert_eq!(
            Ruleset::default().add(text, None),
            Err(ReachError::Format),
            "{text:?}"
        );
    }
}

#[test]
fn chains_that_lead_into_each_other_end() {
    // No kernel would load this.
    let text =
        "*filter\n:INPUT ACCEPT [0:0]\n:A - [0:0]\n:B - [0:0]\n-A INPUT -j A\n-A A -j B\n-A B -j A\nCOMMIT\n";
    let answer = ask(&[text], "tcp/4840", Host::default());
    assert_eq!(
        networks(view(&answer, true, "any other"), Passage::Unknown),
        "0.0.0.0/0"
    );
    let missing = "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -s 10.0.0.0/8 -j GONE\nCOMMIT\n";
    let answer = ask(&[missing], "tcp/4840", Host::default());
    assert_eq!(
        networks(view(&answer, true, "any other"), Passage::Unknown),
        "10.0.0.0/8"
    );
}

#[test]
fn an_object_or_statement_that_nobody_knows_is_not_passed_over() {
    let stranger = r#"{"nftables": [{"portal": {"name": "x"}}]}"#;
    let answer = ask(&[stranger], "tcp/4840", Host::default());
    assert_eq!(
        networks(view(&answer, true, "any other"), Passage::Unknown),
        "0.0.0.0/0"
    );
    let statement = r#"{"nftables": [
        {"chain": {"family": "ip", "table": "t", "name": "c", "type": "filter", "hook": "input", "prio": 0, "policy": "accept"}},
        {"rule": {"family": "ip", "table": "t", "chain": "c", "handle": 7, "expr": [
            {"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "saddr"}}, "right": {"prefix": {"addr": "10.0.0.0", "len": 8}}}},
            {"xt": {"type": "target", "name": "TPROXY"}}]}}]}"#;
    let answer = ask(&[statement], "tcp/4840", Host::default());
    let v4 = view(&answer, true, "any other");
    assert_eq!(networks(v4, Passage::Unknown), "10.0.0.0/8");
    assert_eq!(
        because(v4, "10.1.1.1"),
        "Unknown: ip t / c / handle 7: `-j TPROXY`, of which the listing has no more than the name"
    );
}

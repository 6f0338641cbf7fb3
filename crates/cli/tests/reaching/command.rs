//! `portcullis reach` on a host: rules of nftables in the places of iptables, and what the JSON of `nft` leaves out.

use std::{net::SocketAddr, time::Duration};

use portcullis_model::Transport;

use crate::{
    packets::{Listening, Try},
    place::Place,
};

const PORT: u16 = 4840;

/// Rules by iptables-nft, rules by nft after them, and what is said and done: for a source, whether a packet of it gets through,
/// and words of the answer; and the exit code.
struct Case {
    iptables: &'static str,
    nft: &'static str,
    sources: &'static [(&'static str, bool)],
    words: &'static [&'static str],
    exit: i32,
}

const CASES: [Case; 6] = [
    Case {
        iptables: "",
        nft: "table ip filter { chain in { type filter hook input priority 0; policy drop;\n}\n}",
        sources: &[("10.0.0.1", false)],
        words: &["0.0.0.0/0  blocked", "ip filter / in / policy"],
        exit: 0,
    },
    Case {
        iptables: "-A INPUT -p udp -m state --state NEW -j ACCEPT\n",
        nft: "table ip filter { chain INPUT {\n tcp dport { 22, 80 } drop\n ip saddr 10.0.0.0-10.0.0.254 counter drop\n}\n}",
        sources: &[("10.0.0.1", false), ("10.0.1.1", true)],
        words: &[
            "ip filter / INPUT / handle",
            "`ip saddr 10.0.0.0-10.0.0.254 counter drop`",
        ],
        exit: 0,
    },
    // iptables-nft-save fails for the second rule, so that the first one is known by its names only; it is for UDP.
    Case {
        iptables: "-A INPUT -p udp -m state --state NEW -j ACCEPT\n",
        nft: "table ip filter { chain INPUT {\n meta mark set ip saddr map { 10.0.0.0/24 : 5 }\n meta mark 5 drop\n}\n}",
        sources: &[("10.0.0.1", false), ("10.0.1.1", true)],
        words: &["10.0.0.0/24", "blocked"],
        exit: 0,
    },
    Case {
        iptables: "-A INPUT -p tcp -s 10.0.0.0/24 -m state --state NEW -j DROP\n",
        nft: "table ip filter { chain INPUT {\n meta mark set ip saddr map { 10.0.7.0/24 : 5 }\n}\n}",
        sources: &[("10.0.1.1", true)],
        words: &[
            "10.0.0.0/24",
            "cannot conclude",
            "`-m conntrack`, of which the listing has no more than the name",
        ],
        exit: 3,
    },
    // The JSON of nft 1.0.6 has neither the interface nor the flag.
    Case {
        iptables: "",
        nft: "table netdev n { chain ing { type filter hook ingress device eth0 priority 0; policy accept;\n\
              ip saddr 10.0.0.0/24 drop\n}\n}\n\
              table inet t { flags dormant;\n chain c { type filter hook input priority 0; policy drop;\n}\n}",
        sources: &[("10.0.0.1", false), ("10.0.1.1", true)],
        words: &["netdev n / ing / handle", "`ip saddr 10.0.0.0/24 drop`"],
        exit: 0,
    },
    Case {
        iptables: "",
        nft: "table ip nx { chain p { type nat hook prerouting priority -100; policy accept;\n\
              ip saddr 10.0.0.0/24 tcp dport 4840 redirect to :81\n}\n}",
        sources: &[("10.0.0.1", true), ("10.0.1.1", true)],
        words: &[
            "led to :81",
            "`ip saddr 10.0.0.0/24 tcp dport 4840 redirect to :81`",
        ],
        exit: 0,
    },
];

pub(crate) fn run(place: &Place) {
    let listening = Listening::on(place, &[PORT, 81]);
    for (case, port) in CASES.iter().zip((20_000..).step_by(100)) {
        place.run("nft", &["flush", "ruleset"], "");
        if !case.iptables.is_empty() {
            let save = format!("*filter\n:INPUT ACCEPT [0:0]\n{}COMMIT\n", case.iptables);
            let restored = place.run("iptables-nft-restore", &[], &save);
            assert!(restored.status.success(), "{save}");
        }
        let loaded = place.run("nft", &["-f", "-"], case.nft);
        assert!(
            loaded.status.success(),
            "{}",
            String::from_utf8_lossy(&loaded.stderr)
        );
        let sent: Vec<Try> = case
            .sources
            .iter()
            .zip(port..)
            .map(|((source, _), port)| Try {
                transport: Transport::Tcp,
                from: SocketAddr::new(source.parse().unwrap(), port),
                to: SocketAddr::new("203.0.110.1".parse().unwrap(), PORT),
            })
            .collect();
        let arrived: Vec<bool> = case.sources.iter().map(|(_, arrives)| *arrives).collect();
        assert_eq!(
            listening.send(&sent, Duration::from_millis(400)),
            arrived,
            "{}",
            case.nft
        );
        let said = place.run(
            env!("CARGO_BIN_EXE_portcullis"),
            &[
                "reach",
                "--port",
                &PORT.to_string(),
                "--address",
                "203.0.110.1",
                "-v",
            ],
            "",
        );
        let text = String::from_utf8(said.stdout).unwrap();
        let errors = String::from_utf8(said.stderr).unwrap();
        assert_eq!(
            said.status.code(),
            Some(case.exit),
            "{}\n{text}{errors}",
            case.nft
        );
        for words in case.words {
            assert!(text.contains(words), "{words}\n{text}{errors}");
        }
    }
    place.run("nft", &["flush", "ruleset"], "");
}

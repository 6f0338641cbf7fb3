//! What ufw and firewalld log by themselves: their rules, their prefixes, real packets. In a namespace of its own the kernel's
//! log is silent (`nf_log_all_netns`), so that what their rules log goes to a group, and nothing else in them is changed.

use std::{fs, time::Duration};

use serde_json::Value;

use crate::{
    managed::Managed,
    plant::{GATEWAY_ADDRESS, PROGRAM, eventually},
};

/// Port, prefix and verdict of what is logged while the office tries these ports.
fn heard(host: &mut Managed, ports: &[&str]) -> Vec<[String; 3]> {
    let heard = host.file("heard");
    host.start(&format!(
        "exec '{PROGRAM}' --format jsonl logs --follow --nflog 5 --for 60s > {} 2>&1",
        heard.display(),
    ));
    eventually("it listens", Duration::from_secs(20), || {
        let listens = "grep -q '^ *5 ' /proc/net/netfilter/nfnetlink_log";
        host.shell(listens).code == 0
    });
    for port in ports {
        host.plant
            .answers("office", GATEWAY_ADDRESS, port.parse().unwrap());
    }
    let told = || {
        let heard = fs::read_to_string(&heard).unwrap_or_default();
        let records = heard
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let word = |record: &Value, key: &str| record[key].as_str().unwrap_or_default().to_owned();
        let told = records.map(|record| ["port", "prefix", "verdict"].map(|key| word(&record, key)));
        let mut told: Vec<[String; 3]> = told
            .filter(|[port, ..]| ports.iter().any(|wanted| *port == format!("tcp/{wanted}")))
            .collect();
        told.sort();
        told.dedup();
        told
    };
    eventually("each port is logged", Duration::from_secs(20), || {
        told().len() >= ports.len()
    });
    told()
}

#[test]
fn what_ufw_logs_of_blocked_and_of_allowed_packets_has_its_verdict() {
    let mut host = Managed::up();
    host.ufw();
    host.shell(
        r#"ufw allow log 54322/tcp && ufw logging on
        for tool in iptables ip6tables; do
            $tool-save | sed 's/-j LOG --log-prefix/-j NFLOG --nflog-group 5 --nflog-prefix/' | $tool-restore
        done"#,
    )
    .with(0);
    assert_eq!(
        heard(&mut host, &["54322", "54323"]),
        [
            ["tcp/54322", "[UFW ALLOW]", "allowed"],
            ["tcp/54323", "[UFW BLOCK]", "blocked"]
        ]
    );
}

#[test]
fn what_firewalld_logs_of_denied_packets_has_its_verdict() {
    let mut host = Managed::up();
    host.firewalld();
    host.shell(
        r#"firewall-cmd --set-log-denied=all
        nft list table inet firewalld | sed 's/log prefix/log group 5 prefix/' > /run/logged.nft
        (echo 'delete table inet firewalld'; cat /run/logged.nft) > /run/all.nft && nft -f /run/all.nft"#,
    )
    .with(0);
    assert_eq!(
        heard(&mut host, &["54323"]),
        [["tcp/54323", "filter_IN_public_REJECT:", "blocked"]]
    );
}

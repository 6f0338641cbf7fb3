use portcullis_model::{Digest, ProcessIdentity};

use super::*;
use crate::own::Own;

const SITE: &str = r#"
[site]
name = "p"
[[zone]]
name = "control"
networks = ["10.7.10.0/24"]
[[zone]]
name = "engineering"
networks = ["10.7.20.0/24"]
[[zone]]
name = "office"
networks = ["10.7.30.0/24"]
[[zone]]
name = "internet"
networks = ["any"]
[[conduit]]
from = "engineering"
to = "control"
services = ["moxa-mdm-gateway"]
[keep]
connections = ["10.7.20.5 -> control tcp/54321", "office -> control tcp/8443"]
"#;

fn snapshot() -> Snapshot {
    Snapshot {
        foreign: Digest::ZERO,
        parts: Vec::new(),
        own: Own::default(),
    }
}

fn process(pid: u32) -> Option<ProcessIdentity> {
    Some(ProcessIdentity {
        pid,
        ..ProcessIdentity::default()
    })
}

fn listener(number: u16) -> Listener {
    Listener {
        transport: Transport::Tcp,
        address: "0.0.0.0".parse().unwrap(),
        number,
        takes_ipv4: None,
        process: process(7),
    }
}

fn connection(local: u16, peer: &str, pid: u32) -> Connection {
    Connection {
        silent_seconds: None,
        local: format!("10.7.10.10:{local}").parse().unwrap(),
        peer: peer.parse().unwrap(),
        process: process(pid),
    }
}

struct Case {
    site: Site,
    listeners: Vec<Listener>,
    connections: Vec<Connection>,
    above: Vec<Connection>,
    tracked: Vec<Flow>,
    behind: Vec<IpAddr>,
}

impl Case {
    fn new() -> Self {
        let site = Site::parse("site.toml", SITE).unwrap();
        Self {
            site,
            listeners: vec![listener(54321), listener(8443)],
            connections: vec![],
            above: vec![],
            tracked: vec![],
            behind: vec![],
        }
    }

    fn plan(&self, port: u16, allow: &[&str]) -> Result<Plan, FirewallError> {
        self.plan_for(Port::tcp(port), allow)
    }

    fn plan_for(&self, port: Port, allow: &[&str]) -> Result<Plan, FirewallError> {
        let mut sources = allowed_by_site(
            &self.site,
            &["10.7.10.10".parse().unwrap()],
            &ServiceName::new("moxa-mdm-gateway").unwrap(),
        );
        sources.extend(allow.iter().map(|text| AllowedSource {
            network: text.parse().unwrap(),
            because: "asked for".into(),
        }));
        plan(PlanInput {
            now: Timestamp::UNIX_EPOCH,
            host: "gw".into(),
            via: None,
            addresses: &["10.7.10.10".parse().unwrap()],
            behind: &self.behind,
            port,
            allow: sources,
            exposure: None,
            site: Some(&self.site),
            snapshot: snapshot(),
            listeners: &self.listeners,
            connections: &self.connections,
            tracked: &self.tracked,
            above: &self.above,
            ephemeral: (32768, 60999),
            today: None,
            preventive: false,
            backend: (BackendName::Nftables, "made in nftables".into()),
        })
    }
}

#[test]
fn conduits_decide_who_still_gets_through() {
    let plan = Case::new().plan(54321, &[]).unwrap();
    assert_eq!(plan.allowed_networks().to_string(), "10.7.10.0/24, 10.7.20.0/24");
    let expected: Vec<(String, bool)> = plan
        .predictions
        .iter()
        .map(|prediction| (prediction.from.clone(), prediction.passes))
        .collect();
    let expected: Vec<(&str, bool)> = expected
        .iter()
        .map(|(from, passes)| (from.as_str(), *passes))
        .collect();
    assert_eq!(
        expected,
        [
            ("this host (loopback)", true),
            ("control", true),
            ("engineering", true),
            ("office", false),
            ("everybody else", false)
        ]
    );
}

#[test]
fn live_connections_are_told_their_fate_before_anything_happens() {
    let mut case = Case::new();
    case.connections = vec![
        connection(54321, "10.7.30.5:40000", 7),
        connection(54321, "10.7.20.5:40001", 7),
        connection(54321, "192.0.2.9:502", 99),
        connection(8443, "10.7.30.5:40002", 7),
    ];
    let plan = case.plan(54321, &[]).unwrap();
    let cut: Vec<bool> = plan.connections.iter().map(|live| live.cut).collect();
    assert_eq!(cut, [true, false, false]);
    assert_eq!(plan.connections[0].zone.as_deref(), Some("office"));
    let closing = closing(&plan, "abcdef");
    assert_eq!(
        closing.outgoing_peers,
        ["192.0.2.9:502".parse().unwrap()],
        "our own connection is looked after"
    );
}

#[test]
fn the_operator_s_own_connection_is_never_cut() {
    let mut case = Case::new();
    case.above = vec![connection(54321, "10.7.30.5:40000", 1)];
    let error = case.plan(54321, &[]).unwrap_err();
    assert!(matches!(error, FirewallError::WouldLockOut { .. }));
    assert!(
        portcullis_model::Fault::hint(&error)
            .unwrap()
            .contains("--allow 10.7.30.5/32")
    );
    assert!(case.plan(54321, &["10.7.30.0/24"]).is_ok());
    case.above = vec![connection(22, "10.7.30.5:40000", 1)];
    assert!(case.plan(54321, &[]).is_ok());
}

#[test]
fn what_must_be_kept_is_kept() {
    let case = Case::new();
    let error = case.plan(8443, &[]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "this would cut a connection that must be kept: office -> control tcp/8443"
    );
    assert!(case.plan(8443, &["10.7.30.0/24"]).is_ok());
}

/// Whoever asks the time from the port at which it is told is answered there (RFC 5905, 7.2).
#[test]
fn answers_to_a_kept_connection_between_equal_ports_are_kept() {
    let mut case = Case::new();
    let site = SITE.replace(
        "connections = [",
        "connections = [\"control -> 10.7.40.9 udp/123\", \"control -> 10.7.40.9 tcp/123\", ",
    );
    case.site = Site::parse("site.toml", &site).unwrap();
    case.listeners = vec![Listener {
        transport: Transport::Udp,
        ..listener(123)
    }];
    let error = case.plan_for(Port::udp(123), &[]).unwrap_err();
    assert!(
        error.to_string().ends_with("control -> 10.7.40.9 udp/123"),
        "{error}"
    );
    assert!(case.plan_for(Port::udp(123), &["10.7.40.9/32"]).is_ok());
}

#[test]
fn a_port_that_nothing_listens_on_is_not_closed_by_mistake() {
    assert!(matches!(
        Case::new().plan(5432, &[]),
        Err(FirewallError::NothingListens(_))
    ));
}

#[test]
fn the_same_input_gives_the_same_plan_and_another_one_another() {
    let case = Case::new();
    assert_eq!(case.plan(54321, &[]).unwrap(), case.plan(54321, &[]).unwrap());
    assert_ne!(
        case.plan(54321, &[]).unwrap().id,
        case.plan(54321, &["10.7.30.0/24"]).unwrap().id
    );
}

#[test]
fn the_service_s_own_connections_are_incoming_whatever_the_tracker_says_and_of_others_its_word_counts() {
    let mut case = Case::new();
    case.connections = vec![
        connection(54321, "10.7.30.5:7000", 7),
        connection(54321, "10.7.30.6:40000", 99),
        connection(54321, "10.7.30.7:40000", 99),
        connection(54321, "10.7.30.8:40000", 99),
    ];
    let of = |number: usize| (case.connections[number].local, case.connections[number].peer);
    case.tracked = vec![
        // Picked up when the service spoke.
        flow(of(0).0, of(0).1, 5),
        flow(of(1).1, of(1).0, 95),
        flow(of(2).0, of(2).1, 7),
    ];
    let plan = case.plan(54321, &[]).unwrap();
    let told: Vec<_> = plan
        .connections
        .iter()
        .map(|live| (live.cut, live.age_seconds))
        .collect();
    assert_eq!(
        told,
        [(true, Some(5)), (true, Some(95)), (false, Some(7)), (false, None)]
    );
    let closing = closing(&plan, "abcdef");
    assert_eq!(closing.cut_peers.len(), 2);
    assert_eq!(closing.outgoing_peers.len(), 2);
}

fn flow(originator: SocketAddr, responder: SocketAddr, seconds: u64) -> Flow {
    Flow {
        originator,
        responder,
        age: Some(std::time::Duration::from_secs(seconds)),
    }
}

#[test]
fn a_port_of_hosts_behind_is_closed_for_what_passes_through() {
    let mut case = Case::new();
    let behind: IpAddr = "10.7.11.20".parse().unwrap();
    case.behind = vec![behind];
    case.tracked = [
        ("10.7.30.5:40000", "10.7.11.20:54321"),
        ("10.7.20.5:40000", "10.7.11.20:54321"),
        ("10.7.10.10:40000", "10.7.11.20:54321"),
        ("10.7.30.5:40000", "10.7.11.20:502"),
        ("10.7.30.5:40000", "10.7.10.10:54321"),
    ]
    .map(|(from, to)| flow(from.parse().unwrap(), to.parse().unwrap(), 1))
    .into();
    // The operator's own way in is to this host, and stays.
    case.above = vec![connection(54321, "10.7.30.5:50000", 7)];
    let plan = case.plan(54321, &[]).unwrap();
    let told: Vec<_> = plan
        .connections
        .iter()
        .map(|live| (live.connection.peer.ip().to_string(), live.cut))
        .collect();
    assert_eq!(
        told,
        [
            ("10.7.30.5".into(), true),
            ("10.7.20.5".into(), false),
            ("10.7.10.10".into(), false)
        ]
    );
    assert!(plan.listeners.is_empty());
    let closing = closing(&plan, "abcdef");
    assert_eq!((closing.behind, closing.outgoing_peers), (vec![behind], vec![]));
    case.behind = vec!["10.7.10.10".parse().unwrap()];
    assert!(matches!(case.plan(54321, &[]), Err(FirewallError::NotBehind(_))));
}

#[test]
fn families_that_fare_differently_are_predicted_apart() {
    let plan = Case::new().plan(54321, &["0.0.0.0/0"]).unwrap();
    let shown: Vec<(&str, bool)> = plan
        .predictions
        .iter()
        .map(|prediction| (prediction.from.as_str(), prediction.passes))
        .collect();
    assert!(shown.contains(&("office", true)), "{shown:?}");
    assert!(shown.contains(&("everybody else over IPv4", true)), "{shown:?}");
    assert!(shown.contains(&("everybody else over IPv6", false)), "{shown:?}");
}

#[test]
fn a_translation_at_the_port_is_told() {
    let part = |output: &str| StatePart {
        name: "nftables".into(),
        command: "nft".into(),
        output: output.into(),
        read: true,
        digest: Digest::ZERO,
    };
    let found = |output: &str| translations(&[part(output)], Port::tcp(54321));
    assert_eq!(
        found("\ttcp dport 8888 redirect to :54321\n"),
        ["tcp dport 8888 redirect to :54321"]
    );
    assert_eq!(
        found("-A PREROUTING -p tcp --dport 80 -j DNAT --to-destination 10.0.0.1:54321").len(),
        1
    );
    assert!(found("tcp dport 8888 redirect to :543210\ntcp dport 54321 accept").is_empty());
}

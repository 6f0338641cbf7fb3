//! What the site and the store add to the numbers.

use jiff::SignedDuration;
use portcullis_model::{NetworkSet, ServiceName, Site};

use super::*;
use crate::{ChangeTimes, OwnScan, OwnScans, Way};

const SITE: &str = r#"
[site]
name = "plant-7"
[[zone]]
name = "control"
networks = ["10.7.10.0/24"]
[[zone]]
name = "engineering"
networks = ["10.7.20.0/24", "2001:db8:7:20::/64"]
[[zone]]
name = "dmz"
networks = ["10.7.30.0/24"]
[[conduit]]
from = "engineering"
to = "control"
services = ["moxa-mdm-gateway"]
"#;

fn facts() -> Facts {
    let name = |text| ServiceName::new(text).unwrap();
    Facts {
        site: Some(Site::parse("site.toml", SITE).unwrap()),
        services: [
            (Port::tcp(54321), vec![name("moxa-mdm-gateway")]),
            (Port::tcp(502), vec![name("modbus-tcp")]),
        ]
        .into(),
        ..Facts::default()
    }
}

fn to(destination: &str, source: &str, port: Option<Port>, verdict: Verdict) -> Event<'static> {
    let mut event = event(source, port, verdict);
    event.destination = destination.parse().unwrap();
    event
}

fn ways(summary: &Summary) -> Vec<(String, Option<Way>)> {
    let report = summary.report(9);
    let of = |source: &super::SourceReport| (source.address.to_string(), source.ports[0].way.clone());
    let mut ways: Vec<_> = report.sources.iter().map(of).collect();
    ways.sort_by(|one, other| one.0.cmp(&other.0));
    ways
}

#[test]
fn sources_are_held_against_the_conduits_of_the_site() {
    let mut summary = Summary::of_all_ports().knowing(Arc::new(facts()));
    let sources = ["10.7.10.9", "10.7.20.9", "10.7.30.9", "192.0.2.9"];
    for source in sources {
        summary.add(&event(source, MDM, Verdict::Blocked), None);
    }
    let conduits = || vec!["engineering -> control".to_owned()];
    let mut expected: Vec<_> = sources
        .into_iter()
        .zip([
            Way::InsideZone,
            Way::Conduit { conduits: conduits() },
            Way::NoConduit,
            Way::NoConduit,
        ])
        .map(|(source, way)| (source.to_owned(), Some(way)))
        .collect();
    assert_eq!(ways(&summary), expected);
    // Another host of a zone without a conduit: from now on it is not known who went where.
    summary.add(&to("10.7.30.4", "10.7.30.9", MDM, Verdict::Blocked), None);
    expected[0].1 = Some(Way::NoConduit);
    expected[1].1 = Some(Way::ConduitToSome { conduits: conduits() });
    assert_eq!(ways(&summary), expected);
    for host in 10..30 {
        summary.add(
            &to(&format!("10.7.10.{host}"), "10.7.20.9", MDM, Verdict::Blocked),
            None,
        );
    }
    let report = summary.report(9);
    assert_eq!(report.destinations, None);
    assert!(
        report.notes.iter().any(|note| note.contains("too many hosts")),
        "{:?}",
        report.notes
    );
    assert_eq!(ways(&summary)[1].1, expected[1].1);
    // Modbus has no conduit.
    let mut summary = Summary::of_all_ports().knowing(Arc::new(facts()));
    summary.add(&event("10.7.20.9", Some(Port::tcp(502)), Verdict::Blocked), None);
    assert_eq!(ways(&summary)[0].1, Some(Way::NoConduit));
}

#[test]
fn sources_are_told_by_zone_network_and_service() {
    let mut summary = Summary::of_all_ports().knowing(Arc::new(facts()));
    for (source, port) in [
        ("10.7.20.1", 54321),
        ("10.7.20.2", 502),
        ("2001:db8:7:20::1", 502),
        ("2001:db8:7:20::2", 502),
        ("192.0.2.1", 502),
        ("192.0.3.1", 80),
    ] {
        summary.add(
            &event(source, Some(Port::tcp(port)), Verdict::Blocked),
            at(i64::from(port)),
        );
    }
    summary.add(&event("10.7.20.1", MDM, Verdict::Allowed), None);
    let report = summary.report(2);
    let told = |groups: &[GroupCount]| -> Vec<(Option<String>, u64, u64)> {
        let of = |group: &GroupCount| (group.name.clone(), group.sources, group.attempts);
        groups.iter().map(of).collect()
    };
    assert_eq!(
        told(&report.zones),
        [(Some("engineering".into()), 4, 5), (None, 2, 2)]
    );
    assert_eq!(
        told(&report.networks),
        [
            (Some("10.7.20.0/24".into()), 2, 3),
            (Some("2001:db8:7:20::/64".into()), 2, 2)
        ]
    );
    assert_eq!(report.distinct_networks, 4);
    let services: Vec<_> = report
        .services
        .iter()
        .map(|count| (count.port.number, count.services[0].to_string(), count.attempts))
        .collect();
    assert_eq!(
        services,
        [
            (502, "modbus-tcp".into(), 4),
            (54321, "moxa-mdm-gateway".into(), 2)
        ],
        "port 80 is no known service here"
    );
    assert_eq!(report.services[1].verdicts.allowed, 1);
    assert_eq!(report.destinations.unwrap().len(), 1);
    let source = report.sources.iter().find(|source| source.attempts == 2).unwrap();
    assert_eq!(source.zone.as_deref(), Some("engineering"));
    let every = (1..=u16::MAX).map(Port::tcp);
    let mut every = Summary::of_ports(every).knowing(Arc::new(facts()));
    every.add(&event("10.7.20.2", MDM, Verdict::Blocked), None);
    let told = every.report(2);
    assert_eq!(
        told.services[0].port,
        Port::tcp(54321),
        "a known service has room"
    );
    assert!(
        told.notes.iter().any(|note| note.contains("one by one")),
        "{:?}",
        told.notes
    );
    // Only of what was asked for.
    let mut asked = Summary::of_ports([Port::tcp(80)]).knowing(Arc::new(facts()));
    asked.add(&event("10.7.20.2", Some(Port::tcp(502)), Verdict::Blocked), None);
    asked.add(&event("10.7.20.2", Some(Port::tcp(80)), Verdict::Blocked), None);
    let services = asked.report(2).services;
    assert_eq!((services.len(), services[0].port), (1, Port::tcp(80)));
}

#[test]
fn our_own_scans_are_set_apart_in_their_time_and_on_their_ports_only() {
    let time = |second| Timestamp::from_second(second).unwrap();
    let scan = |run: &str, from: &str, began, ended| OwnScan {
        run: run.into(),
        from: vec![from.parse().unwrap()],
        ports: [Port::tcp(54321)].into(),
        began: time(began),
        ended: time(ended),
    };
    let facts = Facts {
        own: OwnScans::new(
            vec![
                scan("r1", "10.7.20.9", 1000, 1010),
                scan("r2", "10.7.20.9", 5000, 5010),
                scan("r4", "10.7.20.9", 5012, 5020),
                scan("r3", "2001:db8::1", 1000, 1010),
            ],
            SignedDuration::from_secs(30),
        ),
        vantages: [("10.7.20.9".parse().unwrap(), "this-host".to_owned())].into(),
        ..Facts::default()
    };
    let shared = Shared::new(Summary::of_all_ports().knowing(Arc::new(facts)));
    for (source, port, second) in [
        ("10.7.20.9", 54321, Some(1005)),
        ("::ffff:10.7.20.9", 54321, Some(1010 + 29)),
        ("10.7.20.9", 54321, Some(5000 - 29)),
        // Near two of them, and within one.
        ("10.7.20.9", 54321, Some(5013)),
        ("2001:db8::1", 54321, Some(1000)),
        // From here on it is somebody's attempt: too late, another port, another host, no time.
        ("10.7.20.9", 54321, Some(1010 + 31)),
        ("10.7.20.9", 502, Some(1005)),
        ("10.7.20.8", 54321, Some(1005)),
        ("10.7.20.9", 54321, None),
    ] {
        let mut counter = shared.one();
        counter.own_mut().add(
            &event(source, Some(Port::tcp(port)), Verdict::Blocked),
            second.and_then(at),
        );
    }
    let report = shared.into_summary().report(9);
    let own: Vec<_> = report
        .own_scans
        .iter()
        .map(|scan| (scan.run.as_str(), scan.attempts))
        .collect();
    assert_eq!(own, [("r1", 2), ("r2", 1), ("r4", 1), ("r3", 1)]);
    assert_eq!((report.attempts, report.distinct_sources), (4, 2));
    let spans = report.timeline.unwrap().spans;
    assert_eq!(spans.iter().map(|span| span.verdicts.sum()).sum::<u64>(), 3);
    assert_eq!(report.sources[0].vantage.as_deref(), Some("this-host"));
    assert_eq!(report.sources[1].vantage, None);
}

fn change() -> ChangeTimes {
    let time = |second| Timestamp::from_second(second).unwrap();
    ChangeTimes {
        change: "7c1e".into(),
        state: "confirmed".into(),
        port: Port::tcp(54321),
        hosts: [ipnet::IpNet::from("10.7.10.4".parse::<IpAddr>().unwrap())]
            .into_iter()
            .collect::<NetworkSet>(),
        allowed: ["10.7.20.0/24".parse::<ipnet::IpNet>().unwrap()]
            .into_iter()
            .collect(),
        loaded: time(100),
        confirmed: Some(time(200)),
        ended: None,
    }
}

#[test]
fn what_went_to_the_port_is_split_around_a_change() {
    let facts = |change| {
        Arc::new(Facts {
            changes: vec![change],
            ..Facts::default()
        })
    };
    let count = |change: ChangeTimes| {
        let shared = Shared::new(Summary::of_all_ports().knowing(facts(change)));
        let add = |event: Event<'_>, at| {
            shared.one().own_mut().add(&event, at);
        };
        add(event("192.0.2.1", MDM, Verdict::Allowed), at(99));
        add(event("192.0.2.1", MDM, Verdict::Blocked), at(100));
        add(event("192.0.2.1", MDM, Verdict::Allowed), at(150));
        add(event("192.0.2.1", MDM, Verdict::Blocked), at(200));
        add(event("192.0.2.2", MDM, Verdict::Allowed), at(300));
        // Whom the change lets through is no surprise, and who was up before is none either.
        add(event("10.7.20.3", MDM, Verdict::Allowed), at(310));
        let mut long = event("192.0.2.3", MDM, Verdict::Allowed);
        long.duration_ms = Some(220_000);
        add(long, at(319));
        add(event("192.0.2.1", MDM, Verdict::Unknown), None);
        // Another port, another host.
        add(
            event("192.0.2.1", Some(Port::udp(54321)), Verdict::Allowed),
            at(300),
        );
        add(to("10.7.10.5", "192.0.2.1", MDM, Verdict::Allowed), at(300));
        let assumed = at(400).map(|at| Moment { assumed: true, ..at });
        add(event("192.0.2.1", MDM, Verdict::Blocked), assumed);
        shared.into_summary().report(9).changes.remove(0)
    };
    let told = |phase: PhaseCounts| {
        let VerdictCounts { allowed, blocked, .. } = phase.verdicts;
        (allowed, blocked, phase.time_assumed)
    };
    let confirmed = count(change());
    assert_eq!(told(confirmed.before), (2, 0, 0));
    assert_eq!(told(confirmed.trial), (1, 1, 0));
    assert_eq!(told(confirmed.after), (2, 2, 1));
    assert_eq!(told(confirmed.taken_back), (0, 0, 0));
    assert_eq!((confirmed.got_through, confirmed.without_time), (2, 1));
    assert_eq!(
        confirmed.got_through_first,
        Some(Timestamp::from_second(150).unwrap())
    );
    let fell_back = count(ChangeTimes {
        confirmed: None,
        ended: Some(Timestamp::from_second(160).unwrap()),
        ..change()
    });
    assert_eq!(told(fell_back.trial), (1, 1, 0));
    assert_eq!(told(fell_back.after), (0, 0, 0));
    assert_eq!(told(fell_back.taken_back), (2, 2, 1));
    assert_eq!(fell_back.got_through, 1);
}

use portcullis_knowledge::Knowledge;
use portcullis_model::{
    Coverage, Grade, HostEvidence, HostListener, Identification, Listener, Neighbour, Observation, Port,
    PortState, Program, Run, RunId, ServiceName, Transport, Untrusted, Vantage,
};
use serde_json::json;

use super::*;

fn seen(
    address: &str,
    port: Port,
    second: i64,
    service: &str,
    grade: Grade,
    fields: &[(&str, &str)],
) -> Observation {
    let (run, vantage) = (RunId::of(&[b"assets"]), Vantage::this_host());
    let address = address.parse().unwrap();
    Observation {
        id: Observation::id_of(run, &vantage, address, port),
        run,
        at: Timestamp::from_second(second).unwrap(),
        vantage,
        source: None,
        address,
        port,
        state: PortState::Open,
        because: String::new(),
        confidence: None,
        identifications: vec![Identification {
            service: ServiceName::new(service).unwrap(),
            grade,
            reasons: Vec::new(),
            fields: fields
                .iter()
                .map(|(name, value)| ((*name).to_owned(), Untrusted::new(*value)))
                .collect(),
        }],
        evidence: Vec::new(),
    }
}

fn derived(observations: &[Observation]) -> Vec<Asset> {
    with_runs(observations, &[])
}

fn with_runs(observations: &[Observation], runs: &[Run]) -> Vec<Asset> {
    derive(&Known {
        observations,
        runs,
        commands: &[(RunId::of(&[b"assets"]), "scan".to_owned())].into(),
        site: None,
        knowledge: &Knowledge::builtin().unwrap(),
        programs: &portcullis_knowledge::program::builtin().unwrap(),
        signatures: &[],
        advisories: &Advisories::builtin().unwrap(),
    })
}

fn run(tool: &str, coverage: Coverage) -> Run {
    Run {
        id: RunId::of(&[tool.as_bytes()]),
        command: "import".into(),
        vantage: Vantage::import(tool, None),
        started: Timestamp::UNIX_EPOCH,
        ended: None,
        settings: json!({}),
        not_tested: Vec::new(),
        coverage,
    }
}

fn neighbour(address: Option<&str>, mac: &str, second: i64) -> Neighbour {
    Neighbour {
        address: address.map(|address| address.parse().unwrap()),
        mac: mac.parse().unwrap(),
        interface: Some(Untrusted::new("Gi0/1")),
        vlan: Some(10),
        at: Timestamp::from_second(second).unwrap(),
    }
}

#[test]
fn what_several_ports_say_is_put_together_and_held_against_advisories() {
    let assets = derived(&[
        seen(
            "10.7.10.13",
            Port::udp(4800),
            2,
            "moxa-dsci",
            Grade::Proven,
            &[("model", "NPort 5110"), ("mac", "00:90:E8:00:00:01")],
        ),
        seen(
            "10.7.10.13",
            Port::tcp(23),
            3,
            "moxa-telnet-console",
            Grade::Proven,
            &[("firmware", "2.5 Build 1")],
        ),
        seen(
            "10.7.10.13",
            Port::tcp(54321),
            1,
            "moxa-mdm-gateway",
            Grade::Possible,
            &[("model", "made up")],
        ),
    ]);
    let [asset] = assets.as_slice() else {
        panic!("{assets:?}")
    };
    assert_eq!(asset.services.len(), 3);
    assert_eq!(asset.facts["model"].value, "NPort 5110");
    assert_eq!(asset.facts["firmware"].said_by, "tcp/23 moxa-telnet-console");
    assert_eq!(asset.last_seen, Timestamp::from_second(3).unwrap());
    let affected: Vec<&str> = asset
        .advisories
        .iter()
        .filter(|one| one.status == Status::Affected)
        .map(|one| one.id.as_str())
        .collect();
    assert_eq!(affected, ["ICSA-16-336-02"]);
    assert!(asset.roles.contains("management"));
}

#[test]
fn without_a_version_it_cannot_be_told_and_without_a_model_nothing_is_said() {
    let model = &[("model", "NPort 5110")];
    let assets = derived(&[
        seen("10.0.0.1", Port::udp(4800), 1, "moxa-dsci", Grade::Proven, model),
        seen("10.0.0.2", Port::udp(4800), 1, "moxa-dsci", Grade::Proven, &[]),
    ]);
    assert!(!assets[0].advisories.is_empty());
    assert!(
        assets[0]
            .advisories
            .iter()
            .all(|one| one.status == Status::CannotTell)
    );
    assert!(assets[1].advisories.is_empty());
}

#[test]
fn a_host_of_which_only_silence_is_known_is_no_asset() {
    let mut silent = seen("10.0.0.1", Port::tcp(1), 1, "http", Grade::Possible, &[]);
    silent.state = PortState::NoAnswer;
    assert!(derived(&[silent]).is_empty());
}

#[test]
fn a_hardware_address_comes_from_the_newest_table_and_a_conflict_is_told() {
    let tables = Coverage {
        neighbours: vec![
            neighbour(Some("10.7.10.10"), "00:90:e8:00:00:01", 5),
            neighbour(Some("10.7.10.10"), "00:11:22:00:00:01", 3),
            neighbour(Some("10.7.10.99"), "50:0b:88:00:00:02", 4),
            neighbour(None, "00:90:e8:00:00:01", 9),
            neighbour(None, "00:90:e8:00:00:77", 9),
        ],
        ..Coverage::default()
    };
    let seen = seen("10.7.10.10", Port::tcp(80), 1, "http", Grade::Proven, &[]);
    let assets = with_runs(&[seen], &[run("neighbours", tables)]);
    let [answered, silent] = assets.as_slice() else {
        panic!("{assets:?}")
    };
    let mac = answered.mac.as_ref().unwrap();
    assert_eq!(mac.address.to_string(), "00:90:e8:00:00:01");
    assert!(mac.registered_to_moxa);
    assert_eq!(mac.others.len(), 1);
    assert_eq!(mac.behind.as_deref(), Some("Gi0/1, vlan 10"));
    assert!(answered.answered && !silent.answered);
    let sources: Vec<&str> = answered.sources.iter().map(String::as_str).collect();
    assert_eq!(sources, ["import:neighbours", "scan"]);
    assert_eq!(answered.last_seen, Timestamp::from_second(5).unwrap());
    assert_eq!(silent.address.to_string(), "10.7.10.99");
    assert!(
        silent.services.is_empty() && silent.advisories.is_empty(),
        "a hardware address proves nothing"
    );
}

#[test]
fn what_is_installed_is_held_against_the_advisories() {
    let program = |name: &str, version: &str, publisher: &str| Program {
        name: Untrusted::new(name),
        version: Some(Untrusted::new(version)),
        publisher: Some(Untrusted::new(publisher)),
        location: None,
    };
    let host = HostEvidence {
        address: "10.7.10.30".parse().unwrap(),
        at: Timestamp::from_second(7).unwrap(),
        documents: vec!["netstat.txt (netstat (Windows))".into()],
        listeners: vec![HostListener {
            listener: Listener {
                transport: Transport::Tcp,
                address: "0.0.0.0".parse().unwrap(),
                number: 54321,
                takes_ipv4: None,
                process: None,
            },
            services: Vec::new(),
            identifications: vec![Identification {
                service: ServiceName::new("moxa-mdm-gateway").unwrap(),
                grade: Grade::Likely,
                reasons: Vec::new(),
                fields: Default::default(),
            }],
        }],
        programs: vec![
            program("MOXA Device Manager", "2.1", "Moxa Inc."),
            program("MXview 2.8", "2.8", "Moxa Technologies"),
            program("MXview", "2.8", "Somebody else"),
        ],
    };
    let coverage = Coverage {
        host: Some(host),
        ..Coverage::default()
    };
    let assets = with_runs(&[], &[run("host", coverage)]);
    let affected: Vec<(&str, &str)> = assets[0]
        .advisories
        .iter()
        .filter(|one| one.status == Status::Affected)
        .map(|one| (one.id.as_str(), one.product.model.as_str()))
        .collect();
    assert_eq!(
        affected,
        [
            ("ICSA-10-301-01A", "MDM Tool"),
            ("ICSA-18-011-02", "MXview"),
            ("ICSA-18-095-02", "MXview")
        ]
    );
    assert!(!assets[0].answered && assets[0].services[0].from_within);
    assert!(assets[0].roles.contains("management") && assets[0].sources.contains("check"));
}

#[test]
fn a_port_that_was_closed_when_it_was_seen_last_is_told_so() {
    let port = Port::tcp(54321);
    let closed = |second| Observation {
        state: PortState::Closed,
        identifications: Vec::new(),
        ..seen(
            "10.7.10.9",
            port,
            second,
            "moxa-mdm-gateway",
            Grade::Possible,
            &[],
        )
    };
    let open = |second| {
        seen(
            "10.7.10.9",
            port,
            second,
            "moxa-mdm-gateway",
            Grade::Possible,
            &[],
        )
    };
    let since = |observations: &[Observation]| derived(observations)[0].closed_since.get(&port).copied();
    assert_eq!(
        since(&[open(10), closed(20)]),
        Some(Timestamp::from_second(20).unwrap())
    );
    assert_eq!(since(&[closed(10), open(20)]), None);
    assert_eq!(since(&[closed(10)]), None, "nobody has seen it open");
}

#[test]
fn a_device_is_never_made_of_two_that_contradict_each_other() {
    let dsci = &[("model", "NPort 5110"), ("mac", "00:90:E8:01:02:03")];
    let console = &[
        ("model", "NPort 5410"),
        ("firmware", "3.5"),
        ("mac", "00:90:E8:99:99:99"),
    ];
    for (first, second, model, version) in [(1, 2, "NPort 5410", Some("3.5")), (2, 1, "NPort 5110", None)] {
        let assets = derived(&[
            seen(
                "10.0.0.1",
                Port::udp(4800),
                first,
                "moxa-dsci",
                Grade::Proven,
                dsci,
            ),
            seen(
                "10.0.0.1",
                Port::tcp(23),
                second,
                "moxa-telnet-console",
                Grade::Proven,
                console,
            ),
        ]);
        let device = assets[0].device.as_ref().unwrap();
        assert_eq!(
            (device.model.as_str(), device.version.as_deref()),
            (model, version)
        );
        let told = assets[0].contradictions.join("\n");
        assert!(
            told.contains("NPort 5110 (udp/4800") && told.contains("NPort 5410 (tcp/23"),
            "{told}"
        );
        assert_eq!(assets[0].mac.as_ref().unwrap().others.len(), 1);
    }
}

use std::collections::BTreeMap;

use portcullis_model::{
    Coverage, Evidence, HostListener, Identification, Listener, Neighbour, ProcessIdentity, Program, RunId,
    Transport, Untrusted,
};
use serde_json::json;

use super::*;

const HOST: &str = "10.7.10.10";
const GATEWAY: &str = "moxa-mdm-gateway";

fn seen(vantage: Vantage, port: Port, second: i64, found: &[(&str, Grade)]) -> Observation {
    let run = RunId::of(&[vantage.as_str().as_bytes()]);
    let address = HOST.parse().unwrap();
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
        identifications: found
            .iter()
            .map(|(service, grade)| Identification {
                service: ServiceName::new(service).unwrap(),
                grade: *grade,
                reasons: vec![format!("{service} looked {grade}")],
                fields: BTreeMap::new(),
            })
            .collect(),
        evidence: Vec::new(),
    }
}

fn silent(vantage: Vantage) -> Observation {
    seen(vantage, Port::tcp(54321), 1, &[(GATEWAY, Grade::Possible)])
}

fn run(coverage: Coverage) -> Run {
    Run {
        id: RunId::of(&[]),
        command: "import".into(),
        vantage: Vantage::import("neighbours", None),
        started: Timestamp::UNIX_EPOCH,
        ended: None,
        settings: json!({}),
        not_tested: Vec::new(),
        coverage,
    }
}

fn mac(mac: &str, second: i64) -> Run {
    run(Coverage {
        neighbours: vec![Neighbour {
            address: Some(HOST.parse().unwrap()),
            mac: mac.parse().unwrap(),
            interface: None,
            vlan: None,
            at: Timestamp::from_second(second).unwrap(),
        }],
        ..Coverage::default()
    })
}

fn texts(process: &str, installed: &[&str]) -> Run {
    let knowledge = Knowledge::builtin().unwrap();
    let programs: Vec<Program> = installed
        .iter()
        .map(|name| Program {
            name: Untrusted::new(*name),
            version: None,
            publisher: None,
            location: None,
        })
        .collect();
    let name = Untrusted::new(process);
    let within = Within {
        port: Port::tcp(54321),
        process: Some(&name),
        system_services: &[],
        programs: &programs,
    };
    let known = program::builtin().unwrap();
    let identifications = program::identify(&knowledge, &known, &within, &[]);
    run(Coverage {
        host: Some(HostEvidence {
            address: HOST.parse().unwrap(),
            at: Timestamp::UNIX_EPOCH,
            documents: Vec::new(),
            listeners: vec![HostListener {
                listener: Listener {
                    transport: Transport::Tcp,
                    address: "0.0.0.0".parse().unwrap(),
                    number: 54321,
                    takes_ipv4: None,
                    process: Some(ProcessIdentity {
                        name: Some(name),
                        ..ProcessIdentity::default()
                    }),
                },
                services: Vec::new(),
                identifications,
            }],
            programs,
        }),
        ..Coverage::default()
    })
}

fn found(observations: &[Observation], runs: &[Run]) -> Vec<Assessed> {
    let (knowledge, programs) = (Knowledge::builtin().unwrap(), program::builtin().unwrap());
    let hosts = Hosts::of(Facts {
        observations,
        runs,
        knowledge: &knowledge,
        programs: &programs,
        site: None,
        signatures: &[],
    });
    hosts.at(HOST.parse().unwrap(), Port::tcp(54321))
}

fn assessed(observations: &[Observation], runs: &[Run]) -> Assessed {
    found(observations, runs).swap_remove(0)
}

fn grade(observations: &[Observation], runs: &[Run]) -> Grade {
    assessed(observations, runs).assessment.grade
}

#[test]
fn a_silent_port_seen_from_everywhere_is_still_possible() {
    let mut everywhere = [
        silent(Vantage::this_host()),
        silent(Vantage::lab("office")),
        silent(Vantage::capture(Some("10.7.20.5"))),
        silent(Vantage::import("zeek", None)),
    ];
    everywhere[3].identifications[0].reasons = vec!["zeek called it `x`, by its port number alone".into()];
    assert_eq!(grade(&everywhere, &[]), Grade::Possible);
    assert_eq!(
        grade(&everywhere, &[mac("00:90:e8:00:00:01", 1)]),
        Grade::Possible
    );
}

#[test]
fn another_service_of_moxa_on_the_host_makes_it_likely_and_one_of_another_maker_does_not() {
    let port = |service: &str| {
        seen(
            Vantage::this_host(),
            Port::udp(4800),
            1,
            &[(service, Grade::Proven)],
        )
    };
    let with = |service: &str| grade(&[silent(Vantage::this_host()), port(service)], &[]);
    assert_eq!(with("moxa-dsci"), Grade::Likely);
    assert_eq!(with("digi-addp"), Grade::Possible);
}

#[test]
fn only_the_newest_hardware_address_counts() {
    let told = |runs: &[Run]| {
        assessed(&[silent(Vantage::this_host())], runs)
            .assessment
            .raised_by
            .len()
    };
    assert_eq!(told(&[mac("00:90:e8:00:00:01", 1)]), 2);
    assert_eq!(
        told(&[mac("00:90:e8:00:00:01", 1), mac("00:11:22:00:00:01", 2)]),
        1
    );
    let mut overheard = silent(Vantage::capture(None));
    overheard.evidence.push(Evidence {
        kind: EvidenceKind::HardwareAddress,
        note: "50:0b:88:00:00:01, registered to Moxa".into(),
        bytes: Vec::new(),
        behaviour: None,
    });
    assert_eq!(assessed(&[overheard], &[]).assessment.raised_by.len(), 2);
}

#[test]
fn the_host_itself_proves_it_by_process_and_program_together() {
    let look = [silent(Vantage::this_host())];
    assert_eq!(
        grade(&look, &[texts("MDMGw.exe", &["MOXA Device Manager 2"])]),
        Grade::Proven
    );
    assert_eq!(grade(&look, &[texts("MDMGw.exe", &[])]), Grade::Likely);
    assert_eq!(
        grade(&look, &[texts("svc.exe", &["MOXA Device Manager 2"])]),
        Grade::Likely
    );
    // Of itself alone, too: nobody need have reached it.
    assert_eq!(grade(&[], &[texts("MDMGw.exe", &[])]), Grade::Likely);
    let other = assessed(&look, &[texts("java.exe", &[])]).assessment;
    assert_eq!(other.grade, Grade::Possible);
    assert!(other.lowered_by[0].contains("java.exe"), "{other:?}");
}

#[test]
fn what_an_exchange_excludes_stays_excluded_and_the_host_s_contradiction_is_told() {
    let web = [("http", Grade::Proven), (GATEWAY, Grade::RuledOut)];
    let observations = [
        silent(Vantage::this_host()),
        seen(Vantage::lab("office"), Port::tcp(54321), 0, &web),
    ];
    let runs = [texts("MDMGw.exe", &["MOXA Device Manager 2"])];
    let found = found(&observations, &runs);
    assert_eq!(found[0].service.as_str(), "http");
    let gateway = &found[1].assessment;
    assert_eq!(gateway.grade, Grade::RuledOut);
    assert!(
        gateway
            .lowered_by
            .iter()
            .any(|line| line.starts_with("this contradicts: by its own tools")),
        "{gateway:?}"
    );
}

#[test]
fn a_name_of_nmap_counts_when_it_had_asked() {
    let mut nmap = seen(
        Vantage::import("nmap", None),
        Port::tcp(54321),
        1,
        &[(GATEWAY, Grade::Possible)],
    );
    let raised = |nmap: &Observation| {
        let found = assessed(&[silent(Vantage::this_host()), nmap.clone()], &[]);
        found.assessment.raised_by.len()
    };
    assert_eq!(raised(&nmap), 2);
    nmap.identifications[0].reasons = vec!["nmap called it `x`, by its port number alone".into()];
    assert_eq!(raised(&nmap), 1);
}

fn best(observations: &[Observation], runs: &[Run]) -> Option<Assessed> {
    let (knowledge, programs) = (Knowledge::builtin().unwrap(), program::builtin().unwrap());
    let hosts = Hosts::of(Facts {
        observations,
        runs,
        knowledge: &knowledge,
        programs: &programs,
        site: None,
        signatures: &[],
    });
    hosts.best(HOST.parse().unwrap(), Port::tcp(54321))
}

#[test]
fn what_contradicts_the_name_that_is_given_is_told() {
    let http = |second| {
        seen(
            Vantage::this_host(),
            Port::tcp(54321),
            second,
            &[("http", Grade::Proven), (GATEWAY, Grade::RuledOut)],
        )
    };
    let nessus = seen(
        Vantage::import("nessus", None),
        Port::tcp(54321),
        1,
        &[(GATEWAY, Grade::Likely)],
    );
    let texts = texts("MDMGw.exe", &["MOXA Device Manager"]);
    for (observations, runs, says) in [
        (
            vec![http(2), nessus.clone()],
            vec![],
            "moxa-mdm-gateway looked likely",
        ),
        (vec![http(0), nessus], vec![], "moxa-mdm-gateway looked likely"),
        (vec![http(2)], vec![texts], "its process is named MDMGw.exe"),
    ] {
        let best = best(&observations, &runs).unwrap();
        assert_eq!(best.service.as_str(), "http");
        let lowered = best.assessment.lowered_by.join("\n");
        assert!(
            lowered.contains("for moxa-mdm-gateway speaks") && lowered.contains(says),
            "{lowered}"
        );
    }
    let page = seen(
        Vantage::this_host(),
        Port::tcp(54321),
        1,
        &[("nport-web", Grade::Proven), ("http", Grade::Proven)],
    );
    let best = best(&[page], &[]).unwrap();
    assert!(
        best.assessment.lowered_by.is_empty(),
        "a page is carried in HTTP: {best:?}"
    );
}

#[test]
fn an_open_port_that_only_another_program_saw_is_possible_by_its_number() {
    let imported = seen(Vantage::import("masscan", None), Port::tcp(54321), 1, &[]);
    let found = best(std::slice::from_ref(&imported), &[]).unwrap();
    assert_eq!(found.service.as_str(), GATEWAY);
    assert_eq!(found.assessment.grade, Grade::Possible);
    // Who has looked oneself knows better.
    let own = seen(
        Vantage::this_host(),
        Port::tcp(54321),
        2,
        &[(GATEWAY, Grade::RuledOut)],
    );
    assert_eq!(best(&[imported, own], &[]), None);
}

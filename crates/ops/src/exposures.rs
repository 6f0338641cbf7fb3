//! Exposures: what was observed, minus what the conduits permit.

use std::collections::BTreeMap;

use portcullis_knowledge::{Knowledge, Role, program};
use portcullis_model::{
    Exposure, ExposureId, Grade, Networks, Observation, ObservationId, PortState, Severity, Site, Zone,
};

use crate::{
    Desk, OpsError,
    evidence::{Facts, Hosts},
    learn,
};

/// The exposures of the site, most urgent first, as of the latest observation from each vantage.
///
/// # Errors
/// Without a site, or when the store cannot be read.
pub async fn exposures(desk: &Desk) -> Result<Vec<Exposure>, OpsError> {
    let site = desk.site.as_ref().ok_or(OpsError::NoSite)?;
    let observations = desk.store.latest_observations().await.map_err(OpsError::Store)?;
    let runs = desk.store.runs_that_name_hosts().await.map_err(OpsError::Store)?;
    let signatures = learn::known(desk).await?;
    let programs = program::builtin().map_err(OpsError::Knowledge)?;
    let hosts = Hosts::of(Facts {
        observations: &observations,
        runs: &runs,
        knowledge: &desk.knowledge,
        programs: &programs,
        site: Some(site),
        signatures: &signatures,
    });
    Ok(derive(site, &observations, &desk.knowledge, &hosts))
}

/// The exposure whose id begins so.
///
/// # Errors
/// When there is none, or more than one.
pub(crate) async fn find(desk: &Desk, prefix: &str) -> Result<Exposure, OpsError> {
    let mut matching = exposures(desk).await?;
    matching.retain(|exposure| !prefix.is_empty() && exposure.id.to_string().starts_with(prefix));
    match (matching.pop(), matching.is_empty()) {
        (Some(exposure), true) => Ok(exposure),
        _ => Err(OpsError::NoSuchExposure(portcullis_model::sanitize(prefix))),
    }
}

/// Holds observations against the conduits, each port as what all that is known of its host makes it. Pure.
fn derive(
    site: &Site,
    observations: &[Observation],
    knowledge: &Knowledge,
    hosts: &Hosts<'_>,
) -> Vec<Exposure> {
    let mut exposures: BTreeMap<ExposureId, Exposure> = BTreeMap::new();
    for observation in observations
        .iter()
        .filter(|observation| observation.state == PortState::Open)
    {
        let Some(exposure) = exposure_of(site, observation, knowledge, hosts) else {
            continue;
        };
        match exposures.get_mut(&exposure.id) {
            Some(known) => join(known, exposure),
            None => {
                exposures.insert(exposure.id, exposure);
            }
        }
    }
    let mut exposures: Vec<Exposure> = exposures.into_values().collect();
    exposures.sort_by(|a, b| {
        (b.severity, b.grade)
            .cmp(&(a.severity, a.grade))
            .then((a.address, a.port, a.id).cmp(&(b.address, b.port, b.id)))
    });
    exposures
}

/// Two vantages of one zone that saw the same make one exposure, with the evidence of both.
fn join(known: &mut Exposure, further: Exposure) {
    let evidence: Vec<ObservationId> = if further.seen > known.seen {
        let earlier = std::mem::replace(known, further);
        earlier.evidence
    } else {
        further.evidence
    };
    known.evidence.extend(evidence);
}

/// The zone that a port was reached from.
enum From<'a> {
    Zone(&'a Zone),
    /// Another program reached it, and nobody said from where.
    Unknown,
}

impl From<'_> {
    /// As it is named in an exposure. No zone can be called so.
    fn name(&self) -> &str {
        match self {
            Self::Zone(zone) => &zone.name,
            Self::Unknown => UNKNOWN_ZONE,
        }
    }
}

const UNKNOWN_ZONE: &str = "an unknown zone";

fn looked_from<'a>(site: &'a Site, observation: &Observation) -> Option<From<'a>> {
    let by_address = observation.source.and_then(|source| site.zone_of(source));
    let Some((_, place)) = observation.vantage.imported() else {
        return by_address.map(From::Zone);
    };
    let by_name = || place.and_then(|place| site.zone(place));
    Some(by_address.or_else(by_name).map_or(From::Unknown, From::Zone))
}

fn exposure_of(
    site: &Site,
    observation: &Observation,
    knowledge: &Knowledge,
    hosts: &Hosts<'_>,
) -> Option<Exposure> {
    let from = looked_from(site, observation)?;
    let to = site.zone_of(observation.address);
    let best = hosts.best(observation.address, observation.port);
    let best = best.as_ref();
    let to_name = to.map_or("", |zone| zone.name.as_str());
    if let From::Zone(from) = &from
        && (from.name == to_name
            || best.is_some_and(|best| {
                let permitted = site.permits(&from.name, to_name, &best.service);
                permitted && hosts.may_be_taken_for(best, observation.port)
            }))
    {
        return None;
    }
    let from_anywhere = matches!(&from, From::Zone(zone) if zone.networks == Networks::Rest);
    let manages = best.is_some_and(|best| {
        knowledge
            .service(&best.service)
            .is_some_and(|known| known.role != Role::General)
    });
    let grade = best.map(|best| best.assessment.grade);
    let what = best.map_or_else(
        || "a service that was not identified".to_owned(),
        |best| best.service.to_string(),
    );
    let whose = to.map_or_else(
        || "no declared zone".to_owned(),
        |zone| format!("zone {}", zone.name),
    );
    Some(Exposure {
        id: ExposureId::of(&[
            observation.address.to_string().as_bytes(),
            observation.port.to_string().as_bytes(),
            from.name().as_bytes(),
        ]),
        severity: severity(from_anywhere, manages, grade),
        address: observation.address,
        zone: to.map(|zone| zone.name.clone()),
        port: observation.port,
        service: best.map(|best| best.service.clone()),
        grade,
        assessment: match best {
            Some(best) => Some(best.assessment.clone()),
            None => hosts.ruled_out(observation.address, observation.port),
        },
        from_zone: from.name().to_owned(),
        from_anywhere,
        vantage: observation.vantage.clone(),
        seen: observation.at,
        because: because(&from, &format!("{what} in {whose}"), observation),
        evidence: vec![observation.id],
    })
}

fn because(from: &From<'_>, what: &str, observation: &Observation) -> String {
    let by = match observation.vantage.imported() {
        Some((tool, _)) => format!(" by what {tool} saw"),
        None if observation.vantage.is_capture() => " as overheard".into(),
        None => String::new(),
    };
    match from {
        From::Zone(zone) => format!("{what} answers zone {}{by}, and no conduit permits it", zone.name),
        From::Unknown => {
            format!("{what} answers from an unknown zone{by}, so no conduit can be held against it")
        }
    }
}

fn severity(from_anywhere: bool, manages: bool, grade: Option<Grade>) -> Severity {
    let sure = grade >= Some(Grade::Likely);
    match (from_anywhere, manages, sure) {
        (true, true, true) => Severity::Critical,
        (true, true, false) | (false, true, true) => Severity::High,
        (true, false, _) | (false, true, false) => Severity::Medium,
        (false, false, _) => Severity::Low,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_model::{Identification, Port, RunId, ServiceName, Vantage};

    const SITE: &str = "[site]\nname='p'\n[[zone]]\nname='control'\nnetworks=['10.7.10.0/24']\n\
        [[zone]]\nname='engineering'\nnetworks=['10.7.20.0/24']\n[[zone]]\nname='internet'\nnetworks=['any']\n\
        [[conduit]]\nfrom='engineering'\nto='control'\nservices=['moxa-mdm-gateway']\n";

    fn observation(source: &str, port: u16, service: &str, grade: Grade) -> Observation {
        let (run, vantage) = (RunId::of(&[source.as_bytes()]), Vantage::this_host());
        let address = "10.7.10.10".parse().unwrap();
        Observation {
            id: Observation::id_of(run, &vantage, address, Port::tcp(port)),
            run,
            at: jiff::Timestamp::UNIX_EPOCH,
            vantage,
            source: Some(source.parse().unwrap()),
            address,
            port: Port::tcp(port),
            state: PortState::Open,
            because: String::new(),
            confidence: None,
            identifications: vec![Identification {
                service: ServiceName::new(service).unwrap(),
                grade,
                reasons: Vec::new(),
                fields: BTreeMap::new(),
            }],
            evidence: Vec::new(),
        }
    }

    fn found(observations: &[Observation]) -> Vec<Exposure> {
        let site = Site::parse("s", SITE).unwrap();
        let knowledge = Knowledge::builtin().unwrap();
        let hosts = Hosts::of(Facts {
            observations,
            runs: &[],
            knowledge: &knowledge,
            programs: &[],
            site: Some(&site),
            signatures: &[],
        });
        derive(&site, observations, &knowledge, &hosts)
    }

    fn derived(observations: &[Observation]) -> Vec<(Severity, String, u16)> {
        found(observations)
            .into_iter()
            .map(|exposure| (exposure.severity, exposure.from_zone, exposure.port.number))
            .collect()
    }

    #[test]
    fn what_a_conduit_permits_is_no_exposure_and_the_rest_is_ranked() {
        let found = derived(&[
            observation("10.7.20.5", 54321, "moxa-mdm-gateway", Grade::Possible),
            observation("10.7.20.5", 80, "http", Grade::Proven),
            observation("203.0.113.5", 80, "http", Grade::Proven),
            observation("203.0.113.5", 54321, "moxa-mdm-gateway", Grade::Possible),
            observation("203.0.113.5", 502, "modbus-tcp", Grade::Proven),
            observation("10.7.10.9", 54321, "moxa-mdm-gateway", Grade::Possible),
        ]);
        let found: Vec<(Severity, &str, u16)> = found.iter().map(|(s, z, p)| (*s, z.as_str(), *p)).collect();
        assert_eq!(
            found,
            [
                (Severity::Critical, "internet", 502),
                (Severity::High, "internet", 54321),
                (Severity::Medium, "internet", 80),
                (Severity::Low, "engineering", 80),
            ]
        );
    }

    fn imported(place: Option<&str>, source: &str) -> Observation {
        Observation {
            vantage: Vantage::import("nmap", place),
            source: (!source.is_empty()).then(|| source.parse().unwrap()),
            ..observation("10.7.10.9", 54321, "moxa-mdm-gateway", Grade::Possible)
        }
    }

    #[test]
    fn what_another_program_saw_is_named_as_its_own_and_held_against_the_zone_it_stood_in() {
        let found = super::tests::found(&[imported(None, "")]);
        assert_eq!(found[0].from_zone, "an unknown zone");
        assert_eq!(found[0].severity, Severity::Medium);
        assert_eq!(
            found[0].because,
            "moxa-mdm-gateway in zone control answers from an unknown zone by what nmap saw, so no conduit can be \
             held against it"
        );
        for (place, source) in [("engineering", ""), ("10.7.20.5", "10.7.20.5")] {
            assert_eq!(super::tests::found(&[imported(Some(place), source)]), []);
        }
        let found = super::tests::found(&[imported(Some("203.0.113.5"), "203.0.113.5")]);
        assert_eq!(found[0].from_zone, "internet");
        assert!(
            found[0]
                .because
                .contains("by what nmap saw, and no conduit permits it")
        );
    }

    #[test]
    fn a_service_that_was_ruled_out_gives_no_right_to_its_conduit() {
        let found = derived(&[observation(
            "10.7.20.5",
            54321,
            "moxa-mdm-gateway",
            Grade::RuledOut,
        )]);
        assert_eq!(found.len(), 1);
    }

    #[test]
    fn a_conduit_is_for_what_shows_itself_or_is_silent_at_its_own_port() {
        for (port, grade, exposed) in [
            (54321, Grade::Possible, false),
            (7000, Grade::Possible, true),
            (7000, Grade::Likely, false),
        ] {
            let found = derived(&[observation("10.7.20.5", port, "moxa-mdm-gateway", grade)]);
            assert_eq!(found.len(), usize::from(exposed), "{port} {grade}");
        }
    }

    #[test]
    fn why_nothing_was_named_is_told() {
        let found = super::tests::found(&[observation("203.0.113.5", 502, "modbus-tcp", Grade::RuledOut)]);
        let assessment = found[0].assessment.as_ref().unwrap();
        assert_eq!((found[0].grade, assessment.grade), (None, Grade::RuledOut));
        assert!(
            assessment.lowered_by[0].starts_with("not modbus-tcp: "),
            "{assessment:?}"
        );
    }

    #[test]
    fn the_same_seen_twice_is_one_exposure_with_both_as_evidence() {
        let (mut first, second) = (
            observation("203.0.113.5", 54321, "moxa-mdm-gateway", Grade::Possible),
            observation("203.0.113.6", 54321, "moxa-mdm-gateway", Grade::Possible),
        );
        first.at = "2026-01-01T00:00:00Z".parse().unwrap();
        let found = super::tests::found(&[second.clone(), first.clone()]);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].evidence, [first.id, second.id]);
    }
}

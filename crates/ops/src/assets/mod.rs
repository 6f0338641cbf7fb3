//! Assets: what is known of each host, put together from everything that was observed of it, and held against the
//! advisories.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use jiff::Timestamp;
pub use portcullis_knowledge::advisory::Status;
use portcullis_knowledge::{
    Knowledge, Role,
    advisory::{Advisory, assess, builtin},
};
use portcullis_model::{Grade, Observation, Port, PortState, ServiceName, Site};
use serde::Serialize;

use crate::{Desk, OpsError};

/// A host, and what is known of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Asset {
    /// Its address.
    pub address: IpAddr,
    /// The zone that claims it.
    pub zone: Option<String>,
    /// What its services are for: `management`, `control`, `general`.
    pub roles: BTreeSet<&'static str>,
    /// Its services, each with the surest grade.
    pub services: Vec<AssetService>,
    /// Open ports on which no service was recognised.
    pub unidentified: Vec<Port>,
    /// What it says of itself, by the names of `Identification::fields`, from the newest observation that has it.
    pub facts: BTreeMap<String, Fact>,
    /// When a port of it was last seen open or closed.
    pub last_seen: Timestamp,
    /// From where it was seen.
    pub seen_from: BTreeSet<String>,
    /// Advisories of its model.
    pub advisories: Vec<AssetAdvisory>,
}

/// A service of a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AssetService {
    /// Where it listens.
    pub port: Port,
    /// What it is.
    pub service: ServiceName,
    /// How sure that is.
    pub grade: Grade,
}

/// Something that a host says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fact {
    /// What it says, made harmless to show.
    pub value: String,
    /// Where: a port, and the service by which it said so.
    pub said_by: String,
}

/// An advisory held against a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AssetAdvisory {
    /// Its name.
    pub id: String,
    /// Its weaknesses.
    pub cves: Vec<String>,
    /// `affected`, `cannot-tell` or `not-affected`.
    pub status: Status,
    /// Why.
    pub reason: String,
    /// What to do about it.
    pub remedy: String,
}

/// All hosts that ever answered, as of the latest observation of each port from each vantage.
///
/// # Errors
/// When the store cannot be read.
pub async fn assets(desk: &Desk) -> Result<Vec<Asset>, OpsError> {
    let advisories = builtin().map_err(OpsError::Knowledge)?;
    let observations = desk.store.latest_observations().await.map_err(OpsError::Store)?;
    Ok(derive(
        &observations,
        desk.site.as_ref(),
        &desk.knowledge,
        &advisories,
    ))
}

/// Puts observations together by host. Pure. A host that never answered is not known to be there, and is left out.
pub fn derive(
    observations: &[Observation],
    site: Option<&Site>,
    knowledge: &Knowledge,
    advisories: &[Advisory],
) -> Vec<Asset> {
    let mut hosts: BTreeMap<IpAddr, Vec<&Observation>> = BTreeMap::new();
    for observation in observations {
        if matches!(observation.state, PortState::Open | PortState::Closed) {
            hosts.entry(observation.address).or_default().push(observation);
        }
    }
    hosts
        .into_iter()
        .filter_map(|(address, mut observations)| {
            observations.sort_by_key(|observation| observation.at);
            asset(address, &observations, site, knowledge, advisories)
        })
        .collect()
}

/// One host; its observations come oldest first.
fn asset(
    address: IpAddr,
    observations: &[&Observation],
    site: Option<&Site>,
    knowledge: &Knowledge,
    advisories: &[Advisory],
) -> Option<Asset> {
    let mut services: BTreeMap<(Port, ServiceName), Grade> = BTreeMap::new();
    let mut open = BTreeSet::new();
    let mut facts: BTreeMap<String, Fact> = BTreeMap::new();
    let mut roles = BTreeSet::new();
    for observation in observations.iter().filter(|one| one.state == PortState::Open) {
        open.insert(observation.port);
        let Some(best) = observation.best() else { continue };
        let key = (observation.port, best.service.clone());
        let grade = services.entry(key).or_insert(best.grade);
        *grade = best.grade.max(*grade);
        if let Some(service) = knowledge.service(&best.service) {
            roles.insert(match service.role {
                Role::Management => "management",
                Role::Control => "control",
                Role::General => "general",
            });
        }
        // A guess by the port alone tells nothing of the device.
        if best.grade < Grade::Likely {
            continue;
        }
        for (name, value) in &best.fields {
            let fact = Fact {
                value: value.to_string(),
                said_by: format!("{} {}", observation.port, best.service),
            };
            facts.insert(name.clone(), fact);
        }
    }
    let services: Vec<AssetService> = services
        .into_iter()
        .map(|((port, service), grade)| AssetService { port, service, grade })
        .collect();
    let unidentified = open
        .into_iter()
        .filter(|port| services.iter().all(|service| service.port != *port))
        .collect();
    let said = |names: &[&str]| {
        let fact = names.iter().find_map(|name| facts.get(*name))?;
        Some(fact.value.as_str())
    };
    let version = said(&["firmware", "revision", "version"]);
    let found = said(&["model", "product"]).map(|model| assess(advisories, model, version));
    Some(Asset {
        address,
        zone: site
            .and_then(|site| site.zone_of(address))
            .map(|zone| zone.name.clone()),
        roles,
        services,
        unidentified,
        last_seen: observations.last()?.at,
        seen_from: observations.iter().map(|one| one.vantage.to_string()).collect(),
        advisories: found
            .unwrap_or_default()
            .into_iter()
            .map(|assessment| AssetAdvisory {
                id: assessment.advisory.id.clone(),
                cves: assessment.advisory.cves.clone(),
                status: assessment.status,
                reason: assessment.reason,
                remedy: assessment.advisory.remedy.clone(),
            })
            .collect(),
        facts,
    })
}

#[cfg(test)]
mod tests {
    use portcullis_model::{Identification, RunId, Untrusted, Vantage};

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
        derive(
            observations,
            None,
            &Knowledge::builtin().unwrap(),
            &builtin().unwrap(),
        )
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
    fn a_host_that_never_answered_is_no_asset() {
        let mut silent = seen("10.0.0.1", Port::tcp(1), 1, "http", Grade::Possible, &[]);
        silent.state = PortState::NoAnswer;
        assert!(derived(&[silent]).is_empty());
    }
}

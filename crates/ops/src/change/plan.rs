//! Making a plan for this host.

use std::{net::IpAddr, time::Duration};

use ipnet::IpNet;
use portcullis_firewall::{
    backend,
    governing::Governing,
    plan::{allowed_by_site, closing},
};
use portcullis_model::{
    AllowedSource, BackendName, ExposureId, NetworkSet, Plan, Port, ServiceName, without,
};

use super::{
    facts::{Facts, Wanted},
    sweep,
};
use crate::{Desk, OpsError, exposures};

const SHOWN_TRIAL: Duration = Duration::from_secs(120);

/// What is to be closed, and for whom it stays open.
#[derive(Debug, Clone, Default)]
pub struct PlanRequest {
    /// Beginning of the id of an exposure.
    pub exposure: Option<String>,
    /// The port; that of the exposure when not given.
    pub port: Option<Port>,
    /// The hosts behind the one that is worked on whose port is closed; that of the host itself when empty.
    pub behind: Vec<IpAddr>,
    /// Who gets through beside those who have a conduit.
    pub allow: Vec<IpNet>,
    /// Who does not, whoever lets him.
    pub except: Vec<IpNet>,
    /// Whether a port on which nothing listens is closed all the same.
    pub preventive: bool,
    /// The firewall system to make it in; chosen when not given.
    pub backend: Option<BackendName>,
}

/// A plan, and the rules as they would be loaded now.
#[derive(Debug, Clone)]
pub struct Planned {
    /// The plan.
    pub plan: Plan,
    /// The transaction that `apply` would load on a trial of two minutes. The tag is a stand-in: the real one is derived
    /// from the moment of `apply`.
    pub rules: String,
    /// The transaction that would take it out again.
    pub inverse: String,
}

/// Makes a plan and keeps it. Nothing is changed, except that remains of ended trials are cleared away.
///
/// # Errors
/// See [`portcullis_firewall::plan()`]; an exposure that is not known or not on this host; without privileges.
pub async fn plan(desk: &Desk, request: &PlanRequest) -> Result<Planned, OpsError> {
    sweep::sweep(desk).await?;
    let facts = Facts::read(desk)?;
    let addresses = if request.behind.is_empty() {
        &facts.survey.addresses
    } else {
        &request.behind
    };
    let (port, service, exposure) = subject(desk, request, addresses).await?;
    let mut allow: Vec<AllowedSource> = match &desk.site {
        Some(site) => service
            .iter()
            .flat_map(|service| allowed_by_site(site, addresses, service))
            .collect(),
        None => Vec::new(),
    };
    let asked = |network: &IpNet| AllowedSource {
        network: network.trunc(),
        because: "asked for with --allow".into(),
    };
    allow.extend(request.allow.iter().map(asked));
    let allow = without_excepted(&allow, &request.except);
    let passing = !request.behind.is_empty();
    let governing =
        Governing::read(&desk.machine, &facts.snapshot, port, passing).map_err(OpsError::Firewall)?;
    let backend = governing.choose(request.backend).map_err(OpsError::Firewall)?;
    let wanted = Wanted {
        port,
        behind: request.behind.clone(),
        allow,
        exposure,
        preventive: request.preventive,
        backend,
    };
    let plan = facts.plan(desk, wanted)?;
    desk.store.save_plan(&plan).await.map_err(OpsError::Store)?;
    let closing = closing(&plan, "TAG");
    let beside = desk.own()?;
    let backend = backend::of(plan.backend);
    Ok(Planned {
        rules: backend.load(&closing, Some(SHOWN_TRIAL), &beside).to_string(),
        inverse: backend.inverse(&closing, &beside).to_string(),
        plan,
    })
}

/// Those who are allowed, less those who are not.
fn without_excepted(allow: &[AllowedSource], except: &[IpNet]) -> Vec<AllowedSource> {
    let except: NetworkSet = except.iter().copied().collect();
    let left = |source: &AllowedSource| {
        let because = match except.overlaps(&source.network) {
            true => format!("{}, less those of --except", source.because),
            false => source.because.clone(),
        };
        let networks = without(&source.network, &except);
        networks.into_iter().map(move |network| AllowedSource {
            network,
            because: because.clone(),
        })
    };
    allow.iter().flat_map(left).collect()
}

async fn subject(
    desk: &Desk,
    request: &PlanRequest,
    addresses: &[IpAddr],
) -> Result<(Port, Option<ServiceName>, Option<ExposureId>), OpsError> {
    let by_port = |port: Port| service_on(desk, port);
    match (&request.exposure, request.port) {
        (Some(prefix), port) => {
            let exposure = exposures::find(desk, prefix).await?;
            if !addresses.contains(&exposure.address) {
                let id = exposure.id.short();
                return Err(OpsError::ExposureElsewhere {
                    exposure: id,
                    address: exposure.address,
                });
            }
            let port = port.unwrap_or(exposure.port);
            Ok((
                port,
                exposure.service.clone().or_else(|| by_port(port)),
                Some(exposure.id),
            ))
        }
        (None, Some(port)) => Ok((port, by_port(port), None)),
        (None, None) => Err(OpsError::NoSuchExposure(String::new())),
    }
}

/// The service that a port stands for on this site: what was last seen there counts for more than its number.
pub(super) fn service_on(desk: &Desk, port: Port) -> Option<ServiceName> {
    let moved = desk
        .moved()
        .into_iter()
        .find(|(_, moved)| *moved == port)
        .map(|(name, _)| name);
    moved.or_else(|| {
        let names = desk.knowledge.names();
        names.into_iter().find(|name| {
            desk.knowledge
                .service(name)
                .is_some_and(|known| known.ports.contains(&port))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_excepted_is_taken_from_those_who_are_allowed() {
        let source = |network: &str| AllowedSource {
            network: network.parse().unwrap(),
            because: "conduit engineering -> control".into(),
        };
        let allow = [source("10.7.20.0/30"), source("10.7.30.0/24")];
        let left = without_excepted(&allow, &["10.7.20.1/32".parse().unwrap()]);
        let told: Vec<String> = left
            .iter()
            .map(|left| format!("{} {}", left.network, left.because))
            .collect();
        assert_eq!(
            told,
            [
                "10.7.20.0/32 conduit engineering -> control, less those of --except",
                "10.7.20.2/31 conduit engineering -> control, less those of --except",
                "10.7.30.0/24 conduit engineering -> control",
            ]
        );
    }
}

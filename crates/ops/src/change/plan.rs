//! Making a plan for this host.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use ipnet::IpNet;
use portcullis_firewall::{
    PlanInput, backend,
    governing::Governing,
    plan::{allowed_by_site, closing},
    state,
};
use portcullis_model::{AllowedSource, BackendName, Connection, ExposureId, Plan, Port, ServiceName};

use super::sweep;
use crate::{Desk, OpsError, check, exposures};

const SHOWN_TRIAL: Duration = Duration::from_secs(120);

/// What is to be closed, and for whom it stays open.
#[derive(Debug, Clone, Default)]
pub struct PlanRequest {
    /// Beginning of the id of an exposure.
    pub exposure: Option<String>,
    /// The port; that of the exposure when not given.
    pub port: Option<Port>,
    /// Who gets through beside those who have a conduit.
    pub allow: Vec<IpNet>,
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
    let addresses = portcullis_sys::host::addresses();
    let (port, service, exposure) = subject(desk, request, &addresses).await?;
    let mut allow = match &desk.site {
        Some(site) => service
            .iter()
            .flat_map(|service| allowed_by_site(site, &addresses, service))
            .collect(),
        None => Vec::new(),
    };
    let asked = |network: &IpNet| AllowedSource {
        network: network.trunc(),
        because: "asked for with --allow".into(),
    };
    allow.extend(request.allow.iter().map(asked));
    let checked = check::this_host()?;
    let snapshot =
        state::read(&desk.machine, &checked.listeners, &checked.connections).map_err(OpsError::Firewall)?;
    let governing = Governing::read(&desk.machine, &snapshot, port);
    let plan = portcullis_firewall::plan(PlanInput {
        now: (desk.now)(),
        host: desk.host.clone(),
        addresses: &addresses,
        port,
        allow,
        exposure,
        site: desk.site.as_ref(),
        backend: governing.choose(request.backend).map_err(OpsError::Firewall)?,
        snapshot,
        listeners: &checked.listeners,
        connections: &checked.connections,
        tracked: &tracked(),
        above: &above(&checked.connections)?,
        ephemeral: portcullis_sys::host::ephemeral_ports(),
        preventive: request.preventive,
    })
    .map_err(OpsError::Firewall)?;
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

/// The tracked connections; none when the tracker cannot be read, which the planner can live with.
pub(super) fn tracked() -> Vec<(SocketAddr, SocketAddr)> {
    match portcullis_sys::conntrack::flows() {
        Ok(flows) => flows
            .iter()
            .map(|flow| (flow.originator, flow.responder))
            .collect(),
        Err(error) => {
            tracing::debug!(%error, "the connection tracker cannot be read");
            Vec::new()
        }
    }
}

/// The connections over which the operator works: those of processes above, and the one that ssh tells of.
pub(super) fn above(connections: &[Connection]) -> Result<Vec<Connection>, OpsError> {
    let mut above = held_above()?;
    let told = told_by_ssh(&std::env::var("SSH_CONNECTION").unwrap_or_default());
    above.extend(
        connections
            .iter()
            .filter(|c| told == Some((c.peer, c.local)))
            .cloned(),
    );
    Ok(above)
}

fn held_above() -> Result<Vec<Connection>, OpsError> {
    let sockets = portcullis_sys::sockets().map_err(OpsError::System)?;
    let held = portcullis_sys::host::sockets_above(&sockets);
    Ok(held
        .iter()
        .map(|socket| Connection {
            local: socket.local,
            peer: socket.peer,
            process: None,
        })
        .collect())
}

/// The remote session that this process runs in, as `client -> server`: what ssh tells of, or the connections that
/// the processes above hold, for `sudo` takes the word of ssh away. `None` on a console.
pub(super) fn session() -> Result<Option<String>, OpsError> {
    let shown = |peer: SocketAddr, local: SocketAddr| format!("{peer} -> {local}");
    if let Some((peer, local)) = told_by_ssh(&std::env::var("SSH_CONNECTION").unwrap_or_default()) {
        return Ok(Some(shown(peer, local)));
    }
    let held: Vec<String> = held_above()?
        .iter()
        .map(|one| shown(one.peer, one.local))
        .collect();
    Ok((!held.is_empty()).then(|| held.join(", ")))
}

/// Both ends of `SSH_CONNECTION`, which is `client port server port` (ssh(1)).
fn told_by_ssh(text: &str) -> Option<(SocketAddr, SocketAddr)> {
    let mut words = text.split_whitespace();
    let mut end = || {
        Some(SocketAddr::new(
            words.next()?.parse().ok()?,
            words.next()?.parse().ok()?,
        ))
    };
    Some((end()?, end()?))
}

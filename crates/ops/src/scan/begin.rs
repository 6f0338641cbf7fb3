//! Before the first packet: what is to be scanned, whether it may be, and the run that it belongs to.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use portcullis_knowledge::profinet;
use portcullis_model::{Coverage, Permission, Port, Run, RunId, ServiceName, Transport, covered};
use portcullis_scan::{
    MOST_PROBES, Pace,
    checkpoint::{Basis, Header, Mode, Schema},
    guard::Guard,
    targets::{self, Resolved},
};
use serde_json::json;

use super::{Request, authority::PermissionUsed};
use crate::{Desk, OpsError, desk::read_text};

/// A scan as its checkpoint says that it was begun.
pub(super) fn as_begun(header: &Header) -> Result<Request, OpsError> {
    let guards: Result<Vec<Guard>, _> = header.guards.iter().map(|guard| guard.parse()).collect();
    Ok(Request {
        targets: header.targets.clone(),
        ports: header.ports.clone(),
        pace: Pace {
            total_per_second: header.packets_per_second,
            per_host_per_second: header.per_host,
            per_subnet_per_second: header.per_subnet,
            ..Pace::default()
        },
        mode: header.mode,
        services: header.services.clone(),
        // It is never written down.
        community: None,
        second_look: header.second_look,
        guards: guards.map_err(OpsError::Guard)?,
        resume: None,
        permission: header.permission.clone().map(PathBuf::from),
        signers: header.signers.clone().map(PathBuf::from),
    })
}

pub(super) fn as_resolved(header: &Header) -> Resolved {
    Resolved {
        addresses: header.addresses.clone(),
        scopes: header.scopes.clone(),
    }
}

/// What a scan rests on beside its own options.
pub(super) fn basis(desk: &Desk, permission: Option<&PermissionUsed>) -> Basis {
    Basis {
        permission: permission.map(|used| used.digest),
        site: desk.site.as_ref().map(|site| site.digest),
        knowledge: desk.own_services.as_ref().map(|own| own.digest),
        program: env!("CARGO_PKG_VERSION").into(),
    }
}

pub(super) fn header(
    desk: &Desk,
    request: &Request,
    run: &Run,
    resolved: &Resolved,
    ports: &[Port],
    pace: Pace,
    basis: Basis,
) -> Header {
    // A resumed scan may be started in another folder.
    let absolute = |path: &PathBuf| {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
        path.to_string_lossy().into_owned()
    };
    Header {
        schema: Schema::default(),
        run: run.id,
        started: run.started,
        vantage: run.vantage.clone(),
        targets: request.targets.clone(),
        addresses: resolved.addresses.clone(),
        scopes: resolved.scopes.clone(),
        ports: ports.to_vec(),
        moved: desk.moved(),
        services: request.services.clone(),
        second_look: request.second_look,
        mode: request.mode,
        packets_per_second: pace.total_per_second,
        per_host: pace.per_host_per_second,
        per_subnet: pace.per_subnet_per_second,
        guards: request.guards.iter().map(Guard::to_string).collect(),
        permission: request.permission.as_ref().map(absolute),
        signers: request.signers.as_ref().map(absolute),
        basis,
    }
}

/// Goes on with a run that was begun before, if nothing that matters has changed.
pub(super) async fn go_on(
    desk: &Desk,
    header: &Header,
    basis: &Basis,
    path: Option<&Path>,
) -> Result<Run, OpsError> {
    let held = header.holds(basis, &desk.vantage());
    held.map_err(|source| OpsError::Resume {
        path: path.unwrap_or(Path::new("")).into(),
        source,
    })?;
    let run = desk.store.run(header.run).await.map_err(OpsError::Store)?;
    let subject = format!("run {} from {}", header.run, header.vantage);
    desk.record("scan.resume", subject, json!({ "run": header.run }))
        .await?;
    match run {
        Some(run) => Ok(run),
        None => {
            // The store may be another one than that in which the scan was begun.
            let run = Run {
                id: header.run,
                command: "scan".into(),
                vantage: header.vantage.clone(),
                started: header.started,
                ended: None,
                settings: json!({ "targets": header.targets, "resumed": true }),
                not_tested: Vec::new(),
                coverage: Coverage::default(),
            };
            desk.store.begin_run(&run).await.map_err(OpsError::Store)?;
            Ok(run)
        }
    }
}

/// The ports of the management and control services that are known, and those that the site moved them to.
pub fn default_ports(desk: &Desk) -> Vec<Port> {
    let mut ports = desk.knowledge.default_ports();
    ports.extend(desk.moved().into_iter().map(|(_, port)| port));
    ports.sort();
    ports.dedup();
    ports
}

/// The ports where these services are usual, and those that the site moved them to.
fn ports_of(desk: &Desk, services: &[ServiceName]) -> Vec<Port> {
    let usual = services.iter().filter_map(|name| desk.knowledge.service(name));
    let moved = desk
        .moved()
        .into_iter()
        .filter(|(name, _)| services.contains(name));
    let moved = moved.map(|(_, port)| port);
    usual
        .flat_map(|service| service.ports.clone())
        .chain(moved)
        .collect()
}

/// Where services are beside their usual ports: as the site says, and as the person does who names both service and port.
pub(super) fn moved(desk: &Desk, request: &Request) -> Vec<(ServiceName, Port)> {
    let mut moved = desk.moved();
    moved.extend(elsewhere(desk, request));
    moved.sort();
    moved.dedup();
    moved
}

/// Where services are only because a person named both service and port: neither usual there nor moved there by the site.
pub(super) fn elsewhere(desk: &Desk, request: &Request) -> Vec<(ServiceName, Port)> {
    let moved = desk.moved();
    let mut named = Vec::new();
    for name in &request.services {
        let usual = desk
            .knowledge
            .service(name)
            .map(|service| service.ports.as_slice());
        let elsewhere = request
            .ports
            .iter()
            .filter(|port| usual.is_none_or(|usual| !usual.contains(port)))
            .map(|port| (name.clone(), *port));
        named.extend(elsewhere.filter(|place| !moved.contains(place)));
    }
    named
}

/// Refuses services that nobody knows, and SNMP without a community.
pub(super) fn services_known(desk: &Desk, request: &Request, has_community: bool) -> Result<(), OpsError> {
    for name in &request.services {
        if desk.knowledge.service(name).is_none() {
            return Err(OpsError::UnknownService(name.clone()));
        }
        if name.as_str() == profinet::SERVICE {
            return Err(OpsError::BelowIp);
        }
        if desk.knowledge.needs_community(name) && !has_community && request.mode == Mode::Connect {
            return Err(OpsError::NoCommunity(name.clone()));
        }
    }
    match request.mode {
        Mode::Syn if request.second_look => Err(OpsError::NothingToAsk),
        _ => Ok(()),
    }
}

/// The ports of a scan. Where none were named, a way to look that has no UDP is not asked for any.
pub(super) fn ports(desk: &Desk, request: &Request) -> Vec<Port> {
    let mut ports = match (request.ports.as_slice(), request.services.as_slice()) {
        ([], []) => default_ports(desk),
        ([], services) => ports_of(desk, services),
        (ports, _) => ports.to_vec(),
    };
    ports.sort_unstable();
    ports.dedup();
    if !request.ports.is_empty() {
        return ports;
    }
    if request.mode == Mode::Syn {
        ports.retain(|port| port.transport == Transport::Tcp);
    }
    ports
}

pub(super) async fn resolve(
    desk: &Desk,
    request: &Request,
    permission: Option<&Permission>,
) -> Result<Resolved, OpsError> {
    let (files, direct): (Vec<&String>, Vec<&String>) =
        request.targets.iter().partition(|text| text.starts_with('@'));
    let mut all = targets::parse(&direct).map_err(OpsError::Targets)?;
    for file in files {
        let text = read_text(Path::new(file.trim_start_matches('@')))?;
        all = all.merge(targets::parse_list(&text).map_err(OpsError::Targets)?);
    }
    // Asking for a name sends packets, too, and not outside the hours.
    let names = all.names().count();
    if names > 0
        && let Some(closed) = permission.and_then(|permission| permission.open_at((desk.now)()).err())
    {
        return Err(OpsError::NotPermitted {
            count: names,
            total: names,
            first: closed,
        });
    }
    all.resolve().await.map_err(OpsError::Targets)
}

/// A guard is asked, too, and must be permitted like any target: on its port, or on any of those that are scanned when it
/// is asked by ICMP.
pub(super) fn guards_permitted(
    desk: &Desk,
    guards: &[Guard],
    ports: &[Port],
    permission: Option<&Permission>,
) -> Result<(), OpsError> {
    for guard in guards {
        let address = guard.address();
        let by_port = |port: Port| permitted(desk, &[address], &[port], permission);
        match guard.port() {
            Some(port) => by_port(port)?,
            None => match ports.iter().map(|port| by_port(*port)).find(Result::is_ok) {
                Some(_) => {}
                None => permitted(desk, &[address], ports, permission)?,
            },
        }
    }
    Ok(())
}

/// Refuses a scan that would need too much memory.
pub(super) fn not_too_many(addresses: usize, ports: usize) -> Result<(), OpsError> {
    match addresses as u128 * ports as u128 {
        count if count > MOST_PROBES => Err(OpsError::TooManyPorts { count }),
        _ => Ok(()),
    }
}

/// Refuses the whole scan when one address may not be scanned, so that a slip of the finger sends nothing at all.
pub(super) fn permitted(
    desk: &Desk,
    addresses: &[IpAddr],
    ports: &[Port],
    permission: Option<&Permission>,
) -> Result<(), OpsError> {
    // The time is the same for all of them, and is asked once.
    let closed = permission.and_then(|permission| permission.open_at((desk.now)()).err());
    let denial = |address: &IpAddr| match &closed {
        Some(closed) if !address.to_canonical().is_loopback() => Some(closed.clone()),
        _ => ports
            .iter()
            .find_map(|port| covered(*address, *port, desk.site.as_ref(), permission).err()),
    };
    let mut refused = addresses.iter().filter_map(denial);
    match refused.next() {
        Some(first) => {
            let count = 1 + refused.count();
            Err(OpsError::NotPermitted {
                count,
                total: addresses.len(),
                first,
            })
        }
        None => Ok(()),
    }
}

pub(super) async fn begin(
    desk: &Desk,
    request: &Request,
    pace: Pace,
    permission: Option<&PermissionUsed>,
    addresses: usize,
    ports: &[Port],
) -> Result<Run, OpsError> {
    let started: Timestamp = (desk.now)();
    let vantage = desk.vantage();
    let settings = json!({
        "targets": request.targets,
        "mode": request.mode,
        "services": request.services,
        "second_look": request.second_look,
        "ports": ports,
        "packets_per_second": pace.total_per_second,
        "per_host": pace.per_host_per_second,
        "per_subnet": pace.per_subnet_per_second,
        "asked_for": {
            "packets_per_second": request.pace.total_per_second,
            "per_host": request.pace.per_host_per_second,
            "per_subnet": request.pace.per_subnet_per_second,
        },
        "guards": request.guards.iter().map(Guard::to_string).collect::<Vec<_>>(),
        "permission": permission,
    });
    let run = Run {
        id: RunId::of(&[
            b"scan",
            vantage.as_str().as_bytes(),
            started.to_string().as_bytes(),
        ]),
        command: "scan".into(),
        vantage,
        started,
        ended: None,
        settings: settings.clone(),
        not_tested: Vec::new(),
        coverage: Coverage::default(),
    };
    desk.record(
        "scan.start",
        format!("{addresses} addresses from {}", run.vantage),
        settings,
    )
    .await?;
    desk.store.begin_run(&run).await.map_err(OpsError::Store)?;
    Ok(run)
}

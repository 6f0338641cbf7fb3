//! Scanning: what may be scanned is decided here, before the first packet and again before each.

mod authority;

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::Timestamp;
use portcullis_model::{NotTested, Observation, Permission, Port, Run, RunId, covered, may_scan};
use portcullis_scan::{
    Counters, DEFAULT_CONNECT_TIMEOUT, Pace, ScanOutcome, ScanRequest, SilentRange, Watcher, targets,
};
use serde::Serialize;
use serde_json::json;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::{Desk, OpsError, Stop, desk::read_text};
use authority::{Authority, Source, permitted_pace};
pub use authority::{PermissionUsed, Signature, Tightening};

/// What is to be scanned.
#[derive(Debug, Clone)]
pub struct Request {
    /// Targets as typed; `@FILE` names a file with targets.
    pub targets: Vec<String>,
    /// Ports; those of the known services when empty.
    pub ports: Vec<Port>,
    /// How fast.
    pub pace: Pace,
    /// File with the owner's permission.
    pub permission: Option<PathBuf>,
    /// File with the keys that may sign a permission; without it signatures are not checked.
    pub signers: Option<PathBuf>,
}

/// What came of it.
#[derive(Debug, Clone, Serialize)]
pub struct Scanned {
    /// The run, as kept.
    pub run: Run,
    /// What was seen.
    pub observations: Vec<Observation>,
    /// Hosts that answered nothing, when there are too many to list each port.
    #[serde(skip)]
    pub silent: Vec<SilentRange>,
    /// Number of addresses that were asked for.
    pub addresses: usize,
    /// Number of ports for each.
    pub ports: usize,
    /// Counts.
    #[serde(skip)]
    pub counters: Counters,
    /// Whether the operator stopped it.
    pub interrupted: bool,
    /// The permission that it began with.
    #[serde(skip)]
    pub permission: Option<PermissionUsed>,
    /// In words, where the permission made it slower than asked for.
    #[serde(skip)]
    pub slowed: Vec<String>,
    /// How the permission was tightened while it ran.
    #[serde(skip)]
    pub tightenings: Vec<Tightening>,
}

/// Scans, and keeps what was seen. Refuses before anything is sent when any target may not be scanned.
///
/// # Errors
/// Targets that cannot be read, or may not be scanned; a store that cannot be written.
pub async fn scan(
    desk: &Desk,
    request: &Request,
    watcher: &mut dyn Watcher,
    stop: Stop,
) -> Result<Scanned, OpsError> {
    let source = request.permission.clone().map(|file| Source {
        file,
        signers: request.signers.clone(),
    });
    let used = source.as_ref().map(Source::read).transpose()?;
    let permission = used.as_ref().map(|used| &used.permission);
    let addresses = resolve(&request.targets).await?;
    let ports = if request.ports.is_empty() {
        default_ports(desk)
    } else {
        request.ports.clone()
    };
    permitted(desk, &addresses, &ports, permission)?;
    let (pace, slowed) = permitted_pace(request.pace, permission);

    let mut run = begin(desk, request, pace, used.as_ref(), addresses.len(), &ports).await?;
    let authority = permission.map(|permission| Authority::new(permission.clone(), pace));
    let (site, now) = (desk.site.as_ref(), desk.now);
    let permit = |address: IpAddr, port: Port| {
        let verdict = match &authority {
            Some(authority) => authority.permits(address, port, now()),
            None => may_scan(address, port, site, None, now()),
        };
        verdict.map_err(|denial| denial.reason())
    };
    let scan = ScanRequest {
        run: run.id,
        vantage: run.vantage.clone(),
        addresses: addresses.clone(),
        ports: ports.clone(),
        moved: desk.moved(),
        pace,
        earlier: Vec::new(),
        connect_timeout: DEFAULT_CONNECT_TIMEOUT,
    };
    let (tell, told) = unbounded_channel();
    let watched = authority.as_ref().zip(source).zip(used.as_ref());
    let watch = watched.map(|((authority, source), used)| authority.watch(source, used.digest, tell));
    let scanning = async {
        let outcome: ScanOutcome = portcullis_scan::scan(scan, &desk.knowledge, &permit, watcher, stop).await;
        drop(watch);
        outcome
    };
    let (outcome, tightenings) = tokio::join!(scanning, record_tightenings(desk, run.id, told));
    run.ended = (!outcome.interrupted).then(desk.now);
    run.not_tested = outcome.not_tested;
    desk.store
        .add_observations(&outcome.observations)
        .await
        .map_err(OpsError::Store)?;
    desk.store.finish_run(&run).await.map_err(OpsError::Store)?;
    // What was seen is kept before a failure of the record is told.
    let tightenings = tightenings?;
    Ok(Scanned {
        run,
        observations: outcome.observations,
        silent: outcome.silent,
        addresses: addresses.len(),
        ports: ports.len(),
        counters: outcome.counters,
        interrupted: outcome.interrupted,
        permission: used,
        slowed,
        tightenings,
    })
}

/// The ports of the management and control services that are known, and those that the site moved them to.
pub fn default_ports(desk: &Desk) -> Vec<Port> {
    let mut ports = desk.knowledge.default_ports();
    ports.extend(desk.moved().into_iter().map(|(_, port)| port));
    ports.sort();
    ports.dedup();
    ports
}

/// The time that a scan takes at the least, by its pace alone.
pub fn least_time(addresses: usize, ports: usize, pace: Pace) -> Duration {
    let packets = (addresses as u64).saturating_mul(ports as u64);
    let overall = packets / u64::from(pace.total_per_second.max(1));
    let per_host = ports as u64 / u64::from(pace.per_host_per_second.max(1));
    Duration::from_secs(overall.max(per_host))
}

/// Writes each tightening to the audit record until nobody watches the permission any more.
async fn record_tightenings(
    desk: &Desk,
    run: RunId,
    mut told: UnboundedReceiver<Tightening>,
) -> Result<Vec<Tightening>, OpsError> {
    let mut tightenings = Vec::new();
    while let Some(tightening) = told.recv().await {
        let details = json!({ "run": run, "tightening": tightening });
        desk.record("scan.permission-tightened", format!("run {run}"), details)
            .await?;
        tightenings.push(tightening);
    }
    Ok(tightenings)
}

async fn resolve(typed: &[String]) -> Result<Vec<IpAddr>, OpsError> {
    let (files, direct): (Vec<&String>, Vec<&String>) = typed.iter().partition(|text| text.starts_with('@'));
    let mut all = targets::parse(&direct).map_err(OpsError::Targets)?;
    for file in files {
        let text = read_text(Path::new(file.trim_start_matches('@')))?;
        all = all.merge(targets::parse_list(&text).map_err(OpsError::Targets)?);
    }
    all.resolve().await.map_err(OpsError::Targets)
}

/// Refuses the whole scan when one address may not be scanned, so that a slip of the finger sends nothing at all.
fn permitted(
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

async fn begin(
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
        "ports": ports,
        "packets_per_second": pace.total_per_second,
        "per_host": pace.per_host_per_second,
        "asked_for": {
            "packets_per_second": request.pace.total_per_second,
            "per_host": request.pace.per_host_per_second,
        },
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
        not_tested: Vec::<NotTested>::new(),
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

//! Scanning: what may be scanned is decided here, before the first packet and again before each.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::Timestamp;
use portcullis_model::{NotTested, Observation, Permission, Port, Run, RunId, may_scan};
use portcullis_scan::{
    Counters, DEFAULT_CONNECT_TIMEOUT, Pace, Progress, ScanOutcome, ScanRequest, SilentRange, targets,
};
use serde::Serialize;
use serde_json::json;

use crate::{Desk, OpsError, Stop, desk::read_text};

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
}

/// Scans, and keeps what was seen. Refuses before anything is sent when any target may not be scanned.
///
/// # Errors
/// Targets that cannot be read, or may not be scanned; a store that cannot be written.
pub async fn scan(
    desk: &Desk,
    request: &Request,
    progress: &mut (dyn FnMut(&Progress) + Send),
    stop: Stop,
) -> Result<Scanned, OpsError> {
    let permission = request.permission.as_deref().map(read_permission).transpose()?;
    let addresses = resolve(&request.targets).await?;
    let ports = if request.ports.is_empty() {
        default_ports(desk)
    } else {
        request.ports.clone()
    };
    permitted(desk, &addresses, &ports, permission.as_ref())?;

    let mut run = begin(desk, request, permission.as_ref(), addresses.len(), &ports).await?;
    let (site, now) = (desk.site.as_ref(), desk.now);
    let permit = |address: IpAddr, port: Port| {
        may_scan(address, port, site, permission.as_ref(), now()).map_err(|denial| denial.reason())
    };
    let scan = ScanRequest {
        run: run.id,
        vantage: run.vantage.clone(),
        addresses: addresses.clone(),
        ports: ports.clone(),
        moved: desk.moved(),
        pace: request.pace,
        connect_timeout: DEFAULT_CONNECT_TIMEOUT,
    };
    let outcome: ScanOutcome = portcullis_scan::scan(scan, &desk.knowledge, &permit, progress, stop).await;
    run.ended = (!outcome.interrupted).then(desk.now);
    run.not_tested = outcome.not_tested;
    desk.store
        .add_observations(&outcome.observations)
        .await
        .map_err(OpsError::Store)?;
    desk.store.finish_run(&run).await.map_err(OpsError::Store)?;
    Ok(Scanned {
        run,
        observations: outcome.observations,
        silent: outcome.silent,
        addresses: addresses.len(),
        ports: ports.len(),
        counters: outcome.counters,
        interrupted: outcome.interrupted,
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

fn read_permission(path: &Path) -> Result<Permission, OpsError> {
    let text = read_text(path)?;
    Permission::parse(&path.to_string_lossy(), &text).map_err(OpsError::Config)
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
    let now = (desk.now)();
    let denial = |address: &IpAddr| {
        ports
            .iter()
            .find_map(|port| may_scan(*address, *port, desk.site.as_ref(), permission, now).err())
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
    permission: Option<&Permission>,
    addresses: usize,
    ports: &[Port],
) -> Result<Run, OpsError> {
    let started: Timestamp = (desk.now)();
    let vantage = desk.vantage();
    let settings = json!({
        "targets": request.targets,
        "ports": ports,
        "packets_per_second": request.pace.total_per_second,
        "per_host": request.pace.per_host_per_second,
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

//! Scanning: what may be scanned is decided here, before the first packet and again before each.

mod authority;
mod keeping;

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use portcullis_model::{NotTested, Observation, Permission, Port, Run, RunId, covered, may_scan};
use portcullis_scan::{
    Counters, DEFAULT_CONNECT_TIMEOUT, Pace, ScanOutcome, ScanRequest, SilentRange, Watcher,
    checkpoint::{Basis, Header, Schema},
    syn::{self, SynRequest},
    targets,
};
use serde::Serialize;
use serde_json::json;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::{Desk, OpsError, Stop, desk::read_text};
use authority::{Authority, Source, permitted_pace};
pub use authority::{PermissionUsed, Signature, Tightening};
use keeping::Keeping;

/// How a port is looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// By a full connection, and by asking what the service is.
    #[default]
    Connect,
    /// By the first packet of a connection only; services are not named.
    Syn,
}

/// What is to be scanned.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// Targets as typed; `@FILE` names a file with targets.
    pub targets: Vec<String>,
    /// Ports; those of the known services when empty.
    pub ports: Vec<Port>,
    /// How fast.
    pub pace: Pace,
    /// How a port is looked at.
    pub mode: Mode,
    /// Checkpoint of a scan that shall go on; everything else is taken from there.
    pub resume: Option<PathBuf>,
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
    /// With what it can go on, if it did not come to its end.
    pub checkpoint: Option<PathBuf>,
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
    let checkpoint = request.resume.as_deref().map(keeping::read).transpose()?;
    let begun = checkpoint.as_ref().map(|checkpoint| as_begun(&checkpoint.header));
    let resume = request.resume.clone();
    let request = begun.as_ref().unwrap_or(request);
    let source = request.permission.clone().map(|file| Source {
        file,
        signers: request.signers.clone(),
    });
    let used = source.as_ref().map(Source::read).transpose()?;
    let permission = used.as_ref().map(|used| &used.permission);
    let addresses = match &checkpoint {
        Some(checkpoint) => checkpoint.header.addresses.clone(),
        None => resolve(&request.targets).await?,
    };
    let ports = if request.ports.is_empty() {
        default_ports(desk)
    } else {
        request.ports.clone()
    };
    permitted(desk, &addresses, &ports, permission)?;
    let (pace, slowed) = permitted_pace(request.pace, permission);

    let basis = Basis {
        permission: used.as_ref().map(|used| used.digest),
        site: desk.site.as_ref().map(|site| site.digest),
        program: env!("CARGO_PKG_VERSION").into(),
    };
    let mut run = match &checkpoint {
        Some(checkpoint) => go_on(desk, &checkpoint.header, &basis, resume.as_deref()).await?,
        None => begin(desk, request, pace, used.as_ref(), addresses.len(), &ports).await?,
    };
    let mut keeping = match (&checkpoint, resume, request.mode) {
        (Some(read), Some(path), _) => Some(Keeping::go_on(path, read, watcher)?),
        (_, _, Mode::Connect) => {
            let header = header(desk, request, &run, &addresses, &ports, pace, basis);
            Some(Keeping::begin(keeping::path_of(desk, run.id), &header, watcher)?)
        }
        (_, _, Mode::Syn) => None,
    };
    let earlier = checkpoint.map(|checkpoint| checkpoint.seen).unwrap_or_default();
    if !earlier.is_empty() {
        // What the devices felt just before the scan was stopped counts as well: no second may hold more.
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
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
        earlier,
        connect_timeout: DEFAULT_CONNECT_TIMEOUT,
    };
    let (tell, told) = unbounded_channel();
    let watched = authority.as_ref().zip(source).zip(used.as_ref());
    let watch = watched.map(|((authority, source), used)| authority.watch(source, used.digest, tell));
    let scanning = async {
        let outcome = match &mut keeping {
            Some(keeping) => Ok(portcullis_scan::scan(scan, &desk.knowledge, &permit, keeping, stop).await),
            None => half_open(scan, &permit, stop),
        };
        drop(watch);
        outcome
    };
    let (outcome, tightenings) = tokio::join!(scanning, record_tightenings(desk, run.id, told));
    let outcome: ScanOutcome = outcome?;
    run.ended = (!outcome.interrupted).then(desk.now);
    run.not_tested = outcome.not_tested;
    desk.store
        .add_observations(&outcome.observations)
        .await
        .map_err(OpsError::Store)?;
    desk.store.finish_run(&run).await.map_err(OpsError::Store)?;
    // What was seen is in the store before any failure of its companions is told.
    let tightenings = tightenings?;
    let checkpoint = match keeping {
        Some(keeping) => keeping.end(!outcome.interrupted)?,
        None => None,
    };
    Ok(Scanned {
        run,
        observations: outcome.observations,
        silent: outcome.silent,
        addresses: addresses.len(),
        ports: ports.len(),
        counters: outcome.counters,
        interrupted: outcome.interrupted,
        checkpoint,
        permission: used,
        slowed,
        tightenings,
    })
}

/// A scan as its checkpoint says that it was begun.
fn as_begun(header: &Header) -> Request {
    Request {
        targets: header.targets.clone(),
        ports: header.ports.clone(),
        pace: Pace {
            total_per_second: header.packets_per_second,
            per_host_per_second: header.per_host,
            ..Pace::default()
        },
        mode: Mode::Connect,
        resume: None,
        permission: header.permission.clone().map(PathBuf::from),
        signers: header.signers.clone().map(PathBuf::from),
    }
}

fn header(
    desk: &Desk,
    request: &Request,
    run: &Run,
    addresses: &[IpAddr],
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
        addresses: addresses.to_vec(),
        ports: ports.to_vec(),
        moved: desk.moved(),
        packets_per_second: pace.total_per_second,
        per_host: pace.per_host_per_second,
        permission: request.permission.as_ref().map(absolute),
        signers: request.signers.as_ref().map(absolute),
        basis,
    }
}

/// Goes on with a run that was begun before, if nothing that matters has changed.
async fn go_on(desk: &Desk, header: &Header, basis: &Basis, path: Option<&Path>) -> Result<Run, OpsError> {
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
            };
            desk.store.begin_run(&run).await.map_err(OpsError::Store)?;
            Ok(run)
        }
    }
}

/// Scans by half-open connections. The engine works on threads of its own and is waited for.
fn half_open(
    request: ScanRequest,
    permit: &(dyn Fn(IpAddr, Port) -> Result<(), String> + Sync),
    mut stop: Stop,
) -> Result<ScanOutcome, OpsError> {
    let stopped = Arc::new(AtomicBool::new(*stop.borrow()));
    let told = Arc::clone(&stopped);
    let waiting = tokio::spawn(async move {
        if stop.wait_for(|stop| *stop).await.is_ok() {
            told.store(true, Ordering::Relaxed);
        }
    });
    let request = SynRequest {
        run: request.run,
        vantage: request.vantage,
        addresses: request.addresses,
        ports: request.ports,
        pace: request.pace,
        attempts: 2,
        answer_wait: syn::DEFAULT_ANSWER_WAIT,
    };
    let outcome = tokio::task::block_in_place(|| syn::scan(&request, permit, &mut |_| {}, &stopped));
    waiting.abort();
    let outcome = outcome.map_err(OpsError::Syn)?;
    if outcome.lost > 0 {
        tracing::warn!(
            lost = outcome.lost,
            "answers were lost on this host: silence may have been an answer"
        );
    }
    Ok(outcome.scan)
}

/// The ports of the management and control services that are known, and those that the site moved them to.
pub fn default_ports(desk: &Desk) -> Vec<Port> {
    let mut ports = desk.knowledge.default_ports();
    ports.extend(desk.moved().into_iter().map(|(_, port)| port));
    ports.sort();
    ports.dedup();
    ports
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
        "mode": match request.mode {
            Mode::Connect => "connect",
            Mode::Syn => "syn",
        },
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

//! Scanning: what may be scanned is decided here, before the first packet and again before each.

mod authority;
mod begin;
mod keeping;
mod look;
pub mod segment;

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use portcullis_knowledge::Wishes;
use portcullis_model::{Observation, Port, Run, Secret, ServiceName};
pub use portcullis_scan::checkpoint::Mode;
use portcullis_scan::{Brake, Counters, DEFAULT_CONNECT_TIMEOUT, Pace, ScanRequest, Watcher, guard::Guard};
use portcullis_store::StoreError;
use serde::Serialize;

use crate::{Desk, OpsError, Stop};
use authority::Authority;
use authority::permitted_pace;
pub use authority::{PermissionUsed, Signature, Tightening};
pub use begin::default_ports;
use keeping::Keeping;

/// What is to be scanned.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// Targets as typed; `@FILE` names a file with targets.
    pub targets: Vec<String>,
    /// Ports; those of the known services when empty.
    pub ports: Vec<Port>,
    /// Services that are asked wherever they may be, also when that costs the device something.
    pub services: Vec<ServiceName>,
    /// The community of SNMP.
    pub community: Option<Secret>,
    /// Whether a service that has answered is asked once more.
    pub second_look: bool,
    /// How fast.
    pub pace: Pace,
    /// How a port is looked at.
    pub mode: Mode,
    /// Neighbours that are watched meanwhile.
    pub guards: Vec<Guard>,
    /// Checkpoint of a scan that shall go on; everything else is taken from there.
    pub resume: Option<PathBuf>,
    /// File with the owner's permission.
    pub permission: Option<PathBuf>,
    /// File with the keys that may sign a permission; without it signatures are not checked.
    pub signers: Option<PathBuf>,
}

/// What came of it.
#[derive(Debug, Serialize)]
pub struct Scanned {
    /// The run, as kept.
    pub run: Run,
    /// What was seen.
    pub observations: Vec<Observation>,
    /// Number of addresses that were asked for.
    pub addresses: usize,
    /// Number of ports for each.
    pub ports: usize,
    /// Counts.
    #[serde(skip)]
    pub counters: Counters,
    /// Whether it ended before its end.
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
    /// What could not be kept of it, or recorded.
    #[serde(skip)]
    pub failed: Option<OpsError>,
}

impl Scanned {
    /// Whether everything that was asked for was tested, and no silence is in doubt.
    pub fn is_whole(&self) -> bool {
        let doubts = &self.run.coverage.in_doubt;
        !self.interrupted && self.run.not_tested.is_empty() && doubts.is_empty()
    }
}

/// Scans, and keeps what was seen. Refuses before anything is sent when any target may not be scanned.
///
/// # Errors
/// Targets that cannot be read, or may not be scanned; guards that do not answer; a store that cannot be written before
/// anything is sent. What cannot be written afterwards is told with the result.
pub async fn scan(
    desk: &Desk,
    request: &Request,
    watcher: &mut dyn Watcher,
    stop: Stop,
) -> Result<Scanned, OpsError> {
    let checkpoint = request.resume.as_deref().map(keeping::read).transpose()?;
    let begun = checkpoint
        .as_ref()
        .map(|checkpoint| begin::as_begun(&checkpoint.header));
    let begun = begun.transpose()?;
    let (resume, community) = (request.resume.clone(), request.community.clone());
    let request = begun.as_ref().unwrap_or(request);
    begin::services_known(desk, request, community.is_some())?;
    let source = authority::Source::of(request);
    let used = source.as_ref().map(authority::Source::read).transpose()?;
    let permission = used.as_ref().map(|used| &used.permission);
    let resolved = match &checkpoint {
        Some(checkpoint) => begin::as_resolved(&checkpoint.header),
        None => begin::resolve(desk, request, permission).await?,
    };
    let ports = begin::ports(desk, request);
    begin::not_too_many(resolved.addresses.len(), ports.len())?;
    begin::permitted(desk, &resolved.addresses, &ports, permission)?;
    begin::guards_permitted(desk, &request.guards, &ports, permission)?;
    let (pace, slowed) = permitted_pace(request.pace, permission);
    let guards = look::Guards::before(&request.guards)?;

    let basis = begin::basis(desk, used.as_ref());
    let mut run = match &checkpoint {
        Some(checkpoint) => begin::go_on(desk, &checkpoint.header, &basis, resume.as_deref()).await?,
        None => {
            begin::begin(
                desk,
                request,
                pace,
                used.as_ref(),
                resolved.addresses.len(),
                &ports,
            )
            .await?
        }
    };
    let mut keeping = match (&checkpoint, resume) {
        (Some(read), Some(path)) => Keeping::go_on(path, read, watcher)?,
        _ => {
            let header = begin::header(desk, request, &run, &resolved, &ports, pace, basis);
            Keeping::begin(keeping::path_of(desk, run.id), &header, watcher)?
        }
    };
    let earlier = checkpoint
        .map(|checkpoint| checkpoint.entries)
        .unwrap_or_default();
    if !earlier.is_empty() {
        // What the devices felt just before the scan was stopped counts as well: no second may hold more.
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let (addresses, port_count) = (resolved.addresses.len(), ports.len());
    let brake: Arc<Brake> = Arc::default();
    let scan = ScanRequest {
        run: run.id,
        vantage: run.vantage.clone(),
        addresses: resolved.addresses,
        scopes: resolved.scopes,
        ports,
        moved: begin::moved(desk, request),
        wishes: Wishes {
            services: request.services.clone(),
            elsewhere: begin::elsewhere(desk, request),
            community,
        },
        second_look: request.second_look,
        pace,
        brake: Arc::clone(&brake),
        earlier,
        connect_timeout: DEFAULT_CONNECT_TIMEOUT,
    };
    let authority = permission.map(|permission| Authority::new(permission.clone(), brake));
    let rule = look::Rule {
        authority: authority.as_ref(),
        source: source.zip(used.as_ref().map(|used| used.digest)),
    };
    let looked = look::look(desk, request.mode, scan, rule, guards, &mut keeping, stop).await;
    let look::Looked { outcome, tightenings } = match looked {
        Ok(looked) => looked,
        Err(error) => {
            keeping.discard();
            run.ended = Some((desk.now)());
            run.coverage.stopped = Some(error.to_string());
            // What ended the scan is told, whatever the store says.
            let _ = desk.store.finish_run(&run).await;
            return Err(error);
        }
    };
    run.ended = (!outcome.interrupted).then(desk.now);
    run.not_tested = outcome.not_tested;
    run.coverage = outcome.coverage;
    // What was found is told, whatever becomes of keeping it.
    let stored = store(desk, &run, &outcome.observations).await;
    let (checkpoint, lost) = keeping.end(!outcome.interrupted && stored.is_ok());
    let not_kept = stored.err().map(|source| OpsError::NotKept {
        checkpoint: checkpoint.clone(),
        source: Box::new(source),
    });
    let (tightenings, not_recorded) = match tightenings {
        Ok(tightenings) => (tightenings, None),
        Err(error) => (Vec::new(), Some(error)),
    };
    Ok(Scanned {
        run,
        observations: outcome.observations,
        addresses,
        ports: port_count,
        counters: outcome.counters,
        interrupted: outcome.interrupted,
        checkpoint,
        permission: used,
        slowed,
        tightenings,
        failed: not_kept.or(lost).or(not_recorded),
    })
}

/// Refuses, like a scan before its first packet, when one of these ports may not be looked at. The permission is read anew.
pub(crate) fn may_look(
    desk: &Desk,
    permission: Option<&Path>,
    signers: Option<&Path>,
    places: &[(IpAddr, Port)],
) -> Result<Option<PermissionUsed>, OpsError> {
    let source = permission.map(|file| authority::Source {
        file: file.into(),
        signers: signers.map(Into::into),
    });
    let used = source.as_ref().map(authority::Source::read).transpose()?;
    let permission = used.as_ref().map(|used| &used.permission);
    for (address, port) in places {
        begin::permitted(desk, &[*address], &[*port], permission)?;
    }
    Ok(used)
}

/// How many packets a second one host may get, at least one; not more than all hosts together.
pub(crate) fn permitted_per_host(asked: Pace, used: Option<&PermissionUsed>) -> u32 {
    let (pace, _) = permitted_pace(asked, used.map(|used| &used.permission));
    pace.per_host_per_second.min(pace.total_per_second).max(1)
}

async fn store(desk: &Desk, run: &Run, observations: &[Observation]) -> Result<(), StoreError> {
    desk.store.add_observations(observations).await?;
    desk.store.finish_run(run).await
}

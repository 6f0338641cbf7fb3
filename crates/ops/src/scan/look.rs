//! The scan itself: the engine, its guards, and the permission that is read again while it runs.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use portcullis_model::{Digest, Port, RunId, may_scan};
use portcullis_scan::{
    Brake, ScanOutcome, ScanRequest, Watcher,
    checkpoint::Mode,
    guard::{self, Baselines, Guard, Watching},
    syn::{self, SynRequest},
};
use serde_json::json;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::{
    Tightening,
    authority::{Authority, Source},
};
use crate::{Desk, OpsError, Stop};

/// On whose word it is scanned.
pub(super) struct Rule<'a> {
    pub(super) authority: Option<&'a Authority>,
    /// Where the permission is read again, and what it was at first.
    pub(super) source: Option<(Source, Digest)>,
}

/// What came of it.
pub(super) struct Looked {
    pub(super) outcome: ScanOutcome,
    pub(super) tightenings: Result<Vec<Tightening>, OpsError>,
}

/// Neighbours whose usual answer times are known.
pub(super) struct Guards(Option<Baselines>);

impl Guards {
    /// Asks each a few times. Nothing is sent to any target.
    pub(super) fn before(guards: &[Guard]) -> Result<Self, OpsError> {
        if guards.is_empty() {
            return Ok(Self(None));
        }
        let baselines = tokio::task::block_in_place(|| guard::baseline(guards));
        Ok(Self(Some(baselines.map_err(OpsError::Guard)?)))
    }

    fn watch(self, brake: &Arc<Brake>) -> Result<Option<Watching>, OpsError> {
        let watching = self.0.map(|baselines| guard::watch(baselines, Arc::clone(brake)));
        watching.transpose().map_err(OpsError::Guard)
    }
}

/// Looks at everything.
pub(super) async fn look(
    desk: &Desk,
    mode: Mode,
    scan: ScanRequest,
    rule: Rule<'_>,
    guards: Guards,
    watcher: &mut dyn Watcher,
    stop: Stop,
) -> Result<Looked, OpsError> {
    let run = scan.run;
    let (site, now) = (desk.site.as_ref(), desk.now);
    let permit = |address: IpAddr, port: Port| {
        let verdict = match rule.authority {
            Some(authority) => authority.permits(address, port, now()),
            None => may_scan(address, port, site, None, now()),
        };
        verdict.map_err(|denial| denial.reason())
    };
    let (tell, told) = unbounded_channel();
    let watched = rule.authority.zip(rule.source);
    let watch = watched.map(|(authority, (source, digest))| authority.watch(source, digest, tell));
    let guards = guards.watch(&scan.brake)?;
    let scanning = async {
        let outcome = match mode {
            Mode::Connect => Ok(portcullis_scan::scan(scan, &desk.knowledge, &permit, watcher, stop).await),
            Mode::Syn => half_open(scan, &permit, watcher, stop),
        };
        drop(watch);
        outcome
    };
    let (outcome, tightenings) = tokio::join!(scanning, record_tightenings(desk, run, told));
    let mut outcome = outcome?;
    let reports = guards.map(Watching::end).unwrap_or_default();
    outcome.coverage.guards = reports.iter().map(|report| json!(report)).collect();
    Ok(Looked { outcome, tightenings })
}

/// Scans by half-open connections. The engine works on threads of its own and is waited for.
fn half_open(
    request: ScanRequest,
    permit: &(dyn Fn(IpAddr, Port) -> Result<(), String> + Sync),
    watcher: &mut dyn Watcher,
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
        scopes: request.scopes,
        ports: request.ports,
        pace: request.pace,
        brake: request.brake,
        earlier: request.earlier,
        most_looks: syn::MOST_LOOKS,
        answer_wait: syn::DEFAULT_ANSWER_WAIT,
    };
    let outcome = tokio::task::block_in_place(|| syn::scan(&request, permit, watcher, &stopped));
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

//! A scan by full connections: many ports of many hosts, one connection per host, no packet without its turn and its
//! permission.

mod attempts;
mod engine;
mod line;
mod order;
mod patience;
mod sockets;

use std::{net::IpAddr, path::Path, sync::Arc, time::Duration};

use portcullis_knowledge::{Knowledge, Wishes};
use portcullis_model::{Coverage, NotTested, Observation, Port, RunId, ServiceName, Vantage};
use tokio::sync::watch;

use crate::{Brake, Pace, checkpoint::Entry};
pub(crate) use engine::BETWEEN_LOOKS;
use engine::Scan;
pub(crate) use order::seed;

/// Most ports of hosts that one scan may have: what is remembered of each takes 128 MiB then.
pub const MOST_PROBES: u128 = 1 << 27;

/// What to scan and how.
#[derive(Debug, Clone)]
pub struct ScanRequest {
    /// The run that the observations belong to; also decides the order in which hosts are visited.
    pub run: RunId,
    /// Where it looks from.
    pub vantage: Vantage,
    /// The addresses, each once.
    pub addresses: Vec<IpAddr>,
    /// The interfaces of link-local addresses (RFC 4007).
    pub scopes: Vec<(IpAddr, u32)>,
    /// The ports, each once.
    pub ports: Vec<Port>,
    /// Where the site says a service also listens.
    pub moved: Vec<(ServiceName, Port)>,
    /// What is asked beside that.
    pub wishes: Wishes,
    /// Whether a service that has answered is asked once more, where that tells more of it.
    pub second_look: bool,
    /// How fast.
    pub pace: Pace,
    /// What holds it back beside its pace.
    pub brake: Arc<Brake>,
    /// What an earlier part of the same run has kept; what was seen is taken over and not asked again.
    pub earlier: Vec<Entry>,
    /// How long a connection attempt waits, see [`crate::DEFAULT_CONNECT_TIMEOUT`]. Above one second the kernel repeats
    /// packets by itself; they are counted and charged to the host, and not spaced.
    pub connect_timeout: Duration,
}

/// Is told what a scan finds, as it finds it, and how far it has come.
pub trait Watcher: Send {
    /// The scan begins, and can go on from this file should it be stopped.
    fn begun(&mut self, _checkpoint: &Path) {}
    /// A port answered. Silence is told at the end, when it is known how sure it is.
    fn seen(&mut self, observation: &Observation);
    /// Something that a checkpoint must hold, so that the scan can go on from there.
    fn keep(&mut self, _entry: &Entry) {}
    /// How far it has come; ten times a second and at the end.
    fn progress(&mut self, progress: &Progress);
}

/// How far a scan has come.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Progress {
    /// Which look at the silent ports this is, from 1.
    pub look: u32,
    /// Ports of this look that had their turn.
    pub probes_done: u64,
    /// Ports of this look.
    pub probes_total: u64,
    /// Hosts that are done in this look.
    pub hosts_done: u64,
    /// Hosts of this look.
    pub hosts_total: u64,
    /// Open ports so far.
    pub open: u64,
    /// Ports that answered in any way.
    pub answers: u64,
    /// Time since the start.
    pub elapsed: Duration,
    /// Packets per second since the start.
    pub rate_per_second: f64,
    /// Estimate of the time that is left; `None` in the first second.
    pub time_left: Option<Duration>,
}

/// Counts of a scan.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Ports that were dealt with.
    pub probes: u64,
    /// Packets that were sent, as [`crate::Sighting::packets`] counts them.
    pub packets_sent: u64,
    /// Ports that answered in any way.
    pub answers: u64,
    /// The most connections that any host had at a time.
    pub most_connections_per_host: u32,
}

/// The result of a scan. Each address and port is in exactly one of `observations`, `coverage.silent` and `not_tested`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanOutcome {
    /// What was seen, sorted by address and port.
    pub observations: Vec<Observation>,
    /// What was asked for and not tested, with the reason.
    pub not_tested: Vec<NotTested>,
    /// Silence of hosts that answered nothing, when it is too much for one observation per port; loss; what it cost.
    pub coverage: Coverage,
    /// Counts.
    pub counters: Counters,
    /// Whether it was stopped before its end.
    pub interrupted: bool,
}

/// What the owner says to an address and port at this moment: the reason if it may not be scanned.
pub(crate) type Permit<'a> = &'a (dyn Fn(IpAddr, Port) -> Result<(), String> + Sync);

/// Looks at every port of every address.
///
/// `permit` is asked before each packet, for a permission can end while the scan runs; a reason that does not name the
/// address keeps the list of what was not tested short. When `stop` becomes true no probe begins and none repeats; those
/// under way end within their own time limits, and the rest is not tested.
///
/// Silent ports are looked at again, at least once, until what was measured to be lost leaves no doubt.
///
/// It runs on the runtime that it is called from. The one thread that it starts, to make sockets at a high rate, looks from
/// the network namespace of the calling one.
pub async fn scan(
    request: ScanRequest,
    knowledge: &Knowledge,
    permit: Permit<'_>,
    watcher: &mut dyn Watcher,
    stop: watch::Receiver<bool>,
) -> ScanOutcome {
    match Scan::new(&request, knowledge, permit) {
        Ok(scan) => scan.run(watcher, stop).await,
        Err(reason) => nothing_tested(&request, &reason),
    }
}

/// What comes of a scan that could not begin.
fn nothing_tested(request: &ScanRequest, reason: &str) -> ScanOutcome {
    let not_tested = request.addresses.iter().map(|address| NotTested {
        first: *address,
        last: *address,
        ports: request.ports.clone(),
        reason: reason.to_owned(),
    });
    ScanOutcome {
        observations: Vec::new(),
        not_tested: not_tested.collect(),
        coverage: Coverage::default(),
        counters: Counters::default(),
        interrupted: true,
    }
}

#[cfg(test)]
mod tests;

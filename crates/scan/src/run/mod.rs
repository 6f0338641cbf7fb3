//! A scan: many ports of many hosts, one connection per host, no packet without its turn and its permission.

mod line;
mod order;
mod outcome;
mod ranges;
mod waiting;

use std::{collections::HashMap, net::IpAddr, time::Duration};

use nix::sys::resource::{Resource, getrlimit};
use portcullis_knowledge::{Exchange, Knowledge};
use portcullis_model::{Observation, Port, PortState, RunId, ServiceName, Vantage};
use tokio::{
    sync::{mpsc, watch},
    task::{Id, JoinError, JoinSet},
    time::{Instant, sleep_until},
};

use crate::{
    Pace, Sighting,
    pace::Schedule,
    probe::{
        Target, Trace,
        gate::{Ask, Gate, Refusal, Step},
        look,
    },
};
use line::{Line, Next};
use outcome::Findings;
pub use outcome::{Counters, ScanOutcome, SilentRange};
use waiting::Waiting;

/// Most probes under way, if the limit of file descriptors lets as many.
const MOST_PROBES: usize = 2048;
/// Probes that wait for their first packet are held back beyond this many: more would only wait longer.
const MOST_UNSENT: usize = 64;
/// How much is started before the rest gets its turn.
const STARTED_AT_ONCE: usize = 256;
/// How often progress is told.
const TICK: Duration = Duration::from_millis(100);

/// What to scan and how.
#[derive(Debug, Clone)]
pub struct ScanRequest {
    /// The run that the observations belong to; also decides the order in which hosts are visited.
    pub run: RunId,
    /// Where it looks from.
    pub vantage: Vantage,
    /// The addresses, each once.
    pub addresses: Vec<IpAddr>,
    /// The ports, each once.
    pub ports: Vec<Port>,
    /// Where the site says a service also listens.
    pub moved: Vec<(ServiceName, Port)>,
    /// How fast.
    pub pace: Pace,
    /// What an earlier part of the same run has seen; it is taken over and not asked again.
    pub earlier: Vec<Observation>,
    /// How long a connection attempt waits, see [`crate::DEFAULT_CONNECT_TIMEOUT`]. Above one second the kernel repeats
    /// packets by itself; they are counted and charged to the host, and not spaced.
    pub connect_timeout: Duration,
}

/// Is told what a scan finds, as it finds it, and how far it has come.
pub trait Watcher: Send {
    /// A port was dealt with: an answer, or silence after all attempts. Ports that were not tested are not told.
    fn seen(&mut self, observation: &Observation);
    /// Ten times a second.
    fn progress(&mut self, progress: &Progress);
}

/// How far a scan has come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Ports looked at, or found not to be testable.
    pub probes_done: u64,
    /// Ports to look at.
    pub probes_total: u64,
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

/// What the owner says to an address and port at this moment: the reason if it may not be scanned.
type Permit<'a> = &'a (dyn Fn(IpAddr, Port) -> Result<(), String> + Sync);

/// Looks at every port of every address.
///
/// `permit` is asked before each packet, for a permission can end while the scan runs; a reason that does not name the
/// address keeps the list of what was not tested short. When `stop` becomes true
/// no probe begins and none repeats; those under way end within their own time limits, and the rest is not tested.
///
/// It runs on the runtime that it is called from and starts no threads, so that it can look from inside another network
/// namespace.
pub async fn scan(
    request: ScanRequest,
    knowledge: &Knowledge,
    permit: Permit<'_>,
    watcher: &mut dyn Watcher,
    mut stop: watch::Receiver<bool>,
) -> ScanOutcome {
    let (asks, mut asked) = mpsc::unbounded_channel();
    let mut scan = Scan::new(request, knowledge, permit, asks);
    let mut tick = tokio::time::interval(TICK);
    let mut stoppable = true;
    loop {
        if *stop.borrow() && !scan.stopped {
            scan.stop();
        }
        let more = scan.start();
        let next_turn = scan.grant();
        if scan.probes.is_empty() && !more {
            break;
        }
        let wake = scan.begin + next_turn.unwrap_or_default();
        tokio::select! {
            changed = stop.changed(), if stoppable && !scan.stopped => stoppable = changed.is_ok(),
            Some(ask) = asked.recv() => scan.waiting.add(ask, scan.begin.elapsed(), &scan.schedule),
            Some(ended) = scan.probes.join_next_with_id() => {
                if let Some(observation) = scan.ended(ended) {
                    watcher.seen(&observation);
                }
            }
            () = sleep_until(wake), if next_turn.is_some() => {}
            () = tokio::task::yield_now(), if more => {}
            _ = tick.tick() => watcher.progress(&scan.progress()),
        }
    }
    watcher.progress(&scan.progress());
    tracing::debug!(run = %scan.request.run, packets = scan.counters.packets_sent, "scan ended");
    scan.findings.outcome(scan.counters, scan.stopped)
}

struct Scan<'a> {
    request: ScanRequest,
    knowledge: &'a Knowledge,
    permit: Permit<'a>,
    begin: Instant,
    exchanges: HashMap<Port, Exchange>,
    line: Line,
    probes: JoinSet<Trace>,
    under_way: HashMap<Id, (usize, Target)>,
    most_probes: usize,
    asks: mpsc::UnboundedSender<Ask>,
    waiting: Waiting,
    schedule: Schedule,
    unsent: usize,
    stopped: bool,
    findings: Findings,
    counters: Counters,
    open: u64,
    total: u64,
}

impl<'a> Scan<'a> {
    fn new(
        request: ScanRequest,
        knowledge: &'a Knowledge,
        permit: Permit<'a>,
        asks: mpsc::UnboundedSender<Ask>,
    ) -> Self {
        let exchanges = request
            .ports
            .iter()
            .map(|port| (*port, knowledge.exchange(*port, &request.moved)))
            .collect();
        let line = Line::new(&request);
        let mut findings = Findings::default();
        for observation in &request.earlier {
            findings.add(observation.clone());
        }
        Self {
            knowledge,
            permit,
            begin: Instant::now(),
            exchanges,
            total: line.total(),
            line,
            probes: JoinSet::new(),
            under_way: HashMap::new(),
            most_probes: most_probes(),
            asks,
            waiting: Waiting::default(),
            schedule: Schedule::new(request.pace),
            unsent: 0,
            stopped: false,
            findings,
            counters: Counters::default(),
            open: 0,
            request,
        }
    }

    /// Starts probes as far as there is room. Returns whether it could go on at once.
    fn start(&mut self) -> bool {
        for _ in 0..STARTED_AT_ONCE {
            let room = self.probes.len() < self.most_probes && self.unsent < MOST_UNSENT;
            if !room && !self.stopped {
                return false;
            }
            let Some(next) = self.line.next() else {
                return false;
            };
            self.begin_probe(next);
        }
        true
    }

    fn begin_probe(&mut self, next: Next) {
        let Next { host, address, port } = next;
        let exchange = self.exchanges.get(&port).cloned();
        let unfit = exchange.as_ref().and_then(|exchange| exchange.not_testable);
        let reason = if self.stopped {
            Some(Refusal::Interrupted.reason().to_owned())
        } else if let Some(reason) = unfit {
            Some(reason.to_owned())
        } else {
            (self.permit)(address, port).err()
        };
        if let Some(reason) = reason {
            self.counters.probes += 1;
            self.findings.not_tested(address, port, &reason);
            self.line.free(host);
            return;
        }
        let target = Target {
            address,
            port,
            connect_timeout: self.request.connect_timeout,
            exchange,
        };
        let gate = Gate::Kept {
            address,
            port,
            asks: self.asks.clone(),
        };
        self.unsent += 1;
        self.counters.most_connections_per_host =
            self.counters.most_connections_per_host.max(self.line.busy(host));
        let task = target.clone();
        let handle = self.probes.spawn(async move { look(&task, &gate).await });
        self.under_way.insert(handle.id(), (host, target));
    }

    /// Answers all asks whose turn has come. Returns when the next one's comes, as time since the start.
    fn grant(&mut self) -> Option<Duration> {
        loop {
            let now = self.begin.elapsed();
            let ask = if self.stopped {
                self.waiting.take_any()?
            } else {
                match self.waiting.next(now, &mut self.schedule, self.permit) {
                    waiting::Next::Ask(ask, verdict) => {
                        self.answer(ask, verdict);
                        continue;
                    }
                    waiting::Next::At(when) => return Some(when),
                    waiting::Next::Nobody => return None,
                }
            };
            let verdict = match ask.step {
                Step::Close => Ok(()),
                Step::First | Step::Again | Step::Request => Err(Refusal::Interrupted),
            };
            self.answer(ask, verdict);
        }
    }

    fn answer(&mut self, ask: Ask, verdict: Result<(), Refusal>) {
        if ask.step == Step::First {
            self.unsent = self.unsent.saturating_sub(1);
        }
        // A probe that is gone needs no answer.
        let _ = ask.answer.send(verdict);
    }

    /// Takes what a probe brings; returns it when the port was tested.
    fn ended(&mut self, ended: Result<(Id, Trace), JoinError>) -> Option<Observation> {
        let (id, trace) = match ended {
            Ok((id, trace)) => (id, trace),
            Err(error) => {
                tracing::error!(%error, "a probe ended before its time");
                (
                    error.id(),
                    Trace::not_tested("the probe failed inside Portcullis"),
                )
            }
        };
        let (host, target) = self.under_way.remove(&id)?;
        self.line.free(host);
        let sighting = Sighting::of(&target, trace, &self.request.moved, self.knowledge);
        self.counters.probes += 1;
        self.counters.packets_sent += u64::from(sighting.packets);
        self.counters.answers += u64::from(matches!(
            sighting.state,
            PortState::Open | PortState::Closed | PortState::Filtered
        ));
        self.open += u64::from(sighting.state == PortState::Open);
        let observation = sighting.into_observation(self.request.run, &self.request.vantage);
        if observation.state == PortState::NotTested {
            self.findings
                .not_tested(observation.address, observation.port, &observation.because);
            return None;
        }
        self.findings.add(observation.clone());
        Some(observation)
    }

    fn stop(&mut self) {
        tracing::info!(run = %self.request.run, "scan was told to stop");
        self.stopped = true;
    }

    fn progress(&self) -> Progress {
        let elapsed = self.begin.elapsed();
        let done = self.counters.probes;
        let left = self.total.saturating_sub(done);
        let time_left = (done > 0 && elapsed >= Duration::from_secs(1))
            .then(|| elapsed.mul_f64(left as f64 / done as f64));
        Progress {
            probes_done: done,
            probes_total: self.total,
            open: self.open,
            answers: self.counters.answers,
            elapsed,
            rate_per_second: self.counters.packets_sent as f64 / elapsed.as_secs_f64().max(0.001),
            time_left,
        }
    }
}

/// Half of the file descriptors that this process may have: the rest is for its other work.
fn most_probes() -> usize {
    let soft = getrlimit(Resource::RLIMIT_NOFILE).map_or(256, |(soft, _)| soft);
    usize::try_from(soft / 2)
        .unwrap_or(MOST_PROBES)
        .clamp(1, MOST_PROBES)
}

#[cfg(test)]
mod tests;

//! The scan while it runs.

mod asking;
mod outcome;
mod talks;

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    net::IpAddr,
    time::Duration,
};

use portcullis_knowledge::{Exchange, Knowledge};
use portcullis_model::{Observation, Port, PortState};
use tokio::{
    sync::{mpsc, watch},
    task::{Id, JoinSet},
    time::{Instant, sleep_until},
};

use super::{
    Counters, Permit, Progress, ScanOutcome, ScanRequest, Watcher,
    attempts::{Attempts, Why},
    line::Line,
    order::{scattered, seed},
    patience::Patience,
    sockets::Sockets,
};
use crate::{
    behaviour::Behaviour,
    canary::Canaries,
    checkpoint::Entry,
    felt::Devices,
    loss::{Ledger, MOST_LOOKS},
    networks::Networks,
    pace::{Cost, Schedule, To},
    places::{Place, Places},
    probe::{
        Reader, Target, Trace,
        gate::{Ask, STEP},
    },
};

/// Most conversations at a time.
const MOST_TALKS: usize = 1024;
/// How much is started before the rest gets its turn.
const STARTED_AT_ONCE: usize = 256;
/// How often progress is told.
const TICK: Duration = Duration::from_millis(100);
/// How often the loss so far is kept.
const KEEP_LOSS: Duration = Duration::from_secs(1);
/// The next look at a port comes no sooner after the last one: what is lost is often lost in bursts.
pub(crate) const BETWEEN_LOOKS: Duration = Duration::from_millis(1500);
/// A connection attempt: its SYN, and the acknowledgement when it is accepted.
const ATTEMPT: Cost = Cost { sure: 1, possible: 1 };
/// A datagram.
const DATAGRAM: Cost = Cost { sure: 1, possible: 0 };
/// A SYN and the acknowledgement of the answer.
const HANDSHAKE: u32 = 2;
/// A step of a conversation.
const EXCHANGE: Cost = Cost {
    sure: STEP,
    possible: 0,
};
/// What is counted already.
const NOTHING: Cost = Cost { sure: 0, possible: 0 };
/// Reasons for silence are remembered of so many ports.
const MOST_REASONS: usize = 4096;

/// Sockets are closed in about this time.
const CLOSING: Duration = Duration::from_millis(1);

/// A packet that goes so much later than its turn has gone in time.
const ON_TIME: Duration = Duration::from_millis(1);

/// That many hosts may have stopped answering by themselves.
const MOST_DEAD: u32 = 2;

const INTERRUPTED: &str = "interrupted";

/// A task that talks to a port.
struct Talk {
    target: Target,
    place: Place,
    why: Why,
}

pub(super) struct Scan<'a> {
    request: &'a ScanRequest,
    knowledge: &'a Knowledge,
    permit: Permit<'a>,
    begin: Instant,
    addresses: Vec<IpAddr>,
    ports: Vec<Port>,
    networks: Networks,
    exchanges: Vec<Exchange>,
    reader: Reader,
    scopes: HashMap<IpAddr, u32>,

    line: Line,
    attempts: Attempts,
    sockets: Sockets,
    /// Attempts of this look that are under way; canaries do not belong to it.
    looking: u64,
    talks: JoinSet<Trace>,
    talking: HashMap<Id, Talk>,
    asks: mpsc::UnboundedSender<Ask>,
    asked: mpsc::UnboundedReceiver<Ask>,
    waiting: VecDeque<Ask>,

    schedule: Schedule,
    brake: u64,
    held: bool,
    patience: Patience,
    ledger: Ledger,
    canaries: Canaries,
    /// Canaries that are under way.
    canaries_out: u64,
    behaviour: Behaviour,
    stopped_hosts: u32,
    devices: Devices,

    answered: Places,
    /// How often each place was asked in vain.
    looks: Vec<u8>,
    look: u32,
    look_begun: Duration,
    /// The ledger knows that this look is over.
    look_counted: bool,
    /// Places of this look, and those that had their turn.
    look_total: u64,
    look_done: u64,
    network_looks: Vec<NetworkLooks>,
    silences: u64,
    refused: HashMap<Place, u32>,
    reasons: Vec<String>,
    unreachable: HashMap<Place, String>,
    found: Vec<(Place, Observation)>,
    /// By how many looks they were silent at.
    silent_since: BTreeMap<u32, Vec<(u32, u32)>>,
    kept: Duration,
    counters: Counters,
    open: u64,
    /// Why nothing more is begun.
    ending: Option<String>,
}

/// How often a network was looked at.
#[derive(Debug, Clone, Copy)]
struct NetworkLooks {
    /// Looks that are over.
    looks: u32,
    /// Whether its silences are looked at in this look.
    doubtful: bool,
}

impl Default for NetworkLooks {
    fn default() -> Self {
        Self {
            looks: 0,
            doubtful: true,
        }
    }
}

/// What is to be done next.
enum Next {
    /// Something at once.
    More,
    /// Nothing before this time.
    At(Duration),
    /// Nothing before something happens.
    Wait,
}

impl<'a> Scan<'a> {
    pub(super) fn new(
        request: &'a ScanRequest,
        knowledge: &'a Knowledge,
        permit: Permit<'a>,
    ) -> Result<Self, String> {
        let attempts = Attempts::new()
            .map_err(|error| format!("this host cannot watch connections that are being made: {error}"))?;
        let sockets = Sockets::new(request.pace.total_per_second, attempts.most());
        let mut addresses = request.addresses.clone();
        addresses.sort_unstable();
        addresses.dedup();
        let mut ports = request.ports.clone();
        ports.sort_unstable();
        ports.dedup();
        let seed = seed(request.run);
        let numbers = |count: usize| -> Vec<u32> { (0..count as u32).collect() };
        let line = Line::new(
            scattered(&numbers(addresses.len()), seed),
            scattered(&numbers(ports.len()), seed),
            request.pace.host_connections,
        );
        let networks = Networks::of(addresses.iter().copied());
        let exchanges = ports
            .iter()
            .map(|port| knowledge.exchange_wished(*port, &request.moved, &request.wishes))
            .collect();
        let (asks, asked) = mpsc::unbounded_channel();
        let mut scan = Self {
            request,
            knowledge,
            permit,
            begin: Instant::now(),
            exchanges,
            reader: Reader::new(knowledge, &request.moved),
            scopes: request.scopes.iter().copied().collect(),
            line,
            attempts,
            sockets,
            looking: 0,
            talks: JoinSet::new(),
            talking: HashMap::new(),
            asks,
            asked,
            waiting: VecDeque::new(),
            schedule: Schedule::new(request.pace, seed),
            brake: request.brake.generation().wrapping_sub(1),
            held: false,
            patience: Patience::new(request.connect_timeout, networks.count()),
            ledger: Ledger::default(),
            canaries: Canaries::new(seed),
            canaries_out: 0,
            behaviour: Behaviour::default(),
            stopped_hosts: 0,
            devices: Devices::new(addresses.len()),
            answered: Places::new(addresses.len(), ports.len()),
            looks: vec![0; addresses.len() * ports.len()],
            look: 0,
            look_begun: Duration::ZERO,
            look_counted: false,
            look_total: 0,
            look_done: 0,
            network_looks: vec![NetworkLooks::default(); networks.count()],
            silences: 0,
            refused: HashMap::new(),
            reasons: Vec::new(),
            unreachable: HashMap::new(),
            found: Vec::new(),
            silent_since: BTreeMap::new(),
            kept: Duration::ZERO,
            counters: Counters::default(),
            open: 0,
            ending: None,
            networks,
            addresses,
            ports,
        };
        request.earlier.iter().for_each(|entry| scan.take_over(entry));
        scan.begin_look(Duration::ZERO);
        Ok(scan)
    }

    /// Takes over what an earlier part of the run has kept.
    fn take_over(&mut self, entry: &Entry) {
        match entry {
            Entry::Seen(seen) => {
                let observation = &seen.observation;
                let (Ok(host), Ok(port)) = (
                    self.addresses.binary_search(&observation.address),
                    self.ports.binary_search(&observation.port),
                ) else {
                    return;
                };
                let place = Place { host, port };
                if self.answered.add(place) {
                    self.silences -= u64::from(self.looks(place) > 0);
                    self.felt_earlier(host, seen.packets, seen.connections);
                    self.ledger.answered(seen.look);
                    self.behaviour.port(host, observation.state == PortState::Open);
                    self.know(place, observation.state);
                    self.found.push((place, observation.clone()));
                }
            }
            Entry::Silent { look, places } => {
                for (host, port) in places {
                    let place = Place {
                        host: *host as usize,
                        port: *port as usize,
                    };
                    self.set_looks(place, *look);
                    self.felt_earlier(place.host, 1, 0);
                }
            }
            Entry::Canary {
                host,
                packets,
                connections,
            } => self.felt_earlier(*host as usize, *packets, *connections),
            Entry::Loss(loss) => self.ledger.restore(*loss),
            Entry::Left { host, reason } => {
                self.behaviour.leave(*host as usize, reason.clone());
            }
            // Those are of the other way to look; here a refused port is asked again, should it be permitted by now.
            Entry::Reached { .. } | Entry::Refused { .. } => {}
        }
    }

    fn felt_earlier(&mut self, host: usize, packets: u32, connections: u32) {
        self.devices.earlier(host, packets, connections);
        self.counters.packets_sent += u64::from(packets);
    }

    pub(super) async fn run(
        mut self,
        watcher: &mut dyn Watcher,
        mut stop: watch::Receiver<bool>,
    ) -> ScanOutcome {
        let mut tick = tokio::time::interval(TICK);
        let mut stoppable = true;
        loop {
            self.heed(*stop.borrow());
            self.connections(watcher);
            while let Some(ended) = self.talks.try_join_next_with_id() {
                self.talked(ended, watcher);
            }
            let granted = self.grant();
            let started = self.start(watcher);
            let (started, more) = match started {
                Next::More => (None, true),
                Next::At(when) => (Some(when), false),
                Next::Wait => (None, false),
            };
            if !more && granted.is_none() && started.is_none() && self.is_over() {
                break;
            }
            let turn = [granted, started, self.attempts.due()]
                .into_iter()
                .flatten()
                .min();
            let wake = self.begin + turn.unwrap_or_default();
            tokio::select! {
                changed = stop.changed(), if stoppable && self.ending.is_none() => stoppable = changed.is_ok(),
                Some(ask) = self.asked.recv() => self.waiting.push_back(ask),
                Some(ended) = self.talks.join_next_with_id() => self.talked(ended, watcher),
                () = self.attempts.readable.wait() => {}
                () = sleep_until(wake), if turn.is_some() => {}
                () = tokio::task::yield_now(), if more => {}
                _ = tick.tick() => {
                    self.keep(watcher);
                    watcher.progress(&self.progress());
                }
            }
        }
        self.keep(watcher);
        watcher.progress(&self.progress());
        tracing::debug!(run = %self.request.run, packets = self.counters.packets_sent, "scan ended");
        self.outcome()
    }

    /// Nothing is under way and nothing will come.
    fn is_over(&self) -> bool {
        self.talks.is_empty() && self.waiting.is_empty() && self.attempts.under_way() == 0
    }

    /// Whether the operator, the permission or a guard have said something new.
    fn heed(&mut self, stop: bool) {
        if stop && self.ending.is_none() {
            tracing::info!(run = %self.request.run, "scan was told to stop");
            self.ending = Some(INTERRUPTED.into());
        }
        let generation = self.request.brake.generation();
        if generation == self.brake {
            return;
        }
        self.brake = generation;
        if let (None, Some(reason)) = (&self.ending, self.request.brake.stopped()) {
            self.ending = Some(reason);
        }
        let pace = self.request.brake.pace(self.request.pace);
        self.held = pace.is_none();
        if let Some(pace) = pace {
            self.schedule.set(pace);
        }
    }

    fn now(&self) -> Duration {
        self.begin.elapsed()
    }

    fn to(&self, host: usize) -> To {
        To {
            host: host as u32,
            network: self.networks.of_host(host),
        }
    }

    fn target(&self, place: Place, asks: bool) -> Option<Target> {
        let address = *self.addresses.get(place.host)?;
        Some(Target {
            address,
            port: *self.ports.get(place.port)?,
            scope: self.scopes.get(&address).copied().unwrap_or_default(),
            connect_timeout: self.request.connect_timeout,
            exchange: self.exchanges.get(place.port).filter(|_| asks).cloned(),
            reader: self.reader.clone(),
            second_look: self.request.second_look && asks,
        })
    }

    fn looks(&self, place: Place) -> u32 {
        let at = place.host * self.ports.len() + place.port;
        self.looks.get(at).copied().unwrap_or_default().into()
    }

    fn set_looks(&mut self, place: Place, looks: u32) {
        let at = place.host * self.ports.len() + place.port;
        if let Some(known) = self.looks.get_mut(at) {
            let new = u8::try_from(looks).unwrap_or(u8::MAX);
            self.silences += u64::from(*known == 0 && new > 0);
            *known = (*known).max(new);
        }
    }

    /// Whether a place is to be looked at in this look.
    fn wanted(&self, place: Place) -> bool {
        !self.answered.has(place)
            && self.looks(place) == self.network(place.host).looks
            && self.network(place.host).doubtful
            && self.behaviour.left(place.host).is_none()
            && (self.look == 1 || !self.refused.contains_key(&place))
    }

    fn begin_look(&mut self, now: Duration) {
        self.look += 1;
        self.look_begun = now;
        self.look_counted = false;
        self.look_done = 0;
        let places = (0..self.addresses.len())
            .flat_map(|host| (0..self.ports.len()).map(move |port| Place { host, port }));
        self.look_total = places.filter(|place| self.wanted(*place)).count() as u64;
        tracing::debug!(look = self.look, places = self.look_total, at = ?now, "a look begins");
        self.canaries.begin_look();
        self.line.begin_look();
    }

    /// Starts as much as may start now.
    fn start(&mut self, watcher: &mut dyn Watcher) -> Next {
        if self.ending.is_some() {
            return Next::Wait;
        }
        if self.held {
            return Next::At(self.now() + TICK);
        }
        for _ in 0..STARTED_AT_ONCE {
            let now = self.now();
            if !self.attempts.has_room(self.sockets.held()) {
                // Either an attempt ends, or a socket is closed, of which nobody tells.
                return Next::At(now + CLOSING);
            }
            if self.talks.len() >= MOST_TALKS {
                return Next::Wait;
            }
            let ready = self.schedule.total_ready(now);
            if ready > now {
                return Next::At(ready);
            }
            if self.start_canary(now, watcher) {
                continue;
            }
            // The line is asked for a place while the rest of the scan says which are wanted.
            let mut line = std::mem::take(&mut self.line);
            let place = line.next(now, |place| self.wanted(place));
            self.line = line;
            match place {
                Some(place) => {
                    if let Next::At(when) = self.start_look(place, now, watcher) {
                        return Next::At(when);
                    }
                }
                None => return self.line.ready().map_or_else(|| self.look_over(now), Next::At),
            }
        }
        Next::More
    }

    /// A look is over when all had their turn and what was asked has been answered, or not.
    fn look_over(&mut self, now: Duration) -> Next {
        if self.looking > 0 || !self.line.is_exhausted() {
            return Next::Wait;
        }
        if self.canaries_out > 0 {
            return Next::Wait;
        }
        if self.canary_due() {
            // A canary's host is busy or may not have a packet yet.
            return Next::At(now + Duration::from_millis(20));
        }
        self.ledger.silent(self.silences);
        if !self.look_counted {
            self.look_counted = true;
            self.ledger.look_over();
            self.count_look();
            tracing::debug!(look = self.look, at = ?now, "a look is over");
        }
        let next = self.look_begun + BETWEEN_LOOKS;
        let undecided = self.is_undecided();
        if !undecided {
            return Next::Wait;
        }
        if next > now {
            return Next::At(next);
        }
        self.begin_look(now);
        Next::More
    }

    /// A look is over: who was in doubt has been looked at once more, and who is in doubt now is decided.
    fn count_look(&mut self) {
        for (number, network) in (0..).zip(&mut self.network_looks) {
            network.looks += u32::from(network.doubtful);
            network.doubtful = network.looks < MOST_LOOKS && self.ledger.doubtful(number, network.looks);
        }
    }

    /// Whether some silence is to be looked at again.
    fn is_undecided(&self) -> bool {
        let places = (0..self.addresses.len())
            .flat_map(|host| (0..self.ports.len()).map(move |port| Place { host, port }));
        places
            .into_iter()
            .any(|place| self.looks(place) > 0 && self.wanted(place))
    }

    fn network(&self, host: usize) -> NetworkLooks {
        let network = self.networks.of_host(host) as usize;
        self.network_looks.get(network).copied().unwrap_or_default()
    }

    /// Whether some canary is to be asked before the look is over: none is where nothing is silent any more.
    fn canary_due(&self) -> bool {
        self.silences > 0 && self.canaries.due(self.canaries_wanted())
    }

    /// How many canaries this look should have: fewer when it is at few ports.
    fn canaries_wanted(&self) -> u64 {
        let all = (self.addresses.len() * self.ports.len()) as u64;
        let share = self.look_total as f64 / all.max(1) as f64;
        (self.ledger.canaries_wanted() as f64 * share).ceil() as u64
    }

    /// Counts packets that go to a host.
    fn sent(&mut self, host: usize, now: Duration, packets: u32) {
        self.devices.packets(host, now, packets);
        self.counters.packets_sent += u64::from(packets);
    }

    fn refuse(&mut self, place: Place, reason: String) {
        let number = match self.reasons.iter().position(|known| *known == reason) {
            Some(number) => number,
            None => {
                self.reasons.push(reason);
                self.reasons.len() - 1
            }
        };
        self.refused.entry(place).or_insert(number as u32);
    }

    /// Hands over what a checkpoint must hold.
    fn keep(&mut self, watcher: &mut dyn Watcher) {
        for (look, places) in std::mem::take(&mut self.silent_since) {
            watcher.keep(&Entry::Silent { look, places });
        }
        let now = self.now();
        if now.saturating_sub(self.kept) >= KEEP_LOSS {
            self.kept = now;
            watcher.keep(&Entry::Loss(self.ledger.canaries()));
        }
    }

    fn progress(&self) -> Progress {
        let elapsed = self.now();
        let in_look = elapsed.saturating_sub(self.look_begun);
        let (done, total) = (self.look_done, self.look_total);
        let left = total.saturating_sub(done);
        let time_left = (done > 0 && in_look >= Duration::from_secs(1))
            .then(|| in_look.mul_f64(left as f64 / done as f64));
        Progress {
            look: self.look,
            probes_done: done,
            probes_total: total,
            hosts_done: self.line.finished(),
            hosts_total: self.addresses.len() as u64,
            open: self.open,
            answers: self.counters.answers,
            elapsed,
            rate_per_second: self.counters.packets_sent as f64 / elapsed.as_secs_f64().max(0.001),
            time_left,
        }
    }
}

//! The scan while it runs.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap, VecDeque},
    net::IpAddr,
    time::Duration,
};

use portcullis_knowledge::{Exchange, Knowledge};
use portcullis_model::{Coverage, Evidence, EvidenceKind, Observation, Port, PortState, Transport};
use tokio::{
    sync::{mpsc, watch},
    task::{Id, JoinError, JoinSet},
    time::{Instant, sleep_until},
};

use super::{
    Counters, Permit, Progress, ScanOutcome, ScanRequest, Watcher,
    attempts::{Attempt, Attempts, Why},
    line::Line,
    order::{scattered, seed},
    patience::Patience,
};
use crate::{
    Sighting,
    behaviour::Behaviour,
    canary::{Canaries, MOST_MISSED, Shown},
    checkpoint::{Entry, SeenPort},
    felt::Devices,
    lists::{Facts, Silence},
    loss::{LEAST_LOOKS, Ledger, MOST_LOOKS},
    networks::Networks,
    pace::{Cost, Schedule, To, Turn},
    places::{Place, Places},
    probe::{
        Target, Trace,
        gate::{Ask, Gate, Step},
        milliseconds, tcp, udp,
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
/// A request or an end, and the acknowledgement of what comes back.
const EXCHANGE: Cost = Cost { sure: 2, possible: 0 };
/// What is counted already.
const NOTHING: Cost = Cost { sure: 0, possible: 0 };
/// Reasons for silence are remembered of so many ports.
const MOST_REASONS: usize = 4096;

/// So many sockets are closed on another thread: closing takes the kernel as long as connecting.
const CLOSED_ELSEWHERE: usize = 16;

const INTERRUPTED: &str = "interrupted";

/// A task that talks to a port.
struct Talk {
    target: Target,
    place: Place,
    why: Why,
    /// Packets that are counted already.
    counted: u32,
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
    scopes: HashMap<IpAddr, u32>,

    line: Line,
    attempts: Attempts,
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
            .map(|port| knowledge.exchange(*port, &request.moved))
            .collect();
        let (asks, asked) = mpsc::unbounded_channel();
        let mut scan = Self {
            request,
            knowledge,
            permit,
            begin: Instant::now(),
            exchanges,
            scopes: request.scopes.iter().copied().collect(),
            line,
            attempts,
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
                    self.devices.earlier(host, seen.packets, seen.connections);
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
                    self.devices.earlier(place.host, 1, 0);
                }
            }
            Entry::Loss(loss) => self.ledger.restore(*loss),
            Entry::Left { host, reason } => {
                self.behaviour.leave(*host as usize, reason.clone());
            }
            // Those are of the other way to look; here a refused port is asked again, should it be permitted by now.
            Entry::Reached { .. } | Entry::Refused { .. } => {}
        }
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
            if !self.attempts.has_room() || self.talks.len() >= MOST_TALKS {
                return Next::Wait;
            }
            let now = self.now();
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

    /// Whether some canary is to be asked before the look is over.
    fn canary_due(&self) -> bool {
        self.canaries.due(self.canaries_wanted())
    }

    /// How many canaries this look should have: fewer when it is at few ports.
    fn canaries_wanted(&self) -> u64 {
        let all = (self.addresses.len() * self.ports.len()) as u64;
        let share = self.look_total as f64 / all.max(1) as f64;
        (self.ledger.canaries_wanted() as f64 * share).ceil() as u64
    }

    /// Asks a canary if one is due and its host is free. Returns whether something was asked.
    fn start_canary(&mut self, now: Duration, watcher: &mut dyn Watcher) -> bool {
        if self.silences == 0 {
            return false;
        }
        self.ledger.silent(self.silences);
        // A look of a scan that goes on may have nothing left but its canaries.
        let done = match self.look_total {
            0 => 1.0,
            total => self.look_done as f64 / total as f64,
        };
        let wanted = self.canaries_wanted();
        let Some(place) = self.canaries.next(done, wanted) else {
            return false;
        };
        // A later look is at some networks only, and a loss elsewhere says nothing of them.
        if self.look > LEAST_LOOKS && !self.network(place.host).doubtful {
            return true;
        }
        let to = self.to(place.host);
        let may = self.schedule.host_ready(to.host, now, ATTEMPT) <= now && self.line.take(place.host);
        if !may {
            self.canaries.put_off(place);
            return false;
        }
        let Some(target) = self.target(place, false) else {
            self.line.free(place.host);
            return false;
        };
        if (self.permit)(target.address, target.port).is_err() {
            self.line.free(place.host);
            return false;
        }
        if self.schedule.next(now, to, ATTEMPT) != Turn::Now {
            self.canaries.put_off(place);
            self.line.free(place.host);
            return false;
        }
        self.connect(&target, place, Why::Canary, now, watcher);
        true
    }

    /// Asks a port, unless it may not be asked. `Next::At` when nobody may be asked before that.
    fn start_look(&mut self, place: Place, now: Duration, watcher: &mut dyn Watcher) -> Next {
        let Some(target) = self.target(place, true) else {
            self.line.free(place.host);
            return Next::More;
        };
        let to = self.to(place.host);
        let cost = match target.port.transport {
            Transport::Tcp => ATTEMPT,
            Transport::Udp => DATAGRAM,
        };
        let ready = self.schedule.host_ready(to.host, now, cost);
        if ready > now {
            self.line.rest(place.host, ready);
            return Next::More;
        }
        // The permission is asked last, for it can end at any moment.
        let unfit = target
            .exchange
            .as_ref()
            .and_then(|exchange| exchange.not_testable);
        let refusal = match unfit {
            Some(reason) => Some(reason.to_owned()),
            None => (self.permit)(target.address, target.port).err(),
        };
        if let Some(reason) = refusal {
            self.refuse(place, reason);
            self.look_done += 1;
            self.line.free(place.host);
            return Next::More;
        }
        if let Turn::At(when) = self.schedule.next(now, to, cost) {
            if self.schedule.total_ready(now) > now {
                self.line.put_back(place.host);
                return Next::At(when);
            }
            self.line.rest(place.host, when);
            return Next::More;
        }
        self.look_done += 1;
        let busy = self.line.busy(place.host);
        self.counters.most_connections_per_host = self.counters.most_connections_per_host.max(busy);
        match target.port.transport {
            Transport::Tcp => {
                self.looking += 1;
                self.connect(&target, place, Why::Look, now, watcher);
            }
            Transport::Udp => {
                self.looking += 1;
                self.sent(place.host, now, 1);
                let task = target.clone();
                let handle = self.talks.spawn(async move { udp::ask(&task).await });
                let talk = Talk {
                    target,
                    place,
                    why: Why::Look,
                    counted: 1,
                };
                self.talking.insert(handle.id(), talk);
            }
        }
        Next::More
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

    /// Begins a connection, which has been counted with the schedule.
    fn connect(&mut self, target: &Target, place: Place, why: Why, now: Duration, watcher: &mut dyn Watcher) {
        self.canaries_out += u64::from(why == Why::Canary);
        let socket = match tcp::begin(target) {
            Ok(socket) => socket,
            Err(refused) => {
                let packets = u32::from(refused.state != PortState::NotTested);
                self.sent(place.host, now, packets);
                self.refused(target, place, why, now, refused, None, watcher);
                return;
            }
        };
        self.sent(place.host, now, 1);
        let due = now + self.patience.shortest();
        if let Err(error) = self.attempts.add(socket, place, why, now, due) {
            let refused = tcp::Refused {
                state: PortState::NotTested,
                because: format!("this host cannot watch the connection: {error}"),
            };
            self.refused(target, place, why, now, refused, None, watcher);
        }
    }

    /// Takes what became of the connections that are being made.
    fn connections(&mut self, watcher: &mut dyn Watcher) {
        loop {
            let ready = match self.attempts.ready() {
                Ok(ready) => ready,
                Err(error) => {
                    tracing::error!(%error, "cannot watch connections that are being made");
                    break;
                }
            };
            if ready.is_empty() {
                break;
            }
            for attempt in ready {
                self.concluded(attempt, watcher);
            }
        }
        let now = self.now();
        let (patience, networks, look) = (&self.patience, &self.networks, self.look);
        let wait = |place: Place| patience.wait(networks.of_host(place.host), look);
        let mut over = Vec::new();
        for attempt in self.attempts.expired(now, wait) {
            self.schedule.settle(now, self.to(attempt.place.host), ATTEMPT, 1);
            self.no_answer(attempt.place, attempt.why, None, watcher);
            over.push(attempt.socket);
        }
        if over.len() >= CLOSED_ELSEWHERE {
            tokio::task::spawn_blocking(move || drop(over));
        }
    }

    fn concluded(&mut self, attempt: Attempt, watcher: &mut dyn Watcher) {
        let Attempt {
            socket,
            place,
            why,
            begun,
            ..
        } = attempt;
        let now = self.now();
        let after = now.saturating_sub(begun);
        let Some(target) = self.target(place, why == Why::Look) else {
            return;
        };
        let concluded = tcp::conclude(&target, &socket);
        if let Err(refused) = &concluded
            && refused.state != PortState::Open
        {
            let source = tcp::source_of(&socket);
            let refused = refused.clone();
            self.refused(&target, place, why, now, refused, Some((source, after)), watcher);
            return;
        }
        self.schedule.settle(now, self.to(place.host), ATTEMPT, 2);
        self.sent(place.host, now, 1);
        self.devices.connection(place.host);
        self.answer_came(place, after, watcher);
        if why == Why::Look {
            self.looking -= 1;
            self.first_answer(place, PortState::Open);
        } else {
            self.canary_answered(place);
        }
        if let Err(reset) = concluded {
            let mut trace = Trace::new(reset.state, reset.because).sent(tcp::source_of(&socket), 2);
            trace.answered_after = Some(after);
            trace.conduct.reset_unasked = true;
            return self.conversation_over(&target, place, why, trace, watcher);
        }
        let gate = Gate::Kept {
            place,
            asks: self.asks.clone(),
        };
        let task = target.clone();
        let handle = self
            .talks
            .spawn(async move { tcp::talk(&task, &gate, socket, after).await });
        let talk = Talk {
            target,
            place,
            why,
            counted: 2,
        };
        self.talking.insert(handle.id(), talk);
    }

    /// A connection does not stand. `answer` is our own address and the time it took, when something came back.
    #[expect(
        clippy::too_many_arguments,
        reason = "each is a fact of its own, and nobody else needs them together"
    )]
    fn refused(
        &mut self,
        target: &Target,
        place: Place,
        why: Why,
        now: Duration,
        refused: tcp::Refused,
        answer: Option<(Option<IpAddr>, Duration)>,
        watcher: &mut dyn Watcher,
    ) {
        let tcp::Refused { state, because } = refused;
        let packets = u32::from(state != PortState::NotTested);
        self.schedule.settle(now, self.to(place.host), ATTEMPT, packets);
        match state {
            PortState::NoAnswer => return self.no_answer(place, why, Some(because), watcher),
            PortState::NotTested => self.refuse(place, because),
            PortState::Open | PortState::Closed | PortState::Filtered => {
                let (source, after) = answer.unwrap_or_default();
                self.answer_came(place, after, watcher);
                if why == Why::Canary {
                    self.canary_answered(place);
                } else {
                    self.first_answer(place, state);
                    let mut trace = Trace::new(state, because).sent(source, packets);
                    trace.answered_after = Some(after);
                    self.tell(target, place, trace, 0, watcher);
                }
            }
        }
        match why {
            Why::Look => self.looking -= 1,
            Why::Canary => {
                self.canaries_out = self
                    .canaries_out
                    .saturating_sub(u64::from(state == PortState::NotTested))
            }
        }
        self.line.free(place.host);
    }

    /// An answer came from a host, to whatever was asked.
    fn answer_came(&mut self, place: Place, after: Duration, watcher: &mut dyn Watcher) {
        self.patience.answered(self.networks.of_host(place.host), after);
        if self.behaviour.answer(place.host, after) {
            self.leave(place.host, watcher);
        }
    }

    /// A port answered that had not answered before.
    fn first_answer(&mut self, place: Place, state: PortState) {
        if self.answered.add(place) {
            self.ledger.answered(self.look);
            self.silences -= u64::from(self.looks(place) > 0);
            self.behaviour.port(place.host, state == PortState::Open);
            self.know(place, state);
        }
    }

    fn know(&mut self, place: Place, state: PortState) {
        let tcp = self
            .ports
            .get(place.port)
            .is_some_and(|port| port.transport == Transport::Tcp);
        if tcp && matches!(state, PortState::Open | PortState::Closed) {
            self.canaries.known(place, state == PortState::Closed);
        }
    }

    fn canary_answered(&mut self, place: Place) {
        self.canaries_out = self.canaries_out.saturating_sub(1);
        self.canaries.shown(place, true);
        self.ledger.canary(self.networks.of_host(place.host), true);
    }

    /// Nothing came back in time.
    fn no_answer(&mut self, place: Place, why: Why, because: Option<String>, watcher: &mut dyn Watcher) {
        match why {
            Why::Look => {
                self.looking -= 1;
                let looks = self.looks(place) + 1;
                self.set_looks(place, looks);
                let silent = (place.host as u32, place.port as u32);
                self.silent_since.entry(looks).or_default().push(silent);
                if let Some(because) = because
                    && self.unreachable.len() < MOST_REASONS
                {
                    self.unreachable.insert(place, because);
                }
            }
            Why::Canary => {
                self.canaries_out = self.canaries_out.saturating_sub(1);
                let network = self.networks.of_host(place.host);
                self.ledger.canary(network, false);
                if self.canaries.shown(place, false) == Shown::Stopped {
                    self.ledger.forget(network, MOST_MISSED.into());
                    if self.behaviour.stopped(place.host, MOST_MISSED) {
                        self.leave(place.host, watcher);
                    }
                }
            }
        }
        self.line.free(place.host);
    }

    fn leave(&mut self, host: usize, watcher: &mut dyn Watcher) {
        let reason = self.behaviour.left(host).unwrap_or_default().to_owned();
        watcher.keep(&Entry::Left {
            host: host as u32,
            reason,
        });
    }

    /// Answers the conversations whose turn has come. Returns when the next one's comes.
    fn grant(&mut self) -> Option<Duration> {
        let mut earliest: Option<Duration> = None;
        for _ in 0..self.waiting.len() {
            let ask = self.waiting.pop_front()?;
            let now = self.now();
            let asking = ask.step == Step::Request;
            // An end is never refused, for an open connection is a burden to the device.
            if asking && (self.ending.is_some() || self.is_denied(ask.place)) {
                // A conversation that is gone needs no answer.
                let _ = ask.answer.send(false);
                continue;
            }
            let turn = if asking && self.held {
                Turn::At(now + TICK)
            } else {
                self.schedule.next(now, self.to(ask.place.host), EXCHANGE)
            };
            match turn {
                Turn::Now => {
                    self.sent(ask.place.host, now, 1);
                    let _ = ask.answer.send(true);
                }
                // The operator's word to stop does not wait for a slow pace.
                Turn::At(_) if self.ending.is_some() => {
                    let _ = ask.answer.send(true);
                }
                Turn::At(when) => {
                    earliest = Some(earliest.map_or(when, |before| before.min(when)));
                    self.waiting.push_back(ask);
                }
            }
        }
        earliest
    }

    fn is_denied(&self, place: Place) -> bool {
        let ends = self.addresses.get(place.host).zip(self.ports.get(place.port));
        ends.is_none_or(|(address, port)| (self.permit)(*address, *port).is_err())
    }

    /// Takes what a conversation brings.
    fn talked(&mut self, ended: Result<(Id, Trace), JoinError>, watcher: &mut dyn Watcher) {
        let (id, trace) = match ended {
            Ok((id, trace)) => (id, trace),
            Err(error) => {
                tracing::error!(%error, "a probe ended before its time");
                let trace = Trace::not_tested("the probe failed inside Portcullis");
                (error.id(), trace)
            }
        };
        let Some(Talk {
            target,
            place,
            why,
            counted,
        }) = self.talking.remove(&id)
        else {
            return;
        };
        let now = self.now();
        if target.port.transport == Transport::Udp {
            self.looking -= 1;
            match trace.state {
                PortState::NoAnswer => {
                    self.looking += 1;
                    return self.no_answer(place, why, None, watcher);
                }
                PortState::NotTested => self.refuse(place, trace.because),
                state => {
                    self.answer_came(place, trace.answered_after.unwrap_or_default(), watcher);
                    self.first_answer(place, state);
                    self.tell(&target, place, trace, 0, watcher);
                }
            }
            self.line.free(place.host);
            return;
        }
        let asked = trace.seen.as_ref().is_some_and(|seen| seen.request.is_some());
        let granted = 1 + u32::from(asked);
        // What our kernel sent beside what was counted: acknowledgements.
        let beside = trace.packets.saturating_sub(counted + granted);
        self.devices.beside(place.host, beside);
        self.counters.packets_sent += u64::from(beside);
        let paid = 2 * granted;
        let unpaid = trace.packets.saturating_sub(counted + paid);
        self.schedule.settle(now, self.to(place.host), NOTHING, unpaid);
        self.conversation_over(&target, place, why, trace, watcher);
    }

    /// An accepted connection has come to its end.
    fn conversation_over(
        &mut self,
        target: &Target,
        place: Place,
        why: Why,
        trace: Trace,
        watcher: &mut dyn Watcher,
    ) {
        if self.behaviour.connection(place.host, trace.conduct) {
            self.leave(place.host, watcher);
        }
        if why == Why::Look {
            if trace.state == PortState::NotTested {
                self.refuse(place, trace.because);
            } else {
                self.tell(target, place, trace, 1, watcher);
            }
        }
        self.line.free(place.host);
    }

    /// A port's state is known: it is kept and told.
    fn tell(
        &mut self,
        target: &Target,
        place: Place,
        trace: Trace,
        connections: u32,
        watcher: &mut dyn Watcher,
    ) {
        let sighting = Sighting::of(target, trace, &self.request.moved, self.knowledge);
        let packets = sighting.packets;
        let observation = sighting.into_observation(self.request.run, &self.request.vantage);
        self.counters.answers += 1;
        self.open += u64::from(observation.state == PortState::Open);
        let entry = Entry::Seen(Box::new(SeenPort {
            look: self.look,
            packets,
            connections,
            observation: observation.clone(),
        }));
        watcher.keep(&entry);
        watcher.seen(&observation);
        self.found.push((place, observation));
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

    fn outcome(mut self) -> ScanOutcome {
        self.ledger.silent(self.silences);
        let found = std::mem::take(&mut self.found);
        let why_not = |place: Place| -> Option<Cow<'_, str>> {
            if self.looks(place) > 0 {
                return None;
            }
            if let Some(reason) = self.refused.get(&place) {
                return self
                    .reasons
                    .get(*reason as usize)
                    .map(|reason| reason.as_str().into());
            }
            let left = self
                .behaviour
                .left(place.host)
                .map(|reason| format!("left alone: {reason}").into());
            left.or_else(|| Some(self.ending.as_deref().unwrap_or(INTERRUPTED).into()))
        };
        let silence = |place: Place| {
            let (looks, network) = (self.looks(place), self.networks.of_host(place.host));
            Silence {
                looks,
                confidence: self.ledger.confidence(network, looks),
                in_doubt: self.ledger.doubtful(network, looks) || self.behaviour.left(place.host).is_some(),
            }
        };
        let answered_hosts: std::collections::HashSet<usize> =
            found.iter().map(|(place, _)| place.host).collect();
        let lists = Facts {
            addresses: &self.addresses,
            ports: &self.ports,
            answered: &self.answered,
            found,
            why_not: &why_not,
            silence: &silence,
            told: &|place, silence| self.silent(place, silence),
        }
        .lists();
        let mut counters = self.counters;
        counters.probes = self.addresses.len() as u64 * self.ports.len() as u64;
        let stopped = self.ending.clone().filter(|reason| reason != INTERRUPTED);
        ScanOutcome {
            observations: lists.observations,
            not_tested: lists.not_tested,
            coverage: Coverage {
                silent: lists.silent,
                in_doubt: lists.in_doubt,
                loss: self.ledger.measured(),
                packets: counters.packets_sent,
                devices: self.devices.all(self.addresses.iter().copied(), |host| {
                    answered_hosts.contains(&host)
                }),
                remarks: self.behaviour.remarks(|host| self.addresses.get(host).copied()),
                guards: Vec::new(),
                stopped,
            },
            counters,
            interrupted: self.ending.is_some(),
        }
    }

    /// A silence as an observation.
    fn silent(&self, place: Place, silence: Silence) -> Option<Observation> {
        let (address, port) = (*self.addresses.get(place.host)?, *self.ports.get(place.port)?);
        let because = match self.unreachable.get(&place) {
            Some(because) => because.clone(),
            None => {
                let wait = self
                    .patience
                    .wait(self.networks.of_host(place.host), silence.looks);
                let wait = match self.exchanges.get(place.port) {
                    Some(exchange) if port.transport == Transport::Udp => exchange.wait,
                    _ => wait,
                };
                asked(silence.looks, wait)
            }
        };
        Some(Observation {
            id: Observation::id_of(self.request.run, &self.request.vantage, address, port),
            run: self.request.run,
            at: jiff::Timestamp::now(),
            vantage: self.request.vantage.clone(),
            source: None,
            address,
            port,
            state: PortState::NoAnswer,
            because: because.clone(),
            confidence: silence.confidence,
            identifications: Vec::new(),
            evidence: vec![Evidence {
                kind: EvidenceKind::Handshake,
                note: because,
                bytes: Vec::new(),
            }],
        })
    }
}

/// How a silence came about.
pub(crate) fn asked(looks: u32, wait: Duration) -> String {
    let times = if looks == 1 {
        "once".into()
    } else {
        format!("{looks} times")
    };
    format!("asked {times}, no answer within {}", milliseconds(wait))
}

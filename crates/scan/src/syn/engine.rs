//! The scan itself: senders and one receiver on ordinary threads.

mod looks;
mod outcome;

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

use portcullis_model::{Loss, Port, PortState, Transport};
use portcullis_sys::packet::{
    ETHERTYPE_IPV4, ETHERTYPE_IPV6, MOST_FRAMES, Receiver, Sender,
    filter::{tcp_answers_v4, tcp_answers_v6},
    receive,
};

use super::{
    SynError, SynOutcome, SynRequest, answer,
    answer::Said,
    cookie::Cookies,
    found::Found,
    order::Order,
    resolve::{Used, resolve},
    source_ports,
    teller::Teller,
    walk::{Claim, Walk},
    ways::{Reach, Ways},
};
use crate::{
    Progress, Watcher,
    behaviour::Behaviour,
    checkpoint::Entry,
    felt::Devices,
    loss::{LEAST_LOOKS, Ledger, MOST_LOOKS},
    networks::Networks,
    places::{Place, Places},
    run::{BETWEEN_LOOKS, MOST_PROBES, Permit},
};
use looks::CanaryShare;

/// How often progress is told.
const TICK: Duration = Duration::from_millis(100);
/// How often it is looked whether all have answered.
const LOOK: Duration = Duration::from_millis(5);
/// How long the receiver waits for frames before it looks whether the scan is over.
const LISTEN: Duration = Duration::from_millis(2);
/// A sender sleeps no longer, so that it sees soon that it shall stop.
const LONGEST_SLEEP: Duration = Duration::from_millis(50);
/// Packets that go so soon after their turn was counted keep their distance; what is slower moves the turns after it.
const NOT_LATE: Duration = Duration::from_micros(500);
/// From this rate on, one thread may not be enough.
const ONE_SENDER: u32 = 200_000;
/// More senders than this only get into each other's way.
const MOST_SENDERS: usize = 4;
/// How long an interface may take nothing before it counts as broken.
const STUCK: Duration = Duration::from_secs(2);

/// Looks at every TCP port of every address with half a handshake.
///
/// `permit` is asked before each packet; the watcher is told ten times a second, on the calling thread. When `stop`
/// becomes true nothing more is sent, and answers to what was sent are still waited for. It looks from the network
/// namespace of the calling thread. Addresses that cannot be asked come back as not tested, with the reason.
///
/// Silent ports are looked at again until what was measured to be lost leaves no doubt. Canaries are asked in the turns
/// that their hosts have anyway.
///
/// # Errors
/// Before anything is sent: without CAP_NET_RAW, without free source ports, with too many ports of hosts, or when the
/// kernel does not tell its routes.
pub fn scan(
    request: &SynRequest,
    permit: Permit<'_>,
    watcher: &mut dyn Watcher,
    stop: &AtomicBool,
) -> Result<SynOutcome, SynError> {
    let mut ports: Vec<Port> = request.ports.clone();
    ports.sort_unstable();
    ports.dedup();
    // An entry of a checkpoint names a port by its place among all of them.
    let all_ports = ports.clone();
    let (ports, udp): (Vec<Port>, Vec<Port>) = ports
        .into_iter()
        .partition(|port| port.transport == Transport::Tcp);
    let count = request.addresses.len() as u128 * ports.len() as u128;
    if count > MOST_PROBES {
        return Err(SynError::TooMany { count });
    }
    let mut ways = Ways::find(&request.addresses, &request.scopes)?;
    let cookies = Cookies::new(secret()?, source_ports::find()?);
    let receivers = receivers(&ways, &cookies)?;
    let may_ask = |address| ports.iter().any(|port| permit(address, *port).is_ok());
    let used = resolve(&mut ways, request, &may_ask, stop)?;
    ways.give_up_lost_routers();
    let senders = senders(request, &ways)?;
    let seed = crate::run::seed(request.run);
    let (hosts, count) = (ways.hosts.len(), ports.len());
    let networks = Networks::of(ways.hosts.iter().map(|host| host.address));
    let places = || Places::new(hosts, count);
    let mut scan = Scan {
        order: if request.pace.per_subnet_per_second > 0 {
            Order::by_network(hosts, count, seed, |host| networks.of_host(host))
        } else {
            Order::new(hosts, count, seed)
        },
        seed,
        asked: places(),
        answered: places(),
        open: places(),
        canaries: places(),
        canaries_heard: places(),
        missed: Mutex::default(),
        looks: Mutex::new(vec![0; networks.count()]),
        doubtful: RwLock::new(vec![true; networks.count()]),
        networks,
        left: Places::new(hosts, 1),
        devices: Devices::new(hosts),
        ledger: Mutex::default(),
        behaviour: Mutex::default(),
        failed: Mutex::new(vec![None; ways.links.len()]),
        begin: Instant::now(),
        request,
        ways,
        ports,
        all_ports,
        cookies,
        permit,
        stop,
        counts: Counts::default(),
        look: AtomicU32::new(1),
        refused: Mutex::default(),
        found: Mutex::default(),
    };
    let begin_at = scan.take_over();
    scan.counts.packets.fetch_add(used.asked, Ordering::Relaxed);
    let over = AtomicBool::new(false);
    let (tell, told) = mpsc::channel();
    let mut teller = Teller::new(watcher, &scan);
    let outcome = thread::scope(|scope| {
        // The kernel takes its time to close a ring. It need not be waited for: the outcome is made meanwhile.
        scope.spawn(|| scan.listen(receivers, &over, &tell));
        let sending = scan.send(senders, used, begin_at, &mut teller);
        over.store(true, Ordering::Relaxed);
        let lost = told.recv().unwrap_or_default();
        teller.tell(&scan, None);
        scan.outcome(&udp, lost, sending)
    });
    Ok(outcome)
}

pub(super) struct Scan<'a> {
    pub(super) request: &'a SynRequest,
    ways: Ways,
    pub(super) ports: Vec<Port>,
    /// Those of UDP among them.
    pub(super) all_ports: Vec<Port>,
    order: Order,
    seed: u64,
    networks: Networks,
    cookies: Cookies,
    permit: Permit<'a>,
    stop: &'a AtomicBool,
    begin: Instant,
    asked: Places,
    answered: Places,
    open: Places,
    /// Canaries of this look that were asked, and those that answered.
    canaries: Places,
    canaries_heard: Places,
    /// How many canaries in a row a host has missed.
    missed: Mutex<HashMap<usize, u32>>,
    /// How many looks are over, for each network.
    looks: Mutex<Vec<u32>>,
    doubtful: RwLock<Vec<bool>>,
    /// Hosts that are left alone.
    left: Places,
    devices: Devices,
    ledger: Mutex<Ledger>,
    behaviour: Mutex<Behaviour>,
    counts: Counts,
    look: AtomicU32,
    pub(super) refused: Mutex<Vec<(Place, String)>>,
    failed: Mutex<Vec<Option<String>>>,
    pub(super) found: Mutex<Vec<Found>>,
}

#[derive(Debug, Default)]
struct Counts {
    packets: AtomicU64,
    /// Places that had their turn in this look, each once.
    done: AtomicU64,
    asked: AtomicU64,
    open: AtomicU64,
    answers: AtomicU64,
    strays: AtomicU64,
    /// Resets that our kernel has sent, as far as the rate has not paid for them.
    resets: AtomicU64,
    /// And all of them.
    all_resets: AtomicU64,
}

impl Scan<'_> {
    /// Takes over what an earlier part of the run has kept. Returns where it is to go on: look, round and turn.
    fn take_over(&mut self) -> (u32, u64, u64) {
        let mut reached = (1, 0, 0);
        let port_of = |port: u32| {
            let port = self.all_ports.get(port as usize)?;
            self.ports.binary_search(port).ok()
        };
        for entry in &self.request.earlier {
            match entry {
                Entry::Seen(seen) => {
                    let observation = &seen.observation;
                    let (Some(host), Ok(port)) = (
                        self.ways.place(observation.address),
                        self.ports.binary_search(&observation.port),
                    ) else {
                        continue;
                    };
                    let place = Place { host, port };
                    if self.answered.add(place) {
                        if self.asked.add(place) {
                            self.counts.asked.fetch_add(1, Ordering::Relaxed);
                            self.felt_earlier(host, seen.packets, seen.connections);
                        }
                        self.note_answer(place, observation.state, seen.look);
                        lock(&self.found).push(Found::earlier(place, observation.clone()));
                    }
                }
                Entry::Reached { look, round, turn } => reached = (*look, *round, *turn),
                Entry::Refused { places, reason } => {
                    let refused = places.iter().filter_map(|(host, port)| {
                        let place = Place {
                            host: *host as usize,
                            port: port_of(*port)?,
                        };
                        Some((place, reason.clone()))
                    });
                    lock(&self.refused).extend(refused);
                }
                Entry::Loss(loss) => lock(&self.ledger).restore(*loss),
                Entry::Left { host, reason } => self.leave(*host as usize, reason.clone()),
                Entry::Canary {
                    host,
                    packets,
                    connections,
                } => self.felt_earlier(*host as usize, *packets, *connections),
                Entry::Silent { .. } => {}
            }
        }
        let (look, round, turn) = reached;
        let refused: HashSet<Place> = lock(&self.refused).iter().map(|(place, _)| *place).collect();
        // In the first look all turns before were taken; in a later one the first is over.
        let until = if look > 1 {
            (self.order.rounds(), 0)
        } else {
            (round, turn)
        };
        let before = |round: u64| {
            if round < until.0 {
                self.order.turns()
            } else {
                until.1
            }
        };
        for round in 0..self.order.rounds().min(until.0 + 1) {
            for turn in 0..before(round) {
                let Some(place) = self
                    .order
                    .at(round, turn)
                    .filter(|place| !refused.contains(place))
                else {
                    continue;
                };
                if self.asked.add(place) {
                    self.felt_earlier(place.host, look, 0);
                    self.counts.asked.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        if look > 1 {
            // Which networks were in doubt later is not kept: less is claimed than may have been done.
            let over = (look - 1).min(LEAST_LOOKS);
            lock(&self.looks).fill(over);
            (0..over).for_each(|_| lock(&self.ledger).look_over());
        }
        reached
    }

    /// Counts packets of an earlier part of the run: where it is not known how often a host was asked, as often as may be.
    fn felt_earlier(&self, host: usize, packets: u32, connections: u32) {
        self.devices.earlier(host, packets, connections);
        self.counts.packets.fetch_add(packets.into(), Ordering::Relaxed);
    }

    /// Makes all looks, beginning in the middle of one. Returns how long it took from the beginning to the last SYN.
    fn send(
        &self,
        mut senders: Vec<Vec<Sender>>,
        used: Used,
        (first, round, turn): (u32, u64, u64),
        teller: &mut Teller<'_, '_>,
    ) -> Duration {
        let mut used = Some(used);
        let most = self.most_looks();
        let once = self.ports.len() <= 1 && most == 1;
        let mut walk = Walk::new(&self.order, self.request.pace, once, self.seed);
        walk.begin_at(round, turn);
        let walk = Mutex::new(walk);
        let mut sending = Duration::ZERO;
        // Every look is at some network that was looked at less often than it may be.
        for look in first..=2 * most {
            self.look.store(look, Ordering::Relaxed);
            if look > first {
                lock(&walk).again();
                self.counts.done.store(0, Ordering::Relaxed);
            }
            let begun = Instant::now();
            thread::scope(|scope| {
                let (ended, all_ended) = mpsc::channel::<()>();
                for links in &mut senders {
                    let ended = ended.clone();
                    let walk = &walk;
                    scope.spawn(move || {
                        self.walk(walk, look, links);
                        drop(ended);
                    });
                }
                drop(ended);
                while all_ended.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                    let position = lock(&walk).position();
                    teller.tell(self, Some((look, position)));
                }
            });
            sending = self.begin.elapsed();
            // So that none of its last turns is taken again by a scan that goes on.
            let position = lock(&walk).position();
            teller.tell(self, Some((look, position)));
            // Where each is looked at once, nobody is in doubt afterwards.
            let last = look == 2 * most || most == 1;
            self.wait(teller, || {
                // Closing them takes the kernel a while, which passes in the wait.
                used = None;
                if last {
                    senders.clear();
                }
            });
            if self.ending() || self.all_answered() {
                break;
            }
            self.look_over();
            if last || !self.is_in_doubt() {
                break;
            }
            // What is lost is often lost in bursts.
            let pause = BETWEEN_LOOKS.saturating_sub(begun.elapsed());
            self.pause(pause, teller);
        }
        sending
    }

    fn most_looks(&self) -> u32 {
        self.request.most_looks.clamp(1, MOST_LOOKS)
    }

    fn ending(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.request.brake.stopped().is_some()
    }

    /// Waits for answers, until none can come any more.
    fn wait(&self, teller: &mut Teller<'_, '_>, meanwhile: impl FnOnce()) {
        let begin = Instant::now();
        meanwhile();
        let left = || self.request.answer_wait.saturating_sub(begin.elapsed());
        let mut told = begin;
        while !left().is_zero() && !self.all_answered() {
            thread::sleep(LOOK.min(left()));
            if told.elapsed() >= TICK {
                teller.tell(self, None);
                told = Instant::now();
            }
        }
    }

    fn pause(&self, pause: Duration, teller: &mut Teller<'_, '_>) {
        let begin = Instant::now();
        while begin.elapsed() < pause && !self.ending() {
            thread::sleep(TICK.min(pause.saturating_sub(begin.elapsed())));
            teller.tell(self, None);
        }
    }

    fn all_answered(&self) -> bool {
        self.counts.answers.load(Ordering::Relaxed) >= self.counts.asked.load(Ordering::Relaxed)
    }

    /// One look, as far as this thread gets its turns.
    fn walk(&self, walk: &Mutex<Walk>, look: u32, senders: &mut [Sender]) {
        let mut generation = 0;
        // How many of the ports that answered are asked again in a later look.
        let canaries = CanaryShare::of(&lock(&self.ledger), self.counts.answers.load(Ordering::Relaxed));
        while !self.ending() {
            let brake = self.request.brake.generation();
            if brake != generation {
                match self.request.brake.pace(self.request.pace) {
                    Some(pace) => {
                        generation = brake;
                        lock(walk).set(pace);
                    }
                    None => {
                        thread::sleep(LONGEST_SLEEP);
                        continue;
                    }
                }
            }
            let resets = self.counts.resets.swap(0, Ordering::Relaxed);
            let claimed = self.begin.elapsed();
            let claim = lock(walk).claim(claimed, MOST_FRAMES as u64, resets);
            let (round, turns) = match claim {
                Claim::Turns { round, turns } => (round, turns),
                Claim::At(when) => {
                    let pause = when.saturating_sub(self.begin.elapsed());
                    thread::sleep(pause.min(LONGEST_SLEEP));
                    continue;
                }
                Claim::Over => return,
            };
            let mut unused = 0;
            let now = self.begin.elapsed();
            for turn in turns {
                let place = self.order.at(round, turn);
                let sent = place.is_some_and(|place| self.turn(place, look, &canaries, now, senders));
                unused += u64::from(!sent);
            }
            if unused > 0 {
                lock(walk).give_back(unused);
            }
            for (link, sender) in senders.iter_mut().enumerate() {
                self.flush(link, sender);
            }
            let late = self.begin.elapsed().saturating_sub(claimed);
            if late > NOT_LATE {
                lock(walk).late(late);
            }
        }
    }

    /// Makes the SYN to one place, if there is to be one. Returns whether there is.
    fn turn(
        &self,
        place: Place,
        look: u32,
        canaries: &CanaryShare,
        now: Duration,
        senders: &mut [Sender],
    ) -> bool {
        if look == 1 {
            self.counts.done.fetch_add(1, Ordering::Relaxed);
            if self.asked.has(place) {
                return false;
            }
        } else {
            self.counts.done.fetch_add(1, Ordering::Relaxed);
            let canary = self.answered.has(place);
            let wanted = if canary {
                // A later look is at some networks only, and a loss elsewhere says nothing of them.
                let here = look <= LEAST_LOOKS || self.is_doubtful(place.host);
                (here && canaries.chosen(place, look, self.seed)) || self.is_missed(place.host)
            } else {
                self.asked.has(place) && self.is_doubtful(place.host)
            };
            if !wanted {
                return false;
            }
            if canary {
                self.canaries.add(place);
            }
        }
        let (Some(host), Some(port)) = (self.ways.hosts.get(place.host), self.ports.get(place.port)) else {
            return false;
        };
        if self.is_left(place.host) {
            return false;
        }
        if let Err(reason) = (self.permit)(host.address, *port) {
            self.canaries.remove(place);
            if look == 1 {
                lock(&self.refused).push((place, reason));
            }
            return false;
        }
        let Some(hop) = self.ways.hop_of(host) else {
            return false;
        };
        // Before the packet goes: the answer may be faster than the next line.
        if self.asked.add(place) {
            self.counts.asked.fetch_add(1, Ordering::Relaxed);
        }
        let template = self.ways.templates.get(hop.template);
        let (Some(ethernet), Some(template), Some(sender)) =
            (hop.ethernet, template, senders.get_mut(hop.link))
        else {
            return false;
        };
        let cookie = self.cookies.of(hop.own.address, host.address, port.number);
        let written = sender
            .room(template.length())
            .is_some_and(|frame| template.write(frame, ethernet, host.address, port.number, cookie));
        if written {
            self.devices.packets(place.host, now, 1);
        }
        written
    }

    /// Sends what waits. A link that breaks is noted, and what waits on it is forgotten.
    fn flush(&self, link: usize, sender: &mut Sender) {
        let mut since = None;
        while sender.waiting() > 0 {
            let reason = match sender.send() {
                Ok(0) => {
                    let stuck = since.get_or_insert_with(Instant::now).elapsed() > STUCK;
                    if !stuck {
                        thread::sleep(Duration::from_micros(100));
                        continue;
                    }
                    "took no more packets".to_owned()
                }
                Ok(sent) => {
                    self.counts.packets.fetch_add(sent as u64, Ordering::Relaxed);
                    since = None;
                    continue;
                }
                Err(error) => std::error::Error::source(&error)
                    .map_or_else(|| error.to_string(), |source| format!("failed: {source}")),
            };
            sender.clear();
            self.broke(link, &reason);
        }
    }

    fn broke(&self, link: usize, reason: &str) {
        let name = self.ways.links.get(link).map_or("", |link| link.name.as_str());
        if let Some(failed @ None) = lock(&self.failed).get_mut(link) {
            tracing::warn!(interface = name, reason, "an interface broke during the scan");
            *failed = Some(format!("the interface {name} {reason}"));
        }
    }

    /// Takes answers until the scan is over, then tells how many frames the kernel had to drop.
    fn listen(&self, mut receivers: Vec<Receiver>, over: &AtomicBool, tell: &mpsc::Sender<u64>) {
        loop {
            let last = over.load(Ordering::Relaxed);
            let patience = if last { Duration::ZERO } else { LISTEN };
            let heard = receive(&mut receivers, patience, &mut |_, frame| self.hear(frame));
            if let Err(error) = heard {
                tracing::debug!(%error, "cannot listen for answers");
                thread::sleep(LOOK);
            }
            if last {
                break;
            }
        }
        let lost = receivers
            .iter_mut()
            .map(|receiver| receiver.lost().unwrap_or_default())
            .sum();
        // Whoever asked waits for it until the end.
        let _ = tell.send(lost);
    }

    fn hear(&self, frame: &[u8]) {
        let place = answer::read(frame, &self.cookies).and_then(|answer| {
            let host = self.ways.place(answer.target)?;
            let port = self.ports.binary_search(&Port::tcp(answer.port)).ok()?;
            let place = Place { host, port };
            self.asked.has(place).then_some((place, answer))
        });
        let Some((place, answer)) = place else {
            self.counts.strays.fetch_add(1, Ordering::Relaxed);
            return;
        };
        // Our kernel has answered a SYN-ACK with a reset of its own by now, for it knows of no such connection.
        if answer.said == Said::Accepted {
            self.counts.resets.fetch_add(1, Ordering::Relaxed);
            self.counts.all_resets.fetch_add(1, Ordering::Relaxed);
            self.devices.packets(place.host, self.begin.elapsed(), 1);
        }
        if !self.answered.add(place) {
            if self.canaries.has(place) {
                self.canaries_heard.add(place);
                if answer.said == Said::Reset && self.open.has(place) && !self.is_left(place.host) {
                    self.leave(place.host, format!("{} was open and refuses now", answer.port));
                }
            }
            return;
        }
        let found = Found::new(place, answer, self.look.load(Ordering::Relaxed));
        self.note_answer(place, found.state(), found.look);
        lock(&self.found).push(found);
    }

    fn note_answer(&self, place: Place, state: PortState, look: u32) {
        self.counts.answers.fetch_add(1, Ordering::Relaxed);
        if state == PortState::Open {
            self.counts.open.fetch_add(1, Ordering::Relaxed);
            self.open.add(place);
        }
        lock(&self.ledger).answered(look);
    }

    pub(super) fn canaries(&self) -> Loss {
        lock(&self.ledger).canaries()
    }

    pub(super) fn progress(&self) -> Progress {
        let elapsed = self.begin.elapsed();
        let hosts = self.ways.hosts.len() as u64;
        let total = self.order.turns() * self.ports.len() as u64;
        let done = self.counts.done.load(Ordering::Relaxed).min(total);
        let left = total.saturating_sub(done);
        let time_left = (done > 0 && elapsed >= Duration::from_secs(1))
            .then(|| elapsed.mul_f64(left as f64 / done as f64) + self.request.answer_wait);
        Progress {
            look: self.look.load(Ordering::Relaxed),
            probes_done: done,
            probes_total: total,
            // The last round is the last port of each host.
            hosts_done: done
                .saturating_sub(total - self.order.turns().min(total))
                .min(hosts),
            hosts_total: hosts,
            open: self.counts.open.load(Ordering::Relaxed),
            answers: self.counts.answers.load(Ordering::Relaxed),
            elapsed,
            rate_per_second: self.counts.packets.load(Ordering::Relaxed) as f64
                / elapsed.as_secs_f64().max(0.001),
            time_left,
        }
    }
}

/// Opened before the first SYN goes, so that no answer is missed.
fn receivers(ways: &Ways, cookies: &Cookies) -> Result<Vec<Receiver>, SynError> {
    let mut receivers = Vec::new();
    for (place, link) in ways.links.iter().enumerate() {
        let by_link = |v4: bool| {
            ways.hops
                .iter()
                .any(|hop| hop.link == place && hop.own.address.is_ipv4() == v4)
        };
        for (used, ethertype, filter) in [
            (by_link(true), ETHERTYPE_IPV4, tcp_answers_v4(cookies.ports())),
            (by_link(false), ETHERTYPE_IPV6, tcp_answers_v6(cookies.ports())),
        ] {
            if used {
                let receiver = Receiver::open(link.index, ethertype, &filter);
                receivers.push(receiver.map_err(SynError::opening)?);
            }
        }
    }
    Ok(receivers)
}

/// For one thread, or for several where the rate is more than one may reach: a socket for each interface.
fn senders(request: &SynRequest, ways: &Ways) -> Result<Vec<Vec<Sender>>, SynError> {
    let reachable = ways.hosts.iter().any(|host| matches!(host.way, Reach::Hop(_)));
    let threads = if request.pace.total_per_second > ONE_SENDER && reachable {
        thread::available_parallelism().map_or(1, |count| count.get().min(MOST_SENDERS))
    } else {
        1
    };
    let open = |_| {
        ways.links
            .iter()
            .map(|link| Sender::open(link.index).map_err(SynError::opening))
            .collect()
    };
    (0..threads).map(open).collect()
}

/// A secret of this scan, from the kernel.
fn secret() -> Result<[u64; 2], SynError> {
    let random = || {
        getrandom::u64().map_err(|error| {
            SynError::System(portcullis_sys::SysError::Call {
                what: "get random numbers",
                source: std::io::Error::other(error),
            })
        })
    };
    Ok([random()?, random()?])
}

/// What a panicked thread left behind is still true: each write is one push.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

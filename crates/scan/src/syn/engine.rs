//! The scan itself: senders and one receiver on ordinary threads.

use std::{
    net::IpAddr,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use portcullis_model::{NotTested, Port, PortState, Transport};
use portcullis_sys::packet::{
    ETHERTYPE_IPV4, ETHERTYPE_IPV6, MOST_FRAMES, Receiver, Sender,
    filter::{tcp_answers_v4, tcp_answers_v6},
    receive,
};

use super::{
    MOST_PROBES, SynError, SynOutcome, SynRequest, answer,
    answer::Said,
    cookie::Cookies,
    order::{Order, Place},
    outcome::{Facts, Found, Lists},
    resolve::{Used, resolve},
    seen::Seen,
    source_ports,
    tempo::Tempo,
    verdict,
    walk::{Claim, Walk},
    ways::{Reach, Ways},
};
use crate::{Counters, Progress, ScanOutcome};

/// How often progress is told.
const TICK: Duration = Duration::from_millis(100);
/// How often it is looked whether all have answered.
const LOOK: Duration = Duration::from_millis(5);
/// How long the receiver waits for frames before it looks whether the scan is over.
const LISTEN: Duration = Duration::from_millis(2);
/// A sender sleeps no longer, so that it sees soon that it shall stop.
const LONGEST_SLEEP: Duration = Duration::from_millis(50);
/// From this rate on, one thread may not be enough.
const ONE_SENDER: u32 = 200_000;
/// More senders than this only get into each other's way.
const MOST_SENDERS: usize = 4;
/// How long an interface may take nothing before it counts as broken.
const STUCK: Duration = Duration::from_secs(2);

/// What the owner says to an address and port at this moment: the reason if it may not be scanned.
type Permit<'a> = &'a (dyn Fn(IpAddr, Port) -> Result<(), String> + Sync);

/// Looks at every TCP port of every address with half a handshake.
///
/// `permit` is asked before each packet; `progress` is told ten times a second, on the calling thread. When `stop` becomes
/// true nothing more is sent, and answers to what was sent are still waited for. It looks from the network namespace of
/// the calling thread. Addresses that cannot be asked come back as not tested, with the reason.
///
/// # Errors
/// Before anything is sent: without CAP_NET_RAW, without free source ports, with too many ports of hosts, or when the
/// kernel does not tell its routes.
pub fn scan(
    request: &SynRequest,
    permit: Permit<'_>,
    progress: &mut dyn FnMut(&Progress),
    stop: &AtomicBool,
) -> Result<SynOutcome, SynError> {
    let mut ports: Vec<Port> = request.ports.clone();
    ports.sort_unstable();
    ports.dedup();
    let (ports, udp): (Vec<Port>, Vec<Port>) = ports
        .into_iter()
        .partition(|port| port.transport == Transport::Tcp);
    let count = request.addresses.len() as u128 * ports.len() as u128;
    if count > MOST_PROBES {
        return Err(SynError::TooMany { count });
    }
    let mut ways = Ways::find(&request.addresses)?;
    let cookies = Cookies::new(secret()?, source_ports::find()?);
    let receivers = receivers(&ways, &cookies)?;
    let may_ask = |address| ports.iter().any(|port| permit(address, *port).is_ok());
    let used = resolve(&mut ways, request, &may_ask, stop)?;
    ways.give_up_lost_routers();
    let senders = senders(request, &ways)?;
    let [seed, _] = secret()?;
    let scan = Scan {
        order: Order::new(ways.hosts.len(), ports.len(), seed),
        asked: Seen::new(ways.hosts.len(), ports.len()),
        answered: Seen::new(ways.hosts.len(), ports.len()),
        failed: Mutex::new(vec![None; ways.links.len()]),
        begin: Instant::now(),
        request,
        ways,
        ports,
        cookies,
        permit,
        stop,
        counts: Counts::default(),
        refused: Mutex::default(),
        found: Mutex::default(),
    };
    scan.counts.packets.store(used.asked, Ordering::Relaxed);
    let over = AtomicBool::new(false);
    let (tell, told) = mpsc::channel();
    let outcome = thread::scope(|scope| {
        // The kernel takes its time to close a ring. It need not be waited for: the outcome is made meanwhile.
        scope.spawn(|| scan.listen(receivers, &over, &tell));
        let sending = scan.send(senders, used, progress);
        over.store(true, Ordering::Relaxed);
        let lost = told.recv().unwrap_or_default();
        progress(&scan.progress());
        scan.outcome(&udp, lost, sending)
    });
    Ok(outcome)
}

struct Scan<'a> {
    request: &'a SynRequest,
    ways: Ways,
    ports: Vec<Port>,
    order: Order,
    cookies: Cookies,
    permit: Permit<'a>,
    stop: &'a AtomicBool,
    begin: Instant,
    asked: Seen,
    answered: Seen,
    counts: Counts,
    refused: Mutex<Vec<(Place, String)>>,
    failed: Mutex<Vec<Option<String>>>,
    found: Mutex<Vec<Found>>,
}

#[derive(Debug, Default)]
struct Counts {
    packets: AtomicU64,
    /// Places that were asked or found not to be testable, each once.
    done: AtomicU64,
    asked: AtomicU64,
    open: AtomicU64,
    answers: AtomicU64,
    strays: AtomicU64,
    /// Resets that our kernel has sent, as far as the rate has not paid for them.
    resets: AtomicU64,
}

impl Scan<'_> {
    /// Makes all attempts. Returns how long it took from the beginning to the last SYN.
    fn send(
        &self,
        mut senders: Vec<Vec<Sender>>,
        used: Used,
        progress: &mut dyn FnMut(&Progress),
    ) -> Duration {
        let mut used = Some(used);
        let attempts = self.request.attempts.max(1);
        let once = self.ports.len() <= 1 && attempts == 1;
        let tempo = Tempo::new(self.request.pace, self.ways.hosts.len() as u64, once);
        let walk = Mutex::new(Walk::new(&self.order, tempo));
        let mut sending = Duration::ZERO;
        for attempt in 0..attempts {
            thread::scope(|scope| {
                let (ended, all_ended) = mpsc::channel::<()>();
                for links in &mut senders {
                    let ended = ended.clone();
                    let walk = &walk;
                    scope.spawn(move || {
                        self.walk(walk, attempt, links);
                        drop(ended);
                    });
                }
                drop(ended);
                while all_ended.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                    progress(&self.progress());
                }
            });
            sending = self.begin.elapsed();
            self.wait(progress, || {
                // Closing them takes the kernel a while, which passes in the wait.
                used = None;
                if attempt + 1 == attempts {
                    senders.clear();
                }
            });
            if self.stop.load(Ordering::Relaxed) || self.all_answered() {
                break;
            }
            lock(&walk).again();
        }
        sending
    }

    /// Waits for answers, until none can come any more.
    fn wait(&self, progress: &mut dyn FnMut(&Progress), meanwhile: impl FnOnce()) {
        let begin = Instant::now();
        meanwhile();
        let mut told = begin;
        while begin.elapsed() < self.request.answer_wait && !self.all_answered() {
            thread::sleep(LOOK.min(self.request.answer_wait.saturating_sub(begin.elapsed())));
            if told.elapsed() >= TICK {
                progress(&self.progress());
                told = Instant::now();
            }
        }
    }

    fn all_answered(&self) -> bool {
        self.counts.answers.load(Ordering::Relaxed) >= self.counts.asked.load(Ordering::Relaxed)
    }

    /// One attempt, as far as this thread gets its turns.
    fn walk(&self, walk: &Mutex<Walk>, attempt: u32, senders: &mut [Sender]) {
        while !self.stop.load(Ordering::Relaxed) {
            let resets = self.counts.resets.swap(0, Ordering::Relaxed);
            let claim = lock(walk).claim(self.begin.elapsed(), MOST_FRAMES as u64, resets);
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
            for turn in turns {
                let sent = self.turn(self.order.at(round, turn), attempt, senders);
                unused += u64::from(!sent);
            }
            if unused > 0 {
                lock(walk).give_back(unused);
            }
            for (link, sender) in senders.iter_mut().enumerate() {
                self.flush(link, sender);
            }
        }
    }

    /// Makes the SYN to one place, if there is to be one. Returns whether there is.
    fn turn(&self, place: Place, attempt: u32, senders: &mut [Sender]) -> bool {
        if attempt > 0 && (self.answered.has(place) || !self.asked.has(place)) {
            return false;
        }
        let (Some(host), Some(port)) = (self.ways.hosts.get(place.host), self.ports.get(place.port)) else {
            return false;
        };
        if let Err(reason) = (self.permit)(host.address, *port) {
            self.done(attempt);
            lock(&self.refused).push((place, reason));
            return false;
        }
        let Some(hop) = self.ways.hop_of(host) else {
            self.done(attempt);
            return false;
        };
        // Before the packet goes: the answer may be faster than the next line.
        if self.asked.add(place) {
            self.done(attempt);
            self.counts.asked.fetch_add(1, Ordering::Relaxed);
        }
        let template = self.ways.templates.get(hop.template);
        let (Some(ethernet), Some(template), Some(sender)) =
            (hop.ethernet, template, senders.get_mut(hop.link))
        else {
            return false;
        };
        let cookie = self.cookies.of(hop.own.address, host.address, port.number);
        sender
            .room(template.length())
            .is_some_and(|frame| template.write(frame, ethernet, host.address, port.number, cookie))
    }

    fn done(&self, attempt: u32) {
        if attempt == 0 {
            self.counts.done.fetch_add(1, Ordering::Relaxed);
        }
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
        }
        if !self.answered.add(place) {
            return;
        }
        self.counts.answers.fetch_add(1, Ordering::Relaxed);
        if answer.said == Said::Accepted {
            self.counts.open.fetch_add(1, Ordering::Relaxed);
        }
        lock(&self.found).push(Found {
            place,
            at: Timestamp::now(),
            answer,
        });
    }

    fn progress(&self) -> Progress {
        let elapsed = self.begin.elapsed();
        let total = self.ways.hosts.len() as u64 * self.ports.len() as u64;
        let done = self.counts.done.load(Ordering::Relaxed);
        let left = total.saturating_sub(done);
        let time_left = (done > 0 && elapsed >= Duration::from_secs(1))
            .then(|| elapsed.mul_f64(left as f64 / done as f64) + self.request.answer_wait);
        Progress {
            probes_done: done,
            probes_total: total,
            open: self.counts.open.load(Ordering::Relaxed),
            answers: self.counts.answers.load(Ordering::Relaxed),
            elapsed,
            rate_per_second: self.counts.packets.load(Ordering::Relaxed) as f64
                / elapsed.as_secs_f64().max(0.001),
            time_left,
        }
    }

    fn outcome(&self, udp: &[Port], lost: u64, sending: Duration) -> SynOutcome {
        let interrupted = self.stop.load(Ordering::Relaxed);
        let found = take(&self.found);
        let answers = found
            .iter()
            .filter(|found| verdict::of(&found.answer).0 != PortState::NoAnswer)
            .count();
        let failed = take(&self.failed);
        let Lists {
            observations,
            silent,
            mut not_tested,
        } = Facts {
            request: self.request,
            ways: &self.ways,
            ports: &self.ports,
            asked: &self.asked,
            answered: &self.answered,
            found,
            refused: take(&self.refused),
            failed: &failed,
            ended: Timestamp::now(),
        }
        .lists();
        if !udp.is_empty() {
            not_tested.extend(self.ways.hosts.iter().map(|host| NotTested {
                first: host.address,
                last: host.address,
                ports: udp.to_vec(),
                reason: "a SYN scan is of TCP only".into(),
            }));
        }
        let asked_any = self.counts.asked.load(Ordering::Relaxed) > 0;
        SynOutcome {
            scan: ScanOutcome {
                observations,
                silent,
                not_tested,
                counters: Counters {
                    probes: self.counts.done.load(Ordering::Relaxed),
                    packets_sent: self.counts.packets.load(Ordering::Relaxed),
                    answers: answers as u64,
                    most_connections_per_host: u32::from(asked_any),
                },
                interrupted,
            },
            strays: self.counts.strays.load(Ordering::Relaxed),
            lost,
            sending,
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
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn take<T: Default>(mutex: &Mutex<T>) -> T {
    std::mem::take(&mut *lock(mutex))
}

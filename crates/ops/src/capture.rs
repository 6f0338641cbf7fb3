//! What captured packets show becomes observations: files and running interfaces, and never a packet of our own.

mod ahead;
mod error;
mod live;

use std::{
    collections::{BTreeMap, HashSet},
    fs::File,
    io::{self, Read},
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::Timestamp;
pub use portcullis_capture::AddressReport;
use portcullis_capture::{self as packets, Counted, Found, Limits, Source, Watch};
use portcullis_model::{
    Coverage, Digest, Grade, Introduction, MacAddress, Neighbour, Observation, Port, PortState, Run, RunId,
    ServiceName, Vantage, sanitize,
};
use serde::Serialize;
use serde_json::json;

use self::ahead::Ahead;
pub use self::error::LiveError;
use crate::{Desk, OpsError, Stop, clock::Clock};

/// How many observations are stored at once.
const BATCH: usize = 1000;
/// How many ports are listed; all are stored.
const LISTED: usize = 1000;
/// After how many frames it is told how far the reading has come.
const TOLD_EACH: u64 = 1 << 16;

/// What is to be told while packets are read.
pub trait Watcher {
    /// So many frames were read.
    fn progress(&mut self, frames: u64, bytes: u64);
    /// An observation was made.
    fn seen(&mut self, observation: &Observation);
}

/// A running interface, and how long to listen.
#[derive(Debug, Clone)]
pub struct Live {
    /// Its name.
    pub interface: String,
    /// How long; `None` until stopped.
    pub patience: Option<Duration>,
    /// How many packets; `None` without a limit.
    pub packets: Option<u64>,
}

/// What a capture held.
#[derive(Debug, Clone, Serialize)]
pub struct Captured {
    /// The name of the file or of the interface, as it may be shown.
    pub source: String,
    /// `pcap`, `pcapng` or `interface`.
    pub format: String,
    /// The run that it became; the same file is the same run.
    pub run: RunId,
    /// When the same file was read before.
    pub before: Option<Timestamp>,
    /// What was counted.
    #[serde(flatten)]
    pub counted: Counted,
    /// Hosts of which something is known: those with a port or a hardware address.
    pub hosts: usize,
    /// Observations, each a client and a port.
    pub observations: u64,
    /// Ports that were open.
    pub open_ports: usize,
    /// The first thousand ports, by address.
    pub ports: Vec<Listed>,
    /// Addresses with their hardware addresses.
    pub neighbours: usize,
    /// How many times lay in the future, and were taken as of now.
    pub in_the_future: u64,
    /// What stations said of themselves without being asked at a port.
    pub introductions: Vec<Introduction>,
    /// Those of them whose hardware address is registered to Moxa.
    pub moxa: Vec<Neighbour>,
    /// Frames that were lost while the capture was made.
    pub dropped: u64,
    /// Where and why nothing more could be read.
    pub damage: Option<String>,
    /// Whether the reading of a file was stopped.
    pub stopped: bool,
}

impl Captured {
    /// Whether nothing was lost, left out, or not read.
    pub fn is_whole(&self) -> bool {
        self.dropped == 0
            && self.damage.is_none()
            && !self.stopped
            && self.counted.left_out.is_empty()
            && self.counted.unread_links == 0
    }
}

/// A port with what is known of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// Whose it is.
    pub address: IpAddr,
    /// The port.
    pub port: Port,
    /// How it was.
    pub state: PortState,
    /// What it is, if it is not ruled out.
    pub service: Option<ServiceName>,
    /// How sure that is.
    pub grade: Option<Grade>,
    /// What it says of the device, harmless to show.
    pub facts: BTreeMap<String, String>,
    /// How many clients it answered or left without an answer.
    pub clients: usize,
    /// One of them.
    pub client: Option<IpAddr>,
    /// Its hardware address, if it is of the segment that was captured.
    pub mac: Option<MacAddress>,
}

/// What was read, and what could not be.
#[derive(Debug)]
pub struct Outcome {
    /// One for each file that was read, or for the interface.
    pub captured: Vec<Captured>,
    /// One for each that was not.
    pub failures: Vec<OpsError>,
}

/// Reads captures, one after the other. `-` is standard input. One that cannot be read does not stop the others.
pub async fn files(desk: &Desk, paths: &[PathBuf], watcher: &mut dyn Watcher, stop: &Stop) -> Outcome {
    let (mut captured, mut failures) = (Vec::new(), Vec::new());
    for path in paths {
        match file(desk, path, watcher, stop).await {
            Ok(read) => captured.push(read),
            Err(error) => failures.push(error),
        }
    }
    Outcome { captured, failures }
}

/// Listens to an interface until the time is over, the packets are there, or somebody stops it. Sends nothing.
///
/// # Errors
/// Without the right to listen, without the interface, or when the store does not take it.
pub async fn interface(
    desk: &Desk,
    live: &Live,
    watcher: &mut dyn Watcher,
    stop: &Stop,
    ready: impl FnOnce(),
) -> Result<Captured, OpsError> {
    let index = live::find(&live.interface).map_err(OpsError::Live)?;
    let now = (desk.now)();
    let source = sanitize(&live.interface);
    let settings = json!({
        "interface": source,
        "seconds": live.patience.map(|patience| patience.as_secs()),
        "packets": live.packets,
    });
    desk.record("capture", format!("interface {source}"), settings.clone())
        .await?;
    let watch = Watch::new(Limits::default(), &desk.knowledge, &desk.moved());
    let heard = live::listen(index, live, watch, watcher, stop, ready).map_err(OpsError::Live)?;
    let run = Run {
        id: RunId::of(&[b"capture", source.as_bytes(), now.to_string().as_bytes()]),
        settings,
        ..run(now)
    };
    let seen = Seen {
        source,
        format: "interface".into(),
        dropped: heard.dropped,
        damage: heard.damage,
        stopped: false,
    };
    keep(desk, seen, run, heard.watch.end(), watcher).await
}

async fn file(
    desk: &Desk,
    path: &Path,
    watcher: &mut dyn Watcher,
    stop: &Stop,
) -> Result<Captured, OpsError> {
    let failed = |source| OpsError::Read {
        path: path.into(),
        source,
    };
    let now = (desk.now)();
    let is_pipe = path == Path::new("-");
    let reader: Box<dyn Read + Send> = if is_pipe {
        Box::new(io::stdin())
    } else {
        Box::new(File::open(path).map_err(failed)?)
    };
    let mut ahead = Ahead::begin(reader, stop.clone());
    let refused = |source| OpsError::Capture {
        path: path.into(),
        source,
    };
    let mut content = packets::File::open(&mut ahead).map_err(refused)?;
    let mut watch = Watch::new(Limits::default(), &desk.knowledge, &desk.moved());
    let mut damage = None;
    loop {
        match content.next_frame() {
            Ok(Some(frame)) => watch.frame(frame.link, frame.bytes, frame.at),
            Ok(None) => break,
            Err(found) => {
                damage = Some(sanitize(&found.to_string()));
                break;
            }
        }
        if watch.frames().is_multiple_of(TOLD_EACH) {
            watcher.progress(watch.frames(), watch.bytes());
            if *stop.borrow() {
                break;
            }
        }
    }
    let (format, dropped) = (content.container().to_string(), content.dropped());
    drop(content);
    let stopped = *stop.borrow();
    let source = sanitize(&path.to_string_lossy());
    // Nobody waits for the end of a pipe that is not read any more.
    let digest = match stopped || (is_pipe && damage.is_some()) {
        true => None,
        false => ahead.digest().map_err(failed)?,
    };
    let settings = json!({ "file": source, "digest": digest, "format": format });
    desk.record("capture", format!("{source} ({format})"), settings.clone())
        .await?;
    let id = match digest {
        Some(digest) => RunId::of(&[b"capture", digest.to_string().as_bytes()]),
        None => RunId::of(&[b"capture", source.as_bytes(), now.to_string().as_bytes()]),
    };
    let run = Run {
        id,
        settings,
        ..run(now)
    };
    let seen = Seen {
        source,
        format,
        dropped,
        // A file whose reading was stopped ends somewhere.
        damage: damage.filter(|_| !stopped),
        stopped,
    };
    keep(desk, seen, run, watch.end(), watcher).await
}

fn run(now: Timestamp) -> Run {
    Run {
        id: RunId::of(&[]),
        command: "capture".into(),
        vantage: Vantage::capture(None),
        started: now,
        ended: None,
        settings: json!({}),
        not_tested: Vec::new(),
        coverage: Coverage::default(),
    }
}

/// How the reading went.
struct Seen {
    source: String,
    format: String,
    dropped: u64,
    damage: Option<String>,
    stopped: bool,
}

/// Stores what was found, and sums it up.
async fn keep(
    desk: &Desk,
    seen: Seen,
    mut run: Run,
    mut found: Found,
    watcher: &mut dyn Watcher,
) -> Result<Captured, OpsError> {
    let known = desk.store.run(run.id).await.map_err(OpsError::Store)?;
    let before = known.and_then(|run| run.ended);
    desk.store.begin_run(&run).await.map_err(OpsError::Store)?;
    let source = Source {
        run: run.id,
        document: &seen.source,
        dropped: seen.dropped,
    };
    let moved = desk.moved();
    let mut clock = Clock::at((desk.now)());
    let mut list = List::default();
    let mut made = found.observations(source, &desk.knowledge, &moved);
    loop {
        let mut batch: Vec<Observation> = made.by_ref().take(BATCH).collect();
        batch.iter_mut().for_each(|one| clock.hold(&mut one.at));
        if batch.is_empty() {
            break;
        }
        desk.store
            .add_observations(&batch)
            .await
            .map_err(OpsError::Store)?;
        for observation in &batch {
            list.add(observation);
            watcher.seen(observation);
        }
    }
    let mut neighbours = found.neighbours();
    neighbours.iter_mut().for_each(|one| clock.hold(&mut one.at));
    list.hosts
        .extend(neighbours.iter().filter_map(|neighbour| neighbour.address));
    for port in &mut list.ports {
        port.mac = found.mac(port.address);
    }
    run.ended = Some((desk.now)());
    run.coverage.neighbours.clone_from(&neighbours);
    run.coverage.introductions = found.introductions();
    for introduction in &mut run.coverage.introductions {
        clock.hold(&mut introduction.at);
    }
    let introductions = run.coverage.introductions.clone();
    run.coverage.stopped.clone_from(&seen.damage);
    desk.store.finish_run(&run).await.map_err(OpsError::Store)?;
    Ok(Captured {
        source: seen.source,
        format: seen.format,
        run: run.id,
        before,
        counted: found.counted(),
        hosts: list.hosts.len(),
        observations: list.observations,
        open_ports: list.open,
        ports: list.ports,
        neighbours: neighbours.len(),
        introductions,
        in_the_future: clock.later,
        moxa: neighbours
            .into_iter()
            .filter(|neighbour| neighbour.mac.is_moxa())
            .collect(),
        dropped: seen.dropped,
        damage: seen.damage,
        stopped: seen.stopped,
    })
}

/// Observations summed up by port; they come in the order of addresses and ports.
#[derive(Default)]
struct List {
    ports: Vec<Listed>,
    hosts: HashSet<IpAddr>,
    observations: u64,
    open: usize,
    last: Option<(IpAddr, Port, PortState, bool)>,
}

impl List {
    fn add(&mut self, observation: &Observation) {
        self.observations += 1;
        self.hosts.insert(observation.address);
        let (address, port, state) = (observation.address, observation.port, observation.state);
        let is_open = state == PortState::Open;
        let same = |known: &Listed| (known.address, known.port, known.state) == (address, port, state);
        let counted = self
            .last
            .is_some_and(|(a, p, _, open)| (a, p) == (address, port) && open);
        self.open += usize::from(is_open && !counted);
        self.last = Some((address, port, state, is_open || counted));
        // The states of one port follow each other client by client.
        let place = self.ports.iter().rposition(same);
        if let Some(known) = place.and_then(|place| self.ports.get_mut(place)) {
            known.clients += 1;
            return;
        }
        if self.ports.len() >= LISTED {
            return;
        }
        let best = observation.best();
        self.ports.push(Listed {
            address,
            port,
            state,
            service: best.map(|best| best.service.clone()),
            grade: best.map(|best| best.grade),
            facts: best
                .map(|best| {
                    best.fields
                        .iter()
                        .map(|(name, text)| (name.clone(), text.to_string()))
                        .collect()
                })
                .unwrap_or_default(),
            clients: 1,
            client: observation.source,
            mac: None,
        });
    }
}

/// The digest of a file is that of all its bytes.
type Made = io::Result<Option<Digest>>;
